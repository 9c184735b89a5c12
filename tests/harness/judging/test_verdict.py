"""The judge: what it calls identical, equivalent, inconclusive and different, and what it says about that."""

from dataclasses import astuple
from math import copysign

import numpy as np
import pytest
from guarded_memory import guarded
from hypothesis import given
from hypothesis import strategies as st

from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.judging.finding import HISTOGRAM_BINS, LOWEST_EXPONENT
from alexnet_rosetta.harness.judging.verdict import Verdict, bitwise_equal, differing_bits, judge, refuse
from alexnet_rosetta.harness.reference import Bounded

U = 2.0**-24
NAN, INF = np.nan, np.inf


def single(*values):
    return np.float32([values])


def summed(*values, terms=16):
    """A result of adding up 16 terms as large as itself: the bound is 32 u |value|."""
    value = np.float64([values])
    return Bounded(value, np.abs(value), terms)


def test_the_same_bits_are_identical():
    finding = judge(summed(1.5, -2), single(1.5, -2))
    assert finding.status == "identical"
    assert (finding.differing, finding.ulps, finding.share) == (0, 0, 0)
    assert finding.worst is None, "no element is worse than others"


def test_rounding_the_reference_is_identical_too():
    assert judge(summed(0.1, 1 / 3), single(0.1, 1 / 3)).status == "identical"


def test_the_sign_of_zero_does_not_matter():
    assert judge(Bounded(single(0.0, -0.0)), single(-0.0, 0.0)).status == "identical"


def test_the_bound_is_8_sqrt_n_u_m():
    inside = judge(summed(1.0), single(1 + 32 * U))
    assert (inside.status, inside.share) == ("equivalent", pytest.approx(1))
    outside = judge(summed(1.0), single(1 + 34 * U))
    assert (outside.status, outside.outside) == ("different", 1)
    assert outside.share == pytest.approx(34 / 32)


def test_terms_and_magnitudes_broadcast():
    value = np.ones((2, 2))
    reference = Bounded(value, np.float64([[1.0], [0.5]]), np.array([[16], [64]]))
    found = judge(reference, np.full((2, 2), 1 + 30 * U, np.float32))
    assert found.status == "equivalent"
    np.testing.assert_array_equal(reference.bound(), 32 * U * value + 2.0**-126 * np.float64([[16], [64]]))


def test_without_arithmetic_the_bits_must_match():
    copy = Bounded(single(1.0, 2.0))
    finding = judge(copy, np.nextafter(single(1.0, 2.0), 9, dtype=np.float32))
    assert (finding.status, finding.share, finding.outside, finding.ulps) == ("different", INF, 2, 1)
    assert finding.worst.index == (0, 0)


def test_a_zero_among_sums_must_be_zero():
    reference = Bounded(np.float64([[0.0, 1.0]]), np.float64([[0.0, 1.0]]), 9)
    assert judge(reference, single(0, 1)).status == "identical"
    assert judge(reference, single(1e-40, 1)).status == "different"


def test_flushed_denormals_are_no_difference():
    reference = summed(2.0**-127, 1.0)
    assert judge(reference, single(0, 1)).status == "equivalent"


def test_the_worst_element_is_the_one_that_used_most_of_its_bound():
    finding = judge(summed(1.0, 1000.0, 2.0), single(1 + 16 * U, 1000 + 20 * 2.0**-14, 2))
    assert finding.worst.index == (0, 1)
    assert finding.worst.actual == 1000 + 20 * 2.0**-14
    assert finding.worst.reference == 1000
    assert finding.worst.bound == pytest.approx(32 * U * 1000)
    assert finding.share == pytest.approx(20 * 2.0**-14 / finding.worst.bound)
    assert finding.differing == 2


def test_distances_in_units_in_the_last_place():
    reference = Bounded(np.float64([[1.0, -1.0]]), 1.0, 100)
    assert judge(reference, single(1 - 2 * U, -1)).ulps == 2, "half as large below one"
    assert judge(reference, single(1, -1 - 6 * U)).ulps == 3


@pytest.mark.parametrize(
    ("value", "actual", "bounded", "ulps", "signs"),
    [
        (1.0, -1.0, 0.0, 0, 1),
        (0.0, 2.0, 0.0, 0, 1),
        (3.0, 0.0, 0.0, 0, 1),
        (1e-9, -1e-9, 1.0, 0, 0),
        (1e-9, 1e-7, 1.0, 0, 0),
        (3e38, -3e38, 1.0, 0, 1),
        (NAN, 1.0, 1.0, 0, 0),
    ],
)
def test_no_distance_across_zero(value, actual, bounded, ulps, signs):
    """What lies between -1e-9 and 1e-9 are two billion numbers, and no information."""
    finding = judge(Bounded(np.float64([[value, 5.0]]), bounded, 1), single(actual, 5))
    assert (finding.ulps, finding.signs) == (ulps, signs)


