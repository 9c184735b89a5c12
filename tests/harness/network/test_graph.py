import pytest
from layer_specs import layer

from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.network.graph import Graph

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
    assert graph.contributions("probs") == [("more", 0), ("cost", 1)]  # as a backward pass sends them


def neuron(kind):
    return layer("y", "neuron", "fc", neuron={"type": kind, "params": {}})


SOFTMAX = layer("y", "softmax", "fc")
FUSIONS = {
    "softmax and crossent": (SOFTMAX, "crossent", ("data", "y"), True),
    "softmax and crossent2": (SOFTMAX, "crossent2", ("data", "y"), False),
    "softmax as labels": (SOFTMAX, "crossent", ("y", "data"), False),
    "softmax and squares": (SOFTMAX, "sum2", ("y",), False),
    "logistic and crossent2": (neuron("logistic"), "crossent2", ("data", "y"), True),
    "relu and crossent2": (neuron("relu"), "crossent2", ("data", "y"), False),
}


@pytest.mark.parametrize(("below", "kind", "inputs", "fused"), FUSIONS.values(), ids=FUSIONS)
def test_which_layers_go_backward_with_their_cost(below, kind, inputs, fused):
    cost = layer("cost", f"cost.{kind}", *inputs, coeff=1)
    graph = Graph([layer("data", "data"), layer("fc", "fc", "data", epsW=[0.1]), below, cost])
    assert graph.fused == ({"y": "cost"} if fused else {})


def test_labels_get_no_gradient_but_gates_do():
    graph = Graph(
        [
            layer("data", "data"),
            layer("fc", "fc", "data", epsW=[0.1]),
            layer("targets", "cost.crossent2", "fc", "fc", coeff=1),
            layer("gated", "cost.gsum2", "fc", "fc", coeff=1),
        ]
    )
    assert graph.contributions("fc") == [("gated", 0), ("gated", 1), ("targets", 1)]
    assert graph.wanted_inputs(graph.layers["targets"]) == [1]


def test_a_layer_that_is_only_a_label_has_no_backward_work():
    layers = [layer("data", "data"), layer("fc", "fc", "data", epsW=[0.1]), layer("up", "fc", "data", epsW=[0.1])]
    graph = Graph([*layers, layer("cost", "cost.rflickr", "fc", "up", coeff=1)])
    assert [x.name for x in graph.backward_order()] == ["cost", "up"]


@pytest.mark.parametrize("name", networks.shipped())
def test_agrees_with_the_port(name):
    from alexnet_rosetta.port.network import Graph as PortGraph

    spec = networks.load(name).spec
    own, port = Graph(spec.layers), PortGraph(spec.layers)
    assert own.consumers == port.consumers
    assert own.wants_gradient == port.wants_gradient
    # The port also counts layers whose only path to a cost is as its labels; they get no gradient in either.
    assert own.produces & own.wants_gradient == port.produces & port.wants_gradient
    assert own.fused == port.fused
