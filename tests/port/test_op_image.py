"""Fixed operations on images against their plain formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import assert_within, same_bits

from alexnet_rosetta.port import image_ops


def drawn(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize(("side", "stride", "start"), [(7, 2, 0), (8, 4, 2), (16, 8, 4), (5, 3, 1), (4, 1, 0)])
def test_bed_of_nails(side, stride, start):
    x = drawn((2, side, side, 3))
    y = image_ops.nailbed_forward(x, stride=stride)
    outputs = -(-side // stride)
    assert y.shape == (2, outputs, outputs, 3)
    expected = np.zeros_like(x)
    for i, j in np.ndindex(outputs, outputs):
        assert same_bits(y[:, i, j], x[:, start + stride * i, start + stride * j])
        expected[:, start + stride * i, start + stride * j] = y[:, i, j]
    assert same_bits(image_ops.nailbed_backward(y, img_size=side, stride=stride), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("side", "size"), [(9, 3), (9, 9), (3, 7), (1, 5), (2, 9)])
def test_blur_is_a_product_with_a_band_matrix(side, size, dtype):
    taps = image_ops.blur_filter(size, 1.3)
    assert taps.dtype == np.float32
    offsets = np.arange(size) - size // 2
    exact = np.exp(-(offsets**2) / (2 * 1.3**2)) / np.exp(-(offsets**2) / (2 * 1.3**2)).sum()
    assert_within(taps, exact, 4, exact)
    band = np.zeros((side, side))
    for offset, tap in zip(offsets, taps, strict=True):
        band += np.eye(side, k=offset) * tap
    x = drawn((2, side, side, 3), dtype)
    double = x.astype(float)
    expected, magnitude = (np.einsum("yv,xw,cvwn->cyxn", band, band, a) for a in (double, np.abs(double)))
    y = image_ops.blur(x, filter_size=size, stdev=1.3)
    assert_within(y, expected, 2 * size, magnitude)
    g = drawn(x.shape, dtype, 1)
    down = image_ops.blur(g, filter_size=size, stdev=1.3)
    inner = [(a.astype(float) * b).sum() for a, b in ((g, y), (down, x))]  # self-adjoint
    assert abs(inner[0] - inner[1]) <= 64 * np.finfo(dtype).eps * (np.abs(g) * magnitude).sum()


def test_mirror():
    x = drawn((2, 3, 3, 4))
    assert same_bits(image_ops.mirror(x), x[:, :, [2, 1, 0]])


def bilinear(x, size, scale):
    """Pixel by pixel, in float64."""
    side, out = x.shape[1], np.zeros((len(x), size, size, x.shape[3]))
    place = [min(max(t * scale + (side - size * scale) / 2, 0), max(side - 1, 0)) for t in range(size)]
    for i, sy in enumerate(place):
        for j, sx in enumerate(place):
            y, x0 = int(sy), int(sx)
            below, right = min(y + 1, side - 1), min(x0 + 1, side - 1)
            top = x[:, y, x0] * (1 - sx + x0) + x[:, y, right] * (sx - x0)
            bottom = x[:, below, x0] * (1 - sx + x0) + x[:, below, right] * (sx - x0)
            out[:, i, j] = top * (1 - sy + y) + bottom * (sy - y)
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=40)
@given(side=st.integers(1, 9), scale=st.floats(0.5, 2), seed=st.integers(0, 2**32 - 1))
def test_resize_is_bilinear(dtype, side, scale, seed):
    x, size = drawn((2, side, side, 3), dtype, seed), max(int(side / scale), 1)
    expected = bilinear(x.astype(float), size, scale)
    assert_within(image_ops.resize(x, size=size, scale=scale), expected, 12, 2 * np.abs(x).max(axis=(0, 1, 2)))


def test_resize_by_one_is_the_identity_but_for_a_margin():
    x = drawn((1, 6, 6, 2))
    assert same_bits(image_ops.resize(x, size=6, scale=1), x)
    margin = image_ops.resize(x, size=6, scale=1, margin=1.01)
    assert same_bits(margin[:, :5, :5], x[:, :5, :5])
    assert not np.any(margin[:, 5, 5] == x[:, 5, 5])


def test_resize_reads_no_pixel_past_the_last_one():
    x = drawn((1, 4, 4, 2))
    wide = image_ops.resize(x, size=6, scale=1)
    assert same_bits(wide, x[:, [0, 0, 1, 2, 3, 3]][:, :, [0, 0, 1, 2, 3, 3]])
    assert same_bits(image_ops.resize(x[:, :1, :1], size=3, scale=1), np.repeat(np.repeat(x[:, :1, :1], 3, 1), 3, 2))
    assert same_bits(image_ops.rscale(x, size=6, scaled=6, factor=1, top=0, left=0), wide)


def test_crop():
    x = drawn((2, 5, 5, 3))
    assert same_bits(image_ops.crop(x, size=3, top=2, left=1), x[:, 2:5, 1:4])
    for top, left in ((3, 0), (0, 3), (-1, 0)):
        with pytest.raises(ValueError, match="lies outside"):
            image_ops.crop(x, size=3, top=top, left=left)


def test_random_scales_are_drawn_in_proportion_to_their_squares():
    """S = 16, maxScale = 1.25: R = 12 ... 16, with shares 1, 4, 9, 16, 25 of 55."""
    edges = np.cumsum([1, 4, 9, 16, 25]) / 55
    facts = {"img_size": 16, "max_scale": 1.25, "size": 12}
    for s, (low, high) in enumerate(zip([0, *edges[:-1]], edges, strict=True)):
        for r in (np.nextafter(low, 1), (low + high) / 2, high):
            drawn = image_ops.rscale_draw([r, 0.5, 0.5, 0.999], **facts)
            scaled = 12 + s
            assert drawn["scaled"] == scaled
            assert drawn["factor"] == max(1, 16 / (scaled + 1)) + 0.5 * (16 / scaled - max(1, 16 / (scaled + 1)))
            assert (drawn["top"], drawn["left"]) == ((scaled - 11) // 2, scaled - 12)
    assert image_ops.rscale_draw([0, 0, 0, 0], **facts)["scaled"] == 12


def test_random_scale_is_resize_and_crop():
    x = drawn((3, 8, 8, 2))
    draw = image_ops.rscale_draw([0.2, 0.3, 0.9, 0.1], img_size=8, max_scale=1.5, size=5)
    large = image_ops.resize(x, size=draw["scaled"], scale=draw["factor"])
    expected = image_ops.crop(large, size=5, top=draw["top"], left=draw["left"])
    assert same_bits(image_ops.rscale(x, size=5, **draw), expected)
    many = drawn((6, 8, 8, 2))  # as many channels as pixels of a side after scaling
    scaled = image_ops.resize(many, size=6, scale=1.25)
    assert same_bits(image_ops.rscale(many, size=5, scaled=6, factor=1.25, top=1, left=0), scaled[:, 1:, :5])
    whole = {"scaled": 8, "factor": 1.0, "top": 3, "left": 0}
    assert same_bits(image_ops.rscale(x, size=5, **whole), x[:, 3:, :5])


def test_colours():
    x = np.random.default_rng(3).random((3, 4, 4, 5)).astype(np.float32)
    red, green, blue = x.astype(float)
    yuv = np.array(
        [
            0.2126 * red + 0.7152 * green + 0.0722 * blue,
            -0.09991 * red - 0.33609 * green + 0.436 * blue,
            0.615 * red - 0.55861 * green - 0.05639 * blue,
        ]
    )
    assert_within(image_ops.rgb_to_yuv(x), yuv, 6, x.max())

    def h(t):
        return np.where(t > 0.0088564517, t ** (1 / 3), 7.787037 * t + 0.13793103)

    one = h(0.49 * red + 0.31 * green + 0.2 * blue)
    two = h(0.17697 * red + 0.8124 * green + 0.01063 * blue)
    three = h(0.01 * green + 0.99 * blue)
    lab = np.array([116 * two - 16, 500 * (one - two), 200 * (two - three)])
    assert_within(image_ops.rgb_to_lab(x), lab, 12, 500 * (one + two + three))
    shifted = image_ops.rgb_to_lab(x, center=True)
    assert_within(shifted[0], lab[0] - 50, 12, 200)
    dark = np.zeros((3, 1, 1, 1))
    np.testing.assert_array_equal(image_ops.rgb_to_lab(dark).ravel()[1:], 0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: image_ops.nailbed_backward(x, img_size=9, stride=2), "wrong size"),
        (lambda x: image_ops.blur(x, filter_size=4, stdev=1), "an odd number"),
        (lambda x: image_ops.mirror(x[:, 1:]), "not square"),
        (lambda x: image_ops.rgb_to_yuv(x), "wrong number of channels"),
    ],
)
def test_bad_arguments_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.zeros((2, 4, 4, 3), np.float32))
