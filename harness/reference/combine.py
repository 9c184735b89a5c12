"""Layers that put inputs together: concatenation, weighted sum, element-wise maximum.

Error model: concatenation and maximum copy.  The weighted sum of k inputs is a sum of products, n = k; its gradient
one product.  Source: network-and-solver 6.11 to 6.13.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .bounded import Bounded, multilinear, scaled_copy
from .layer import Arrays, Layer, LayerSpec


class Concat(Layer):
    """A `concat` layer: inputs stacked along units."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.ends = np.cumsum(spec["numInputs"])

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs (sum of inputs, N)."""
        return Bounded(np.concatenate(inputs))

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: object = None, **_: object) -> Bounded:
        """The rows of V that belong to input i."""
        return Bounded(np.split(acts_grad, self.ends[:-1])[i])


class EltSum(Layer):
    """An `eltsum` layer: Y = Σ coeff_i X_i."""

    @staticmethod
    def operations(spec: Mapping[str, Any] | LayerSpec, forward: bool) -> int:
        """A product and a sum for each input."""
        return 2 * len(spec["coeffs"])

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.coeffs = np.array(spec["coeffs"], np.float64)

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs like the inputs."""
        if len(inputs) == 1:
            return scaled_copy(inputs[0], self.coeffs[0])
        return multilinear(_weighted_sum, len(inputs), self.coeffs, list(inputs))

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: object = None, **_: object) -> Bounded:
        """coeff_i V."""
        return scaled_copy(acts_grad, self.coeffs[i])


class EltMax(Layer):
    """An `eltmax` layer; every input that equals the maximum gets the full gradient."""

    backward_reads = ("inputs", "acts")

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs like the inputs."""
        return Bounded(np.maximum.reduce(inputs))

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: object = None, **_: object) -> Bounded:
        """V where input i is the maximum, else 0."""
        return Bounded(acts_grad * (inputs[i] == np.maximum.reduce(inputs)))


def _weighted_sum(coeffs: np.ndarray, inputs: Arrays) -> np.ndarray:
    return sum(c * x for c, x in zip(coeffs, inputs, strict=True))
