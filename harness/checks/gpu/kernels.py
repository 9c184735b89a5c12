"""The part ``kernels``: everything that the other parts launch is compiled, many compilers side by side."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from ...bench.measure import training_step
from ...engines.legacy import kernel_sources
from ...errors import Unsupported
from ...running.prepare import Options, prepare
from ..golden import files
from .job import Job

BATCH_OF_INSTANCES = 192  # compiled in one go, between two looks at the clock
Launches = Sequence[Mapping[str, Any]]


def kernels(job: Job) -> str:
    """Collect launch records on the CPU and compile their kernels."""
    steps = {}
    for net, batch in sorted({*job.settings.exact.items(), *job.settings.batches.items()}):
        job.check_time()
        steps[f"{net} {batch}"] = launches_of_a_step(net, batch, job.threads)
    records = [record for step in (recorded_launches(job), *steps.values()) for record in step if record["args"]]
    instances = list({(record["kernel"], *map(type, record["args"])): record for record in records}.values())
    job.numbers |= {"instances": len(instances), "compiled": 0, "done": 0,
                    "kernels": sorted({record["kernel"] for record in records}),
                    "launches": {name: digest(step) for name, step in steps.items()}}  # fmt: skip
    for start in range(0, len(instances), BATCH_OF_INSTANCES):
        job.check_time()
        part = instances[start : start + BATCH_OF_INSTANCES]
        job.numbers["compiled"] += job.target.machine.prepare(part)
        job.numbers["done"] += len(part)
    return f"{len(instances)} kernel instances, {job.numbers['compiled']} compiled now"


def recorded_launches(job: Job) -> Launches:
    """The launch records of the recorded cases."""
    twin = job.target.twin()
    found: list[Mapping[str, Any]] = []
    for path in files.paths(job.settings.golden):
        job.check_time()
        for case in files.read(path):
            found.extend(twin.call(case.entry, case.arguments()).records)
    return found


def launches_of_a_step(net: str, batch: int, threads: int) -> Launches:
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


def digest(launches: Launches) -> dict[str, Any]:
    """How many launches there are, and a hash of their layers, kernels, grids and blocks in their order."""
    lines = [f"{launch['layer']} {launch['kernel']} {launch['grid']} {launch['block']}" for launch in launches]
    return {"count": len(lines), "hash": sha256("\n".join(lines).encode()).hexdigest()[:16]}


def outdated(evidence: Mapping[str, Any], threads: int) -> list[str]:
    """What of this build is not what was checked on the card, in sentences; none where the evidence is of this build.

    ``evidence``: an evidence file as `evidence.read` gives it.
    """
    then, now = evidence["build"]["kernels"], kernel_sources()[: len(evidence["build"]["kernels"])]
    found = [] if then == now else [f"the kernel files have changed: their hash was {then}, and is {now}"]
    numbers = evidence["parts"].get("kernels", {}).get("numbers", {})
    for name, noted in numbers.get("launches", {}).items():
        net, batch = name.split()
        launches = launches_of_a_step(net, int(batch), threads)
        if digest(launches) != noted:
            found.append(f"a training step of {net}, batch {batch}, launches {len(launches)} kernels, and other ones "
                         f"than the {noted['count']} then")  # fmt: skip
        unseen = sorted({launch["kernel"] for launch in launches if launch["args"]} - {*numbers["kernels"]})
        found.extend(f"{kernel} was not compiled then" for kernel in unseen)
    return found if numbers else [*found, "the file does not say which kernels were compiled"]
