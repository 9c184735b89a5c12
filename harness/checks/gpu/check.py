"""Runs the parts one after the other and keeps the evidence."""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from ...errors import BadInput, NothingCompared, RosettaError
from . import compared, golden, kernels, sanitizer, steps, timing
from .evidence import Evidence, now
from .job import Job, OutOfTime, Settings
from .target import Target

PARTS = {
    "kernels": kernels.kernels,
    "golden": golden.golden,
    "exact": compared.exact,
    "alexnet": compared.comparison("alexnet"),
    "cifar": compared.comparison("cifar"),
    "zoo": compared.comparison("zoo"),
    "sanitizer": sanitizer.sanitizer,
    "steps": steps.steps,
    "bench": timing.timing,
}


def check_gpu(
    out: str | Path,
    echo: Callable[[str], None],
    only: Sequence[str] = tuple(PARTS),
    time_limit: float | None = None,
    device: str = "gpu",
    settings: Settings | None = None,
) -> int:
    """Check the engine of 2012 on a device.

    The parameters are the options of ``rosetta check gpu``. Parts that are in the evidence file and are not run again
    stay; with the device ``cpu`` the check itself can be tried without a card.

    Returns the exit code: 0, or 1 if a part did not pass or was not finished.
    Raises errors.NothingCompared: there is no device; the text says what is missing.
    """
    unknown = [name for name in only if name not in PARTS]
    if unknown or not only:
        raise BadInput(f"there is no part {', '.join(unknown)!r}", hint=f"parts: {', '.join(PARTS)}")
    target, settings = Target(device), settings or Settings()
    available, reason = target.probe()
    if not available:
        raise NothingCompared(f"nothing was checked, {target.engine} is unavailable: {reason}")
    evidence = Evidence(out, target.facts())
    echo(f"{target.engine}: {reason}")
    deadline = float("inf") if time_limit is None else perf_counter() + time_limit
    for name in [name for name in PARTS if name in only]:
        part = run_part(name, Job(target, settings, deadline))
        evidence.add(name, part)
        echo(f"{name:10} {part['status']:11} {part['seconds']:8.1f} s  {part['summary']}")
        for problem in part["problems"][:10]:
            echo(f"    {problem}")
    passed = [evidence.parts[name]["status"] == "passed" for name in only]
    echo(f"{sum(passed)} of {len(passed)} parts passed; evidence in {evidence.path}")
    return 0 if all(passed) else 1


def run_part(name: str, job: Job) -> dict[str, Any]:
    """What the evidence says about a part: status, start, seconds, summary, problems and numbers."""
    started, begin = now(), perf_counter()
    try:
        job.check_time()
        summary = PARTS[name](job)
        status = "failed" if job.problems else "passed"
    except OutOfTime:
        status, summary = "incomplete", "the time limit was reached"
    except (RosettaError, RuntimeError, MemoryError, ValueError, OSError) as error:
        status, summary = "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"
        job.problems.append(summary)
    return {"status": status, "started": started, "seconds": perf_counter() - begin, "summary": summary,
            "problems": job.problems, "numbers": job.numbers}  # fmt: skip
