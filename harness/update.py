"""The update pass of a sweep: one weight update from the reference's gradients, rounded once and written to all."""

from . import reference
from .errors import Unsupported
from .networks import parameter_shapes
from .parameters import gradient, increment, index


def rows(sweep):
    """Yield the rows of new weights, biases and momentum buffers, layer by layer in definition order."""
    taking_part = {layer.name for layer in sweep.graph.backward_order()}
    for layer in sweep.work.network.layers:
        if layer.name in taking_part and learning(layer):
            written = {} if sweep.own_feed else sweep.gradients[layer.name]
            sweep.each(layer, "update", lambda session, name=layer.name, written=written: _step(session, name, written))
            for tensor in learning(layer):
                yield from _tensor_rows(sweep, layer, tensor)


def learning(layer):
    """The parameter tensors of a layer whose base rate is above zero; the others are frozen."""
    rates = {tensor: base_rate(layer, tensor) for tensor in parameter_shapes(layer)}
    return [tensor for tensor, value in rates.items() if value > 0]


def base_rate(layer, tensor):
    """``epsW[i]`` or ``epsB``."""
    return layer.get("epsB", 0) if index(tensor) is None else layer["epsW"][index(tensor)]


def rate(layer, tensor):
    """The learning rate ε at progress 0 (network specification, section 9).

    Every schedule starts at the base rate, but for a stepped one with a single step, which is constant at its target.
    """
    schedule = layer["schedB" if index(tensor) is None else "schedW"]
    if schedule["type"] in ("dexp", "jdexp") and schedule["params"].get("numSteps", 2) <= 1:
        return base_rate(layer, tensor) / schedule["params"]["tgtFactor"]
    return base_rate(layer, tensor)


def solver_constants(layer, tensor):
    """Momentum μ and weight decay λ of a parameter tensor, as `reference.update` takes them."""
    i = index(tensor)
    return {"mom": layer["momB"], "wc": 0.0} if i is None else {"mom": layer["momW"][i], "wc": layer["wc"][i]}


def updates_directly(layer, tensor):
    """True for weights without a gradient matrix (network specification 8.2, the direct route)."""
    return layer.type in ("fc", "local") and index(tensor) is not None


def _step(session, name, written):
    for tensor, array in written.items():
        session.write(name, tensor, array)
    session.update(name)


def _refuse_unknown_rule(layer, tensor):
    """Raise Unsupported where the update does more than the reference has a formula for."""
    i = index(tensor)
    values = {"superEps": layer.get("superEps", 0)}
    if i is not None and "wcNormMax" in layer:
        values["wcNormMax"] = layer["wcNormMax"][i]
    active = [key for key, value in values.items() if value > 0]
    if active:
        raise Unsupported(f"the reference has no update formula with {', '.join(active)}")


def _tensor_rows(sweep, layer, tensor):
    before, after_backward = sweep.work.values[layer.name], sweep.gradients[layer.name]
    new, inc = reference.update(
        before[tensor],
        after_backward.get(increment(tensor), before[increment(tensor)]),
        after_backward.get(gradient(tensor)),
        eps=rate(layer, tensor),
        **solver_constants(layer, tensor),
    )
    i = index(tensor)
    if i is not None and layer["wballNormed"][i] > 0:
        new = reference.limit_norms(new, layer["wballNormed"][i])
    for name, found in ((tensor, new), (increment(tensor), inc)):

        def fetch(session, name=name):
            _refuse_unknown_rule(layer, tensor)
            return session.read(layer.name, name)

        stream = sweep.stream(layer, "update", name, found.value.shape, fetch)
        stream.add(found)
        yield sweep.row(stream)
