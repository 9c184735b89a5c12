"""How many threads the operations use.

Loops over independent units run on OpenMP threads and call BLAS from there, so BLAS itself is held to one thread
meanwhile: two layers of threads would only get into each other's way. The units do not depend on the number of
threads, and neither do the results, bit for bit.
"""

import os
import threading
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

from ._loops import has_openmp

_state = {"threads": None, "holders": 0, "saved": []}
_lock = threading.Lock()


def get_threads():
    """Number of threads in use; by default OMP_NUM_THREADS or the number of processors this process may run on."""
    return _state["threads"] or _default_threads()


def set_threads(threads):
    """Use this many threads from now on; None: the default. Without OpenMP it is always one.

    Raises
    ------
    ValueError
        If threads is less than 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"set_threads: expected at least 1 thread, actual: {threads}; hint: None means all processors")
    _state["threads"] = threads if has_openmp() else None


@contextmanager
def single_threaded_blas():
    """Hold every loaded BLAS library to one thread (nested and concurrent use is fine; the last one out restores)."""
    with _lock:
        if _state["holders"] == 0:
            _state["saved"] = [(library, library.get_num_threads()) for library in _blas_libraries()]
            for library, _ in _state["saved"]:
                library.set_num_threads(1)
        _state["holders"] += 1
    try:
        yield
    finally:
        with _lock:
            _state["holders"] -= 1
            if _state["holders"] == 0:
                for library, threads in _state["saved"]:
                    library.set_num_threads(threads)


@cache
def _default_threads():
    if not has_openmp():
        return 1
    words = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if words.isdigit() and int(words) > 0:
        return int(words)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _blas_libraries():
    return ThreadpoolController().select(user_api="blas").lib_controllers
