"""Costs built from squares.  Gradients are those of minus the cost: training ascends.

    sum2:     Σ x²;                       dx = -2 coeff x
    gsum2:    Σ q x², q a gate per case;  dq = -coeff Σ x²,   dx = -2 coeff q x
    rflickr:  Σ log(1 + d²), d = y - t;   dy = -coeff 2d / (1 + d²)
    tica:     reports Σ A, A = 1 / (0.001 + √E), E the sum of x² over the clipped window around a pixel.  The objective
              is another, Σ √E up to the constant in A:  dx = -coeff x Σ A over the windows that hold the pixel

Error model: sums of squares have no cancellation, so M is the sum itself, n the number of terms.  d is the correctly
rounded difference of given numbers.  log(1 + d²) is off by 1 + log(1 + d²), absolutely.  √ halves the relative error
of E and A keeps it: n = window + 6 and M = A.

Source: network-and-solver 3 and 7.4 to 7.7.  tica's windows are mirrored in the gradient, as a derivative's must
be, which matters for even sizes alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .bounded import Bounded, planes, scaled_copy
from .costs import total
from .layer import Arrays, Cost, Formula
from .norm import window_sum

_TICA_OFFSET = 0.001


class SquaresCost(Cost):
    """A `cost.sum2` layer."""

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """The reported number, summed over the images given."""
        squares = np.square(inputs[0], dtype=np.float64)
        return total(squares, squares, squares.size)

    def inputs_grad(
        self, i: int, inputs: Arrays, acts_grad: object = None, params: object = None, **_: object
    ) -> Bounded:
        """Gradient of the input."""
        return scaled_copy(inputs[0], -2 * self.coeff)


class GatedSquaresCost(Cost):
    """A `cost.gsum2` layer over gates (1, N) and values (units, N)."""

    labels = "gates"

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """The reported number, summed over the images given."""
        gate, x = (np.asarray(array, np.float64) for array in inputs)
        terms = gate * x**2
        return total(terms, np.abs(terms), terms.size + 1)

    def inputs_grad(
        self, i: int, inputs: Arrays, acts_grad: object = None, params: object = None, **_: object
    ) -> Bounded:
        """Gradient of the gate (input 0) or of the values (input 1)."""
        gate, x = (np.asarray(array, np.float64) for array in inputs)
        value = -self.coeff * ((x**2).sum(0, keepdims=True) if i == 0 else 2 * gate * x)
        return Bounded(value, np.abs(value), len(x) + 1 if i == 0 else 2)


class FlickrCost(Cost):
    """A `cost.rflickr` layer over targets and values, both (units, N)."""

    labels, labels_per_class = "targets", True

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """The reported number, summed over the images given."""
        logs = np.log1p(_difference(inputs) ** 2)
        return total(logs, 1 + logs, logs.size)

    def inputs_grad(
        self, i: int, inputs: Arrays, acts_grad: object = None, params: object = None, **_: object
    ) -> Bounded:
        """Gradient of the values (input 1)."""
        d = _difference(inputs)
        value = -self.coeff * 2 * d / (1 + d**2)
        return Bounded(value, np.abs(value), 6)


class TicaCost(Cost):
    """A `cost.tica` layer on images (channels * pixels, N)."""

    approximates = "that of the sum of √E, while the sum of 1/(0.001 + √E) is reported (network-and-solver 7.7 and 10)"

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.coeff, self.channels, self.size = spec["coeff"], spec["channels"], spec["sizeX"]

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """The reported number, summed over the images given."""
        reciprocals = self._reciprocals(planes(np.asarray(inputs[0], np.float64), self.channels))
        return total(reciprocals, reciprocals, reciprocals.size + self.size**2 + 6)

    def inputs_grad(
        self, i: int, inputs: Arrays, acts_grad: object = None, params: object = None, **_: object
    ) -> Bounded:
        """Gradient of the images."""
        x = planes(np.asarray(inputs[0], np.float64), self.channels)
        value = -self.coeff * x * self._sum(self._reciprocals(x), mirrored=True)
        value = value.reshape(inputs[0].shape)
        return Bounded(value, np.abs(value), 2 * self.size**2 + 8)

    def stand_in(self, inputs: Arrays, mask: np.ndarray | None) -> Formula:
        """-coeff Σ (√E - c log(c + √E)), whose derivative by E is -coeff / 2(c + √E), as a function of inputs."""

        def outputs(inputs: Arrays) -> Bounded:
            x = planes(inputs[0], self.channels)
            root = np.sqrt(self._sum(x * x))
            terms = root - _TICA_OFFSET * np.log(_TICA_OFFSET + root)
            magnitude = abs(self.coeff) * np.sum(np.abs(terms))
            return Bounded(np.array([-self.coeff * np.sum(terms)]), magnitude, terms.size + self.size**2)

        return outputs

    def _reciprocals(self, x: np.ndarray) -> np.ndarray:
        return 1 / (_TICA_OFFSET + np.sqrt(self._sum(x * x)))

    def _sum(self, x: np.ndarray, mirrored: bool = False) -> np.ndarray:
        return window_sum(window_sum(x, self.size, 1, mirrored), self.size, 2, mirrored)


def _difference(inputs: Arrays) -> np.ndarray:
    targets, y = inputs
    return np.subtract(y, targets, dtype=np.float64)
