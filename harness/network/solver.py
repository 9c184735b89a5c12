"""The solver's facts about a layer: what learns, at which rate, by which route (network-and-solver 8 and 9)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import reference
from ..reference import scheduled
from ..reference.layer import LayerSpec
from .graph import Graph
from .load import parameter_shapes
from .tensors import gradient, increment, index


def trainable(graph: Graph, layer: LayerSpec) -> list[str]:
    """The parameter tensors that a layer computes gradients for.

    Its base rate is above zero, and so is that of the owner if the tensor is shared, which has to take part in the
    backward pass.
    """
    return [tensor for tensor in parameter_shapes(layer) if _learns(graph, layer, tensor)]


def updated_here(graph: Graph, layer: LayerSpec) -> list[str]:
    """The trainable tensors that a layer owns, so that its update step changes them."""
    return [tensor for tensor in trainable(graph, layer) if graph.owner(layer, tensor) == (layer.name, tensor)]


def base_rate(layer: LayerSpec, tensor: str) -> float:
    """``epsW[i]`` or ``epsB``."""
    return layer.get("epsB", 0) if index(tensor) is None else layer["epsW"][index(tensor)]


def rate(layer: LayerSpec, tensor: str, progress: float, normal: float = 0.0) -> float:
    """The learning rate ε at a point of the training (network-and-solver 9).

    Noise multiplies the rate by 1 + noiseStdev |z|. A class tree learns at a constant rate.
    """
    found = schedule(layer, tensor)
    noise = 1 + found["params"].get("noiseStdev", 0.0) * abs(float(normal))
    return scheduled(found, base_rate(layer, tensor), progress) * noise


def schedule(layer: LayerSpec, tensor: str) -> Mapping[str, Any]:
    """``schedW`` or ``schedB``, which class trees ignore."""
    if layer.type == "treefc":
        return {"type": "default", "params": {}}
    return layer["schedB" if index(tensor) is None else "schedW"]


def has_noise(layer: LayerSpec) -> bool:
    """True if a learning rate of the layer is random."""
    return any(schedule(layer, tensor)["params"].get("noiseStdev", 0) > 0 for tensor in parameter_shapes(layer))


def normal(normals: np.ndarray | None, layer: LayerSpec, tensor: str, use: int = 0) -> float:
    """The recorded normal that a rate uses: for the gradient (use 0) or the decay (use 1); 0 without a record.

    ``normals`` is (tensors, 2), or None, in the order of `parameter_shapes`.
    """
    return 0.0 if normals is None else float(normals[list(parameter_shapes(layer)).index(tensor), use])


def solver_constants(layer: LayerSpec, tensor: str) -> dict[str, float]:
    """Momentum μ and weight decay λ of a parameter tensor, as `reference.update` takes them."""
    i = index(tensor)
    return {"mom": layer["momB"], "wc": 0.0} if i is None else {"mom": layer["momW"][i], "wc": layer["wc"][i]}


def super_eps(layer: LayerSpec) -> float:
    """``superEps``, which class trees ignore."""
    return 0.0 if layer.type == "treefc" else layer.get("superEps", 0.0)


def has_direct_route(layer: LayerSpec, tensor: str) -> bool:
    """True for the weights of a layer type whose backward pass changes Δ (`reference.accumulate`)."""
    return index(tensor) is not None and hasattr(reference.facts(layer), "accumulate")


def updates_directly(layer: LayerSpec, tensor: str) -> bool:
    """True for weights without a gradient matrix (network-and-solver 8.2, the direct route)."""
    return has_direct_route(layer, tensor) and not super_eps(layer) > 0


def _learns(graph: Graph, layer: LayerSpec, tensor: str) -> bool:
    name, held = graph.owner(layer, tensor)
    owner = graph.layers[name]
    takes_part = name in graph.wants_gradient and name in graph.produces
    return takes_part and base_rate(layer, tensor) > 0 and base_rate(owner, held) > 0


def new_values(
    op: Any,
    layer: LayerSpec,
    tensor: str,
    values: Mapping[str, np.ndarray],
    progress: float,
    normals: np.ndarray | None = None,
) -> tuple[reference.Bounded, reference.Bounded]:
    """What an update makes of a parameter tensor and its momentum buffer, constraints included.

    `op` has the layer's formulas; `values` are the tensor, its momentum buffer and, but on the direct route, its
    gradient, by name. `progress` is the share of the training that is done; `normals`, (tensors, 2): see `normal`.
    """
    eps, eps_of_decay = (rate(layer, tensor, progress, normal(normals, layer, tensor, use)) for use in (0, 1))
    constants: dict[str, Any] = solver_constants(layer, tensor)
    constants["wc"] *= eps_of_decay / eps  # each use has its own noise
    param, buffer = values[tensor], values[increment(tensor)]
    if super_eps(layer) > 0:
        new, inc = reference.spread_step(
            param, buffer, values[gradient(tensor)], eps=eps, **constants, super_eps=super_eps(layer)
        )
    else:
        rule = reference.update if index(tensor) is None else op.update
        new, inc = rule(param, buffer, values.get(gradient(tensor)), eps=eps, **constants)
    return _constrained(layer, index(tensor), new), inc


def is_constrained(layer: LayerSpec, tensor: str) -> bool:
    """Whether an update holds the columns of a tensor to a size, so that no row is changed by itself."""
    i = index(tensor)
    if i is None or layer.type == "treefc":
        return False
    return layer["wballNormed"][i] > 0 or bool(layer.get("wcNormMax") and layer["wcNormMax"][i] > 0)


def _constrained(layer: LayerSpec, i: int | None, new: reference.Bounded) -> reference.Bounded:
    if i is None or layer.type == "treefc":
        return new
    if layer.get("wcNormMax") and layer["wcNormMax"][i] > 0:
        new = reference.limit_contrast(new, layer["wcNormMin"][i], layer["wcNormMax"][i])
    if layer["wballNormed"][i] > 0:
        new = reference.limit_norms(new, layer["wballNormed"][i], layer["modules"] if layer.type == "local" else 1)
    return new
