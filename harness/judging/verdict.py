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
from .finding import HIGHEST_EXPONENT, HISTOGRAM_BINS, LOWEST_EXPONENT, Finding, Worst

Array = NDArray[Any]
ROUNDOFF = 2.0**-24
# A tensor whose bounds are larger than this share of its values would pass whatever an engine did.
INCONCLUSIVE = 0.1
# An overflowed float32 stands for this number, the first that float32 cannot reach.
_OVERFLOW = 2.0**128
# Elements per pass: a handful of float64 temporaries of this size stay in the second-level cache.
_BLOCK = 2**15


class Verdict:
    """Judges one tensor of one engine, chunk by chunk.

    Parameters
    ----------
    shape : tuple of int
        Of the whole tensor; one or two axes.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self._elements = self._differing = self._loose = 0
        self._outside = self._nonfinite = 0
        self._share = 0.0
        self._at: tuple[int, int] = (0, 0)
        self._worst: Worst | None = None
        self._ulps = self._signs = 0
        self._bound_squares = self._reference_squares = 0.0
        self._low, self._high, self._sum = np.inf, -np.inf, 0.0
        self._histogram = np.zeros(HISTOGRAM_BINS, np.int64)

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
        parts = [_as_matrix(np.broadcast_to(part, shape)) for part in whole]
        rows, columns = parts[0].shape
        wide = max(1, min(columns, _BLOCK))
        high = max(1, _BLOCK // wide)
        for top in range(0, rows, high):
            for left in range(0, columns, wide):
                at = slice(top, top + high), slice(left, left + wide)
                block = _Block(*(part[at] for part in parts))
                row, column = start if len(start) == 2 else (0, *start)
                self._take(block, (row + top, column + left))

    def _take(self, block: "_Block", offset: tuple[int, int]) -> None:
        self._elements += block.share.size
        self._differing += int(np.count_nonzero(block.differs))
        self._outside += int(np.count_nonzero(block.share > 1))
        self._nonfinite += int(block.nonfinite)
        self._loose += int(block.loose())
        self._bound_squares += _squares(block.bound)
        self._reference_squares += _squares(block.reference)
        low, high, total = block.spread()
        self._low, self._high, self._sum = min(self._low, low), max(self._high, high), self._sum + total
        ulps, signs = block.ulps()
        self._ulps, self._signs = max(self._ulps, ulps), self._signs + signs
        self._histogram += block.histogram()
        largest = float(block.share.max(initial=0.0))
        if largest > 0 and largest >= self._share:
            self._remember(block, largest, offset)

    def _remember(self, block: "_Block", share: float, offset: tuple[int, int]) -> None:
        """Keep the worst element, the first in the tensor's order among equals, so that chunks do not matter."""
        row, column = np.unravel_index(block.share.argmax(), block.share.shape)
        at = int(row) + offset[0], int(column) + offset[1]
        if share > self._share or at < self._at:
            self._share, self._at = share, at
            values = block.actual[row, column], block.expected[row, column], block.bound[row, column]
            self._worst = Worst(at[-len(self.shape) :], *map(float, values))

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
        return Finding(
            status=self._status(),
            elements=elements,
            share=self._share,
            worst=self._worst,
            ulps=self._ulps,
            signs=self._signs,
            differing=self._differing,
            outside=self._outside,
            nonfinite=self._nonfinite,
            loose=self._loose / max(1, elements),
            bound_norm=self._bound_squares**0.5,
            reference_norm=self._reference_squares**0.5,
            low=self._low if elements else None,
            high=self._high if elements else None,
            mean=self._sum / elements if elements else None,
            histogram=tuple(self._histogram.tolist()),
        )

    def _status(self) -> str:
        if self._nonfinite:
            return "nonfinite"
        if self._outside:
            return "different"
        if not self._differing:
            return "identical"
        if self._bound_squares > INCONCLUSIVE**2 * self._reference_squares:
            return "inconclusive"
        return "equivalent"


