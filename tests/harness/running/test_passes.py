"""Passes that are no training, and whole passes of a network against its layers one by one, bit for bit."""

from collections import Counter

import numpy as np
import pytest
from small_nets import Faulty, workload, write_net

from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.comparison import compare
from alexnet_rosetta.harness.engines.protocol import Session
from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.engines.wrapped import AsMeant
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.judging.verdict import bitwise_equal
from alexnet_rosetta.harness.network.tensors import is_parameter
from alexnet_rosetta.harness.reference.half_precision import half
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows
from alexnet_rosetta.harness.values import parameters

ENGINES = ("legacy-cpu", "port", "reference")
STEPS = {"test": {"test": 61}, "views": {"view 1": 60, "view 2": 60, "view 3": 61}}


def meant(engine):
    """The engine, with what it has of switches as the reference has them."""
    found = engines.find(engine)
    return AsMeant(found) if hasattr(found, "quirks") else found


@pytest.mark.parametrize("pass_type", STEPS)
@pytest.mark.parametrize("mode", ["isolated", "propagated"])
def test_engines_agree_in_tests_too(pass_type, mode):
    work = prepare(Options("zoo", engines=ENGINES, input="random", batch=8, pass_type=pass_type, mode=mode))
    work.engines = [meant(name) for name in ENGINES]
    found = list(rows(work, mode))
    assert not [row.name(name) for row in found for name, one in row.counted().items() if not one.agrees]
    assert Counter(row.step for row in found if row.mode == "isolated") == STEPS[pass_type]


class Unscaled(ReferenceSession):
    """Dropout copies in tests."""

    def run_forward(self, layer, inputs, mask):
        found = super().run_forward(layer, inputs, mask)
        return inputs[0].copy() if layer.type == "hs" and self.pass_type != "train" else found


class Forgetting(ReferenceSession):
    """The last view is all that counts."""

    def run_forward(self, layer, inputs, mask):
        own, self.pass_type = self.pass_type, "test"
        found = super().run_forward(layer, inputs, mask)
        self.pass_type = own
        return found


class Training(ReferenceSession):
    """Knows no other pass."""

    set_pass_type = Session.set_pass_type


@pytest.mark.parametrize(
    ("session", "pass_type", "wrong"),
    [
        (Unscaled, "train", set()),
        (Unscaled, "test", {("drop1", "test", "acts")}),
        (Forgetting, "test", set()),
        (Forgetting, "views", {("logprob", "view 3", "cost")}),
    ],
)
def test_a_fault_of_a_test_shows_in_tests(tmp_path, session, pass_type, wrong):
    work = workload(tmp_path, session, pass_type=pass_type)
    assert {(row.layer, row.step, row.tensor) for row in rows(work, "isolated") if row.status() == "different"} == wrong


def test_views_are_not_alike(tmp_path):
    found = {}
    work = workload(tmp_path, pass_type="views")
    work.on_tensor = lambda stream: found.setdefault((stream.layer.name, stream.step), stream.reference.copy())
    assert all(row.status() in ("identical", "equivalent") for row in rows(work, "isolated"))
    seen = [found["probs", step] for step in STEPS["views"]]
    assert not any(np.array_equal(seen[i], seen[i - 1]) for i in range(3))
    labels = work.inputs.data["labels"].ravel().astype(int)
    likelihood = -np.log(np.mean(seen, axis=0, dtype=np.float64)[labels, range(8)]).sum()
    assert abs(found["logprob", "view 3"][0] - likelihood) < 1e-5


def test_an_engine_that_knows_training_only_is_not_compared(tmp_path):
    work = workload(tmp_path, pass_type="test")
    work.engines = [Faulty(Training)]
    statuses = {found.status for row in rows(work, "isolated") for found in row.findings.values()}
    assert statuses == {"unsupported"}


@pytest.mark.parametrize(
    "options",
    [{"pass_type": "gc"}, {"pass_type": "test", "passes": ("backward",)}, {"pass_type": "views", "input": "exact"}],
)
def test_nonsense_is_refused(options):
    with pytest.raises(BadInput, match="pass"):
        Options("tiny", **options)


def test_a_report_of_views(tmp_path):
    found = compare("tiny", engines=["port"], batch=4, pass_type="views", out=tmp_path / "run", keep=True)
    assert found.exit_code == 0
    assert "view 2" in found.report.read_text(encoding="utf-8")


# Whole passes


def prepared(engine, **options):
    """A workload of the zoo, and two sessions of the engine in the same state."""
    work = prepare(Options("zoo", engines=(engine,), input="random", batch=8, progress=0.37, **options))
    return work, work.open_sessions()[engine], work.open_sessions()[engine]


def self_fed(work, session, backward=None):
    """Forward and backward pass (of some layers), each fed by the engine itself; outputs and costs by layer."""
    found = {}
    for layer in work.network.layers:
        data = work.inputs.data.get(layer.name)
        session.forward(layer.name, None if data is None else [data], work.mask(layer))
        found[layer.name] = session.read(layer.name, output(layer)).copy()
    for layer in work.network.graph.backward_order():
        if backward is None or layer.name in backward:
            session.backward(layer.name, None, work.network.progress)
    return found


def output(layer):
    """The tensor that a layer has after its forward step."""
    return "cost" if layer.type.startswith("cost.") else "acts"


def learned(work, session):
    """Parameters and momentum buffers by layer and tensor."""
    held = [key for *key, _ in parameters.owned(work.network, work.values) if is_parameter(key[1])]
    return {tuple(key): session.read(*key).copy() for key in held}


def updated(work, session):
    """The same after an update of all layers."""
    for layer in work.network.graph.backward_order():
        session.update(layer.name, work.network.progress)
    return learned(work, session)


