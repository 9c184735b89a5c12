"""The part ``golden``: every recorded case on the device, inside the bound; convolutions bit for bit as on the CPU.

What must have the same bits on the CPU need not on another machine, where divisions, powers and exponentials are
others: here the bound decides. For the kernels that multiply and add, the convolutions, the outputs of the build for
the CPU that fuses a*b + c, as nvcc does, are expected bit for bit; where a case has other bits, it is listed.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np

from ...engines.legacy import EntryPoints, EntryResult
from ..golden import check, files
from ..golden.bounds import BOUNDS, CONVOLUTION, bounds
from ..golden.files import Case
from .job import Job

LISTED = 100  # exceptions that are described; all are counted


def golden(job: Job) -> str:
    """Run all recorded cases on the device."""
    device, twin = job.target.entry_points(), job.target.twin()
    totals: Counter[str] = Counter()
    bits: Counter[str] = Counter()
    job.numbers |= {"files": {}, "cases": totals, "convolutions": bits, "exceptions": []}
    for path in files.paths(job.settings.golden):
        counts: Counter[str] = Counter()
        for case in files.read(path):
            job.check_time()
            outcome = device.call(case.entry, case.arguments())
            verdict, reason = check.judge(case, outcome, output_check(case, twin))
            counts[verdict] += 1
            totals[verdict] += 1
            if verdict == "not as recorded":
                job.problems.append(f"{path.stem} case {case.number}: {reason}")
            if is_convolution(case) and outcome.outputs:
                compare_bits(job, path.stem, case, outcome, twin.call(case.entry, case.arguments()), bits)
        job.numbers["files"][path.stem] = counts
    return f"{sum(totals.values())} calls: {check.describe(totals)}; convolutions: {check.describe(bits)}"


def is_convolution(case: Case) -> bool:
    """Whether a case is one of a convolution entry point."""
    return any(word in case.entry for word in CONVOLUTION)


def output_check(case: Case, twin: EntryPoints) -> Callable[[str, np.ndarray], tuple[str, str]]:
    """A function (name, output) -> (verdict, reason) for `check.judge`: the recorded bits, or the bound."""
    return lambda name, actual: check.check_output(case, name, actual, True, lambda: bound(case, name, twin))


def bound(case: Case, name: str, twin: EntryPoints) -> tuple[np.ndarray | float, np.ndarray | float]:
    """(terms, magnitude) of an output."""
    if case.entry in BOUNDS or not is_convolution(case):
        return bounds(case)[name]
    return convolution_bound(case, name, twin)


def convolution_bound(case: Case, name: str, twin: EntryPoints) -> tuple[np.ndarray | float, np.ndarray | float]:
    """(terms, magnitude) of a convolution, by element.

    The entry point itself counts: on arrays of ones every element is the number of its products, on absolute values
    Σ|a||b| + |scaleTargets·old|.
    """
    arguments = case.arguments()
    arrays = {key: value for key, value in arguments.items() if is_matrix(value)}
    scales = {key: abs(value) for key, value in arguments.items() if key.startswith("scale")}
    ones = {key: np.ones_like(value) for key, value in arrays.items()}
    count = {key: float(key != "scaleTargets") for key in scales}
    index = list(case.about["outputs"]).index(name)
    terms = twin.call(case.entry, arguments | ones | count).outputs[index]
    absolute = {key: np.abs(value) for key, value in arrays.items()}
    magnitude = twin.call(case.entry, arguments | absolute | scales).outputs[index]
    return np.maximum(terms, 0).astype(float) + 1, magnitude.astype(float)


def is_matrix(value: object) -> bool:
    """Whether an argument is a matrix of numbers, no table of indices."""
    return isinstance(value, np.ndarray) and value.dtype == np.float32


def compare_bits(
    job: Job, stem: str, case: Case, found: EntryResult, expected: EntryResult, bits: Counter[str]
) -> None:
    """Count a convolution by whether its bits are those of the CPU, and list it if they are not."""
    for name, actual, other in zip(case.about["outputs"], found.outputs, expected.outputs, strict=True):
        same = check.same_bits(actual, other)
        bits["bits of legacy-cpu" if same.all() else "other bits"] += 1
        if not same.all() and len(job.numbers["exceptions"]) < LISTED:
            job.numbers["exceptions"].append(
                {"file": stem, "case": case.number, "output": name, "elements": int((~same).sum()), "of": same.size,
                 "largest": float(np.nanmax(np.abs(actual.astype(float) - other))),
                 "kernels": [kernel for kernel, _, _ in found.launches]}
            )  # fmt: skip
