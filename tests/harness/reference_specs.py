"""Small layers with the keys of the historical parser, and a check of gradients by finite differences."""

import numpy as np


def conv(inputs, filters, *, shared=True, kind="conv"):
    """A conv or local layer; `inputs` lists (channels, image, size, stride, padding, groups)."""
    channels, image, size, stride, padding, groups = (list(column) for column in zip(*inputs, strict=True))
    side = 1 + -(-(2 * padding[0] + image[0] - size[0]) // stride[0])
    spec = {
        "type": kind,
        "channels": channels,
        "imgSize": image,
        "filterSize": size,
        "stride": stride,
        "padding": [-p for p in padding],
        "groups": groups,
        "filterChannels": [c // g for c, g in zip(channels, groups, strict=True)],
        "filters": filters,
        "modulesX": side,
        "outputs": filters * side * side,
        "numInputs": [c * s * s for c, s in zip(channels, image, strict=True)],
        "randSparse": [False] * len(channels),
    }
    if kind == "conv":
        spec["sharedBiases"] = shared
    return spec


def pool(kind, channels, image, size, stride, start=0):
    """A pool layer."""
    outputs = -(-(image - start - size) // stride) + 1
    return {
        "type": "pool",
        "pool": kind,
        "channels": channels,
        "imgSize": image,
        "sizeX": size,
        "stride": stride,
        "start": start,
        "outputsX": outputs,
        "outputs": channels * outputs**2,
    }


def norm(kind, channels, size, *, blocked=False, scale=0.3, power=0.75, min_div=2.0):
    """A cmrnorm, rnorm or cnorm layer whose sum matters next to minDiv."""
    spec = {"type": kind, "channels": channels, "size": size, "blocked": blocked, "scale": scale, "pow": power}
    return spec | ({"minDiv": min_div} if kind == "cmrnorm" else {})


def neuron(kind, **params):
    """A neuron layer."""
    return {"type": "neuron", "neuron": {"type": kind, "params": params}}


def fc(num_inputs, outputs):
    """A fully connected layer."""
    return {"type": "fc", "numInputs": list(num_inputs), "outputs": outputs}


def softmax(classes):
    """A softmax layer."""
    return {"type": "softmax", "outputs": classes}


def logreg(topk=5, coeff=1.0):
    """A logistic-regression cost."""
    return {"type": "cost.logreg", "coeff": coeff, "topk": topk}


def parameters(spec, rng):
    """Random weights and biases of a conv, local or fc layer."""
    if spec["type"] == "fc":
        shapes, biases = [(n, spec["outputs"]) for n in spec["numInputs"]], (1, spec["outputs"])
    else:
        local = spec["type"] == "local"
        sizes = zip(spec["filterChannels"], spec["filterSize"], strict=True)
        shapes = [(c * s * s * (spec["modulesX"] ** 2 if local else 1), spec["filters"]) for c, s in sizes]
        biases = (spec["filters"] if spec.get("sharedBiases") else spec["outputs"], 1)
    return {"weights": [normal(rng, *shape) for shape in shapes], "biases": normal(rng, *biases)}


def normal(rng, *shape):
    """Float32 normals."""
    return rng.standard_normal(shape, np.float32)


def assert_is_derivative(function, x, gradient):
    """Hold `gradient` against central differences of the scalar `function` at x, in every element.

    The allowed error is what the differences say about themselves: those of twice the step, and the rounding of
    `function` divided by the step.
    """
    x = x.astype(np.float64)
    for at in np.ndindex(x.shape):
        step = 1e-4 * max(1.0, abs(x[at]))
        narrow, wide = (_difference(function, x, at, h) for h in (step, 2 * step))
        rounding = 2**-48 * (1 + abs(function(x))) / step
        assert abs(narrow - gradient[at]) <= abs(narrow - wide) + rounding, at


def _difference(function, x, at, step):
    shifted = [x.copy(), x.copy()]
    shifted[0][at] += step
    shifted[1][at] -= step
    return (function(shifted[0]) - function(shifted[1])) / (2 * step)
