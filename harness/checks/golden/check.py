"""Calls every recorded case and compares outputs, launches and refusals."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...engines.legacy import EntryPoints, EntryResult
from ...errors import NothingCompared
from . import files, ordered
from .bounds import bounds, must_be_identical
from .files import Case

U = 2.0**-24
PRIMITIVES = ("unary::", "binary::", "ternary::", "agg::")


def check_golden(folder: str | Path, echo: Callable[[str], None], level: int | None = None) -> int:
    """Check a folder of recorded files on every instruction set of this build, each under the level that it is of.

    ``echo``: takes the lines of the report.
    ``level``: another level, for all of them: files of other releases then fail where the releases differ.
    Returns the exit code: 0, or 1 if a case is not as recorded.
    """
    found = {path.stem: files.read(path, level) for path in files.paths(Path(folder))}
    modules = EntryPoints.modules()
    totals: Counter[str] = Counter()
    echo(f"{len(found)} files, instruction sets {', '.join(modules)}")
    for name, cases in found.items():
        for module in modules:
            counts, problems = check_cases(cases, EntryPoints(module))
            totals += counts
            echo(
                f"{'!' if problems else '='} {name:36} {cases[0].level if cases else '-'} {module:8} {describe(counts)}"
            )
            for problem in problems:
                echo(f"    {problem}")
    if not totals:
        raise NothingCompared("no recorded case was called")
    echo(f"{sum(totals.values())} calls: {describe(totals)}.")
    return 1 if totals["not as recorded"] else 0


def describe(counts: Mapping[str, int]) -> str:
    """Counts in words."""
    return ", ".join(f"{number} {what}" for what, number in counts.items())


def check_cases(cases: Sequence[Case], engine: EntryPoints) -> tuple[Counter[str], list[str]]:
    """(Counter of verdicts, problems in words) of the cases of one file on one instruction set."""
    counts: Counter[str] = Counter()
    problems = []
    for case in cases:
        verdict, reason = check_case(case, engine)
        counts[verdict] += 1
        if verdict == "not as recorded":
            problems.append(f"case {case.number}: {reason}")
    return counts, problems


def check_case(case: Case, engine: EntryPoints) -> tuple[str, str]:
    """(verdict, reason) of one case: bit for bit, within the bound, refused as recorded, or not as recorded."""
    outcome = engine.call(case.entry, case.arguments())

    def check(name: str, actual: np.ndarray) -> tuple[str, str]:
        exact = must_be_identical(case, name, engine.fused)
        return check_output(case, name, actual, engine.fused, None if exact else lambda: bounds(case)[name])

    return judge(case, outcome, check)


def judge(case: Case, outcome: EntryResult, check: Callable[[str, np.ndarray], tuple[str, str]]) -> tuple[str, str]:
    """(verdict, reason) of what a call gave; ``check(name, output)`` gives that of one output."""
    if case.refused or outcome.refusal:
        if case.refused and outcome.refusal:
            return "refused as recorded", ""
        return "not as recorded", outcome.refusal or "the original refused this call"
    launched = [launch for launch in outcome.launches if not any(word in launch[0] for word in PRIMITIVES)]
    if case.entry != "neuron" and launched != case.launches():
        return "not as recorded", f"launches {launched}, recorded {case.launches()}"
    names = list(case.about["outputs"])
    if len(names) != len(outcome.outputs):
        return "not as recorded", f"{len(outcome.outputs)} outputs, recorded {len(names)}"
    verdicts = [check(name, actual) for name, actual in zip(names, outcome.outputs, strict=True)]
    return max(verdicts, key=lambda verdict: ("bit for bit", "within the bound", "not as recorded").index(verdict[0]))


def check_output(
    case: Case, name: str, actual: np.ndarray, fused: bool, bound: Callable[[], tuple[Any, Any]] | None
) -> tuple[str, str]:
    """(verdict, reason) of one output; ``bound()`` is its (terms, magnitude), None where bits have to be the same."""
    recorded = expected(case, name, fused)
    if actual.shape != recorded.shape:
        return "not as recorded", f"{name} has shape {actual.shape}, recorded {recorded.shape}"
    same = same_bits(actual, recorded)
    if same.all():
        return "bit for bit", ""
    good = same if bound is None else within(actual, recorded, *bound())
    return "within the bound" if good.all() else "not as recorded", first_difference(name, actual, recorded, good)


def first_difference(name: str, actual: np.ndarray, recorded: np.ndarray, good: np.ndarray) -> str:
    """Where an output is not as recorded, in words; "" where it is."""
    if good.all():
        return ""
    row, col = np.argwhere(~good)[0]
    return (f"{name}: {(~good).sum()} of {good.size} elements, first at ({row}, {col}): "
            f"{actual[row, col]!r}, recorded {recorded[row, col]!r}")  # fmt: skip


def expected(case: Case, name: str, fused: bool) -> np.ndarray:
    """The output that a build must give, with or without contraction."""
    output = f"out_{name}"
    if not fused:
        return case.arrays[output]
    if output in case.fused:
        return case.fused[output]
    if "WeightActs" in case.entry and not case.about["entry"].endswith(":short") and ordered.rounds_products(case):
        return ordered.weight_gradient(case, fused=True)
    return case.arrays[output]


def same_bits(actual: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Element by element: the same bits, with +0 = -0 and any NaN = any NaN."""
    return (actual == recorded) | (np.isnan(actual) & np.isnan(recorded))


def within(
    actual: np.ndarray, recorded: np.ndarray, terms: np.ndarray | float, magnitude: np.ndarray | float
) -> np.ndarray:
    """Element by element: within twice 8 sqrt(terms) u magnitude of the recorded value; non-finite alike.

    Twice, because the recorded value has its own rounding errors.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(actual.astype(float) - recorded) <= 2 * 8 * np.sqrt(terms) * U * magnitude
    return np.where(np.isfinite(recorded), near, same_bits(actual, recorded))
