"""Constraints and superEps: by hand, and honest float32 evaluations."""

import numpy as np
import pytest
import reference_specs as specs
from honest import SEEDS, F, accepts, add_up, assert_double, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from alexnet_rosetta.harness import reference
from alexnet_rosetta.harness.judging.verdict import judge


def contrast(w):
    """The spread of each column around its mean, divided by the number of rows."""
    return np.sqrt(((w - w.mean(0)) ** 2).sum(0)) / len(w)


def test_contrast_is_brought_into_its_limits_and_the_mean_along_with_it():
    w = specs.normal(np.random.default_rng(0), 9, 3).astype(np.float64) + 0.5
    a = contrast(w)
    low, high = np.sort(a)[1] * 0.99, np.sort(a)[1] * 1.01  # one below, one inside, one above
    limited = reference.limit_contrast(reference.Bounded(w, np.abs(w), 4), low, high)
    assert_double(limited, w * np.clip(a, low, high) / a)
    assert np.array_equal(limited.value[:, np.argsort(a)[1]], w[:, np.argsort(a)[1]])


def test_a_filter_without_contrast_is_left_alone():
    w = np.full((4, 1), 0.5)
    limited = reference.limit_contrast(reference.Bounded(w, np.abs(w), 4), 1.0, 2.0)
    assert np.array_equal(limited.value, w)


def test_the_size_of_a_filter_whose_squares_underflow_is_anybody_s_guess():
    """float32 has no squares of numbers below 1e-19: whether a filter is rescaled or left alone, nothing is decided."""
    w = np.array([[1e-30, 3.0], [2e-30, 5.0], [-1e-30, 4.0]])
    limited = reference.limit_contrast(reference.Bounded(w, np.abs(w), 4), 1.0, 2.0)
    left = np.column_stack([w[:, 0], limited.value[:, 1]]).astype(np.float32)
    assert judge(limited, left).status == "inconclusive"
    left[0, 0] = 0.1
    assert judge(limited, left).status == "inconclusive"
    left[0, 1] *= np.float32(1 + 1e-4)
    assert judge(limited, left).status == "different"


