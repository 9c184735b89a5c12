"""Where an element is: channel, row, column and image in place of a row and a column of a matrix."""

from collections.abc import Iterable, Mapping, Sequence
from math import isqrt, prod
from typing import Any

from ..network.tensors import address
from ..reference.layer import LayerSpec

SAME = ("neuron", "hs", "eltsum", "eltmax", "concat")
"""Layers whose outputs lie as their inputs do."""


def shapes(layers: Iterable[LayerSpec]) -> dict[str, tuple[int, ...]]:
    """What one case of each layer is, by name: (channels, rows, columns) of pictures, (values,) of others."""
    found: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        side = _side(layer, [found[name] for name in layer.inputs])
        maps, rest = divmod(layer.outputs, side**2) if side else (0, 0)
        found[layer.name] = (layer.outputs,) if rest or not maps else (maps, side, side)
    return found


def described(layers: Sequence[LayerSpec]) -> list[dict[str, Any]]:
    """What a drawing or a record says of each layer: a list of plain dictionaries."""
    found = shapes(layers)
    return [
        {
            "name": x.name,
            "type": x.type,
            "inputs": x.inputs,
            "outputs": x.outputs,
            "shape": found[x.name],
            "gpu": x.get("gpu", 0),
            "variant": variant(x),
        }
        for x in layers
    ]


def variant(layer: LayerSpec) -> str:
    """The kind of a neuron or pool; "" of all other layers."""
    return layer["neuron"]["type"] if layer.type == "neuron" else layer["pool"] if layer.type == "pool" else ""


def _side(layer: LayerSpec, inputs: Sequence[tuple[int, ...]]) -> int:
    if layer.type == "data":
        side = isqrt(layer.outputs // 3)
        return side if side > 1 and layer.outputs == 3 * side**2 else 0
    if layer.type in SAME:
        sides = {shape[1:] for shape in inputs}
        return max(sides.pop(), default=0) if len(sides) == 1 else 0
    own = (layer.get(key) for key in ("modulesX", "outputsX", "tgtSize", "imgSize"))
    return next(filter(None, own), 0)


def axes(layers: Mapping[str, LayerSpec], layer: LayerSpec, tensor: str, shape: Sequence[int]) -> dict[str, int]:
    """The names and lengths of the axes along which the elements of a tensor lie, the last running fastest.

    ``layers``: by name, in definition order.
    ``shape``: of the tensor as engines hand it out.
    Returns: their product is the number of elements.
    """
    kind, i = address(tensor)
    if i is not None and kind.startswith("weights"):
        found = _of_weights(layer, i)
    elif kind.startswith("biases"):
        found = _of_biases(layer)
    elif len(shape) == 2:
        name = layer.inputs[i] if i is not None and kind == "inputs_grad" else layer.name
        found = _picture(shapes(layers.values())[name]) | {"image": shape[1]}
    else:
        found = {}
    fits = prod(found.values()) == prod(shape)
    return found if found and fits else dict(zip(("row", "column"), shape, strict=False))


def place(axes: Mapping[str, int], shape: Sequence[int], position: Sequence[int]) -> dict[str, int]:
    """The position of an element along the axes: dict of str to int."""
    flat = 0
    for length, at in zip(shape, position, strict=True):
        flat = flat * length + at
    found = {}
    for name, length in reversed(tuple(axes.items())):
        flat, found[name] = divmod(flat, length)
    return dict(reversed(found.items()))


def _picture(shape: Sequence[int]) -> dict[str, int]:
    return dict(zip(("channel", "y", "x") if len(shape) == 3 else ("row",), shape, strict=True))


def _of_weights(layer: LayerSpec, i: int) -> dict[str, int]:
    rows, columns = layer["weightShapes"][i]
    if "filterSize" not in layer.keys:
        return {"input": rows, "output": columns}
    size, side = layer["filterSize"][i], layer["modulesX"]
    modules = {"module y": side, "module x": side} if layer.type == "local" else {}
    window = {"channel": rows // (size**2 * prod(modules.values())), "y": size, "x": size}
    return modules | window | {"filter": columns}


def _of_biases(layer: LayerSpec) -> dict[str, int]:
    if "filters" not in layer.keys:
        return {"output": layer.outputs}
    per_module = layer["biasShape"][0] != layer["filters"]
    return {"filter": layer["filters"]} | ({"y": layer["modulesX"], "x": layer["modulesX"]} if per_module else {})
