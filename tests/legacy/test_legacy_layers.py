"""Every layer type of legacy.Network, one step at a time, against its formula in float64."""

from itertools import product

import numpy as np
import pytest
from legacy_networks import assert_within, conv, cost, data, fc, initialise, network, normal, same_bits

from alexnet_rosetta.legacy import Refused

RNG = np.random.default_rng(7)
CONVS = {
    "colour": ({"a": (3, 9, 4, 2, 1, 1)}, 16, True),
    "groups": ({"a": (8, 6, 3, 1, 1, 2)}, 32, False),
    "inputs": ({"a": (4, 6, 3, 1, 1, 1), "b": (4, 6, 1, 1, 0, 1)}, 16, True),
}


def built(layer, **sources):
    """The layer's network, its parameters drawn."""
    net = network(layer, **sources)
    initialise(net, layer, RNG)
    return net


def parameters(net, layer, kind="weights"):
    """The matrices of all inputs."""
    return [net.read(layer["name"], f"{kind}[{i}]") for i in range(len(layer["inputs"]))]


# Convolution: sums over filter pixels of strided slices of the padded image.


def taps(layer, i):
    """Image side with padding on all sides, and the slices that each filter pixel reads."""
    size, stride, side = layer["filterSize"][i], layer["stride"][i], layer["modulesX"]
    spans = [slice(p, p + stride * side, stride) for p in range(size)]
    return (side - 1) * stride + size + stride, list(product(spans, spans))


def planes(layer, i, x):
    """Padded images (groups, channels, y, x, N)."""
    side, padding, extent = layer["imgSize"][i], -layer["padding"][i], taps(layer, i)[0]
    images = np.zeros((layer["channels"][i], extent, extent, x.shape[1]))
    images[:, padding : padding + side, padding : padding + side] = x.reshape(-1, side, side, x.shape[1])
    return images.reshape(layer["groups"][i], -1, *images.shape[1:])


