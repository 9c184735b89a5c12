"""A run in which somebody looks at every tensor together with all that the reference says of it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..engines.protocol import Engine
from ..reference import Bounded
from ..running.prepare import rows
from ..running.workload import Workload

NAMES = ("value", "magnitude", "terms")
Look = Callable[[Any, Bounded], None]
"""Takes a finished `TensorComparison`, and value, M and n of each of its elements, float64."""


def watch(work: Workload, engines: Sequence[Engine], look: Look) -> None:
    """Run engines on the values of a workload, in isolated mode; ``look`` is called with each tensor."""

    def finished(comparison: Any) -> None:
        parts = [bounded for bounded, _ in comparison.subject.step.bounded(comparison.tensor)]
        wide = ([np.broadcast_to(getattr(one, name), one.value.shape) for one in parts] for name in NAMES)
        look(comparison, Bounded(*(np.concatenate(each, axis=-1, dtype=np.float64) for each in wide)))

    for _ in rows(replace(work, engines=list(engines), on_tensor=finished), "isolated"):
        pass
