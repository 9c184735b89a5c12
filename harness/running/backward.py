"""The backward pass of a sweep.

For each layer, costs first: the gradients of its inputs from the gradient of its output, the parameter gradients, and,
once the last consumer of an input has contributed, the gradient of that input's output: the sum of the contributions,
rounded once, which feeds the next layer. The sum is a row of its own where there are several consumers.
"""

from collections import Counter

import numpy as np

from ..network.solver import learning, normal, rate, solver_constants, updates_directly
from ..network.tensors import gradient, increment
from ..reference import Bounded, accumulate, sum_grads
from ..reference.chunks import chunks, columns
from ..reference.half_precision import collected
from .rerun import Rerun, run_backward, run_sum, step_backward, write_normals


def rows(sweep):
    """Yield the rows of ``inputs_grad[i]``, of parameter gradients and of sums over consumers."""
    order = sweep.graph.backward_order()
    below = {layer.name: _Contributions(sweep.graph, layer.name) for layer in order}
    parameters = _ParameterGradients(sweep, order)
    finished = []
    for layer in order:
        grad = sweep.acts_grad.get(layer.name)
        sweep.each(layer, "backward", lambda session, layer=layer: write_normals(session, sweep, layer))
        fed = None if sweep.own_feed else grad
        sweep.each(layer, "backward", lambda session, layer=layer, fed=fed: step_backward(session, sweep, layer, fed))
        yield from _layer(sweep, layer, grad, below, parameters)
        sources = list(dict.fromkeys(layer.inputs[i] for i in sweep.graph.wanted_inputs(layer)))
        for source in sources:
            if below[source].complete():
                yield from _output_grad(sweep, sweep.graph.layers[source], below[source])
        finished.append((layer.name, sources))
        while finished and all(below[source].complete() for source in finished[0][1]):
            sweep.done(finished.pop(0)[0])


class _Contributions:
    """What the consumers of a layer send down, until the last one has.

    Attributes
    ----------
    alone : bool
        There is one consumer, and what it sends arrives as it is.
    """

    def __init__(self, graph, name):
        self.expected = graph.contributions(name)
        self.alone = len(self.expected) == 1 and graph.sends_from(name, self.expected[0][0]) is None
        self.parts = {}
        self.consumer_grads = {}

    def complete(self):
        return len(self.parts) == len(self.expected)


class _ParameterGradients:
    """Sums over all cases, collected until the last layer that shares a matrix has contributed."""

    def __init__(self, sweep, order):
        self.sweep = sweep
        self.parts = {}
        self.missing = Counter(sweep.graph.owner(layer, t) for layer in order for t in learning(sweep.graph, layer))

    def add(self, layer, tensor, total, grad):
        """Take a layer's sum, and the gradient of its output that it is from.

        Returns what is to be compared if that was the last one: (owner, tensor), sums.
        """
        owner = self.sweep.graph.owner(layer, tensor)
        self.parts.setdefault(owner, []).append((layer, tensor, total, self.sweep.inputs_of(layer), grad))
        self.missing[owner] -= 1
        return None if self.missing[owner] else (owner, self.parts.pop(owner))


def _layer(sweep, layer, grad, below, parameters):
    inputs, mask, totals = sweep.inputs_of(layer), sweep.work.mask(layer), {}
    wanted = sweep.graph.wanted_inputs(layer)
    streams = {} if sweep.own_feed else {i: _stream(sweep, layer, i) for i in wanted}
    summed = {i: [] for i in wanted if sweep.own_feed or not below[layer.inputs[i]].alone}
    for part in chunks(layer, inputs):
        sliced, above = [array[:, part] for array in inputs], None if grad is None else grad[:, part]
        for i in wanted:
            found = _inputs_grad(sweep, layer, i, sliced, above, mask, part)
            if i in streams:
                streams[i].add(found, part)
            if i in summed:
                summed[i].append(found)
        if learning(sweep.graph, layer):
            for tensor, found in sweep.ops[layer.name].params_grad(sliced, above, sweep.work.params(layer)).items():
                totals[tensor] = totals[tensor] + found if tensor in totals else found
    for i in wanted:
        source = below[layer.inputs[i]]
        source.parts[layer.name, i] = _join(summed[i]) if i in summed else streams[i].reference
        source.consumer_grads[layer.name] = grad
        if i in streams:
            streams[i].rerun = _inputs_rerun(sweep, layer, i, grad)
            yield sweep.row(streams[i])
    for tensor in learning(sweep.graph, layer):
        collected = parameters.add(layer, tensor, totals.pop(tensor), grad)
        if collected:
            yield _parameter_row(sweep, *collected)


def _stream(sweep, layer, i):
    rows_of_input = sweep.graph.layers[layer.inputs[i]].outputs
    return sweep.stream(layer, "backward", f"inputs_grad[{i}]", (rows_of_input, sweep.work.batch))