def test_the_share_of_loose_bounds():
    reference = Bounded(np.float64([[1.0, 1e-9, 1e-9, 5.0]]), 1.0, 1)
    assert judge(reference, reference.value.astype(np.float32)).loose == 0.5


def test_a_bound_that_accepts_anything_is_inconclusive():
    reference = Bounded(np.float64([[1e-3, 2e-3]]), 1e3, 100)
    assert judge(reference, single(1e-3, 0)).status == "inconclusive"
    assert judge(reference, single(1e-3, 2e-3)).status == "identical"
    assert judge(reference, single(1, 0)).status == "different"


def test_one_loose_element_does_not_make_a_tensor_inconclusive():
    reference = Bounded(np.float64([[1.0, 1e-9]]), 1.0, 1)
    assert judge(reference, single(1, 0)).status == "equivalent"


def test_an_unbounded_magnitude_decides_nothing():
    assert judge(Bounded(np.float64([[1.0]]), INF, 9), single(2)).status == "inconclusive"
    assert judge(Bounded(np.float64([[1.0]]), NAN, 9), single(2)).status == "different"


@pytest.mark.parametrize(
    ("value", "actual", "status"),
    [
        (NAN, NAN, "identical"),
        (INF, INF, "identical"),
        (INF, -INF, "nonfinite"),
        (NAN, INF, "nonfinite"),
        (NAN, 1, "nonfinite"),
        (INF, 1, "nonfinite"),
        (1, NAN, "nonfinite"),
        (1, INF, "nonfinite"),
        (1e100, INF, "identical"),
        (1e100, 1, "different"),
        (3e38, INF, "nonfinite"),
        (2.0**128 * (1 - U), INF, "equivalent"),
        (2.0**128 * (1 - U), -INF, "nonfinite"),
    ],
)
def test_non_finite_values_match_in_class(value, actual, status):
    finding = judge(summed(value, 2.0), single(actual, 2))
    assert finding.status == status
    assert finding.nonfinite == (status == "nonfinite")
    assert np.isfinite(finding.bound_norm)


def test_a_copied_infinity_must_stay_one():
    copy = Bounded(single(INF, NAN))
    assert judge(copy, single(INF, NAN)).status == "identical"
    assert judge(copy, single(0, NAN)).status == "nonfinite"


def test_other_errors_are_seen_next_to_matching_infinities():
    assert judge(summed(INF, 1.0), single(INF, 2)).status == "different"
    assert judge(summed(INF, 1.0), single(INF, 1 + 2 * U)).status == "equivalent"


def test_errors_that_all_have_one_sign_are_beyond_the_rule():
    """A serial sum of 387,200 equal terms is rounded in one direction all the way: the limit that the guide names."""
    term, terms = np.float32(0.9), 387_200
    value = np.float64([[float(term) * terms]])
    serial = np.cumsum(np.full(terms, term), dtype=np.float32)[-1]
    finding = judge(Bounded(value, value, terms), single(serial))
    assert finding.status == "different"
    assert abs(serial - value) < terms * U * value


def test_what_is_not_finite_is_outside_and_counted_once():
    finding = judge(summed(1.0, 2.0, 3.0), single(NAN, INF, 3))
    assert (finding.nonfinite, finding.outside, finding.elements) == (2, 2, 3)


def test_the_histogram_counts_powers_of_two_of_the_share():
    finding = judge(summed(1.0, 1.0, 1.0, 0.0), single(1, 1 + 6 * U, 1 + 2**-10, 0))
    bins = {at: count for at, count in enumerate(finding.histogram) if count}
    # shares 0 (twice), 6/32 = 2**-2.4, 2**-10 / 2**-19 = 2**9 less what the floor takes
    assert bins == {0: 2, -3 - LOWEST_EXPONENT + 1: 1, 9 - LOWEST_EXPONENT + 1: 1}
    assert len(finding.histogram) == HISTOGRAM_BINS


def test_the_ends_of_the_histogram_take_the_rest():
    reference = Bounded(np.float64([[1.0, 1.0]]), np.float64([[2.0**40, 2.0**-60]]), 1)
    finding = judge(reference, single(1 + 2 * U, 1 + 2 * U))
    assert finding.histogram[1] == finding.histogram[-1] == 1


def random_case(seed, rows, columns):
    rng = np.random.default_rng(seed)
    value = rng.standard_normal((rows, columns))
    magnitude = np.abs(value) * rng.choice([0.0, 1.0, 3.0], value.shape)
    actual = (value * (1 + rng.choice([0, 1e-8, 1e-7, 1e-6], value.shape))).astype(np.float32)
    for special in (NAN, INF, 0):
        value[rng.random(value.shape) < 0.05] = special
        actual[rng.random(value.shape) < 0.03] = special
    return Bounded(value, magnitude, rng.integers(1, 50, (rows, 1))), actual


