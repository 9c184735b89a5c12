"""Runs the parts of a sweep on Dask's workers, and keeps what is finished.

The folder of a sweep has ``results/KEY.parquet`` for each finished part, with a row for each tensor and engine; the
part's record in ``records/KEY``; layer files in ``networks``; and ``index.html``. Workers write nothing there: what
they send is there once or not at all, whatever becomes of them. The file in ``results`` comes last.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from .. import files, machine
from ..errors import BadInput, EngineUnavailable, one_line, writing
from ..judging.finding import Finding
from ..judging.row import Row
from . import part as parts
from .part import Result
from .spec import Part

CODES = {
    "failed": 1,
    "different": 1,
    "refused": 2,
    "too large": 2,
    "unavailable": 3,
    "not compared": 3,
    "explained": 0,
    "agrees": 0,
}
"""Statuses from worst to best, and the exit codes that they stand for."""
WORKER, GIB = 2**28, 2**30
"""Bytes of a worker that does nothing; of a GiB."""
SHARE = 0.8
"""Of the free memory, that is used unless a limit is given."""
DEATHS = 8
"""Workers that may die on a part before it counts as failed."""
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.tick.interval": "200ms",
    "distributed.nanny.pre-spawn-environ": dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1),
}
"""What workers need not do beside their parts: look at the stack every 10 ms, give memory back at every chance."""
SAMPLE = Row("", "", "", "", (), {"": Finding("")}).flat()[0]


@contextmanager
def cluster(scheduler: str | None, workers: int | None, memory: float | None) -> Iterator[tuple[Any, int, int]]:
    """(client, threads, bytes) of a cluster: that of an address, or one of this machine, gone after the block.

    Workers of this machine run one part each. Any of them may take the whole memory, given in GiB; `run` holds the sum.
    EngineUnavailable without Dask, BadInput if nobody answers at the address.
    """
    try:
        import dask

        dask.config.set({"logging": {"distributed": "critical"}})  # before the import reads it
        from distributed import Client, LocalCluster
        from distributed.comm.addressing import resolve_address

        import_module("pyarrow")
    except ImportError as error:
        hint = "pip install '.[sweep]' in the source tree"
        raise EngineUnavailable("sweeps need dask.distributed and pyarrow", actual=str(error), hint=hint) from error
    with ExitStack() as stack:
        if scheduler is None:
            count = workers or machine.processors()
            total = int(memory * GIB if memory else SHARE * (machine.available_memory() or 8 * GIB))
            stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": DEATHS, **QUIET}))
            size = {"n_workers": count, "threads_per_worker": 1, "memory_limit": total}
            local = stack.enter_context(LocalCluster(**size, dashboard_address="127.0.0.1:0", silence_logs=50))
            client = stack.enter_context(Client(local, set_as_default=False))
            yield client, max(count, machine.processors()), total - count * WORKER
            return
        try:
            resolve_address(scheduler)  # a client of an address that is none cannot even be closed
            client = stack.enter_context(Client(scheduler, timeout=20, set_as_default=False))
            client.wait_for_workers(workers or 1, timeout=600)
        except (OSError, TimeoutError, ValueError) as error:
            hint = "dask scheduler prints its address; dask worker ADDRESS joins it"
            raise BadInput(f"no workers at {scheduler}: {one_line(error)}", hint=hint) from error
        known = client.scheduler_info(n_workers=-1)["workers"].values()
        total = sum((one["memory_limit"] or 2**50) - WORKER for one in known)
        yield client, sum(one["nthreads"] for one in known), int(memory * GIB) if memory else total


def run(todo: list[Part], out: Path, client: Any, slots: int, limit: int, tell: Callable[[Result], object]) -> None:
    """Run parts, the largest first, as many side by side as ``slots`` threads and ``limit`` bytes allow.

    Where each part takes one thread, as many wait at the workers, so that none is idle between two parts. Each Result
    is told when it is stored in the folder ``out``.
    """
    from distributed import as_completed

    needs, known = {}, dict[Any, int]()
    for one in todo:
        own = one.run_options()
        same = (one.check, one.home, one.names, own.batch, own.mode, own.input, len(own.engines))
        known[same] = known[same] if same in known else parts.memory(one)
        needs[one.key] = (own.threads or 1, known[same])
    waiting = sorted(todo, key=lambda one: needs[one.key][::-1], reverse=True)
    ahead = slots if all(threads == 1 for threads, _ in needs.values()) else 0  # a worker runs one after the other
    free, running, done = [slots + ahead, limit], dict[Any, Part](), as_completed(loop=client.loop)

    def fill() -> None:
        for one in list(waiting):
            if free[0] >= needs[one.key][0] and free[1] >= needs[one.key][1]:
                free[:] = [have - need for have, need in zip(free, needs[one.key], strict=True)]
                future = client.submit(parts.run, one, key=f"part-{one.key}", pure=False, retries=1)
                running[future] = one
                waiting.remove(one)
                done.add(future)
            elif free[0] < 1:
                return

    fill()
    while running:
        future = next(done)
        one = running.pop(future)
        free[:] = [have + need for have, need in zip(free, needs[one.key], strict=True)]
        fill()  # the workers need not wait for the disk
        tell(_result(future, one, out))
    for one in waiting:
        threads, memory = needs[one.key]
        most = f"{slots} threads and {limit / GIB:.1f} GiB"
        tell(keep(out, Result(one, "too large", f"takes {threads} threads and {memory / GIB:.1f} GiB of {most}")))


def _result(future: Any, one: Part, out: Path) -> Result:
    """The result of a part that is over, stored; one that failed is told and not stored, so that it is run again."""
    try:
        result = future.result()
    except Exception as error:  # of the part, or of the workers that ran it
        return Result(one, "failed", one_line(f"{type(error).__name__}: {error}"))
    finally:
        future.release()
    return keep(out, result)


def keep(out: Path, result: Result) -> Result:
    """Store a result in the folder of a sweep: record and layer files, then the row group that says it is there."""
    one, record = result.part, out / "records" / result.part.key
    definition = out / one.home
    named = zip((definition, definition.with_name(f"{definition.stem}-params.cfg")), one.texts, strict=False)
    with writing(out, f"later, --resume {out}"):
        for path, text in named:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, (text or "").encode("latin-1"))
        draft = files.draft_of(record)
        for name, data in result.files.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_bytes(data)
        if result.files:
            shutil.rmtree(record, ignore_errors=True)
            os.rename(draft, record)
        (out / "results").mkdir(parents=True, exist_ok=True)
        files.write(out / "results" / f"{one.key}.parquet", _row_group(result))
    return result


def _row_group(result: Result) -> bytes:
    """The rows of a part as a Parquet file with the same columns for every part; one row at least."""
    import pyarrow
    from pyarrow import parquet

    about = result.part.columns() | {"status": result.status, "sentence": result.sentence}
    about |= {"part_seconds": result.seconds, "memory": result.memory}
    kinds = {str: pyarrow.string(), int: pyarrow.int64()}
    samples = {**about, "memory": 1, **SAMPLE}
    schema = pyarrow.schema([(name, kinds.get(type(one), pyarrow.float64())) for name, one in samples.items()])
    file = BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([about | line for line in result.lines or [{}]], schema), file)
    return file.getvalue()


def label(one: Part) -> str:
    """What a part is, for a line."""
    named = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in one.options.items()}
    return " ".join([one.check, one.network, *(f"{name} {value}" for name, value in named.items())])


def check_folder(out: Path, resume: bool) -> None:
    """BadInput unless the folder is new, or, to go on, that of a sweep."""
    if resume and not out.is_dir():
        raise BadInput(f"{out} is no folder of a sweep", hint="--out begins a new one")
    if not resume and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise BadInput(f"{out} exists", hint=f"--resume {out} goes on with what is there, --out takes a new folder")


AGAIN = ("too large", "unavailable")
"""What the machines decide, and not the part: such a part is tried again when a sweep goes on, perhaps on others."""


def finished(out: Path) -> set[str]:
    """The keys of the parts that a folder has the results of."""
    return {path.stem for path in (out / "results").glob("*.parquet")}


def table(out: Path, own: list[Part]) -> Any:
    """The rows of finished parts as a pandas frame, in the order of the parts; BadInput if they cannot be read."""
    import pandas

    there = finished(out)
    try:
        frames = [pandas.read_parquet(out / "results" / f"{one.key}.parquet") for one in own if one.key in there]
    except (OSError, ValueError) as error:
        raise BadInput(f"results in {out} cannot be read: {one_line(error)}", hint="remove that file") from error
    return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()


def sentence(counts: Counter[str], total: int) -> str:
    """What became of the parts."""
    rest = "".join(f", {counts[status]} {status}" for status in list(CODES)[:-1] if counts[status])
    left = total - counts.total()
    return f"{counts['agrees']} of {total} parts agree{rest}{f', {left} not run' if left else ''}."


def exit_code(counts: Counter[str], total: int) -> int:
    """Of all parts: 1 if one differs or failed, else 2 if one was refused, else 3 if one was not compared."""
    codes = {CODES[status] for status in counts} | ({3} if counts.total() < total else set())
    return next((code for code in (1, 2, 3) if code in codes), 0)
