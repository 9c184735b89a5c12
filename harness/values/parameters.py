"""Initial weights, biases and momentum buffers of every layer."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ..errors import BadInput
from ..network.load import Network, parameter_shapes, sparse_inputs
from ..network.tensors import connections, increment, index
from ..reference.layer import LayerSpec
from .archive import Archive
from .inputs import load
from .noise import generator

Values = dict[str, dict[str, np.ndarray]]
"""Arrays by layer and tensor."""
MOMENTUM_SCALE = 0.01
"""Standard deviation of a recorded momentum buffer, as a share of initW (of 1 for biases, of .01 where initW is 0)."""


def make(network: Network, seed: int, weights_file: str | Path | None = None) -> Values:
    """Parameters for all layers that have some.

    Weights are N(0, initW²), biases initB (config-format 13.1), momentum buffers small normals, so that the
    term μΔ of the update is never zero; every array has its own stream. The offsets of a class tree's inner nodes are
    normals too, as they would be after some training, so that paths matter. Sparse connections are permutations of the
    channels, one after the other (section 12).

    ``weights_file``: npz file with all weights and biases, named ``layer.weights[0]`` and ``layer.biases``, and with
    the connections of sparse inputs, ``layer.filterConns[0]``, integers; nothing for matrices that a layer takes from
    another one.
    Returns dict of str to dict of str to ndarray of float32: by layer and tensor: ``weights[i]``, ``biases``,
    ``weights_inc[i]``, ``biases_inc``, and integers ``filterConns[i]``. Layers that share a matrix hold the same array;
    its momentum buffer is the owner's.
    """
    weighted = [layer for layer in network.layers if parameter_shapes(layer)]
    with ThreadPoolExecutor() as pool:
        drawn = {layer.name: _draw(layer, seed, pool) for layer in weighted}
        values = {
            name: {tensor: array.result() for tensor, array in tensors.items()} for name, tensors in drawn.items()
        }
    if weights_file is not None:
        _load(network, Path(weights_file), values)
    return share(network, values)


def require_none_from_checkpoint(network: Network) -> None:
    """Refuse a network of which a layer wants its weights from an earlier checkpoint (config-format 13.2)."""
    for layer in network.layers:
        for key in ("initWFunc", "initBFunc", "initCFunc"):
            if layer.get(key):
                raise BadInput(
                    f"{network.definition}: [{layer.name}] {key}: its parameters come from an earlier checkpoint",
                    actual=layer[key],
                    hint="give all parameters with --weights FILE (npz), or delete the key to have them drawn",
                )


def share(network: Network, values: Values) -> Values:
    """Give layers that take a matrix from another one that one's array, and drop what was drawn in its place."""
    for layer, tensor, (owner, held) in _borrowed(network):
        values[layer.name][tensor] = values[owner][held]
        values[layer.name].pop(increment(tensor), None)
        if index(tensor) in sparse_inputs(layer):
            values[layer.name][connections(tensor)] = values[owner][connections(held)]
    return values


def owned(network: Network, values: Values) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (layer, tensor, array) of what has to be written to an engine: shared matrices once, by their owner.

    Connections are written to every layer that has some.
    """
    borrowed = {(layer.name, tensor) for layer, tensor, _ in _borrowed(network)}
    for layer, tensors in values.items():
        for tensor, array in tensors.items():
            if (layer, tensor) not in borrowed:
                yield layer, tensor, array


def _borrowed(network: Network) -> Iterator[tuple[LayerSpec, str, tuple[str, str]]]:
    graph = network.graph
    for layer in network.layers:
        for tensor in parameter_shapes(layer):
            owner = graph.owner(layer, tensor)
            if owner != (layer.name, tensor):
                yield layer, tensor, owner


def _draw(layer: LayerSpec, seed: int, pool: ThreadPoolExecutor) -> dict[str, Future[np.ndarray]]:
    """Futures of a layer's arrays by tensor: each has a stream of its own, so that they are drawn side by side."""
    values = {}
    for tensor, shape in parameter_shapes(layer).items():
        if tensor == "biases":
            values[tensor] = pool.submit(np.full, shape, layer["initB"], np.float32)
            scale = MOMENTUM_SCALE
        else:
            values[tensor] = pool.submit(_normal, layer["initW"][index(tensor)], shape, seed, layer.name, tensor)
            scale = MOMENTUM_SCALE * (layer["initW"][index(tensor)] or 0.01)
        values[increment(tensor)] = pool.submit(_normal, scale, shape, seed, layer.name, increment(tensor))
    for i in sparse_inputs(layer):
        values[f"filterConns[{i}]"] = pool.submit(_permutations, layer, i, seed)
    return values


