"""The part ``steps``: the same training step a thousand times gives the same bits and takes no more memory."""

from hashlib import sha256

from ...bench.measure import training_step
from ...engines.card import Card, Processor
from ...engines.protocol import Session
from ...running.prepare import Options, prepare
from ...running.workload import Workload
from ...values import parameters
from .job import Job

NET, BATCH = "cifar", 32


def steps(job: Job) -> str:
    """Repeat a training step from the same parameters; compare digests and memory."""
    options = Options(NET, engines=(job.target.engine,), input="random", batch=BATCH, threads=job.threads)
    work = prepare(options)
    (session,) = work.open_sessions().values()
    device = job.target.machine
    digests, memory = set(), []
    job.numbers |= {"network": NET, "batch": BATCH, "steps": 0, "different_results": 0, "memory_bytes": {}}
    warm = min(max(3, job.settings.steps // 10), job.settings.steps - 1)  # blocks of all sizes are in the pool
    for step in range(1, job.settings.steps + 1):
        job.check_time()
        digests.add(repeated_step(work, session))
        if step in (warm, job.settings.steps):
            memory.append(device.memory_taken())
        job.numbers |= {"steps": step, "different_results": len(digests)}
    job.numbers["memory_bytes"] = {f"after {warm} steps": memory[0], f"after {job.settings.steps} steps": memory[1]}
    judge(job, memory[1] - memory[0], device)
    return (f"{job.settings.steps} steps gave {len(digests)} result{'s' * (len(digests) > 1)}, memory grew by "
            f"{memory[1] - memory[0]} bytes")  # fmt: skip


def judge(job: Job, growth: int, device: Card | Processor) -> None:
    """One result; no growth where memory is counted exactly, less than a page a step where it is not."""
    if job.numbers["different_results"] != 1:
        job.problems.append(f"{job.numbers['steps']} equal steps gave {job.numbers['different_results']} results")
    if growth > device.noise * job.numbers["steps"]:
        job.problems.append(f"memory grew by {growth} bytes in {job.numbers['steps']} steps")


def repeated_step(work: Workload, session: Session) -> str:
    """One training step from the parameters of the start; a digest of the cost and of all parameters after it."""
    for name, tensor, array in parameters.owned(work.network, work.values):
        session.write(name, tensor, array)
    for _ in training_step(work, session):
        pass
    digest = sha256()
    for name, tensor, _ in parameters.owned(work.network, work.values):
        digest.update(session.read(name, tensor).tobytes())
    for layer in work.network.layers:
        if layer.type.startswith("cost."):
            digest.update(session.read(layer.name, "cost").tobytes())
    return digest.hexdigest()
