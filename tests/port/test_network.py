"""Whole networks: the graph, updates, pass types, single layers, refusals."""

import gc
import subprocess
import sys
from functools import partial
from time import perf_counter

import numpy as np
import pytest
from toy_networks import CHAIN, CHAIN_PARAMS, NETS, RATES, batch, build, one_thread, shipped  # noqa: F401

from alexnet_rosetta.port import ConfigError, Graph, Network, buffers, load_network
from alexnet_rosetta.port.weight_layers import Weighted

EPSILON = np.finfo(np.float64).eps


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
    assert list(low.weights_grad) == [None]
    assert "backward" not in low.seconds
    np.testing.assert_array_equal(low.weights[0], before)
    assert np.any(network.layers["top"].weights_inc[0])


@pytest.mark.parametrize("frozen", ["epsW", "epsB"])
def test_what_is_frozen_collects_nothing(frozen):
    params = CHAIN_PARAMS.replace("epsW=.5" if frozen == "epsW" else "epsB=.25", f"{frozen}=0")
    network = build(params=params)
    network.forward(batch(network), "gc")
    network.backward()
    top = network.layers["top"]
    assert [top.weights_grad[0] is None, top.biases_grad is None] == [frozen == "epsW", frozen == "epsB"]


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
    network.forward(data, noise={"hs1": mask})
    np.testing.assert_array_equal(hs.acts, mask * x)
    np.testing.assert_array_equal(hs.backward(x, [True])[0], mask * x)
    network.forward(data)
    drawn = hs.mask
    network.forward(data)
    assert set(np.unique(drawn)) == {0, 1}
    assert np.any(hs.mask != drawn)
    again = shipped("tiny")
    again.forward(data, "test")
    again.forward(data, noise={"hs1": mask})
    again.forward(data)
    np.testing.assert_array_equal(again.layers["hs1"].mask, drawn)


def test_drawn_masks_keep_the_given_share():
    """Within five standard deviations of a binomial count."""
    text = CHAIN.replace("[top]\ntype=fc\ninputs=low", "[hs]\ntype=hs\ninputs=low\nkeep=.25\n[top]\ntype=fc\ninputs=hs")
    network = build(text, CHAIN_PARAMS + "[hs]\nenable=1\n")
    network.forward(batch(network, images=5000))
    mask = network.layers["hs"].mask
    assert abs(mask.sum() - 0.25 * mask.size) < 5 * np.sqrt(0.25 * 0.75 * mask.size)
    disabled = build(text, CHAIN_PARAMS + "[hs]\nenable=0\n").layers["hs"]
    x = np.arange(16.0).reshape(8, 2)
    np.testing.assert_array_equal(disabled.forward([x]), x / 4)
    np.testing.assert_array_equal(disabled.backward(x, [True])[0], x / 4)


def test_layers_alone_do_what_the_network_does():
    """Isolated forward, backward and summed gradients: the same bits."""
    network, alone = shipped("tiny"), shipped("tiny")
    data = batch(network, images=4)
    network.forward(data)
    network.backward()
    for name, layer in network.layers.items():
        if layer.spec.type != "data":
            twin = alone.layers[name]
            twin.forward(layer.inputs, noise=getattr(layer, "mask", None))
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


def test_release_forgets_what_a_pass_left():
    network, rng = shipped("zoo"), np.random.default_rng(0)
    network.forward({"data": rng.random((768, 4)), "labels": np.zeros((1, 4))})
    network.backward()
    for layer in network.layers.values():
        layer.release()
        left = [layer.acts, layer.acts_grad, *layer.inputs]
        names = ("denoms", "diffs", "marginals", "reciprocals", "_leaf_weights")
        assert [*left, *(getattr(layer, name, None) for name in names)] == [None] * (2 + len(names)), layer.spec.name


def test_memory_goes_back_to_the_system_with_the_network():
    network = build()
    array = buffers.empty((buffers.SMALLEST,), np.uint8)
    del array
    assert buffers._idle
    del network
    gc.collect()
    assert not buffers._idle


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
    with pytest.raises(ValueError, match=r"cost: expected inputs \(1, N\), \(4, N\); actual \(1, 3\), \(4, 2\)"):
        network.layers["cost"].forward([np.zeros((1, 3)), np.ones((4, 2))])
    with pytest.raises(ValueError, match="run backward before update"):
        network.layers["low"].update()


def test_graph_needs_only_specs():
    graph = Graph(load_network(CHAIN).layers)
    assert graph.wants_gradient == {"low", "low_neuron", "top", "probs", "cost"}
    assert graph.produces == set()  # without parameters no cost has a weight


def test_training_begins_at_progress_0_and_noise_at_seed_0():
    schedules = RATES + "schedW=exp[16]\nschedB=exp[16]\n"
    params = CHAIN_PARAMS.replace(RATES, schedules)

    def learnt(**progress):
        network = build(params=params)
        low, grads = network.layers["low"], np.ones((8, 3))
        network.forward(batch(network))
        found = []
        for step in (
            network.backward,
            network.update,
            partial(low.backward, grads, [False]),
            low.update,
            partial(low.params_grad, grads),
            low.update_weights,
            partial(network.backward_layer, "low"),
        ):
            low.acts_grad = grads
            step(**progress)
            found.append(low.weights_inc[0] + low.weights[0])
        return found

    for default, none, late in zip(learnt(), learnt(progress=0.0), learnt(progress=0.25), strict=True):
        np.testing.assert_array_equal(default, none)
        assert np.any(default != late)
    assert Network(load_network(CHAIN, CHAIN_PARAMS)).rng.random() == np.random.default_rng(0).random()


def test_seconds_are_those_of_the_step():
    network = build()
    for step, run in (
        ("forward", lambda: network.forward(batch(network))),
        ("backward", network.backward),
        ("update", network.update),
    ):
        begin = perf_counter()
        run()
        assert 0 < network.seconds("low", step) <= perf_counter() - begin


def test_a_forward_pass_without_an_update_starts_a_new_sum():
    network = build()
    found = []
    for _ in range(2):
        for name, layer in network.layers.items():
            if name in ("data", "labels"):
                layer.feed(batch(network)[name])
            else:
                network.forward_layer(name, "gc")
                layer.acts_grad = None
        for name in ("probs", "top", "low_neuron", "low"):
            network.backward_layer(name)
        found.append(network.layers["low"].weights_grad[0].copy())
    np.testing.assert_array_equal(*found)


def test_one_pass_for_an_update_is_divided_by_its_own_images():
    network = Network(load_network(CHAIN, CHAIN_PARAMS), minibatch=128)
    assert [layer.cases for layer in network.weighted] == [None, None]
    assert [layer.cases for layer in Network(network.spec, update_every=2, minibatch=3).weighted] == [6, 6]


def test_reading_layer_files_needs_no_numpy():
    code = "import sys; from alexnet_rosetta.port import load_network as load; load(sys.argv[1]); "
    code += "print('numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code, NETS / "tiny.cfg"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_layer_before_its_inputs_is_refused():
    network = build(CHAIN, CHAIN_PARAMS)
    with pytest.raises(ValueError, match="low: expected an output of data, actual none; hint: run data forward first"):
        network.forward_layer("low")
