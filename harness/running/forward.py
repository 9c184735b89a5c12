"""The forward pass of a sweep: of training, of a test, or of a test of several views of the same cases."""

from ..reference.chunks import chunks, columns
from ..reference.views import PASS_TYPES, VIEWS, averaged, seen
from .rerun import Rerun, run_forward


def rows(sweep):
    """Yield the row of each layer's acts (of a cost layer: its cost), in topological order, pass by pass."""
    for kind, step in PASS_TYPES[sweep.work.pass_type].items():
        sweep.begins(kind)
        for layer in sweep.work.network.layers:
            if layer.type == "data":
                _load(sweep, layer, step)
            else:
                yield from _layer(sweep, layer, step)
                if sweep.idle_after(layer.name, "forward"):
                    sweep.done(layer.name)


def _load(sweep, layer, step):
    values = seen(sweep.work.inputs.data[layer.name], sweep.work.kind)
    sweep.acts[layer.name] = values
    if sweep.own_feed:
        sweep.each(layer, step, lambda session: session.forward(layer.name, [values]))


def _layer(sweep, layer, step):
    inputs, mask, kind = sweep.inputs_of(layer), sweep.work.mask(layer), sweep.work.kind
    fed = None if sweep.own_feed else inputs
    sweep.each(layer, step, lambda session: session.forward(layer.name, fed, mask))
    is_cost = layer.type.startswith("cost.")
    inputs = averaged(sweep.views, layer, inputs, kind)
    if layer.type == "cost.logreg" and kind in VIEWS[:-1]:
        return  # its numbers come with the last view
    tensor, shape = ("cost", None) if is_cost else ("acts", (layer.outputs, sweep.work.batch))
    stream = sweep.stream(layer, step, tensor, shape)
    evaluated = _cost if is_cost else _acts
    for bounded, part in evaluated(sweep, layer, inputs, mask):
        stream.add(bounded, part)
    if not is_cost:
        sweep.acts[layer.name] = sweep.work.acts(layer, stream.reference)
    stream.rerun = Rerun(
        (step, layer.name),
        (layer,),
        lambda session: run_forward(session, sweep, layer, inputs),
        lambda session: session.read(layer.name, tensor),
        lambda: evaluated(sweep, layer, inputs, mask),
    )
    yield sweep.row(stream)


def _acts(sweep, layer, inputs, mask):
    for part in chunks(layer, inputs):
        yield _evaluate(sweep, layer, inputs, mask, part), part


def _cost(sweep, layer, inputs, mask):
    parts = [_evaluate(sweep, layer, inputs, mask, part) for part in chunks(layer, inputs)]
    yield sum(parts[1:], parts[0]), None


def _evaluate(sweep, layer, inputs, mask, part):
    return sweep.ops[layer.name].forward(
        [array[:, part] for array in inputs],
        sweep.work.params(layer),
        pass_type=sweep.work.kind,
        mask=columns(mask, part),
    )
