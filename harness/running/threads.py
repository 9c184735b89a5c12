"""Threads beside the main one: they evaluate the reference and judge."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

AT_A_TIME = 4
"""Chunks that are evaluated side by side: each takes memory."""
Part = TypeVar("Part")
Found = TypeVar("Found")


def _open_pool() -> None:
    """Open the pool; the threads of a parent do not survive a fork."""
    global _POOL
    _POOL = ThreadPoolExecutor(thread_name_prefix="rosetta")


_POOL: ThreadPoolExecutor
_open_pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_pool)


def submit(call: Callable[..., Found], *arguments: Any) -> Future[Found]:
    """Call in a thread."""
    return _POOL.submit(call, *arguments)


def in_order(call: Callable[[Part], Found], parts: Sequence[Part], threads: int) -> Iterator[Found]:
    """Yield ``call(part)`` for each part, in order; up to `AT_A_TIME` of them are there or on the way.

    They share the threads of BLAS meanwhile: so that all cores are busy in what is no product too.
    """
    most = min(threads, AT_A_TIME)
    if min(most, len(parts)) < 2:
        yield from map(call, parts)
        return
    coming: deque[Future[Found]] = deque()
    with _blas().limit(limits=threads // most, user_api="blas"):
        for part in parts:
            if len(coming) == most:
                yield coming.popleft().result()
            coming.append(submit(call, part))
        while coming:
            yield coming.popleft().result()


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
