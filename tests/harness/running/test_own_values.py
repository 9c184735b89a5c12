"""The decision ledger: clean engines leave nothing unexplained, a planted fault is unexplained where it is."""

from dataclasses import replace

import numpy as np
import pytest
from small_nets import Faulty, workload

from alexnet_rosetta.harness.checks.faults.catalogue import FAULTS
from alexnet_rosetta.harness.checks.faults.examine import scene
from alexnet_rosetta.harness.checks.faults.planted import Mutant
from alexnet_rosetta.harness.engines.legacy import LegacyCpu
from alexnet_rosetta.harness.engines.port import Port
from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.engines.wrapped import AsMeant
from alexnet_rosetta.harness.judging.finding import exit_code
from alexnet_rosetta.harness.judging.ledger import explained, ledger, table
from alexnet_rosetta.harness.judging.row import Row, decisive
from alexnet_rosetta.harness.network.load import load
from alexnet_rosetta.harness.reference import op
from alexnet_rosetta.harness.running.decisions import decided
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows

# What an engine that feeds itself gets wrong on its way, too: values of a layer, and arrays that it is given.
PLANTED = [fault for fault in FAULTS if not fault.mutation.results and fault.update_every == 1][::2]


def own_feed(work, *engines):
    """The rows of engines that feed themselves."""
    return [row for row in rows(replace(work, engines=list(engines)), "propagated") if row.mode == "propagated"]


@pytest.mark.parametrize("net", ["tiny", "cifar", "zoo"])
def test_clean_engines_leave_nothing_unexplained(net):
    """Nothing but what quirks explain, which fails in isolation too; every tensor was held against its own operands."""
    every = own_feed(prepare(Options(net, batch=8, threads=1)), LegacyCpu(), Port())
    assert not any(entry.unexplained for entry in ledger(every))
    assert all(row.own.keys() == {"legacy-cpu", "port"} for row in every)
    assert max(share for row in every for name, share in row.own.items() if name not in row.quirk) < 1


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_a_planted_fault_is_unexplained_at_its_layer_alone(fault):
    work = scene(*fault.scene_arguments, 0)
    for engine in (AsMeant(Port()), AsMeant(LegacyCpu())):
        found = ledger(own_feed(work, Mutant(engine, fault.mutation)))
        assert {entry.layer for entry in found if entry.unexplained} == {layer for layer, *_ in fault.places}


def test_there_are_enough_planted_faults():
    assert len(PLANTED) >= 20


def test_a_tensor_that_agrees_with_the_reference_but_not_with_its_own_operands_fails(tmp_path):
    """An engine that keeps the outputs of pool1 of a run with other inputs: it agrees, and cheats."""
    kept = {}

    class Cheat(ReferenceSession):
        def run_forward(self, layer, inputs, mask):
            acts = super().run_forward(layer, inputs, mask)
            if layer.name == "pool1":
                return kept.setdefault("pool1", acts)
            if layer.name == "conv1" and kept:
                return acts * np.float32(1 + 2.0**-22)
            return acts

    every = list(rows(replace(workload(tmp_path), engines=[Faulty(Cheat)]), "propagated"))
    (row,) = [row for row in every if row.mode == "propagated" and (row.layer, row.tensor) == ("pool1", "acts")]
    assert row.origin == {"Cheat": "unexplained"}
    assert row.own["Cheat"] > 1
    assert row.findings["Cheat"].fails
    assert exit_code(finding for _, finding in decisive(every)) == 1
    assert [entry.layer for entry in ledger(every) if entry.unexplained] == ["pool1"]
    assert "unexplained: 1 (pool1 forward)" in explained([row for row in every if row.mode == "propagated"])


class Layer(dict):
    """A layer by its values."""

    type = "neuron"


def neuron(kind, **params):
    return Layer(neuron={"type": kind, "params": params})


def values(*numbers):
    return np.array([numbers], np.float32)


def test_a_flipped_sign_is_explained_by_what_its_input_may_be_off():
    found = decided(neuron("relu"), None, [values(0.5, -0.25, 1)], [values(-0.1, 0.5, 1)], [values(1, 0.125, 1)])
    assert found == {"what": "signs", "count": 3, "differ": 2, "margin": 2.0, "beyond": 1}


