from types import SimpleNamespace

import pytest
from alexnet_rosetta.harness import networks
from alexnet_rosetta.harness.graph import Graph


def layer(name, kind, *inputs, **keys):
    return SimpleNamespace(name=name, type=kind, inputs=inputs, get=keys.get)


LAYERS = [
    layer("data", "data"),
    layer("labels", "data"),
    layer("frozen", "conv", "data", epsW=[0.0], epsB=0.0),
    layer("fc", "fc", "frozen", epsW=[0.1], epsB=0.0),
    layer("twice", "eltsum", "fc", "fc"),
    layer("probs", "softmax", "twice"),
    layer("cost", "cost.logreg", "labels", "probs", coeff=1.0),
    layer("idle", "fc", "fc", epsW=[0.1]),
    layer("free", "cost.sum2", "idle", coeff=0.0),
]


def test_gradients_stop_where_nothing_learns_below():
    graph = Graph(LAYERS)
    assert graph.wants_gradient == {"fc", "twice", "probs", "cost", "idle", "free"}
    assert graph.wanted_inputs(LAYERS[3]) == []


def test_a_cost_without_weight_sends_nothing_down():
    graph = Graph(LAYERS)
    assert "idle" not in graph.produces
    assert graph.contributions("fc") == [("twice", 0), ("twice", 1)]


def test_backward_starts_at_the_fused_softmax():
    graph = Graph(LAYERS)
    assert graph.fused == {"probs": "cost"}
    assert [x.name for x in graph.backward_order()] == ["probs", "twice", "fc"]
    assert graph.contributions("probs") == []


def test_a_second_consumer_undoes_the_fusion():
    graph = Graph([*LAYERS, layer("more", "cost.sum2", "probs", coeff=1.0)])
    assert graph.fused == {}
    assert graph.contributions("probs") == [("cost", 1), ("more", 0)]


def test_labels_are_what_costs_compare_with():
    assert Graph(LAYERS).label_layers() == ["labels"]


@pytest.mark.parametrize("name", networks.shipped())
def test_agrees_with_the_port(name):
    from alexnet_rosetta.port.network import Graph as PortGraph

    spec = networks.load(name).spec
    own, port = Graph(spec.layers), PortGraph(spec.layers)
    assert own.consumers == port.consumers
    assert own.wants_gradient == port.wants_gradient
    assert own.produces == port.produces
    assert own.fused == port.fused
