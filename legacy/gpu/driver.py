"""The few things that a device asks of CUDA, through PyCUDA and nvmath. Nothing here knows what a kernel is.

The context is the device's primary one, so that another user of CUDA in this process (torch) shares it; all work goes
to one stream. Addresses are integers, sizes are bytes, times are seconds.
"""

import atexit
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

OPERATION = {"n": 0, "t": 1}  # cublasOperation_t
PEDANTIC_MATH = 2  # cublasMath_t: float32 products and sums, no TF32


class CudaDriver:
    """One GPU.

    Parameters
    ----------
    index : int
        Its number among those that CUDA_VISIBLE_DEVICES shows.

    Attributes
    ----------
    name, architecture : str
        "NVIDIA H100 80GB HBM3", "sm_90"
    """

    def __init__(self, index: int = 0) -> None:
        import pycuda.driver as cuda
        from nvmath.bindings import cublas

        cuda.init()
        card = cuda.Device(index)
        context = card.retain_primary_context()
        context.push()
        atexit.register(context.detach)  # else PyCUDA would give it up as a context of its own
        atexit.register(context.pop)
        self._cuda, self._cublas, self._context = cuda, cublas, context
        self._stream = cuda.Stream()
        self._blas = cublas.create()
        cublas.set_stream(self._blas, self._stream.handle)
        cublas.set_math_mode(self._blas, PEDANTIC_MATH)
        self._blocks: dict[int, Any] = {}
        self._modules: dict[Path, Any] = {}
        self.name = card.name()
        self.architecture = "sm_{}{}".format(*card.compute_capability())

    def allocate(self, size: int) -> int:
        """Fresh memory; MemoryError where there is none left."""
        try:
            block = self._cuda.mem_alloc(size)
        except self._cuda.MemoryError as error:
            raise MemoryError(f"the GPU has no {size / 2**20:.0f} MiB left") from error
        self._blocks[int(block)] = block
        return int(block)

    def free(self, address: int) -> None:
        """Give memory back."""
        self._blocks.pop(address).free()

    def fill(self, address: int, word: int, count: int) -> None:
        """Set ``count`` 32-bit words."""
        self._cuda.memset_d32_async(address, word, count, self._stream)

    def copy_in(self, address: int, array: npt.NDArray[Any]) -> None:
        """From an array of the host."""
        self._cuda.memcpy_htod_async(address, array, self._stream)
        self._stream.synchronize()

    def copy_out(self, array: npt.NDArray[Any], address: int) -> None:
        """Into an array of the host."""
        self._cuda.memcpy_dtoh_async(array, address, self._stream)
        self._stream.synchronize()

    def copy_within(self, to: int, source: int, size: int) -> None:
        """On the device."""
        self._cuda.memcpy_dtod_async(to, source, size, self._stream)

    def function(self, path: Path, symbol: str) -> Any:
        """A function of a cubin file."""
        if path not in self._modules:
            self._modules[path] = self._cuda.module_from_file(str(path))
        return self._modules[path].get_function(symbol)

    def launch(self, function: Any, grid: tuple[int, int, int], block: tuple[int, int, int], arguments: bytes) -> None:
        """Run a function on the bytes of its parameters; shared memory is static in all kernels.

        This is what all of PyCUDA's own ways to launch end in; they only build the bytes.
        """
        function._launch_kernel(grid, block, arguments, 0, self._stream)

    def gemm(
        self,
        trans_a: str,
        trans_b: str,
        m: int,
        n: int,
        k: int,
        alpha: float,
        a: int,
        lda: int,
        b: int,
        ldb: int,
        beta: float,
        c: int,
        ldc: int,
    ) -> None:
        """Column-major C = alpha op(A) op(B) + beta C by cuBLAS, all in float32."""
        factors = np.array([alpha, beta], np.float32)
        start, step = factors.ctypes.data, factors.itemsize
        self._cublas.sgemm(
            self._blas, OPERATION[trans_a], OPERATION[trans_b], m, n, k, start, a, lda, b, ldb, start + step, c, ldc
        )

    def mark(self) -> Any:
        """A point in the work of the stream."""
        event = self._cuda.Event()
        event.record(self._stream)
        return event

    def elapsed(self, start: Any, end: Any) -> float:
        """Seconds between two marks, once the second is reached."""
        end.synchronize()
        milliseconds: float = start.time_till(end)
        return milliseconds * 1e-3

    def synchronize(self) -> None:
        """Wait for all work, and raise what went wrong in it."""
        self._stream.synchronize()
