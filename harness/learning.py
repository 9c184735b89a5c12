"""The solver's facts about a layer: what learns, at which rate, by which route (network-and-solver 8 and 9)."""

from .names import index
from .networks import parameter_shapes
from .reference import scheduled


def learning(graph, layer):
    """The parameter tensors for which a layer computes gradients.

    Its base rate is above zero, and so is that of the owner if the tensor is shared, which has to take part in the
    backward pass.
    """
    return [tensor for tensor in parameter_shapes(layer) if _learns(graph, layer, tensor)]


def owned(graph, layer):
    """Those of them that the layer itself updates."""
    return [tensor for tensor in learning(graph, layer) if graph.owner(layer, tensor) == (layer.name, tensor)]


def base_rate(layer, tensor):
    """``epsW[i]`` or ``epsB``."""
    return layer.get("epsB", 0) if index(tensor) is None else layer["epsW"][index(tensor)]


def rate(layer, tensor, progress, normal=0.0):
    """The learning rate ε at a point of the training (network-and-solver 9).

    Noise multiplies the rate by 1 + noiseStdev |z|. A class tree learns at a constant rate.
    """
    found = schedule(layer, tensor)
    noise = 1 + found["params"].get("noiseStdev", 0.0) * abs(float(normal))
    return scheduled(found, base_rate(layer, tensor), progress) * noise


def schedule(layer, tensor):
    """``schedW`` or ``schedB``, which class trees ignore."""
    if layer.type == "treefc":
        return {"type": "default", "params": {}}
    return layer["schedB" if index(tensor) is None else "schedW"]


def has_noise(layer):
    """True if a learning rate of the layer is random."""
    return any(schedule(layer, tensor)["params"].get("noiseStdev", 0) > 0 for tensor in parameter_shapes(layer))


def normal(normals, layer, tensor, use=0):
    """The recorded normal that a rate uses: for the gradient (use 0) or the decay (use 1); 0 without a record.

    ``normals`` is (tensors, 2), or None, in the order of `parameter_shapes`.
    """
    return 0.0 if normals is None else float(normals[list(parameter_shapes(layer)).index(tensor), use])


def solver_constants(layer, tensor):
    """Momentum μ and weight decay λ of a parameter tensor, as `reference.update` takes them."""
    i = index(tensor)
    return {"mom": layer["momB"], "wc": 0.0} if i is None else {"mom": layer["momW"][i], "wc": layer["wc"][i]}


def super_eps(layer):
    """``superEps``, which class trees ignore."""
    return 0.0 if layer.type == "treefc" else layer.get("superEps", 0.0)


def updates_directly(layer, tensor):
    """True for weights without a gradient matrix (network-and-solver 8.2, the direct route)."""
    return layer.type in ("fc", "local") and index(tensor) is not None and not super_eps(layer) > 0


def _learns(graph, layer, tensor):
    name, held = graph.owner(layer, tensor)
    owner = graph.layers[name]
    takes_part = name in graph.wants_gradient and name in graph.produces
    return takes_part and base_rate(layer, tensor) > 0 and base_rate(owner, held) > 0
