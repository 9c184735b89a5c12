"""From checked NumPy arrays to an entry point of the chosen extension module."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from . import isa
from .device import Device
from .errors import Refused

Matrix: TypeAlias = npt.NDArray[np.float32]
"""Two axes, float32."""
Layer: TypeAlias = dict[str, Any]
"""A layer dictionary, with the keys of the historical parser."""
Launch: TypeAlias = dict[str, Any]
"""A launch record: kernel, grid, block, shared_bytes, args, rule, seconds."""

LIMIT = 2**31 - 1
MOST_THREADS = 1024
"""With more threads the thread library ends the process, without an error."""
GENERATIONS = (2011, 2012, 2014)
MOST_LAUNCHES = 2**16  # so many records a log keeps, the newest
_logs: ContextVar[tuple[list[Launch], ...]] = ContextVar("launch logs", default=())
_chosen: ContextVar[ModuleType | None] = ContextVar("extension module", default=None)
_turned: ContextVar[tuple[dict[str, bool], ...]] = ContextVar("quirks", default=())


@dataclass(frozen=True)
class Operand:
    """A matrix argument: its name, its array (None: unset) and whether it is column-major."""

    name: str
    array: Matrix | None
    trans: bool


def row(name: str, array: Matrix | None) -> Operand:
    """A row-major operand; a row-strided view passes."""
    return Operand(name, array, False)


def col(name: str, array: Matrix | None) -> Operand:
    """A column-major operand."""
    return Operand(name, array, True)


def default_threads() -> int:
    """The default number of threads of the kernels: ROSETTA_THREADS, else the processors that this process may use."""
    given = os.environ.get("ROSETTA_THREADS")
    if not given:
        return min(len(os.sched_getaffinity(0)), MOST_THREADS)
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise Refused("ROSETTA_THREADS is no number of threads", f"1 to {MOST_THREADS}", repr(given))
    return checked_threads("ROSETTA_THREADS", int(given))


def checked_threads(asker: str, threads: object) -> int:
    """Check a number of threads; Refused if OpenMP cannot start so many."""
    if not isinstance(threads, (int, np.integer)) or not 1 <= threads <= MOST_THREADS:
        hint = "no result depends on it; more threads than processors gain nothing"
        raise Refused(f"{asker}: number of threads", f"1 to {MOST_THREADS}", repr(threads), hint)
    return int(threads)


def single_threaded_blas() -> Any:
    """Context in which BLAS runs on one thread: the engine cuts a product into pieces for its own threads."""
    return _blas().limit(limits=1, user_api="blas")


@cache
def _blas() -> Any:
    _module()  # loads SciPy's BLAS
    return ThreadpoolController()


@contextmanager
def launch_log() -> Iterator[list[Launch]]:
    """Collect the launch records of every entry point called inside the block, by this thread.

    Yields
    ------
    list of dict
        One per launch: kernel, grid, block, shared_bytes, args, rule, seconds. Of a call with more than
        `MOST_LAUNCHES` the newest.
    """
    log: list[Launch] = []
    before = _logs.set((*_logs.get(), log))
    try:
        yield log
    finally:
        _logs.reset(before)


def invoke(entry: str, given: dict[str, Any], inputs: str, target: str, **more: str) -> Matrix:
    """Run an entry point with one target, as `invoke_all` does; returns the target."""
    (result,) = invoke_all(entry, given, inputs, target, **more)
    return result


def invoke_all(
    entry: str, given: dict[str, Any], inputs: str, targets: str, *, columns: str = "", words: str = ""
) -> tuple[Matrix, ...]:
    """Run an entry point with the arguments of its Python function; returns its targets.

    `given` is the ``locals()`` of the function: the matrices and words named below, ``generation``, ``device``, and
    numbers. `inputs` and `targets` name the matrices that are read and written, parted by spaces; `columns` those of
    them that are column-major; `words` the arguments that are words.
    """
    read, written = (
        [(col if name in columns.split() else row)(name, given.pop(name)) for name in names.split()]
        for names in (inputs, targets)
    )
    told = {name: given.pop(name) for name in words.split()}
    where = {name: given.pop(name) for name in ("generation", "device")}
    return call_all(entry, read, written, given, words=told, **where)


def call(
    entry: str, inputs: Sequence[Operand], targets: Sequence[Operand], scalars: Mapping[str, object], **more: Any
) -> Matrix:
    """Run an entry point with one target, as `call_all`; returns the target."""
    (result,) = call_all(entry, inputs, targets, scalars, **more)
    return result


def call_all(
    entry: str,
    inputs: Sequence[Operand],
    targets: Sequence[Operand],
    scalars: Mapping[str, object],
    *,
    tables: Sequence[tuple[str, npt.NDArray[np.int32]]] = (),
    words: Mapping[str, object] | None = None,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:
    """Run an entry point; returns its targets."""
    if not isinstance(generation, (int, np.integer)) or generation not in GENERATIONS:
        raise Refused(f"{entry}: unknown generation", f"one of {GENERATIONS}", repr(generation))
    implementation, logs = open_device(entry, device), _logs.get()
    given = {o.name: _checked(entry, o) for o in inputs}
    wanted = {o.name: _checked(entry, o, True) if o.array is not None else (None, o.trans) for o in targets}
    numbers = {name: number(f"{entry}: {name}", value) for name, value in scalars.items()}
    told = {name: _word(entry, name, word) for name, word in (words or {}).items()}
    if implementation is not None:
        implementation.forget_launches()
        implementation.logging = bool(logs)
    where = int(generation), default_threads(), implementation, turned(), MOST_LAUNCHES if logs else 0
    with single_threaded_blas() if entry == "NVMatrix::addProduct" else nullcontext():
        outputs, launches = _module().call(entry, given, wanted, numbers, dict(tables), told, *where)
    timed(launches, implementation)
    for log in logs:
        log.extend(launches)
    return tuple(outputs[o.name] for o in targets)


def open_device(asker: str, device: str | Device) -> Device | None:
    """What implements a device for the engine: None for the CPU, else an object."""
    if device == "cpu":
        return None
    if device == "gpu":
        from . import gpu

        return gpu.open_device()
    if isinstance(device, str) or not hasattr(device, "launch"):
        raise Refused(f"{asker}: unknown device", '"cpu" or "gpu"', repr(device))
    return device


def timed(launches: list[Launch], device: Device | None) -> None:
    """Write the seconds that a device measured into its launch records."""
    if device is not None:
        for record, seconds in zip(launches, device.launch_seconds(), strict=True):
            record["seconds"] = seconds


@contextmanager
def quirks(**positions: bool) -> Iterator[None]:
    """Turn switches for the entry points called inside the block, by this thread.

    ``**positions``: by the name of the quirk, with underscores: ``quirks(blur_last_tap=False)``.
    Raises Refused: there is no such quirk.
    """
    found = {name.replace("_", "-"): bool(on) for name, on in positions.items()}
    for name in found:
        if name not in quirk_defaults():
            raise Refused("there is no such quirk", ", ".join(quirk_defaults()), name)
    before = _turned.set((*_turned.get(), found))
    try:
        yield
    finally:
        _turned.reset(before)


def quirk_defaults() -> dict[str, bool]:
    """The switches of the quirk ledger that this engine has, and where they stand in a network: dict of str to bool.

    An entry point of another generation has the quirks of its own.
    """
    defaults: dict[str, bool] = _module().quirks()
    return defaults


def turned() -> dict[str, bool]:
    """Switches that `quirks` has turned for now; the innermost block wins."""
    return {name: on for block in _turned.get() for name, on in block.items()}


@contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Use the build for an instruction set, a name of `isa.NAMES`, inside the block and in this thread."""
    before = _chosen.set(isa.load(name))
    try:
        yield
    finally:
        _chosen.reset(before)


