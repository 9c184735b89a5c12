"""Memory that is used again: the large arrays of one step are those of the next.

The system hands out fresh memory page by page, filled with zeros; that takes longer than most passes over the memory.
So the memory of a large array is kept when the last view of the array is gone, and the next array of the same size gets
it. No array that somebody still sees is ever written to. All arrays begin at a cache line.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .checks import Array

SMALLEST = 2**16  # bytes of an array whose memory is kept
LINE = 64

_idle: defaultdict[int, deque[Array]] = defaultdict(deque)


def empty(shape: Sequence[int], dtype: DTypeLike) -> Array:
    """An array as of `numpy.empty`."""
    size = prod(shape) * np.dtype(dtype).itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    try:
        memory = _idle[size].pop()
    except IndexError:
        memory = np.empty(size + LINE, np.uint8)
    return np.asarray(_Loan(memory, size)).view(dtype).reshape(shape)


def zeros(shape: Sequence[int], dtype: DTypeLike) -> Array:
    """An array as of `numpy.zeros`."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def empty_like(array: Array) -> Array:
    """An array as of `numpy.empty_like`, in C order."""
    return empty(array.shape, array.dtype)


def clear() -> None:
    """Give all memory that no array uses back to the system."""
    _idle.clear()


class _Loan:
    """The owner of an array's memory; the memory goes back as the last view of the array is gone."""

    def __init__(self, memory: Array, size: int) -> None:
        start = memory.__array_interface__["data"][0]
        place = {"data": (start + -start % LINE, False), "shape": (size,), "typestr": "|u1", "version": 3}
        self.memory, self.size, self.__array_interface__ = memory, size, place

    def __del__(self, idle: Any = _idle) -> None:
        idle[self.size].append(self.memory)
