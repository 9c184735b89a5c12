"""Compares one tensor of every engine with the reference, one chunk at a time."""

from itertools import combinations

import numpy as np

from ..judging.finding import Finding
from ..judging.verdict import Verdict, differing_bits, refuse
from .threads import submit

SMALL = 2**16
"""Elements of a chunk that are judged sooner than they are handed to a thread."""


class TensorComparison:
    """Judges one tensor of all engines, chunk by chunk, and keeps the reference rounded to float32.

    Judging runs in threads while the reference evaluates the next chunk; asking for findings waits for it.

    Parameters
    ----------
    subject : steps.Tensor
        What is compared, and the step that leaves it.
    found : dict of str to ndarray or Finding
        By engine, the tensor or why there is none.
    inspect : callable
        ``inspect(layer, tensor, bounded)``, called with each chunk of the reference.
    measure : bool
        Also measure distances, for propagated mode.

    Attributes
    ----------
    layer : LayerSpec
    step, tensor : str
        The pass and the name of the tensor.
    shape : tuple of int or None
    reference : ndarray of float32
    """

    def __init__(self, subject, found, inspect, measure=False):
        self.subject, self.layer, self.step = subject, subject.step.layer, subject.step.pass_name
        self.tensor, self.shape = subject.name, subject.shape
        self.found = found
        self._inspect = inspect
        self.reference = None
        self._verdicts, self._pairs, self._tasks = {}, {}, []
        self._distances = {} if measure else None

    def add(self, bounded, where=None):
        """Judge a chunk: ``where`` are its slices of rows and of columns, None for a tensor that comes whole."""
        if self.reference is None:
            self._start(bounded)
        self._inspect(self.layer, self.tensor, bounded)
        origin, where = None if where is None else [axis.start for axis in where], where or ...
        with np.errstate(over="ignore"):
            self.reference[where] = bounded.value
        self._wait()
        work = [(self._judge, name, bounded, where, origin) for name in self._verdicts]
        work += [(self._compare, pair, where) for pair in self._pairs]
        if bounded.value.size < SMALL:
            for task, *arguments in work:
                task(*arguments)
        else:
            self._tasks = [submit(*task) for task in work]

    def findings(self):
        """The Finding on each engine."""
        self._wait()
        return {
            name: self._verdicts[name].finish() if name in self._verdicts else found
            for name, found in self.found.items()
        }

    def bitwise(self):
        """For each pair of engines, ``a = b``: how many elements differ in their bits."""
        self._wait()
        return {f"{a} = {b}": int(count) for (a, b), count in self._pairs.items()}

    def distances(self):
        """By engine, ‖x − r‖₂ / ‖r‖₂ and the largest |x − r|; empty if not measured."""
        self._wait()
        if not self._distances:
            return {}
        scale = float(np.linalg.norm(self.reference.ravel())) or 1.0
        return {
            name: {"norm": squares**0.5 / scale, "largest": top} for name, (squares, top) in self._distances.items()
        }

    def _start(self, bounded):
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

    def _wait(self):
        for task in self._tasks:
            task.result()
        self._tasks = []

    def _judge(self, name, bounded, where, origin):
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

    def _compare(self, pair, where):
        self._pairs[pair] += differing_bits(*(self.found[name][where] for name in pair))
