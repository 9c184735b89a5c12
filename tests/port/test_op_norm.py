"""Response normalisation against the formula in float64; scales are large enough for every term to matter."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from op_checks import assert_gradient, assert_within, same_bits

from alexnet_rosetta.port import _loops
from alexnet_rosetta.port.norm import cmrnorm_backward, cmrnorm_forward

PARAMETERS = st.fixed_dictionaries(
    dict(
        size=st.integers(1, 7),
        scale=st.floats(0.05, 1),
        power=st.sampled_from([0.75, 0.5, 1.0, 0.6, 2.0]),
        blocked=st.booleans(),
    )
)


def membership(channels, size, blocked):
    """Matrix of 0 and 1: row f has ones at the channels that f is normalised by."""
    f, c = np.mgrid[:channels, :channels]
    return (f // size == c // size) if blocked else (c >= f - size // 2) & (c <= f - size // 2 + size - 1)


def formula(x, g, size, scale, power, min_div, blocked):
    """acts, denoms, gradient, and the sum of absolute values of the gradient's terms."""
    window = membership(len(x), size, blocked).astype(float)
    denoms = min_div + scale * np.tensordot(window, x * x, 1)
    acts = x * denoms**-power
    factor = 2 * scale * power
    dx = g * denoms**-power - factor * x * np.tensordot(window.T, g * acts / denoms, 1)
    magnitude = np.abs(g * denoms**-power) + factor * np.abs(x) * np.tensordot(window.T, np.abs(g * acts / denoms), 1)
    return acts, denoms, dx, magnitude


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=80)
@given(channels=st.integers(1, 11), side=st.integers(1, 4), images=st.integers(1, 40), parameters=PARAMETERS,
       min_div=st.sampled_from([1.0, 2.0]), seed=st.integers(0, 2**32 - 1))  # fmt: skip
@example(9, 4, 40, dict(size=4, scale=0.5, power=0.75, blocked=False), 2.0, 0)
@example(9, 3, 7, dict(size=4, scale=0.5, power=0.75, blocked=True), 1.0, 0)
def test_both_passes_match_the_formula(dtype, channels, side, images, parameters, min_div, seed):
    rng = np.random.default_rng(seed)
    x, g = (rng.standard_normal((channels, side, side, images)).astype(dtype) for _ in range(2))
    acts, denoms = cmrnorm_forward(x, min_div=min_div, **parameters)
    dimages = cmrnorm_backward(x, acts, denoms, g, **parameters)
    y, d, dx, magnitude = formula(x.astype(float), g.astype(float), min_div=min_div, **parameters)
    assert_within(denoms, d, parameters["size"] + 2, d)
    assert_within(acts, y, parameters["size"] + 6, np.abs(y) * (1 + parameters["power"]))
    assert_within(dimages, dx, parameters["size"] + 8, magnitude)


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("size", [4, 5])
def test_central_differences(size, blocked):
    parameters = dict(size=size, scale=0.7, power=0.75, blocked=blocked)
    rng = np.random.default_rng(2)
    x, g = rng.standard_normal((2, 7, 2, 2, 3))
    acts, denoms = cmrnorm_forward(x, min_div=2.0, **parameters)
    gradient = cmrnorm_backward(x, acts, denoms, g, **parameters)
    assert_gradient(lambda z: (cmrnorm_forward(z, min_div=2.0, **parameters)[0] * g).sum(), x, gradient, rng)


def test_windows_slide_and_denominators_begin_at_one_unless_told():
    x, g = np.random.default_rng(3).standard_normal((2, 7, 2, 2, 3))
    parameters = dict(size=3, scale=0.5, power=0.75)
    acts, denoms = cmrnorm_forward(x, **parameters)
    for found, told in zip((acts, denoms), cmrnorm_forward(x, **parameters, min_div=1.0, blocked=False), strict=True):
        assert same_bits(found, told)
    found = cmrnorm_backward(x, acts, denoms, g, **parameters)
    assert same_bits(found, cmrnorm_backward(x, acts, denoms, g, **parameters, blocked=False))


def test_each_thread_has_room_for_a_block_of_all_channels(monkeypatch):
    rooms, run = [], _loops.cmrnorm_backward

    def backward(*arguments):
        rooms.append(arguments[-2].shape)
        run(*arguments)

    monkeypatch.setattr(_loops, "cmrnorm_backward", backward)
    x = np.ones((7, 2, 2, 3))
    cmrnorm_backward(x, x, x, x, size=3, scale=0.5, power=0.75)
    assert rooms == [(1, 7 * _loops.norm_block())]


def test_the_power_costs_at_most_four_and_a_half_roundings():
    """x / (r sqrt(r)), r = sqrt(d): r one unit 2^-24, its root 1/2 + 1, the product 1 + 3/2 + 1, the quotient one more.

    The denominators are exact here, integers below 2^24.
    """
    x = np.arange(4096, dtype=np.float32).reshape(1, 4, 4, 256)
    acts, denoms = cmrnorm_forward(x, size=1, scale=1, power=0.75)
    exact = x.astype(float) * (1 + x.astype(float) ** 2) ** -0.75
    assert np.array_equal(denoms, 1 + x.astype(float) ** 2)
    assert np.all(np.abs(acts - exact) <= 4.5 * 2**-24 * exact)


def test_bad_arguments_are_refused():
    x = np.zeros((2, 3, 3, 4), np.float32)
    with pytest.raises(ValueError, match="wrong size"):
        cmrnorm_forward(x, size=0, scale=1, power=1)
    with pytest.raises(ValueError, match="denoms has the wrong shape"):
        cmrnorm_backward(x, x, x[:1], x, size=1, scale=1, power=1)
    with pytest.raises(ValueError, match="wrong dtype"):
        cmrnorm_backward(x, x, x, x.astype(np.float64), size=1, scale=1, power=1)
