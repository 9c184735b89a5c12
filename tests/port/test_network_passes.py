"""Pass types, views, fused costs, noise, half precision between devices, class trees in networks."""

import numpy as np
import pytest
from toy_networks import CHAIN, CHAIN_PARAMS, RATES, batch, build, one_thread  # noqa: F401

from alexnet_rosetta.harness.network.net import Net, sections
from alexnet_rosetta.port import ConfigError, Network, Tree, costs, load_network
from alexnet_rosetta.port.network import half

EPSILON = np.finfo(np.float64).eps


def test_views_are_averaged():
    network = build()
    views = [batch(network) | {"data": batch(network)["data"] * scale} for scale in (1, 2, 3)]
    found = []
    for view in views:
        network.forward(view, "test")
        found.append(network.layers["probs"].acts)
    cost = network.forward_views(views)["cost"]
    mean = (found[0] + found[1] + found[2]) / 3
    np.testing.assert_array_equal(network.layers["cost"].mean_probs, mean)
    np.testing.assert_array_equal(cost, costs.logreg_cost(views[0]["labels"], mean))
    np.testing.assert_array_equal(network.forward_views(views[:1])["cost"], network.forward(views[0], "test")["cost"])
    assert network.forward(views[0], "first_view") == {}
    two = network.forward_views(views[:2])["cost"]
    np.testing.assert_array_equal(two, costs.logreg_cost(views[0]["labels"], (found[0] + found[1]) / 2))
    for one in (network, build()):
        with pytest.raises(ValueError, match="no first view"):
            one.forward(views[0], "last_view")


RSCALE = CHAIN.replace("dims=12", "dims=108").replace(
    "[low]\ntype=fc\ninputs=data",
    "[small]\ntype=rscale\ninputs=data\nchannels=3\nmaxScale=1.5\n[low]\ntype=fc\ninputs=small",
)


def test_random_scale_in_all_passes():
    network = build(RSCALE)
    small, data = network.layers["small"], batch(network)
    assert small.spec["tgtSize"] == 4
    network.forward(data, "test")
    center = data["data"].reshape(3, 6, 6, -1)[:, 1:5, 1:5].reshape(48, -1)
    np.testing.assert_array_equal(small.acts, center)
    for kind in ("gc", "features", "first_view"):
        network.forward(data, kind)
        np.testing.assert_array_equal(small.acts, center)
    views = [data | {"data": center * scale} for scale in (1, 2)]
    network.forward_views(views)  # views may come at their final size
    np.testing.assert_array_equal(small.acts, 2 * center)
    with pytest.raises(ValueError, match=r"small: expected inputs \(108, N\)"):
        network.forward(views[0], "train")
    network.forward(data)
    drawn = small.drawn
    network.forward(data)
    assert small.drawn != drawn
    network.forward(data, noise={"small": [0.5, 0.25, 0.5, 0.75]})
    given = small.acts
    network.forward(data, noise={"small": [0.5, 0.25, 0.5, 0.75]})
    np.testing.assert_array_equal(small.acts, given)


def test_random_pooling_that_takes_the_maximum():
    text = CHAIN.replace("[low]", "[pool]\ntype=pool\npool=rand\nchannels=3\nsizeX=2\nstride=1\ninputs=data\n[low]")
    text = text.replace("inputs=data\noutputs", "inputs=pool\noutputs")
    network = build(text, CHAIN_PARAMS + "[pool]\ndoMax=1\n")
    data = batch(network)
    network.forward(data)
    np.testing.assert_array_equal(network.layers["pool"].acts, data["data"].reshape(3, 4, -1).max(axis=1))


def test_noisy_neurons_are_noisy_in_every_pass():
    network = build(CHAIN.replace("tanh[1,1]", "nrelu"))
    data, neuron = batch(network), network.layers["low_neuron"]
    for kind in ("train", "test", "gc"):
        network.forward(data, kind)
        assert np.any(neuron.acts != np.maximum(neuron.inputs[0], 0))
    network.forward(data, noise={"low_neuron": np.full((8, 3), 0.5)})
    np.testing.assert_array_equal(neuron.acts, 1.5 * np.maximum(neuron.inputs[0], 0))


