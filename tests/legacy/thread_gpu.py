"""A GPU made of the CUDA source itself: wrappers and kernels compiled by the C++ compiler, threads as fibers."""

import ctypes
import struct

from fake_gpu import FakeGpu

from alexnet_rosetta.legacy.counted import build
from alexnet_rosetta.legacy.gpu import cuda_source

ROUNDED = ["-ffp-contract=off"]


def compile_threads(instances, folder, flags=ROUNDED):
    """A library with the instances, as a path."""
    return build.compile_library(sorted(instances), folder, [*build.compiler(), "-O1", *build.FLAGS, *flags])


class ThreadGpu(FakeGpu):
    """Runs launches on a library of `compile_threads`, a block's threads in ascending or descending order."""

    def __init__(self, library, backwards):
        super().__init__(debug=True)
        self.library, self.driver.launch = ctypes.CDLL(str(library)), self._launch
        self.backwards = backwards

    def _launch(self, function, grid, block, arguments):
        kernel, symbol = function
        kinds = self.driver.running.kinds + cuda_source.PART_KINDS
        values = struct.unpack(kinds, arguments)
        reached = [self.driver.words(value).ctypes.data if letter == "P" and value else value
                   for letter, value in zip(kinds, values, strict=True)]  # fmt: skip
        packed, three = struct.pack(kinds, *reached), ctypes.c_uint * 3
        stuck = self.library.runGrid(getattr(self.library, f"call_{symbol}"), packed, three(*grid), three(*block),
                                     self.backwards)  # fmt: skip
        assert not stuck, f"{kernel}: threads wait at a barrier that others never reach"
