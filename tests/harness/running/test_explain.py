"""A switch explains a difference only where it stands otherwise than the reference: no fault is explained away."""

import numpy as np
import pytest
from quirk_nets import CASES
from small_nets import write_net

from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.comparison import Comparison
from alexnet_rosetta.harness.engines.protocol import Engine
from alexnet_rosetta.harness.quirks import LEDGER
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows

HISTORICAL = {
    ("fc1_neuron", "backward", "acts_grad"): ("href-overwrites",),
    ("cnorm1", "backward", "inputs_grad[0]"): ("cnorm-ignores-means",),
    ("conv4", "backward", "acts_grad"): ("conv-oversample-overwrites",),
    ("lab1", "forward", "acts"): ("lab-exponent",),
    **{
        ("fc2", "update", name): ("super-eps-mean-not-squared",)
        for name in ("weights[0]", "weights[1]", "biases", "weights_inc[0]", "weights_inc[1]", "biases_inc")
    },
}
"""What differs in zoo in the engine of 2012, by what."""


class Planted(Engine):
    """An engine, with its switches, that delivers some wrong tensors.

    Parameters
    ----------
    engine : Engine
    wrong : dict of (str, str) to callable
        By layer and tensor, what is made of the right one.
    cured_by : str
        A switch that makes no difference here but for the fault, which is in the branch that does not run when the
        switch is turned.
    """

    def __init__(self, engine, wrong, cured_by=""):
        self.engine, self.wrong, self.cured_by = engine, wrong, cured_by
        self.name = engine.name

    def probe(self):
        """As the engine."""
        return self.engine.probe()

    def quirks(self):
        """As the engine."""
        return self.engine.quirks()

    def open(self, network, threads):
        """A session."""
        session = self.engine.open(network, threads)
        read, turn, wrong = session.read, session.set_quirk, dict(self.wrong)

        def set_quirk(name, on):
            if name != self.cured_by:
                turn(name, on)
            elif on != LEDGER[name].meant:
                wrong.clear()

        session.read = lambda layer, tensor: wrong.get((layer, tensor), np.asarray)(read(layer, tensor))
        session.set_quirk = set_quirk
        return session


def compared(net, engine, wrong, cured_by="", **options):
    """Comparison and failing rows, by layer, pass and tensor, of an engine with some wrong tensors."""
    work = prepare(Options(net, engines=(engine,), input="random", threads=1, **options))
    work.engines = [Planted(work.engines[0], wrong, cured_by)]
    found = Comparison(list(rows(work, "isolated")))
    failed = (row for row in found.table if any(one.fails for one in row.counted().values()))
    return found, {(row.layer, row.step, row.tensor): row for row in failed}


def gradients_of_costs(net):
    """Layer and tensor of all gradients that begin at a cost."""
    graph = prepare(Options(net, engines=("reference",), batch=1)).network.graph
    begin = [x for x in graph.backward_order() if x.type.startswith("cost.") or x.name in graph.fused]
    return [(layer.name, f"inputs_grad[{i}]") for layer in begin for i in graph.wanted_inputs(layer)]


@pytest.mark.parametrize("engine", engines.DEFAULT)
def test_no_sign_of_a_cost_gradient_is_taken_for_a_convention(engine):
    flipped = gradients_of_costs("zoo")
    assert len(flipped) == 11
    found, failed = compared("zoo", engine, dict.fromkeys(flipped, np.negative), batch=8)
    for layer, tensor in flipped:
        row = failed.pop((layer, "backward", tensor))
        assert not row.quirk, (layer, tensor)
        assert row.resembles == {engine: ("gradient-ascent",)}, (layer, tensor)
    assert {key: row.quirk[engine] for key, row in failed.items()}.items() <= HISTORICAL.items()
    assert f"{len(flipped)} unexplained" in found.sentence or engine == "port"
    assert "a fault that looks like gradient-ascent (10 more likewise)." in found.sentence


def test_what_differs_by_history_is_explained_by_it():
    found, failed = compared("zoo", "legacy-cpu", {}, batch=8)
    assert {key: row.quirk["legacy-cpu"] for key, row in failed.items()} == HISTORICAL
    assert "no difference is unexplained." in found.sentence


def softrelu_without_one(acts):
    """log(e^x) = x in place of log(1 + e^x)."""
    return np.where(acts > 4, acts, np.log(np.expm1(acts.astype(np.float64)))).astype(np.float32)


@pytest.mark.parametrize("engine", engines.DEFAULT)
@pytest.mark.parametrize(
    ("quirk", "layer", "tensor", "wrong"),
    [
        ("softrelu-cut", "top", "acts", softrelu_without_one),
        ("rate-in-momentum", "conv1", "weights_inc[0]", np.zeros_like),
        ("decay-in-momentum", "fc9", "weights_inc[0]", np.zeros_like),
        ("shared-fc-overwrites", "first", "weights_inc[0]", lambda inc: inc * np.float32(np.nan)),
        ("avg-pool-clipped-area", "top", "acts", lambda acts: acts * np.float32(1.01)),
        ("max-ties-full", "top", "inputs_grad[0]", np.zeros_like),
        ("yuv-coefficients", "small", "acts", np.zeros_like),
    ],
)
def test_a_fault_in_the_branch_that_history_takes_is_no_quirk(tmp_path, engine, quirk, layer, tensor, wrong):
    """Turning the switch hides the fault."""
    net = write_net(tmp_path, *CASES[quirk].files())
    others = [f"{name}=off" for name, other in LEDGER.items() if other.kind == "defect" and other.layers]
    found, failed = compared(net, engine, {(layer, tensor): wrong}, quirk, batch=8, quirks=others)
    assert failed
    assert not any(row.quirk for row in failed.values())
    assert {row.resembles.get(engine) for row in failed.values()} == {(quirk,)}
    assert f"a fault that looks like {quirk}" in found.sentence
    assert "no difference is unexplained" not in found.sentence


class Copy(Engine):
    """An engine without switches that computes like the port with one turned.

    Parameters
    ----------
    quirk : str
    factor : float
        What all its gradients of inputs are multiplied with.
    """

    name = "copy"

    def __init__(self, quirk, factor):
        self.quirk, self.factor = quirk, np.float32(factor)

    def probe(self):
        """It is there."""
        return True, ""

    def open(self, network, threads):
        """A session."""
        session = engines.find("port").open(network, threads)
        session.set_quirk(self.quirk, not LEDGER[self.quirk].meant)
        read = session.read
        session.read = lambda layer, tensor: read(layer, tensor) * (self.factor if tensor == "inputs_grad[0]" else 1)
        return session


@pytest.mark.parametrize("quirk", ["max-ties-full", "avg-pool-clipped-area", "decay-in-momentum", "abs-slope-at-zero"])
def test_an_engine_without_switches_is_explained_by_a_copy_with_the_same_bits(tmp_path, quirk):
    for factor in (1, 1.5):
        work = prepare(Options(write_net(tmp_path, *CASES[quirk].files()), engines=("port",), input="random", batch=16))
        work.engines = [Copy(quirk, factor)]
        table = list(rows(work, "isolated"))
        failed = [row for row in table if row.findings["copy"].fails and "copy" not in row.origin]
        assert failed
        for row in failed:
            right = factor == 1 or row.tensor != "inputs_grad[0]"
            assert row.quirk.get("copy") == ((quirk,) if right else None), (row.layer, row.tensor)
