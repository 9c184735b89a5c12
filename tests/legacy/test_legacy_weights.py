"""Layers with weights in legacy.Network: against the reference, layer by layer, and by hand."""

from itertools import product

import numpy as np
import pytest
from legacy_networks import (
    assert_within,
    conv,
    data,
    fc,
    initialise,
    local,
    network,
    normal,
    same_bits,
    treefc,
)

from alexnet_rosetta.harness.network.net import Net
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows
from alexnet_rosetta.legacy import Network, Refused

RNG = np.random.default_rng(17)

# Groups that see random channels, each channel twice (overSample 2), in conv and local layers, with several inputs of
# which one is dense; local layers that share both matrices; a class tree, whose schedules are ignored.
RATES = {"epsW": 0.01, "epsB": 0.02, "momW": 0.9, "momB": 0.9, "wc": 0.01}
DEFINITION, PARAMS = (
    Net(75)
    .add("labels", "data", dataIdx=1)
    .add(
        "conv1",
        "conv",
        "data",
        RATES,
        channels=3,
        filters=16,
        filterSize=3,
        padding=1,
        stride=1,
        initW=0.3,
        partialSum=5,
        sharedBiases=0,
        neuron="relu",
    )
    .add(
        "sparse1",
        "conv",
        "conv1,conv1",
        RATES
        | {
            "epsW": "0.01,0.02",
            "momW": "0.9,0.8",
            "wc": "0.01,0.02",
            "wball": "0.01,0.005",
            "wcNormMin": "0,0.04",
            "wcNormMax": "0.02,0.05",
        },
        channels="16,16",
        filters="16,32",
        groups="4,2",
        randSparse="1,0",
        filterChannels="8,8",
        filterSize="3,1",
        padding="1,0",
        stride="1,1",
        initW="0.2,0.2",
        partialSum=5,
    )
    .add(
        "local1",
        "local",
        "sparse1,conv1",
        RATES
        | {"epsW": "0.01,0.01", "momW": "0.9,0.9", "wc": "0.01,0.01", "wball": "0.003,0", "schedW": "linear[10,0.5]"},
        channels="64,16",
        filters="16,16",
        groups="2,2",
        randSparse="1,1",
        filterChannels="64,8",
        filterSize="3,3",
        stride="2,2",
        initW="0.1,0.1",
    )
    .add(
        "local2",
        "local",
        "sparse1,conv1",
        RATES | {"epsW": "0.03,0.02", "momW": "0.5,0.5", "wc": "0.01,0.01", "schedW": "exp[10,2]"},
        channels="64,16",
        filters="16,16",
        groups="2,2",
        randSparse="1,1",
        filterChannels="64,8",
        filterSize="3,3",
        stride="2,2",
        initW="0.1,0.1",
        weightSource="local1[0],local1[1]",
    )
    .add("sum1", "eltsum", "local1,local2", coeffs="1,0.5")
    .add(
        "tree1",
        "treefc",
        "sum1",
        RATES | {"schedW": "dexp[10,0.5,4]", "schedB": "linear[10,0.5]"},
        initW=0.05,
        tree="0 1 2, 3 4, 5 6",
    )
    .softmax_cost("tree1", coeff=1)
    .files()
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("net")
    (folder / "net.cfg").write_text(DEFINITION)
    (folder / "net-params.cfg").write_text(PARAMS)
    return str(folder / "net.cfg")


@pytest.mark.parametrize(
    ("input", "mode", "point"),
    [
        ("random", "isolated", {"progress": 0.6, "update_every": 2}),
        ("exact", "isolated", {}),
        ("random", "propagated", {}),
    ],
)
def test_every_tensor_agrees_with_the_reference(files, input, mode, point):
    added = ("conv-oversample-overwrites=off",)
    work = prepare(Options(files, engines=("legacy-cpu", "port"), input=input, batch=8, quirks=added, **point))
    for row in rows(work, mode):
        if mode == "isolated":
            statuses = {found.status for found in row.findings.values()}
            assert statuses <= {"identical", "equivalent"}, (row.layer, row.step, row.tensor)
        assert set(row.origin.values()) <= {"inherited"}, (row.layer, row.step, row.tensor)


def two_groups(**changes):
    """A 1x1 convolution of one pixel, 8 channels, two groups of 16 filters that each see all of them: overSample 2."""
    sparse = {"randSparse": [True], "filterChannels": [8], "weightShapes": [[8, 32]], "groups": [2]}
    return conv("top", {"a": (8, 1, 1, 1, 0, 2)}, 32) | sparse | changes


def test_connections_choose_the_channels():
    net = network(two_groups(), a=8)
    orders = [RNG.permutation(8) for _ in range(2)]
    net.write("top", "filterConns[0]", np.concatenate(orders))
    w, x, v = (RNG.integers(-4, 4, shape).astype(np.float32) for shape in ((8, 32), (8, 4), (32, 4)))
    net.write("top", "weights[0]", w)
    net.write("top", "biases", np.zeros((32, 1), np.float32))
    net.forward("top", [x])
    net.backward("top", v)
    halves = slice(16), slice(16, 32)
    dense = np.zeros((8, 32), np.float32)
    for order, half in zip(orders, halves, strict=True):
        dense[order, half] = w[:, half]
    np.testing.assert_array_equal(net.read("top", "acts"), dense.T @ x)
    np.testing.assert_array_equal(net.read("top", "inputs_grad[0]"), dense @ v)
    grads = [x[order] @ v[half].T / 4 for order, half in zip(orders, halves, strict=True)]
    np.testing.assert_array_equal(net.read("top", "weights_grad[0]"), np.hstack(grads))


@pytest.mark.parametrize("overwrites", [False, True])
def test_gradients_through_several_uses_of_a_channel_are_added(overwrites):
    """But 2012 overwrote what other consumers had contributed."""
    below = fc("a", ["one"], [1], 8)
    layers = [data("one", 1), below, two_groups(), two_groups(name="other")]
    net = Network(layers, threads=2, quirks={"conv-oversample-overwrites": overwrites})
    for layer in (below, two_groups(), two_groups(name="other")):
        initialise(net, layer, RNG)
        if layer["name"] != "a":
            net.write(layer["name"], "filterConns[0]", np.concatenate([np.arange(8), np.arange(8)[::-1]]))
    net.forward("one", [normal(RNG, 1, 4)])
    net.forward("a")
    alone = []
    for name in ("top", "other"):
        net.forward(name, [net.read("a", "acts")])
        net.backward(name, v := np.ones((32, 4), np.float32))
        alone.append(net.read(name, "inputs_grad[0]"))
    total = alone[1] if overwrites else alone[0] + alone[1]
    assert same_bits(net.sum_grad("a", [("top", 0, v), ("other", 0, v)]), total)


@pytest.mark.parametrize(
    "table", [np.arange(8), np.zeros(16, int), np.concatenate([np.arange(8), np.arange(1, 9)]), np.arange(16) // 2]
)
def test_refused_connections(table):
    net = network(two_groups(), a=8)
    with pytest.raises(Refused, match="layer top: wrong table of connections") as refusal:
        net.write("top", "filterConns[0]", table)
    assert refusal.value.expected.startswith("2 permutation(s) of 0 ... 7")


@pytest.mark.parametrize("change", [{"channels": [0]}, {"filterChannels": [0]}, {"groups": [0]}])
def test_refused_sizes_of_sparse_inputs(change):
    with pytest.raises(Refused, match=r"layer top: input 0: .* must be positive"):
        network(two_groups(**change), a=8)


def test_connections_are_needed_and_only_there():
    net = network(two_groups(), fc("fc", ["a"], [8], 4), conv("dense", {"a": (8, 1, 1, 1, 0, 1)}, 16), a=8)
    with pytest.raises(Refused, match="layer top: the random connections of input 0 are missing"):
        net.forward("top", [normal(RNG, 8, 4)])
    with pytest.raises(Refused, match="layer fc: has no random connections"):
        net.write("fc", "filterConns[0]", np.arange(8))
    with pytest.raises(Refused, match="layer dense: input 0 has no random connections"):
        net.write("dense", "filterConns[0]", np.arange(8))


def test_a_local_layer_is_a_convolution_per_module():
    layer = local("top", "a", 4, 4, 3, 16)
    net = network(layer, a=64)
    w, b, x = (RNG.integers(-4, 5, shape).astype(np.float32) for shape in ((144, 16), (64, 1), (64, 5)))
    net.write("top", "weights[0]", w)
    net.write("top", "biases", b)
    net.forward("top", [x])
    images, expected = x.reshape(4, 4, 4, 5), np.empty((16, 2, 2, 5))
    for y, column in product(range(2), repeat=2):
        patch = images[:, y : y + 3, column : column + 3].reshape(36, 5)
        expected[:, y, column] = w.reshape(4, 36, 16)[2 * y + column].T @ patch + b.reshape(16, 2, 2, 1)[:, y, column]
    np.testing.assert_array_equal(net.read("top", "acts"), expected.reshape(64, 5))


TREE = [[], [], [], [0, 1], [2, 3]]  # classes 0, 1 below node 3; class 2 and node 3 below the root, 4


def test_a_class_tree_by_hand():
    net = network(treefc("top", "a", 2, TREE, epsW=[0.5], momW=[0.5], wc=[0.25]), a=2)
    w = np.array([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]], np.float32)
    inc, x, v = np.ones((2, 5), np.float32), np.eye(2, dtype=np.float32), np.array([[2, 0], [4, 2], [0, 6]], np.float32)
    for tensor, array in (("weights[0]", w), ("weights_inc[0]", inc), ("biases", np.array([[1, 2, 3]], np.float32))):
        net.write("top", tensor, array)
    net.forward("top", [x])
    leaves = np.array([[1 + 4 + 5, 2 + 4 + 5, 3 + 5], [6 + 9 + 10, 7 + 9 + 10, 8 + 10]], np.float32)
    np.testing.assert_array_equal(net.read("top", "acts"), leaves.T + np.array([[1], [2], [3]]))
    net.backward("top", v)
    np.testing.assert_array_equal(net.read("top", "inputs_grad[0]"), leaves @ v)
    grad = np.array([[1, 2, 0, 3, 3], [0, 1, 3, 1, 4]], np.float32)
    np.testing.assert_array_equal(net.read("top", "weights_grad[0]"), grad)
    net.update("top")
    under = np.array([1, 1, 1, 2, 3])
    delta = inc / 2 + 0.5 / under * (grad - 0.25 / under * w)
    size = inc / 2 + 0.5 / under * (np.abs(grad) + 0.25 / under * w)
    assert_within(net.read("top", "weights_inc[0]"), delta, 6, size)
    assert_within(net.read("top", "weights[0]"), w + delta, 6, size + w)
    np.testing.assert_array_equal(net.read("top", "weights_grad[0]"), grad)


def test_a_class_tree_adds_up_the_gradients_of_several_passes():
    net = network(treefc("top", "a", 2, TREE), a=2)
    for _ in range(2):
        net.forward("top", [np.ones((2, 2), np.float32)])
        net.backward("top", np.ones((3, 2), np.float32))
    np.testing.assert_array_equal(net.read("top", "weights_grad[0]"), [[2, 2, 2, 4, 6]] * 2)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ([[], [], [0], [1]], "one root"),
        ([[], [], [0, 1, 3], [2]], "one root"),
        ([[1], [], [0]], "the leaves are not the first nodes"),
    ],
)
def test_refused_trees(tree, text):
    layer = treefc("top", "a", 2, tree) | {"outputs": 2, "biasShape": [1, 2], "weightShapes": [[2, len(tree)]]}
    with pytest.raises(Refused, match="layer top: ") as refusal:
        network(layer, a=2)
    assert text in str(refusal.value)


