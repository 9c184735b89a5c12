"""What probably went wrong with an array: what would have to be done to the right one to get the wrong one.

A cause is named only where the evidence is strong: done to the right array, the mistake gives every element of the
wrong one within its bound, and at least `EVIDENCE` elements that were outside before are inside now. Nothing is
guessed from the size of an error. Where no mistake of the list does that, the cause is unknown.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
EVIDENCE = 8
"""Elements that a cause has to explain at least."""
SAMPLE = 256
"""Elements that are looked at first, so that wrong causes cost little."""
LONGEST = 4096
"""Slices along an axis that are looked for in another order."""


@dataclass(frozen=True)
class Cause:
    """A mistake that explains a whole array."""

    # ``transposed``, ``mirrored``, ``shifted``, ``scaled``, ``missing``, ``swapped``, ``permuted``, ``epsilon``,
    # ``float16``; "" where nothing of that does
    kind: str = ""
    text: str = "cause unknown"  # the same with axes and numbers

    def __str__(self) -> str:
        return f"likely cause: {self.text}" if self.kind else self.text


Variant = tuple[str, str, Callable[[], Array]]
"""Kind, text, and what the operation gives with that mistake inside."""


def likely(
    actual: Array, desired: Array, bound: Array, axes: Sequence[str] = (), variants: Iterable[Variant] = ()
) -> Cause:
    """The first cause that explains an array that is wrong; the shapes of `actual` and `desired` may differ.

    `bound` is the allowed error of each element of ``desired``; `axes` are names for the text; `variants` are mistakes
    inside the operation, tried last.
    """
    found = _Search(actual, desired, bound, axes)
    steps = (
        found.transposed,
        found.mirrored,
        found.shifted,
        found.scaled,
        found.missing,
        found.reordered,
        found.rounded,
    )
    for step in steps:
        for cause in step():
            return cause
    for kind, text, value in variants:
        if found.same and found.explains(found.actual, value(), found.bound, found.wrong):
            return Cause(kind, text)
    return Cause()


class _Search:
    def __init__(self, actual: Array, desired: Array, bound: Array, axes: Sequence[str]) -> None:
        rounded = np.asarray(desired).astype(np.asarray(actual).dtype)
        self.actual, self.desired = (np.atleast_1d(np.asarray(x, np.float64)) for x in (actual, rounded))
        self.bound = np.broadcast_to(bound, self.desired.shape)
        self.same = self.actual.shape == self.desired.shape
        self.wrong = ~self._near(self.actual, self.desired, self.bound) if self.same else np.array(True)
        self.axes = [axes[i] if i < len(axes) else f"axis {i}" for i in range(self.desired.ndim)]

    @staticmethod
    def _near(a: Array, d: Array, b: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return (np.abs(a - d) <= b) | (a == d) | (np.isnan(a) & np.isnan(d))

    def explains(self, a: Array, d: Array, b: Array, wrong: Array) -> bool:
        """Whether all elements agree, and enough of them did not before."""
        if a.shape != d.shape or not a.size:
            return False
        at = tuple(np.random.default_rng(0).integers(0, length, SAMPLE) for length in a.shape)
        if not self._near(a[at], d[at], b[at]).all() or not self._near(a, d, b).all():
            return False
        counted = a[np.broadcast_to(wrong, a.shape)]
        return counted.size >= EVIDENCE and len(np.unique(counted)) >= EVIDENCE // 2

    def transposed(self) -> Iterator[Cause]:
        """The elements in the order that another order of the axes has in memory."""
        if self.actual.size != self.desired.size or not 1 < self.desired.ndim < 6:
            return
        flat = self.actual.reshape(-1)
        for order in permutations(range(self.desired.ndim)):
            d, b = self.desired.transpose(order), self.bound.transpose(order)
            at = np.random.default_rng(0).integers(0, flat.size, SAMPLE)
            sample = np.unravel_index(at, d.shape)
            if order == tuple(sorted(order)) or not self._near(flat[at], d[sample], b[sample]).all():
                continue
            if self.explains(flat, d.reshape(-1), b.reshape(-1), self.wrong.reshape(-1)):
                yield Cause("transposed", f"transposed: the elements lie as {', '.join(self.axes[i] for i in order)}")

    def mirrored(self) -> Iterator[Cause]:
        """Back to front along one axis or two."""
        for count in (1, 2) if self.same else ():
            for along in combinations(range(self.desired.ndim), count):
                d, b = np.flip(self.desired, along), np.flip(self.bound, along)
                if self.explains(self.actual, d, b, self.wrong):
                    yield Cause("mirrored", f"mirrored along {' and '.join(self.axes[i] for i in along)}")

    def shifted(self) -> Iterator[Cause]:
        """One place too far along an axis, whatever came in at the end."""
        for axis in range(self.desired.ndim) if self.same else ():
            for step in (1, -1):
                to, since = (slice(1, None), slice(None, -1))[::step]
                whole = [slice(None)] * axis
                into, source = (*whole, to), (*whole, since)
                if self.desired.shape[axis] > 2 and self.explains(
                    self.actual[into], self.desired[source], self.bound[source], self.wrong[into]
                ):
                    yield Cause("shifted", f"shifted by {step:+d} along {self.axes[axis]}")

    def scaled(self) -> Iterator[Cause]:
        """A constant times the right values."""
        if not self.same or not np.isfinite(self.actual).all() or not np.isfinite(self.desired).all():
            return
        weight = np.maximum(self.bound, np.abs(self.desired) * 2.0**-24)
        weight[weight == 0] = 1
        d = self.desired / weight
        squares = float((d * d).sum())
        factor = float((d * (self.actual / weight)).sum()) / squares if squares else 1.0
        b = self.bound * max(1.0, abs(factor)) + np.abs(self.desired * factor) * 2.0**-21
        told = np.abs(self.desired) > 2 * b / max(abs(factor), 2.0**-30)
        if len(np.unique(self.desired[told & self.wrong])) < EVIDENCE:
            return
        if np.isfinite(factor) and self._near(self.actual, self.desired * factor, b).all():
            yield Cause("scaled", "negated" if abs(factor + 1) < 1e-5 else f"scaled by {factor:.6g}")

    def missing(self) -> Iterator[Cause]:
        """A slice that is not there: left out, zero, or a copy of another one."""
        for axis, name in enumerate(self.axes):
            if self.actual.ndim != self.desired.ndim:
                return
            a, d, b = (np.moveaxis(x, axis, 0) for x in (self.actual, self.desired, self.bound))
            if a.shape[1:] != d.shape[1:] or len(d) < 2:
                continue
            if len(a) == len(d) - 1:
                yield from self._left_out(a, d, b, name)
            elif len(a) == len(d):
                wrong = np.moveaxis(self.wrong, axis, 0)
                yield from self._one_slice(a, d, b, wrong, name)
                same = [bool(self._near(a[i], d[i], b[i]).all()) for i in range(len(a))]
                first = same.index(False) if not all(same) else 0
                if 0 < first < len(a) - 2 and self.explains(
                    a[first:-1], d[first + 1 :], b[first + 1 :], wrong[first:-1]
                ):
                    yield Cause("missing", f"{name} {first} is missing, those behind it moved up")

    def _left_out(self, a: Array, d: Array, b: Array, name: str) -> Iterator[Cause]:
        same = [bool(self._near(a[i], d[i], b[i]).all()) for i in range(len(a))]
        first = next((i for i, one in enumerate(same) if not one), len(a))
        if a[0].size * len(a) >= EVIDENCE and self._near(a[first:], d[first + 1 :], b[first + 1 :]).all():
            yield Cause("missing", f"{name} {first} is missing: one slice fewer")

    def _one_slice(self, a: Array, d: Array, b: Array, wrong: Array, name: str) -> Iterator[Cause]:
        which = np.flatnonzero(wrong.reshape(len(wrong), -1).any(1))
        if len(which) != 1 or np.count_nonzero(wrong) < EVIDENCE:
            return
        at = int(which[0])
        if len(np.unique(a[at])) == 1:
            yield Cause("missing", f"{name} {at} is missing: all its elements are {a[at].flat[0]:g}")
        for other in range(len(d)):
            if other != at and self.explains(a[at], d[other], b[other], wrong[at]):
                yield Cause("missing", f"{name} {at} is missing: {name} {other} stands in its place")

    def reordered(self) -> Iterator[Cause]:
        """The slices along an axis in another order."""
        for axis, name in enumerate(self.axes) if self.same else ():
            length = self.desired.shape[axis]
            if not 1 < length <= LONGEST or not np.isfinite(self.actual).all():
                continue
            others = tuple(i for i in range(self.desired.ndim) if i != axis)
            moved = np.flatnonzero(self.wrong.any(others))
            order = np.arange(length)
            order[moved] = moved[self._matched(axis, moved)]
            if len(np.unique(order)) == length and self.explains(
                self.actual, self.desired.take(order, axis), self.bound.take(order, axis), self.wrong
            ):
                yield _named(order, moved, name)

    def rounded(self) -> Iterator[Cause]:
        """Results that were rounded to half precision."""
        for name, bits, smallest in (("float16", 11, 2.0**-25), ("bfloat16", 8, 0.0)) if self.same else ():
            fraction = np.ldexp(np.frexp(self.actual)[0], bits)
            b = self.bound + np.abs(self.desired) * 2.0**-bits + smallest
            told = self.wrong & (np.abs(self.actual) > 2.0**-14)
            few = (fraction == np.rint(fraction)) | (np.abs(self.actual) <= 2.0**-14)
            enough = few.all() and len(np.unique(self.actual[told])) >= EVIDENCE
            if enough and self._near(self.actual, self.desired, b).all():
                yield Cause("float16", f"float16 inside: the result was rounded to {name}")

    def _matched(self, axis: int, moved: Array) -> Array:
        """Which slice of the right array each of the wrong one is most like, by the sum of its elements at random."""
        a, d = (np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)[moved] for x in (self.actual, self.desired))
        weights = np.random.default_rng(0).standard_normal(a.shape[1])
        found, wanted = a @ weights, d @ weights
        ranks = np.empty(len(moved), int)
        ranks[np.argsort(found, kind="stable")] = np.argsort(wanted, kind="stable")
        return ranks


def _named(order: Array, moved: Array, name: str) -> Cause:
    """Two blocks of slices that changed places, or any other order."""
    half = len(moved) // 2
    first, second = moved[:half], moved[half:]
    if half and len(moved) == 2 * half and (order[first] == second).all() and (order[second] == first).all():
        blocks = [f"{block[0]} to {block[-1]}" if half > 1 else f"{block[0]}" for block in (first, second)]
        if (np.diff(first) == 1).all() and (np.diff(second) == 1).all():
            return Cause("swapped", f"{name}: {blocks[0]} and {blocks[1]} have changed places")
    shown = ", ".join(map(str, order[:8])) + (", ..." if len(order) > 8 else "")
    return Cause("permuted", f"{name} in another order: {shown}")
