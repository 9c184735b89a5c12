"""What several checks share: marks, words and exit code of statuses, and values of a run to put engines on."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..judging.finding import code_of
from ..network import cost_inputs
from ..running.prepare import Options, prepare
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
