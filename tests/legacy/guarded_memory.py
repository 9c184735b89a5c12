"""Arrays between whose memory and pages that nobody may read there is nothing: who reads a place too far dies of it."""

import ctypes
import mmap

import numpy as np

NOBODY = 0  # PROT_NONE
PAGE = mmap.PAGESIZE


def guarded(array, at_end=True):
    """A copy in the same order of memory that ends, or begins, where a page lies that nobody may read."""
    turned = not array.flags.c_contiguous
    plain = array.T if turned else array
    pages = -(-array.nbytes // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    start = np.frombuffer(memory, np.uint8).ctypes.data
    for page in (start, start + (pages + 1) * PAGE):
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(page), PAGE, NOBODY):
            raise OSError("mprotect failed")
    offset = PAGE + (pages * PAGE - array.nbytes if at_end else 0)
    copy = np.frombuffer(memory, array.dtype, array.size, offset).reshape(plain.shape)
    copy[...] = plain
    return copy.T if turned else copy
