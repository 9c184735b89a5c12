"""From checked NumPy arrays to an entry point of the chosen extension module."""

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

from . import isa
from .errors import Refused

LIMIT = 2**31 - 1
MOST_THREADS = 1024
"""More end in the thread library, without an error."""
GENERATIONS = (2011, 2012, 2014)
_logs = []
_chosen = []
_turned = []


@dataclass(frozen=True)
class Operand:
    """A matrix argument: its name, its array (None: unset) and whether it is column-major."""

    name: str
    array: np.ndarray | None
    trans: bool


def row(name, array):
    """A row-major operand; a row-strided view passes."""
    return Operand(name, array, False)


def col(name, array):
    """A column-major operand."""
    return Operand(name, array, True)


def default_threads():
    """Threads the kernels use unless told otherwise: ROSETTA_THREADS, or the processors this process may use."""
    given = os.environ.get("ROSETTA_THREADS")
    if not given:
        return len(os.sched_getaffinity(0))
    if not given.isdecimal() or not 1 <= int(given) <= MOST_THREADS:
        raise Refused("ROSETTA_THREADS", f"a number from 1 to {MOST_THREADS}", given)
    return int(given)


@contextmanager
def launch_log():
    """Collect the launch records of every entry point called inside the block.

    Yields
    ------
    list of dict
        One per launch: kernel, grid, block, shared_bytes, args, rule, seconds.
    """
    log = []
    _logs.append(log)
    try:
        yield log
    finally:
        _logs.remove(log)


def call(entry, inputs, targets, scalars, *, tables=(), words=None, generation=2012, device="cpu"):
    """Run an entry point; returns its target, or a tuple of them where there are several."""
    if generation not in GENERATIONS:
        raise Refused(f"{entry}: unknown generation", f"one of {GENERATIONS}", generation)
    implementation = open_device(entry, device)
    given = {o.name: _checked(entry, o) for o in inputs}
    wanted = {o.name: _checked(entry, o) if o.array is not None else (None, o.trans) for o in targets}
    if implementation is not None:
        implementation.forget_launches()
    try:
        outputs, launches = _module().call(entry, given, wanted, _numbers(entry, scalars),
                                           {name: _table(entry, name, table) for name, table in tables},
                                           words or {}, generation, default_threads(), implementation, turned())
    except ValueError as error:
        raise Refused.from_text(str(error)) from None
    timed(launches, implementation)
    for log in _logs:
        log.extend(launches)
    results = tuple(outputs[o.name] for o in targets)
    return results if len(results) > 1 else results[0]


def open_device(asker, device):
    """What implements a device for the engine: None for the CPU, else an object (see `_binding_device.pxi`).

    ``device`` is "cpu", "gpu" or such an object.
    """
    if device == "cpu":
        return None
    if device == "gpu":
        from . import gpu

        return gpu.open_device()
    if not hasattr(device, "launch"):
        raise Refused(f"{asker}: unknown device", '"cpu" or "gpu"', repr(device))
    return device


def timed(launches, device):
    """Put the seconds that a device measured into its launch records."""
    if device is not None:
        for record, seconds in zip(launches, device.launch_seconds(), strict=True):
            record["seconds"] = seconds


@contextmanager
def quirks(**positions):
    """Turn switches for the entry points called inside the block.

    Parameters
    ----------
    **positions : bool
        By the name of the quirk, with underscores: ``quirks(blur_last_tap=False)``.

    Raises
    ------
    Refused
        There is no such quirk.
    """
    found = {name.replace("_", "-"): bool(on) for name, on in positions.items()}
    for name in found:
        if name not in quirk_defaults():
            raise Refused("there is no such quirk", ", ".join(quirk_defaults()), name)
    _turned.append(found)
    try:
        yield
    finally:
        _turned.pop()


def quirk_defaults():
    """The switches of the quirk ledger that this engine has, and where they stand in a network: dict of str to bool.

    An entry point of another generation has the quirks of its own.
    """
    return _module().quirks()


def turned():
    """Switches that `quirks` has turned for now; the innermost block wins."""
    return {name: on for block in _turned for name, on in block.items()}


@contextmanager
def use_isa(name):
    """Run the entry points called inside the block on the build for an instruction set, a name of `isa.NAMES`."""
    _chosen.append(isa.load(name))
    try:
        yield
    finally:
        _chosen.pop()


def _module():
    return _chosen[-1] if _chosen else _default_module()


@cache
def _default_module():
    return isa.load()


def _checked(entry, operand):
    """(array, trans) if dtype, dimensions and memory order are what the entry point takes."""
    a = operand.array
    if not isinstance(a, np.ndarray) or a.ndim != 2 or a.dtype != np.float32:
        actual = f"{a.ndim}-D {a.dtype}" if isinstance(a, np.ndarray) else type(a).__name__
        raise Refused(f"{entry}: {operand.name} has the wrong type", "2-D float32 array", actual,
                      "numpy.asarray(..., dtype=numpy.float32)")
    if not _follows(a.T if operand.trans else a):
        order = "column-major (Fortran order)" if operand.trans else "row-major (C order)"
        raise Refused(f"{entry}: {operand.name} has the wrong memory order", order, f"strides {a.strides}",
                      f"numpy.{'asfortranarray' if operand.trans else 'ascontiguousarray'}(...)")
    if a.size and sum((n - 1) * step for n, step in zip(a.shape, a.strides, strict=True)) // 4 >= LIMIT:
        raise Refused(f"{entry}: {operand.name} is too large", f"at most {LIMIT} elements (offsets are 32-bit)",
                      f"shape {a.shape}, strides {a.strides}", "use a smaller batch")
    return a, operand.trans


def _follows(a):
    """True if the last axis of `a` is contiguous and its rows are in ascending order."""
    rows, cols = a.shape
    return (cols <= 1 or a.strides[1] == 4) and (rows <= 1 or (a.strides[0] % 4 == 0 and a.strides[0] >= 4 * cols))


def _numbers(entry, scalars):
    for name, value in scalars.items():
        if not isinstance(value, (int, float, np.integer, np.floating, np.bool_)) or not math.isfinite(value):
            raise Refused(f"{entry}: {name} is not a finite number", "a number", repr(value))
    return {name: float(value) for name, value in scalars.items()}


def _table(entry, name, table):
    table = np.asarray(table)
    if table.dtype != np.int32:
        raise Refused(f"{entry}: {name} has the wrong type", "int32 array", table.dtype)
    return np.ascontiguousarray(table)
