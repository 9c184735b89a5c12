"""Sizes that layer files leave to be derived: common to all engines, so held against numbers and other oracles."""

from pathlib import Path

import pytest
from small_nets import PARAMS, WEIGHTS, write_net

from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.network import solver

LINES = [
    line.split()
    for line in (Path(__file__).parent / "derived.txt").read_text(encoding="utf-8").splitlines()
    if line[:1] != "#"
]
NETS = sorted({line[0] for line in LINES})
KEYS = {"weights": "weightShapes", "biases": "biasShape"}
DERIVED = ("imgSize", "modulesX", "outputsX", "start", "tgtSize", "filterChannels", "weights", "biases", "copyOffsets",
           "scale", "wballNormed", "wcNormMax", "wcNormMin", "numOut")  # fmt: skip

BENCHDNN = {
    "conv1": (1, 3, 227, 96, 55, 11, 4, 0),
    "conv2": (2, 96, 27, 256, 27, 5, 1, 2),
    "conv3": (1, 256, 13, 384, 13, 3, 1, 1),
    "conv4": (2, 384, 13, 384, 13, 3, 1, 1),
    "conv5": (2, 384, 13, 256, 13, 3, 1, 1),
}
"""AlexNet's convolutions in oneDNN's benchdnn: groups, channels, side, filters, side, kernel, stride, padding."""
BENCHDNN_POOLS = {"pool1": (96, 55, 27), "pool2": (256, 27, 13), "pool5": (256, 13, 6)}
BENCHDNN_PRODUCTS = {"fc6": (9216, 4096), "fc7": (4096, 4096), "fc1000": (4096, 1000)}


@pytest.fixture(scope="module", params=NETS)
def net(request):
    return networks.load(request.param)


def written(value):
    """A derived value as it stands in the table."""
    if isinstance(value, tuple):
        shape = len(value) == 2 and all(isinstance(item, int) for item in value)
        return ("x" if shape else ",").join(map(written, value))
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def line_of(net, layer):
    known = {name: layer.get(KEYS.get(name, name)) for name in DERIVED}
    sizes = {name: listed(name, value) for name, value in known.items() if value is not None}
    bounds = ("wballNormed", "wcNormMax", "wcNormMin")
    shown = [f"{name}={text}" for name, text in sizes.items() if name not in bounds or set(text) - set("0,")]
    return [net.name, layer.name, layer.type, str(layer.outputs), *shown]


def listed(name, value):
    """A list with an entry for each input is written with commas, a shape as rows x columns."""
    lists = isinstance(value, tuple) and name != "biases"
    return ",".join(map(written, value)) if lists else written(value)


def test_every_shipped_network_is_in_the_table():
    assert networks.shipped() == NETS


def test_derived_values_are_those_written_down(net):
    """A new layer of a shipped network gets its line in derived.txt, worked out by hand."""
    assert [line_of(net, layer) for layer in net.layers] == [line for line in LINES if line[0] == net.name]


def windows(end, first, size, stride):
    """How many windows it takes to reach pixel ``end - 1``, placed one by one."""
    count, start = 1, first
    while start + size < end:
        count, start = count + 1, start + stride
    return count


