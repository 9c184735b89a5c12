"""The number of threads of the operations.

Loops over independent units of work run on OpenMP threads. These threads call BLAS, and BLAS runs on one thread
meanwhile, because two layers of threads would only disturb each other. Neither the units nor the results depend on the
number of threads; the results have the same bits.

On import the package sets the environment variable ``OMP_WAIT_POLICY`` to ``passive``, unless the variable is set.
Waiting threads then sleep. By default they spin, and as soon as another program wants the processor too, a spinning
thread takes it from the thread that it waits for.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    """Number of threads in use; by default OMP_NUM_THREADS, or the number of processors of this process.

    A process that ``os.fork`` made uses one thread.
    """
    return 1 if _setting["forked"] else _setting["threads"] or _default_threads()


def set_threads(threads: int | None) -> None:
    """Set the number of threads; None means the default. Without OpenMP the number is always one.

    Raises ValueError: if threads is less than 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"set_threads: expected at least 1 thread, actual: {threads}; hint: None means all processors")
    _setting["threads"] = threads if has_openmp() else None


def threads_for(work: int) -> int:
    """Number of threads for `work` multiply-adds: fewer than `get_threads` where more would not pay."""
    return max(1, min(get_threads(), work // GRAIN))


def each(run: Callable[[int], object], count: int) -> None:
    """Call ``run(0)``, …, ``run(count - 1)``, each on a thread of its own: for NumPy, which leaves the others alone."""
    if count == 1:
        run(0)
    else:
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(run, range(count)))


def single_threaded_blas() -> Any:
    """Context in which each loaded BLAS library runs on one thread; the library has its threads back afterwards."""
    return _controller().limit(limits=1, user_api="blas")


@cache
def _default_threads() -> int:
    if not has_openmp():
        return 1
    words = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if words.isdecimal() and len(words) < 10 and int(words) > 0:
        return int(words)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _controller() -> Any:
    return ThreadpoolController()