def unlike(a, b):
    """Keys under which two dicts of arrays have other bits, or that only one has."""
    return {key for key in a.keys() | b.keys() if key not in a or key not in b or not bitwise_equal(a[key], b[key])}


@pytest.mark.parametrize("quantise", [False, True])
@pytest.mark.parametrize("engine", engines.DEFAULT)
def test_engines_that_feed_themselves_do_as_if_they_were_fed(engine, quantise):
    work, session, fed = prepared(engine, quantise=quantise)
    graph = work.network.graph
    outputs = self_fed(work, session)
    for layer in work.network.layers:
        far = [graph.crosses(source, layer.name, "quantF") for source in layer.inputs]
        given = [half(outputs[x]) if away else outputs[x] for x, away in zip(layer.inputs, far, strict=True)]
        fed.forward(layer.name, given or [work.inputs.data[layer.name]], work.mask(layer))
    assert not unlike(outputs, {layer.name: fed.read(layer.name, output(layer)) for layer in work.network.layers})
    grads = {}
    for layer in graph.backward_order():
        if sent := [(name, i, grads.get(name)) for name, i in graph.contributions(layer.name)]:
            grads[layer.name] = np.array(fed.sum_grad(layer.name, sent))
        fed.backward(layer.name, grads.get(layer.name), work.network.progress)
    assert not unlike(grads, {name: session.read(name, "acts_grad") for name in grads})
    assert not unlike(updated(work, session), updated(work, fed))


@pytest.mark.parametrize("engine", engines.DEFAULT)
def test_a_pass_that_was_broken_off_leaves_nothing(engine):
    """Neither in the next pass nor after a release; one device has sent its gradient, and nobody has taken it."""
    work, session, fresh = prepared(engine, quantise=True)
    order = [layer.name for layer in work.network.graph.backward_order()]
    self_fed(work, session, order[: order.index("conv2_neuron")])
    for one in (session, fresh):
        self_fed(work, one)
    received = [name for name in order if work.network.graph.contributions(name)]
    assert not unlike(*({name: one.read(name, "acts_grad") for name in received} for one in (session, fresh)))
    for name in received:
        session.release(name)
        with pytest.raises(KeyError):
            session.read(name, "acts_grad")


@pytest.mark.parametrize("quantise", [False, True])
def test_whole_passes_of_the_port_are_those_of_its_layers(quantise):
    work, session, other = prepared("port", quantise=quantise)
    network, before = other.network, learned(work, session)
    masks = {layer.name: mask for layer in work.network.layers if (mask := work.mask(layer)) is not None}
    outputs = self_fed(work, session)
    costs = network.forward(work.inputs.data, noise=masks)
    whole = {layer.name: costs.get(layer.name, network.layers[layer.name].acts) for layer in work.network.layers}
    assert not unlike(outputs, whole)
    coefficients = {layer.name: layer["coeff"] for layer in work.network.layers if layer.name in costs}
    assert network.total_cost == sum(coefficient * outputs[name][0] for name, coefficient in coefficients.items())
    network.backward(work.network.progress)
    order = [layer.name for layer in work.network.graph.backward_order() if layer.name not in costs]
    received = [name for name in order if network.received(name) is not None]
    assert len(received) > 30
    assert not unlike(*({name: one.received(name) for name in received} for one in (session.network, network)))
    assert network.update(work.network.progress)
    assert not unlike(updated(work, session), learned(work, other))
    assert unlike(before, learned(work, other)) == before.keys()


def test_whole_passes_of_the_port_collect_gradients():
    work, session, other = prepared("port", update_every=2)
    masks = {layer.name: mask for layer in work.network.layers if (mask := work.mask(layer)) is not None}
    for due in (False, True):
        self_fed(work, session)
        other.network.forward(work.inputs.data, noise=masks)
        other.network.backward(work.network.progress)
        assert other.network.update(work.network.progress) is due
    assert not unlike(updated(work, session), learned(work, other))


def test_whole_passes_of_the_port_forget_gradients_that_no_update_took():
    """And those of a gradient check, which count for no update."""
    work, session, other = prepared("port", update_every=2)
    masks = {layer.name: mask for layer in work.network.layers if (mask := work.mask(layer)) is not None}
    kinds = ["train", "train", "gc"], []
    for one, before in zip((session.network, other.network), kinds, strict=True):
        for kind in (*before, "train", "train"):
            one.forward(work.inputs.data, kind, noise=masks)
            one.backward(work.network.progress)
        assert one.passes == len([*before, 0, 0]) - before.count("gc")
    grads = {layer.spec.name: layer.biases_grad for layer in session.network.weighted}
    assert not unlike(grads, {layer.spec.name: layer.biases_grad for layer in other.network.weighted})


def test_views_of_a_whole_network_are_those_of_its_layers(tmp_path):
    work = prepare(Options(write_net(tmp_path), engines=("port",), input="random", batch=8))
    session, other = work.open_sessions()["port"], work.open_sessions()["port"]
    views = [{name: values * np.float32(1 - k / 4) if len(values) > 1 else values
              for name, values in work.inputs.data.items()} for k in range(3)]  # fmt: skip
    for kind, data in zip(("first_view", "middle_view", "last_view"), views, strict=True):
        session.set_pass_type(kind)
        for layer in work.network.layers:
            session.forward(layer.name, [data[layer.name]] if layer.type == "data" else None)
    found = other.network.forward_views(views)
    assert bitwise_equal(found["logprob"], session.read("logprob", "cost"))
    alone = other.network.forward_views(views[:1])
    assert bitwise_equal(alone["logprob"], other.network.forward(views[0], "test")["logprob"])