def test_a_bounded_rectifier_decides_twice():
    found = decided(neuron("brelu", a=2), None, [values(1.5, 3)], [values(2.5, 4)], [values(1, 1)])
    assert found == {"what": "signs", "count": 4, "differ": 1, "margin": 0.5, "beyond": 0}


def test_where_nothing_may_be_off_any_flip_is_beyond():
    found = decided(neuron("abs"), None, [values(0.5)], [values(-0.5)], [np.float32(0)])
    assert found == {"what": "signs", "count": 1, "differ": 1, "margin": np.inf, "beyond": 1}


def layer_of(net, name):
    spec = load(net).graph.layers[name]
    return spec, op(spec)


def test_winners_of_windows_are_held_against_both_pixels():
    spec, pool = layer_of("tiny", "pool1")
    x = np.zeros((32 * 64, 1), np.float32)
    y, reach = x.copy(), np.full_like(x, 0.25)
    x[0], y[9] = 1.0, 1.0  # (0, 0) in ours, (1, 1) in theirs: in the first window alone
    x[9] = 0.25
    found = decided(spec, pool, [x], [y], [reach])
    assert (found["what"], found["count"], found["differ"]) == ("winners", 32 * 16, 1)
    assert found["margin"] == 1.5  # 0.75 between the two, each may be off by 0.25
    assert found["beyond"] == 1


def test_the_largest_of_several_inputs():
    spec, formula = layer_of("tiny", "max1")
    ours, theirs = [values(1, 2), values(0, 3)], [values(1, 4), values(0, 3)]
    found = decided(spec, formula, ours, theirs, [np.float32(0.25), np.float32(0.75)])
    assert found == {"what": "winners", "count": 2, "differ": 1, "margin": 1.0, "beyond": 0}


def test_answers_are_the_best_class_and_whether_the_label_is_among_the_best():
    spec, _ = layer_of("tiny", "logprob")
    k, classes = spec["topk"], 10
    ours = np.linspace(0.1, 1, classes, dtype=np.float32).reshape(-1, 1)
    theirs = ours.copy()
    label = classes - k - 1  # the next below the best k
    theirs[label] = 2
    found = decided(
        spec, None, [np.array([[label]], np.float32), ours], [None, theirs], [None, np.full_like(ours, 0.5)]
    )
    assert (found["what"], found["count"], found["differ"]) == ("answers", 2, 2)
    assert found["margin"] == pytest.approx((ours[-1] - ours[label])[0])
    assert found["beyond"] == 0


def row(layer, step, tensor, own, **more):
    return Row(layer, "any", step, tensor, (1, 3), dict.fromkeys(own), mode="propagated", own=own, **more)


def signs(differ, margin):
    return {"what": "signs", "count": 3, "differ": differ, "margin": margin, "beyond": 0}


ROWS = [
    row("relu1", "forward", "acts", {"a": 0.0, "b": 0.0}, decisions={"a": signs(2, 0.5), "b": signs(0, 0.0)}),
    row("conv1", "backward", "acts_grad", {"a": 0.1, "b": 2.0}, sent_by=("relu1",)),
    row("fc1", "backward", "acts_grad", {"a": 9.0, "b": 0.1}, sent_by=("fc2", "drop1")),
    row("fc1", "backward", "biases_grad", {"a": 9.0}, quirk={"a": ("q",)}),
]


def test_the_ledger_as_text():
    lines = list(table(ROWS, ["a", "b"]))
    assert [line.split() for line in lines[2:]] == [
        ["relu1", "forward", "3", "signs", "2", "0", "0.5", "0"],
        ["relu1", "backward", "b:", "inputs_grad"],
        ["fc1", "backward", "a:", "acts_grad,", "which", "fc2", "and", "drop1", "send"],
    ]
    assert explained(ROWS) == (
        "2 of 6 decisions are not the reference's; unexplained: 2 (relu1 backward, fc1 backward)."
    )


def test_without_own_feed_there_is_no_ledger():
    isolated = [replace(row, mode="isolated", own={}, decisions={}) for row in ROWS]
    assert list(table(isolated, ["a"])) == []
    assert explained(isolated) == ""
