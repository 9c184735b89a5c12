"""Quirks that entry points alone can show: on they are as recorded in golden files, off they compute what was meant."""

import legacy_networks as nets
import numpy as np
import pytest
from legacy_networks import same_bits

from alexnet_rosetta.harness.quirks import LEDGER
from alexnet_rosetta.legacy import Network, Refused, cudaconv, quirk_defaults, quirks

RNG = np.random.default_rng(11)


def coarse(*shape):
    """Small multiples of 1/8: their products and sums are exact."""
    return (RNG.integers(-8, 9, shape) / 8).astype(np.float32)


def sparse_weight_gradients(entry):
    """Arguments of a table-driven weight gradient."""
    table = np.stack([RNG.permutation(8)[:4] for _ in range(2)]).astype(np.int32)
    return {
        "images": coarse(8 * 36, 16),
        "hidActs": coarse(32 * 16, 16),
        "colorIndices": table,
        **dict(imgSizeY=6, numModulesY=4, numModulesX=4, filterSize=3, paddingStart=0, moduleStride=1),
        **dict(numImgColors=8, numFilterColors=4, numGroups=2),
    }


def sparse_short_overloads():
    for entry in (cudaconv.convWeightActsSparse, cudaconv.localWeightActsSparse):
        arguments = sparse_weight_gradients(entry)
        meant = entry(**arguments)
        old = coarse(*meant.shape)
        assert same_bits(entry(**arguments, targets=old, overload="short"), old)
        with quirks(sparse_short_overloads=False):
            assert same_bits(entry(**arguments, overload="short"), meant)


def cross_map(stride=2, size=2, maps=8, outputs=4, **more):
    """(gradient of the entry point, and of the formula) of maximum pooling across maps."""
    images, grads = RNG.permutation(maps * 4 * 3).reshape(maps * 4, 3).astype(np.float32), coarse(outputs * 4, 3)
    window = {"startF": 0, "poolSize": size, "stride": stride, "imgSize": 2}
    acts = cudaconv.convPoolCrossMap(images, numOutputs=outputs, **window)
    x, y, g = images.reshape(maps, 4, 3), acts.reshape(outputs, 4, 3), grads.reshape(outputs, 4, 3)
    meant = np.zeros_like(x)
    for o in range(outputs):
        for f in range(o * stride, min(maps, o * stride + size)):
            meant[f] += g[o] * (x[f] == y[o])
    return cudaconv.convCrossMapMaxPoolUndo(images, grads, acts, **window, **more), meant.reshape(images.shape)


def cmpool_undo_truncation():
    found, meant = cross_map()
    lost = np.zeros(meant.shape, bool).reshape(8, 4, 3)
    lost[1] = True  # the only map below the end of the first window that is not its first
    assert same_bits(found, np.where(lost.reshape(meant.shape), 0, meant))
    with quirks(cmpool_undo_truncation=False):
        found, meant = cross_map()
        assert same_bits(found, meant)
        found, meant = cross_map(stride=3, size=5, maps=14, outputs=4)
        assert same_bits(found, meant)


NAILS = {"numChannels": 3, "imgSize": 7, "strideX": 3}


def nails_start_ignored():
    images = coarse(3 * 49, 5)
    with pytest.raises(Refused, match="samples"):
        cudaconv.convBedOfNails(images, startX=2, **NAILS)  # pixels 2, 5 and 8 of 7
    with quirks(nails_start_ignored=False):
        found = cudaconv.convBedOfNails(images, startX=2, **NAILS)
        assert same_bits(found, images.reshape(3, 7, 7, 5)[:, 2::3, 2::3].reshape(-1, 5))
        spread = np.zeros((3, 7, 7, 5), np.float32)
        spread[:, 2::3, 2::3] = found.reshape(3, 2, 2, 5)
        assert same_bits(cudaconv.convBedOfNailsUndo(found, startX=2, **NAILS), spread.reshape(-1, 5))


def nails_undo_never_adds():
    grads, old = coarse(27, 5), coarse(147, 5)
    with pytest.raises(Refused, match="scaleTargets"):
        cudaconv.convBedOfNailsUndo(grads, old, startX=0, scaleTargets=0.5, scaleOutput=2.0, **NAILS)
    with quirks(nails_undo_never_adds=False):
        found = cudaconv.convBedOfNailsUndo(grads, old, startX=0, scaleTargets=0.5, scaleOutput=2.0, **NAILS)
    meant = 0.5 * old.reshape(3, 7, 7, 5)
    meant[:, ::3, ::3] += 2 * grads.reshape(3, 3, 3, 5)
    assert same_bits(found, meant.reshape(147, 5))


def correlation(images, taps, radius):
    """Along rows, zeros outside; taps(output, offset) is the weight of the pixel that far to the right."""
    x = images.reshape(2, 9, 9, 4)
    out = np.zeros_like(x)
    for j in range(9):
        for k in range(max(-radius, -j), min(radius, 8 - j) + 1):
            out[:, :, j] += taps(j, k) * x[:, :, j + k]
    return out.reshape(images.shape)


