"""A GPU made of the CUDA source itself: wrappers and kernels compiled by the C++ compiler, threads as fibers."""

import ctypes
import os
import struct
import subprocess
from pathlib import Path

from fake_gpu import FakeGpu

from alexnet_rosetta.legacy.gpu import cuda_source

HERE = Path(__file__).parent
FLAGS = ["-std=c++17", "-O1", "-fno-math-errno", "-shared", "-fPIC", "-w"]
ROUNDED = ["-ffp-contract=off"]
HOST_FUNCTIONS = """
#include "fastmath.cuh"
float hostExp(float x) { return fastExp(x); }
float hostLog(float x) { return fastLog(x); }
float hostPow(float x, float y) { return fastPow(x, y); }
float hostDivide(float x, float y) { return fastDivide(x, y); }
"""


def entry(kernel, kinds):
    """A C function that takes the packed arguments of a wrapper apart and calls it."""
    layout, arguments = kinds + cuda_source.PART_KINDS, []
    for i, letter in enumerate(layout):
        offset = struct.calcsize(layout[: i + 1]) - struct.calcsize(letter)
        arguments.append(f"*({cuda_source.TYPES[letter]}*)(p + {offset})")
    symbol = cuda_source.symbol(kernel, kinds)
    return f'extern "C" void call_{symbol}(const char* p) {{ {symbol}({", ".join(arguments)}); }}\n'


def compile_threads(instances, folder, flags=ROUNDED):
    """A library with the instances, as a path."""
    host, source, library = folder / "host.cpp", folder / "threads.cpp", folder / "threads.so"
    host.write_text(HOST_FUNCTIONS)
    text = cuda_source.source(instances) + "".join(entry(*instance) for instance in instances)
    source.write_text('#include "threads.h"\n' + text)
    compiler = os.environ.get("CXX", "g++").split()
    subprocess.run([*compiler, *FLAGS, *flags, f"-I{HERE}", f"-I{cuda_source.KERNELS}", str(source), str(host), "-o",
                    str(library)], check=True)  # fmt: skip
    return library


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
