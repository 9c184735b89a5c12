"""n and M where nobody gives them: what the estimate finds, at any scale."""

import numpy as np
import pytest

from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.pairs import arrays, dumps, expected
from alexnet_rosetta.harness.values.archive import Archive

RANDOM = np.random.default_rng(5)
A, B = RANDOM.standard_normal((6, 40)), RANDOM.standard_normal((40, 5))


def dependence(function, *arguments):
    value = np.asarray(function(*arguments))
    random = np.random.default_rng(0)
    return expected._dependence(function, arguments, range(len(arguments)), value, random)


def test_the_number_of_operands_that_a_sum_is_found_to_have():
    """The draws are always the same ones, and so is the estimate: a power of two, and one."""
    found = [float(dependence(np.sum, np.random.default_rng(5).standard_normal(n))) for n in (1, 2, 8, 64, 1024)]
    assert found == [2, 3, 3, 65, 257]
    assert dependence(np.sum, np.zeros(64)) == 65  # zeros are moved as well


def test_the_largest_argument_is_the_one_that_is_moved():
    assert dependence(lambda x, y: x + y[0], A[0], B[0, :1]).max() == dependence(np.copy, A[0]).max()
    assert dependence(np.matmul, A, B).shape == (6, 5)
    assert (dependence(np.matmul, A, B) >= 9).all()
    assert np.median(dependence(np.exp, A)) == 2


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_what_adds_up_products_is_derived_at_every_scale(scale):
    def basis(function, *arguments):
        return expected.derived(function, arguments, np.asarray(function(*arguments))).basis

    assert basis(np.matmul, A * scale, B * scale) == "derived"
    assert basis(lambda x: x[1:] + x[:-1], A * scale) == "derived"
    assert basis(np.square, A * scale) == basis(lambda x: x[1:] - x[:-1], A * scale) == "estimated"


def test_the_magnitude_is_that_of_the_absolute_values():
    found = expected.derived(np.matmul, [A, B], A @ B)
    np.testing.assert_allclose(found.magnitude, np.abs(A) @ np.abs(B), rtol=1e-12)
    steep = expected.derived(lambda x: x**3, [A], A**3)
    assert (steep.magnitude > 2.9 * np.abs(A) ** 3).all()  # x moved by a share moves x³ by three times that
    assert (steep.magnitude < 3.1 * np.abs(A) ** 3).all()
    flat = expected.derived(lambda x: np.sqrt(np.abs(x)), [A], np.sqrt(np.abs(A)))
    np.testing.assert_array_equal(flat.magnitude, np.sqrt(np.abs(A)))  # never less than the value


@pytest.mark.parametrize("number", [1e-12, 3e-7, 1.02e-5, 9.8e-6, 0.5, 99.9])
def test_the_number_that_fits_is_found_on_either_side_of_a_grid_point(number):
    x = np.array([1e-11, 1e-6, 1e-5, 1e-2, 3.0, 50.0])
    found = expected._fitted(lambda eps: np.log(x + eps), np.log(x + number))
    assert found == pytest.approx(number, rel=1e-4)


@pytest.mark.parametrize(("free", "fits"), [(8 * 400, True), (8 * 400 - 1, False)])
def test_an_array_may_take_an_eighth_of_the_memory(tmp_path, monkeypatch, free, fits):
    np.savez(tmp_path / "dump.npz", x=np.zeros(100, np.float32))
    monkeypatch.setattr(dumps, "available_memory", lambda: free)
    archive = Archive(tmp_path / "dump.npz", "a dump")
    if fits:
        assert dumps._load(archive, "x").shape == (100,)
    else:
        with pytest.raises(BadInput, match="too large"):
            dumps._load(archive, "x")


def test_the_text_says_that_a_bound_is_estimated_only_where_one_is():
    for op, inputs, wrong, said in (
        (np.exp, [A], np.exp(A) + 1, True),
        (np.matmul, [A, B], A @ B + 1, False),
        (None, [], A + 1, False),
    ):
        desired = op(*inputs) if op else A
        with pytest.raises(AssertionError) as told:
            arrays.assert_equivalent(wrong, desired, op=op, inputs=inputs)
        assert str(told.value).startswith("actual is different")
        assert ("(the bound is estimated)" in str(told.value)) is said


def test_images_are_matrices_of_a_column_for_each_case():
    images = RANDOM.standard_normal((3, 4, 4, 5)).astype(np.float32)
    spec = {"type": "pool", "pool": "max", "channels": 3, "sizeX": 2, "stride": 2}
    found = expected.layer_formula(spec, {"inputs": [images]})
    np.testing.assert_array_equal(found.value, images.reshape(3, 2, 2, 2, 2, 5).max((2, 4)).reshape(12, 5))
    flat = expected.layer_formula(spec, {"inputs": [images.reshape(48, 5)]})
    np.testing.assert_array_equal(found.value, flat.value)
    grad = RANDOM.standard_normal((12, 5)).astype(np.float32)
    back = expected.layer_formula(spec | {"tensor": "inputs_grad[0]"}, {"inputs": [images], "acts_grad": grad})
    np.testing.assert_allclose(back.value.sum(0), grad.sum(0), rtol=1e-5)


def test_what_is_no_number_or_is_empty_has_no_cause():
    for right, wrong in ((np.zeros(9), np.array(["a"] * 9)), (np.zeros((0, 9)), np.zeros((0, 8)))):
        assert expected.cause_of(expected.Expected(right), wrong).kind == ""
    y = RANDOM.standard_normal((3, 20))
    found = expected.cause_of(expected.Expected(y, np.abs(y), 1), y[:, ::-1].astype(np.float32), ("row", "column"))
    assert found.text == "mirrored along column"
    found = expected.cause_of(expected.Expected(y + 1j * y**2, np.abs(y) + 1, 1), (y + 1j * y**2)[::-1], ("row",))
    assert found.text == "mirrored along row"


def test_numbers_in_64_bits_are_told_apart_where_float32_is_the_same():
    x = np.array([1.0, 2.0, 3.0, np.nan])
    close = x * (1 + np.array([0, 2.0**-51, 2.0**-52, 0]))
    found = expected.judged(expected.Expected(x), close)
    assert (found.status, found.share, found.outside, found.differing, found.ulps) == ("different", np.inf, 2, 2, 0)
    assert (found.worst.index, found.worst.reference, found.worst.bound) == ((1,), 2.0, 0.0)
    found = expected.judged(expected.Expected(x, np.abs(x), 1).of(np.float64), close)
    assert (found.status, found.differing, found.outside) == ("equivalent", 2, 0)
    found = expected.judged(expected.Expected(x, np.abs(x), 1).of(np.float64), x + 2.0**-40)
    assert (found.status, found.outside) == ("different", 3)
    assert expected.judged(expected.Expected(x), x.copy()).status == "identical"
    assert expected.judged(expected.Expected(np.arange(9)), np.arange(9) // 8 * 8).status == "different"


def test_of_float32_the_units_in_the_last_place_are_counted():
    x = np.float32([1, 2, 3])
    found = expected.judged(expected.Expected(x, x, 1), np.nextafter(x, np.float32(9)))
    assert (found.status, found.ulps, found.differing) == ("equivalent", 1, 3)