def chunk(reference, part):
    return Bounded(reference.value[:, part], reference.magnitude[:, part], reference.terms)


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 700), st.integers(1, 700))
def test_chunks_do_not_matter(seed, rows, columns, step):
    reference, actual = random_case(seed, rows, columns)
    whole = judge(reference, actual)
    verdict = Verdict(actual.shape)
    for start in reversed(range(0, columns, step)):
        part = slice(start, start + step)
        verdict.add(chunk(reference, part), actual[:, part], (0, start))
    found = verdict.finish()
    for name in ("status", "share", "ulps", "signs", "differing", "outside", "nonfinite", "loose", "histogram"):
        assert getattr(found, name) == getattr(whole, name), name
    np.testing.assert_equal(found.worst and astuple(found.worst), whole.worst and astuple(whole.worst))
    for name in ("bound_norm", "reference_norm"):
        np.testing.assert_array_almost_equal_nulp(getattr(found, name), getattr(whole, name), actual.size)


def one_element(r, m, n, x):
    """The rule for one element as the guide has it: (share, bound, reference as counted, differs, nonfinite, keys)."""
    expected, found = np.float32(r), np.float32(x)
    bound = 8 * U * np.sqrt(n) * m
    bound = 0.0 if bound == r == 0 else bound + n * 2.0**-126
    bound = bound if bound > 0 else 0.0
    same = expected == found or (np.isnan(r) and np.isnan(x))
    error, counts, keys = abs(float(x) - r), r, (expected, found)
    if not (np.isfinite(r) and np.isfinite(x)):
        error, keys = abs(copysign(2.0**128, x) - r), (np.float32(0), np.float32(0))
        if same or not (np.isinf(x) and np.isfinite(r) and error <= bound):
            return (0.0 if same else INF), 0.0, 0.0, not same, not same, keys
    return (error / bound if bound else 0.0 if same else INF), bound, counts, not same, False, keys


def element_by_element(reference, actual):
    """What a Finding says, without any array: the fields by name."""
    found = {"share": 0.0, "worst": None, "histogram": [0] * HISTOGRAM_BINS}
    found |= dict.fromkeys(("ulps", "signs", "differing", "outside", "nonfinite", "loose"), 0)
    squares = [0.0, 0.0]
    m, n = (np.broadcast_to(part, actual.shape) for part in (reference.magnitude, reference.terms))
    for at in np.ndindex(actual.shape):
        r, x = float(reference.value[at]), actual[at]
        share, bound, counts, differs, nonfinite, keys = one_element(r, float(m[at]), int(n[at]), x)
        if share > found["share"]:
            found |= {"share": share, "worst": (at, float(x), r, bound)}
        told = differs and bound <= abs(counts)
        alike = np.sign(keys[0]) == np.sign(keys[1])
        ranks = [abs(int(key.view(np.int32)) & 0x7FFFFFFF) for key in keys]
        found["ulps"] = max(found["ulps"], abs(ranks[0] - ranks[1]) if told and alike else 0)
        ones = {"signs": told and not alike, "differing": differs, "outside": share > 1}
        ones |= {"nonfinite": nonfinite, "loose": bound > abs(counts)}
        for name, one in ones.items():
            found[name] += int(one)
        exponent = max(-1024, np.frexp(share)[1] - 1) if share < INF else 1024
        bin_ = min(max(exponent - LOWEST_EXPONENT + 1, 1), HISTOGRAM_BINS - 1)
        found["histogram"][bin_ if share else 0] += 1
        squares = [squares[0] + bound**2, squares[1] + counts**2]
    found |= {"histogram": tuple(found["histogram"]), "loose": found["loose"] / actual.size}
    return found, [square**0.5 for square in squares]


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40), st.sampled_from("CFs"), st.booleans())
def test_the_loop_finds_what_the_rule_says_element_by_element(seed, rows, columns, order, copied):
    """Every number but the two norms must be the same: the loop rounds as Python does, whatever the strides."""
    reference, actual = random_case(seed, rows, columns)
    actual = np.repeat(actual, 2, 1)[:, ::2] if order == "s" else np.asarray(actual, order=order)
    if copied:
        reference = Bounded(reference.value.astype(np.float32))
    found, norms = element_by_element(reference, actual)
    whole = judge(reference, actual)
    worst = whole.worst and astuple(whole.worst)
    np.testing.assert_equal({name: getattr(whole, name) for name in found} | {"worst": worst}, found)
    np.testing.assert_array_almost_equal_nulp(np.array([whole.bound_norm, whole.reference_norm]), norms, actual.size)


