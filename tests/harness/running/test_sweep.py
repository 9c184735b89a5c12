import re

import numpy as np
import pytest
from small_nets import (
    PARAMS,
    WEIGHTS,
    BentFilter,
    Clock,
    Double,
    Forgetful,
    LostImage,
    NoPooling,
    Raising,
    Transposed,
    WrongAbove,
    workload,
    write_net,
)

from alexnet_rosetta.harness.checks.grads.subjects import TO_DOUBLE
from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.reference import chunks
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows, step_count
from alexnet_rosetta.harness.running.sweep import Sweep


def statuses(work, mode="isolated"):
    """{(layer, pass, tensor): status} of the only engine."""
    return {
        (row.layer, row.step, row.tensor): found.status for row in rows(work, mode) for found in row.findings.values()
    }


def test_every_tensor_of_every_pass_has_a_row(tmp_path):
    found = statuses(workload(tmp_path))
    expected = {("conv1", "forward", "acts"), ("conv1_neuron", "forward", "acts"), ("pool1", "forward", "acts")}
    expected |= {(name, "forward", "acts") for name in ("fc1", "drop1", "fc2", "probs")}
    expected |= {("logprob", "forward", "cost"), ("probs", "backward", "inputs_grad[0]")}
    expected |= {("fc2", "backward", f"{kind}[{i}]") for kind in ("inputs_grad", "weights_inc") for i in (0, 1)}
    expected |= {("fc2", "backward", "biases_grad"), ("drop1", "backward", "inputs_grad[0]")}
    expected |= {("fc1", "backward", name) for name in ("acts_grad", "inputs_grad[0]", "weights_inc[0]", "biases_grad")}
    expected |= {(name, "backward", "inputs_grad[0]") for name in ("pool1", "conv1_neuron")}
    expected |= {("conv1", "backward", name) for name in ("weights_grad[0]", "biases_grad")}
    for layer, count in (("conv1", 1), ("fc1", 1), ("fc2", 2)):
        expected |= {(layer, "update", f"{kind}[{i}]") for kind in ("weights", "weights_inc") for i in range(count)}
        expected |= {(layer, "update", name) for name in ("biases", "biases_inc")}
    assert set(found) == expected
    assert set(found.values()) <= {"identical", "equivalent"}


@pytest.mark.parametrize(
    ("wanted", "runs"),
    [
        (("conv1",), {"conv1"}),
        (("fc1",), {"fc1", "drop1", "fc2"}),  # whose gradient two layers send
        (("drop1",), {"drop1"}),
        (("probs",), {"probs", "logprob"}),  # which run together
        ((), {"data", "labels", "conv1", "conv1_neuron", "pool1", "fc1", "drop1", "fc2", "probs", "logprob"}),
    ],
)
def test_only_the_layers_asked_for_run_and_what_they_need(tmp_path, wanted, runs):
    work = workload(tmp_path, layers=wanted)
    assert Sweep(work)._runs == runs
    told = {row.layer for row in Sweep(work).rows()}
    assert told == (set(wanted) or runs - {"data", "labels"})


@pytest.mark.parametrize(
    ("session", "where", "status"),
    [
        (BentFilter, {("conv1", "forward", "acts")}, "different"),
        (LostImage, {("fc1", "backward", "weights_inc[0]")}, "different"),
        (NoPooling, {("pool1", "forward", "acts"), ("pool1", "backward", "inputs_grad[0]")}, "unsupported"),
        (Transposed, {("fc2", "forward", "acts")}, "shape"),
        (Double, {("fc1", "forward", "acts")}, "dtype"),
        (
            Raising,
            {("pool1", "forward", "acts"), ("pool1", "backward", "inputs_grad[0]"), ("fc2", "backward", "biases_grad")},
            "failed",
        ),
        (Forgetful, {(name, "backward", "biases_grad") for name in ("conv1", "fc1", "fc2")}, "missing"),
    ],
)
def test_a_fault_shows_where_it_is_and_nowhere_else(tmp_path, session, where, status):
    found = statuses(workload(tmp_path, session))
    assert {key for key, value in found.items() if value == status} == where
    assert {value for key, value in found.items() if key not in where} <= {"identical", "equivalent"}


