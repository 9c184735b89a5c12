"""One part of a sweep, wherever it runs: from what was asked for to rows, files and one word."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from .. import machine
from ..checks.faults import check_faults
from ..checks.grads import check_grads
from ..checks.layers import check_layers, pairs
from ..comparison import execute
from ..engines.legacy import instructions
from ..errors import EngineUnavailable, NothingCompared, Unsupported, one_line
from ..judging.row import Row
from ..network.load import Network, load
from ..reporting.record import read
from ..running.memory import PROGRAMS, memory_needed
from ..running.prepare import workload
from ..values import inputs
from .spec import Part

STATUSES = {0: "agrees", 1: "different", 2: "refused", 3: "not compared"}
"""By exit code. Besides: ``explained`` by quirks, ``unavailable`` engine or instruction set, ``failed``."""
MAIN = __name__.rpartition(".sweeps")[0]
SMALL = 2**30
"""Bytes that the pieces of checks on small networks take at most."""
Outcome = tuple[str, str, list[Row]]


@dataclass
class Result:
    """What came of a part: a status, a sentence, a line for each tensor and engine, bytes at most, the record."""

    part: Part
    status: str
    sentence: str
    lines: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    memory: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)


def run(part: Part) -> Result:
    """Run a part; whatever it says of itself is a result, and an error that nobody expected is raised.

    Freed memory is kept until the part ends: ``dask worker`` has the C library give each array back (docs/sweep.md).
    """
    begin, asked, rows = perf_counter(), part.options.get("instructions"), list[Row]()
    machine.keep_freed_memory()
    machine.reset_peak_memory()
    with TemporaryDirectory(prefix="rosetta-") as folder, ExitStack() as stack:
        stack.callback(machine.give_freed_memory_back)
        home = Path(folder, "record")
        try:
            with instructions(asked) if asked else nullcontext():
                status, sentence, rows = RUN[part.check](part, home)
        except EngineUnavailable as error:
            status, sentence = "unavailable", str(error)
        except (Unsupported, NothingCompared) as error:
            status, sentence = "not compared", str(error)
        except ValueError as error:
            if not hasattr(error, "hint"):
                raise
            status, sentence = "refused", str(error)
        kept = {path for kind in ("json", "csv", "npz", "txt") for path in home.rglob(f"*.{kind}")}
        files = {path.relative_to(home).as_posix(): path.read_bytes() for path in kept}
    lines = [line for row in rows for line in row.flat()]
    return Result(part, status, one_line(sentence), lines, perf_counter() - begin, machine.peak_memory(), files)


def memory(part: Part) -> int:
    """Bytes that a part may take at most, roughly; a network that cannot be read takes next to nothing."""
    if part.check in ("faults", "grads", "mutants"):
        return SMALL
    own = part.run_options()
    with TemporaryDirectory() as folder:
        try:
            network = _network(part, Path(folder))
            cases = inputs.cases(network, own.input, own.batch)
            return memory_needed(network, cases, own.engines, own.mode, own.passes) - PROGRAMS  # the worker has those
        except (ValueError, OSError):
            return 0


def _network(part: Part, folder: Path) -> Network:
    """The network of a part; its layer files are written into a folder where it is not shipped."""
    rules, forward = part.options.get("rules", ()), part.options.get("passes") == ("forward",)
    if part.check == "layers":
        (pair, *_), _ = pairs.find(Path(part.folder), part.names)
        return load(str(pair.definition), str(pair.params) if pair.params else None, pair.data, rules)
    if not part.texts:
        return load(part.network)
    folder.mkdir(exist_ok=True)
    for name, text in zip(("network.cfg", "network-params.cfg"), part.texts, strict=True):
        if text is not None:
            (folder / name).write_text(text, encoding="latin-1")
    return load(str(folder / "network.cfg"), None, part.data, rules, forward)


def _compare(part: Part, record: Path) -> Outcome:
    own = part.run_options()
    work = workload(_network(part, record.with_name("network")), own)
    found = execute(own, record, work=work, page=False)
    failed = [row for row in found.table if any(one.fails for one in row.counted().values())]
    status = "explained" if failed and all(row.explained() for row in failed) else STATUSES[found.exit_code]
    return status, found.sentence, found.table


def _checked(record: Path, check: Callable[[Callable[[str], None]], int]) -> Outcome:
    """What a check comes to: its last line, and the rows of the records that it wrote; all that it printed is kept."""
    lines: list[str] = []
    code = check(lines.append)
    record.mkdir(exist_ok=True)
    (record / "output.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return STATUSES[code], lines[-1], [row for path in record.glob("*/record.json") for row in read(path.parent).rows]


def _layers(part: Part, record: Path) -> Outcome:
    own = part.run_options()
    return _checked(record, lambda echo: check_layers(part.folder, echo, own, part.names, False, record))


def _faults(part: Part, record: Path) -> Outcome:
    own = part.run_options()
    return _checked(record, lambda echo: check_faults(echo, part.names, 0, own.seed, own.allow))


def _mutants(part: Part, record: Path) -> Outcome:
    def check(echo: Callable[[str], None]) -> int:
        words = [word for name in part.names for word in ("--only", name)]
        command = [sys.executable, "-m", MAIN, "check", "mutants", *words, "--out", str(record)]
        done = subprocess.run(command, capture_output=True, text=True)  # a process of its own: mutants are forked
        for line in (done.stdout + done.stderr).splitlines():
            echo(line)
        return done.returncode

    return _checked(record, check)


def _grads(part: Part, record: Path) -> Outcome:
    network, own = _network(part, record.with_name("network")), part.run_options()
    net, params = str(network.definition), str(network.params) if network.params else None
    more = own.engines, own.batch, own.seed
    return _checked(record, lambda echo: check_grads(echo, net, params, *more, allow=own.allow))


RUN = {"compare": _compare, "layers": _layers, "faults": _faults, "mutants": _mutants, "grads": _grads}
"""By check: what runs a part and writes its record."""