@given(st.integers(0, 10**6))
def test_the_worst_element_can_be_looked_up(seed):
    reference, actual = random_case(seed, 5, 6)
    finding = judge(reference, actual)
    at = finding.worst.index
    np.testing.assert_equal(finding.worst.actual, float(actual[at]))
    np.testing.assert_equal(finding.worst.reference, float(reference.value[at]))


def test_one_axis_and_double_precision():
    """Costs are float64; their counts must be exact, and the bits are those of float32."""
    reference = Bounded(np.array([0.1, 3.0]), np.array([2.0, 0.0]), np.array([4, 0]))
    assert judge(reference, np.array([0.1 + U, 3.0]), dtype=np.float64).status == "equivalent"
    off_by_one = judge(reference, np.array([0.1, 4.0]), dtype=np.float64)
    assert (off_by_one.status, off_by_one.worst.index) == ("different", (1,))


def test_fortran_order_and_slices():
    reference, actual = random_case(3, 7, 5)
    wanted = judge(reference, actual)
    assert judge(reference, np.asfortranarray(actual)) == wanted
    assert judge(reference, np.repeat(actual, 2, 1)[:, ::2]) == wanted


def test_an_empty_tensor_is_identical():
    assert judge(Bounded(np.zeros((0, 4))), np.zeros((0, 4), np.float32)).status == "identical"
    assert judge(Bounded(np.zeros((4, 0))), np.zeros((4, 0), np.float32)).status == "identical"


def test_chunks_must_fit_and_cover_the_tensor():
    verdict = Verdict((2, 4))
    with pytest.raises(BadInput, match="does not fit"):
        verdict.add(Bounded(np.zeros((2, 2))), np.zeros((2, 3), np.float32))
    with pytest.raises(BadInput, match="does not fit"):
        verdict.add(Bounded(np.zeros((2, 2))), np.zeros((2, 2), np.float32), (0, 3))
    verdict.add(Bounded(np.zeros((2, 2))), np.zeros((2, 2), np.float32))
    with pytest.raises(BadInput, match="add up"):
        verdict.finish()


def test_what_cannot_be_compared():
    right = np.zeros((2, 3), np.float32)
    assert refuse(right, (2, 3)) is None
    assert refuse(None, (2, 3)).status == "missing"
    assert refuse(right.T, (2, 3)).status == "shape"
    assert refuse(right.astype(np.float64), (2, 3)).status == "dtype"
    assert judge(Bounded(np.zeros((2, 3))), None).status == "missing"
    listed = judge(Bounded(np.zeros((2, 3))), right.tolist())
    assert (listed.status, listed.reason) == ("dtype", "list in place of an array of float32")


def test_bits_between_engines():
    a = single(1, NAN, 0.0, 2)
    assert bitwise_equal(a, single(1, -NAN, -0.0, 2))
    assert not bitwise_equal(a, single(1, NAN, 0.0, 2 + 4 * U))
    assert not bitwise_equal(a, a.astype(np.float64))
    assert not bitwise_equal(a, a.T)
    assert differing_bits(a, single(NAN, NAN, 1, 2)) == 2


def test_the_spread_of_the_engine_s_values_does_not_depend_on_the_chunks():
    actual = np.arange(12, dtype=np.float32).reshape(3, 4) - 5
    reference = Bounded(actual.astype(np.float64), np.ones((3, 4)), 1)
    verdict = Verdict((3, 4))
    for part in (slice(0, 1), slice(1, 4)):
        piece = Bounded(reference.value[:, part], reference.magnitude[:, part], 1)
        verdict.add(piece, actual[:, part], (0, part.start))
    for found in (verdict.finish(), judge(reference, actual)):
        assert (found.low, found.high, found.mean) == (-5.0, 6.0, 0.5)
    assert judge(reference, None).low is None


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("at_end", [True, False])
def test_nothing_is_read_beside_the_arrays(order, at_end):
    for shape in ((1, 1), (7, 131), (300, 9), (65, 257)):
        actual = np.random.default_rng(5).standard_normal(shape).astype(np.float32, order=order)
        value = actual.astype(np.float64) * (1 + U)
        arrays = value, np.abs(value), np.full_like(value, 9.0), actual
        value, magnitude, terms, actual = (guarded(array, at_end) for array in arrays)
        assert judge(Bounded(value, magnitude, terms), actual).status == "equivalent"


def test_the_smallest_change_that_is_noticed_is_that_of_the_element_with_the_smallest_bound_for_its_size():
    value, magnitude = np.float64([[0, 1, INF, -2, 4, NAN]]), np.float64([[1, 1, 1, 1, 8, 1]])
    finding = judge(Bounded(value, magnitude, 16), value.astype(np.float32))
    assert finding.notices == 16 * U
    assert judge(Bounded(np.float64([[0, INF]]), np.float64([[1, 1]]), 16), single(0, INF)).notices is None
