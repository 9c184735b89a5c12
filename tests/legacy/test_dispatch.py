"""Launch records against the dispatch tables of the specification, over many shapes. Nothing is run."""

from itertools import product

import dispatch_rules as rules
import pytest
import toy_calls
from conv_calls import Layer, dry, values
from worked_examples import EXAMPLES

from alexnet_rosetta.legacy import Refused, _call, launch_log
from alexnet_rosetta.legacy.gpu.recording import DryDevice

BATCHES = (1, 16, 32, 48, 64, 96, 100, 128, 192, 200, 256, 384)
# Channels, groups: few, even, and multiples of 4, 8 and 16 per group.
CHANNELS = [(1, 1), (2, 1), (3, 1), (4, 1), (6, 1), (8, 1), (10, 1), (12, 1), (16, 1), (24, 1), (32, 1), (40, 1),
            (48, 1), (8, 2), (16, 2), (24, 2), (32, 2), (48, 2), (96, 2), (48, 4), (384, 2)]  # fmt: skip
# Channels, groups, channels per filter where a table connects them.
TABLES = [(8, 2, 4), (8, 4, 4), (12, 3, 4), (16, 2, 8), (24, 4, 12), (32, 4, 8), (32, 2, 16), (64, 4, 32), (12, 2, 6),
          (20, 4, 10)]  # fmt: skip
FILTERS = (16, 32, 48, 64, 96, 128, 192)  # per group
GEOMETRIES = [dict(img=7, size=3, pad=1), dict(img=12, size=5), dict(img=8, size=4, stride=4, pad=2)]
SCALES = [(0, 1), (1, 1), (0.5, 2), (0, 2)]


def layers():
    """Layers of every combination of batch, channels and filters; geometry and kind change from one to the next."""
    connections = [(c, g, 0) for c, g in CHANNELS] + TABLES
    for i, (n, (c, g, k), filters) in enumerate(product(BATCHES, connections, FILTERS)):
        sizes = dict(n=n, c=c, g=g, k=k, f=filters * g) | GEOMETRIES[i % len(GEOMETRIES)]
        for scale in (0, 1):
            yield Layer(conv=i % 3 > 0, scale=scale, **sizes)


def test_forward():
    for layer in layers():
        if layer.k % 2 and (layer.g > 1 or layer.c > 3):
            continue
        expected = rules.forward(layer.n, layer.c, layer.g, layer.f, layer.modules, bool(layer.scale), layer.sparse)
        assert layer.forward() == expected, layer


def test_image_gradient():
    for layer in layers():
        if (layer.g > 1 and layer.k % 4 and not layer.sparse) or (layer.sparse and layer.k < 4):
            continue
        samples = layer.samples if layer.sparse else None
        expected = rules.image_gradient(layer.n, layer.c, layer.k, layer.img, bool(layer.scale), layer.conv, samples)
        assert layer.image_gradient() == expected, layer


def test_weight_gradient():
    for layer in layers():
        if layer.k > 3 and layer.k % 4:
            continue
        for partial_sum in (0, 1, layer.side) if layer.conv else (1,):
            expected = rules.weight_gradient(layer.n, layer.c, layer.g, layer.k, layer.f, layer.modules, layer.pixels,
                                             partial_sum, bool(layer.scale), layer.sparse)  # fmt: skip
            assert layer.weight_gradient(partial_sum) == expected, layer


@pytest.mark.parametrize(("geometry", "table"), EXAMPLES)
def test_worked_examples(geometry, table):
    layer = Layer(**geometry)
    for line in table.strip().splitlines():
        step, kernel, grid, block, shared = (part.strip() for part in line.split("|"))
        step, _, partial_sum = step.partition(" ")
        found = {"fwd": layer.forward, "img": layer.image_gradient}.get(step) or (
            lambda ps=partial_sum: layer.weight_gradient(int(ps))
        )
        pair = [tuple(int(number) for number in part.split()) for part in (grid, block)]
        assert found() == (kernel, *pair, int(shared)), line


def test_pooling():
    poolers = {2012: ["MaxPooler", "MaxAbsPooler", "AvgPooler"],
               2014: ["MaxPooler", "MaxAbsPooler", "AvgPooler<false>", "AvgPooler<true>"]}  # fmt: skip
    words = {"AvgPooler<true>": "Sum", "AvgPooler<false>": "Avg"}
    windows = [(3, 2, 4), (6, 1, 5), (7, 1, 1), (5, 1, 6), (6, 2, 3), (9, 1, 9)]
    for n, f, (size, stride, outputs) in product(BATCHES, (1, 3, 4, 6, 8, 12, 16, 32, 96), windows):
        for generation, pooler in ((g, p) for g in poolers for p in poolers[g]):
            found = dry("convLocalPool", values(f * 81, n), numFilters=f, subsX=size, startX=0, strideX=stride,
                        outputsX=outputs, pooler=words.get(pooler) or pooler.removesuffix("Pooler"),
                        generation=generation)  # fmt: skip
            assert found == [rules.pool_forward(generation, pooler, f, n, size, stride, outputs)]