IMAGE = 3, 6, 3, 1, 1, 1


def towers(count):
    """Convolutions per tower, a device each: they see the image, then their own tower; one layer sees all of them."""
    first = [conv(f"one{k}", {"image": IMAGE}, 16, gpu=k) for k in range(count)]
    second = [conv(f"two{k}", {f"one{k}": (16, 6, 3, 1, 1, 1)}, 16, gpu=k) for k in range(count)]
    return [*first, *second, conv("all", {f"two{k}": (16, 6, 3, 1, 1, 1) for k in range(count)}, 16, gpu=0)]


def merged(count):
    """The same with the towers side by side."""
    channels = 16 * count
    return [
        conv("one", {"image": IMAGE}, channels),
        conv("two", {"one": (channels, 6, 3, 1, 1, count)}, channels),
        conv("all", {"two": (channels, 6, 3, 1, 1, 1)}, 16),
    ]


def forward_and_backward(net, layers, x, v):
    """All tensors of one step by (layer, tensor); `v` is the gradient of the last output."""
    net.forward("image", [x])
    for layer in layers:
        net.forward(layer["name"])
    grads = {"all": v}
    for layer in reversed(layers):
        net.forward(layer["name"], [net.read(source, "acts") for source in layer["inputs"]])
        net.backward(layer["name"], grads[layer["name"]])
        if layer["inputs"] != ["image"]:
            grads |= {s: net.read(layer["name"], f"inputs_grad[{i}]") for i, s in enumerate(layer["inputs"])}
        net.update(layer["name"])
    return grads


