"""A small network around every kind of layer without weights."""

from alexnet_rosetta.harness.network.net import Net

SOLVER = {"epsW": 0.25, "epsB": 0.5, "momW": 0.5, "momB": 0.25, "wc": 0.125}


def fc(net, name, inputs, outputs, scale=0.5):
    """Add a layer that learns."""
    return net.add(name, "fc", inputs, SOLVER, outputs=outputs, initW=scale)


def reorder(net, *names):
    """Change the order of the layers, and with it that of a backward pass."""
    net.layers = {name: net.layers[name] for name in names}


NORM = {"scale": 0.5, "pow": 0.75}
POOL = {"channels": 16, "sizeX": 3, "stride": 2}
MAPS = 16 * 6 * 6

# Between a layer that learns and a cost: type → units below, keys, parameters.
HIDDEN = {
    "rnorm": (MAPS, {"type": "rnorm", "channels": 16, "size": 3}, NORM),
    "rnorm of even size": (MAPS, {"type": "rnorm", "channels": 16, "size": 4}, NORM),
    "cnorm": (MAPS, {"type": "cnorm", "channels": 16, "size": 3}, NORM),
    "cnorm of even size": (MAPS, {"type": "cnorm", "channels": 16, "size": 2}, NORM),
    "cmrnorm": (MAPS, {"type": "cmrnorm", "channels": 16, "size": 5}, NORM | {"minDiv": 2}),
    "cmrnorm in blocks": (MAPS, {"type": "cmrnorm", "channels": 16, "size": 3, "blocked": 1}, NORM),
    "pool max": (MAPS, {"type": "pool", "pool": "max"} | POOL, None),
    "pool maxabs": (MAPS, {"type": "pool", "pool": "maxabs"} | POOL, None),
    "pool avg": (MAPS, {"type": "pool", "pool": "avg"} | POOL, None),
    "pool rand": (MAPS, {"type": "pool", "pool": "rand"} | POOL, {"doMax": "false"}),
    "pool rand as max": (MAPS, {"type": "pool", "pool": "rand"} | POOL, {"doMax": "true"}),
    "nailbed": (MAPS, {"type": "nailbed", "channels": 16, "stride": 2}, None),
    "blur": (MAPS, {"type": "blur", "channels": 16, "filterSize": 5, "stdev": 1.5}, None),
    "hs": (48, {"type": "hs", "keep": 0.5}, {"enable": "true"}),
    "softmax": (48, {"type": "softmax"}, None),
} | {
    f"neuron {neuron}": (48, {"type": "neuron", "neuron": neuron}, None)
    for neuron in ("ident", "logistic", "abs", "relu", "nrelu", "brelu[1.5]", "softrelu", "square", "tanh[1.5,0.5]",
                   "linear[0.5,2]", "drelu[0.7]")
}  # fmt: skip

# Layers that pass no gradient on: above the data, below the first layer that learns.
CONSTANT = {
    "resize": (3 * 8 * 8, {"type": "resize", "channels": 3, "scale": 1.25}),
    "resize to a larger one": (3 * 8 * 8, {"type": "resize", "channels": 3, "scale": 0.8}),
    "rscale": (3 * 12 * 12, {"type": "rscale", "channels": 3, "maxScale": 1.5}),
    "rgb2yuv": (3 * 8 * 8, {"type": "rgb2yuv"}),
    "rgb2lab": (3 * 8 * 8, {"type": "rgb2lab"}),
    "rgb2lab centred": (3 * 8 * 8, {"type": "rgb2lab", "center": 1}),
}

# Costs: units of labels (0: none), units below, the type of layer between, keys, parameters.
COSTS = {
    "logreg": (1, 7, "softmax", {}, {"topk": 1}),
    "logreg of the best 3": (1, 7, "softmax", {}, {"topk": 3}),
    "crossent": (7, 7, "softmax", {}, {}),
    "crossent2": (7, 7, "logistic", {}, {}),
    "rflickr": (7, 7, "logistic", {}, {}),
    "msm": (1, 7, None, {}, {"setSize": 3, "threads": 2}),
    "sum2": (0, 7, None, {}, {}),
    "gsum2": (1, 7, None, {}, {}),
    "tica": (0, MAPS, None, {"channels": 16, "sizeX": 3}, {}),
}


# What these compute is not what was meant, in 2012: means are taken for constants, resizing stops short of the last
# pixel, the cube root is a power of 0.3333.
NOT_AS_MEANT = {"cnorm", "cnorm of even size", "resize to a larger one", "rgb2lab", "rgb2lab centred"}


def hidden(case, readers=1):
    """The layer of a case between fc and the sum of its squares; `readers` of them side by side."""
    units, keys, params = HIDDEN[case]
    net = fc(Net(8), "below", "data", units)
    for k in range(readers):
        net.add(f"layer{k}", inputs="below", params=params, kind=keys["type"], **_but_type(keys))
        net.add(f"squares{k}", "cost.sum2", f"layer{k}", {"coeff": 0.5})
    return net


def constant(case):
    """The layer of a case on the data, below a layer that learns."""
    dims, keys = CONSTANT[case]
    net = Net(dims).add("layer", keys["type"], "data", **_but_type(keys))
    return fc(net, "above", "layer", 4).add("squares", "cost.sum2", "above", {"coeff": 0.5})


def cost(case, also_read=False):
    """The cost of a case; `also_read`: the layer below has a second reader, which comes first in a backward pass."""
    labels, units, between, keys, params = COSTS[case]
    net, top = fc(Net(8, labels or None), "below", "data", units, scale=1), "below"
    if between:
        top = "between"
        kind = {"neuron": between} if between == "logistic" else {}
        net.add(top, "neuron" if kind else between, "below", **kind)
    net.add("cost", f"cost.{case.split()[0]}", f"labels,{top}" if labels else top, params | {"coeff": 0.5}, **keys)
    if also_read:
        net.add("squares", "cost.sum2", top, {"coeff": 0.25})
    return net


def _but_type(keys):
    return {key: value for key, value in keys.items() if key != "type"}
