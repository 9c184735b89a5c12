"""The device of the C++ engine whose launches are counted; `legacy.device` says what the engine calls."""

import ctypes
import re
import struct
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _call
from ..gpu import cuda_source
from ..gpu.recording import DryDevice
from . import build

GUARD = 64  # floats on either side of a matrix, which nobody may touch; they keep the alignment of 256 bytes


class Fault(NamedTuple):
    """A word that was read before anybody wrote it, or that threads or blocks touch without order; who found it."""

    kind: str  # a counter's name
    area: str  # parameter of the kernel, or shared array
    element: int
    block: int
    thread: int
    barrier: str  # the last one that a thread came to: "file:line"


@dataclass
class Launched:
    """What the counted blocks of a launch did."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    blocks: int  # how many were counted
    # ``reads``, ``writes``, ``sharedReads``, ``sharedWrites``: accesses of threads to global and shared memory.
    # ``readRequests``, ``writeRequests``, ``sharedRequests``: instructions of warps. ``bytesToRead``, ``bytesToWrite``:
    # the different words of every instruction. ``reads13`` ... ``writes35``: memory transactions. Compute capability
    # 1.3 has segments of 32, 64 or 128 bytes per half-warp (``bytesRead13``, ``bytesWritten13`` in all); 2.0 reads
    # lines of 128 bytes and writes sectors of 32; 3.5 reads and writes sectors. ``conflicts13``, ``conflicts20``:
    # passes that shared memory needs beyond one per half-warp (16 banks) or warp (32 banks). ``wordsRead``,
    # ``wordsWritten``: different words of the launch. ``mostReads``, ``mostWrites``: of one thread. ``divergent``:
    # branches, and ends of loops, on which a warp's threads disagree. ``barriers``: of blocks. ``unwritten``: reads of
    # shared words that nobody wrote. ``races``: words that a thread writes and another touches between two barriers;
    # ``meetings``: so for blocks. ``outside``: accesses to no memory of the launch. ``threadsRun``: threads.
    counts: dict[str, int]
    faults: list[Fault]  # the first of a kind
    agrees: bool  # whether the counted blocks wrote the bits that the engine writes
    trace: str  # what the first counted block did, phase by phase (counted.h: ``record``), if it was asked for

    def moved(self) -> dict[str, tuple[int, int]]:
        """Bytes that transactions read and write: {"13": (read, written), "20": ..., "35": ...}."""
        c = self.counts
        return {
            "13": (c["bytesRead13"], c["bytesWritten13"]),
            "20": (128 * c["reads20"], 32 * c["writes20"]),
            "35": (32 * c["reads35"], 32 * c["writes35"]),
        }


class CountingDevice(DryDevice):
    """Runs every launch on the CPU, and before that some of its blocks on a counted build, whose writes are undone.

    Parameters
    ----------
    library : path
        Of `build.library`, with the instances that are launched.
    blocks : int, optional
        Blocks of a launch that are counted, spread over the grid; all by default.
    skipped : str
        A barrier, "file:line", that threads pass by.
    trace : int
        Bytes that the trace of a launch may have; 0: none is made.
    """

    def __init__(self, library: Path, blocks: int | None = None, skipped: str = "", trace: int = 0) -> None:
        super().__init__()
        self.blocks, self.skipped, self.trace = blocks, skipped, trace
        self.launches: list[Launched] = []
        self._library = ctypes.CDLL(str(library))
        self._library.countEnd.restype = ctypes.POINTER(ctypes.c_longlong)
        self._memory: dict[int, npt.NDArray[np.float32]] = {}

    def allocate(self, elements: int) -> int:
        """Address of zeros."""
        room = np.zeros(max(elements, 1) + 3 * GUARD, np.float32)
        start = GUARD + -room.ctypes.data % 256 // 4
        matrix = room[start : start + max(elements, 1)]
        self._memory[matrix.ctypes.data] = matrix
        return int(matrix.ctypes.data)

    def release(self, address: int) -> None:
        """Free it."""
        del self._memory[address]

    def copy_in(self, address: int, array: _call.Matrix) -> None:
        """From the host."""
        self._at(address)[: array.size] = array

    def copy_out(self, array: _call.Matrix, address: int) -> None:
        """To the host."""
        array[...] = self._at(address)[: array.size]

    def copy_within(self, to: int, source: int, elements: int) -> None:
        """On the device."""
        self._at(to)[:elements] = self._at(source)[:elements]

    def gemm(self, *arguments: Any) -> None:
        """A matrix product; nothing of it is counted."""
        super().gemm(*arguments)
        trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc = arguments

        def matrix(address: int, rows: int, columns: int, pitch: int, trans: str = "n") -> _call.Matrix:
            rows, columns = (columns, rows) if trans == "t" else (rows, columns)
            padded = self._at(address)[: pitch * (columns - 1) + rows]
            whole = np.lib.stride_tricks.as_strided(padded, (rows, columns), (4, 4 * pitch))
            return whole.T if trans == "t" else whole

        target = matrix(c, m, n, ldc)
        product = np.float32(alpha) * (matrix(a, m, k, lda, trans_a) @ matrix(b, k, n, ldb, trans_b))
        target[...] = product + (np.float32(beta) * target if beta else 0)

    def launch(self, launch: Any) -> None:
        """Count blocks of a launch, then run it."""
        super().launch(launch)
        names = parameters(launch.kernel)
        pointers = {
            name: value
            for name, kind, value in zip(names, launch.kinds, launch.values, strict=True)
            if kind == "P" and value
        }
        matrices: dict[int, str] = {}
        for name, value in pointers.items():
            start = self._start(value)
            matrices[start] = f"{matrices[start]}/{name}" if start in matrices else name
        before = {start: self._memory[start].copy() for start in matrices}
        counted, numbers, faults, trace = self._count(launch, matrices)
        after = {start: self._memory[start].copy() for start in matrices}
        for start, array in before.items():
            self._memory[start][...] = array
        launch.run_on_cpu(launch.values, (0, 0, 0), launch.grid)
        whole = counted == launch.grid[0] * launch.grid[1] * launch.grid[2]
        agrees = all(_same(before[start], after[start], self._memory[start], whole) for start in matrices)
        counts = dict(zip(build.COUNTERS, numbers, strict=True))
        self.launches.append(Launched(launch.kernel, launch.grid, launch.block, counted, counts, faults, agrees, trace))

    def _count(self, launch: Any, matrices: dict[int, str]) -> tuple[int, list[int], list[Fault], str]:
        """Run blocks on the counted build; how many, numbers of the counters, faults, trace."""
        library, three = self._library, ctypes.c_uint * 3
        library.countBegin(self.skipped.encode(), ctypes.c_size_t(self.trace))
        for start, name in matrices.items():
            library.countMatrix(name.encode(), ctypes.c_void_p(start), ctypes.c_long(self._memory[start].size))
        (x, y, z), kinds = launch.grid, launch.kinds + cuda_source.PART_KINDS
        packed = struct.pack(kinds, *launch.values, 0, 0, y, z)
        run = getattr(library, f"call_{cuda_source.symbol(launch.kernel, launch.kinds)}")
        total = x * y * z
        chosen = min(total, self.blocks or total)
        for i in range(chosen):
            flat = i * (total - 1) // max(chosen - 1, 1)
            place = three(flat % x, flat // x % y, flat // (x * y))
            if library.countBlock(
                run, packed, three(*launch.grid), three(*launch.block), place, bool(self.trace and i == 0)
            ):
                raise RuntimeError(f"{launch.kernel}: threads wait at a barrier that others never reach")
        faults, trace = ctypes.c_char_p(), ctypes.c_char_p()
        numbers = library.countEnd(ctypes.byref(faults), ctypes.byref(trace))
        found = [line.split("\t") for line in (faults.value or b"").decode().splitlines()]
        told = [Fault(build.COUNTERS[int(kind)], area, int(index), int(block), int(thread), f"{file}:{line}")
                for kind, area, index, block, thread, file, line in found]  # fmt: skip
        return chosen, numbers[: len(build.COUNTERS)], told, (trace.value or b"").decode()

    def _start(self, address: int) -> int:
        starts = sorted(self._memory)
        return starts[bisect_right(starts, address) - 1]

    def _at(self, address: int) -> npt.NDArray[np.float32]:
        """Contents from an address to the end of its matrix."""
        start = self._start(address)
        return self._memory[start][(address - start) // 4 :]


@cache
def parameters(kernel: str) -> list[str]:
    """Names of a kernel's parameters, from its declaration."""
    declared = rf"^KERNEL {kernel.partition('<')[0]}\(const Block& block,([^)]*)\)"
    texts = (path.read_text(encoding="utf-8") for path in sorted(cuda_source.KERNELS.glob("*.cuh")))
    (found, *_) = (match[1] for text in texts if (match := re.search(declared, text, re.MULTILINE)))
    return re.findall(r"\w+(?=\s*(?:,|$))", found)


def _same(before: _call.Matrix, counted: _call.Matrix, engine: _call.Matrix, whole: bool) -> bool:
    """Whether the counted blocks, or what they changed, left the bits that the engine left."""
    old, new, other = (array.view(np.uint32) for array in (before, counted, engine))
    return bool(((new == other) | ((new == old) & (not whole))).all())
