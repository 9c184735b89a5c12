"""Two records against each other: what was set up otherwise, which verdicts changed, which steps take another time.

Times are compared where both records hold repetitions (``rosetta compare --repeat``), without what the thread waited
for a processor. A step is slower if its low repetitions (a fifth is below) are slower than half of the earlier ones,
and if low and median have both grown by a quarter, and by 0.3 milliseconds, more than those of most of the engine's
steps have: a machine that is slower as a whole makes no layer slower.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from ..judging.finding import SEVERITY, Finding
from ..judging.row import Row
from . import lines
from .record import Record

SET_UP = ("options", "network", "inputs", "engines", "quirks", "environment")
GROWN = 1.25
"""By how much the time of a step has to grow or shrink to be reported."""
LEAST = 3e-4
"""Seconds below which a change says more about clocks and waking threads than about a layer."""
FEWEST = 5
"""Repetitions from which times are compared."""
SHOWN = 20
REPEAT = "both runs need --repeat, with at least 5 repetitions"
Key = tuple[str, str, str, str, str]


class Difference(NamedTuple):
    """A line, its heading, and whether things got worse."""

    heading: str
    text: str
    worse: bool = False


def differences(old: Record, new: Record) -> Iterator[Difference]:
    """Everything that differs, set-ups first; two records of the same run have none."""
    for name in SET_UP:
        yield from (Difference("set-up", text) for text in _changes(name, old.about.get(name), new.about.get(name)))
    for name in sorted(old.arrays.keys() | new.arrays.keys()):
        if name.startswith(("mask.", "filters.", "pictures")) and not np.array_equal(
            old.arrays.get(name, ()), new.arrays.get(name, ())
        ):
            yield Difference("set-up", f"the array {name} differs")
    yield from _verdicts(_findings(old.rows), _findings(new.rows))
    yield from _times(old.about.get("timings", {}), new.about.get("timings", {}))


def _changes(name: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _changes(f"{name}.{key}", old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for k, pair in enumerate(zip(old, new, strict=True)):
            yield from _changes(f"{name}[{k}]", *pair)
    elif old != new:
        yield f"{name}: {_short(old)} → {_short(new)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _findings(rows: Sequence[Row]) -> dict[Key, Finding]:
    return {
        (engine, row.layer, row.step, row.tensor, row.mode): found
        for row in rows
        for engine, found in row.findings.items()
    }


def _verdicts(old: Mapping[Key, Finding], new: Mapping[Key, Finding]) -> Iterator[Difference]:
    for key in dict.fromkeys((*old, *new)):
        name = " ".join(key[:4]) + (" (own feed)" if key[4] == "propagated" else "")
        if key not in old or key not in new:
            yield Difference("verdicts", f"{name}: only in the {'second' if key in new else 'first'}", key in old)
            continue
        a, b = old[key], new[key]
        used = f"{lines.share(a) or 'nothing'} → {lines.share(b) or 'nothing'} of the bound"
        if a.status != b.status:
            worse = SEVERITY.index(b.status) > max(1, SEVERITY.index(a.status))
            yield Difference("verdicts", f"{name}: {a.status} → {b.status}, {used}", worse)
        elif repr(a) != repr(b):  # NaN is not equal to itself
            yield Difference("other numbers, same verdict", f"{name}: {a.status}, {used}")


def _times(old: Any, new: Any) -> Iterator[Difference]:
    for engine in old.keys() & new.keys():
        pairs = {
            (layer, step): (samples, new[engine][layer][step])
            for layer, steps in old[engine].items()
            for step, samples in steps.items()
            if step in new[engine].get(layer, {}) and min(len(samples), len(new[engine][layer][step])) >= FEWEST
        }
        general = median([_low(b) / _low(a) for a, b in pairs.values()] or [1.0])
        for (layer, step), (a, b) in pairs.items():
            by = _low(b) / _low(a) / general, median(b) / median(a) / general
            slower = min(by) > GROWN and _low(b) > general * median(a)
            faster = max(by) * GROWN < 1 and general * _low(a) > median(b)
            if (slower or faster) and abs(median(b) - general * median(a)) > LEAST:
                took = f"{1e3 * median(a):.3f} → {1e3 * median(b):.3f} ms"
                yield Difference("times", f"{engine} {layer} {step}: {took}, × {by[1]:.2f}", slower)


def _low(samples: Sequence[float]) -> float:
    """The sample with a fifth of the others below."""
    return sorted(samples)[len(samples) // 5]


def report(old: Record, new: Record) -> tuple[list[str], int]:
    """(lines, exit code): 1 if a verdict got worse, a row is gone or a step is slower, else 0."""
    found, text = list(differences(old, new)), []
    for heading in dict.fromkeys(one.heading for one in found):
        own = sorted((one for one in found if one.heading == heading), key=lambda one: not one.worse)
        text += [f"{heading}: {len(own)}", *(f"{'!' if one.worse else ' '} {one.text}" for one in own[:SHOWN])]
        text += [f"  and {len(own) - SHOWN} more"] if len(own) > SHOWN else []
    timed = [record.about.get("timings") for record in (old, new)]
    steps = sum(len(steps) for layers in (timed[1] or {}).values() for steps in layers.values())
    inside = steps - sum(one.heading == "times" for one in found)
    text.append(f"times: ~ {inside} steps inside the noise" if all(timed) else f"times: not compared; {REPEAT}")
    return [*(["nothing differs"] if not found else []), *text], int(any(one.worse for one in found))