def digits(*shape):
    """-1, 0 or 1: all sums are exact."""
    return RNG.integers(-1, 2, shape).astype(np.float32)


def transplant(whole, apart, layers, count):
    """Draw the parameters of a merged network, and give the towers their parts."""
    for layer in layers:
        name = layer["name"]
        w, b = digits(*layer["weightShapes"][0]), digits(*layer["biasShape"])
        whole.write(name, "weights[0]", w)
        whole.write(name, "biases", b)
        for k in range(count):
            if name == "all":
                apart.write("all", f"weights[{k}]", w[144 * k : 144 * k + 144])
            else:
                apart.write(f"{name}{k}", "weights[0]", w[:, 16 * k : 16 * k + 16])
                apart.write(f"{name}{k}", "biases", b[16 * k : 16 * k + 16])
    apart.write("all", "biases", b)


@pytest.mark.parametrize("count", [2, 4])
def test_towers_on_one_device_are_groups(count):
    apart, whole = towers(count), merged(count)
    many, one = (Network([data("image", 108), *layers], threads=2) for layers in (apart, whole))
    transplant(one, many, whole, count)
    x, v = digits(108, 8), digits(16 * 36, 8)
    found, wanted = (forward_and_backward(*each, x, v) for each in ((many, apart), (one, whole)))
    for name in ("one", "two"):
        joined = {
            "acts": np.concatenate([many.read(f"{name}{k}", "acts") for k in range(count)]),
            "weights_grad[0]": np.hstack([many.read(f"{name}{k}", "weights_grad[0]") for k in range(count)]),
            "weights[0]": np.hstack([many.read(f"{name}{k}", "weights[0]") for k in range(count)]),
            "biases": np.vstack([many.read(f"{name}{k}", "biases") for k in range(count)]),
        }
        for tensor, array in joined.items():
            np.testing.assert_array_equal(array, one.read(name, tensor))
        np.testing.assert_array_equal(np.concatenate([found[f"{name}{k}"] for k in range(count)]), wanted[name])
    np.testing.assert_array_equal(many.read("all", "acts"), one.read("all", "acts"))
    assert np.abs(one.read("all", "acts")).max() > 16
