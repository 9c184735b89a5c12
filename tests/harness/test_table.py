import pytest

from alexnet_rosetta.harness.table import Row, by_step, decisive, ratio, step_lines, total_seconds
from alexnet_rosetta.harness.verdicts import Finding


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
    assert ratio({"a": 3.0, "b": 0.0}) is None


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
