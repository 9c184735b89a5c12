"""What happens after a tensor was judged is noticed too; and seconds that cannot have passed."""

from time import perf_counter

import pytest
from quirk_nets import CASES
from small_nets import PARAMS, workload, write_net

from alexnet_rosetta.harness.comparison import compare, execute
from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.reporting import record
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows
from alexnet_rosetta.port.weight_layers import Weighted


class Meddler(ReferenceSession):
    """A step of fc2 also adds to a tensor of another layer."""

    step, layer, tensor = "update", "conv1", "weights[0]"

    def update(self, layer, progress=0.0):
        super().update(layer, progress)
        self.meddle(layer, "update")

    def backward(self, layer, acts_grad=None, progress=0.0):
        super().backward(layer, acts_grad, progress)
        self.meddle(layer, "backward")

    def meddle(self, layer, step):
        own = self._tensors[self.layer]
        if step == self.step and layer == "fc2":
            own[self.tensor] = own[self.tensor] + 1


class LateGradient(Meddler):
    """fc1, backward, adds to the gradient of fc2, whose rows are done."""

    step, layer, tensor = "backward", "fc2", "biases_grad"

    def meddle(self, layer, step):
        super().meddle("fc2" if layer == "fc1" else "", step)


class Rushing(ReferenceSession):
    """Its clock was never set to 0 at the beginning of a step."""

    def seconds(self, layer, step):
        return perf_counter()


class Standing(ReferenceSession):
    """Its clock stands still."""

    def seconds(self, layer, step):
        return 0.0


def failed(work, mode="isolated"):
    """{(layer, pass, tensor): reason} of what the only engine gets wrong."""
    return {
        (row.layer, row.step, row.tensor): found.reason
        for row in rows(work, mode) for found in row.counted().values() if found.fails
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["isolated", "propagated"])
def test_parameters_that_change_after_they_were_judged(tmp_path, mode):
    found = failed(workload(tmp_path, Meddler), mode)
    assert found == {("conv1", "update", "weights[0]"): "weights[0] has other bits than when it was judged"}


def test_gradients_that_change_after_they_were_judged(tmp_path):
    assert set(failed(workload(tmp_path, LateGradient))) == {("fc2", "backward", "biases_grad")}


@pytest.mark.parametrize("passes", [("forward", "backward"), ("forward", "backward", "update")])
def test_parameters_that_do_not_learn_but_change(tmp_path, passes):
    class Thawed(Meddler):
        step, layer, tensor = "backward", "conv1", "biases_inc"

    frozen = PARAMS.replace("epsW=0.01\nepsB=0.02", "epsW=0\nepsB=0", 1)
    work = prepare(
        Options(write_net(tmp_path, params=frozen), engines=("reference",), input="random", batch=8, passes=passes)
    )
    assert failed(work) == {}
    work.engines = workload(tmp_path, Thawed).engines
    assert set(failed(work)) == {("conv1", passes[-1], "biases_inc")}


def test_a_matrix_that_two_layers_update_is_updated_too_often(monkeypatch, tmp_path):
    """The second layer that shares it does so after the owner's rows were judged."""

    def share(self, i, parameter):
        self.parameters[i] = parameter

    net = write_net(tmp_path, *CASES["shared-fc-overwrites"].files())
    assert compare(net, engines=["port"], input="random", batch=8).exit_code == 0
    monkeypatch.setattr(Weighted, "share", share)
    found = compare(net, engines=["port"], input="random", batch=8)
    assert found.exit_code == 1
    wrong = [(row.layer, row.tensor) for row in found.table if row.status() == "different"]
    assert wrong == [("first", "weights_inc[0]"), ("first", "weights[0]")]


@pytest.mark.parametrize("clock", [Rushing, Standing])
def test_seconds_that_did_not_pass(tmp_path, clock):
    found = failed(workload(tmp_path, clock))
    assert {tensor for _, _, tensor in found} == {"seconds"}
    assert all(reason.startswith("the engine says") for reason in found.values())
    steps = {(row.layer, row.step) for row in rows(workload(tmp_path), "isolated")}
    assert len(found) == (len(steps) if clock is Rushing else 1)


def test_they_are_reported(tmp_path):
    work = workload(tmp_path, Rushing)
    options = Options("small", engines=("reference",), batch=8)
    found = execute(options, out=tmp_path / "run", work=work)
    assert found.exit_code == 1
    assert record.read(found.record).rows == found.table
    assert "the engine says" in found.report.read_text(encoding="utf-8")
