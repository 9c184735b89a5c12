"""Pooling by magnitude and at random, against the window-by-window rule."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from op_checks import assert_gradient, same_bits
from pool_cases import draw_images, geometries, keywords, outputs, windows

from alexnet_rosetta.port import pool

SQUARE = dict(img_size=5, size=3, stride=2, start=-1)


@settings(max_examples=60)
@given(g=geometries(), seed=st.integers(0, 2**32 - 1))
@example(g=dict(img_size=9, size=2, stride=4, start=-1), seed=0)  # pixels between windows
def test_the_largest_magnitude_wins_the_later_of_equals(g, seed):
    images = draw_images(g, np.float32, seed)
    acts = pool.maxabs_pool_forward(images, **keywords(g))
    for oy, ox, window in windows(g):
        inside = images[window].reshape(len(images), -1, images.shape[-1])
        best = np.zeros_like(acts[:, oy, ox])
        for k in range(inside.shape[1]):
            best = np.where(np.abs(best) > np.abs(inside[:, k]), best, inside[:, k])
        assert same_bits(acts[:, oy, ox] + np.float32(0), best + np.float32(0))


def test_magnitudes_keep_their_sign_and_route_the_gradient():
    images = np.array([[3, -3], [1, 2]], np.float32).reshape(1, 2, 2, 1)
    acts = pool.maxabs_pool_forward(images, size=2, stride=1)
    assert acts.ravel().tolist() == [-3]
    grads = np.full_like(acts, 7)
    assert pool.max_pool_backward(images, acts, grads, size=2, stride=1).ravel().tolist() == [0, 7, 0, 0]


def choice(values, u):
    """The rule of `rand_pool_choose`, spelled out for one window."""
    positive = np.maximum(values, 0).astype(float)
    if not positive.any():
        return int(u * len(values))
    return next(k for k in range(len(values)) if positive[: k + 1].sum() > u * positive.sum())


@settings(max_examples=60)
@given(g=geometries(), seed=st.integers(0, 2**32 - 1))
def test_random_choices_follow_the_law(g, seed):
    """Multiples of 1/2, so that all sums are exact."""
    g = g | dict(stride=min(g["stride"], g["size"]))  # no empty windows
    images = draw_images(g, np.float32, seed) - 1
    rng, side = np.random.default_rng(seed), outputs(g)
    uniforms = rng.integers(0, 64, (3, side, side, 4)) / 64
    chosen = pool.rand_pool_choose(images, uniforms, **keywords(g))
    acts = pool.rand_pool_forward(images, chosen, **keywords(g))
    for oy, ox, window in windows(g):
        inside = images[window].reshape(3, -1, 4)
        for c, n in np.ndindex(3, 4):
            assert chosen[c, oy, ox, n] == choice(inside[c, :, n], uniforms[c, oy, ox, n])
            assert acts[c, oy, ox, n] == inside[c, chosen[c, oy, ox, n], n]


def test_values_are_chosen_in_proportion():
    """Within five standard deviations of binomial counts; negative values never, unless there are no others."""
    draws = 20_000
    uniforms = np.random.default_rng(1).random((2, 1, 1, draws))
    images = np.array([[3, -5, 1, 0], [-1, -2, -1, 0]], np.float64).reshape(2, 2, 2, 1).repeat(draws, 3)
    chosen = pool.rand_pool_choose(images, uniforms, size=2, stride=1)[:, 0, 0]
    for row, shares in zip(chosen, ([3 / 4, 0, 1 / 4, 0], [1 / 4] * 4), strict=True):
        for k, share in enumerate(shares):
            assert abs((row == k).sum() - share * draws) <= 5 * np.sqrt(draws * share * (1 - share))


def test_the_largest_uniform_deviate_finds_a_pixel():
    images = np.random.default_rng(2).standard_normal((4, 3, 3, 50)).astype(np.float32)
    uniforms = np.full((4, 1, 1, 50), np.nextafter(1.0, 0.0))
    chosen = pool.rand_pool_choose(images, uniforms, size=3, stride=1)
    acts = pool.rand_pool_forward(images, chosen, size=3, stride=1)
    assert np.all((acts > 0) == (images.max(axis=(1, 2), keepdims=True) > 0))
    for values in (images, -np.abs(images)):  # a deviate that float32 rounded up to 1 takes the last pixel
        assert np.all(pool.rand_pool_choose(values, np.ones_like(uniforms), size=3, stride=1) == 8)


@pytest.mark.parametrize("kind", ["maxabs", "rand"])
def test_central_differences(kind):
    """Distinct values and magnitudes: no step reaches a tie; the random choices stay as they are."""
    rng, side = np.random.default_rng(3), SQUARE["img_size"]
    values = 8.0 * rng.permuted(1 + np.arange(2 * side * side * 3.0)) * rng.choice([-1, 1], 2 * side * side * 3)
    images, more = values.reshape(2, side, side, 3), keywords(SQUARE)
    chosen = pool.rand_pool_choose(images, rng.random((2, 3, 3, 3)), **more)

    def forward(x):
        if kind == "maxabs":
            return pool.maxabs_pool_forward(x, **more)
        return pool.rand_pool_forward(x, chosen, **more)

    acts = forward(images)
    grads = rng.standard_normal(acts.shape)
    gradient = pool.max_pool_backward(images, acts, grads, **more)
    assert_gradient(lambda x: (forward(x) * grads).sum(), images, gradient, rng)


def test_bad_arguments_are_refused():
    x = np.zeros((2, 4, 4, 3), np.float32)
    with pytest.raises(ValueError, match="uniforms have the wrong shape"):
        pool.rand_pool_choose(x, x, size=2, stride=2)
    with pytest.raises(ValueError, match="no such pixel"):
        pool.rand_pool_forward(x, np.full((2, 2, 2, 3), 4), size=2, stride=2)
    with pytest.raises(ValueError, match="chosen have the wrong shape"):
        pool.rand_pool_forward(x, np.zeros((1, 2, 2, 3), int), size=2, stride=2)