def _permutations(layer: LayerSpec, i: int, seed: int) -> np.ndarray:
    random = generator(seed, "connections", layer.name, i)
    return np.concatenate([random.permutation(layer["channels"][i]) for _ in range(layer["overSample"][i])])


def _normal(scale: float, shape: tuple[int, ...], seed: int, *key: str | int) -> np.ndarray:
    values = generator(seed, "parameter", *key).standard_normal(shape, np.float32)
    values *= np.float32(scale)
    return values


def _load(network: Network, path: Path, values: Values) -> None:
    archive = Archive(path, "--weights takes an npz file with arrays such as 'conv1.weights[0]' and 'conv1.biases'")
    wanted = _of_file(network)
    missing, unknown = sorted(set(wanted) - set(archive.headers)), sorted(set(archive.headers) - set(wanted))
    if missing or unknown:
        name, what = (missing[0], "is missing") if missing else (unknown[0], "is no parameter of this network")
        raise BadInput(f"{path}: array {name} {what}", hint=f"one array for each of: {', '.join(wanted)}")
    tables = {key for key, (_, tensor) in wanted.items() if tensor.startswith("filterConns")}
    shapes = {key: parameter_shapes(layer)[tensor] for key, (layer, tensor) in wanted.items() if key not in tables}
    axes = "weights are (inputs, outputs), biases (filters, 1) of convolutions and (1, outputs) of fc layers"
    arrays = load(archive, shapes, axes)
    for key, (layer, tensor) in wanted.items():
        if key in tables:
            values[layer.name][tensor] = _connections_of(archive, key, layer, index(tensor) or 0)
        else:
            values[layer.name][tensor] = arrays[key]


def _of_file(network: Network) -> dict[str, tuple[LayerSpec, str]]:
    """What a file of weights holds: {array: (layer, tensor)}; nothing for what a layer takes from another one."""
    borrowed = {(layer.name, tensor) for layer, tensor, _ in _borrowed(network)}
    wanted = {}
    for layer in network.layers:
        for tensor in parameter_shapes(layer):
            if (layer.name, tensor) in borrowed:
                continue
            wanted[f"{layer.name}.{tensor}"] = layer, tensor
            if index(tensor) in sparse_inputs(layer):
                wanted[f"{layer.name}.{connections(tensor)}"] = layer, connections(tensor)
    return wanted


def _connections_of(archive: Archive, key: str, layer: LayerSpec, i: int) -> np.ndarray:
    channels, over = layer["channels"][i], layer["overSample"][i]
    header = archive.headers[key]
    right = header.shape == (over * channels,) and np.issubdtype(header.dtype, np.integer)
    table = archive.load([key], header.nbytes)[key] if right else None
    if table is None or not np.array_equal(np.sort(table.reshape(over, channels)), [range(channels)] * over):
        raise BadInput(
            f"{archive.path}: array {key} has no such connections",
            expected=f"integers, {over} permutation(s) of 0 ... {channels - 1}, one after the other",
            actual=f"{header.dtype} {header.shape}",
            hint="group k of the filters sees the channels from entry k*filterChannels on",
        )
    return table
