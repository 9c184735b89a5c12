"""What several checks share: marks, words and exit code of statuses, and values of a run to put engines on."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..engines.protocol import Engine
from ..judging.finding import code_of
from ..network import cost_inputs
from ..reference import Bounded
from ..running.prepare import Options, prepare, rows
from ..running.workload import Workload

RIGHT, WRONG, LEFT_OUT = "✓", "✗", "-"
MARKS = {
    "agrees": RIGHT,
    "loaded": RIGHT,
    "by design": "≈",
    "explained": "*",
    "inconclusive": "?",
    "no gradient": LEFT_OUT,
    "unsupported": LEFT_OUT,
    "not compared": LEFT_OUT,
}
"""The first character of a line, by status; of any other status `WRONG`."""
WORDS = {"by design": "approximate by design", "unsupported": "not checked"}
"""Statuses that are called otherwise in a sentence."""
NEUTRAL = ("by design", "explained", "no gradient")
"""Statuses that neither agree nor fail."""


def mark(status: str) -> str:
    """The first character of a line."""
    return MARKS.get(status, WRONG)


def exit_code(statuses: Iterable[str], allow: Sequence[str] = ()) -> int:
    """1 if one is wrong, 3 if one was not decided (but for those in ``allow``) or none agrees, else 0."""
    return code_of(statuses, (*allow, *NEUTRAL), agree=("agrees",))


def bare_workload(net: str, **options: Any) -> Workload:
    """The values of a run without engines, on one thread; ``options`` are those of `prepare.Options`."""
    work = prepare(Options(net, engines=("reference",), threads=1, **options))
    return replace(work, engines=[], explains=False)


def with_inputs(work: Workload, change: Callable[[str, np.ndarray], np.ndarray]) -> Workload:
    """The workload with other inputs, labels aside: ``change(layer, array)``."""
    labels = cost_inputs.kinds(work.network.graph)
    data = {name: array if name in labels else change(name, array) for name, array in work.inputs.data.items()}
    return replace(work, inputs=replace(work.inputs, data=data))


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
