"""The device of the C++ engine on a GPU: what the engine calls back (see `_binding_device.pxi`)."""

import struct
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass

from .._call import MOST_LAUNCHES
from . import cuda_source
from .memory import MemoryFault

MAX_GRID = (2**31 - 1, 65535, 65535)  # blocks along x, y, z that one launch takes
UNRESOLVED = 512  # spans whose events wait to be read


@dataclass(slots=True)
class Span:
    """Work on the stream: what it was, and its seconds, once known."""

    kind: str  # "kernel" or "copy"
    start: object
    end: object = None
    seconds: float | None = None


def parts(grid):
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

    def __init__(self, driver, memory, kernels):
        self.driver, self.memory, self.kernels = driver, memory, kernels
        self.debug, self.logging = memory.debug, False
        self._functions, self._steps, self._current = {}, {}, None
        self._log, self._unresolved = deque(maxlen=MOST_LAUNCHES), []

    def allocate(self, elements):
        """Address of zeros."""
        return self.memory.allocate(elements)

    def release(self, address):
        """Take memory back."""
        self.memory.release(address)

    def copy_in(self, address, array):
        """From the host."""
        with self._span("copy"):
            self.driver.copy_in(address, array)

    def copy_out(self, array, address):
        """To the host."""
        with self._span("copy"):
            self.driver.copy_out(array, address)

    def copy_within(self, to, source, elements):
        """On the device."""
        with self._span("kernel"):
            self.driver.copy_within(to, source, 4 * elements)

    def forget(self, address, elements):
        """Contents that nobody reads any more."""
        self.memory.spoil(address, elements)

    def prepare(self, instances):
        """Compile instances, (kernel string, argument kinds), that are about to be launched."""
        self.kernels.prepare(instances)

    def launch(self, launch):
        """Run a launch record."""
        function, kinds = self._function(launch.kernel, launch.kinds), launch.kinds + cuda_source.PART_KINDS
        with self._span("kernel") as span:
            for (_, first_y, first_z), count in parts(launch.grid):
                arguments = struct.pack(kinds, *launch.values, first_y, first_z, *launch.grid[1:])
                self.driver.launch(function, count, launch.block, arguments)
        self._checked(f"{launch.kernel}, grid {launch.grid}, block {launch.block}")
        self._keep(span)

    def gemm(self, *arguments):
        """A matrix product; arguments as those of BLAS."""
        with self._span("kernel") as span:
            self.driver.gemm(*arguments)
        self._checked(f"sgemm{arguments[:5]}")
        self._keep(span)

    @contextmanager
    def step(self, *key):
        """Work inside the block counts as one step: its times are `seconds` and `copy_seconds`."""
        self._current = self._steps[key] = []
        try:
            yield
        finally:
            self._current = None

    def seconds(self, *key):
        """Seconds of a step's kernels and matrix products, by events; KeyError if it never ran."""
        return self._total(key, "kernel")

    def copy_seconds(self, *key):
        """Seconds of a step's copies between host and device."""
        return self._total(key, "copy")

    def launch_seconds(self):
        """Seconds of every launch and matrix product that was logged since `forget_launches`, in order."""
        self._resolve()
        return [span.seconds for span in self._log]

    def forget_launches(self):
        """Start the list of `launch_seconds` again."""
        self._log.clear()

    def _function(self, kernel, kinds):
        if (kernel, kinds) not in self._functions:
            path = self.kernels.path(kernel, kinds)
            self._functions[kernel, kinds] = self.driver.function(path, cuda_source.symbol(kernel, kinds))
        return self._functions[kernel, kinds]

    def _keep(self, span):
        """What `launch_seconds` will tell of: as many as the engine logs."""
        if self.logging:
            self._log.append(span)

    def _checked(self, where):
        """In debug mode, wait for a launch and look at the guards."""
        if not self.debug:
            return
        try:
            self.driver.synchronize()
            self.memory.check()
        except Exception as error:
            raise MemoryFault(f"{where}: {error}") from error

    @contextmanager
    def _span(self, kind):
        span = Span(kind, self.driver.mark())
        yield span
        span.end = self.driver.mark()
        self._unresolved.append(span)
        if self._current is not None:
            self._current.append(span)
        if len(self._unresolved) > UNRESOLVED:
            self._resolve()

    def _resolve(self):
        for span in self._unresolved:
            span.seconds = self.driver.elapsed(span.start, span.end)
            span.start = span.end = None
        self._unresolved.clear()

    def _total(self, key, kind):
        self._resolve()
        return sum(span.seconds for span in self._steps[key] if span.kind == kind)
