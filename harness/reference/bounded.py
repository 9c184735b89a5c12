"""A float64 result together with how far an honest float32 evaluation may be from it.

Every formula of this package returns a `Bounded`: the value `r`, the *magnitude* `M` (the size of what was added
up or cancelled on the way) and the number of *terms* `n` (how many roundings met there).  An engine's `x` agrees when

    |x - r|  <=  8 sqrt(n) u M + n 2**-126,        u = 2**-24.

The first part is the rule for rounding errors that do not conspire.  The second is there for results next to the
smallest normal number only: one machine keeps denormals, another flushes them to zero, so each of the n operations
may lose up to 2**-126 whatever M is.  Where nothing is computed (a copy, a maximum, a count) n = M = 0 and the bits
must match.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

ROUNDOFF = 2.0**-24
SMALLEST_NORMAL = 2.0**-126

# Magnitudes are summed in float32, which may fall short by about sqrt(n) u; they are rounded up by this much.
_ROUND_UP = np.float32(1 + 1e-5)


@dataclass(frozen=True)
class Bounded:
    """A reference value and its error model.

    Parameters
    ----------
    value : ndarray
        The result, float64 (float32 where the formula only copies, which is exact in either).
    magnitude : ndarray or float
        M, broadcastable to `value`; 0 asks for the same bits.
    terms : ndarray or int
        n, broadcastable to `value`.
    """

    value: np.ndarray
    magnitude: np.ndarray | float = 0.0
    terms: np.ndarray | int = 0

    def bound(self) -> np.ndarray:
        """Allowed absolute error of every element (docs/verdict.md)."""
        arithmetic = (np.asarray(self.magnitude) > 0) | (self.value != 0)
        return self.slope() * self.magnitude + self.floor() * arithmetic

    def slope(self) -> np.ndarray:
        """8 sqrt(n) u: what the magnitude is multiplied with."""
        return 8 * ROUNDOFF * np.sqrt(self.terms)

    def floor(self) -> np.ndarray:
        """n 2**-126: what flushed denormals may cost."""
        return np.multiply(self.terms, SMALLEST_NORMAL)

    def __add__(self, other: "Bounded") -> "Bounded":
        """The sum over two sets of images: values, magnitudes and terms all add."""
        return Bounded(self.value + other.value, self.magnitude + other.magnitude, self.terms + other.terms)

    def rows(self, some: slice) -> "Bounded":
        """Some rows of a matrix."""
        parts: Any = (self.magnitude, self.terms)
        shared = [np.ndim(part) < 2 or len(part) != len(self.value) for part in parts]
        magnitude, terms = (part if one else part[some] for part, one in zip(parts, shared, strict=True))
        return Bounded(self.value[some], magnitude, terms)

    def repeated(self, count: int) -> "Bounded":
        """The sum over `count` equal sets of images."""
        return Bounded(self.value * count, self.magnitude * count, self.terms * count)

    def scaled(self, factor: float) -> "Bounded":
        """The product with a float32 constant, one rounding more."""
        return Bounded(self.value * factor, self.magnitude * abs(factor), self.terms + 1)


def multilinear(formula: Callable[..., np.ndarray], terms: np.ndarray | int, *operands: Any) -> Bounded:
    """Evaluate sums of products, and bound them by the same sums over absolute values.

    The formula uses its operands only in products that are then added: its value on |a|, |b| is the sum of |a||b|.
    Operands, arrays, lists of arrays or None, are handed to it in float64 for the value, as absolute values in float32
    for the magnitude. `terms` is how many products each element adds.
    """
    value, magnitude = (formula(*(_each(convert, operand) for operand in operands)) for convert in BOTH)
    return summed(value, magnitude, terms)


def summed(value: np.ndarray, magnitude: np.ndarray, terms: np.ndarray | int) -> Bounded:
    """The Bounded of sums of products, and of the same sums over absolute values in float32, which is changed."""
    magnitude *= _ROUND_UP
    return Bounded(value, magnitude, terms)


def scaled_copy(x: np.ndarray, factor: float) -> Bounded:
    """`factor * x`: a copy where the factor is a power of two, otherwise one rounding."""
    product = np.float64(factor) * x
    if abs(np.frexp(factor)[0]) == 0.5:
        return Bounded(product)
    return Bounded(product, np.abs(product), 1)


def within(value: np.ndarray, distance: np.ndarray) -> Bounded:
    """A value for which anything as near as `distance` is as good: where rounding decides which copy is taken."""
    magnitude = np.multiply(distance, (1 + 2.0**-20) / (8 * ROUNDOFF), dtype=np.float64)
    return Bounded(value, magnitude, np.not_equal(distance, 0).astype(int))


def sum_grads(parts: Sequence[Bounded]) -> Bounded:
    """The output gradient of a layer with several consumers, added up in any order.

    A single part is handed on.  Otherwise each addition may round: n gains a term per part, and M covers the parts
    themselves, which count as exact where they are copies.
    """
    if len(parts) == 1:
        return parts[0]
    value: Any = sum(part.value.astype(np.float64) for part in parts)
    magnitude = sum(np.maximum(part.magnitude, np.abs(part.value)) for part in parts)
    return Bounded(value, magnitude, sum(part.terms for part in parts) + len(parts))


def planes(x: np.ndarray, channels: int) -> np.ndarray:
    """View a (channels * S * S, N) matrix as (channels, S, S, N)."""
    side = round((x.shape[0] // channels) ** 0.5)
    return x.reshape(channels, side, side, x.shape[1])


def _float64(x: ArrayLike) -> np.ndarray:
    return np.asarray(x, np.float64)


def _magnitude(x: ArrayLike) -> np.ndarray:
    return np.abs(np.asarray(x, np.float32))


BOTH = (_float64, _magnitude)
"""What the operands of a product become: for the value, for the magnitude."""


def _each(convert: Callable[[Any], np.ndarray], operand: Any) -> Any:
    if operand is None:
        return None
    return [convert(x) for x in operand] if isinstance(operand, list) else convert(operand)
