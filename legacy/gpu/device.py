"""The device of the C++ engine on a GPU; `legacy.device` says what the engine calls."""

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .._call import MOST_LAUNCHES
from . import cuda_source
from .cubins import Instance, Kernels
from .memory import Memory, MemoryFault

Triple: TypeAlias = tuple[int, int, int]

MAX_GRID = (2**31 - 1, 65535, 65535)  # blocks along x, y, z that one launch takes
UNRESOLVED = 512  # spans whose events wait to be read


@dataclass(slots=True)
class Span:
    """Work on the stream: what it was, and its seconds, once known."""

    kind: str  # "kernel" or "copy"
    start: Any
    end: Any = None
    seconds: float = np.nan


def parts(grid: Triple) -> Iterator[tuple[Triple, Triple]]:
    """A grid as launches that CUDA takes: (first block, blocks) of each."""
    (x, y, z), (_, most_y, most_z) = grid, MAX_GRID
    for first_z in range(0, z, most_z):
        for first_y in range(0, y, most_y):
            yield (0, first_y, first_z), (x, min(most_y, y - first_y), min(most_z, z - first_z))


class GpuDevice:
    """A device for one network or one call; memory and kernels are shared with others.

    Parameters
    ----------
    driver : CudaDriver
    memory : Memory
        In debug mode (its attribute), every launch is waited for and checked.
    kernels : Kernels

    Attributes
    ----------
    logging : bool
        Whether `launch_seconds` are collected; False at first.
    """

    def __init__(self, driver: Any, memory: Memory, kernels: Kernels) -> None:
        self.driver, self.memory, self.kernels = driver, memory, kernels
        self.debug, self.logging = memory.debug, False
        self._functions: dict[Instance, Any] = {}
        self._steps: dict[tuple[str, ...], list[Span]] = {}
        self._current: list[Span] | None = None
        self._log: deque[Span] = deque(maxlen=MOST_LAUNCHES)
        self._unresolved: list[Span] = []

    def allocate(self, elements: int) -> int:
        """Address of zeros."""
        return self.memory.allocate(elements)

    def release(self, address: int) -> None:
        """Take memory back."""
        self.memory.release(address)

    def copy_in(self, address: int, array: npt.NDArray[Any]) -> None:
        """From the host."""
        with self._span("copy"):
            self.driver.copy_in(address, array)

    def copy_out(self, array: npt.NDArray[Any], address: int) -> None:
        """To the host."""
        with self._span("copy"):
            self.driver.copy_out(array, address)

    def copy_within(self, to: int, source: int, elements: int) -> None:
        """On the device."""
        with self._span("kernel"):
            self.driver.copy_within(to, source, 4 * elements)

    def forget(self, address: int, elements: int) -> None:
        """Nobody reads these contents any more."""
        self.memory.spoil(address, elements)

    def prepare(self, instances: Iterable[Instance]) -> None:
        """Compile instances, (kernel string, argument kinds), that are about to be launched."""
        self.kernels.prepare(instances)

    def launch(self, launch: Any) -> None:
        """Run a launch record."""
        function, kinds = self._function(launch.kernel, launch.kinds), launch.kinds + cuda_source.PART_KINDS
        with self._span("kernel") as span:
            for (_, first_y, first_z), count in parts(launch.grid):
                arguments = struct.pack(kinds, *launch.values, first_y, first_z, *launch.grid[1:])
                self.driver.launch(function, count, launch.block, arguments)
        self._checked(f"{launch.kernel}, grid {launch.grid}, block {launch.block}")
        self._keep(span)

    def gemm(self, *arguments: Any) -> None:
        """A matrix product; arguments as those of BLAS."""
        with self._span("kernel") as span:
            self.driver.gemm(*arguments)
        self._checked(f"sgemm{arguments[:5]}")
        self._keep(span)

    @contextmanager
    def step(self, *key: str) -> Iterator[None]:
        """Work inside the block counts as one step: its times are `seconds` and `copy_seconds`."""
        self._current = self._steps[key] = []
        try:
            yield
        finally:
            self._current = None

    def seconds(self, *key: str) -> float:
        """Seconds of a step's kernels and matrix products, by events; KeyError if it never ran."""
        return self._total(key, "kernel")

    def copy_seconds(self, *key: str) -> float:
        """Seconds of a step's copies between host and device."""
        return self._total(key, "copy")

    def launch_seconds(self) -> list[float]:
        """Seconds of every launch and matrix product that was logged since `forget_launches`, in order."""
        self._resolve()
        return [span.seconds for span in self._log]

    def forget_launches(self) -> None:
        """Start the list of `launch_seconds` again."""
        self._log.clear()

    def _function(self, kernel: str, kinds: str) -> Any:
        if (kernel, kinds) not in self._functions:
            path = self.kernels.path(kernel, kinds)
            self._functions[kernel, kinds] = self.driver.function(path, cuda_source.symbol(kernel, kinds))
        return self._functions[kernel, kinds]

    def _keep(self, span: Span) -> None:
        """Keep a span for `launch_seconds`, which has as many as the engine logs."""
        if self.logging:
            self._log.append(span)

    def _checked(self, where: str) -> None:
        """In debug mode, wait for a launch and look at the guards."""
        if not self.debug:
            return
        try:
            self.driver.synchronize()
            self.memory.check()
        except Exception as error:
            raise MemoryFault(f"{where}: {error}") from error

    @contextmanager
    def _span(self, kind: str) -> Iterator[Span]:
        span = Span(kind, self.driver.mark())
        yield span
        span.end = self.driver.mark()
        self._unresolved.append(span)
        if self._current is not None:
            self._current.append(span)
        if len(self._unresolved) > UNRESOLVED:
            self._resolve()

    def _resolve(self) -> None:
        for span in self._unresolved:
            span.seconds = self.driver.elapsed(span.start, span.end)
            span.start = span.end = None
        self._unresolved.clear()

    def _total(self, key: tuple[str, ...], kind: str) -> float:
        self._resolve()
        return sum(span.seconds for span in self._steps[key] if span.kind == kind)