def blur_last_tap():
    images, filter = coarse(2 * 81, 4), coarse(1, 5)
    f = filter[0]

    def history(j, k):
        """Pixels left of 2 are correlated; the others see the mirrored filter, tap 0 standing in for the last."""
        return f[2 + k] if j + k < 2 else f[2 - k] if k != -2 else f[0]

    assert same_bits(
        cudaconv.convGaussianBlur(images, filter, horiz=True, numChannels=2), correlation(images, history, 2)
    )
    with quirks(blur_last_tap=False):
        found = cudaconv.convGaussianBlur(images, filter, horiz=True, numChannels=2)
        assert same_bits(found, correlation(images, lambda j, k: f[2 + k], 2))


def norm_operands(entry, size):
    """Arguments of a norm gradient."""
    images = coarse(16 * 25, 4)
    constants = {"numFilters": 16, "addScale": 0.5, "powScale": 0.75}
    if entry is cudaconv.convResponseNormCrossMapUndo:
        denoms, acts = cudaconv.convResponseNormCrossMap(images, sizeF=size, **constants)
        constants["sizeF"] = size
    else:
        denoms, acts = cudaconv.convResponseNorm(images, sizeX=size, **constants)
        constants["sizeX"] = size
    return {"outGrads": coarse(*images.shape), "denoms": denoms, "inputs": images, "acts": acts, **constants}


def undo_pair_test():
    pool = {"subsX": 3, "startX": 0, "strideX": 2, "outputsX": 2}
    images, grads = coarse(16 * 25, 4), coarse(16 * 4, 4)
    acts = cudaconv.convLocalPool(images, numFilters=16, **pool)
    cases = [
        (cudaconv.convLocalMaxUndo, {"images": images, "maxGrads": grads, "maxActs": acts, **pool}),
        (cudaconv.convLocalAvgUndo, {"avgGrads": grads, "imgSize": 5, **pool}),
        (cudaconv.convResponseNormUndo, norm_operands(cudaconv.convResponseNormUndo, 3)),
        (cudaconv.convResponseNormCrossMapUndo, norm_operands(cudaconv.convResponseNormCrossMapUndo, 5)),
    ]
    fresh = np.full((16 * 25, 4), np.nan, np.float32)
    for entry, operands in cases:
        meant = gradient(entry(**operands)) * np.float32(2)
        assert np.isnan(gradient(entry(**operands, target=fresh, scaleTargets=0.0, scaleOutput=2.0))).all()
        with quirks(undo_pair_test=False):
            assert same_bits(gradient(entry(**operands, target=fresh, scaleTargets=0.0, scaleOutput=2.0)), meant)


def gradient(outputs):
    """What an entry point computes; norm gradients return the spent acts too."""
    return outputs if isinstance(outputs, np.ndarray) else outputs[0]


def undo_2014_ignores_scale():
    operands = norm_operands(cudaconv.convResponseNormUndo, 3) | {"generation": 2014}
    plain = gradient(cudaconv.convResponseNormUndo(**operands))
    assert same_bits(gradient(cudaconv.convResponseNormUndo(**operands, scaleOutput=2.0)), plain)
    with quirks(undo_2014_ignores_scale=False, cmpool_undo_truncation=False):
        assert same_bits(gradient(cudaconv.convResponseNormUndo(**operands, scaleOutput=2.0)), 2 * plain)
        found, meant = cross_map(scaleOutputs=2.0)
        assert same_bits(found, 2 * meant)
    with quirks(cmpool_undo_truncation=False):
        found, meant = cross_map(scaleOutputs=2.0)
        assert same_bits(found, meant)


SHOWS = {
    "blur-last-tap": blur_last_tap,
    "cmpool-undo-truncation": cmpool_undo_truncation,
    "nails-start-ignored": nails_start_ignored,
    "nails-undo-never-adds": nails_undo_never_adds,
    "sparse-short-overloads": sparse_short_overloads,
    "undo-2014-ignores-scale": undo_2014_ignores_scale,
    "undo-pair-test": undo_pair_test,
}


def test_every_quirk_of_entry_points_alone_is_shown():
    assert set(SHOWS) == {name for name, quirk in LEDGER.items() if not quirk.layers}


@pytest.mark.parametrize("name", SHOWS)
def test_the_switch_makes_the_difference(name):
    SHOWS[name]()


def test_the_switches_are_those_of_the_ledger():
    assert quirk_defaults() == {
        name: quirk.legacy for name, quirk in LEDGER.items() if quirk.legacy is not None and not quirk.values
    }


def test_an_unknown_quirk_is_refused():
    with pytest.raises(Refused, match="no such quirk"), quirks(no_such=True):
        pass


def test_the_innermost_block_wins():
    images = coarse(27, 2)
    with quirks(nails_start_ignored=False), quirks(nails_start_ignored=True), pytest.raises(Refused):
        cudaconv.convBedOfNails(images, numChannels=3, imgSize=3, startX=2, strideX=2)