def test_windows_placed_one_by_one(net):
    for layer in net.layers:
        outputs = None
        if layer.type in ("conv", "local"):
            outputs = layer["filters"] * layer["modulesX"] ** 2
            keys = ("imgSize", "padding", "filterSize", "stride", "channels", "groups", "overSample", "weightShapes")
            for side, first, size, stride, channels, groups, over, shape in zip(*map(layer.get, keys), strict=True):
                assert layer["modulesX"] == windows(side - first, first, size, stride), layer.name
                times = layer["modulesX"] ** 2 if layer.type == "local" else 1
                assert shape == (channels * over // groups * size**2 * times, layer["filters"]), layer.name
        elif layer.type == "pool":
            assert layer["outputsX"] == windows(layer["imgSize"], layer["start"], layer["sizeX"], layer["stride"])
            outputs = layer["channels"] * layer["outputsX"] ** 2
        elif layer.type == "nailbed":
            nails = range(layer["start"], layer["imgSize"], layer["stride"])
            assert len(nails) == layer["outputsX"]
            assert abs(nails[0] - (layer["imgSize"] - 1 - nails[-1])) <= 1, "as near the left border as the right"
            outputs = layer["channels"] * len(nails) ** 2
        elif layer.type in ("fc", "treefc"):
            assert [shape[0] for shape in layer["weightShapes"]] == list(layer["numInputs"])
        elif layer.type == "concat":
            outputs = sum(layer["numInputs"])
        elif layer.type in ("cmrnorm", "rnorm", "cnorm", "blur", "neuron", "hs", "softmax", "eltsum", "eltmax"):
            outputs = layer["numInputs"][0]
        assert outputs in (None, layer.outputs), layer.name
        assert layer.get("numInputs", ()) == tuple(net.graph.layers[name].outputs for name in layer.inputs)


def towers(layers, name):
    return [layers[f"{name}{tower}"] for tower in "ab"] if f"{name}a" in layers else [layers[name]]


@pytest.mark.parametrize("name", BENCHDNN)
def test_convolutions_of_alexnet_are_those_of_benchdnn(name):
    """conv1 reads 227 pixels there, rounded down, and 224 here, rounded up: the last of 55 windows ends at 227."""
    groups, channels, side, filters, outputs, kernel, stride, padding = BENCHDNN[name]
    layers = networks.load("alexnet").graph.layers
    assert (side + 2 * padding - kernel) % stride == 0, "nothing to round"
    assert (side + 2 * padding - kernel) // stride + 1 == outputs
    two = towers(layers, name)
    assert [layer["modulesX"] for layer in two] == [outputs, outputs]
    assert sum(layer["filters"] for layer in two) == filters
    assert {tuple(layer[key][0] for key in ("filterSize", "stride", "padding")) for layer in two} == {
        (kernel, stride, -padding)
    }
    seen = [sum(layer["channels"]) for layer in two]
    assert seen == [channels // groups] * 2, "a group is a tower"
    ours = 224 if name == "conv1" else side
    assert {layer["imgSize"][0] for layer in two} == {ours}
    last = two[0]["padding"][0] + stride * (outputs - 1) + kernel
    assert last == side + padding, "the pixels that the last window reaches"
    assert last - ours == {"conv1": 3}.get(name, padding), "zeros at the right border"


@pytest.mark.parametrize("name", BENCHDNN)
def test_convolutions_of_caffe_are_those_of_benchdnn(name):
    """In one tower with groups, on 227 pixels: there is nothing to round."""
    layer = networks.load("caffe").graph.layers[name]
    found = [layer[key][0] for key in ("groups", "channels", "imgSize")] + [layer["filters"], layer["modulesX"]]
    found += [layer[key][0] for key in ("filterSize", "stride")]
    assert (*found, -layer["padding"][0]) == BENCHDNN[name]


@pytest.mark.parametrize("name", BENCHDNN_POOLS)
def test_pools_of_alexnet_are_those_of_benchdnn(name):
    channels, side, outputs = BENCHDNN_POOLS[name]
    two = towers(networks.load("alexnet").graph.layers, name)
    assert [(layer["imgSize"], layer["outputsX"], layer["sizeX"], layer["stride"]) for layer in two] == [
        (side, outputs, 3, 2)
    ] * 2
    assert sum(layer["channels"] for layer in two) == channels


@pytest.mark.parametrize("name", BENCHDNN_PRODUCTS)
def test_products_of_alexnet_are_those_of_benchdnn(name):
    inputs, outputs = BENCHDNN_PRODUCTS[name]
    found = towers(networks.load("alexnet").graph.layers, name)
    assert {sum(layer["numInputs"]) for layer in found} == {inputs}
    assert sum(layer.outputs for layer in found) == outputs


@pytest.mark.parametrize(
    ("rate", "rates"),
    [
        ("0.5", [0.5] * 5),
        ("const[base=0.5]", [0.5] * 5),
        ("linear[base=1;tgtFactor=4]", [1, 0.8125, 0.625, 0.4375, 0.25]),
        ("exp[base=2;tgtFactor=16]", [2, 1, 0.5, 0.25, 0.125]),
        ("dexp[base=.01;tgtFactor=100;numSteps=3]", [0.01, 0.01, 0.001, 0.0001, 0.0001]),
    ],
)
@pytest.mark.parametrize("key", ["epsW", "epsB"])
def test_rates_of_2014_along_a_training(tmp_path, key, rate, rates):
    """At the beginning, after a quarter, half, three quarters, and at the end."""
    own = "".join(f"{key}={rate}\n" if line.startswith(key) else f"{line}\n" for line in WEIGHTS.split())
    changed = PARAMS.replace(WEIGHTS, own, 1)
    layer = networks.load(write_net(tmp_path, params=changed)).graph.layers["conv1"]
    names = {"epsW": "weights[0]", "epsB": "biases"}
    found = [solver.rate(layer, names[key], quarter / 4) for quarter in range(5)]
    assert found == pytest.approx(rates)
    other = names["epsB" if key == "epsW" else "epsW"]
    assert [solver.rate(layer, other, p) for p in (0, 0.5, 1)] == [0.02 if other == "biases" else 0.01] * 3
