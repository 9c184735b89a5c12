"""A stand-in for the driver's library: ``libcuda.so.1`` that defines every name of the driver, and no device.

PyCUDA links against the driver, which a machine without a GPU does not have. Every function of the stub answers
CUDA_ERROR_STUB_LIBRARY, so that all imports work and the first real call says why it cannot.
"""

import os
import re
import subprocess
from pathlib import Path

STUB_LIBRARY = 34  # CUDA_ERROR_STUB_LIBRARY of cuda.h
MESSAGE = "this libcuda is a stub, there is no driver"
HEADERS = ("cuda.h", "cudaProfiler.h")
DECLARATION = re.compile(r"\bCUresult\s+(cu[A-Z]\w*)\s*\(")

# Their callers read what they point to without looking at the result.
TEXTS = ("cuGetErrorString", "cuGetErrorName")


def symbols(include):
    """Names of the functions of the driver, as they are called in the library (``cuMemAlloc_v2``).

    The headers `HEADERS` of the toolkit's folder are run through the C++ preprocessor twice: as programs see them, and
    with the earlier versions of functions that the library still has. OSError: no compiler, no such header, or one that
    does not compile.
    """
    found = set()
    for options in ([], ["-D__CUDA_API_VERSION_INTERNAL"]):
        command = [*_compiler(), "-E", "-P", "-x", "c++", f"-I{include}", *options]
        found |= {name for header in HEADERS for name in DECLARATION.findall(_run([*command, f"{include}/{header}"]))}
    return sorted(found)


def source(names):
    """C source of the stub that defines these functions."""
    lines = [f"int {name}(void) {{ return {STUB_LIBRARY}; }}" for name in names if name not in TEXTS]
    lines += [f'int {name}(int error, const char **text) {{ *text = "{MESSAGE}"; return 0; }}' for name in TEXTS]
    return "\n".join(lines) + "\n"


def build(include, folder):
    """Compile the stub against the toolkit's headers; the folder gets ``libcuda.so.1``, and ``libcuda.so`` for linkers.

    The result is the path of the library.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    code, library, link = folder / "libcuda.c", folder / "libcuda.so.1", folder / "libcuda.so"
    code.write_text(source(symbols(include)), encoding="utf-8")
    options = ["-x", "c", "-shared", "-fPIC", "-fno-builtin", "-w", "-Wl,-soname,libcuda.so.1"]
    _run([*_compiler(), *options, str(code), "-o", str(library)])
    link.unlink(missing_ok=True)
    link.symlink_to(library.name)
    return library


def _compiler():
    return os.environ.get("CXX", "g++").split()


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
