"""Image operations and random pooling: pixel by pixel, gradients by finite differences, honest float32 evaluations."""

import numpy as np
import pytest
import reference_specs as specs
from honest import SCALES, SEEDS, F, accepts, add_up, assert_double, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from alexnet_rosetta.harness import reference
from alexnet_rosetta.harness.reference.image_ops import resized

CASES = 2
NAILS = {"type": "nailbed", "channels": 2, "imgSize": 7, "stride": 3, "outputsX": 3, "start": 0, "outputs": 18}
BLUR = {"type": "blur", "channels": 2, "imgSize": 6, "filterSize": 5, "stdev": 1.5, "outputs": 72}
MIRROR = {"type": "href", "channels": 3, "imgSize": 4, "outputs": 48}
WITH_GRADIENT = {"nailbed": NAILS, "blur": BLUR, "href": MIRROR}


def images(spec, seed=1):
    return specs.normal(np.random.default_rng(seed), spec["channels"] * spec["imgSize"] ** 2, CASES)


def planes(x, spec):
    side = round((len(x) / spec["channels"]) ** 0.5)
    return x.reshape(spec["channels"], side, side, -1)


def gaussian(spec):
    radius = spec["filterSize"] // 2
    taps = np.exp([-((k - radius) ** 2) / (2 * spec["stdev"] ** 2) for k in range(spec["filterSize"])])
    return taps / taps.sum()


def test_nails_are_every_stride_th_pixel():
    spec = NAILS | {"imgSize": 8, "start": 1}
    x = images(spec)
    found = planes(reference.op(spec).forward([x]).value, spec)
    for c, i, j in np.ndindex(2, 3, 3):
        assert np.array_equal(found[c, i, j], planes(x, spec)[c, 1 + 3 * i, 1 + 3 * j])


def test_blur_is_a_correlation_with_zeros_around_the_image():
    x = images(BLUR)
    taps, wanted = gaussian(BLUR), np.empty((2, 6, 6, CASES))
    framed = np.pad(planes(x, BLUR).astype(np.float64), ((0, 0), (2, 2), (2, 2), (0, 0)))
    for c, i, j in np.ndindex(2, 6, 6):
        window = framed[c, i : i + 5, j : j + 5]
        wanted[c, i, j] = np.einsum("p,q,pqn->n", taps, taps, window)
    assert_double(reference.op(BLUR).forward([x]), wanted.reshape(72, CASES))


def test_reflection_swaps_left_and_right():
    x = images(MIRROR)
    found = planes(reference.op(MIRROR).forward([x]).value, MIRROR)
    for j in range(4):
        assert np.array_equal(found[:, :, j], planes(x, MIRROR)[:, :, 3 - j])


@pytest.mark.parametrize("spec", WITH_GRADIENT.values(), ids=WITH_GRADIENT)
def test_gradients_are_derivatives(spec):
    x, op = images(spec), reference.op(spec)
    v = specs.normal(np.random.default_rng(2), spec["outputs"], CASES)
    specs.assert_is_derivative(lambda x: (op.forward([x]).value * v).sum(), x, op.inputs_grad(0, [x], v).value)


def bilinear(x, size, scale):
    """The four pixels around each point of the target, weighted."""
    side = x.shape[1]
    at = [max(0.0, min(side - 1.0, t * scale + (side - size * scale) / 2)) for t in range(size)]
    target = np.zeros((len(x), size, size, x.shape[3]))
    for i, j in np.ndindex(size, size):
        top, left = min(int(at[i]), side - 2), min(int(at[j]), side - 2)
        down, right = at[i] - top, at[j] - left
        for row, a in ((top, 1 - down), (top + 1, down)):
            for column, b in ((left, 1 - right), (left + 1, right)):
                target[:, i, j] += a * b * x[:, row, column].astype(np.float64)
    return target


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.0, 1.3, 2.0])
def test_resizing_interpolates(scale):
    size = int(9 / scale)
    spec = {"type": "resize", "channels": 2, "imgSize": 9, "scale": scale, "tgtSize": size}
    x = images(spec)
    found = reference.op(spec).forward([x])
    assert_double(found, bilinear(planes(x, spec), size, scale).reshape(found.value.shape))


RESCALE = {"type": "rscale", "channels": 2, "imgSize": 9, "maxScale": 1.5, "tgtSize": 6}  # R = 6 ... 9: 1, 4, 9, 16


def test_random_rescaling_resizes_and_crops():
    x, op = images(RESCALE), reference.op(RESCALE)
    u = np.float32([[4.5 / 30], [0.5], [0.75], [0.25]])
    scale = (9 / 8 + 9 / 7) / 2
    assert_double(op.forward([x], mask=u), bilinear(planes(x, RESCALE), 7, scale)[:, 1:7, 0:6].reshape(72, CASES))
    whole = op.forward([x], mask=np.float32([[0.99], [0], [0.99], [0.5]]))
    assert np.array_equal(planes(whole.value, RESCALE), planes(x, RESCALE)[:, 3:9, 2:8])
    middle = op.forward([x], pass_type="test")
    assert np.array_equal(planes(middle.value, RESCALE), planes(x, RESCALE)[:, 1:7, 1:7])
    assert (whole.bound() == 0).all()
    assert (middle.bound() == 0).all()


