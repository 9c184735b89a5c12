"""The steps of a run as objects: what a session runs, the tensors that the step leaves, and the reference's values.

A sweep runs a step in every engine. The search for an explaining quirk runs the same step `again`, in a session of its
own. A layer has a step in each pass; the sum of the gradients that several layers send is a step that runs nothing
itself.
"""

from typing import Any, NamedTuple

from ..network.graph import is_cost
from ..network.solver import new_values, updated_here
from ..network.tensors import increment, index
from ..reference.chunks import chunks, columns
from ..reference.views import VIEWS, averaged

PASSES = ("forward", "backward", "update")


class Tensor(NamedTuple):
    """A tensor that a step leaves.

    Attributes
    ----------
    step : Step
    name : str
        What sessions call the tensor: ``acts``, ``inputs_grad[0]``.
    shape : tuple of int or None
        None: the shape that the reference's tensor has.
    """

    step: Any
    name: str
    shape: Any


class Step:
    """One step of one layer that any session can run.

    Parameters
    ----------
    sweep : sweep.Sweep
        Its values are read, its engines are not: ``work``, ``graph``, ``ops``, the reference's tensors.
    layer : LayerSpec
    pass_name : str
        What rows call the pass.

    Attributes
    ----------
    layers : tuple of LayerSpec
        The layers that run.
    """

    def __init__(self, sweep, layer, pass_name):
        self.sweep, self.work, self.layer, self.pass_name = sweep, sweep.work, layer, pass_name
        self.layers = (layer,)

    def run(self, session):
        """Run the step in a session that has run the steps before."""

    def again(self, session):
        """Run the step in a session that has seen nothing yet but the parameters of `layers`."""
        self.run(session)

    def tensors(self):
        """Yield a Tensor for each tensor that the step leaves."""
        raise NotImplementedError

    def read(self, session, tensor):
        """A tensor of the step as a session hands it out."""
        return session.read(self.layer.name, tensor)

    def bounded(self, tensor):
        """Yield the reference's tensor: pairs of Bounded and slice of images, None for a tensor that comes whole."""
        raise NotImplementedError

    def _write_normals(self, session):
        """Hand over the normals of the layer's learning rates, where they have noise."""
        normals = self.work.normals(self.layer)
        if normals is not None:
            session.write(self.layer.name, "schedule_normals", normals)


class Forward(Step):
    """A layer forward, which leaves ``acts``, or of a cost layer ``cost``."""

    def __init__(self, sweep, layer, pass_name="forward"):
        super().__init__(sweep, layer, pass_name)
        self.kind, self.mask = self.work.kind, self.work.mask(layer)
        self.given = sweep.inputs_of(layer)
        self.inputs = averaged(sweep.views, layer, self.given, self.kind)

    def run(self, session):
        """Forward from the reference's tensors; where engines feed themselves, only a data layer is given any."""
        given = None if self.sweep.own_feed and self.layer.type != "data" else self.given
        session.forward(self.layer.name, given, self.mask)

    def again(self, session):
        """Forward from inputs that are averaged already."""
        if self.kind != "train":
            session.set_pass_type(self.kind)
        session.forward(self.layer.name, self.inputs, self.mask)

    def tensors(self):
        """One tensor; none of a cost over several views before the last one."""
        if not is_cost(self.layer):
            yield Tensor(self, "acts", (self.layer.outputs, self.work.batch))
        elif self.layer.type != "cost.logreg" or self.kind not in VIEWS[:-1]:
            yield Tensor(self, "cost", None)

    def bounded(self, tensor):
        """The formula, chunk by chunk; a cost is the sum over all chunks."""
        parts = ((self._evaluate(part), part) for part in chunks(self.layer, self.inputs))
        if is_cost(self.layer):
            first, *rest = (found for found, _ in parts)
            parts = [(sum(rest, first), None)]
        yield from parts

    def _evaluate(self, part):
        inputs, params = [array[:, part] for array in self.inputs], self.work.params(self.layer)
        op = self.sweep.ops[self.layer.name]
        return op.forward(inputs, params, pass_type=self.kind, mask=columns(self.mask, part))


