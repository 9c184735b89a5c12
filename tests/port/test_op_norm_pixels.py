"""Normalisation over pixels against the formula in float64; scales are large enough for every term to matter."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from op_checks import assert_gradient, assert_within, sums

from alexnet_rosetta.port import norm

PARAMETERS = st.fixed_dictionaries(
    dict(size=st.integers(1, 7), scale=st.floats(0.05, 1), power=st.sampled_from([0.75, 0.5, 1.0, 2.0]))
)


def formula(x, centred, g, size, scale, power):
    """acts, denoms, gradient, and the sum of absolute values of the gradient's terms."""
    denoms = 1 + scale * sums(centred * centred, size)
    acts = x * denoms**-power
    direct, factor = g * denoms**-power, 2 * scale * power
    dx = direct - factor * centred * sums(g * acts / denoms, size, mirrored=True)
    magnitude = np.abs(direct) + factor * np.abs(centred) * sums(np.abs(g * acts / denoms), size, mirrored=True)
    return acts, denoms, dx, magnitude


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=60)
@given(side=st.integers(1, 7), parameters=PARAMETERS, seed=st.integers(0, 2**32 - 1))
@example(side=6, parameters=dict(size=4, scale=0.5, power=0.75), seed=0)
@example(side=3, parameters=dict(size=7, scale=0.5, power=0.75), seed=0)  # windows larger than the image
def test_both_norms_match_the_formula(dtype, side, parameters, seed):
    rng = np.random.default_rng(seed)
    size, power = parameters["size"], parameters["power"]
    x, g = (rng.standard_normal((3, side, side, 5)).astype(dtype) for _ in range(2))
    area = sums(np.ones(x.shape), size)
    terms = 2 * size + 2
    for forward in (norm.rnorm_forward, norm.cnorm_forward):
        acts, denoms, *diffs = forward(x, **parameters)
        centred = x.astype(float)
        if diffs:
            mean = sums(centred, size) / area
            assert_within(diffs[0], centred - mean, area + 1, np.abs(centred) + sums(np.abs(centred), size) / area)
            centred = diffs[0].astype(float)
        y, d, dx, magnitude = formula(x.astype(float), centred, g.astype(float), **parameters)
        assert_within(denoms, d, terms, d)
        assert_within(acts, y, terms + 4, np.abs(y) * (1 + power))
        if diffs:
            found = norm.cnorm_backward(diffs[0], acts, denoms, g, fixed_means=True, **parameters)
        else:
            found = norm.rnorm_backward(x, acts, denoms, g, **parameters)
        assert_within(found, dx, 2 * terms + 6, magnitude * (1 + power))


@pytest.mark.parametrize("size", [3, 4])
def test_central_differences(size):
    parameters = dict(size=size, scale=0.7, power=0.75)
    rng = np.random.default_rng(2)
    x, g = rng.standard_normal((2, 3, 5, 5, 2))
    acts, denoms = norm.rnorm_forward(x, **parameters)
    gradient = norm.rnorm_backward(x, acts, denoms, g, **parameters)
    assert_gradient(lambda z: (norm.rnorm_forward(z, **parameters)[0] * g).sum(), x, gradient, rng)


@pytest.mark.parametrize("size", [3, 4, 7])
def test_the_contrast_gradient_is_the_derivative(size):
    parameters = dict(size=size, scale=0.7, power=0.75)
    rng = np.random.default_rng(4)
    x, g = rng.standard_normal((2, 2, 5, 5, 2))
    acts, denoms, diffs = norm.cnorm_forward(x, **parameters)
    gradient = norm.cnorm_backward(diffs, acts, denoms, g, **parameters)
    assert_gradient(lambda z: (norm.cnorm_forward(z, **parameters)[0] * g).sum(), x, gradient, rng)


def test_the_contrast_gradient_of_2012_is_that_of_fixed_means():
    """As if the means did not depend on the images."""
    parameters = dict(size=3, scale=0.7, power=0.75)
    rng = np.random.default_rng(3)
    x, g = rng.standard_normal((2, 2, 4, 4, 2))
    acts, denoms, diffs = norm.cnorm_forward(x, **parameters)
    gradient = norm.cnorm_backward(diffs, acts, denoms, g, fixed_means=True, **parameters)

    def fixed_means(z):
        centred = z - (x - diffs)
        return (z * (1 + 0.7 * sums(centred * centred, 3)) ** -0.75 * g).sum()

    assert_gradient(fixed_means, x, gradient, rng)


def test_bad_arguments_are_refused():
    x = np.zeros((2, 3, 3, 4), np.float32)
    for forward in (norm.rnorm_forward, norm.cnorm_forward):
        with pytest.raises(ValueError, match="wrong size"):
            forward(x, size=0, scale=1, power=1)
    with pytest.raises(ValueError, match="acts has the wrong shape"):
        norm.rnorm_backward(x, x[:1], x, x, size=1, scale=1, power=1)
