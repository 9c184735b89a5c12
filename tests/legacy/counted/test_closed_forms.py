"""What is counted of every entry point equals formulas written from the specification.

A formula takes the call's sizes; sums over windows are made by walking over them. Names are those of the specification.
"""

import pytest
from toy_calls import CALLS, CLASSES, MAPS, PAD, SIDE, SMALL, WINDOW, call

from alexnet_rosetta.legacy import cudaconv, use_isa
from alexnet_rosetta.legacy.counted import CountingDevice, library
from alexnet_rosetta.legacy.gpu.recording import DryDevice

HEAVY = ("local", "groups", "table", "many", "large")  # of toys that run on 32 cases alone


def up(a, b):
    return -(-a // b)


def inside(start, size, side):
    """How many of the pixels start ... start + size - 1 are in an image."""
    return max(0, min(side, start + size) - max(0, start))


# conv-kernels 1.10: taps of all windows that lie in the image; every one is a pixel that a module covers.
TAPS = sum(inside(PAD + m, WINDOW, SMALL) for m in range(SMALL)) ** 2
M, P, PIXELS = SMALL**2, WINDOW**2, SMALL**2
CHUNKS = up(P, 4)


def forward(n, channels, filters, groups, table=False):
    """conv-kernels 3.1 to 3.3, with one image per thread (4.1)."""
    own, fpt, cached = channels // groups, 8 if filters // groups % 32 == 0 else 4, channels if channels <= 3 else 2
    blocks = M * filters // (4 * fpt) * up(n, 32)
    rounds = blocks * own // cached * CHUNKS
    pixels = TAPS * own * n * filters // (4 * fpt)
    kernel = "filterActs_YxX_" + ("color" if channels <= 3 else "sparse_random" if table else "sparse")
    tables = blocks * own if table else 0
    return {kernel: {
        "reads": pixels + blocks * own * P * 4 * fpt + tables,
        "writes": filters * M * n,
        "sharedReads": rounds * 128 * 4 * cached * (fpt + 1) + (pixels if table else 0),
        "sharedWrites": rounds * 4 * cached * (4 * fpt + 32) + tables,
        "barriers": 2 * rounds + (blocks * own // cached if table else 0),
        "conflicts13": 0, "conflicts20": 0,  # 4.10
    }}  # fmt: skip


def strips():
    """3.4: modules that meet each strip of four pixels, along one axis."""
    tops = range(0, SMALL, 4)
    return sum(PAD + m < top + 4 and PAD + m + WINDOW > top for top in tops for m in range(SMALL))


def lanes(n):
    """Threads of 16 columns that write any of a block's two images per thread."""
    return sum(min(16, left) for left in (n - first for first in range(0, n, 32)))


def region_gradient(n, channels, filters, groups, table=False):
    """3.5, 3.6 and 3.8: blocks of 16 x 16 threads, two images per thread."""
    per_group, cpt = filters // groups, channels if channels <= 3 else 4
    regions, channel_blocks, nb = up(SMALL, 4) ** 2, channels // cpt, up(n, 32)
    rounds = strips() ** 2 * per_group // 16 * channel_blocks * nb
    weights = TAPS * channels * per_group * nb
    kernel = "img_acts_color" if channels <= 3 else "img_acts_mediumcolor" + ("_sparse_rand" if table else "")
    blocks = regions * channel_blocks * nb
    return {kernel: {
        "reads": rounds * 16 * n // nb + weights + (blocks * cpt if table else 0),
        "writes": channels * PIXELS * n,
        "sharedReads": TAPS * per_group // 16 * channel_blocks * nb * 16 * 16 * (cpt + 2)
        + (channels * PIXELS * lanes(n) if table else 0),
        "sharedWrites": rounds * 16 * 32 + weights + (blocks * cpt if table else 0),
        "barriers": 2 * rounds + (blocks if table else 0),  # the table's barrier is ours
        "conflicts13": 0,
    }}  # fmt: skip


def pixel_gradient(n, channels, filters, groups, table=False):
    """3.7 and 3.9, one image per thread, two channels (4.4: K mod 16 is 8)."""
    per_group, nb = filters // groups, up(n, 32)
    rounds = TAPS * per_group // 16 * (channels // 8) * nb
    weights = TAPS * channels * per_group * nb
    blocks = PIXELS * channels // 8 * nb
    return {"img_acts_manycolor_sparse_rand" if table else "conv_img_acts_manycolor": {
        "reads": TAPS * per_group * n * channels // 8 + weights + (blocks * 8 if table else 0),
        "writes": channels * PIXELS * n,
        "sharedReads": rounds * 128 * 16 * (2 + 1) + (channels * PIXELS * n if table else 0),
        "sharedWrites": rounds * 16 * 32 + weights + (blocks * 8 if table else 0),
        "barriers": 2 * rounds + (blocks if table else 0),
        "conflicts13": 0, "conflicts20": weights // 32,  # a warp writes two rows 17 apart: one word of each in a bank
    }}  # fmt: skip


def weight_gradient(n, channels, filters, groups, local, table=False):
    """3.10 to 3.12; partialSum 0 is one slab of all modules, a local layer has a slab per module."""
    own, per_group = channels // groups, filters // groups
    if channels <= 3:
        b_y, b_x, ppt, fpt, cpt = 4, 32, 5, 1, channels
    else:
        b_y, b_x, ppt, fpt, cpt = 8, 16, 1, 2 if per_group % 32 == 0 else 1, 4
    pixel_blocks, channel_blocks, batches = up(P, b_y * ppt), own // cpt, up(n, 32)
    filter_blocks, slabs = filters // (b_x * fpt), M if local else 1
    blocks = slabs * filter_blocks * pixel_blocks * channel_blocks
    rounds = blocks // slabs * M * batches
    pixels = TAPS * own * filter_blocks
    kernel = "conv_weight_acts_" + ("c" if channels <= 3 else "mc_mf_rand" if table else "mc_mf")
    tables, offsets = (blocks * cpt, pixels * 32 * batches) if table else (0, 0)
    return {kernel: {
        "reads": pixels * n + M * filters * n * pixel_blocks * channel_blocks + tables,
        "writes": slabs * own * P * filters,
        "sharedReads": rounds * 128 * (32 * (cpt * ppt + fpt) + b_y * ppt // 4) + offsets,
        "sharedWrites": rounds * 32 * (cpt * b_y * ppt + b_x * fpt) + blocks * b_y * ppt + tables,
        "barriers": blocks + 2 * rounds,
        # 4.10: where blocks are 16 wide a warp spans two rows of the image tile, which lie in the same banks
        "conflicts13": 0, "conflicts20": rounds * 4 * 32 * cpt * ppt if b_x == 16 else 0,
    }}  # fmt: skip


def convolution(entry, kind):
    table, local = entry.endswith("Sparse"), entry.startswith("local")
    channels, filters, groups = {"colour": (3, 32, 1), "groups": (8, 32, 2), "table": (8, 32, 2),
                                 "many": (16, 32, 2) if table else (8, 16, 1)}[kind]  # fmt: skip
    if "Filter" in entry:
        return lambda n: forward(n, channels, filters, groups, table)
    if "Img" in entry:
        gradient = pixel_gradient if kind == "many" else region_gradient
        return lambda n: gradient(n, channels, filters, groups, table)
    return lambda n: weight_gradient(n, channels, filters, groups, local, table)


def rows(reads, writes, **more):
    """Threads side by side have images side by side, and what they ask of memory is whole rows of them."""
    return {"reads": reads, "writes": writes, **{"sharedReads": 0, "sharedWrites": 0, "barriers": 0}, **more}


# pool-norm 1 and 2: the sum of all windows, and images and outputs in elements per map.
IMAGE, POOLED = SIDE**2, 9
POOLS = sum(inside(2 * o, 3, SIDE) for o in range(3)) ** 2
WINDOWS = sum(inside(p - 1, 3, SIDE) for p in range(SIDE)) ** 2
ACROSS = sum(inside(f - 2, 5, MAPS) for f in range(MAPS))
CROSS = sum(inside(-1 + 3 * o, 4, MAPS) for o in range(6))


def patches(first, size, outputs):
    """0.6, kernels of 4 x 4 outputs: pixels that blocks stage, and pixels in the windows of their threads."""
    staged = sum(inside(first + top, size + 3, SIDE) for top in range(0, outputs, 4))
    taken = sum(inside(first + o, size, SIDE) for o in range(up(outputs, 4) * 4))
    return staged**2, taken**2


def patched(n, first, size, images, reads, writes):
    """A 4 x 4 kernel: all its images' lanes stage and take, those beyond the batch zeros."""
    staged, taken = patches(first, size, SIDE)
    lanes = up(n, images) * images
    return rows(MAPS * n * (staged + reads * IMAGE), MAPS * n * IMAGE * writes, sharedReads=MAPS * taken * lanes,
                sharedWrites=MAPS * staged * lanes, barriers=2 * staged * MAPS // 4 * up(n, images))  # fmt: skip


def prelims(n):
    return {"kRNormUndoPrelims": rows(3 * MAPS * IMAGE * n, MAPS * IMAGE * n)}


def norm(n):
    return rows(MAPS * n * (WINDOWS + IMAGE), 2 * MAPS * n * IMAGE)


def undone(n):
    return prelims(n) | {"kRNormUndo": rows(MAPS * n * (WINDOWS + 3 * IMAGE), MAPS * n * IMAGE)}


def undone_large(n):
    """12.1 H1: the flag is inverted, and the target is read."""
    return prelims(n) | {"kRNormUndo2": patched(n, 6 // 2 - 6 + 1, 6, 32, 4, 1)}


def cost(kernel, per_case, writes):
    """pool-norm 7.2 to 7.5; the maximum of each case first (9.4), which also passes the old target to its operator."""
    return lambda n: {"kDumbAggCols": rows((CLASSES + 1) * n, n), kernel: rows(per_case * n, writes * n)}


def per_output(kernel, reads):
    return lambda n: {kernel: rows(reads * CLASSES * n, CLASSES * n)}


def per_pixel(kernel, outputs, reads=1):
    return lambda n: {kernel: rows(reads * outputs * n, outputs * n)}


def over_maps(kernel, reads, outputs):
    """Reads and outputs per map and case."""
    return lambda n: {kernel: rows(MAPS * reads * n, MAPS * outputs * n)}


FORMS = {case: convolution(*case) for case in CALLS if "Acts" in case[0]}
FORMS |= {("convLocalPool", kind): over_maps("kLocalPool", POOLS, POOLED)
          for kind in ("max", "max of magnitudes", "average")}  # fmt: skip
FORMS |= {
    ("convLocalPool", "large"): lambda n: {"kLocalPool2": patched(n, -2, 6, 32, 0, 1)},
    ("convLocalRandomPool", ""): over_maps("kLocalRandomPool", 2 * POOLS + POOLED, POOLED),  # our law: weights, choice
    # 1.2: a thread's pixel once, then maximum and gradient of each window over it; its pixel waits in shared memory
    ("convLocalMaxUndo", ""): lambda n: {"kLocalMaxUndo": rows(
        MAPS * n * (IMAGE + 2 * POOLS), MAPS * n * IMAGE, sharedReads=MAPS * POOLS * n, sharedWrites=MAPS * IMAGE * n)},
    ("convLocalAvgUndo", ""): over_maps("kLocalAvgUndo", POOLS, IMAGE),
    ("convPoolCrossMap", ""): lambda n: {"kPoolCrossMap": rows(CROSS * IMAGE * n, 6 * IMAGE * n)},
    ("convCrossMapMaxPoolUndo", ""): lambda n: {"kCrossMapMaxPoolUndo": rows(
        3 * (CROSS - 2) * IMAGE * n, MAPS * IMAGE * n)},  # 12.1 H6: maps 1 and 2 miss the first window
    ("convResponseNorm", ""): lambda n: {"kCNorm_manyfilter": norm(n)},
    ("convContrastNorm", ""): lambda n: {"kCNorm_manyfilter": norm(n)},
    ("convResponseNorm", "few maps"): lambda n: {"kCNorm_fewfilter": rows(3 * n * (WINDOWS + IMAGE), 6 * n * IMAGE)},
    ("convResponseNorm", "large"): lambda n: {"kCNorm2": patched(n, -3, 6, 64, 1, 2)},
    ("convResponseNormUndo", ""): undone,
    ("convContrastNormUndo", ""): undone,
    ("convResponseNormUndo", "large"): undone_large,
    ("convResponseNormCrossMap", ""): lambda n: {"kFCNorm": rows((ACROSS + MAPS) * IMAGE * n, 2 * MAPS * IMAGE * n)},
    ("convContrastNormCrossMap", ""): lambda n: {"kFCNorm": rows((ACROSS + MAPS) * IMAGE * n, 2 * MAPS * IMAGE * n)},
    ("convResponseNormCrossMapUndo", ""): lambda n: prelims(n) | {"kFRNormUndo": rows(
        (ACROSS + 3 * MAPS) * IMAGE * n, MAPS * IMAGE * n)},
    ("convResponseNormCrossMapUndo", "2014"): lambda n: {"kFRNormUndo2": rows(
        (3 * ACROSS + ACROSS + 2 * MAPS) * IMAGE * n, MAPS * IMAGE * n)},
    ("computeLogregCost", ""): cost("kLogregCost", CLASSES + 3, 2),
    ("computeMultiSoftmaxCost", ""): cost("kMultiSoftmaxCost", CLASSES + 4, 3),
    ("computeMultiSoftmaxCost", "energies"): cost("kMultiSoftmaxCost_engs", CLASSES + 4, 3),
    ("computeCrossEntCost", ""): cost("kCrossEntCost", 3 * CLASSES, 2),
    ("computeLogregGrad", ""): per_output("kLogregCostGrad", 2),
    ("computeLogregGrad", "added"): per_output("kLogregCostGrad", 3),
    ("computeLogregSoftmaxGrad", ""): per_output("kLogregSoftmaxGrad", 2),
    ("computeSoftmaxGrad", ""): per_output("kSoftmaxGrad", 2 * CLASSES + 1),
    ("computeCrossEntGrad", ""): per_output("kCrossEntGrad", 2),
    ("computeCrossEntSoftmaxGrad", ""): per_output("kCrossEntSoftmaxGrad", 2 * CLASSES),
    ("computeEltwiseMaxGrad", ""): per_output("kEltwiseMaxGrad", 3),
    ("neuron", ""): lambda n: per_output("kEltwiseUnaryOp", 1)(n) | per_output("kEltwiseBinaryOp", 2)(n),
    ("convBedOfNails", ""): over_maps("kBedOfNails", POOLED, POOLED),
    ("convBedOfNailsUndo", ""): lambda n: {"kEltwiseUnaryOp": rows(MAPS * IMAGE * n, MAPS * IMAGE * n),
                                           "kBedOfNails": rows(MAPS * POOLED * n, MAPS * POOLED * n)},
    ("convCrop", ""): per_pixel("kCrop", 3 * 16),
    ("convResizeBilinear", ""): per_pixel("kResizeBilinear", 3 * 25, 4),
    # 3.1: R = 2, 2R taps per block; a thread reads each tap once at the left end, and all at every further pixel
    ("convGaussianBlur", ""): lambda n: {"kGaussianBlur": rows(
        3 * IMAGE * n + 4 * (blocks := up(n, 32) * up(3 * SIDE, 4)), 3 * IMAGE * n, sharedWrites=4 * blocks,
        sharedReads=3 * SIDE * n * 4 * (1 + SIDE - 2), barriers=blocks)},
    ("convRGBToYUV", ""): per_pixel("kRGBToYUV", 3 * IMAGE),
    ("convRGBToLAB", ""): per_pixel("kRGBToLAB", 3 * IMAGE),
    ("convReflectHorizontal", ""): per_pixel("kReflectH", 3 * IMAGE),
    ("convQuantizeHalf", ""): lambda n: {"kQuantizeHalf": rows(3 * n, 3 * n // 2)},
    ("convDequantizeHalf", ""): lambda n: {"kDequantizeHalf": rows(3 * n, 3 * n)},
    ("convTICA", ""): over_maps("kTICA_manyfilter", WINDOWS, IMAGE),
    ("convTICAGrad", ""): over_maps("kTICAGrad_manyfilter", WINDOWS + IMAGE, IMAGE),
    ("normalizeLocalWeights", ""): lambda n: {"kNormalizeLCWeights": rows(2 * 4 * 27 * 32, 4 * 27 * 32)},
}  # fmt: skip

# Not rows of images: labels choose a class; tiles of filters; taps; two numbers to a word.
NOT_ROWS = {"kLogregCost", "kMultiSoftmaxCost", "kMultiSoftmaxCost_engs", "kGaussianBlur", "kQuantizeHalf",
            "kDequantizeHalf", "kLocalPool2", "kCNorm2", "kRNormUndo2"}  # fmt: skip


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    dry = DryDevice()
    with use_isa("strict"):
        for case in CALLS:
            for n in (32, 40):
                call(case, n, dry)
    return library(dry.instances, tmp_path_factory.mktemp("counted"))


def test_every_entry_point_has_a_closed_form():
    assert {entry for entry, _ in FORMS} == {name for name in cudaconv.__all__ if callable(getattr(cudaconv, name))}
    assert set(FORMS) == set(CALLS)


@pytest.mark.parametrize(
    ("case", "n"),
    [(case, n) for case in FORMS for n in (32, 40) if n == 32 or not any(word in "".join(case) for word in HEAVY)],
    ids=lambda part: "-".join(part) if isinstance(part, tuple) else str(part),
)
def test_counters_equal_closed_forms(case, n, counted):
    device = CountingDevice(counted)
    with use_isa("strict"):
        call(case, n, device)
    expected = FORMS[case](n)
    assert [launched.kernel.partition("<")[0] for launched in device.launches] == list(expected)
    for launched, (kernel, form) in zip(device.launches, expected.items(), strict=True):
        found = launched.counts
        assert {name: found[name] for name in form} == form
        assert launched.agrees
        assert not any(found[name] for name in ("unwritten", "races", "meetings", "outside"))
        if n == 32 and "Acts" not in kernel and "acts" not in kernel and kernel not in NOT_ROWS:
            whole_rows(found)


def whole_rows(found):
    """Every instruction asks for 32 words side by side, from a multiple of 128 bytes on."""
    for verb, lines in (("read", "reads20"), ("write", None)):
        words = found[f"{verb}s"]
        assert found[f"{verb}Requests"] == words / 32
        assert found[f"{verb}s13"] == words / 16
        assert found[f"{verb}s35"] == words / 8
        assert not lines or found[lines] == words / 32
    assert found["bytesToRead"] == found["bytesRead13"] == 4 * found["reads"]
    assert found["divergent"] == 0
