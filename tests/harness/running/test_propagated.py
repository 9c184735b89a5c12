import pytest
from small_nets import BentFilter, NoPooling, Raising, workload

from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.judging.finding import Finding, exit_code
from alexnet_rosetta.harness.judging.row import decisive
from alexnet_rosetta.harness.reference import chunks
from alexnet_rosetta.harness.running.prepare import rows
from alexnet_rosetta.harness.running.propagated import isolated_counterparts


class OneUlp(ReferenceSession):
    """conv1 is off by the smallest step there is: inside its bound, yet every bit of relu's copy differs."""

    def run_forward(self, layer, inputs, mask):
        acts = super().run_forward(layer, inputs, mask)
        return acts * (1 + 2**-23) if layer.name == "conv1" else acts


def propagated(work):
    return {(row.layer, row.step, row.tensor): row for row in rows(work, "propagated") if row.mode == "propagated"}


def test_the_reference_feeding_itself_drifts_nowhere_forward(tmp_path):
    found = propagated(workload(tmp_path))
    assert {row.findings["reference"].status for row in found.values() if row.step == "forward"} == {"identical"}


def test_a_difference_from_below_is_inherited_and_no_failure(tmp_path):
    every = list(rows(workload(tmp_path, OneUlp), "propagated"))
    found = {(row.layer, row.tensor): row for row in every if row.mode == "propagated" and row.step == "forward"}
    assert found["conv1", "acts"].origin == {}
    assert found["conv1_neuron", "acts"].origin == {"OneUlp": "inherited"}
    assert exit_code(finding for _, finding in decisive(every)) == 0


def test_a_fault_is_local_and_what_follows_inherited(tmp_path):
    every = list(rows(workload(tmp_path, BentFilter), "propagated"))
    found = {(row.layer, row.step, row.tensor): row for row in every if row.mode == "propagated"}
    assert found["conv1", "forward", "acts"].origin == {"BentFilter": "local"}
    assert found["conv1_neuron", "forward", "acts"].origin == {"BentFilter": "inherited"}
    assert exit_code(finding for _, finding in decisive(every)) == 1


@pytest.mark.parametrize(("session", "status"), [(Raising, "failed"), (NoPooling, "unsupported")])
def test_nothing_is_fed_from_a_layer_that_gave_nothing(tmp_path, session, status):
    """There is something to compare only until pool1."""
    every = [row for row in rows(workload(tmp_path, session), "propagated") if row.mode == "propagated"]
    found = [(row.layer, row.findings[session.__name__]) for row in every]
    assert [(layer, finding.status) for layer, finding in found[:3]] == [
        ("conv1", "identical"),
        ("conv1_neuron", "identical"),
        ("pool1", status),
    ]
    after = {finding for layer, finding in found[3:] if layer != "pool1"}
    assert after == {Finding("unavailable", reason=f"pool1 forward, which comes before, is {status}")}


def test_distances_are_those_of_all_chunks(tmp_path, monkeypatch):
    whole = propagated(workload(tmp_path, BentFilter))
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 1)
    for key, row in propagated(workload(tmp_path, BentFilter)).items():
        wanted = whole[key].distances["BentFilter"]
        assert row.distances["BentFilter"] == pytest.approx(wanted, rel=1e-9), key
    assert whole["conv1", "forward", "acts"].distances["BentFilter"]["largest"] > 1


def test_distances_are_relative_norms(tmp_path):
    row = propagated(workload(tmp_path, BentFilter))["conv1", "forward", "acts"]
    worst, distance = row.findings["BentFilter"].worst, row.distances["BentFilter"]
    assert distance["largest"] == abs(worst.actual - worst.reference)
    assert 0 < distance["norm"] < distance["largest"]


def test_the_gradient_of_an_output_is_held_against_what_its_consumers_send(tmp_path):
    work = workload(tmp_path)
    found = propagated(work)
    assert isolated_counterparts(work.network.graph, found["fc1", "backward", "acts_grad"]) == [
        ("fc2", "backward", "inputs_grad[1]"),
        ("drop1", "backward", "inputs_grad[0]"),
        ("fc1", "backward", "acts_grad"),
    ]
