"""Severity, exit codes, the closing sentence, error texts and the exact tier."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest
import reference_specs as specs

from alexnet_rosetta.harness import reference
from alexnet_rosetta.harness.errors import BadInput, NothingCompared, RosettaError
from alexnet_rosetta.harness.judging import finding
from alexnet_rosetta.harness.judging.finding import SEVERITY, Finding, exit_code, summarise, worst_status
from alexnet_rosetta.harness.judging.verdict import judge
from alexnet_rosetta.harness.values import exact


def found(*statuses):
    return [Finding(status) for status in statuses]


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (["identical", "equivalent"], 0),
        (["equivalent", "unsupported"], 3),
        (["equivalent", "unavailable"], 3),
        (["identical", "inconclusive"], 3),
        (["identical", "different"], 1),
        (["identical", "missing"], 1),
        (["nonfinite"], 1),
        (["shape", "unsupported"], 1),
        (["unsupported", "unavailable", "inconclusive"], 3),
        ([], 3),
    ],
)
def test_exit_codes(statuses, code):
    assert exit_code(found(*statuses)) == code


@pytest.mark.parametrize(
    ("statuses", "allow", "code"),
    [
        (["equivalent", "unsupported"], ["unsupported"], 0),
        (["equivalent", "unsupported", "inconclusive"], ["unsupported"], 3),
        (["equivalent", "unsupported", "different"], ["unsupported"], 1),
        (["unsupported"], ["unsupported"], 3),
    ],
)
def test_what_is_allowed_not_to_be_compared(statuses, allow, code):
    assert exit_code(found(*statuses), allow) == code


def test_every_status_either_agrees_fails_or_decides_nothing():
    kinds = {(finding.agrees, finding.fails) for finding in found(*SEVERITY)}
    assert kinds == {(True, False), (False, True), (False, False)}


def test_of_what_was_not_compared_every_count_is_zero():
    found = Finding("missing").to_dict()
    assert found.pop("histogram") == (0,) * finding.HISTOGRAM_BINS
    assert {name for name, value in found.items() if value is None} == {"worst", "notices", "low", "high", "mean"}
    assert (found.pop("status"), found.pop("reason")) == ("missing", "")
    assert {value for value in found.values() if value is not None} == {0}


def test_lists_of_statuses_stand_where_the_statuses_are():
    def is_list(node):
        values = [getattr(element, "value", None) for element in getattr(node, "elts", ())]
        return len(values) > 1 and all(isinstance(value, str) and value in SEVERITY for value in values)

    home = Path(finding.__file__)
    alone = home.parents[1] / "pack" / "judge.py"  # goes into packs, and imports nothing of this project
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in {*home.parents[1].rglob("*.py")} - {alone}}
    assert [path for path, tree in trees.items() if any(map(is_list, ast.walk(tree)))] == [home]


def test_the_worst_status():
    assert worst_status(["identical", "different", "equivalent"]) == "different"
    assert worst_status(["equivalent", "inconclusive"]) == "inconclusive"
    assert worst_status([]) == ""


def test_the_closing_sentence():
    rows = [
        ("port conv1 acts", Finding("identical", share=0.01)),
        ("port conv2 acts", Finding("equivalent", share=0.123)),
        ("port fc weights_grad[0]", Finding("unsupported")),
    ]
    assert summarise(rows) == (
        "2 of 3 tensors agree, 1 of them bit for bit, 1 not compared; "
        "the closest call, port conv2 acts, used 0.12 of what rounding allows."
    )
    rows.append(("port conv3 acts", Finding("different", share=7.0)))
    rows.append(("port conv3 inputs_grad[0]", Finding("missing")))
    assert summarise(rows) == (
        "2 of 5 tensors agree, 1 of them bit for bit, 1 missing, 1 different, 1 not compared; "
        "the closest call, port conv2 acts, used 0.12 of what rounding allows; the first to differ is port conv3 acts."
    )


def test_the_closing_sentence_without_differences_or_comparisons():
    assert summarise([("a", Finding("identical"))]) == "1 of 1 tensors agree, all bit for bit."
    rows = [("a", Finding("identical")), ("b", Finding("inconclusive")), ("c", Finding("unavailable"))]
    assert summarise(rows) == "1 of 3 tensors agree, all bit for bit, 1 inconclusive, 1 not compared."
    assert summarise(rows[2:]) == "Nothing was compared."
    assert summarise([]) == "Nothing was compared."


def test_findings_are_plain_values():
    finding = judge(reference.Bounded(np.float64([[1.0]]), 1.0, 4), np.float32([[1.0000001]]))
    values = json.loads(json.dumps(finding.to_dict()))
    assert values["status"] == "equivalent"
    assert values["worst"]["index"] == [0, 0]


def test_errors_say_what_expected_actual_and_hint():
    error = BadInput("conv1: filters have the wrong shape", expected="(363, 96)", actual="(96, 363)", hint="transpose")
    assert str(error) == "conv1: filters have the wrong shape (expected (363, 96), actual (96, 363)); hint: transpose"
    assert error.explain().splitlines() == [
        "conv1: filters have the wrong shape",
        "  expected: (363, 96)",
        "  actual:   (96, 363)",
        "  hint:     transpose",
    ]
    assert str(RosettaError("no")) == RosettaError("no").explain() == "no"
    assert isinstance(error, ValueError)
    assert (BadInput.exit_code, NothingCompared.exit_code) == (2, 3)


def test_exact_draws_are_small_multiples_of_an_eighth():
    x = exact.draw(np.random.default_rng(0), (100, 20))
    assert x.dtype == np.float32
    assert sorted(set((8 * x).ravel().tolist())) == list(range(-6, 7))


@pytest.mark.parametrize("seed", range(5))
def test_exact_sums_are_identical_in_any_order(seed):
    rng = np.random.default_rng(seed)
    spec = specs.fc([300], 4)
    x, w, b = (exact.draw(rng, shape) for shape in ((300, 2), (300, 4), (1, 4)))
    result = reference.op(spec).forward([x], {"weights": [w], "biases": b})
    exact.assert_exact(result)
    order = rng.permutation(300)
    serial = np.cumsum(w[order][:, :, None] * x[order][:, None], axis=0, dtype=np.float32)[-1] + b.T
    assert judge(result, serial).status == "identical"
    assert exact.must_be_identical(spec, "acts")


def test_sums_that_need_more_bits_are_refused():
    exact.assert_exact(reference.Bounded(np.zeros(1), np.float64([2.0**18])))
    with pytest.raises(BadInput, match="conv1 do not fit into 24 bits"):
        exact.assert_exact(reference.Bounded(np.zeros(1), np.float64([2.0**18 + 1])), "conv1")
    with pytest.raises(BadInput):
        exact.assert_exact(reference.Bounded(np.zeros(1), np.float64([np.nan])))


def test_what_must_be_identical_in_the_exact_tier():
    conv, maximum, average = {"type": "conv"}, {"type": "pool", "pool": "max"}, {"type": "pool", "pool": "avg"}
    assert exact.must_be_identical(conv, "weights_grad[1]")
    assert exact.must_be_identical({"type": "local"}, "inputs_grad[0]")
    assert exact.must_be_identical({"type": "fc"}, "weights_inc[0]")
    assert exact.must_be_identical(maximum, "inputs_grad[0]")
    assert exact.must_be_identical(average, "acts")
    assert not exact.must_be_identical(average, "inputs_grad[0]")
    assert not exact.must_be_identical({"type": "cmrnorm"}, "acts")
    assert not exact.must_be_identical(conv, "weights")
