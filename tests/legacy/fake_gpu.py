"""A GPU that is none: kernels run as the CPU's templates, memory is out of the host's reach.

Addresses are of pages that nobody may touch, so that host code that uses a device pointer ends the process; what they
hold lies elsewhere. Everything above the driver (`legacy.gpu.device`, `legacy.gpu.memory`) is the real thing.
"""

import ctypes
import struct
import time
from bisect import bisect_right

import numpy as np
from scipy.linalg import cython_blas

from alexnet_rosetta.legacy.gpu import cuda_source
from alexnet_rosetta.legacy.gpu.device import GpuDevice
from alexnet_rosetta.legacy.gpu.memory import Memory

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
NO_ACCESS, PRIVATE_ANONYMOUS = 0, 0x22


def blas_function(name):
    """A function of the BLAS that the engine uses on the CPU."""
    capsule = cython_blas.__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    return ctypes.CFUNCTYPE(None, *13 * [ctypes.c_void_p])(
        api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    )


class FakeDriver:
    """The driver's operations on pages without access.

    Attributes
    ----------
    limit : int or None
        Bytes that may be allocated at a time.
    allocated : int
        Bytes that are.
    launched : list of (str, tuple, tuple)
        Symbol, grid and block of each launch.
    """

    name, architecture = "fake", "sm_90"

    def __init__(self, limit=None):
        self.limit, self.allocated, self.launched = limit, 0, []
        self._blocks, self._starts = {}, []
        self._sgemm = blas_function("sgemm")
        self.running = None  # the launch record that runs

    def allocate(self, size):
        if self.limit is not None and self.allocated + size > self.limit:
            raise MemoryError("the fake GPU is full")
        address = LIBC.mmap(None, size, NO_ACCESS, PRIVATE_ANONYMOUS, -1, 0)
        assert address not in (None, ctypes.c_void_p(-1).value), ctypes.get_errno()
        self._blocks[address] = np.full(size // 4, 0xABABABAB, np.uint32)  # as fresh memory may be
        self._starts = sorted(self._blocks)
        self.allocated += size
        return address

    def free(self, address):
        size = self._blocks.pop(address).nbytes
        self._starts = sorted(self._blocks)
        self.allocated -= size
        LIBC.munmap(address, size)

    def words(self, address):
        """Contents from an address to the end of its block."""
        start = self._starts[bisect_right(self._starts, address) - 1]
        block = self._blocks[start]
        offset = (address - start) // 4
        assert 0 <= offset <= len(block), f"{address:#x} is no device address"
        return block[offset:]

    def fill(self, address, word, count):
        self.words(address)[:count] = word

    def copy_in(self, address, array):
        self.words(address)[: array.size] = array.view(np.uint32)

    def copy_out(self, array, address):
        array.view(np.uint32)[...] = self.words(address)[: array.size]

    def copy_within(self, to, source, size):
        self.words(to)[: size // 4] = self.words(source)[: size // 4]

    def function(self, path, symbol):
        return path, symbol

    def launch(self, function, grid, block, arguments):
        """Runs the record that asked for it, on the arguments that the driver got."""
        path, symbol = function
        kinds = self.running.kinds
        assert path == self.running.kernel
        assert symbol == cuda_source.symbol(path, kinds)
        assert block == self.running.block
        *values, first_y, first_z, grid_y, grid_z = struct.unpack(kinds + cuda_source.PART_KINDS, arguments)
        assert (grid_y, grid_z) == self.running.grid[1:]
        reached = [self.words(value).ctypes.data if letter == "P" and value else value
                   for letter, value in zip(kinds, values, strict=True)]  # fmt: skip
        self.running.run_on_cpu(reached, (0, first_y, first_z), grid)
        self.launched.append((symbol, grid, block))

    def gemm(self, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
        a, b, c = (self.words(address).ctypes.data for address in (a, b, c))
        integers = [ctypes.c_int(i) for i in (m, n, k, lda, ldb, ldc)]
        m, n, k, lda, ldb, ldc = (ctypes.addressof(i) for i in integers)
        factors = [ctypes.c_float(alpha), ctypes.c_float(beta)]
        alpha, beta = (ctypes.addressof(factor) for factor in factors)
        letters = [ctypes.c_char(letter.encode()) for letter in (trans_a, trans_b)]
        self._sgemm(*map(ctypes.addressof, letters), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)

    def mark(self):
        return time.perf_counter()

    def elapsed(self, start, end):
        return end - start

    def synchronize(self):
        pass


class FakeKernels:
    """In the place of compiled kernels: the kernel string itself."""

    def path(self, kernel, kinds):
        return kernel

    def prepare(self, instances):
        return 0


class FakeGpu(GpuDevice):
    """The real device on a fake driver, which needs to know the record that runs."""

    def __init__(self, debug=False, limit=None):
        driver = FakeDriver(limit)
        super().__init__(driver, Memory(driver, debug), FakeKernels())

    def launch(self, launch):
        self.driver.running = launch
        super().launch(launch)