def test_what_an_engine_raised_is_told_with_layer_pass_and_place(tmp_path):
    found = {
        (row.layer, row.tensor): row.findings["Raising"].reason for row in rows(workload(tmp_path, Raising), "isolated")
    }
    assert re.fullmatch(r"pool1 forward: ValueError: boom \(small_nets\.py:\d+\)", found["pool1", "acts"])
    assert found["pool1", "inputs_grad[0]"] == found["pool1", "acts"]
    assert found["fc2", "biases_grad"].startswith("fc2 backward: IndexError: no such row (small_nets.py:")


def test_verbs_that_say_nothing_about_values_may_fail(tmp_path):
    class Careless(ReferenceSession):
        def seconds(self, layer, step):
            raise OSError("no clock")

        def release(self, layer):
            raise OSError("never")

    found = list(rows(workload(tmp_path, Careless), "isolated"))
    assert len(found) == 37
    assert all(not row.seconds and row.findings["Careless"].agrees for row in found)


def test_memory_that_runs_out_ends_the_run(tmp_path):
    class Greedy(ReferenceSession):
        def run_forward(self, layer, inputs, mask):
            raise MemoryError

    with pytest.raises(MemoryError):
        list(rows(workload(tmp_path, Greedy), "isolated"))


def test_a_sum_inherits_the_difference_of_a_consumer(tmp_path):
    """fc1 is read by fc2 and drop1."""
    work = workload(tmp_path, WrongAbove)
    found = {(row.layer, row.step, row.tensor): row for row in rows(work, "isolated")}
    total = found["fc1", "backward", "acts_grad"]
    assert total.findings["WrongAbove"].status == "different"
    assert total.status() == "inherited"
    failed = {key for key, row in found.items() if any(one.fails for one in row.counted().values())}
    assert failed == {("fc2", "backward", f"inputs_grad[{i}]") for i in (0, 1)}


@pytest.mark.parametrize("options", [{"progress": 0.5}, {"update_every": 3}, {"progress": 1.0, "update_every": 2}])
def test_any_point_of_a_training_and_several_passes_per_update(tmp_path, options):
    schedules = "schedW=exp[tgtFactor=10,noiseStdev=0.1]\nschedB=linear[tgtFactor=10,noiseStdev=0]\n"
    path = write_net(tmp_path, params=PARAMS.replace(WEIGHTS, WEIGHTS + schedules))
    work = prepare(Options(path, engines=("port", "reference"), input="random", batch=8, **options))
    for row in rows(work, "isolated"):
        assert all(found.agrees for found in row.findings.values()), (row.layer, row.step, row.tensor)


@pytest.mark.parametrize(
    "options",
    [
        {"progress": 1.5},
        {"update_every": 0},
        {"update_every": 2, "mode": "propagated"},
        {"progress": 0.5, "input": "exact"},
    ],
)
def test_points_of_a_training_that_cannot_be_compared_are_refused(options):
    with pytest.raises(BadInput):
        Options("tiny", **options)


def test_the_worst_element_is_the_bent_one(tmp_path):
    first = next(rows(workload(tmp_path, BentFilter), "isolated"))
    worst = first.findings["BentFilter"].worst
    assert worst.index == (17, 3)
    assert first.where(worst) == "channel 0, y 2, x 1, image 3"
    assert worst.actual == 3
    assert first.findings["BentFilter"].outside == 1


def test_seconds_are_those_of_the_step(tmp_path):
    found = list(rows(workload(tmp_path, Clock), "isolated"))
    for row in found:
        assert row.seconds in ({}, {"Clock": {"forward": 1.0, "backward": 2.0, "update": 3.0}[row.step]})
    assert {row.step for row in found if row.seconds} == {"forward", "backward", "update"}


def test_engines_are_compared_bit_by_bit_with_each_other(tmp_path):
    first = next(rows(workload(tmp_path, ReferenceSession, BentFilter), "isolated"))
    assert first.bitwise == {"ReferenceSession = BentFilter": 1}


