"""The part ``golden``: every recorded case on the device, inside the bound, and whose bits are those of the CPU.

What must have the same bits on the CPU need not on another machine, where divisions, powers and exponentials are
others: here the bound decides. Every output is compared with that of the build for the CPU that fuses a*b + c, as nvcc
does. Equal bits are expected of the kernels that multiply, add and compare: convolutions, local layers, pooling. Where
an entry point has other bits, cases are listed with their kernels, and with the approximate functions of the GPU that
those call.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np

from ...engines.legacy import EntryPoints, EntryResult, approximate_functions
from ..golden import check, files
from ..golden.bounds import BOUNDS, CONVOLUTION, bounds
from ..golden.files import Case
from .job import Job

EXPECTED = (*CONVOLUTION, "Pool", "LocalMaxUndo", "LocalAvgUndo")
LISTED = 5  # cases of an entry point that are described where bits are others; all are counted


def golden(job: Job) -> str:
    """Run all recorded cases on the device."""
    device, twin = job.target.entry_points(), job.target.twin()
    totals: Counter[str] = Counter()
    bits: dict[str, Counter[str]] = {}
    job.numbers |= {"files": {}, "cases": totals, "bits": bits, "exceptions": []}
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
            if outcome.outputs:
                count = bits.setdefault(str(case.about["entry"]), Counter())
                compare_bits(job, path.stem, case, outcome, twin.call(case.entry, case.arguments()), count)
        job.numbers["files"][path.stem] = counts
    expected = sum((count for entry, count in bits.items() if expects_bits(entry)), Counter[str]())
    return (f"{sum(totals.values())} calls: {check.describe(totals)}; convolutions and pooling: "
            f"{check.describe(expected)}")  # fmt: skip


def expects_bits(entry: str) -> bool:
    """Whether an entry point only multiplies, adds and compares, so that its bits should be those of the CPU."""
    return any(word in entry for word in EXPECTED)


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
    """Count the outputs of a case by whether their bits are those of the CPU, and list those that are not."""
    for name, actual, other in zip(case.about["outputs"], found.outputs, expected.outputs, strict=True):
        same = check.same_bits(actual, other)
        bits["bits of legacy-cpu" if same.all() else "other bits"] += 1
        if not same.all() and bits["other bits"] <= LISTED:
            kernels = [kernel for kernel, _, _ in found.launches]
            with np.errstate(invalid="ignore"):  # of two infinities
                distance = np.abs(actual.astype(float) - other)[~same]
            job.numbers["exceptions"].append(
                {"entry": case.about["entry"], "file": stem, "case": case.number, "output": name,
                 "elements": int((~same).sum()), "of": same.size,
                 "largest": float(np.nan_to_num(distance, nan=np.inf, posinf=np.inf).max()), "kernels": kernels,
                 "functions": approximate_functions(kernels)}
            )  # fmt: skip
