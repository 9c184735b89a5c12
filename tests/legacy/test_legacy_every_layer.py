"""Every layer without weights in the engine of 2012, against the float64 reference, one small network each."""

import layer_nets as nets
import numpy as np
import pytest
from legacy_networks import same_bits

from alexnet_rosetta.harness.run import Options, prepare, rows

ENGINE = "legacy-cpu"


def workload(net, folder, batch=33, **options):
    return prepare(Options(net.write(folder), engines=(ENGINE,), input="random", batch=batch, **options))


def differences(work):
    """(layer, pass, tensor) → status of the tensors that are neither identical nor equivalent; how many there are."""
    found = {(row.layer, row.step, row.tensor): row.findings[ENGINE].status for row in rows(work, "isolated")}
    return {key: status for key, status in found.items() if status not in ("identical", "equivalent")}, len(found)


def run(work):
    """A session after a forward and a backward pass in which the engine fed itself."""
    session, graph = work.open_sessions()[ENGINE], work.network.graph
    for layer in work.network.layers:
        data = work.inputs.data.get(layer.name)
        session.forward(layer.name, None if data is None else [data], work.mask(layer))
    for layer in graph.backward_order():
        session.backward(layer.name)
    return session


def assert_accumulated(work, below="below"):
    """What a backward pass leaves as the gradient of a layer's output is the sum of what its readers contribute."""
    session, graph = run(work), work.network.graph
    starts = {name for name, layer in graph.layers.items() if name in graph.fused or layer.type.startswith("cost.")}
    parts = [
        (name, i, None if name in starts else session.read(name, "acts_grad"))
        for name, i in graph.contributions(below)
    ]
    assert len(parts) > 1
    assert same_bits(session.read(below, "acts_grad"), session.sum_grad(below, parts))


@pytest.mark.parametrize("case", nets.HIDDEN)
def test_hidden_layers(case, tmp_path):
    outside, count = differences(workload(nets.hidden(case), tmp_path))
    assert (outside, count) == ({}, 11)


@pytest.mark.parametrize("case", nets.HIDDEN)
def test_gradients_of_several_readers_add_up(case, tmp_path):
    work = workload(nets.hidden(case, readers=3), tmp_path, batch=8, passes=("forward", "backward"))
    assert differences(work)[0] == {}
    assert_accumulated(work)


@pytest.mark.parametrize("case", nets.CONSTANT)
@pytest.mark.parametrize("batch", [8, 64])
def test_layers_without_a_gradient(case, batch, tmp_path):
    assert differences(workload(nets.constant(case), tmp_path, batch))[0] == {}


@pytest.mark.parametrize("case", nets.COSTS)
def test_costs(case, tmp_path):
    assert differences(workload(nets.cost(case), tmp_path))[0] == {}


# The gradient of crossent2 that takes two steps has a wrong sign, that of tica a root too many where it is added.
MEANT = [case for case in nets.COSTS if case not in ("crossent2", "tica")]


@pytest.mark.parametrize("case", MEANT)
def test_costs_above_a_layer_with_another_reader(case, tmp_path):
    work = workload(nets.cost(case, also_read=True), tmp_path, passes=("forward", "backward"))
    assert differences(work)[0] == {}
    assert_accumulated(work, "between" if nets.COSTS[case][2] else "below")


# What 2012 computed, and not what was meant.


def test_two_step_crossent2_adds_where_it_should_subtract(tmp_path):
    work = workload(nets.cost("crossent2", also_read=True), tmp_path, passes=("forward", "backward"))
    assert differences(work)[0] == {
        ("cost", "backward", "inputs_grad[1]"): "different",
        ("between", "backward", "acts_grad"): "different",
    }
    session = run(work)
    t, y = work.inputs.data["labels"], session.read("between", "acts").astype(np.float64)
    session.forward("cost", [t, y.astype(np.float32)])
    session.backward("cost")
    expected = 0.5 * (t / y + (1 - t) / (1 - y))
    assert np.abs(session.read("cost", "inputs_grad[1]") - expected).max() < 8 * 2 * 2.0**-24 * np.abs(expected).max()


def test_tica_takes_a_root_too_many_where_it_is_added(tmp_path):
    net = nets.cost("tica").add("squares", "cost.sum2", "below", {"coeff": 0.25})
    outside, _ = differences(workload(net, tmp_path, passes=("forward", "backward")))
    assert outside == {("below", "backward", "acts_grad"): "different"}
    net.layers = {name: net.layers[name] for name in ("data", "below", "squares", "cost")}
    assert differences(workload(net, tmp_path, passes=("forward", "backward")))[0] == {}


def test_href_overwrites_what_others_sent(tmp_path):
    net = nets.hidden("neuron ident", readers=1).add("mirrored", "href", "below", channels=3)
    net.layers["below"]["outputs"] = 48
    net.add("above", "cost.sum2", "mirrored", {"coeff": 0.5})
    assert differences(workload(net, tmp_path))[0] == {}
    net.layers = {name: net.layers[name] for name in ("data", "below", "mirrored", "above", "layer0", "squares0")}
    work = workload(net, tmp_path, passes=("forward", "backward"))
    assert differences(work)[0] == {("below", "backward", "acts_grad"): "different"}
    session = run(work)
    session.backward("mirrored", session.read("mirrored", "acts_grad"))


def test_large_windows_of_rnorm_overwrite_what_others_sent(tmp_path):
    nets.HIDDEN["large"] = (16 * 8 * 8, {"type": "rnorm", "channels": 16, "size": 6}, nets.NORM)
    try:
        assert differences(workload(nets.hidden("large"), tmp_path))[0] == {}
        work = workload(nets.hidden("large", readers=2), tmp_path, passes=("forward", "backward"))
    finally:
        del nets.HIDDEN["large"]
    assert differences(work)[0] == {("below", "backward", "acts_grad"): "different"}
