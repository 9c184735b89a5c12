"""The part ``kernels``: everything that the other parts launch is compiled, many compilers side by side."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...bench.measure import training_step
from ...errors import Unsupported
from ...running.prepare import Options, prepare
from ..golden import files
from .job import Job

BATCH_OF_INSTANCES = 192  # compiled in one go, between two looks at the clock


def kernels(job: Job) -> str:
    """Collect launch records on the CPU and compile their kernels."""
    instances = list({(r["kernel"], *map(type, r["args"])): r for r in records(job) if r["args"]}.values())
    job.numbers |= {"instances": len(instances), "compiled": 0, "done": 0}
    for start in range(0, len(instances), BATCH_OF_INSTANCES):
        job.check_time()
        part = instances[start : start + BATCH_OF_INSTANCES]
        job.numbers["compiled"] += job.target.machine.prepare(part)
        job.numbers["done"] += len(part)
    return f"{len(instances)} kernel instances, {job.numbers['compiled']} compiled now"


def records(job: Job) -> Iterator[Mapping[str, Any]]:
    """The launch records of the recorded cases, and of a training step of every network that the check runs."""
    twin = job.target.twin()
    for path in files.paths(job.settings.golden):
        for case in files.read(path):
            yield from twin.call(case.entry, case.arguments()).records
    pairs = {*job.settings.exact.items(), *job.settings.batches.items()}
    for net, batch in sorted(pairs):
        job.check_time()
        yield from launches_of_a_step(net, batch, job.threads)


def launches_of_a_step(net: str, batch: int, threads: int) -> Sequence[Mapping[str, Any]]:
    """The launch records of one training step on the CPU."""
    work = prepare(Options(net, engines=("legacy-cpu",), input="random", batch=batch, threads=threads))
    (session,) = work.open_sessions().values()
    session.record_launches()
    try:
        for _ in training_step(work, session):
            pass
    except Unsupported:  # what it launched before is what it launches
        pass
    return session.launches()
