"""Initial weights, biases and momentum buffers of every layer."""

from pathlib import Path

import numpy as np

from .draws import generator
from .errors import BadInput
from .inputs import check, read_npz
from .networks import parameter_shapes

MOMENTUM_SCALE = 0.01
"""Standard deviation of a recorded momentum buffer, as a share of initW (of 1 for biases, of .01 where initW is 0)."""


def make(network, seed, weights_file=None):
    """Parameters for all layers that have some.

    Weights are N(0, initW²), biases initB (config specification 13.1), momentum buffers small normals, so that the
    term μΔ of the update is never zero; every array has its own stream.

    Parameters
    ----------
    network : Network
    seed : int
    weights_file : path, optional
        npz file with all weights and biases, named ``layer.weights[0]`` and ``layer.biases``.

    Returns
    -------
    dict of str to dict of str to ndarray of float32
        By layer and tensor: ``weights[i]``, ``biases``, ``weights_inc[i]``, ``biases_inc``.
    """
    values = {layer.name: _draw(layer, seed) for layer in network.layers if parameter_shapes(layer)}
    if weights_file is not None:
        _load(network, Path(weights_file), values)
    return values


def increment(tensor):
    """Name of the momentum buffer of a parameter tensor: ``weights[1]`` → ``weights_inc[1]``."""
    return tensor.replace("weights", "weights_inc").replace("biases", "biases_inc")


def gradient(tensor):
    """Name of the gradient of a parameter tensor: ``weights[1]`` → ``weights_grad[1]``."""
    return tensor.replace("weights", "weights_grad").replace("biases", "biases_grad")


def index(tensor):
    """Input index of a weights tensor: ``weights[1]`` → 1; None for biases."""
    return int(tensor.split("[")[1][:-1]) if "[" in tensor else None


def _draw(layer, seed):
    values = {}
    for tensor, shape in parameter_shapes(layer).items():
        if tensor == "biases":
            values[tensor] = np.full(shape, layer["initB"], np.float32)
            scale = MOMENTUM_SCALE
        else:
            values[tensor] = _normal(layer["initW"][index(tensor)], shape, seed, layer.name, tensor)
            scale = MOMENTUM_SCALE * (layer["initW"][index(tensor)] or 0.01)
        values[increment(tensor)] = _normal(scale, shape, seed, layer.name, increment(tensor))
    return values


def _normal(scale, shape, seed, *key):
    values = generator(seed, "parameter", *key).standard_normal(shape, np.float32)
    values *= np.float32(scale)
    return values


def _load(network, path, values):
    arrays = read_npz(path, "--weights takes an npz file with arrays such as 'conv1.weights[0]' and 'conv1.biases'")
    wanted = {
        f"{layer.name}.{tensor}": (layer.name, tensor, shape)
        for layer in network.layers
        for tensor, shape in parameter_shapes(layer).items()
    }
    missing, unknown = sorted(set(wanted) - set(arrays)), sorted(set(arrays) - set(wanted))
    if missing or unknown:
        name, what = (missing[0], "is missing") if missing else (unknown[0], "is no parameter of this network")
        raise BadInput(f"{path}: array {name} {what}", hint=f"one array for each of: {', '.join(wanted)}")
    for key, (layer, tensor, shape) in wanted.items():
        values[layer][tensor] = check(path, key, arrays[key], shape)