def test_larger_sizes_are_drawn_more_often():
    op = reference.op(RESCALE)
    draws = [op.drawn((u, u, u, u)) for u in (np.arange(3000) + 0.5) / 3000]
    assert [sum(size == wanted for size, *_ in draws) for wanted in (6, 7, 8, 9)] == [100, 400, 900, 1600]
    assert all(max(1, 9 / (size + 1)) <= scale <= 9 / size for size, scale, _, _ in draws)
    assert {(top, left) for size, _, top, left in draws if size == 9} == {(1, 1), (2, 2), (3, 3)}


def test_colours_of_grey_pixels():
    x = np.repeat(np.float32([[0.0, 0.5, 1.0]]), 3, axis=0)
    grey = np.zeros((3, 3))
    grey[0] = x[0]
    assert_double(reference.op({"type": "rgb2yuv"}).forward([x]), grey)
    found = reference.op({"type": "rgb2lab", "center": False}).forward([x])
    lightness = found.value[0]
    assert_double(found, [[116 * 0.13793103 - 16, 116 * 0.5 ** (1 / 3) - 16, 100], [0] * 3, [0] * 3])
    centred = reference.op({"type": "rgb2lab", "center": True}).forward([x]).value
    np.testing.assert_array_equal(centred[0], lightness - 50)


@settings(max_examples=60)
@given(SEEDS, SCALES, st.sampled_from([3, 5, 7]), st.sampled_from([0.5, 1.0, 4.0]))
def test_honest_blur(seed, scale, size, stdev):
    rng = np.random.default_rng(seed)
    spec = BLUR | {"filterSize": size, "stdev": stdev, "imgSize": 8, "channels": 1}
    x = numbers(rng, (8, 8, 3), scale)
    radius, taps = size // 2, gaussian(spec).astype(F)
    for axis in (0, 1):
        framed = np.pad(x, [(radius, radius) if a == axis else (0, 0) for a in range(3)])
        shifted = [np.take(framed, range(k, k + 8), axis) * taps[k] for k in range(size)]
        before, x = x, add_up(np.array(shifted), rng)
        if axis == 0:
            original = before
    assert accepts(reference.op(spec).forward([original.reshape(64, 3)]), x.reshape(64, 3))
    assert accepts(reference.op(spec).inputs_grad(0, [None], original.reshape(64, 3)), x.reshape(64, 3))


@settings(max_examples=100)
@given(SEEDS, SCALES, st.floats(0.5, 2.0), st.integers(3, 60), st.booleans())
def test_honest_resizing(seed, magnitude, scale, side, round_numbers):
    rng = np.random.default_rng(seed)
    scale = F(round(scale * 4) / 4 if round_numbers else scale)
    size = max(1, int(side / scale))
    x = numbers(rng, (1, side, side, 2), magnitude)
    middle = F(side * 0.5 - size * 0.5 * np.float64(scale))
    at = np.maximum(F(0), np.minimum(F(side) - F(1), np.arange(size, dtype=F) * scale + middle))
    first = np.minimum(np.floor(at).astype(int), side - 2)
    u, w = (F(1) - (at - first.astype(F)))[:, None], (at - first.astype(F))[:, None, None]
    rows = [x[0][first + k][:, first] for k in (0, 1)], [x[0][first + k][:, first + 1] for k in (0, 1)]
    upper, lower = (u * (left - right) + right for left, right in zip(*rows, strict=True))
    spec = {"type": "resize", "channels": 1, "imgSize": side, "scale": float(scale), "tgtSize": size}
    assert accepts(reference.op(spec).forward([x.reshape(-1, 2)]), (w * (lower - upper) + upper).reshape(-1, 2))


@settings(max_examples=100)
@given(SEEDS, st.sampled_from([0.02, 1.0, -1.0, 100.0]))
def test_honest_colours(seed, scale):
    rng = np.random.default_rng(seed)
    x = rng.random((3, 50, 2), F) * F(scale)
    flat = x.reshape(150, 2)
    yuv = [[0.2126, 0.7152, 0.0722], [-0.09991, -0.33609, 0.436], [0.615, -0.55861, -0.05639]]
    mixed = [add_up(np.float32(row)[:, None, None] * x, rng) for row in yuv]
    assert accepts(reference.op({"type": "rgb2yuv"}).forward([flat]), np.concatenate(mixed))
    xyz = [[0.49, 0.31, 0.2], [0.17697, 0.8124, 0.01063], [0, 0.01, 0.99]]
    t = np.array([add_up(np.float32(row)[:, None, None] * x, rng) for row in xyz])
    positive = np.maximum(t, F(1e-3))
    power = np.exp2(F(1 / 3) * np.log2(positive)) if rng.random() < 0.5 else np.cbrt(positive)
    h = np.where(t > F(0.0088564517), power, F(7.787037) * t + F(0.13793103))
    lab = [F(116) * h[1] - F(16), F(500) * (h[0] - h[1]), F(200) * (h[1] - h[2])]
    assert accepts(reference.op({"type": "rgb2lab", "center": False}).forward([flat]), np.concatenate(lab))