def test_an_older_generation_has_the_quirks_of_its_own():
    x, g = np.float32([[-1, 0.5, 2, 5]]), np.float32([[1, 1, 1, 1]])
    arguments = {"inputs": x, "actsGrad": g, "type": "softrelu"}
    of_2011, of_2012 = (cudaconv.neuron(**arguments, generation=year)[1] for year in (2011, 2012))
    assert not same_bits(of_2011, of_2012)
    with quirks(softrelu_gradient_at_output=False):
        assert same_bits(cudaconv.neuron(**arguments, generation=2011)[1], of_2012)
    with quirks(softrelu_gradient_at_output=True):
        assert same_bits(cudaconv.neuron(**arguments, generation=2012)[1], of_2011)


def test_softrelu_without_a_cut_is_the_logarithm_everywhere():
    x = np.linspace(-20, 20, 41, dtype=np.float32)[None]
    with quirks(softrelu_cut=False):
        y, slope = cudaconv.neuron(x, np.ones_like(x), type="softrelu")
    expected, of_slope = np.logaddexp(0, x, dtype=np.float64), 1 / (1 + np.exp(-x, dtype=np.float64))
    assert (np.abs(y - expected) <= 8 * 2**-24 * (1 + expected)).all()
    assert (np.abs(slope - of_slope) <= 64 * 2**-24 * of_slope).all()


def test_the_logarithm_came_in_2014():
    x, g = np.float32([[0, 0.5, 3, 100]]), np.float32([[1, 2, -3, 4]])
    with pytest.raises(Refused):
        cudaconv.neuron(x, g, type="log", a=0.5, generation=2012)
    y, slope = cudaconv.neuron(x, g, type="log", a=0.5, generation=2014)
    expected = np.log(x.astype(np.float64) + 0.5)
    assert (np.abs(y - expected) <= 8 * 2**-24 * (1 + np.abs(expected))).all()
    assert (np.abs(slope - g / (x + 0.5)) <= 8 * 2**-24 * np.abs(g)).all()


def test_where_the_slope_of_softrelu_becomes_one():
    """In 2014 where the output exceeds 4, before where the input does."""
    x = np.float32([[3.99, 4.01]])
    slopes = {
        year: cudaconv.neuron(x, np.ones_like(x), type="softrelu", generation=year)[1][0] for year in (2012, 2014)
    }
    assert (slopes[2014] == 1).all()
    assert 0.98 < slopes[2012][0] < slopes[2012][1] == 1


@pytest.mark.parametrize("filters", [64, 192, 256])
def test_the_norm_of_local_layers(filters):
    """Blocks of 32 times 1, 2 or 4 filters, each 32 after the one before."""
    weights = RNG.standard_normal((2 * 9, filters)).astype(np.float32)
    per_thread = {64: 2, 192: 2, 256: 4}[filters]
    reached = 32 * (filters // (32 * per_thread) - 1) + 32 * per_thread
    with quirks(local_norm_block_offset=False):
        meant = cudaconv.normalizeLocalWeights(weights, numModules=2, norm=0.5)
    found = cudaconv.normalizeLocalWeights(weights, numModules=2, norm=0.5)
    norms = np.linalg.norm(meant.reshape(2, 9, filters), axis=1)
    assert (np.abs(norms - 0.5) <= 16 * 2**-24).all()
    assert same_bits(found[:, reached:], weights[:, reached:])
    assert (reached == filters) == same_bits(found, meant)


def test_dropout_that_scales_in_training_divides_by_the_share_kept():
    spec = {"name": "hs", "type": "hs", "inputs": ["fc"], "outputs": 6, "keep": 0.25, "enable": True}
    net = Network([nets.data("x", 3), nets.fc("fc", ["x"], [3], 6), spec])
    net.set_quirk("dropout-scales-in-test", False)
    x, mask = RNG.standard_normal((6, 4)).astype(np.float32), np.float32(RNG.random((6, 4)) < 0.5)
    net.forward("hs", [x], mask)
    net.backward("hs", x)
    assert np.array_equal(net.read("hs", "acts"), x * mask * 4)
    assert np.array_equal(net.read("hs", "inputs_grad[0]"), x * mask * 4)
    net.forward("hs", [x], pass_type="test")
    assert np.array_equal(net.read("hs", "acts"), x)


def test_where_ties_are_not_full_the_first_of_each_window_gets_the_gradient():
    images, grads, acts = (np.ones((16 * side * side, 3), np.float32) for side in (6, 3, 3))
    for start, first in ((0, (0, 2, 4)), (-1, (0, 1, 3))):
        sizes = {"subsX": 2, "startX": start, "strideX": 2, "outputsX": 3}
        with quirks(max_ties_full=False):
            found = cudaconv.convLocalMaxUndo(images, grads, acts, **sizes).reshape(16, 6, 6, 3)
        expected = np.zeros_like(found)
        expected[np.ix_(range(16), first, first)] = 1
        assert np.array_equal(found, expected)
