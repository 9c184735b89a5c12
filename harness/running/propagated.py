"""Propagated mode: each engine feeds itself, and every difference is traced to where it began.

Each tensor is judged twice: against the reference on its own path, which shows the drift; and against the formula of
the layer from the engine's *own* operands, where the bound of one layer holds again. If the second holds everywhere,
every difference comes from roundings below, however large a flipped decision has made it. Where it fails, the layer
computes something else: the difference is unexplained.

A decision (a sign, the winner of a window, a best class) may differ from the reference's if the margin of the decision
is no more than what the operands may be off: their own bound, and the difference that they inherited.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..judging.finding import DIFFERS, Finding
from ..judging.row import Row
from ..judging.verdict import Verdict
from ..network.graph import Graph
from ..reference import Bounded
from ..reference.half_precision import collected
from .contributions import ParameterGradients, joined
from .decisions import decided, decides
from .steps import Backward, Collected, Forward, Part, Step, Sum, Update
from .sweep import Sweep
from .tensor_comparison import TensorComparison
from .workload import Workload


class OwnFeed(Sweep):
    """A `Sweep` with ``own_feed`` whose rows know ``own`` and ``decisions``."""

    def __init__(self, work: Workload) -> None:
        super().__init__(work, own_feed=True)
        self.own = {name: _OwnValues(self) for name in self.sessions}

    def run(self, step: Step) -> None:
        super().run(step)
        if isinstance(step, Forward):
            for own in self.own.values():
                own.begin(step)

    def row(self, comparison: TensorComparison, timed: bool = True) -> Row:
        """The Row of a finished comparison."""
        row = super().row(comparison, timed)
        for name, own in self.own.items():
            if isinstance(row.findings[name], Finding) and row.findings[name].elements:
                found = own.judge(comparison, comparison.found[name])
                row.own[name] = found.share
                if found.fails and row.findings[name].agrees:
                    row.findings[name] = found
                if decisions := own.decisions(self, comparison):
                    row.decisions[name] = decisions
        row.sent_by = tuple(name for name, _, _ in getattr(comparison.subject.step, "parts", ()))
        return row


class _OwnValues:
    """What one engine has computed so far: steps read their operands here as they read the reference's in a sweep."""

    inputs_of: Any = Sweep.inputs_of

    def __init__(self, sweep: Sweep) -> None:
        self.work, self.graph, self.ops = sweep.work, sweep.graph, sweep.ops
        self.own_feed = True
        self.acts: dict[str, np.ndarray] = {}
        self.acts_grad: dict[str, np.ndarray] = {}
        self.gradients: dict[str, dict[str, np.ndarray]] = {}
        self.views: dict[str, list[np.ndarray]] = {}
        self._forward: Forward | None = None
        self._parameters: tuple[tuple[str, ...], dict[tuple[str, str], Bounded]] = ((), {})
        self._allowed: dict[
            str, np.ndarray
        ] = {}  # by layer that is decided upon: how far its output may be from the reference's
        self._waiting = {
            name: {reader for reader, _ in readers if decides(self.graph.layers[reader])}
            for name, readers in self.graph.consumers.items()
        }

    def begin(self, step: Forward) -> None:
        """Take the operands of a forward step; a cost over several views takes those of each."""
        if step.layer.type == "data":
            self.acts[step.layer.name] = step.given[0]
        elif all(source in self.acts for source in step.layer.inputs):
            self._forward = Forward(self, step.layer, step.pass_name)

    def judge(self, comparison: TensorComparison, found: np.ndarray) -> Finding:
        """The Finding on a tensor from the engine's own operands; the tensor is an operand of later steps."""
        step, tensor, name = comparison.subject.step, comparison.tensor, comparison.layer.name
        verdict = Verdict(found.shape)
        allowed = np.zeros(found.shape, np.float32) if tensor == "acts" and self._waiting[name] else None
        for bounded, place in self._bounded(step, tensor):
            where = place or ...
            verdict.add(bounded, found[where], place and [axis.start for axis in place])
            if allowed is not None:
                with np.errstate(invalid="ignore", over="ignore"):
                    off = np.abs(np.subtract(bounded.value, comparison.reference[where], dtype=np.float64))
                    allowed[where] = (off + bounded.bound()) * (1 + 2.0**-20)
        finding = verdict.finish()
        if allowed is not None:
            if finding.fails:  # the tensor is reported; what it does to later decisions follows
                with np.errstate(invalid="ignore", over="ignore"):
                    np.fmax(allowed, np.abs(found - comparison.reference), out=allowed)
            self._allowed[name] = allowed
        if tensor == "acts":
            self.acts[name] = found
        elif tensor == "acts_grad":
            self.acts_grad[name] = found
        elif comparison.step == "backward":  # an update changes the buffer of the direct route in place
            self.gradients.setdefault(name, {})[tensor] = found.copy() if "_inc" in tensor else found
        return finding

    def decisions(self, sweep: Sweep, comparison: TensorComparison) -> dict[str, Any] | None:
        """What `decisions.decided` says of a layer that has decided; None of others."""
        layer = comparison.layer
        if comparison.tensor not in ("acts", "cost") or not decides(layer):
            return None
        allowed = [self._allowed.get(source, np.zeros((), np.float32)) for source in layer.inputs]
        found = decided(layer, self.ops[layer.name], sweep.inputs_of(layer), self.inputs_of(layer), allowed)
        for source in layer.inputs:
            self._waiting[source].discard(layer.name)
            if not self._waiting[source]:
                self._allowed.pop(source, None)
        return found

    def _bounded(self, step: Step, tensor: str) -> Iterable[Part]:
        """What the formula makes of the engine's own operands, as `Step.bounded` yields it."""
        layers = self.graph.layers
        if isinstance(step, Sum):
            steps = {(name, i): Backward(self, layers[name]) for name, i, _ in step.parts}
            sent = {key: joined([b for b, _ in one.bounded(f"inputs_grad[{key[1]}]")]) for key, one in steps.items()}
            return [(collected(self.graph.sends_from, step.layer.name, sent), None)]
        if isinstance(step, Collected):
            return [(self._parameter(step, tensor), None)]
        if isinstance(step, Forward) and self._forward:
            return self._forward.bounded(tensor)
        own = Update(self, step.layer)
        return next(own.bounded(tensor) for one in own.tensors() if one.name == tensor)

    def _parameter(self, step: Collected, tensor: str) -> Bounded:
        """The gradient of a parameter; those of the same backward steps are kept until others are asked for."""
        layers = list({one.layer.name: one.layer for one in step.steps}.values())
        key = tuple(layer.name for layer in layers)
        if self._parameters[0] != key:
            gradients = ParameterGradients(self, layers)
            found = [one for layer in layers for one in gradients.add(Backward(self, layer))]
            self._parameters = key, {(one.layer.name, one.tensor): one.rows(slice(None)) for one in found}
        return self._parameters[1][step.layer.name, tensor]


