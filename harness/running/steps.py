"""The steps of a run as objects: what a session runs, the tensors that the step leaves, and the reference's values.

A sweep runs a step in every engine. The search for an explaining quirk runs the same step `again`, in a session of its
own. A layer has a step in each pass; the sum of the gradients that several layers send is a step that runs nothing
itself.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..engines.protocol import Session
from ..network.graph import Graph, is_cost
from ..network.load import LayerSpec
from ..network.solver import is_constrained, new_values, updated_here
from ..network.tensors import gradient, increment, index, parameter
from ..reference import Bounded
from ..reference.chunks import chunks, columns
from ..reference.views import VIEWS, averaged
from .threads import in_order
from .workload import Workload

PASSES = ("forward", "backward", "update")
PIECE = 2**19
"""Elements of a matrix that are evaluated at a time where that changes nothing; the judge takes rows by the 32."""


ByRows = tuple[tuple[int, ...], Callable[[slice], Bounded]]
"""The shape of a matrix, and what gives some rows."""
Part = tuple[Bounded, tuple[slice, slice] | None]
"""The reference's tensor of some rows and columns; the whole where there are no slices."""


class Operands(Protocol):
    """Where steps read what they compute from: a sweep, or the tensors of one engine in it."""

    work: Workload
    graph: Graph
    ops: dict[str, Any]
    own_feed: bool
    acts: dict[str, np.ndarray]
    acts_grad: dict[str, np.ndarray]
    gradients: dict[str, dict[str, np.ndarray]]
    views: dict[str, list[np.ndarray]]

    def inputs_of(self, layer: LayerSpec) -> list[np.ndarray]:
        """What feeds a layer."""


class Tensor(NamedTuple):
    """A tensor that a step leaves."""

    step: "Step"
    name: str  # what sessions call the tensor: ``acts``, ``inputs_grad[0]``
    shape: tuple[int, ...] | None  # none: the shape that the reference's tensor has


