"""Whole networks: gradients against finite differences, the graph, pass types, single layers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from alexnet_rosetta import harness
from alexnet_rosetta.port import ConfigError, Graph, Network, load_network, set_threads
from alexnet_rosetta.port.layers import UnsupportedLayer
from alexnet_rosetta.port.weight_layers import Weighted

NETS = Path(harness.__file__).parent / "nets"
EPSILON = np.finfo(np.float64).eps
RATES = "epsW=.5\nepsB=.25\nmomW=.5\nmomB=.5\nwc=.25\n"
CHAIN = """
[data]
type=data
dataIdx=0
dims=12
[labels]
type=data
dataIdx=1
[low]
type=fc
inputs=data
outputs=8
initW=.5
neuron=tanh[1,1]
[top]
type=fc
inputs=low
outputs=4
initW=.5
[probs]
type=softmax
inputs=top
[cost]
type=cost.logreg
inputs=labels,probs
"""
CHAIN_PARAMS = f"[low]\n{RATES}[top]\n{RATES}[cost]\ncoeff=1\n"


@pytest.fixture(autouse=True)
def one_thread():
    """Toy layers gain nothing from threads, and lose much where other programs hold the processors."""
    set_threads(1)
    yield
    set_threads(None)


def shipped(net, dtype=np.float32):
    """A shipped network with drawn parameters."""
    network = Network(load_network(NETS / f"{net}.cfg", NETS / f"{net}-params.cfg"), dtype)
    network.initialise(np.random.default_rng(1))
    return network


def build(text=CHAIN, params=CHAIN_PARAMS, dtype=np.float64):
    """A network from text, with drawn parameters."""
    network = Network(load_network(text, params), dtype)
    network.initialise(np.random.default_rng(2))
    return network


def batch(network, images=3, scale=1.0):
    """Random data and labels."""
    rng = np.random.default_rng(3)
    classes = min(layer.spec.outputs for layer in network.layers.values() if layer.spec.type == "softmax")
    data = scale * rng.standard_normal((network.layers["data"].spec.outputs, images))
    return {"data": data, "labels": rng.integers(0, classes, (1, images)).astype(np.float64)}


def assert_gradients(network, data, step=1e-5, pieces=4):
    """Parameter gradients of a gc pass against central differences of the total cost, at two steps.

    The difference of the two steps bounds the truncation error, ε·cost/step the rounding error; together they must
    stay below a tenth of the gradient, or the comparison would accept anything.
    """
    network.forward(data, "gc")
    network.backward()
    rng = np.random.default_rng(4)
    layers = [layer for layer in network.layers.values() if isinstance(layer, Weighted)]
    values_of = [values for layer in layers for values in (*layer.weights, layer.biases)]
    grads_of = [grads.copy() for layer in layers for grads in (*layer.weights_grad, layer.biases_grad)]
    for values, grads in zip(values_of, grads_of, strict=True):
        places = [tuple(place) for place in rng.integers(0, values.shape, (pieces, 2))]
        wide, narrow = (
            np.array([slope(network, data, values, place, h) for place in places]) for h in (step, step / 2)
        )
        bound = np.abs(wide - narrow) + 64 * EPSILON * network.total_cost / step
        found = np.array([grads[place] for place in places])
        assert np.linalg.norm(bound) < 0.1 * np.linalg.norm(found)
        assert np.all(np.abs(found + narrow) <= bound)  # gradients are those of minus the cost


def slope(network, data, values, place, step):
    """Central difference of the total cost."""
    kept, ends = values[place], []
    for value in (kept + step, kept - step):
        values[place] = value
        network.forward(data, "gc")
        ends.append(network.total_cost)
    values[place] = kept
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("net", ["tiny", "cifar"])
def test_gradients_of_shipped_networks(net):
    network = shipped(net, np.float64)
    if net == "cifar":
        network.layers["conv1"].weights[0] *= 500  # its initial weights are made for pixel values
    assert_gradients(network, batch(network), step=1e-6)


@pytest.mark.parametrize(
    "kind", ["relu", "abs", "logistic", "square", "softrelu", "linear[2,.5]", "drelu[.5]", "brelu[2]"]
)
def test_gradients_through_neurons(kind):
    network = build(CHAIN.replace("tanh[1,1]", kind))
    assert_gradients(network, batch(network))


def test_gradients_through_a_softmax_with_two_consumers():
    network = build(CHAIN + "[other]\ntype=cost.logreg\ninputs=labels,probs\n", CHAIN_PARAMS + "[other]\ncoeff=.5\n")
    assert network.graph.fused == {}
    assert network.graph.contributions("probs") == 2
    assert_gradients(network, batch(network))


def test_fused_and_separate_softmax_agree():
    """A cost of coefficient 0 is a consumer, so it separates softmax and cost, but it contributes nothing."""
    fused, separate = (
        build(),
        build(CHAIN + "[other]\ntype=cost.logreg\ninputs=labels,probs\n", CHAIN_PARAMS + "[other]\ncoeff=0\n"),
    )
    assert (fused.graph.fused, separate.graph.fused) == ({"probs": "cost"}, {})
    assert "other" not in separate.graph.produces
    for network in (fused, separate):
        network.forward(batch(network), "gc")
        network.backward()
    found, expected = separate.layers["top"].acts_grad, fused.layers["top"].acts_grad
    probs = fused.layers["probs"].acts
    magnitude = np.abs(expected) + probs  # label/p * p - p, where every product is rounded
    assert np.all(np.abs(found - expected) <= 8 * np.sqrt(len(probs) + 4) * EPSILON * magnitude)


def test_tiny_graph():
    graph = shipped("tiny").graph
    assert graph.consumers["conv2b"] == [("max1", 1), ("sum1", 1), ("sum1", 2)]
    assert graph.contributions("pool2") == 2
    assert graph.contributions("labels") == 1
    assert graph.fused == {"probs": "logprob"}
    assert graph.wants_gradient == {*graph.consumers} - {"data", "labels"}


def test_frozen_layers_stop_the_backward_pass():
    network = build(params=CHAIN_PARAMS.replace("[low]\nepsW=.5\nepsB=.25", "[low]\nepsW=0\nepsB=0"))
    assert network.graph.wants_gradient == {"top", "probs", "cost"}
    low = network.layers["low"]
    before = low.weights[0].copy()
    network.forward(batch(network))
    network.backward()
    network.update()
    assert network.layers["low_neuron"].acts_grad is None
    assert low.weights_grad == [None]
    np.testing.assert_array_equal(low.weights[0], before)
    assert np.any(network.layers["top"].weights_inc[0])


def test_layers_above_no_cost_gradient_do_not_learn():
    network = build(params=CHAIN_PARAMS.replace("coeff=1", "coeff=0"))
    assert network.graph.produces == set()
    network.forward(batch(network))
    network.backward()
    network.update()
    assert not np.any(network.layers["top"].weights_inc[0])


def test_update_by_hand():
    """One fc layer with dyadic values: both routes, the division by N and the decay, all exact."""
    network = build()
    top = network.layers["top"]
    rng = np.random.default_rng(5)
    x, grad, weights, inc, biases = (
        rng.integers(-8, 8, shape) / 8.0 for shape in ((8, 4), (4, 4), (8, 4), (8, 4), (1, 4))
    )
    top.weights[0][...], top.weights_inc[0][...], top.biases[...] = weights, inc, biases
    top.forward([x])
    (down,) = top.backward(grad, [True])
    np.testing.assert_array_equal(down, weights @ grad)
    np.testing.assert_array_equal(top.biases_grad, grad.sum(1)[None] / 4)
    expected = 0.5 * inc + 0.5 / 4 * x @ grad.T
    np.testing.assert_array_equal(top.weights_inc[0], expected)
    top.update()
    expected -= 0.25 * 0.5 * weights
    np.testing.assert_array_equal(top.weights_inc[0], expected)
    np.testing.assert_array_equal(top.weights[0], weights + expected)
    np.testing.assert_array_equal(top.biases, biases + 0.25 * grad.sum(1) / 4)


def test_noise_of_the_schedules_comes_from_the_given_normals():
    """1 + .5 * |-2| doubles the rate; the gradient and the decay draw separately."""
    noisy = RATES + "schedB=linear[1,.5]\nschedW=linear[1,.5]\n"
    network, plain = build(params=CHAIN_PARAMS.replace(RATES, noisy)), build()
    for one in (network, plain):
        one.forward(batch(one))
        one.backward()
    network.layers["top"].update(normal=lambda: -2.0)
    plain.layers["top"].update()
    np.testing.assert_array_equal(network.layers["top"].biases_inc, 2 * plain.layers["top"].biases_inc)
    draws = iter([0.0, -2.0, 7.0])
    network.layers["low"].update(normal=lambda: next(draws))
    assert next(draws) == 7  # fc: one draw for the decay, one for the biases


def test_constraints_follow_the_update():
    network = build(params=CHAIN_PARAMS.replace(RATES, RATES + "wball=.0625\n", 1))
    network.forward(batch(network))
    network.backward()
    network.update()
    norms = np.linalg.norm(network.layers["low"].weights[0], axis=0)
    assert np.all(norms <= 12 * 0.0625 * (1 + 12 * EPSILON))
    assert np.linalg.norm(network.layers["top"].weights[0], axis=0).max() > 8 * 0.0625


def test_training_lowers_the_cost():
    network = shipped("tiny")
    data = batch(network, images=32)
    before = network.forward(data, "test")["logprob"][0]
    for step in range(8):
        network.forward(data)
        network.backward(progress=step / 8)
        network.update(progress=step / 8)
    assert network.forward(data, "test")["logprob"][0] < before


def test_dropout_passes():
    network = shipped("tiny")
    data, hs = batch(network, images=16), network.layers["hs1"]
    network.forward(data, "test")
    x = hs.inputs[0]
    np.testing.assert_array_equal(hs.acts, np.float32(0.5) * x)
    mask = np.random.default_rng(6).random(x.shape) < 0.25
    network.forward(data, masks={"hs1": mask})
    np.testing.assert_array_equal(hs.acts, mask * x)
    np.testing.assert_array_equal(hs.backward(x, [True])[0], mask * x)
    network.forward(data)
    drawn = hs.mask
    network.forward(data)
    assert set(np.unique(drawn)) == {0, 1}
    assert np.any(hs.mask != drawn)
    again = shipped("tiny")
    again.forward(data, "test")
    again.forward(data, masks={"hs1": mask})
    again.forward(data)
    np.testing.assert_array_equal(again.layers["hs1"].mask, drawn)


def test_layers_alone_do_what_the_network_does():
    """Isolated forward, backward and summed gradients: the same bits."""
    network, alone = shipped("tiny"), shipped("tiny")
    data = batch(network, images=4)
    network.forward(data)
    network.backward()
    for name, layer in network.layers.items():
        if layer.spec.type != "data":
            twin = alone.layers[name]
            twin.forward(layer.inputs, mask=getattr(layer, "mask", None))
            np.testing.assert_array_equal(twin.acts, layer.acts)
            np.testing.assert_array_equal(twin.cost, layer.cost)
            assert alone.seconds(name, "forward") > 0
    order = list(network.layers)
    for name, layer in network.layers.items():
        if layer.acts_grad is not None and network.graph.contributions(name) > 1:
            readers = sorted(network.graph.consumers[name], key=lambda reader: (-order.index(reader[0]), reader[1]))
            parts = [(reader, i, network.layers[reader].acts_grad) for reader, i in readers]
            np.testing.assert_array_equal(alone.sum_grad(parts), layer.acts_grad)
    conv = alone.layers["conv3"]
    conv.backward(network.layers["conv3"].acts_grad, [True, False])
    np.testing.assert_array_equal(conv.weights_grad[1], network.layers["conv3"].weights_grad[1])


def test_backward_can_be_repeated():
    network = shipped("tiny", np.float64)
    network.forward(batch(network), "gc")
    network.backward()
    first = network.layers["rnorm1"].acts_grad.copy()
    network.backward()
    np.testing.assert_array_equal(network.layers["rnorm1"].acts_grad, first)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_has_the_networks_dtype(dtype):
    network = shipped("tiny", dtype)
    network.forward(batch(network))
    network.backward()
    network.update()
    for layer in network.layers.values():
        arrays = [layer.acts, layer.acts_grad]
        if isinstance(layer, Weighted):
            arrays += [*layer.weights, *layer.weights_inc, *layer.weights_grad, layer.biases, layer.biases_grad]
        assert {array.dtype for array in arrays if array is not None} <= {np.dtype(dtype)}


def test_release_keeps_the_parameters():
    network = shipped("tiny")
    network.forward(batch(network))
    for layer in network.layers.values():
        layer.release()
        assert layer.acts is None
    assert np.any(network.layers["fc1"].weights[0])


def test_initial_values():
    layers = shipped("tiny").layers
    conv, fc = layers["conv1"], layers["fc1"]
    assert np.all(conv.biases == np.float32(0.1))
    assert not np.any(fc.weights_inc[0])
    # the sample deviation of n normals has the relative standard deviation 1/sqrt(2n)
    weights = fc.weights[0]
    assert abs(weights.std(dtype=np.float64) / 0.05 - 1) < 5 / np.sqrt(2 * weights.size)
    drawn = np.random.default_rng(1).standard_normal((75, 16))
    np.testing.assert_array_equal(conv.weights[0], (0.1 * drawn).astype(np.float32))


@pytest.mark.slow
def test_alexnet_runs_and_learns():
    network = shipped("alexnet")
    data = batch(network, images=2, scale=50)
    network.forward(data)
    network.backward()
    network.update()
    assert network.layers["probs"].acts.shape == (1000, 2)
    assert all(
        np.all(np.isfinite(weights))
        for layer in network.layers.values()
        if isinstance(layer, Weighted)
        for weights in layer.weights
    )
    assert np.any(network.layers["conv1b"].weights_inc[0])


UNSUPPORTED = {
    "rnorm": ("type=rnorm\nchannels=3\nsize=2", "scale=1\npow=1"),
    "maxabs": ("type=pool\npool=maxabs\nchannels=3\nsizeX=2\nstride=1", ""),
    "nrelu": ("type=neuron\nneuron=nrelu", ""),
    "superEps": ("type=fc\noutputs=12\ninitW=1", RATES + "superEps=1"),
    "weightSource": ("type=fc\noutputs=12\ninitW=1\ninputs=data,data\nweightSource=,x", RATES),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_unsupported_layers_are_refused(what):
    layer, params = UNSUPPORTED[what]
    text = CHAIN.replace("inputs=data", "inputs=x").replace("[low]", f"[x]\ninputs=data\n{layer}\n[low]")
    spec = load_network(text, CHAIN_PARAMS + f"[x]\n{params}\n")
    with pytest.raises(UnsupportedLayer, match=rf"\[x\] the port cannot run .*{what}"):
        Network(spec)


def test_weights_from_a_checkpoint_are_refused_unless_told():
    network = Network(
        load_network(CHAIN.replace("initW=.5\nneuron", "initW=.5\ninitWFunc=initw.makew(a)\nneuron"), CHAIN_PARAMS)
    )
    with pytest.raises(ConfigError, match=r"\[low\] initWFunc: .*checkpoint"):
        network.initialise(np.random.default_rng(1))
    network.initialise(np.random.default_rng(1), ignore_functions=True)
    assert np.any(network.layers["low"].weights[0])


def test_misuse_is_explained():
    network = build()
    data = batch(network)
    with pytest.raises(ConfigError, match="no parameters"):
        Network(load_network(CHAIN))
    with pytest.raises(ValueError, match="data layer labels"):
        network.forward({"data": data["data"]})
    with pytest.raises(ValueError, match=r"data: expected \(12, N\)"):
        network.forward(data | {"data": data["data"].T})
    with pytest.raises(ValueError, match="pass type"):
        network.forward(data, "training")
    with pytest.raises(ValueError, match=r"low: expected inputs \(12, N\); actual \(8, 3\)"):
        network.layers["low"].forward([np.zeros((8, 3))])
    with pytest.raises(ValueError, match="run backward before update"):
        network.layers["low"].update()


def test_graph_needs_only_specs():
    assert Graph(load_network(CHAIN).layers).wants_gradient == {"low", "low_neuron", "top", "probs", "cost"}


def test_reading_layer_files_needs_no_numpy():
    code = "import sys; from alexnet_rosetta.port import load_network as load; load(sys.argv[1]); "
    code += "print('numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code, NETS / "tiny.cfg"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
