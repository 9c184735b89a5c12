from dataclasses import replace

import pytest

from alexnet_rosetta.harness.judging.finding import Finding
from alexnet_rosetta.harness.judging.row import (
    Row,
    by_step,
    decisive,
    left_out,
    ratio,
    ratio_name,
    step_lines,
    total_seconds,
)
from alexnet_rosetta.harness.reporting.lines import Lines


def row(tensor, seconds, status="equivalent", share=0.1, **more):
    findings = {"a": Finding(status, 4, share), "b": Finding("identical", 4)}
    return Row("conv1", "conv", "backward", tensor, (2, 2), findings, {}, seconds, **more)


def test_seconds_of_a_step_are_counted_once():
    rows = [
        row("inputs_grad[0]", {"a": 2.0, "b": 1.0}),
        row("weights_grad[0]", {"a": 2.0, "b": 1.0}),
        row("acts_grad", {}),
    ]
    assert total_seconds(rows) == {"a": 2.0, "b": 1.0}
    (line,) = step_lines(rows)
    assert (line["tensors"], line["seconds a"], line["ratio"]) == (3, 2.0, 2.0)


def test_the_worst_of_a_step_counts():
    (line,) = step_lines([row("x", {}), row("y", {}, "different", 3.0)])
    assert (line["verdict"], line["share"]) == ("different", 3.0)


def test_ratio_needs_two_engines():
    assert ratio({"a": 3.0, "b": 1.5}) == 2.0
    assert ratio({"a": 3.0}) is None
    assert ratio({"a": 3.0, "b": 1.5, "c": 1.0}) is None
    assert (ratio_name(["a", "b"]), ratio_name(["a"]), ratio_name(["a", "b", "c"])) == ("a/b", "", "")


def test_there_is_no_ratio_of_times_that_say_nothing():
    assert ratio({"a": 3.0, "b": 0.0}) is None
    assert ratio({"a": 9e-4, "b": 2.0}) is None
    assert ratio({"a": 1e-3, "b": 2e-3}) == 0.5
    assert ratio({"a": 3.0, "b": 2.0}, noise=0.9) == 1.5
    assert ratio({"a": 2.0, "b": 3.0}, noise=1.1) is None


def test_a_row_shows_the_engine_that_decided_its_verdict():
    found = row("x", {}, "unsupported", 0.0)
    assert found.telling() == ("a", found.findings["a"])
    both = Row("c", "conv", "forward", "acts", (1,), {"a": Finding("different", 4, 2.0), "b": Finding("shape")})
    assert both.telling()[0] == "b"
    inherited = row("x", {}, "different", 9.0, mode="propagated", origin={"a": "inherited", "b": "inherited"})
    assert inherited.telling()[0] == "a"
    assert step_lines([found])[0]["share"] is None


def test_sums_of_seconds_are_over_the_same_steps():
    rows = [Row("c", "conv", step, "x", (1,), {"a": 0, "b": 0}, {}, seconds) for step, seconds in
            (("forward", {"b": 1.0}), ("backward", {"b": 2.0, "a": 3.0}), ("update", {"a": 4.0}))]  # fmt: skip
    assert list(total_seconds(rows).items()) == [("a", 3.0), ("b", 2.0)]
    assert total_seconds(rows[:1]) == {"b": 1.0}


def test_inherited_differences_do_not_decide():
    inherited = row("x", {}, "different", 9.0, mode="propagated", origin={"a": "inherited"})
    assert [name for name, _ in decisive([inherited])] == ["b conv1 backward x"]
    assert inherited.status() == "inherited"
    assert step_lines([inherited])[0]["verdict"] == "inherited"
    local = row("x", {}, "different", 9.0, mode="propagated", origin={"a": "local"})
    assert local.status() == "different"


def test_modes_are_kept_apart():
    assert len(by_step([row("x", {}), row("x", {}, mode="propagated")])) == 2


def test_a_row_survives_being_a_dictionary():
    original = row("x", {"a": 1.0})
    assert Row.from_dict(original.to_dict()) == original


@pytest.mark.parametrize("engine", ["a", "b"])
def test_flat_lines_name_their_engine(engine):
    assert engine in [line["engine"] for line in row("x", {}).flat()]


def three(status="unsupported"):
    findings = {
        "a": Finding("equivalent", 4, 0.5),
        "b": Finding("identical", 4),
        "c": Finding(status, reason="no such"),
    }
    return Row("conv1", "conv", "forward", "acts", (2, 2), findings)


def test_what_was_not_compared_is_named_with_its_engine():
    assert three().lacking() == ["c"]
    assert step_lines([three()])[0]["lacking"] == "c"
    assert left_out([three(), three("unavailable")]) == "Not compared: 2 of c (conv1)."
    assert left_out([three("different")]) == ""
    many = [replace(three(), layer=f"fc{i}") for i in range(8)]
    assert left_out(many) == "Not compared: 8 of c (fc0, fc1, fc2, fc3, fc4, fc5 and 2 more)."
    assert Lines([], ["a", "b", "c"]).row(three(), False).split()[4:7] == ["acts", "unsupported:", "c"]


def test_what_weighs_in_the_exit_code():
    wrong = row("x", {}, "different", 3.0)
    assert [wrong.weighs(engine) for engine in ("a", "b", "c")] == [True, False, False]
    for fail_on, weighs in (
        (("different",), True),
        (("nonfinite",), False),
        (("unexplained",), True),
        (("none",), False),
    ):
        assert wrong.weighs("a", fail_on=fail_on) is weighs
        assert wrong.weighs("b", fail_on=fail_on) is False
    explained = replace(wrong, quirk={"a": ("lrn",)})
    assert explained.weighs("a")
    assert not explained.weighs("a", fail_on=("unexplained",))
    assert explained.weighs("a", fail_on=("unexplained", "different"))
    assert not replace(wrong, origin={"a": "inherited"}).weighs("a")
    undecided = row("x", {}, "inconclusive")
    for allow, weighs in (((), True), (("inconclusive",), False), (("unsupported",), True)):
        assert undecided.weighs("a", allow) is weighs
    assert not undecided.weighs("a", fail_on=("unexplained",))
    assert undecided.weighs("a", fail_on=("inconclusive",))


def test_what_nothing_explains():
    one = row("x", {}, own={"a": 1.5, "b": 1.0})
    assert one.unexplained() == ["a"]
    beyond = {"a": {"beyond": 0}, "b": {"beyond": 2}}
    assert replace(one, decisions=beyond).unexplained() == ["a", "b"]
    assert replace(one, decisions=beyond, quirk={"a": ("lrn",)}).unexplained() == ["b"]
    two = replace(one, findings={name: Finding("different", 4, 2.0) for name in ("a", "b")})
    assert not two.explained()
    assert not replace(two, quirk={"a": ("lrn",)}).explained()
    assert replace(two, quirk={"a": ("lrn",), "b": ("lrn",)}).explained()
    assert replace(two, quirk={"a": ("lrn",)}, origin={"b": "inherited"}).explained()
    assert not row("x", {}).explained()