def propagated_rows(work: Workload) -> Iterator[Row]:
    """Yield the rows of an isolated sweep, then those of a sweep in which each engine feeds itself.

    In the second part a tensor outside the bound is ``inherited`` if it is what the layer's formula gives from the
    engine's own operands: a legitimate consequence of rounding further down (one flipped ReLU or pooling maximum moves
    later values by far more than any bound), and no failure. It is ``local`` if the layer also fails from the
    reference's tensors, and ``unexplained`` if it does not, but fails from its own.
    """
    failed = {}
    for row in Sweep(work).rows():
        for name, found in row.findings.items():
            if found.fails:
                failed[row.layer, row.step, row.tensor, name] = row.quirk.get(name, ())
        yield row
    sweep = OwnFeed(work)
    for row in sweep.rows():
        row.mode = "propagated"
        own = isolated_counterparts(sweep.graph, row)
        for name, found in row.findings.items():
            if found.status in DIFFERS:
                local = [failed[*key, name] for key in own if (*key, name) in failed]
                outside = "unexplained" if row.own.get(name, 0) > 1 else "inherited"
                row.origin[name] = "local" if local else outside
                if local and all(local):
                    row.quirk[name] = tuple(dict.fromkeys(quirk for quirks in local for quirk in quirks))
        wrong = {key[0] for key in own for name in row.findings if (*key, name) in failed}
        row.sent_by = tuple(name for name in row.sent_by if name in wrong) or row.sent_by
        yield row


def isolated_counterparts(graph: Graph, row: Row) -> list[tuple[str, str, str]]:
    """The isolated tensors, as (layer, pass, tensor), that a propagated row must be held against.

    The gradient of a layer's output is in isolated mode what its consumers send down, and their sum.
    """
    if row.tensor != "acts_grad":
        return [(row.layer, row.step, row.tensor)]
    sent = [(consumer, row.step, f"inputs_grad[{i}]") for consumer, i in graph.contributions(row.layer)]
    return [*sent, (row.layer, row.step, row.tensor)]
