"""The forward pass of a sweep."""

from .stream import chunks, columns


def rows(sweep):
    """Yield the row of each layer's acts (of a cost layer: its cost), in topological order."""
    for layer in sweep.work.network.layers:
        if layer.type == "data":
            _load(sweep, layer)
        else:
            yield _layer(sweep, layer)
            if sweep.idle_after(layer.name, "forward"):
                sweep.done(layer.name)


def _load(sweep, layer):
    values = sweep.work.inputs.data[layer.name]
    sweep.acts[layer.name] = values
    if sweep.own_feed:
        sweep.each(layer, "forward", lambda session: session.forward(layer.name, [values]))


def _layer(sweep, layer):
    inputs, mask = sweep.inputs_of(layer), sweep.work.mask(layer)
    fed = None if sweep.own_feed else inputs
    sweep.each(layer, "forward", lambda session: session.forward(layer.name, fed, mask))
    if layer.type.startswith("cost."):
        stream = sweep.stream(layer, "forward", "cost", None)
        parts = [_evaluate(sweep, layer, inputs, mask, part) for part in chunks(layer, inputs)]
        stream.add(sum(parts[1:], parts[0]))
    else:
        stream = sweep.stream(layer, "forward", "acts", (layer.outputs, sweep.work.batch))
        for part in chunks(layer, inputs):
            stream.add(_evaluate(sweep, layer, inputs, mask, part), part)
        sweep.acts[layer.name] = sweep.work.acts(layer, stream.reference)
    return sweep.row(stream)


def _evaluate(sweep, layer, inputs, mask, part):
    return sweep.ops[layer.name].forward(
        [array[:, part] for array in inputs],
        sweep.work.params(layer),
        pass_type=sweep.work.pass_type,
        mask=columns(mask, part),
    )
