"""The 2012 engine on a GPU, through PyCUDA: whether it can run here, and its device.

Kernels are compiled by nvcc when they are first needed and kept (ROSETTA_CACHE, else the user's cache folder); matrix
products are cuBLAS's. With ROSETTA_GPU_DEBUG=1 every launch is waited for and checked, every matrix has guard words
around it, and contents that must not be read are NaN.
"""

import ctypes
import os
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import Refused
from . import cubins
from .cubins import CompileError
from .device import GpuDevice
from .memory import Memory, MemoryFault

__all__ = ["CompileError", "GpuDevice", "MemoryFault", "debugging", "missing", "open_device", "probe"]

INSTALL = "pip install -e '.[gpu]' in the source tree"


def probe() -> tuple[bool, str]:
    """Whether the engine can run on a GPU here.

    Returns
    -------
    available : bool
    reason : str
        One line: the card, driver and compiler, or what is missing and how to get it.
    """
    try:
        return True, ", ".join(check() for check in (_card, _compiler, _pycuda, _nvmath))
    except Exception as error:  # a probe says what is wrong, whatever it is
        return False, _line(error)


def missing() -> list[str]:
    """All that the engine lacks to run on a GPU here.

    Returns a line for each thing, driver, compiler, PyCUDA and nvmath, with how to get it; empty if nothing is missing.
    """
    found = []
    for check in (_card, _compiler, _pycuda, _nvmath):
        try:
            check()
        except Exception as error:  # as in probe
            found.append(_line(error))
    return found


def debugging() -> bool:
    """Whether ROSETTA_GPU_DEBUG asks for debug mode."""
    return os.environ.get("ROSETTA_GPU_DEBUG", "0") not in ("", "0")


def open_device(debug: bool | None = None) -> GpuDevice:
    """A device for one network or call, on the first GPU.

    ``debug``: check every launch; default `debugging`.
    Raises Refused: there is no GPU, or something that it needs is missing.
    """
    available, reason = probe()
    if not available:
        raise Refused("there is no GPU to run on", "a GPU, its driver, nvcc, PyCUDA and nvmath", reason)
    driver = _driver()
    return GpuDevice(driver, _memory(debugging() if debug is None else bool(debug)), _kernels())


@cache
def _driver() -> Any:
    from .driver import CudaDriver

    return CudaDriver()


@cache
def _memory(debug: bool) -> Memory:
    return Memory(_driver(), debug)


@cache
def _kernels() -> cubins.Kernels:
    return cubins.Kernels(_driver().architecture)


@cache
def _card() -> str:
    """Name of the first GPU and version of the driver, asked of the driver itself."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise LookupError("no CUDA driver (libcuda.so.1): needs an NVIDIA GPU and NVIDIA's driver for it") from None
    count, number, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    code = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if code or not count.value:
        raise LookupError(f"the CUDA driver finds no GPU (error {code}): see nvidia-smi and CUDA_VISIBLE_DEVICES")
    driver.cuDriverGetVersion(ctypes.byref(number))
    driver.cuDeviceGetName(name, 256, 0)
    return f"{name.value.decode()}, driver for CUDA {number.value // 1000}.{number.value % 1000 // 10}"


def _show_toolkit(compiler: str) -> None:
    """Tell nvmath where cuBLAS is: beside the compiler, unless the environment names a toolkit."""
    if {"CUDA_HOME", "CUDA_PATH"} & set(os.environ):
        return
    for toolkit in (Path(compiler).resolve().parents[1], Path("/usr/local/cuda")):
        if (toolkit / "include" / "cuda.h").is_file():
            os.environ["CUDA_HOME"] = str(toolkit)
            return


def _compiler() -> str:
    """Version of nvcc."""
    compiler = cubins.find_compiler()
    if compiler is None:
        raise LookupError("no CUDA compiler: install the CUDA toolkit (12 or 13) and put nvcc on PATH")
    _show_toolkit(compiler)
    return f"nvcc {cubins.compiler_version(compiler)}"


@cache
def _pycuda() -> str:
    """Version of PyCUDA, after it has been imported where there is a driver for it."""
    if find_spec("pycuda") is None:
        raise LookupError(f"no PyCUDA: {INSTALL}")
    try:
        import pycuda.driver  # noqa: F401
    except ImportError as error:
        if "libcuda" not in str(error):  # without a driver it cannot be, and `_card` says so
            raise LookupError(f"PyCUDA cannot be used ({error}): {INSTALL}") from None
    return f"PyCUDA {version('pycuda')}"


@cache
def _nvmath() -> str:
    """Version of nvmath, after it has been imported and cuBLAS has been found."""
    try:
        from nvmath.bindings import cublas
    except ImportError as error:
        raise LookupError(f"no nvmath ({error}): {INSTALL}") from None
    try:
        cublas.get_property(0)
    except RuntimeError as error:
        raise LookupError(f"no cuBLAS ({error}): it is part of the CUDA toolkit") from None
    return f"nvmath {version('nvmath-python')}"


def _line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__