def _inputs_grad(sweep, layer, i, inputs, above, mask, part):
    fused = {}
    if layer.name in sweep.graph.fused:
        source, name, coeff = sweep.graph.fused_with_cost(layer.name)
        fused = {name: sweep.acts[source][:, part], "coeff": coeff}
    return sweep.ops[layer.name].inputs_grad(
        i,
        inputs,
        above,
        sweep.work.params(layer),
        pass_type=sweep.work.kind,
        mask=columns(mask, part),
        **fused,
    )


def _inputs_rerun(sweep, layer, i, grad):
    def bounded():
        inputs, mask = sweep.inputs_of(layer), sweep.work.mask(layer)
        for part in chunks(layer, inputs):
            above = None if grad is None else grad[:, part]
            yield _inputs_grad(sweep, layer, i, [array[:, part] for array in inputs], above, mask, part), part

    return Rerun(
        ("backward", layer.name),
        tuple(sweep.graph.layers[name] for name in (layer.name, sweep.graph.fused.get(layer.name)) if name),
        lambda session: run_backward(session, sweep, layer, sweep.inputs_of(layer), grad),
        lambda session: session.read(layer.name, f"inputs_grad[{i}]"),
        bounded,
    )


def _output_grad(sweep, layer, below):
    """The gradient of a layer's output, and its row where it is more than one fresh inputs_grad."""
    if not sweep.own_feed and below.alone:
        (grad,) = below.parts.values()
    else:
        parts = [(consumer, i, below.consumer_grads[consumer]) for consumer, i in below.expected]
        fetch = None if sweep.own_feed else (lambda session: session.sum_grad(layer.name, parts))
        stream = sweep.stream(layer, "backward", "acts_grad", (layer.outputs, sweep.work.batch), fetch)
        total = collected(sweep.graph, layer.name, {key: below.parts[key] for key in below.expected})
        stream.add(total)
        grad = stream.reference
        if not sweep.own_feed:
            stream.rerun = Rerun(
                ("sum", layer.name),
                tuple(sweep.graph.layers[name] for name in below.consumer_grads),
                lambda session: run_sum(session, sweep, below.consumer_grads),
                fetch,
                lambda: [(total, None)],
            )
        yield sweep.row(stream, timed=False)
    sweep.acts_grad[layer.name] = sweep.work.acts_grad(layer, grad)
    below.parts = dict.fromkeys(below.parts)
    below.consumer_grads.clear()


def _join(parts):
    """One Bounded from those of consecutive chunks of images."""

    def columns(name):
        arrays = [np.asarray(getattr(part, name)) for part in parts]
        if all(
            array.ndim < 2 or array.shape[1] < part.value.shape[1] for array, part in zip(arrays, parts, strict=True)
        ):
            return arrays[0]  # the same for every image
        full = [np.broadcast_to(array, part.value.shape) for array, part in zip(arrays, parts, strict=True)]
        return np.concatenate(full, axis=1)

    return Bounded(columns("value"), columns("magnitude"), columns("terms"))


def _parameter_row(sweep, owner, contributions):
    """A parameter gradient G = ∂W/N, or where history updates directly (fc weights) the new Δ = μΔ + ε G.

    Weights that layers share have the sum of their gradients; on the direct route each brings its own rate.
    """
    layer, tensor = sweep.graph.layers[owner[0]], owner[1]
    steps = [(source, *operands) for source, _, _, *operands in contributions]
    passes = sweep.work.network.update_every
    contributions = [(source, own, total.repeated(passes)) for source, own, total, *_ in contributions]
    cases = passes * sweep.work.batch
    if updates_directly(layer, tensor):
        name = increment(tensor)
        found = _new_increment(sweep, layer, tensor, contributions, cases)
    else:
        name = gradient(tensor)
        found = sum_grads([total.scaled(1 / cases) for _, _, total in contributions])
    stream = sweep.stream(layer, "backward", name, found.value.shape)
    stream.add(found)
    sweep.gradients.setdefault(layer.name, {})[name] = stream.reference
    stream.rerun = Rerun(
        ("backward", *(step.name for step, *_ in steps)),
        tuple(step for step, *_ in steps),
        lambda session: [run_backward(session, sweep, step, inputs, grad) for step, inputs, grad in steps],
        lambda session: session.read(layer.name, name),
        lambda: [(found, None)],
    )
    return sweep.row(stream, timed=contributions[-1][0] is layer)


def _new_increment(sweep, layer, tensor, contributions, cases):
    inc, mom = sweep.work.values[layer.name][increment(tensor)], solver_constants(layer, tensor)["mom"]
    found = None
    for source, own, total in contributions:
        eps = rate(source, own, sweep.work.network.progress, normal(sweep.work.normals(source), source, own))
        if found is None:
            found = accumulate(inc, total, eps=eps, mom=mom, cases=cases)
        else:
            found += total.scaled(eps / cases)
    return found