TARGETS = """
[data]
type=data
dataIdx=0
dims=12
[targets]
type=data
dataIdx=1
dims=4
[top]
type=fc
inputs=data
outputs=4
initW=.5
"""
PAIRS = {
    "crossent": "[probs]\ntype=softmax\ninputs=top\n[cost]\ntype=cost.crossent\ninputs=targets,probs\n",
    "crossent2": "[probs]\ntype=neuron\nneuron=logistic\ninputs=top\n"
    "[cost]\ntype=cost.crossent2\ninputs=targets,probs\n",
}


@pytest.mark.parametrize("kind", PAIRS)
def test_one_step_and_two_steps_agree(kind):
    """A second consumer of coefficient 0 separates them."""
    text, params = TARGETS + PAIRS[kind], f"[top]\n{RATES}[cost]\ncoeff=.5\n"
    data = {"data": np.random.default_rng(5).standard_normal((12, 3)), "targets": np.full((4, 3), 0.25)}
    networks = []
    for more in ("", "[other]\ntype=cost.sum2\ninputs=probs\n"):
        network = build(text + more, params + ("[other]\ncoeff=0\n" if more else ""))
        network.forward(data)
        network.backward()
        networks.append(network)
    assert [network.graph.fused for network in networks] == [{"probs": "cost"}, {}]
    found, expected = (network.layers["top"].acts_grad for network in reversed(networks))
    assert np.abs(found - expected).max() <= 64 * EPSILON


def test_a_fused_layer_can_also_be_given_a_gradient():
    network = build()
    network.forward(batch(network))
    probs, cost = network.layers["probs"], network.layers["cost"]
    (two_step,) = probs.backward(cost.backward(None, [False, True])[1], [True])
    (one_step,) = probs.backward(None, [True])
    assert np.abs(two_step - one_step).max() <= 64 * EPSILON


@pytest.mark.parametrize("rows", [1, 2])
def test_a_single_row_may_take_the_gate_of_the_first_case(rows):
    text = f"[data]\ntype=data\ndataIdx=0\ndims={rows}\n[gate]\ntype=data\ndataIdx=1\n"
    network = build(text + "[cost]\ntype=cost.gsum2\ninputs=gate,data\n", "[cost]\ncoeff=1\n")
    x, gate = np.arange(1.0, 3 * rows + 1).reshape(rows, 3), np.array([[2.0, 0, 5]])
    for on in (False, True):
        network.set_quirk("one-row-vectors", on)
        seen = np.full((1, 3), 2.0) if on and rows == 1 else gate
        assert network.forward({"data": x, "gate": gate})["cost"] == (seen * x * x).sum()
        np.testing.assert_array_equal(network.layers["cost"].backward(None, [False, True])[1], -2 * seen * x)


@pytest.mark.parametrize(("size", "on", "total"), [(5, True, 3), (6, True, 2), (7, True, 2), (7, False, 3)])
def test_norms_over_large_windows_may_overwrite_earlier_gradients(size, on, total):
    text = f"[data]\ntype=data\ndataIdx=0\ndims=49\n[norm]\ntype=rnorm\ninputs=data\nchannels=1\nsize={size}\n"
    network = build(text + "[cost]\ntype=cost.sum2\ninputs=norm\n", "[norm]\nscale=1\npow=.5\n[cost]\ncoeff=1\n")
    network.set_quirk("norm-undo-add-inverted", on)
    found = network.layers["norm"].add_grad(0, np.ones((49, 2)), np.full((49, 2), 2.0))
    np.testing.assert_array_equal(found, total)


def test_targets_that_are_computed_get_no_gradient():
    text = TARGETS + "[low]\ntype=fc\ninputs=targets\noutputs=4\ninitW=.5\nneuron=logistic\n"
    text += PAIRS["crossent2"].replace("targets,", "low,")
    network = build(text, f"[top]\n{RATES}[low]\n{RATES}[cost]\ncoeff=.5\n")
    network.forward({"data": np.ones((12, 3)), "targets": np.full((4, 3), 0.25)})
    network.backward()
    assert network.layers["low"].acts_grad is None
    assert network.layers["top"].biases_grad.any()


