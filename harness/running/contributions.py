"""Gradients of outputs and of parameters that several layers contribute to, kept until the last layer has."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..network.load import LayerSpec
from ..network.solver import normal, rate, solver_constants, trainable, updates_directly
from ..network.tensors import gradient, increment
from ..reference import Bounded, accumulate, sum_grads
from ..reference.half_precision import collected
from .steps import Backward, ByRows, Collected, Operands, Sum


class OutputGradient:
    """What the consumers of a layer send down."""

    def __init__(self, sweep: Operands, layer: LayerSpec) -> None:
        self.sweep, self.layer = sweep, layer
        self.expected = sweep.graph.contributions(layer.name)
        # there is one consumer, and what it sends arrives as it is
        self.alone = len(self.expected) == 1 and sweep.graph.sends_from(layer.name, self.expected[0][0]) is None
        self._parts: dict[tuple[str, int], Any] = {}
        self._steps: dict[str, Backward] = {}

    def add(self, step: Backward, i: int, part: np.ndarray | list[Bounded]) -> None:
        """Take what a Backward step sends through input ``i``: Bounded by chunks, or of a lone consumer an array."""
        self._parts[step.layer.name, i] = part if isinstance(part, np.ndarray) else joined(part)
        self._steps[step.layer.name] = step

    def complete(self) -> bool:
        """Whether the last consumer has sent its part."""
        return len(self._parts) == len(self.expected)

    def take(self) -> Sum | np.ndarray:
        """The Sum of the parts, or the array of a lone consumer; nothing is kept."""
        parts = {key: self._parts[key] for key in self.expected}
        steps = [(consumer, i, self._steps[consumer]) for consumer, i in self.expected]
        self._parts, self._steps = dict.fromkeys(self._parts), {}
        if self.alone and not self.sweep.own_feed:
            return next(iter(parts.values()))
        return Sum(self.sweep, self.layer, steps, collected(self.sweep.graph.sends_from, self.layer.name, parts))


class ParameterGradients:
    """Sums over all cases, by the tensor that they belong to, which several layers may share."""

    def __init__(self, sweep: Operands, order: Sequence[LayerSpec]) -> None:
        self.sweep = sweep
        self._parts: dict[tuple[str, str], list[tuple[Backward, str, ByRows]]] = {}
        self._missing = Counter(sweep.graph.owner(layer, t) for layer in order for t in trainable(sweep.graph, layer))

    def add(self, step: Backward) -> Iterator[Collected]:
        """Take the sums of a Backward step; yield a Collected for each tensor that was the last to be missing."""
        learns = trainable(self.sweep.graph, step.layer)
        totals = step.params_grad() if learns else {}
        for tensor in learns:
            owner = self.sweep.graph.owner(step.layer, tensor)
            self._parts.setdefault(owner, []).append((step, tensor, totals.pop(tensor)))
            self._missing[owner] -= 1
            if not self._missing[owner]:
                yield self._collected(*owner, self._parts.pop(owner))

    def _collected(self, name: str, tensor: str, parts: list[tuple[Backward, str, ByRows]]) -> Collected:
        """A parameter gradient G = ∂W/N, or where history updates directly (fc weights) the new Δ = μΔ + ε G.

        Weights that layers share have the sum of their gradients; on the direct route each brings its own rate.
        """
        layer, passes = self.sweep.graph.layers[name], self.sweep.work.network.update_every
        cases, direct = passes * self.sweep.work.batch, updates_directly(layer, tensor)

        def rows(some: slice) -> Bounded:
            sums = [(step.layer, own, total(some).repeated(passes)) for step, own, (_, total) in parts]
            if direct:
                return self._new_increment(layer, tensor, sums, cases, some)
            return sum_grads([total.scaled(1 / cases) for *_, total in sums])

        into = increment(tensor) if direct else gradient(tensor)
        return Collected(self.sweep, layer, [step for step, *_ in parts], into, parts[0][2][0], rows)

    def _new_increment(
        self, layer: LayerSpec, tensor: str, sums: Sequence[tuple[LayerSpec, str, Bounded]], cases: int, rows: slice
    ) -> Bounded:
        work = self.sweep.work
        inc, mom = work.values[layer.name][increment(tensor)][rows], solver_constants(layer, tensor)["mom"]
        steps: list[Bounded] = []
        for source, own, total in sums:
            eps = rate(source, own, work.network.progress, normal(work.normals(source), source, own))
            steps.append(total.scaled(eps / cases) if steps else accumulate(inc, total, eps=eps, mom=mom, cases=cases))
        return sum(steps[1:], steps[0])


def joined(parts: Sequence[Bounded]) -> Bounded:
    """One Bounded from those of consecutive chunks of images."""

    def columns(name: str) -> np.ndarray:
        arrays = [np.asarray(getattr(part, name)) for part in parts]
        if all(
            array.ndim < 2 or array.shape[1] < part.value.shape[1] for array, part in zip(arrays, parts, strict=True)
        ):
            return arrays[0]  # the same for every image
        full = [np.broadcast_to(array, part.value.shape) for array, part in zip(arrays, parts, strict=True)]
        return np.concatenate(full, axis=1)

    return Bounded(columns("value"), columns("magnitude"), columns("terms"))
