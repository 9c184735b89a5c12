"""Decides whether an engine's tensor equals the reference, given how far rounding may have moved it.

`Verdict` takes a tensor in chunks, any chunks, and says in the end what the whole is.  Nothing here has a typed
tolerance: each element brings its own bound (reference/bounded.py; docs/verdict.md).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..errors import BadInput
from ..reference import Bounded
from ._judge import Tally
from .finding import Finding, Worst

Array = NDArray[Any]
# A tensor whose bounds are larger than this share of its values would pass whatever an engine did.
INCONCLUSIVE = 0.1
COUNTED = ("share", "ulps", "signs", "differing", "outside", "nonfinite", "histogram")


class Verdict:
    """Judges one tensor of one engine, chunk by chunk.

    Parameters
    ----------
    shape : tuple of int
        Of the whole tensor; one or two axes.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self._elements = 0
        self._tally = Tally()

    def add(self, reference: Bounded, actual: Array, origin: Sequence[int] | None = None) -> None:
        """Take one chunk.

        Parameters
        ----------
        reference : Bounded
            What the chunk should be.
        actual : ndarray
            The engine's, float32 (float64 for costs), of the same shape; it may be a strided view.
        origin : tuple of int, optional
            Where the chunk starts in the whole tensor; by default at 0.
        """
        shape, start = np.shape(actual), tuple(origin or (0,) * len(self.shape))
        if shape != reference.value.shape or any(o + n > s for o, n, s in zip(start, shape, self.shape, strict=True)):
            raise BadInput(
                "judge: the chunk does not fit",
                expected=f"{reference.value.shape} within {self.shape}",
                actual=f"{shape} at {start}",
            )
        whole = (reference.value, actual, reference.magnitude, reference.slope(), reference.floor())
        self._elements += actual.size
        self._tally.add([_matrix(part, shape) for part in whole], *(start if len(start) == 2 else (0, *start)))

    def finish(self) -> Finding:
        """The finding on the whole tensor.

        Raises
        ------
        BadInput
            If the chunks did not add up to the whole.
        """
        elements = int(np.prod(self.shape))
        if self._elements != elements:
            raise BadInput(
                "judge: the chunks do not add up to the tensor",
                expected=f"{elements} elements",
                actual=f"{self._elements}",
            )
        found = self._tally.found
        return Finding(
            status=_status(found),
            elements=elements,
            worst=Worst(found.pop("at")[-len(self.shape) :], *found.pop("worst")) if found["share"] > 0 else None,
            loose=found.pop("loose") / max(1, elements),
            bound_norm=found["bound_squares"] ** 0.5,
            reference_norm=found["reference_squares"] ** 0.5,
            low=found["low"] if elements else None,
            high=found["high"] if elements else None,
            mean=found["sum"] / elements if elements else None,
            notices=found["notices"] if found["notices"] < np.inf else None,
            **{name: found[name] for name in COUNTED},
        )


def _status(found: dict[str, Any]) -> str:
    if found["nonfinite"]:
        return "nonfinite"
    if found["outside"]:
        return "different"
    if not found["differing"]:
        return "identical"
    if found["bound_squares"] > INCONCLUSIVE**2 * found["reference_squares"]:
        return "inconclusive"
    return "equivalent"


def judge(reference: Bounded, actual: Array | None, dtype: DTypeLike = np.float32) -> Finding:
    """Judge a whole tensor at once.

    Parameters
    ----------
    reference : Bounded
        What it should be.
    actual : ndarray or None
        What an engine delivered; None if it delivered nothing.
    dtype : dtype
        What it should be of; float64 for costs.
    """
    refused = refuse(actual, reference.value.shape, dtype)
    if refused:
        return refused
    assert actual is not None
    verdict = Verdict(reference.value.shape)
    verdict.add(reference, actual)
    return verdict.finish()


def refuse(actual: Array | None, shape: Sequence[int], dtype: DTypeLike = np.float32) -> Finding | None:
    """The finding on a tensor that cannot be compared at all, or None if it can.

    `shape` and `dtype` are what it should be; `actual` is None if the engine delivered nothing.
    """
    if actual is None:
        return Finding("missing", reason="the engine did not deliver it")
    if not hasattr(actual, "dtype"):
        return Finding("dtype", reason=f"{type(actual).__name__} in place of an array of {np.dtype(dtype)}")
    if tuple(actual.shape) != tuple(shape):
        return Finding("shape", reason=f"{tuple(actual.shape)} in place of {tuple(shape)}")
    if actual.dtype != dtype:
        return Finding("dtype", reason=f"{actual.dtype} in place of {np.dtype(dtype)}")
    return None


def differing_bits(a: ArrayLike, b: ArrayLike) -> int:
    """How many elements of two float32 arrays differ in their bits; +0 = -0 and any NaN = any NaN."""
    a, b = np.asarray(a), np.asarray(b)
    differs = a != b
    count = int(np.count_nonzero(differs))
    return count and count - int(np.count_nonzero(np.isnan(a) & np.isnan(b)))


def bitwise_equal(a: ArrayLike, b: ArrayLike) -> bool:
    """Whether two arrays have the same shape, type and bits; +0 = -0 and any NaN = any NaN."""
    a, b = np.asarray(a), np.asarray(b)
    return a.shape == b.shape and a.dtype == b.dtype and not differing_bits(a, b)


def _matrix(part: Array | float, shape: tuple[int, ...]) -> Array:
    """A part of a Bounded as a matrix of floating-point numbers, of one row where there is one axis."""
    part = np.asarray(part)
    if part.dtype not in (np.float32, np.float64):
        part = part.astype(np.float64)
    whole = np.broadcast_to(part, shape)
    return whole[None] if whole.ndim == 1 else whole
