"""Schedules, update rule, constraints (network-and-solver 8 and 9)."""

import math

import numpy as np
import pytest
from op_checks import same_bits

from alexnet_rosetta.port import solver
from alexnet_rosetta.port.config.grammar import read_schedule

POINTS = (0, 0.2, 0.25, 0.5, 0.75, 0.9, 1)

# With base 1 and targets that are powers of 2 most rates are too.
EXPECTED = {
    "default": [1] * 7,
    "linear[16]": [1 - p + p / 16 for p in POINTS],
    "exp[16]": [1, 16**-0.2, 1 / 2, 1 / 4, 1 / 8, 16**-0.9, 1 / 16],
    "dexp[16,5]": [1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 16],
    # Second halves of the inner steps go back up to the geometric mean, but not before .2 or from .9 on.
    "jdexp[256,5]": [1, 1, 1 / 4, 1 / 16, 1 / 32, 1 / 256, 1 / 256],
    "dexp[16,2]": [1, 1, 1, 1, 1 / 16, 1 / 16, 1 / 16],
    "dexp[16,1]": [1 / 16] * 7,
    "dexp[16,0]": [1 / 16] * 7,
}


@pytest.mark.parametrize("text", EXPECTED)
def test_rates_at_base_1(text):
    assert [solver.rate(read_schedule(text), 1, p) for p in POINTS] == EXPECTED[text]


def test_stairs_have_equal_lengths_and_include_their_right_ends():
    for steps in (2, 3, 5, 9, 33):
        schedule = read_schedule(f"dexp[{2 ** (steps - 1)},{steps}]" if steps < 32 else "dexp[4294967296,33]")
        rates = [solver.rate(schedule, 1, k / steps) for k in range(1, steps + 1)]
        assert rates == [2.0**-i for i in range(steps)]
        assert [solver.rate(schedule, 1, math.nextafter(k / steps, 2)) for k in range(1, steps)] == rates[1:]


@pytest.mark.parametrize("steps", [7, 25, 29, 42, 49, 1000])
def test_a_step_ends_where_the_quotient_says_however_products_round(steps):
    schedule = {"type": "dexp", "params": {"tgtFactor": 2.0, "numSteps": steps}}
    found = [solver.rate(schedule, 1, k / steps) for k in range(1, steps + 1)]
    assert found == [2.0 ** (-i / (steps - 1)) for i in range(steps)]


def test_the_second_half_of_a_step_begins_after_its_middle():
    schedule, middle = read_schedule("jdexp[256,5]"), 1.5 / 5
    assert [solver.rate(schedule, 1, p) for p in (middle, math.nextafter(middle, 1))] == [1 / 4, 1 / 2]


def test_steps_have_halves_after_a_fifth_and_before_nine_tenths_of_the_training():
    for steps, at, outside, inside in ((8, 0.2, 0, 1), (11, 0.9, 1, 0)):
        schedule = {"type": "jdexp", "params": {"tgtFactor": 4.0 ** (steps - 1), "numSteps": steps}}
        rates = [solver.rate(schedule, 1, p) for p in (math.nextafter(at, outside), at, math.nextafter(at, inside))]
        step = math.floor(at * steps)
        assert [round(-math.log(value, 4), 9) for value in rates] == [step, step, step - 0.5]


def test_the_inner_steps_of_jdexp_have_two_halves():
    schedule = read_schedule("jdexp[256,5]")
    found = [solver.rate(schedule, 1, p) for p in (0.21, 0.29, 0.31, 0.41, 0.49, 0.51, 0.69, 0.71, 0.85, 0.95)]
    assert found == [1 / 4, 1 / 4, 1 / 2, 1 / 16, 1 / 16, 1 / 8, 1 / 64, 1 / 32, 1 / 256, 1 / 256]


def test_the_first_step_of_jdexp_has_no_second_half():
    schedule = read_schedule("jdexp[16,3]")
    assert [solver.rate(schedule, 1, p) for p in (0, 0.19, 0.25, 0.33, 0.4, 0.6)] == [1, 1, 1, 1, 1 / 4, 1 / 2]


def test_the_base_rate_is_a_float32():
    assert solver.rate(read_schedule("default"), 0.01, 0) == float(np.float32(0.01))
    assert solver.rate(read_schedule("exp[100]"), 0, 0.5) == 0


def test_noise_multiplies_the_rate():
    noisy = read_schedule("linear[1,.5]")
    assert solver.rate(noisy, 1, 0.5, lambda: -2.0) == 2
    assert solver.rate(noisy, 1, 0.5) == 1
    assert solver.rate(read_schedule("linear[1]"), 1, 0.5, lambda: 1 / 0) == 1


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_three_updates_by_hand(dtype, order):
    """mu = 1/2, eps = 1/4, lambda eps = 1/8: every value is exact."""
    shape = (3, 9000)  # more than a piece, which a thread does at once
    values, inc = np.full(shape, 8, dtype, order), np.zeros(shape, dtype, order)
    for gradient, delta, value in ((4, 0, 8), (0, -1, 7), (-8, -0.5 - 2 - 0.875, 7 - 3.375)):
        solver.update(values, inc, np.full(shape, gradient, dtype, order), eps=0.25, mom=0.5, decay=0.125)
        assert (np.unique(inc).tolist(), np.unique(values).tolist()) == ([delta], [value])


