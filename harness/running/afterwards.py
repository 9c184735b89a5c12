"""What is looked at again after a tensor was judged: parameters must keep their bits, and seconds must have passed.

A layer that changes the parameters of another one after that one's rows, and a clock that is wrong, show in no tensor.
Both get a row of their own, and only where something is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from zlib import crc32

import numpy as np

from ..engines.protocol import Session
from ..judging.finding import Finding
from ..judging.row import Row
from ..judging.verdict import bitwise_equal
from ..network.load import LayerSpec
from ..network.tensors import is_parameter
from ..values import parameters
from .tensor_comparison import TensorComparison
from .workload import Workload


class Afterwards:
    """Remembers what was judged in a sweep, and when its steps began."""

    def __init__(self, work: Workload) -> None:
        self.work = work
        self._judged: dict[tuple[str, str], tuple[str, dict[str, int]]] = {}  # (layer, tensor): pass, {engine: bits}
        self._began: dict[tuple[str, str, str], float] = {}
        self._totals: dict[str, float] = {}
        self._odd: list[Row] = []  # of seconds that cannot be

    # Parameters

    def judged(self, comparison: TensorComparison) -> None:
        """Remember the bits of a parameter, its momentum buffer or its gradient."""
        if is_parameter(comparison.tensor):
            bits = {name: _bits(found) for name, found in comparison.found.items() if isinstance(found, np.ndarray)}
            self._judged[comparison.layer.name, comparison.tensor] = comparison.step, bits

    def changed(self, sessions: Mapping[str, Session], step: str) -> Iterator[Row]:
        """Yield a row for each tensor that was judged in a pass and has other bits now."""
        for (layer, tensor), (judged_in, bits) in self._judged.items():
            if judged_in == step:
                again = {name: (bits[name], found) for name, found in _read(sessions, layer, tensor) if name in bits}
                wrong = [name for name, (before, found) in again.items() if _bits(found) != before]
                yield from self._row(layer, step, tensor, wrong, "has other bits than when it was judged")

    def touched(self, sessions: Mapping[str, Session], step: str) -> Iterator[Row]:
        """Yield a row for each parameter and momentum buffer that no pass should have changed, and one has."""
        for layer, tensor, written in parameters.owned(self.work.network, self.work.values):
            if is_parameter(tensor) and (layer, tensor) not in self._judged:
                found = _read(sessions, layer, tensor)
                wrong = [name for name, array in found if not bitwise_equal(array, written)]
                yield from self._row(layer, step, tensor, wrong, "has other bits than were written, and does not learn")

    def _row(self, layer: str, step: str, tensor: str, wrong: Sequence[str], reason: str) -> Iterator[Row]:
        if wrong:
            findings = {name: Finding("different", reason=f"{tensor} {reason}") for name in wrong}
            yield Row(layer, self.work.network.graph.layers[layer].type, step, tensor, (), findings)

    # Seconds

    def begins(self, engine: str, layer: LayerSpec, step: str) -> None:
        """A step of a layer begins."""
        self._began[engine, layer.name, step] = perf_counter()

    def took(self, engine: str, layer: LayerSpec, step: str, seconds: float) -> None:
        """Seconds of a step, as the engine says; a tensor of it was read, so that a card has done it by now."""
        began = self._began.pop((engine, layer.name, step), None)
        if began is None:  # an earlier row was of that step
            return
        passed = perf_counter() - began
        self._totals[engine] = self._totals.get(engine, 0.0) + seconds
        if not 0 <= seconds <= passed:
            self._doubt(engine, layer, step, f"the engine says {seconds:.3g} s of a step that took {passed:.3g} s")

    def odd_seconds(self) -> list[Row]:
        """Rows of the clocks that cannot be right: of steps longer than the time that passed, or of no time at all."""
        last = self.work.network.layers[-1]
        for engine, total in self._totals.items():
            if total == 0:
                self._doubt(engine, last, self.work.passes[-1], "the engine says that all steps took no time")
        return self._odd

    def _doubt(self, engine: str, layer: LayerSpec, step: str, reason: str) -> None:
        findings = {engine: Finding("different", reason=reason)}
        self._odd.append(Row(layer.name, layer.type, step, "seconds", (), findings))


def _read(sessions: Mapping[str, Session], layer: str, tensor: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield engine and tensor, where an engine hands it out; what others raised, the tensor's own row has said."""
    for name, session in sessions.items():
        try:
            found = session.read(layer, tensor)
        except Exception:
            continue
        yield name, found


def _bits(array: np.ndarray) -> int:
    """A checksum of an array's bits, in the order of its memory."""
    return crc32(np.ascontiguousarray(array.T if array.flags.f_contiguous else array).data)