def test_either_piece_of_lab_is_accepted_where_they_meet():
    """How colours are mixed decides which one is taken."""
    x = np.full((3, 1), 0.0088564517, np.float32)
    h = np.float64([0.0088564517 ** (1 / 3), 7.787037 * 0.0088564517 + 0.13793103])
    found = reference.op({"type": "rgb2lab", "center": False}).forward([x])
    lightness = 116 * h - 16
    assert 0 < abs(lightness[0] - lightness[1]) < 2**-18
    assert (np.abs(lightness - found.value[0]) <= found.bound()[0]).all()


# Random pooling

RAND = specs.pool("rand", 2, 7, 3, 2)


def test_random_pooling_takes_each_pixel_as_often_as_it_is_large():
    spec = specs.pool("rand", 1, 2, 2, 2)
    x = np.repeat(np.float32([[1], [-5], [3], [4]]), 4000, axis=1)
    u = (np.arange(4000, dtype=np.float32) / 4000)[None]
    y = reference.op(spec).forward([x], mask=u).value
    assert [np.count_nonzero(y == value) for value in (1, -5, 3, 4)] == [500, 0, 1500, 2000]
    alike = reference.op(spec).forward([np.minimum(x, 0) - np.float32([[0], [0], [1], [2]])], mask=u).value
    assert [np.count_nonzero(alike == value) for value in (0, -5, -1, -2)] == [1000] * 4


def test_the_gradient_of_random_pooling_goes_where_the_output_came_from():
    rng = np.random.default_rng(3)
    x, u, v = images(RAND), rng.random((RAND["outputs"], CASES), np.float32), specs.normal(rng, RAND["outputs"], CASES)
    op = reference.op(RAND)

    def objective(z):
        chosen = op.forward([x], mask=u).value
        same = [np.flatnonzero(x[:, n] == y) for n in range(CASES) for y in chosen[:, n]]
        picked = np.array([z[pixel[0], k // RAND["outputs"]] for k, pixel in enumerate(same)])
        return (picked.reshape(CASES, -1).T * v).sum()

    specs.assert_is_derivative(objective, x, op.inputs_grad(0, [x], v, mask=u).value)


@settings(max_examples=100)
@given(SEEDS, SCALES, st.sampled_from([0, 1, 2**-12]))
def test_honest_random_pooling(seed, scale, coarse):
    """Few different draws and pixels, so that many draws fall on the end of a pixel's share."""
    rng = np.random.default_rng(seed)
    op, windows = reference.op(RAND), reference.op(RAND).windows
    x = numbers(rng, (2, 7, 7, 3), scale)
    u = rng.random((2, 3, 3, 3), F)
    if coarse:
        x, u = np.round(x / F(scale)) * F(scale) * F(coarse), np.floor(u * 12) / F(12)
    under = [pixels for _, pixels in windows.taps(windows.pad(x))]
    weights = np.maximum(under, 0)
    weights = np.where(weights.sum(0) > 0, weights, 1)
    ends = np.cumsum(weights, axis=0, dtype=F)
    at = np.minimum((ends <= u * ends[-1]).sum(0), 8)
    y = np.take_along_axis(np.array(under), at[None], 0)[0]
    flat = x.reshape(98, 3)
    assert accepts(op.forward([flat], mask=u.reshape(18, 3)), y.reshape(18, 3))
    v = numbers(rng, y.shape, 1.0)
    dx = windows.pad(np.zeros_like(x))
    for (_, into), pixels in zip(windows.taps(dx), under, strict=True):
        into += v * (pixels == y)
    assert accepts(op.inputs_grad(0, [flat], v.reshape(18, 3), mask=u.reshape(18, 3)), windows.unpad(dx).reshape(98, 3))


def test_the_wrong_pixel_is_not_accepted():
    rng = np.random.default_rng(4)
    x, u = images(RAND), rng.random((RAND["outputs"], CASES), np.float32)
    found = reference.op(RAND).forward([x], mask=u)
    assert (found.bound() == 0).all()
    other = reference.op(RAND).forward([x], mask=(u + np.float32(0.5)) % 1)
    assert (np.abs(other.value - found.value) > found.bound()).any()


def test_resized_images_do_not_depend_on_their_neighbours():
    x = np.random.default_rng(5).standard_normal((3, 8, 8, 4))
    whole, alone = resized(x, 5, 1.5), resized(x[1:2, :, :, 2:3], 5, 1.5)
    found = reference.Bounded(*(part[1:2, :, :, 2:3] for part in whole), 12)
    assert_double(found, alone[0])
    assert_double(reference.Bounded(found.magnitude, found.magnitude, 12), alone[1])


def test_a_training_pass_of_rscale_takes_the_numbers_of_the_engines():
    with pytest.raises(ValueError, match="needs the numbers that the engines used"):
        reference.op(RESCALE).forward([np.zeros((2 * 9 * 9, 3))])