def test_pooling_undo():
    for n, f, scales in product(BATCHES, (16, 32, 96), SCALES):
        given = {"subsX": 3, "startX": 0, "strideX": 2, "outputsX": 4} | dict(
            zip(("scaleTargets", "scaleOutput"), scales, strict=True)
        )
        images, outputs = values(f * 81, n), values(f * 16, n)
        found = dry("convLocalMaxUndo", images, outputs, outputs, images, **given)
        assert found == [rules.max_undo(f, n, 9, scales)]
        for generation, total in ((2012, False), (2014, False), (2014, True)):
            found = dry("convLocalAvgUndo", outputs, images, imgSize=9, sum=total, generation=generation, **given)
            assert found == [rules.avg_undo(generation, f, n, 9, scales, total)]


def test_norm_within_maps():
    for n, f, size, generation in product(BATCHES, (1, 3, 4, 8, 12, 16, 32, 48), (3, 5, 6, 9), (2012, 2014)):
        given = {"numFilters": f, "sizeX": size, "addScale": 1.0, "powScale": 0.75, "generation": generation}
        images, expected = values(f * 81, n), rules.map_norm(generation, f, n, 9, size)
        if expected is None:
            with pytest.raises(Refused):
                dry("convResponseNorm", images, **given)
            continue
        assert dry("convResponseNorm", images, **given) == [expected]
        for scales in SCALES if f % 16 == 0 else ():
            scaled = given | dict(zip(("scaleTargets", "scaleOutput"), scales, strict=True))
            before, found = dry("convResponseNormUndo", images, images, images, images, images, **scaled)
            assert before[0] == rules.instance("kRNormUndoPrelims", 128, 8 if generation == 2014 else 4)
            assert found == rules.map_norm_undo(generation, f, n, 9, size, scales)


def test_norm_across_maps():
    for n, f, blocked, generation in product(BATCHES, (16, 32, 96), (False, True), (2012, 2014)):
        given = {"numFilters": f, "sizeF": 5, "addScale": 1.0, "powScale": 0.75, "blocked": blocked,
                 "generation": generation}  # fmt: skip
        x = values(f * 81, n)
        assert dry("convResponseNormCrossMap", x, **given) == [rules.cross_map_norm(f, n, 9, blocked)]
        for scales in SCALES:
            scaled = given | dict(zip(("scaleTargets", "scaleOutput"), scales, strict=True))
            denoms = None if generation == 2014 else x
            *before, found = dry("convResponseNormCrossMapUndo", x, denoms, x, x, x, **scaled)
            assert found == rules.cross_map_norm_undo(generation, f, n, 9, blocked, scales)
            assert [launch[0] for launch in before] == ([] if generation == 2014 else ["kRNormUndoPrelims<128, 4>"])


def image_operations(n):
    """pool-norm 3, images of 9 x 9: (entry, arrays, scalars, kernel, grid, block, shared)."""
    per_thread, per_block, _, check = rules.images(n)
    blocks, three = rules.ceil(n, per_block), values(3 * 81, n)
    for c in (1, 3, 8, 16):
        channels = 2 if c % 8 == 0 else 1
        yield ("convBedOfNails", [values(c * 81, n)], {"numChannels": c, "imgSize": 9, "startX": 0, "strideX": 2},
               rules.instance("kBedOfNails", 4, 32, per_thread, channels, check),
               (blocks * 5, rules.ceil(c, 4 * channels) * 5), (32, 4), 0)  # fmt: skip
    for radius in (1, 2, 3, 4):
        yield ("convGaussianBlur", [three, values(1, 2 * radius + 1)], {"horiz": True, "numChannels": 3},
               rules.instance("kGaussianBlur", 4, 32, radius), (rules.ceil(n, 32), rules.ceil(27, 4)), (32, 4),
               8 * radius)  # fmt: skip
    for colors in (1, 2, 3):
        yield ("convReflectHorizontal", [values(colors * 81, n)], {"imgSize": 9},
               rules.instance("kReflectH", colors, per_thread, check), (blocks, 21), (32, 4), 0)  # fmt: skip
    for center in (False, True):
        yield ("convRGBToLAB", [three], {"center": center}, rules.instance("kRGBToLAB", per_thread, check, center),
               (blocks, 21), (32, 4), 0)  # fmt: skip
    yield "convRGBToYUV", [three], {}, rules.instance("kRGBToYUV", per_thread, check), (blocks, 21), (32, 4), 0
    yield ("convResizeBilinear", [three], {"imgSize": 9, "tgtSize": 6, "scale": 1.5},
           rules.instance("kResizeBilinear", per_thread, check), (blocks, 12), (32, 16), 0)  # fmt: skip
    yield ("convCrop", [three], {"imgSize": 9, "tgtSize": 5, "startY": 1, "startX": 2},
           rules.instance("kCrop", per_thread, check), (blocks, 21), (32, 4), 0)  # fmt: skip