SCHEDULES = {  # network-and-solver 17: at progress 0, .2, .25, .5, .75, .9, 1
    "default": ({}, [1, 1, 1, 1, 1, 1, 1]),
    "linear": ({"tgtFactor": 4}, [1, 0.85, 0.8125, 0.625, 0.4375, 0.325, 0.25]),
    "exp": ({"tgtFactor": 16}, [1, 16**-0.2, 0.5, 0.25, 0.125, 16**-0.9, 0.0625]),
    "dexp": ({"tgtFactor": 8, "numSteps": 4}, [1, 1, 1, 0.5, 0.25, 0.125, 0.125]),
    "jdexp": ({"tgtFactor": 8, "numSteps": 4}, [1, 1, 1, 0.5**0.5, 0.5**1.5, 0.125, 0.125]),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules(kind):
    params, wanted = SCHEDULES[kind]
    found = [reference.scheduled({"type": kind, "params": params}, 3, p) for p in (0, 0.2, 0.25, 0.5, 0.75, 0.9, 1)]
    wanted = np.multiply(wanted, 3)
    assert_double(reference.Bounded(np.array(found), wanted, 4), wanted)  # a power, a root and two products


@pytest.mark.parametrize("kind", ["dexp", "jdexp"])
@pytest.mark.parametrize("steps", [2, 3, 7, 10])
def test_stairs_are_those_of_the_whole_list(kind, steps):
    rates = [0.5 * 100 ** (-i / (steps - 1)) for i in range(steps)]
    schedule = {"type": kind, "params": {"tgtFactor": 100.0, "numSteps": steps}}
    for progress in np.linspace(0, 1, 211):
        i = next(i for i in range(steps) if progress <= (i + 1) / steps)
        halfway = kind == "jdexp" and i > 0 and 0.2 < progress < 0.9 and progress > (i + 0.5) / steps
        expected = (rates[i] * rates[i - 1]) ** 0.5 if halfway else rates[i]
        assert reference.scheduled(schedule, 0.5, progress) == expected


def test_a_schedule_of_a_thousand_million_steps_takes_no_time():
    schedule = {"type": "dexp", "params": {"tgtFactor": 100.0, "numSteps": 2**30}}
    assert reference.scheduled(schedule, 1.0, 0.5) == 100.0 ** (-(2**29 - 1) / (2**30 - 1))


@pytest.mark.parametrize("grad", [None, np.ones((2, 2), np.float32)])
def test_negative_weight_decay_is_none(grad):
    w, inc = np.full((2, 2), 3, np.float32), np.ones((2, 2), np.float32)
    constants = {"eps": 0.5, "mom": 0.25}
    new, plain = (reference.update(w, inc, grad, **constants, wc=wc) for wc in (-1.0, 0.0))
    assert [np.array_equal(a.value, b.value) for a, b in zip(new, plain, strict=True)] == [True, True]
    if grad is not None:
        new, plain = (reference.spread_step(w, inc, grad, **constants, wc=wc, super_eps=0.1) for wc in (-1.0, 0.0))
        assert [np.array_equal(a.value, b.value) for a, b in zip(new, plain, strict=True)] == [True, True]


def test_a_schedule_with_one_step_is_at_its_target():
    schedule = {"type": "dexp", "params": {"tgtFactor": 8, "numSteps": 1}}
    assert [reference.scheduled(schedule, 4, p) for p in (0, 0.5, 1)] == [0.5] * 3


def test_the_spread_of_the_gradient_divides_the_step():
    w, inc, grad = (np.float32([[x]]) for x in (2, 3, 5))
    new, delta = reference.spread_step(w, inc, grad, eps=0.5, mom=0.75, wc=0.125, super_eps=0.1, mean=2.0, square=6.0)
    mean, square = 0.75 * 2 + 0.25 * 5, 0.75 * 6 + 0.25 * 25
    wanted = 0.9 * 3 + 0.5 * 5 / np.sqrt(square - mean**2 + 0.1) - 0.125 * 0.5 * 2
    assert delta.value == wanted
    assert new.value == 2 + wanted


@settings(max_examples=80)
@given(SEEDS, st.integers(2, 100), st.sampled_from([0, 1.0, 30.0]), st.sampled_from([0.05, 1.0, 20.0]))
def test_honest_contrast(seed, rows, offset, limit):
    """Columns just inside and outside of the limits are among them."""
    rng = np.random.default_rng(seed)
    w, inc = numbers(rng, (rows, 5), 1.0, 0) + F(offset), np.zeros((rows, 5), F)
    low, high = F(limit * contrast(w)[0]), F(limit * 3 * contrast(w)[1] + limit * contrast(w)[0])
    new, _ = reference.update(w, inc, eps=0.01, mom=0.9)
    centred = w - add_up(w, rng) / F(rows)
    a = np.sqrt(add_up(centred**2, rng)) / F(rows)
    factor = np.where(a < low, low / a, np.where(a > high, high / a, F(1)))
    assert accepts(reference.limit_contrast(new, low, high), w * factor)


@settings(max_examples=80)
@given(SEEDS, st.sampled_from([1e-6, 1e-2, 1.0]), st.sampled_from([1e-3, 1.0, 100.0]))
def test_honest_spread_steps(seed, super_eps, scale):
    rng = np.random.default_rng(seed)
    w, inc, g = numbers(rng, (7, 5), 1.0), numbers(rng, (7, 5), 1e-3), numbers(rng, (7, 5), scale)
    mean, square = F(0.1) * g, F(0.1) * (g * g)
    delta = F(0.9) * inc + F(0.01) * g / np.sqrt(square - mean * mean + F(super_eps)) - F(0.0005 * 0.01) * w
    new, new_inc = reference.spread_step(w, inc, g, eps=0.01, mom=0.9, wc=0.0005, super_eps=super_eps)
    assert accepts(new_inc, delta)
    assert accepts(new, w + delta)
