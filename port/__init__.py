"""The modern Python port of the 2012 engine.

``load_network`` reads layer files, ``Network`` runs them, ``conv_to_local`` and ``unshare_weights`` change a model; the
operations themselves are in the family modules ``conv``, ``local``, ``sparse``, ``pool``, ``norm``, ``image_ops``,
``neurons``, ``linear``, ``tree``, ``dropout``, ``combine``, ``costs`` and ``msm``. Names are loaded on first use, so
that reading layer files does not load the compiled modules. ``OMP_WAIT_POLICY`` is set to ``passive`` unless it is set:
see ``threads``.
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