TOWERS = sections(
    Net(12)
    .add("low", "fc", "data", outputs=8, initW=1, gpu=0)
    .add("a", "fc", "low,low", outputs=4, initW="1,1", gpu=1)
    .add("b", "fc", "low", outputs=4, initW=1, gpu=1)
    .add("c", "fc", "low", outputs=4, initW=1, gpu=2)
    .add("d", "fc", "low", outputs=4, initW=1)
    .add("sum", "eltsum", "a,b,c,d")
    .add("cost", "cost.sum2", "sum")
    .layers
)
TOWER_PARAMS = "".join(f"[{name}]\n{RATES}" for name in "abcd") + f"[low]\n{RATES}QUANT\n[cost]\ncoeff=.01\n"


def test_half_precision_between_devices():
    """Each device gets one rounded copy and sends one rounded sum; the own device rounds nothing."""
    spec = load_network(TOWERS, TOWER_PARAMS.replace("QUANT", "quantF=half\nquantB=half"))
    data = {"data": np.random.default_rng(6).standard_normal((12, 3))}
    network, plain = Network(spec, quantise=True), Network(spec)
    for one in (network, plain):
        one.initialise(np.random.default_rng(7))
        one.forward(data)
    low, rounded = network.layers["low"], half(network.layers["low"].acts)
    assert np.any(rounded != low.acts)
    for name, seen in (("a", rounded), ("b", rounded), ("c", rounded), ("d", low.acts)):
        for x in network.layers[name].inputs:
            np.testing.assert_array_equal(x, seen)
    np.testing.assert_array_equal(plain.layers["c"].inputs[0], low.acts)
    network.backward()
    assert not network._sent  # what was sent is taken once
    parts = {name: network.layers[name].inputs_grad(network.layers[name].acts_grad, [True] * count)
             for name, count in (("a", 2), ("b", 1), ("c", 1), ("d", 1))}  # fmt: skip
    device1 = parts["b"][0] + parts["a"][0]
    device1 += parts["a"][1]
    expected = parts["d"][0] + half(parts["c"][0])
    expected += half(device1)
    np.testing.assert_array_equal(low.acts_grad, expected)
    order = [("d", 0), ("c", 0), ("b", 0), ("a", 0), ("a", 1)]
    again = network.sum_grad([(name, i, network.layers[name].acts_grad) for name, i in order])
    np.testing.assert_array_equal(again, expected)


def test_a_forward_pass_forgets_what_was_sent_for_its_output():
    network = Network(load_network(TOWERS, TOWER_PARAMS.replace("QUANT", "quantB=half")), quantise=True)
    network.initialise(np.random.default_rng(7))
    data = {"data": np.random.default_rng(6).standard_normal((12, 3))}
    network.forward(data)
    for name in ("cost", "sum", "c"):
        network.backward_layer(name)
    assert network.received("low") is not None
    network.forward(data)
    assert network.received("low") is None


@pytest.mark.parametrize("quant", ["", "quantF=default", "quantF=half"])
def test_nothing_is_rounded_unless_asked_for(quant):
    spec = load_network(TOWERS, TOWER_PARAMS.replace("QUANT", quant))
    network = Network(spec, quantise=quant != "quantF=half")
    network.initialise(np.random.default_rng(7))
    network.forward({"data": np.random.default_rng(6).standard_normal((12, 3))})
    network.backward()
    np.testing.assert_array_equal(network.layers["c"].inputs[0], network.layers["low"].acts)


def test_half_precision_is_ieee():
    values = np.array([1 + 2**-11, 1 + 3 * 2**-11, 65504, 65520, 2**-25, -0.0], np.float32)
    expected = np.array([1, 1 + 2**-9, 65504, np.inf, 0, -0.0], np.float32)  # ties to even; no error for too large
    assert half(values).tobytes() == expected.tobytes()


