"""How many threads the operations use.

Loops over independent units run on OpenMP threads and call BLAS from there, so BLAS itself is held to one thread
meanwhile: two layers of threads would only get into each other's way. The units do not depend on the number of
threads, and neither do the results, bit for bit.

Importing the package sets the environment variable ``OMP_WAIT_POLICY`` to ``passive``, unless it is set: threads that
wait then sleep. Those that spin, as they do by default, keep the processor from the thread that they wait for as soon
as another program wants it too.
"""

import os
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

from . import _gemm  # noqa: F401  SciPy's BLAS must be loaded before the libraries are looked for
from ._loops import has_openmp

GRAIN = 2**19  # multiply-adds that are worth a thread
VALUE = 8  # multiply-adds that take about as long as reading and writing a value

_setting: dict[str, Any] = {"threads": None, "forked": False}
if hasattr(os, "register_at_fork"):  # OpenMP's threads stay with the parent, and a child would wait for them
    os.register_at_fork(after_in_child=lambda: _setting.update(forked=True))


def get_threads() -> int:
    """Number of threads in use; by default OMP_NUM_THREADS or the number of processors this process may run on.

    In a process that ``os.fork`` has made it is one.
    """
    return 1 if _setting["forked"] else _setting["threads"] or _default_threads()


def set_threads(threads: int | None) -> None:
    """Use this many threads from now on; None: the default. Without OpenMP it is always one.

    Raises
    ------
    ValueError
        If threads is less than 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"set_threads: expected at least 1 thread, actual: {threads}; hint: None means all processors")
    _setting["threads"] = threads if has_openmp() else None


def threads_for(work: int) -> int:
    """Number of threads for so many multiply-adds: fewer than `get_threads` if they would not pay."""
    return max(1, min(get_threads(), work // GRAIN))


def single_threaded_blas() -> Any:
    """Context in which every loaded BLAS library runs on one thread; afterwards it has its threads back."""
    return _controller().limit(limits=1, user_api="blas")


@cache
def _default_threads() -> int:
    if not has_openmp():
        return 1
    words = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if words.isdigit() and int(words) > 0:
        return int(words)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _controller() -> Any:
    return ThreadpoolController()
