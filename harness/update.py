"""The update pass of a sweep: one weight update from the reference's gradients, rounded once and written to all."""

from . import reference
from .learning import learning, normal, owned, rate, solver_constants, super_eps
from .names import gradient, increment, index
from .rerun import Rerun, run_update


def rows(sweep):
    """Yield the rows of new weights, biases and momentum buffers, layer by layer in definition order."""
    taking_part = {layer.name for layer in sweep.graph.backward_order()}
    for layer in sweep.work.network.layers:
        if layer.name in taking_part and learning(sweep.graph, layer):
            written = {} if sweep.own_feed else sweep.gradients.get(layer.name, {})
            sweep.each(
                layer, "update", lambda session, layer=layer, written=written: _step(session, sweep, layer, written)
            )
            for tensor in owned(sweep.graph, layer):
                yield from _tensor_rows(sweep, layer, tensor)


def new_values(op, layer, tensor, values, progress, normals=None):
    """What an update makes of a parameter tensor, constraints included.

    Parameters
    ----------
    op : Op
        The layer's formulas.
    layer : LayerSpec
    tensor : str
    values : dict of str to ndarray
        The tensor, its momentum buffer and, but on the direct route, its gradient, by name.
    progress : float
        The share of the training that is done.
    normals : ndarray, (tensors, 2), optional
        See `learning.normal`.

    Returns
    -------
    new, increment : Bounded
    """
    eps, eps_of_decay = (rate(layer, tensor, progress, normal(normals, layer, tensor, use)) for use in (0, 1))
    constants = solver_constants(layer, tensor)
    constants["wc"] *= eps_of_decay / eps  # each use has its own noise
    arrays = values[tensor], values[increment(tensor)], values.get(gradient(tensor))
    if super_eps(layer) > 0:
        new, inc = reference.spread_step(*arrays, eps=eps, **constants, super_eps=super_eps(layer))
    else:
        rule = reference.update if index(tensor) is None else op.update
        new, inc = rule(*arrays, eps=eps, **constants)
    return _constrained(layer, index(tensor), new), inc


def _constrained(layer, i, new):
    if i is None or layer.type == "treefc":
        return new
    if layer.get("wcNormMax") and layer["wcNormMax"][i] > 0:
        new = reference.limit_contrast(new, layer["wcNormMin"][i], layer["wcNormMax"][i])
    if layer["wballNormed"][i] > 0:
        new = reference.limit_norms(new, layer["wballNormed"][i], layer["modules"] if layer.type == "local" else 1)
    return new


def _step(session, sweep, layer, written):
    for tensor, array in written.items():
        session.write(layer.name, tensor, array)
    session.update(layer.name, sweep.work.network.progress)


def _tensor_rows(sweep, layer, tensor):
    values = sweep.work.values[layer.name] | sweep.gradients[layer.name]
    progress, normals = sweep.work.network.progress, sweep.work.normals(layer)
    new, inc = new_values(sweep.ops[layer.name], layer, tensor, values, progress, normals)
    for name, found in ((tensor, new), (increment(tensor), inc)):
        stream = sweep.stream(layer, "update", name, found.value.shape)
        stream.add(found)
        stream.rerun = _rerun(sweep, layer, name, found)
        yield sweep.row(stream)


def _rerun(sweep, layer, name, found):
    return Rerun(
        ("update", layer.name),
        (layer,),
        lambda session: run_update(session, sweep, layer, sweep.gradients[layer.name]),
        lambda session: session.read(layer.name, name),
        lambda: [(found, None)],
    )
