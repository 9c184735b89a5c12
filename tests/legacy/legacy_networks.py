"""Layer dictionaries, small networks and comparisons for the tests of legacy.Network."""

from pathlib import Path

import numpy as np

from alexnet_rosetta import harness
from alexnet_rosetta.legacy import Network
from alexnet_rosetta.port.config import load_network

NETS = Path(harness.__file__).parent / "network" / "shipped"
CONSTANT = {"type": "default", "params": {}}


def learning(inputs, **changes):
    """Solver keys of a weight layer; powers of two, so that scaling rounds nothing."""
    keys = {"epsW": [0.5] * inputs, "epsB": 0.25, "momW": [0.5] * inputs, "momB": 0.75, "wc": [0.125] * inputs}
    return keys | {"schedW": CONSTANT, "schedB": CONSTANT} | changes


def data(name, outputs):
    """A data layer."""
    return {"name": name, "type": "data", "inputs": [], "outputs": outputs}


def fc(name, inputs, rows, outputs, **changes):
    """A fully-connected layer; `rows` are the outputs of its inputs."""
    shapes = {"weightShapes": [[n, outputs] for n in rows], "biasShape": [1, outputs]}
    return {"name": name, "type": "fc", "inputs": inputs, "outputs": outputs} | shapes | learning(len(rows), **changes)


def treefc(name, source, rows, tree, **changes):
    """A fully-connected layer over a class tree: `tree` lists the children of every node, leaves first."""
    leaves = sum(not children for children in tree)
    keys = {"weightShapes": [[rows, len(tree)]], "biasShape": [1, leaves], "tree": tree}
    return fc(name, [source], [rows], leaves) | {"type": "treefc"} | keys | changes


def conv(name, inputs, filters, **changes):
    """A convolution; `inputs` maps source → (channels, image side, filter side, stride, padding, groups)."""
    channels, img, size, stride, padding, groups = (list(column) for column in zip(*inputs.values(), strict=True))
    side = 1 + -(-(2 * padding[0] + img[0] - size[0]) // stride[0])
    shapes = [[c // g * s * s, filters] for c, g, s in zip(channels, groups, size, strict=True)]
    layer = {
        "name": name, "type": "conv", "inputs": list(inputs), "outputs": filters * side * side, "filters": filters,
        "channels": channels, "imgSize": img, "filterSize": size, "stride": stride, "groups": groups,
        "padding": [-p for p in padding], "modulesX": side, "randSparse": [False] * len(img), "partialSum": 0,
        "sharedBiases": True, "weightShapes": shapes, "biasShape": [filters, 1],
    }  # fmt: skip
    return layer | learning(len(img)) | changes


def local(name, source, channels, img, size, filters, **changes):
    """A locally connected layer, stride 1, no padding."""
    side = img - size + 1
    rows = side * side * channels * size * size
    keys = {
        "type": "local", "filters": filters, "channels": [channels], "imgSize": [img], "filterSize": [size],
        "stride": [1], "groups": [1], "padding": [0], "modulesX": side, "randSparse": [False],
        "weightShapes": [[rows, filters]], "biasShape": [side * side * filters, 1],
    }  # fmt: skip
    return {"name": name, "inputs": [source], "outputs": filters * side * side} | keys | learning(1, **changes)


def cost(labels, probs, **changes):
    """A logistic-regression cost."""
    return {"name": "cost", "type": "cost.logreg", "inputs": [labels, probs], "outputs": 0, "coeff": 1.0} | changes


def network(*layers, threads=2, **sources):
    """The layers above learning layers called by the names in `sources`, which have that many outputs."""
    below = [fc(name, ["one"], [1], outputs) for name, outputs in sources.items()]
    return Network([data("one", 1), *below, *layers], threads=threads)


def shipped(name, batch, *, threads=2, seed=0):
    """(network, layer dictionaries, arrays of the data layers, masks): a shipped network with drawn parameters."""
    spec = load_network(NETS / f"{name}.cfg", NETS / f"{name}-params.cfg")
    layers = [layer.to_dict() for layer in spec.layers]
    net, rng = Network(layers, threads=threads), np.random.default_rng(seed)
    net.logging = True
    for layer in layers:
        initialise(net, layer, rng)
    values = {"data": normal(rng, spec["data"].outputs, batch)}
    values["labels"] = rng.integers(0, spec["probs"].outputs, (1, batch)).astype(np.float32)
    masks = {layer["name"]: rng.random((layer["outputs"], batch)) < 0.5 for layer in layers if layer["type"] == "hs"}
    return net, layers, values, masks


def initialise(net, layer, rng):
    """Normal weights and momentum buffers; a layer without weights is left alone."""
    for i, shape in enumerate(layer.get("weightShapes", ())):
        net.write(layer["name"], f"weights[{i}]", normal(rng, *shape) / np.float32(np.sqrt(shape[0])))
        net.write(layer["name"], f"weights_inc[{i}]", normal(rng, *shape) / 64)
    if "biasShape" in layer:
        net.write(layer["name"], "biases", normal(rng, *layer["biasShape"]) / 8)
        net.write(layer["name"], "biases_inc", normal(rng, *layer["biasShape"]) / 64)


def forward(net, layers, values, masks, pass_type="train"):
    """All layers forward, each feeding the next."""
    for layer in layers:
        name = layer["name"]
        net.forward(name, [values[name]] if layer["type"] == "data" else None, masks.get(name), pass_type)


def backward_order(layers):
    """Names of the layers with backward work, costs first."""
    return [layer["name"] for layer in reversed(layers) if layer["type"] != "data"]


def backward(net, layers):
    """All layers backward."""
    for name in backward_order(layers):
        net.backward(name)


def normal(rng, *shape):
    """Float32 normals."""
    return rng.standard_normal(shape, np.float32)


def same_bits(a, b):
    """Equal bit for bit."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def assert_within(actual, value, terms, magnitude):
    """|actual - value| <= 8 sqrt(terms) u magnitude for every element (docs/verdict.md)."""
    assert actual.shape == np.shape(value)
    bound = 8 * np.sqrt(terms) * 2.0**-24 * np.broadcast_to(magnitude, actual.shape)
    error = np.abs(actual - np.asarray(value, np.float64))
    worst = np.unravel_index(np.argmax(error - bound), error.shape)
    assert (error <= bound).all(), f"{(error > bound).sum()} of {error.size} outside; {worst}: {actual[worst]}"