@pytest.mark.parametrize("more", [{}, {"decay": 0.0}, {"step": 0.3}, {"decoupled": True}, {"grads": None}], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_product_and_sum_of_an_update_is_rounded(dtype, more):
    """No processor fuses a product with its sum; zeros keep their signs, and infinities stay."""
    rng = np.random.default_rng(5)
    w, d, g = rng.standard_normal((3, 16384 + 1500)).astype(dtype)
    w[:4], d[:4], g[:4] = [-0.0, 0.0, np.inf, -1], [-0.0, -0.0, 1, 0.0], [0.0, -0.0, 2, -np.inf]
    asked = {"grads": g, "eps": 0.1, "mom": 0.9, "decay": 0.0005, "step": 1.0, "decoupled": False} | more
    eps, mom, decay, step = (dtype(asked[name]) for name in ("eps", "mom", "decay", "step"))
    with np.errstate(invalid="ignore"):
        delta = d if asked["grads"] is None else d * mom + g * eps
        moved = w - w * decay if asked["decoupled"] else w
        delta = delta if asked["decoupled"] or not decay else delta - w * decay
        moved = moved + delta * step
    values, inc = w.copy(), d.copy()
    solver.update(values, inc, **asked)
    assert same_bits(inc, delta)
    assert same_bits(values, moved)


def test_direct_route_and_gradient_route_agree():
    rng = np.random.default_rng(1)
    values, inc, grads = (rng.integers(-64, 64, (50, 70)).astype(np.float32) for _ in range(3))
    other, other_inc = values.copy(), 0.5 * inc + 0.25 * grads
    solver.update(values, inc, grads, eps=0.25, mom=0.5, decay=0.125)
    solver.update(other, other_inc, decay=0.125)
    np.testing.assert_array_equal(values, other)
    np.testing.assert_array_equal(inc, other_inc)


@pytest.mark.parametrize("step", [1.0, 2.0, 0.5])
def test_a_step_is_a_factor_of_the_increment(step):
    values, inc = np.full((3, 4), 8.0), np.full((3, 4), 0.25)
    solver.update(values, inc, step=step)
    assert (np.unique(values).tolist(), np.unique(inc).tolist()) == ([8 + step * 0.25], [0.25])


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("decay", [0, -0.5])
def test_weights_do_not_decay_by_nothing_or_less(decay, decoupled):
    values, inc = np.array([8.0, np.inf]), np.zeros(2)
    solver.update(values, inc, np.full(2, 4.0), eps=0.25, mom=0.5, decay=decay, decoupled=decoupled)
    assert (values.tolist(), inc.tolist()) == ([9, np.inf], [1, 1])


def test_an_update_is_a_step_of_the_increment_unless_told():
    """No gradient, no decay, a factor of 1; with a gradient, a rate and a momentum of 0."""
    values, inc = np.array([8.0]), np.array([2.0])
    solver.update(values, inc)
    assert (values.tolist(), inc.tolist()) == ([10], [2])
    solver.update(values, inc, np.array([4.0]))
    assert (values.tolist(), inc.tolist()) == ([10], [0])


def test_decoupled_decay_leaves_the_increment_alone():
    values, inc = np.array([8.0]), np.array([2.0])
    solver.update(values, inc, decay=0.25, decoupled=True)
    assert (values.tolist(), inc.tolist()) == ([8], [2])


def test_operands_must_match():
    values = np.zeros((4, 6))
    for inc in (np.zeros((6, 4)), np.zeros((4, 6), np.float32), np.zeros((4, 6), order="F"), np.zeros((4, 12))[:, ::2]):
        with pytest.raises(ValueError, match="update: "):
            solver.update(values, inc)


def test_norms_are_bounded_per_filter():
    weights = np.array([[3.0, 0.3, 0.0], [4.0, 0.4, 0.0]])
    for none in (0, -1):
        solver.bound_norms(weights, none)
        assert weights[1, 0] == 4
    solver.bound_norms(weights, 2.5)
    assert weights.tolist() == [[1.5, 0.3, 0.0], [2.0, 0.4, 0.0]]
    solver.bound_norms(weights, 0.25)
    assert np.abs(np.linalg.norm(weights, axis=0) - [0.25, 0.25, 0]).max() <= 4 * np.finfo(float).eps


def test_norms_of_one_row_may_all_be_those_of_the_first():
    for like_first, expected in ((False, [1.5, 1, 1.5]), (True, [1.5, 0.5, 4])):
        weights = np.array([[3.0, 1.0, 8.0]])
        solver.bound_norms(weights, 1.5, like_first)
        assert weights.tolist() == [expected]


def test_contrast_is_bounded_on_both_sides():
    """Four rows m-d, m-d, m+d, m+d have contrast sqrt(4 d^2)/4 = d/2; the mean stays in the scaled filter."""
    means, spreads = np.array([8.0, 8.0, 8.0, 8.0]), np.array([1.0, 4.0, 16.0, 0.0])
    weights = means + np.outer([-1, -1, 1, 1], spreads)
    solver.bound_contrast(weights, 1, 0)
    assert weights[0, 0] == 7
    solver.bound_contrast(weights, 1, 4)
    np.testing.assert_array_equal(weights, (means + np.outer([-1, -1, 1, 1], spreads)) * [2, 1, 0.5, 1])


@pytest.mark.parametrize(
    ("count", "ends"),
    [
        (16, [(0, 16)]),
        (32, [(0, 32)]),
        (48, [(0, 16), (16, 32), (32, 48)]),
        (64, [(0, 64)]),
        (96, [(0, 32), (32, 64), (64, 96)]),
        (128, [(0, 128)]),
        (192, [(0, 64), (32, 96), (64, 128)]),
        (256, [(0, 128), (32, 160)]),
    ],
)
def test_the_filters_that_blocks_of_threads_scaled(count, ends):
    assert [(one.start, one.stop) for one in solver.blocks_of_filters(count)] == ends