def test_image_operations():
    for n in BATCHES:
        for entry, arrays, scalars, *expected in image_operations(n):
            assert dry(entry, *arrays, **scalars) == [tuple(expected)]


def test_local_weight_norm():
    tiles = [(128, (4, 32, 4)), (64, (4, 32, 2)), (32, (4, 32, 1)), (16, (8, 16, 1))]
    for f in range(16, 400, 16):
        divisor, tile = next(row for row in tiles if f % row[0] == 0)
        (found,) = dry("normalizeLocalWeights", values(21 * 5, f), numModules=21, norm=1.0)
        grid = (f // divisor, rules.ceil(21, tile[0]))
        assert found[:3] == (rules.instance("kNormalizeLCWeights", *tile), grid, (tile[1], tile[0]))


def reduction(rows, columns, axis):
    """Launches of a sum of a row-major matrix."""
    with launch_log() as log:
        _call.call("NVMatrix::sum", [_call.row("a", values(rows, columns))], [_call.row("target", None)],
                   {"axis": axis}, device=DryDevice())  # fmt: skip
    return [(r["kernel"], r["grid"][:2], r["block"][:2]) for r in log]


def test_reductions():
    heights = (2, 100, 1024, 5000, 16383, 16384, 70000, 2**24 + 1)
    widths = (2, 4, 5, 16, 17, 32, 33, 48, 64, 65, 128, 129, 256, 257, 511, 512, 4096)
    for height, width in product(heights, widths):
        if height * width >= 2**29:
            continue
        kernel, (x, y), block = rules.row_reduction(width, height)
        while y > 65535:
            x, y = 2 * x, rules.ceil(y, 2)
        assert reduction(height, width, axis=1) == [(kernel, (x, y), block)]
        assert reduction(height, width, axis=0) == [("kDumbAggCols<agg::Sum, binary::Second>",
                                                     (rules.ceil(width, 256), 1), (256, 1))]  # fmt: skip


def test_element_wise_launches_have_at_most_65535_blocks_along_an_axis():
    for shape, grid in (((65536 * 8, 1), (1, 65535)), ((1, 65536 * 32), (65535, 1)), ((65535 * 8, 2), (1, 65535))):
        with launch_log() as log:
            _call.call("NVMatrix::scale", [_call.row("a", values(*shape))], [_call.row("target", None)], {"s": 2.0},
                       device=DryDevice())  # fmt: skip
        assert log[0]["grid"][:2] == grid


KINDS = {"_color<": " channels: colour", "_sparse<": "grouped", "_sparse_random<": "sparse_random",
         "_c<": " channels: colour", "_mediumcolor<": "medium-colour", "_manycolor<": "many-colour",
         "_mc_mf<": "many-channel"}  # fmt: skip
"""By what the name of a kernel of convolutions contains, how a rule calls the kernel."""


@pytest.mark.parametrize("entry", ["convFilterActs", "convImgActs", "convWeightActs"])
@pytest.mark.parametrize("channels", [3, 4, 16])
@pytest.mark.parametrize("filters", [32, 48])
def test_the_rule_of_a_launch_says_what_was_launched(entry, channels, filters):
    """The kind of kernel, and of the forward pass filters per thread: the fourth template argument."""
    with launch_log() as log:
        toy_calls.conv(entry, channels, filters, 1, 4)()
    kernel, rule = log[0]["kernel"], log[0]["rule"]
    (said,) = [words for part, words in KINDS.items() if part in kernel]
    assert f"{said} kernel" in rule
    if entry == "convFilterActs":
        assert f": {kernel.partition('<')[2].split(', ')[3]} filters per thread" in rule
