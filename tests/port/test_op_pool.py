"""Pooling against the window-by-window formula in float64."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from op_checks import assert_gradient, assert_within, same_bits
from pool_cases import draw_images, geometries, keywords, outputs, windows

from alexnet_rosetta.port import pool


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60)
@given(g=geometries(), seed=st.integers(0, 2**32 - 1))
@example(g=dict(img_size=6, size=3, stride=2, start=0), seed=0)  # the last window is clipped
@example(g=dict(img_size=9, size=2, stride=4, start=-1), seed=0)  # pixels between windows
def test_max_pooling(dtype, g, seed):
    images = draw_images(g, dtype, seed)
    acts = pool.max_pool_forward(images, **keywords(g))
    side = outputs(g)
    assert acts.shape == (3, side, side, 4)
    grads = np.random.default_rng(seed).standard_normal(acts.shape).astype(dtype)
    expected, magnitude, terms = (np.zeros(images.shape) for _ in range(3))
    for oy, ox, window in windows(g):
        top = images[window].max(axis=(1, 2), initial=np.float32(-2e38))  # stride > size: an empty window
        assert same_bits(acts[:, oy, ox], top)
        tied = images[window] == top[:, None, None]
        expected[window] += tied * grads[:, oy, ox][:, None, None]
        magnitude[window] += tied * np.abs(grads[:, oy, ox])[:, None, None]
        terms[window] += 1
    assert_within(pool.max_pool_backward(images, acts, grads, **keywords(g)), expected, terms, magnitude)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60)
@given(g=geometries(), seed=st.integers(0, 2**32 - 1))
def test_average_pooling(dtype, g, seed):
    g = g | dict(stride=min(g["stride"], g["size"]))  # no empty windows
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((3, g["img_size"], g["img_size"], 4)).astype(dtype)
    acts = pool.avg_pool_forward(images, **keywords(g))
    grads = rng.standard_normal(acts.shape).astype(dtype)
    expected, magnitude, terms = (np.zeros(images.shape) for _ in range(3))
    for oy, ox, window in windows(g):
        inside = images[window].astype(np.float64)
        area = inside.shape[1] * inside.shape[2]
        assert_within(acts[:, oy, ox], inside.mean(axis=(1, 2)), area, np.abs(inside).mean(axis=(1, 2)))
        share = grads[:, oy, ox].astype(np.float64)[:, None, None] / area
        expected[window] += share
        magnitude[window] += np.abs(share)
        terms[window] += 1
    dimages = pool.avg_pool_backward(grads, img_size=g["img_size"], **keywords(g))
    assert_within(dimages, expected, terms, magnitude)


def test_every_tied_pixel_gets_the_whole_gradient():
    images = np.zeros((1, 4, 4, 1), np.float32)
    acts = pool.max_pool_forward(images, size=3, stride=1)
    grads = np.array([[1, 2], [4, 8]], np.float32).reshape(1, 2, 2, 1)
    dimages = pool.max_pool_backward(images, acts, grads, size=3, stride=1)
    assert dimages[0, :, :, 0].tolist() == [[1, 3, 3, 2], [5, 15, 15, 10], [5, 15, 15, 10], [4, 12, 12, 8]]


def test_max_pooling_of_special_values():
    """NaN is ignored; minus infinity and values below -2e38 come out as -2e38; so does an empty window."""
    low = np.float32(-2e38)
    images = np.array([[np.nan, 1], [-np.inf, np.nan]], np.float32).reshape(2, 1, 1, 2)
    acts = pool.max_pool_forward(images, size=1, stride=1)
    assert same_bits(acts.ravel(), np.array([low, 1, low, low], np.float32))
    acts = pool.max_pool_forward(np.full((1, 1, 1, 1), -3e38, np.float32), size=1, stride=1, outputs=2)
    assert same_bits(acts.ravel(), np.full(4, low))


@pytest.mark.parametrize(
    "g", [dict(img_size=7, size=3, stride=2, start=-1), dict(img_size=6, size=4, stride=2, start=0)]
)
def test_central_differences(g):
    """Values of a window lie at least 1 apart: no step reaches a tie."""
    rng = np.random.default_rng(3)
    side = g["img_size"]
    images = 8.0 * rng.permuted(np.arange(2 * side * side * 3.0)).reshape(2, side, side, 3)
    acts = pool.max_pool_forward(images, **keywords(g))
    grads = rng.standard_normal(acts.shape)
    gradient = pool.max_pool_backward(images, acts, grads, **keywords(g))
    assert_gradient(lambda x: (pool.max_pool_forward(x, **keywords(g)) * grads).sum(), images, gradient, rng)
    gradient = pool.avg_pool_backward(grads, img_size=side, **keywords(g))
    assert_gradient(lambda x: (pool.avg_pool_forward(x, **keywords(g)) * grads).sum(), images, gradient, rng)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: pool.max_pool_forward(x, size=0, stride=1), "wrong window"),
        (lambda x: pool.max_pool_forward(x, size=1, stride=0), "wrong window"),
        (lambda x: pool.max_pool_forward(x, size=2, stride=1, start=1), "wrong window"),
        (lambda x: pool.max_pool_forward(x[0], size=2, stride=1), "wrong number of axes"),
        (lambda x: pool.max_pool_forward(x[:, 1:], size=2, stride=1), "not square"),
        (lambda x: pool.avg_pool_forward(x, size=2, stride=2, outputs=3), "outside the image"),
        (lambda x: pool.avg_pool_forward(x, size=2, stride=2, start=-2), "outside the image"),
        (lambda x: pool.max_pool_backward(x, x[:1], x[:1], size=1, stride=1), "acts have the wrong shape"),
        (lambda x: pool.max_pool_backward(x, x, x[:, 1:, 1:], size=1, stride=1), "grads has the wrong shape"),
    ],
)
def test_bad_arguments_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(np.zeros((2, 4, 4, 3), np.float32))


def test_averages_over_whole_windows_divide_by_their_size():
    g = dict(img_size=5, size=3, stride=2, start=-1)
    images = np.random.default_rng(4).standard_normal((2, 5, 5, 3))
    acts = pool.avg_pool_forward(images, **keywords(g), whole=True)
    expected = np.zeros_like(images)
    grads = np.random.default_rng(5).standard_normal(acts.shape)
    for oy, ox, window in windows(g):
        inside = images[window]
        assert_within(acts[:, oy, ox], inside.sum(axis=(1, 2)) / 9, 9, np.abs(inside).sum(axis=(1, 2)) / 9)
        expected[window] += grads[:, oy, ox][:, None, None] / 9
    dimages = pool.avg_pool_backward(grads, img_size=5, **keywords(g), whole=True)
    assert_within(dimages, expected, 16, np.abs(grads).max())


def test_windows_begin_at_the_first_pixel_unless_told():
    images = draw_images(dict(img_size=6), np.float32, 7)
    sizes = {"size": 3, "stride": 2}
    for forward in (pool.max_pool_forward, pool.maxabs_pool_forward, pool.avg_pool_forward):
        assert same_bits(forward(images, **sizes), forward(images, **sizes, start=0))
    acts = pool.max_pool_forward(images, **sizes)
    grads = np.random.default_rng(8).standard_normal(acts.shape, np.float32)
    for backward in (pool.max_pool_backward, pool.first_pool_backward):
        found = backward(images, acts, grads, **sizes)
        assert same_bits(found, backward(images, acts, grads, **sizes, start=0))
    assert same_bits(
        pool.avg_pool_backward(grads, img_size=6, **sizes), pool.avg_pool_backward(grads, img_size=6, **sizes, start=0)
    )
    uniforms = np.random.default_rng(9).random(acts.shape)
    chosen = pool.rand_pool_choose(images, uniforms, **sizes)
    assert np.array_equal(chosen, pool.rand_pool_choose(images, uniforms, **sizes, start=0))
    found = pool.rand_pool_forward(images, chosen, **sizes)
    assert same_bits(found, pool.rand_pool_forward(images, chosen, **sizes, start=0))


def test_the_first_of_tied_pixels_gets_the_gradient_where_it_goes_to_one():
    g = dict(img_size=6, size=3, stride=2, start=-1)
    images = draw_images(g, np.float32, 6)
    acts = pool.max_pool_forward(images, **keywords(g))
    grads = np.random.default_rng(6).integers(-8, 8, acts.shape).astype(np.float32)
    expected = np.zeros_like(images)
    for oy, ox, window in windows(g):
        inside = expected[window]
        for c, n in np.ndindex(len(images), images.shape[-1]):
            y, x = np.argwhere(images[window][c, ..., n] == acts[c, oy, ox, n])[0]
            inside[c, y, x, n] += grads[c, oy, ox, n]
    assert same_bits(pool.first_pool_backward(images, acts, grads, **keywords(g)), expected)
    for wrong in ((images, acts[:1], grads), (images, acts, grads[:1]), (images[:, 1:], acts, grads)):
        with pytest.raises(ValueError, match="first_pool_backward"):
            pool.first_pool_backward(*wrong, **keywords(g))