class Backward(Step):
    """A layer backward, which leaves ``inputs_grad[i]`` and the sums over all cases for the parameter gradients.

    A layer that is fused with its cost runs with the cost.
    """

    def __init__(self, sweep, layer):
        super().__init__(sweep, layer, "backward")
        self.grad = sweep.acts_grad.get(layer.name)
        self.wanted = sweep.graph.wanted_inputs(layer)
        self.layers = tuple(
            sweep.graph.layers[name] for name in (layer.name, sweep.graph.fused.get(layer.name)) if name
        )
        self._forward = [Forward(sweep, each) for each in self.layers]
        self.inputs, self.mask = self._forward[0].inputs, self._forward[0].mask

    def run(self, session):
        """One backward step; with several passes per update as many steps, which all see the same cases."""
        self._write_normals(session)
        network = self.work.network
        for _ in range(network.update_every):
            session.backward(self.layer.name, None if self.sweep.own_feed else self.grad, network.progress)

    def again(self, session):
        """The forward steps, then the backward step."""
        for step in self._forward:
            step.again(session)
        self.run(session)

    def tensors(self):
        """The gradients of the inputs that want one."""
        for i in self.wanted:
            source = self.sweep.graph.layers[self.layer.inputs[i]]
            yield Tensor(self, f"inputs_grad[{i}]", (source.outputs, self.work.batch))

    def bounded(self, tensor):
        """The formula, chunk by chunk."""
        for inputs, grad, part in self._chunks():
            more = {"pass_type": self.work.kind, "mask": columns(self.mask, part), **self._fused(part)}
            yield self._op().inputs_grad(index(tensor), inputs, grad, self.work.params(self.layer), **more), part

    def params_grad(self):
        """Sums over all cases by parameter tensor, dict of str to Bounded."""
        totals = {}
        for inputs, grad, _ in self._chunks():
            for tensor, found in self._op().params_grad(inputs, grad, self.work.params(self.layer)).items():
                totals[tensor] = totals[tensor] + found if tensor in totals else found
        return totals

    def _op(self):
        return self.sweep.ops[self.layer.name]

    def _chunks(self):
        for part in chunks(self.layer, self.inputs):
            yield [array[:, part] for array in self.inputs], None if self.grad is None else self.grad[:, part], part

    def _fused(self, part):
        if self.layer.name not in self.sweep.graph.fused:
            return {}
        source, name, coeff = self.sweep.graph.fused_with_cost(self.layer.name)
        return {name: self.sweep.acts[source][:, part], "coeff": coeff}


class Collected(Step):
    """A tensor that backward steps of several layers make together: nothing more runs.

    Parameters
    ----------
    sweep : Sweep
    layer : LayerSpec
        The layer that holds the tensor.
    steps : list of Backward
    tensor : str
    found : Bounded
    """

    def __init__(self, sweep, layer, steps, tensor, found):
        super().__init__(sweep, layer, "backward")
        self.steps, self.tensor, self.found = steps, tensor, found
        self.layers = tuple(step.layer for step in steps)

    def again(self, session):
        """The backward steps."""
        for step in self.steps:
            step.again(session)

    def tensors(self):
        """The one tensor."""
        yield Tensor(self, self.tensor, self.found.value.shape)

    def bounded(self, tensor):
        """The tensor as it was collected."""
        yield self.found, None


class Sum(Collected):
    """The sum of what the consumers of a layer send to its output, ``acts_grad``.

    Parameters
    ----------
    sweep, layer, found
        See `Collected`.
    parts : list of (str, int, Backward)
        The consumers, the index of their input, and their steps.
    """

    def __init__(self, sweep, layer, parts, found):
        super().__init__(sweep, layer, list(dict.fromkeys(step for *_, step in parts)), "acts_grad", found)
        self.parts = [(consumer, i, step.grad) for consumer, i, step in parts]

    def read(self, session, tensor):
        """The sum that the engine makes of what the consumers left; its own one where engines feed themselves."""
        if self.sweep.own_feed:
            return super().read(session, tensor)
        return session.sum_grad(self.layer.name, self.parts)


class Update(Step):
    """A weight update, which leaves new weights, biases and momentum buffers."""

    def __init__(self, sweep, layer):
        super().__init__(sweep, layer, "update")
        self.gradients = sweep.gradients.get(layer.name, {})

    def run(self, session):
        """The update, from the reference's gradients rounded once; where engines feed themselves, from their own."""
        for tensor, array in {} if self.sweep.own_feed else self.gradients.items():
            session.write(self.layer.name, tensor, array)
        session.update(self.layer.name, self.work.network.progress)

    def again(self, session):
        """The normals, which a backward step hands over otherwise, then the update."""
        self._write_normals(session)
        self.run(session)

    def tensors(self):
        """Each parameter tensor that the layer owns, and its momentum buffer."""
        values = self.work.values[self.layer.name] | self.gradients
        more = self.work.network.progress, self.work.normals(self.layer)
        for tensor in updated_here(self.sweep.graph, self.layer):
            found = new_values(self.sweep.ops[self.layer.name], self.layer, tensor, values, *more)
            self._found = dict(zip((tensor, increment(tensor)), found, strict=True))
            for name, bounded in self._found.items():
                yield Tensor(self, name, bounded.value.shape)

    def bounded(self, tensor):
        """What the solver's rule makes of the tensor."""
        yield self._found[tensor], None