def _module() -> ModuleType:
    return _chosen.get() or _default_module()


@cache
def _default_module() -> ModuleType:
    return isa.load()


def matrix(what: str, array: object) -> Matrix:
    """Check that the engine can read an array: 2-D float32, aligned, with offsets of 32 bits; returns the array."""
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype != np.float32:
        actual = f"{array.ndim}-D {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        hint = "numpy.asarray(..., dtype=numpy.float32)"
        raise Refused(f"{what} has the wrong type", "2-D float32 array", actual, hint)
    if not array.flags.aligned:
        actual = f"address {array.ctypes.data}"
        raise Refused(f"{what} is not aligned", "addresses that are multiples of 4", actual, "pass a copy")
    extent = sum((n - 1) * abs(step) for n, step in zip(array.shape, array.strides, strict=True)) // 4
    if max(array.shape) > LIMIT or (array.size and extent >= LIMIT):
        most, actual = f"at most {LIMIT} elements (offsets are 32-bit)", f"shape {array.shape}, strides {array.strides}"
        raise Refused(f"{what} is too large", most, actual, "use a smaller batch")
    return array


def number(what: str, value: object) -> float:
    """A finite number as a float; Refused if it is none."""
    try:
        if isinstance(value, (int, float, np.integer, np.floating, np.bool_)) and math.isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise Refused(f"{what} is not a finite number", "a number", short(value))


def integer(what: str, value: object) -> int:
    """An integer of 32 bits, perhaps given as a float; Refused if it is none."""
    given = number(what, value)
    if not given.is_integer() or abs(given) > LIMIT:
        raise Refused(f"{what} is not an integer of 32 bits", "an integer below 2^31", short(value))
    return int(given)


def short(value: object) -> str:
    """A value that a caller passed, in at most 60 letters."""
    text = f"an integer of {value.bit_length()} bits" if isinstance(value, int) and abs(value) >= 2**64 else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _checked(entry: str, operand: Operand, contiguous: bool = False) -> tuple[Matrix, bool]:
    """(array, trans) if dtype, dimensions and memory order are what the entry point takes."""
    a, what = matrix(f"{entry}: {operand.name}", operand.array), f"{entry}: {operand.name}"
    if not _follows(a.T if operand.trans else a):
        orders = ("row-major (C order)", "ascontiguousarray"), ("column-major (Fortran order)", "asfortranarray")
        order, make = orders[operand.trans]
        raise Refused(f"{what} has the wrong memory order", order, f"strides {a.strides}", f"numpy.{make}(...)")
    if contiguous and not (a.flags.f_contiguous if operand.trans else a.flags.c_contiguous):
        raise Refused(f"{what} must be contiguous", "no gaps between its rows", f"strides {a.strides}", "pass a copy")
    return a, operand.trans


def _follows(a: Matrix) -> bool:
    """True if the last axis of `a` is contiguous and its rows are in ascending order."""
    rows, cols = a.shape
    return (cols <= 1 or a.strides[1] == 4) and (rows <= 1 or (a.strides[0] % 4 == 0 and a.strides[0] >= 4 * cols))


def _word(entry: str, name: str, word: object) -> str:
    if not isinstance(word, str) or not word.isascii() or "\0" in word:
        raise Refused(f"{entry}: {name} is no word", "a str of ASCII letters", short(word))
    return word