class Step:
    """One step of one layer that any session can run.

    ``sweep``: its values are read, its engines are not: ``work``, ``graph``, ``ops``, the reference's tensors.
    ``pass_name``: what rows call the pass.
    """

    def __init__(self, sweep: Operands, layer: LayerSpec, pass_name: str) -> None:
        self.sweep, self.work, self.layer, self.pass_name = sweep, sweep.work, layer, pass_name
        self.layers: tuple[LayerSpec, ...] = (layer,)  # the layers that run

    def run(self, session: Session) -> None:
        """Run the step in a session that has run the steps before."""

    def again(self, session: Session) -> None:
        """Run the step in a session that has seen nothing yet but the parameters of `layers`."""
        self.run(session)

    def tensors(self) -> Iterator[Tensor]:
        """Yield a Tensor for each tensor that the step leaves."""
        raise NotImplementedError

    def read(self, session: Session, tensor: str) -> np.ndarray:
        """A tensor of the step as a session hands it out."""
        return session.read(self.layer.name, tensor)

    def bounded(self, tensor: str) -> Iterator[Part]:
        """Yield the reference's tensor: pairs of Bounded and slices of rows and columns, None where that is all."""
        raise NotImplementedError

    def _by_rows(self, shape: tuple[int, ...], evaluate: Callable[[slice], Bounded]) -> Iterator[Part]:
        """Yield what ``evaluate(rows)`` makes of a matrix, rows that fit the cache at a time, and where they lie."""
        step = max(32, PIECE // max(1, shape[1]) // 32 * 32)
        parts = [slice(start, min(start + step, shape[0])) for start in range(0, shape[0], step)]
        for rows, found in zip(parts, in_order(evaluate, parts, self.work.threads), strict=True):
            yield found, (rows, slice(0, shape[1]))

    def _write_normals(self, session: Session) -> None:
        """Hand over the normals of the layer's learning rates, where they have noise."""
        normals = self.work.normals(self.layer)
        if normals is not None:
            session.write(self.layer.name, "schedule_normals", normals)


class Forward(Step):
    """A layer forward, which leaves ``acts``, or of a cost layer ``cost``."""

    def __init__(self, sweep: Operands, layer: LayerSpec, pass_name: str = "forward") -> None:
        super().__init__(sweep, layer, pass_name)
        self.kind, self.mask = self.work.kind, self.work.mask(layer)
        self.given = sweep.inputs_of(layer)
        self.inputs = averaged(sweep.views, layer, self.given, self.kind)

    def run(self, session: Session) -> None:
        """Forward from the reference's tensors; where engines feed themselves, only a data layer is given any."""
        given = None if self.sweep.own_feed and self.layer.type != "data" else self.given
        session.forward(self.layer.name, given, self.mask)

    def again(self, session: Session) -> None:
        """Forward from inputs that are averaged already."""
        if self.kind != "train":
            session.set_pass_type(self.kind)
        session.forward(self.layer.name, self.inputs, self.mask)

    def tensors(self) -> Iterator[Tensor]:
        """One tensor; none of a cost over several views before the last one."""
        if not is_cost(self.layer):
            yield Tensor(self, "acts", (self.layer.outputs, self.work.batch))
        elif self.layer.type != "cost.logreg" or self.kind not in VIEWS[:-1]:
            yield Tensor(self, "cost", None)

    def bounded(self, tensor: str) -> Iterator[Part]:
        """The formula, chunk by chunk; a cost is the sum over all chunks."""
        parts = chunks(self.layer, self.inputs)
        found = in_order(self._evaluate, parts, self.work.threads)
        if is_cost(self.layer):
            yield sum(found, next(found)), None
        else:
            yield from map(_images, found, parts)

    def _evaluate(self, part: slice) -> Bounded:
        inputs, params = [array[:, part] for array in self.inputs], self.work.params(self.layer)
        op = self.sweep.ops[self.layer.name]
        return op.forward(inputs, params, pass_type=self.kind, mask=columns(self.mask, part))


class Backward(Step):
    """A layer backward, which leaves ``inputs_grad[i]`` and the sums over all cases for the parameter gradients.

    A layer that is fused with its cost runs with the cost.
    """

    def __init__(self, sweep: Operands, layer: LayerSpec) -> None:
        super().__init__(sweep, layer, "backward")
        self.grad = sweep.acts_grad.get(layer.name)
        self.wanted = sweep.graph.wanted_inputs(layer)
        self.layers = tuple(
            sweep.graph.layers[name] for name in (layer.name, sweep.graph.fused.get(layer.name)) if name
        )
        self._forward = [Forward(sweep, each) for each in self.layers]
        self.inputs, self.mask = self._forward[0].inputs, self._forward[0].mask

    def run(self, session: Session) -> None:
        """One backward step; with several passes per update as many steps, which all see the same cases."""
        self._write_normals(session)
        network = self.work.network
        for _ in range(network.update_every):
            session.backward(self.layer.name, None if self.sweep.own_feed else self.grad, network.progress)

    def again(self, session: Session) -> None:
        """The forward steps, then the backward step."""
        for step in self._forward:
            step.again(session)
        self.run(session)

    def tensors(self) -> Iterator[Tensor]:
        """The gradients of the inputs that want one."""
        for i in self.wanted:
            source = self.sweep.graph.layers[self.layer.inputs[i]]
            yield Tensor(self, f"inputs_grad[{i}]", (source.outputs, self.work.batch))

    def bounded(self, tensor: str) -> Iterator[Part]:

        def evaluate(part: slice) -> Bounded:
            more = {"pass_type": self.work.kind, "mask": columns(self.mask, part), **self._fused(part)}
            return self._op().inputs_grad(index(tensor), *self._operands(part), **more)

        parts = chunks(self.layer, self.inputs)
        yield from map(_images, in_order(evaluate, parts, self.work.threads), parts)

    def params_grad(self) -> dict[str, ByRows]:
        """Sums over all cases by parameter tensor: shape, and a callable that gives some rows."""
        parts, op = chunks(self.layer, self.inputs), self._op()
        if hasattr(op, "weights_grad") and len(parts) == 1:  # a matrix too large to be evaluated at a time
            assert self.grad is not None
            found: dict[str, ByRows] = {
                f"weights[{i}]": ((len(x), len(self.grad)), partial(_rows_of_weights_grad, op, x, self.grad))
                for i, x in enumerate(self.inputs)
            }
            sums = op.params_grad([], self.grad, {})
            return found | {name: (total.value.shape, total.rows) for name, total in sums.items()}

        def evaluate(part: slice) -> dict[str, Bounded]:
            return op.params_grad(*self._operands(part))

        sums = {}
        for own in in_order(evaluate, parts, self.work.threads):
            sums = {name: sums[name] + total if sums else total for name, total in own.items()}
        return {name: (total.value.shape, total.rows) for name, total in sums.items()}

    def _op(self) -> Any:
        return self.sweep.ops[self.layer.name]

    def _operands(self, part: slice) -> tuple[list[np.ndarray], np.ndarray | None, dict[str, Any]]:
        inputs, grad = [array[:, part] for array in self.inputs], None if self.grad is None else self.grad[:, part]
        return inputs, grad, self.work.params(self.layer)

    def _fused(self, part: slice) -> dict[str, Any]:
        if self.layer.name not in self.sweep.graph.fused:
            return {}
        source, name, coeff = self.sweep.graph.fused_with_cost(self.layer.name)
        return {name or "": self.sweep.acts[source][:, part], "coeff": coeff}


class Collected(Step):
    """A tensor that backward steps of several layers make together: nothing more runs.

    ``layer``: the layer that holds the tensor.
    ``rows``: ``rows(slice)``, the Bounded of some rows.
    """

    def __init__(
        self,
        sweep: Operands,
        layer: LayerSpec,
        steps: Sequence[Backward],
        tensor: str,
        shape: tuple[int, ...],
        rows: Callable[[slice], Bounded],
    ) -> None:
        super().__init__(sweep, layer, "backward")
        self.steps, self.tensor, self.shape, self.rows = steps, tensor, shape, rows
        self.layers = tuple(step.layer for step in steps)

    def again(self, session: Session) -> None:
        """The backward steps."""
        for step in self.steps:
            step.again(session)

    def tensors(self) -> Iterator[Tensor]:
        yield Tensor(self, self.tensor, self.shape)

    def bounded(self, tensor: str) -> Iterator[Part]:
        """The tensor as it was collected, some rows at a time."""
        yield from self._by_rows(self.shape, self.rows)


class Sum(Collected):
    """The sum of what the consumers of a layer send to its output, ``acts_grad``.

    ``sweep``, ``layer``, ``found``: see `Collected`.
    ``parts``: the consumers, the index of their input, and their steps.
    """

    def __init__(
        self, sweep: Operands, layer: LayerSpec, parts: Sequence[tuple[str, int, Backward]], found: Bounded
    ) -> None:
        steps = list(dict.fromkeys(step for *_, step in parts))
        super().__init__(sweep, layer, steps, "acts_grad", found.value.shape, found.rows)
        self.parts: Any = [(consumer, i, step.grad) for consumer, i, step in parts]

    def read(self, session: Session, tensor: str) -> np.ndarray:
        """The sum that the engine makes of what the consumers left; its own one where engines feed themselves."""
        if self.sweep.own_feed:
            return super().read(session, tensor)
        return session.sum_grad(self.layer.name, self.parts)


class Update(Step):
    """A weight update, which leaves new weights, biases and momentum buffers."""

    def __init__(self, sweep: Operands, layer: LayerSpec) -> None:
        super().__init__(sweep, layer, "update")
        self.gradients = sweep.gradients.get(layer.name, {})

    def run(self, session: Session) -> None:
        """The update, from the reference's gradients rounded once; where engines feed themselves, from their own."""
        for tensor, array in {} if self.sweep.own_feed else self.gradients.items():
            session.write(self.layer.name, tensor, array)
        session.update(self.layer.name, self.work.network.progress)

    def again(self, session: Session) -> None:
        """The normals, which a backward step hands over otherwise, then the update."""
        self._write_normals(session)
        self.run(session)

    def tensors(self) -> Iterator[Tensor]:
        """Each parameter tensor that the layer owns, and its momentum buffer."""
        for tensor in updated_here(self.sweep.graph, self.layer):
            for name in (tensor, increment(tensor)):
                yield Tensor(self, name, self.work.values[self.layer.name][tensor].shape)

    def bounded(self, tensor: str) -> Iterator[Part]:
        """What the solver's rule makes of the tensor, some rows at a time where each is changed by itself."""
        changed = parameter(tensor)
        values = self.work.values[self.layer.name] | self.gradients
        values = {name: values[name] for name in (changed, increment(changed), gradient(changed)) if name in values}
        more = self.work.network.progress, self.work.normals(self.layer)

        def evaluate(rows: slice) -> Bounded:
            own = {name: array[rows] for name, array in values.items()}
            found = new_values(self.sweep.ops[self.layer.name], self.layer, changed, own, *more)
            return found[tensor != changed]

        if is_constrained(self.layer, changed):
            yield evaluate(slice(None)), None
        else:
            yield from self._by_rows(values[changed].shape, evaluate)


def _rows_of_weights_grad(op: Any, x: np.ndarray, grad: np.ndarray, rows: slice) -> Bounded:
    found: Bounded = op.weights_grad(x[rows], grad)
    return found


def _images(bounded: Bounded, part: slice) -> Part:
    """A chunk of images and where it lies."""
    return bounded, (slice(0, len(bounded.value)), part)
