"""Chooses the extension module for this processor.

On x86-64 the engine is built for x86-64-v2 (which is also *strict*: no fused multiply-add),
v3 and v4; elsewhere for the compiler's baseline and strict. ``ROSETTA_ISA`` forces one:
``strict``, ``x86-64-v2`` (the same), ``x86-64-v3``, ``x86-64-v4``, ``baseline``.
"""

import importlib
import os
from types import ModuleType

from .errors import Refused

ORDER = ("strict", "baseline", "v3", "v4")
NAMES = {"x86-64-v2": "strict", "x86-64-v3": "v3", "x86-64-v4": "v4"} | {name: name for name in ORDER}


def load(name: str | None = None) -> ModuleType:
    """Import the extension module for an instruction set.

    ``name``: one of the keys of `NAMES`; default is the environment variable ``ROSETTA_ISA``, and without it the best
    that this processor runs and that was built.
    Raises Refused: if the name is unknown, was not built, or cannot run on this processor.
    """
    wanted = name or os.environ.get("ROSETTA_ISA") or ""
    if wanted and wanted not in NAMES:
        raise Refused("unknown instruction set", "one of " + ", ".join(NAMES), wanted)
    isa, best = NAMES[wanted] if wanted else available()[-1], best_isa()
    if ORDER.index(isa) > ORDER.index(best):
        raise Refused("instruction set not available on this processor", f"at most {best}", wanted)
    module = _module(isa)
    if module is None:
        hint = "'make build' builds all of them ('make compare' this processor's alone); ROSETTA_ISA chooses one"
        raise Refused("instruction set was not built", ", ".join(available()), wanted, hint)
    return module


def available() -> list[str]:
    """Names of the modules that were built and run on this processor, the best last; Refused if there is none."""
    best = best_isa()
    found = [isa for isa in ORDER[: ORDER.index(best) + 1] if _module(isa) is not None]
    if not found:
        what, hint = "no module was built that this processor runs", "rebuild without ROSETTA_BUILD"
        raise Refused(what, f"one for {best} or less", "none", hint)
    return found


def best_isa() -> str:
    """The best instruction set that this processor runs, whatever was built."""
    best: str = importlib.import_module("._processor", __package__).best_isa()
    return best


def _module(isa: str) -> ModuleType | None:
    """The extension module of an instruction set, or None if it was not built."""
    try:
        return importlib.import_module(f"._legacy_{isa}", __package__)
    except ModuleNotFoundError:
        return None
