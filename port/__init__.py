"""The modern Python port of the 2012 engine.

``load_network`` reads layer files, ``Network`` runs them, ``conv_to_local`` and ``unshare_weights`` change a model; the
operations are functions of the modules ``conv``, ``local``, ``sparse``, ``pool``, ``norm``, ``image_ops``, ``neurons``,
``linear``, ``tree``, ``dropout``, ``combine``, ``costs``, ``msm`` and ``solver``, one module for each family. These
functions check their operands and hand the heavy work on: convolutions to ``_conv.h``, matrix products to
``_gemm.pyx``, loops over images to ``_loops.h`` (through ``_conv.pyx`` and ``_loops.pyx``); the rest is NumPy. Large
arrays come from ``buffers``. docs/concordance.md sets each function beside its kernel.

The package loads a name on its first use, so that a program that only reads layer files loads no compiled module. On
import the package sets the environment variable ``OMP_WAIT_POLICY`` to ``passive``, unless the variable is set: see
``threads``.
"""

import os
from importlib import import_module
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before an extension module loads the OpenMP library

_HOME = {
    "ConfigError": "config",
    "LayerSpec": "config",
    "NetworkSpec": "config",
    "Tree": "config",
    "load_network": "config",
    "Graph": "graph",
    "Network": "network",
    "conv_to_local": "edit",
    "get_threads": "threads",
    "set_threads": "threads",
    "unshare_weights": "edit",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("alexnet-rosetta")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
