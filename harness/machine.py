"""The machine and the software of a run, for records, `rosetta doctor` and the memory check."""

import contextlib
import ctypes
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

from .errors import BadInput

MOST_THREADS = 1024
"""More end in the thread libraries of the engines, without an error."""
UNUSED = 2**28
"""Bytes of address space that threads and libraries reserve, but do not use."""
PACKAGES = ("alexnet-rosetta", "numpy", "scipy", "scikit-image", "pillow", "torch")


def processors() -> int:
    """Number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(given: int | None = None) -> int:
    """Threads of a run: the number given, else that of ROSETTA_THREADS, else all processors.

    Raises BadInput: that is no number from 1 to `MOST_THREADS`.
    """
    name, number = ("--threads", given) if given is not None else ("ROSETTA_THREADS", os.environ.get("ROSETTA_THREADS"))
    if not number:
        number = processors() if given is None else 0
    if not str(number).isdecimal() or len(str(number)) > 9 or not 1 <= int(number) <= MOST_THREADS:
        raise BadInput(f"{name} is no number of threads", expected=f"1 to {MOST_THREADS}", actual=repr(number),
                       hint=f"this machine has {processors()} processors")  # fmt: skip
    return int(number)


def available_memory() -> int | None:
    """Bytes that can still be taken without swapping, or None where the system does not say.

    What the control groups and the limits of this process (``ulimit``) leave counts too.
    """
    free = [_meminfo("MemAvailable"), *_control_groups(), *_limits()]
    return min((value for value in free if value is not None), default=None)


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next arrays: to clear fresh pages takes a fifth of a comparison.

    Only glibc is told so.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-4, 0)  # M_MMAP_MAX: no array has a mapping of its own, which would go back to the system
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: nor does the end of the heap
        mallopt(-8, 1)  # M_ARENA_MAX: what one thread frees, another one uses


def give_freed_memory_back() -> None:
    """Have the C library give what is freed back to the system, so that what comes next is seen to grow; glibc only."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def reset_peak_memory() -> None:
    """Forget how much memory this process has had at most; does nothing where the system cannot.

    What was freed goes back to the system first: the next arrays would not be seen to take any of what was kept.
    """
    give_freed_memory_back()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int | None:
    """Bytes that this process had at most since `reset_peak_memory`, or None where the system does not say."""
    text = _field("/proc/self/status", "VmHWM", ":")
    return int(text.split()[0]) * 1024 if text else None


def environment(threads: int) -> dict[str, Any]:
    """Processor, memory, system and versions as a plain dictionary."""
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "instructions": instruction_level(),
        "processors": processors(),
        "threads": threads,
        "memory": _meminfo("MemTotal"),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": commit(),
    }


def commit() -> str | None:
    """The commit of this project's sources as git describes it, ``-dirty`` if they were edited since; None if unknown.

    A checkout asks git; elsewhere setup.py wrote the answer down when it built the package.
    """
    package = Path(__file__).parent
    try:
        if (package.parent / ".git").exists():
            return described(package.parent)
        return (package / "commit.txt").read_text(encoding="utf-8").strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None


def described(checkout: Path) -> str:
    """What git says of the commit of a checkout; OSError without git, CalledProcessError if git refuses."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def instruction_level() -> str | None:
    """The x86-64 level of the processor, ``x86-64-v1`` to ``-v4``; None on another architecture."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    flags = set(_cpuinfo("flags").split())
    levels = (
        ("x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
        ("x86-64-v3", {"avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"}),
        ("x86-64-v2", {"sse4_1", "sse4_2", "ssse3", "popcnt"}),
    )
    return next((name for name, needed in levels if needed <= flags), "x86-64-v1")


def waited() -> float:
    """Seconds that this thread was ready to run, and other programs ran instead; 0 where the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0


class Watch:
    """How much of the processors other programs take, from its making on.

    ``threads``: of the run that is being watched.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._begin = self._now()

    def others(self) -> float | None:
        """Processors that other programs took on average; None where the system does not say."""
        wall, own, busy = (now - then for now, then in zip(self._now(), self._begin, strict=True))
        return max(0.0, (busy - own) / wall) if busy == busy and wall > 0 else None

    def note(self) -> str:
        """Why the times of the run say little, in words; "" if they say something."""
        found, own = [], processors()
        if self.threads > own:
            found.append(f"{self.threads} threads on {own} processors")
        taken = self.others()
        if taken is not None and taken > own / 8:
            found.append(f"machine busy (load {os.getloadavg()[0]:.0f} on {own} processors, "
                         f"other programs took {taken:.1f} of them)")  # fmt: skip
        return f"{' and '.join(found)}: times are not comparable" if found else ""

    @staticmethod
    def _now() -> tuple[float, float, float]:
        """Seconds: of the clock, of this process on processors, and of these processors in use."""
        used = os.times()
        return perf_counter(), used.user + used.system, _busy_seconds()


def _busy_seconds() -> float:
    """Seconds that the processors of this process were in use, by whomever; NaN where the system does not say."""
    try:
        own = os.sched_getaffinity(0)
        with open("/proc/stat", encoding="ascii") as lines:
            fields = [line.split() for line in lines if line.startswith("cpu") and line[3].isdigit()]
        ticks = [[int(x) for x in field[1:9]] for field in fields if int(field[0][3:]) in own]
    except (AttributeError, OSError, ValueError):
        return float("nan")
    return sum(sum(row) - row[3] - row[4] for row in ticks) / os.sysconf("SC_CLK_TCK")  # all but idle and waiting


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or "unknown"


def _cpuinfo(key: str) -> str:
    return _field("/proc/cpuinfo", key, ":") or ""


def _meminfo(key: str) -> int | None:
    text = _field("/proc/meminfo", key, ":")
    return int(text.split()[0]) * 1024 if text else None


def _limits() -> Iterator[int]:
    """Bytes that the limits of this process on address space and data leave."""
    for limit, used, unused in ((resource.RLIMIT_AS, "VmSize", UNUSED), (resource.RLIMIT_DATA, "VmData", 0)):
        most, text = resource.getrlimit(limit)[0], _field("/proc/self/status", used, ":")
        if most != resource.RLIM_INFINITY and text:
            yield max(0, most - int(text.split()[0]) * 1024 - unused)


def _control_groups(root: str = "/sys/fs/cgroup", own: str = "/proc/self/cgroup") -> Iterator[int]:
    """Bytes that the control groups of this process leave, from its own to the outermost; caches can be given back."""
    group = Path(_field(own, "0", "::") or "/")
    for folder in (Path(root, *part.parts[1:]) for part in (group, *group.parents)):
        try:
            limit = (folder / "memory.max").read_text().strip()
            used = int((folder / "memory.current").read_text())
            used -= int(_field(folder / "memory.stat", "inactive_file", " ") or "")
        except (OSError, ValueError, TypeError):
            continue
        if limit != "max":
            yield max(0, int(limit) - used)


def _field(path: str | Path, key: str, separator: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                name, _, value = line.partition(separator)
                if name.strip() == key:
                    return value.strip()
    except OSError:
        return None
    return None
