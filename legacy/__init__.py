"""The 2012 engine: CUDA kernels and C++ host code, wrapped with Cython.

Importing sets ``OMP_WAIT_POLICY`` to ``passive`` unless it is set: see `alexnet_rosetta.port.threads`.
"""

import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before an extension module loads the OpenMP library

from ._call import launch_log, quirk_defaults, quirks, use_isa
from .errors import Refused

if TYPE_CHECKING:
    from . import cudaconv, gpu
    from .network import Network

__all__ = ["Network", "Refused", "build_info", "cudaconv", "gpu", "launch_log", "quirk_defaults", "quirks", "use_isa"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "__version__":
        return import_module("importlib.metadata").version("alexnet-rosetta")
    if name in ("cudaconv", "gpu"):
        return import_module(f".{name}", __name__)
    if name == "Network":
        return import_module(".network", __name__).Network
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def build_info() -> dict[str, Any]:
    """Facts of the loaded build: isa, best_isa, compiler, openmp, threads."""
    from ._call import _module, default_threads

    return {**_module().build_info(), "threads": default_threads()}
