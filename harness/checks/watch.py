"""A run in which somebody looks at every tensor together with all that the reference says of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engines.protocol import Engine
from ..reference import Bounded
from ..running.prepare import rows
from ..running.workload import Workload

Look = Callable[[Any, Bounded], None]
"""Takes a finished `TensorComparison`, and value, M and n of each of its elements, float64."""


@dataclass
class _Watched(Workload):
    """A workload that keeps what the reference said of a tensor until the tensor is finished."""

    look: Look = lambda comparison, bounded: None
    parts: list[Bounded] = field(default_factory=list)

    def inspect(self, layer: Any, tensor: str, bounded: Bounded) -> None:
        self.parts.append(bounded)

    def finished(self, comparison: Any) -> None:
        """Hand on the tensor of a finished comparison."""
        parts, self.parts = self.parts, []
        names = ("value", "magnitude", "terms")
        self.look(
            comparison, Bounded(*(np.concatenate([_wide(part, name) for part in parts], axis=-1) for name in names))
        )


def _wide(part: Bounded, name: str) -> np.ndarray:
    return np.broadcast_to(np.asarray(getattr(part, name), np.float64), part.value.shape)


def watch(work: Workload, engines: Sequence[Engine], look: Look) -> None:
    """Run engines on the values of a workload, in isolated mode.

    ``look``: called with each tensor.
    """
    names = ("network", "inputs", "values", "tape", "passes", "threads")
    watched = _Watched(**{name: getattr(work, name) for name in names}, engines=list(engines), look=look)
    watched.on_tensor = watched.finished
    for _ in rows(watched, "isolated"):
        pass
