"""The update pass of a sweep: one weight update from the reference's gradients, rounded once and written to all."""

from ..network.solver import learning, new_values, owned
from ..network.tensors import increment
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
