"""Compares one tensor of every engine with the reference, one chunk at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import combinations
from typing import Any

import numpy as np

from ..judging.finding import Finding
from ..judging.verdict import Verdict, differing_bits, refuse
from ..network.load import LayerSpec
from ..reference import Bounded
from .steps import Tensor
from .threads import submit

SMALL = 2**16
"""Elements of a chunk that are judged sooner than they are handed to a thread."""


class TensorComparison:
    """Judges one tensor of all engines, chunk by chunk, and keeps the reference rounded to float32.

    Judging runs in threads while the reference evaluates the next chunk; asking for findings waits for it. `subject` is
    what is compared, and the step that leaves it; `found` has, by engine, the tensor or why there is none.
    ``inspect(layer, tensor, bounded)`` is called with each chunk of the reference. `measure`: also measure distances,
    for propagated mode.
    """

    def __init__(
        self,
        subject: Tensor,
        found: dict[str, Any],
        inspect: Callable[[LayerSpec, str, Bounded], None],
        measure: bool = False,
    ) -> None:
        self.subject, self.layer, self.step = subject, subject.step.layer, subject.step.pass_name
        self.tensor, self.shape = subject.name, subject.shape
        self.found = found
        self._inspect = inspect
        self.reference: Any = None  # ndarray of float32
        self._verdicts: dict[str, Verdict] = {}
        self._pairs: dict[tuple[str, str], int] = {}
        self._tasks: list[Future[None]] = []
        self._distances: dict[str, tuple[float, float]] | None = {} if measure else None

    def add(self, bounded: Bounded, where: tuple[slice, slice] | None = None) -> None:
        """Judge a chunk: ``where`` are its slices of rows and of columns, None for a tensor that comes whole."""
        if self.reference is None:
            self._start(bounded)
        self._inspect(self.layer, self.tensor, bounded)
        origin, at = None if where is None else [axis.start for axis in where], where or ...
        with np.errstate(over="ignore"):
            self.reference[at] = bounded.value
        self._wait()
        work: list[tuple[Any, ...]] = [(self._judge, name, bounded, at, origin) for name in self._verdicts]
        work += [(self._compare, pair, at) for pair in self._pairs]
        if bounded.value.size < SMALL:
            for task, *arguments in work:
                task(*arguments)
        else:
            self._tasks = [submit(*task) for task in work]

    def findings(self) -> dict[str, Finding]:
        """The Finding on each engine."""
        self._wait()
        return {
            name: self._verdicts[name].finish() if name in self._verdicts else found
            for name, found in self.found.items()
        }

    def bitwise(self) -> dict[str, int]:
        """For each pair of engines, ``a = b``: how many elements differ in their bits."""
        self._wait()
        return {f"{a} = {b}": int(count) for (a, b), count in self._pairs.items()}

    def distances(self) -> dict[str, dict[str, float]]:
        """By engine, ‖x − r‖₂ / ‖r‖₂ and the largest |x − r|; empty if not measured."""
        self._wait()
        if not self._distances:
            return {}
        scale = float(np.linalg.norm(self.reference.ravel())) or 1.0
        return {
            name: {"norm": squares**0.5 / scale, "largest": top} for name, (squares, top) in self._distances.items()
        }

    def _start(self, bounded: Bounded) -> None:
        self.shape = tuple(self.shape or np.shape(bounded.value))
        self.reference = np.empty(self.shape, np.float32)
        dtype = np.float64 if self.tensor == "cost" else np.float32
        for name, found in self.found.items():
            if not isinstance(found, Finding):
                self.found[name] = refuse(found, self.shape, dtype) or found
        present = [name for name, found in self.found.items() if not isinstance(found, Finding)]
        self._verdicts = {name: Verdict(self.shape) for name in present}
        self._pairs = dict.fromkeys(combinations(present, 2), 0)
        if self._distances is not None:
            self._distances = dict.fromkeys(present, (0.0, 0.0))

    def _wait(self) -> None:
        for task in self._tasks:
            task.result()
        self._tasks = []

    def _judge(self, name: str, bounded: Bounded, where: Any, origin: Sequence[int] | None) -> None:
        actual = self.found[name][where]
        self._verdicts[name].add(bounded, actual, origin)
        if self._distances is not None:
            with np.errstate(invalid="ignore"):
                error = np.subtract(actual, bounded.value, dtype=np.float64).ravel()
            squares, largest = self._distances[name]
            self._distances[name] = (
                squares + float(np.square(error).sum()),
                max(largest, float(np.abs(error).max(initial=0.0))),
            )

    def _compare(self, pair: tuple[str, str], where: Any) -> None:
        self._pairs[pair] += differing_bits(*(self.found[name][where] for name in pair))