@pytest.mark.parametrize("mode", ["isolated", "propagated"])
def test_chunks_change_nothing(tmp_path, monkeypatch, mode):
    whole = [row.to_dict() | {"seconds": None} for row in rows(workload(tmp_path, BentFilter), mode)]
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1)
    pieces = [row.to_dict() | {"seconds": None} for row in rows(workload(tmp_path, BentFilter), mode)]
    assert sum(row["findings"]["BentFilter"]["share"] > 0 for row in whole) > 10
    for a, b in zip(whole, pieces, strict=True):
        assert (a["layer"], a["step"], a["tensor"], a["shape"]) == (b["layer"], b["step"], b["tensor"], b["shape"])
        one, other = a["findings"]["BentFilter"], b["findings"]["BentFilter"]
        for name in ("status", "elements", "differing", "outside", "ulps", "signs", "histogram"):
            assert one[name] == other[name], (a["layer"], a["tensor"], name)
        # Sums over cases are added up in another order, in float64, and the bounds of 8 cases in float32.
        rounded = TO_DOUBLE + 8 * 2.0**-24 * one["share"]
        assert one["share"] == other["share"] or abs(one["share"] - other["share"]) <= rounded


def test_only_the_passes_asked_for_are_reported(tmp_path):
    found = statuses(workload(tmp_path, passes=("update",)))
    assert {step for _, step, _ in found} == {"update"}
    assert set(found.values()) <= {"identical", "equivalent"}


@pytest.mark.parametrize("passes", [("forward",), ("forward", "backward", "update")])
def test_nothing_is_held_when_all_is_done(tmp_path, passes):
    sweep = Sweep(workload(tmp_path, passes=passes))
    for _ in sweep.rows():
        pass
    assert not sweep.acts
    assert not sweep.acts_grad
    session = sweep.sessions["reference"]
    assert not session._state
    assert all("acts" not in tensors for tensors in session._tensors.values())


def test_reading_never_changes_a_run(tmp_path):
    class Reader(ReferenceSession):
        def backward(self, layer, acts_grad=None, progress=0.0):
            for name in self.graph.layers:
                for tensor in list(self._tensors[name]):
                    self.read(name, tensor)
            super().backward(layer, acts_grad, progress)

    plain = [row.findings["ReferenceSession"] for row in rows(workload(tmp_path, ReferenceSession), "isolated")]
    read = [row.findings["Reader"] for row in rows(workload(tmp_path, Reader), "isolated")]
    assert plain == read


def test_the_number_of_steps_is_known_in_advance(tmp_path):
    work = workload(tmp_path)
    steps = {(row.layer, row.step) for row in rows(work, "isolated")}
    assert len(steps) == step_count(work, "isolated")


def test_frozen_parameters_have_no_rows(tmp_path):
    work = workload(tmp_path)
    spec = work.network.spec["fc1"]
    frozen = dict(spec.keys) | {"epsW": [0.0]}
    object.__setattr__(spec, "keys", frozen)
    found = statuses(work)
    assert ("fc1", "backward", "weights_inc[0]") not in found
    assert ("fc1", "update", "weights[0]") not in found
    assert ("fc1", "update", "biases") in found


def test_a_softmax_and_its_cost_run_where_nothing_learns(tmp_path):
    params = PARAMS.replace("epsW=0.01,0.01", "epsW=0").replace("epsW=0.01", "epsW=0").replace("epsB=0.02", "epsB=0")
    work = prepare(Options(write_net(tmp_path, params=params), engines=("reference",), input="random", batch=8))
    found = statuses(work)
    assert ("logprob", "forward", "cost") in found
    assert {step for _, step, _ in found} == {"forward"}


def test_filters_that_grow_too_long_are_shortened(tmp_path):
    params = PARAMS.replace(WEIGHTS, WEIGHTS + "wball=0.001\n", 1)
    work = prepare(Options(write_net(tmp_path, params=params), engines=("port",), input="random", batch=8))
    row = next(row for row in rows(work, "isolated") if (row.layer, row.tensor) == ("conv1", "weights[0]"))
    assert row.findings["port"].status == "equivalent"
    norms = np.linalg.norm(work.values["conv1"]["weights[0]"], axis=0)
    assert norms.min() > 0.001 * 27


def test_each_pass_starts_from_values_rounded_once(tmp_path):
    seen = {}

    class Watcher(ReferenceSession):
        def forward(self, layer, inputs=None, mask=None):
            seen[layer] = [array.copy() for array in inputs]
            super().forward(layer, inputs, mask)

    work = workload(tmp_path, Watcher, passes=("forward",))
    for _ in rows(work, "isolated"):
        pass
    assert all(array.dtype == np.float32 for arrays in seen.values() for array in arrays)
    assert np.array_equal(seen["fc2"][1], seen["drop1"][0])
    kept = np.where(work.mask(work.network.spec["drop1"]), seen["drop1"][0], 0)
    assert np.array_equal(seen["fc2"][0], kept)