def split(layer, i, w):
    """Filters by (channel, pixel, group, filter)."""
    size, groups = layer["filterSize"][i], layer["groups"][i]
    return np.asarray(w, np.float64).reshape(-1, size * size, groups, layer["filters"] // groups)


def conv_outputs(layer, i, x, w):
    images, w = planes(layer, i, x), split(layer, i, w)
    slices = taps(layer, i)[1]
    out = sum(np.einsum("gkyxn,kgf->gfyxn", images[:, :, sy, sx], w[:, p]) for p, (sy, sx) in enumerate(slices))
    return out.reshape(layer["outputs"], -1)


def conv_inputs_grad(layer, i, v, w):
    side, padding, groups = layer["imgSize"][i], -layer["padding"][i], layer["groups"][i]
    grads = np.zeros_like(planes(layer, i, np.zeros((layer["channels"][i] * side * side, v.shape[1]))))
    v = np.asarray(v, np.float64).reshape(groups, -1, layer["modulesX"], layer["modulesX"], v.shape[1])
    for p, (sy, sx) in enumerate(taps(layer, i)[1]):
        grads[:, :, sy, sx] += np.einsum("gfyxn,kgf->gkyxn", v, split(layer, i, w)[:, p])
    inside = grads[:, :, padding : padding + side, padding : padding + side]
    return inside.reshape(-1, v.shape[-1])


def conv_weights_grad(layer, i, x, v):
    images, groups = planes(layer, i, x), layer["groups"][i]
    v = np.asarray(v, np.float64).reshape(groups, -1, layer["modulesX"], layer["modulesX"], v.shape[1])
    grads = [np.einsum("gkyxn,gfyxn->kgf", images[:, :, sy, sx], v) for sy, sx in taps(layer, i)[1]]
    return np.stack(grads, axis=1).reshape(-1, layer["filters"])


@pytest.mark.parametrize("partial", ["none", "one", "row"])
@pytest.mark.parametrize("case", CONVS)
def test_conv(case, partial):
    inputs, filters, shared = CONVS[case]
    layer = conv("conv", inputs, filters, sharedBiases=shared)
    modules = layer["modulesX"] ** 2
    layer["partialSum"] = {"none": 0, "one": 1, "row": layer["modulesX"]}[partial]
    layer["biasShape"] = [filters if shared else modules * filters, 1]
    sources = {name: channels * img * img for name, (channels, img, *_) in inputs.items()}
    net, n, count = built(layer, **sources), 33, range(len(inputs))
    xs, v = [normal(RNG, rows, n) for rows in sources.values()], normal(RNG, layer["outputs"], n)
    w, b = parameters(net, layer), net.read("conv", "biases")
    net.forward("conv", xs)
    net.backward("conv", v)

    bias = np.repeat(b, modules, axis=0) if shared else b
    value = sum(conv_outputs(layer, i, xs[i], w[i]) for i in count) + bias
    size = sum(conv_outputs(layer, i, abs(xs[i]), abs(w[i])) for i in count) + abs(bias)
    assert_within(net.read("conv", "acts"), value, sum(len(m) for m in w) + len(w), size)
    summed = v.reshape(len(b), -1, n).astype(np.float64).sum((1, 2))[:, None] / n
    reach = abs(v).reshape(len(b), -1, n).sum((1, 2))[:, None] / n
    assert_within(net.read("conv", "biases_grad"), summed, v.size // len(b) + 1, reach)
    for i in count:
        value, size = conv_inputs_grad(layer, i, v, w[i]), conv_inputs_grad(layer, i, abs(v), abs(w[i]))
        assert_within(net.read("conv", f"inputs_grad[{i}]"), value, filters * layer["filterSize"][i] ** 2, size)
        value, size = conv_weights_grad(layer, i, xs[i], v), conv_weights_grad(layer, i, abs(xs[i]), abs(v))
        assert_within(net.read("conv", f"weights_grad[{i}]"), value / n, modules * n + 2, size / n)


def test_conv_gradients_accumulate_until_the_update():
    layer = conv("conv", {"a": (4, 6, 3, 1, 1, 1)}, 16, partialSum=6)
    net = built(layer, a=144)
    x, v = normal(RNG, 144, 4), normal(RNG, layer["outputs"], 4)
    net.forward("conv", [x])
    net.backward("conv", v)
    once = {name: net.read("conv", name) for name in ("weights_grad[0]", "biases_grad")}
    net.backward("conv", v)
    assert all(same_bits(net.read("conv", name), 2 * grad) for name, grad in once.items())
    net.update("conv")
    net.backward("conv", v)
    assert all(same_bits(net.read("conv", name), grad) for name, grad in once.items())


@pytest.mark.parametrize("case", ["one", "two"])
def test_fc(case):
    sources = {"a": 7} if case == "one" else {"a": 7, "b": 5}
    layer = fc("fc", list(sources), list(sources.values()), 6)
    net, n = built(layer, **sources), 8
    xs, v = [normal(RNG, rows, n) for rows in sources.values()], normal(RNG, 6, n)
    w, b, inc = parameters(net, layer), net.read("fc", "biases"), parameters(net, layer, "weights_inc")
    net.forward("fc", xs)
    net.backward("fc", v)

    def product(a, b):
        return np.asarray(a, np.float64) @ b

    value = sum(product(w.T, x) for w, x in zip(w, xs, strict=True)) + b.T
    size = sum(product(abs(w).T, abs(x)) for w, x in zip(w, xs, strict=True)) + abs(b).T
    assert_within(net.read("fc", "acts"), value, sum(sources.values()) + len(sources), size)
    assert_within(net.read("fc", "biases_grad"), v.sum(1, np.float64)[None] / n, n + 1, abs(v).sum(1)[None] / n)
    for i, x in enumerate(xs):
        assert_within(net.read("fc", f"inputs_grad[{i}]"), product(w[i], v), 6, product(abs(w[i]), abs(v)))
        value, size = product(x, v.T) * (0.5 / n), product(abs(x), abs(v).T) * (0.5 / n)
        assert_within(net.read("fc", f"weights_inc[{i}]"), inc[i] / 2 + value, n + 2, abs(inc[i]) / 2 + size)
        with pytest.raises(KeyError):
            net.read("fc", f"weights_grad[{i}]")
    before = parameters(net, layer, "weights_inc")
    net.backward("fc", v)
    for i, x in enumerate(xs):
        value, size = product(x, v.T) * (0.5 / n), product(abs(x), abs(v).T) * (0.5 / n)
        assert_within(net.read("fc", f"weights_inc[{i}]"), before[i] + value, n + 2, abs(before[i]) + size)


def windows(side, size, stride, start=0):
    """Slices of the pooling windows along one axis, clipped."""
    count = 1 + -(-(side - start - size) // stride)
    return [slice(max(0, start + stride * k), min(side, start + stride * k + size)) for k in range(count)]


@pytest.mark.parametrize("kind", ["max", "avg"])
def test_pool(kind):
    keys = {"channels": 16, "imgSize": 7, "sizeX": 3, "stride": 2, "start": 0, "outputsX": 3, "pool": kind}
    net = network({"name": "pool", "type": "pool", "inputs": ["a"], "outputs": 16 * 9} | keys, a=16 * 49)
    x, v = (normal(RNG, 16 * 49, 5) * 2).round(), normal(RNG, 16 * 9, 5)  # rounding makes ties
    net.forward("pool", [x])
    net.backward("pool", v)
    images, grads = x.reshape(16, 7, 7, 5).astype(np.float64), v.reshape(16, 3, 3, 5).astype(np.float64)
    y, dx, size = np.zeros(grads.shape), np.zeros(images.shape), np.zeros(images.shape)
    for (i, sy), (j, sx) in product(enumerate(windows(7, 3, 2)), enumerate(windows(7, 3, 2))):
        window, g = images[:, sy, sx], grads[:, None, None, i, j]
        y[:, i, j] = window.max((1, 2)) if kind == "max" else window.mean((1, 2))
        share = window == y[:, None, None, i, j] if kind == "max" else 1 / window[0, :, :, 0].size
        dx[:, sy, sx] += share * g
        size[:, sy, sx] += share * abs(g)
    assert_within(net.read("pool", "acts"), y.reshape(-1, 5), 9, 0 if kind == "max" else 9 * abs(x).max())
    assert_within(net.read("pool", "inputs_grad[0]"), dx.reshape(x.shape), 6, size.reshape(x.shape))


@pytest.mark.parametrize(("size", "blocked"), [(5, False), (4, False), (3, True)])
def test_cmrnorm(size, blocked):
    keys = {"channels": 16, "size": size, "scale": 0.3, "pow": 0.75, "minDiv": 2.0, "blocked": blocked}
    net = network({"name": "norm", "type": "cmrnorm", "inputs": ["a"], "outputs": 64} | keys, a=64)
    x, v = normal(RNG, 64, 6), normal(RNG, 64, 6)
    net.forward("norm", [x])
    acts = net.read("norm", "acts")
    channel = np.arange(16)
    first = channel // size * size if blocked else channel - size // 2
    member = (channel >= first[:, None]) & (channel < first[:, None] + size)  # member[f, g]: g is in f's window
    images, grads = (a.reshape(16, -1).astype(np.float64) for a in (x, v))
    d = 2 + 0.3 * member @ images**2
    y, direct = images * d**-0.75, grads * d**-0.75
    spread = 2 * 0.3 * 0.75 * images
    assert_within(acts, y.reshape(x.shape), size + 6, abs(y).reshape(x.shape) * 1.75)
    value = direct - spread * (member.T @ (grads * y / d))
    magnitude = abs(direct) + abs(spread) * (member.T @ abs(grads * y / d))
    net.backward("norm", v)
    found = net.read("norm", "inputs_grad[0]")
    assert_within(found, value.reshape(x.shape), size + 8, magnitude.reshape(x.shape))
    with pytest.raises(KeyError):
        net.read("norm", "acts")
    net.backward("norm", v)
    assert same_bits(net.read("norm", "inputs_grad[0]"), found)
    assert_within(acts, y.reshape(x.shape), size + 6, abs(y).reshape(x.shape) * 1.75)


@pytest.mark.parametrize("kind", ["relu", "abs", "tanh"])
def test_neuron(kind):
    params = {"a": 1.5, "b": 0.5} if kind == "tanh" else {}
    spec = {"name": "n", "type": "neuron", "inputs": ["a"], "outputs": 9, "neuron": {"type": kind, "params": params}}
    net = network(spec, a=9)
    x, v = normal(RNG, 9, 4), normal(RNG, 9, 4)
    x[0, 0] = 0
    net.forward("n", [x])
    net.backward("n", v)
    t = np.tanh(0.5 * x.astype(np.float64))
    y, slope = {
        "relu": (np.maximum(x, 0), x > 0),
        "abs": (abs(x), np.where(x > 0, 1, -1)),
        "tanh": (1.5 * t, 0.5 * 1.5 * (1 - t * t)),
    }[kind]
    error = (kind == "tanh") * 1.5 * (3 + abs(x))  # of 2 / (1 + exp(-x)) - 1
    assert_within(net.read("n", "acts"), y, 6, error)
    assert_within(net.read("n", "inputs_grad[0]"), v * slope, 8, abs(v) * error)


@pytest.mark.parametrize(("enable", "pass_type"), [(True, "train"), (False, "train"), (True, "test"), (True, "gc")])
def test_hs(enable, pass_type):
    spec = {"name": "hs", "type": "hs", "inputs": ["a"], "outputs": 9, "keep": 0.25, "enable": enable}
    net = network(spec, a=9)
    x, v, mask = normal(RNG, 9, 4), normal(RNG, 9, 4), RNG.random((9, 4)) < 0.25
    masked = enable and pass_type == "train"
    net.forward("hs", [x], mask if masked else None, pass_type)
    net.backward("hs", v)
    factor = mask if masked else np.float32(0.25)
    np.testing.assert_array_equal(net.read("hs", "acts"), x * factor)
    np.testing.assert_array_equal(net.read("hs", "inputs_grad[0]"), v * factor)
    total = net.sum_grad("a", [("hs", 0, v), ("hs", 0, v)])
    np.testing.assert_array_equal(total, 2 * v * factor)
    if masked:
        with pytest.raises(Refused, match="layer hs: the dropout mask, 0 and 1: missing"):
            net.forward("hs", [x])


def test_combining_layers():
    inputs = {"inputs": ["a", "b", "a"], "outputs": 6}
    net = network(
        {"name": "sum", "type": "eltsum", "coeffs": [1.0, -0.5, 2.0]} | inputs,
        {"name": "max", "type": "eltmax"} | inputs,
        {"name": "concat", "type": "concat"} | inputs | {"outputs": 18},
        a=6, b=6,
    )  # fmt: skip
    a, b, v, tall = (RNG.integers(-4, 5, (rows, 3)).astype(np.float32) for rows in (6, 6, 6, 18))
    for name, grad in (("sum", v), ("max", v), ("concat", tall)):
        net.forward(name, [a, b, a])
        net.backward(name, grad)
    expected = {
        "sum": (3 * a - 0.5 * b, [v, -0.5 * v, 2 * v]),
        "max": (np.maximum(a, b), [v * (a >= b), v * (b >= a), v * (a >= b)]),
        "concat": (np.concatenate([a, b, a]), np.split(tall, 3)),
    }
    for name, (acts, grads) in expected.items():
        np.testing.assert_array_equal(net.read(name, "acts"), acts)
        for i, grad in enumerate(grads):
            np.testing.assert_array_equal(net.read(name, f"inputs_grad[{i}]"), grad)


# Softmax and the cost.


def with_cost(*, more_consumers, topk=3, coeff=0.5):
    """Softmax below a cost; a second consumer breaks their fusion."""
    extra = [{"name": "extra", "type": "eltsum", "inputs": ["probs"], "outputs": 5, "coeffs": [1.0]}]
    return network(
        data("labels", 1),
        {"name": "probs", "type": "softmax", "inputs": ["a"], "outputs": 5},
        *(extra if more_consumers else ()),
        cost("labels", "probs", topk=topk, coeff=coeff),
        a=5,
    )


@pytest.mark.parametrize("fused", [True, False])
def test_softmax_below_the_cost(fused):
    net = with_cost(more_consumers=not fused)
    x, labels = normal(RNG, 5, 9), RNG.integers(0, 5, (1, 9)).astype(np.float32)
    net.forward("probs", [x])
    probs = net.read("probs", "acts")
    net.forward("cost", [labels, probs])
    net.backward("cost")
    below_max = x.astype(np.float64) - x.max(0)
    p = np.exp(below_max) / np.exp(below_max).sum(0)
    condition = 1 - below_max
    assert_within(probs, p, 5 + 4, p * condition)
    hit = np.arange(5)[:, None] == labels
    if fused:
        net.backward("probs")
    else:
        grad = net.read("cost", "inputs_grad[1]")
        assert_within(grad, 0.5 * hit / p, 5 + 6, 0.5 * hit / p * condition)
        net.backward("probs", grad)
    found = net.read("probs", "inputs_grad[0]")
    assert_within(found, 0.5 * (hit - p), 5 + 8, 0.5 * (p * condition + hit * condition))


@pytest.mark.parametrize("topk", [1, 2])
def test_cost(topk):
    net = with_cost(more_consumers=False, topk=topk)
    probs = np.array([[0.5, 0.25, 0.25, 0.5], [0.25, 0.5, 0.25, 0.25], [0.25, 0.25, 0.25, 0.125], [0] * 4, [0] * 4])
    labels = np.array([[0, 0, 2, 2]], np.float32)
    net.forward("cost", [labels, probs.astype(np.float32)])
    # Case 1 is right; 2 ties for the second place; 3 ties for the first; 4 is third.
    top = {1: 4 - (1 + 0 + 1 / 3 + 0), 2: 4 - (1 + 1 / 2 + 2 / 3 + 0)}[topk]
    logs = np.log([0.5, 0.25, 0.25, 0.125])
    assert_within(net.read("cost", "cost"), [-logs.sum(), 4 - 4 / 3, top], 4, np.maximum(abs(logs), 1).sum())
    with pytest.raises(Refused, match=r"layer cost: \w+: a label is no class"):
        net.forward("cost", [labels + 3, probs.astype(np.float32)])