TREE = (
    CHAIN.replace("[top]\ntype=fc", "[top]\ntype=treefc")
    .replace("inputs=low\noutputs=4\n", "inputs=low\ntree=0 1, 4 2, 5 3\n")
    .replace("neuron=tanh[1,1]\n", "")
)


def test_class_trees_come_from_the_file_or_from_outside():
    spec = load_network(TREE, CHAIN_PARAMS)
    assert spec["top"].tree == Tree(((), (), (), (), (0, 1), (4, 2), (5, 3)), 6)
    assert (spec["top"].outputs, spec["top"]["rootLabel"], spec.warnings) == (4, 6, ())
    other = Tree(((), (), (), (0, 1, 2)), 3)
    spec = load_network(TREE, CHAIN_PARAMS, tree=other)
    assert (spec["top"].tree, spec["top"].outputs) == (other, 3)
    for bad in ("0 1 2, 3 9", "0 1, , 2", "0 x", "4 4, 0 1", "0 1, 4 0, 5 3"):
        with pytest.raises(ConfigError, match="tree"):
            load_network(TREE.replace("0 1, 4 2, 5 3", bad), CHAIN_PARAMS)


def test_a_tree_layer_learns_its_offsets():
    """Rate and decay of a node by its number of leaves; schedules, norm bounds and superEps are ignored."""
    params = CHAIN_PARAMS.replace(f"[top]\n{RATES}", f"[top]\n{RATES}schedW=exp[1000]\nschedB=exp[1000]\nwball=1e-9\n")
    network = build(TREE, params)
    top = network.layers["top"]
    assert top.weights[0][:, :4].all()
    assert not top.weights[0][:, 4:].any()
    top.weights[0][:, 4:] = 0.125
    network.forward(batch(network))
    leaves = np.stack([top.weights[0][:, path].sum(axis=1) for path in ([6, 5, 4, 0], [6, 5, 4, 1], [6, 5, 2], [6, 3])])
    assert np.abs(top.acts - leaves @ top.inputs[0]).max() <= 64 * EPSILON * np.abs(top.acts).max()
    network.backward()
    by_leaf = top.inputs[0] @ top.acts_grad.T / 3
    sums = np.column_stack([by_leaf, by_leaf[:, :2].sum(1), by_leaf[:, :3].sum(1), by_leaf.sum(1)])
    assert np.abs(top.weights_grad[0] - sums).max() <= 64 * EPSILON
    before, counts = top.weights[0].copy(), np.array([1, 1, 1, 1, 2, 3, 4])
    wanted = np.float32(top.spec["epsB"]) * top.biases_grad
    network.update(progress=0.5)
    np.testing.assert_array_equal(top.biases_inc, wanted)
    step = 0.5 / counts * (sums - 0.25 / counts * before)
    assert np.abs(top.weights_inc[0] - step).max() <= 64 * EPSILON
    np.testing.assert_array_equal(top.weights[0], before + top.weights_inc[0])


def test_a_tree_layer_without_a_rate_stays_as_it_is():
    network = build(TREE, CHAIN_PARAMS.replace(f"[top]\n{RATES}", f"[top]\n{RATES.replace('epsW=.5', 'epsW=0')}"))
    top = network.layers["top"]
    before = top.weights[0].copy()
    network.forward(batch(network))
    network.backward()
    network.update()
    np.testing.assert_array_equal(top.weights[0], before)
    assert top.biases.any()


def test_schedule_noise_of_the_direct_route_comes_from_the_given_normals():
    noisy = RATES + "schedW=linear[1,.5]\n"
    network, plain = build(params=CHAIN_PARAMS.replace(RATES, noisy)), build()
    for one in (network, plain):
        one.forward(batch(one))
    network.backward(normal=lambda: 2.0)
    plain.backward()
    for name in ("low", "top"):
        np.testing.assert_array_equal(network.layers[name].weights_inc[0], 2 * plain.layers[name].weights_inc[0])