class _Block:
    """A piece of a tensor small enough for the cache, with everything the verdict needs about its elements."""

    def __init__(self, reference: Array, actual: Array, magnitude: Array, slope: Array, floor: Array) -> None:
        self.reference = self.expected = reference
        self.actual = actual
        rounded, single = _single(reference), _single(actual)
        self.differs = rounded != single
        self._keys: tuple[Array, ...] = (rounded, single)
        self.nonfinite = 0
        with np.errstate(invalid="ignore"):
            error = np.subtract(actual, reference, dtype=np.float64)
        np.abs(error, out=error)
        self.bound = _bound(reference, magnitude, slope, floor)
        if not np.isfinite(error.max(initial=0.0)):
            error = self._match_classes(error)
        self.share = self._shares(error)

    def _shares(self, error: Array) -> Array:
        exact = ~(self.bound > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.divide(error, self.bound, out=error)
        if exact.any():
            share[exact] = np.where(self.differs[exact], np.inf, 0.0)
            self.bound[exact] = 0.0
        return share

    def _match_classes(self, error: Array) -> Array:
        """NaN and infinities: the same class is the same value, anything else is infinitely far away.

        An infinity where the reference is finite may also be an honest overflow, and then stands for 2**128.
        """
        reference, actual = np.array(self.reference, np.float64), np.array(self.actual, np.float64)
        same = ~self.differs | (np.isnan(reference) & np.isnan(actual))
        overflow = np.isinf(actual) & np.isfinite(reference) & ~same
        error[overflow] = np.abs(np.copysign(_OVERFLOW, actual[overflow]) - reference[overflow])
        overflow[overflow] = error[overflow] <= self.bound[overflow]
        irregular = ~(np.isfinite(reference) & np.isfinite(actual)) & ~overflow
        wrong = irregular & ~same
        error[irregular] = self.bound[irregular] = 0.0
        self.differs = self.differs & ~same
        self.nonfinite = int(np.count_nonzero(wrong))
        self.reference = np.where(irregular, 0.0, reference)
        self._keys = tuple(np.where(irregular | overflow, np.float32(0), key) for key in self._keys)
        return error

    def spread(self) -> tuple[float, float, float]:
        """Smallest and largest of the engine's values, and their sum."""
        with np.errstate(invalid="ignore", over="ignore"):
            total = float(self.actual.sum(dtype=np.float64))
            return float(self.actual.min(initial=np.inf)), float(self.actual.max(initial=-np.inf)), total

    def loose(self) -> int:
        """How many bounds exceed the value they belong to."""
        return int(np.count_nonzero(self._bound_exceeds_value()))

    def ulps(self) -> tuple[int, int]:
        """Largest distance in units in the last place of float32, and how many signs are wrong.

        Where the bound exceeds the value, even the sign is left open, and the distance says nothing; between numbers
        of different sign it counts all the numbers next to zero.
        """
        if not self.differs.any():
            return 0, 0
        told = self.differs & ~self._bound_exceeds_value()
        expected, actual = (_rank(key)[told] for key in self._keys)
        same = np.sign(expected) == np.sign(actual)
        apart = np.abs(np.subtract(expected, actual, dtype=np.int64))[same]
        return int(apart.max(initial=0)), int(np.count_nonzero(~same))

    def _bound_exceeds_value(self) -> Array:
        return self.bound > np.abs(self.reference)

    def histogram(self) -> Array:
        """Elements per power of two of the share."""
        exponents = np.bincount(self.share.view(np.int64).ravel() >> 52, minlength=2048)
        low, high = 1023 + LOWEST_EXPONENT, 1023 + HIGHEST_EXPONENT
        ends = exponents[1 : low + 1].sum(), exponents[high:].sum()
        return np.concatenate(([exponents[0], ends[0]], exponents[low + 1 : high], [ends[1]]))


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

    Parameters
    ----------
    actual : ndarray or None
        What an engine delivered.
    shape, dtype
        What it should be.
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


def _bound(reference: Array, magnitude: Array, slope: Array, floor: Array) -> Array:
    bound: Array = np.multiply(slope, magnitude, dtype=np.float64)
    nothing_added = bound == 0
    bound += floor
    if nothing_added.any():
        bound[nothing_added & (reference == 0)] = 0.0
    return bound


def _single(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return x.astype(np.float32, copy=False)


def _rank(x: Array) -> Array:
    """Position of a float32 among all float32 numbers, 0 for both zeros."""
    bits = np.ascontiguousarray(x).view(np.int32)
    sign = bits >> 31
    return (bits ^ (sign & np.int32(0x7FFFFFFF))) - sign


def _squares(x: Array) -> float:
    with np.errstate(over="ignore"):
        return float(np.einsum("ij,ij", x, x, dtype=np.float64))  # not BLAS, whose threads cost more than they bring


def _as_matrix(x: Array) -> Array:
    return x.reshape(1, -1) if x.ndim == 1 else x
