"""Layers whose gradient is not the derivative of their output, or that have none: the engine of 2012 had it so.

An approximate gradient is still the derivative of something, of a *stand-in* for the layer's output at the point where
it is checked. So it is checked all the same, against differences of the stand-in, and reported by its name.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...reference import Bounded
from ...reference.bounded import planes
from ...reference.norm import window_sum


@dataclass(frozen=True)
class Approximation:
    """What a gradient leaves out.

    Attributes
    ----------
    text : str
        In words, with the source.
    stand_in : callable
        ``stand_in(unit)`` gives a function of a unit near this one: the Bounded outputs whose derivative it is.
    """

    text: str
    stand_in: Callable


def approximation(layer):
    """The Approximation of a layer's gradient; None if it is the derivative."""
    return _APPROXIMATE.get(layer["neuron"]["type"] if layer.type == "neuron" else layer.type)


def no_gradient(layer):
    """Why a layer has no gradient at all, else None."""
    return _NO_GRADIENT if layer.type in ("resize", "rscale", "rgb2lab", "rgb2yuv") else None


def _noisy_relu(unit):
    """relu(relu(x) + n) with the noise n of the point."""
    noise = np.maximum(unit.inputs[0], 0) * unit.mask

    def outputs(near):
        y = np.maximum(near.inputs[0], 0)
        return Bounded(np.maximum(y + noise, 0), y + np.abs(noise), 2)

    return outputs


def _tica(unit):
    """-coeff Σ (√E - c log(c + √E)), whose derivative by E is -coeff / 2(c + √E); c = 0.001."""
    channels, size, coeff = (unit.layer[key] for key in ("channels", "sizeX", "coeff"))

    def outputs(near):
        x = planes(near.inputs[0], channels)
        root = np.sqrt(window_sum(window_sum(x * x, size, 1, False), size, 2, False))
        terms = root - 0.001 * np.log(0.001 + root)
        total, magnitude = np.sum(terms), np.sum(np.abs(terms))
        return Bounded(np.array([-coeff * total]), abs(coeff) * magnitude, terms.size + size**2)

    return outputs


_NO_GRADIENT = "passes none on, and may stand below all weights only (config-format 6)"

_APPROXIMATE = {
    "nrelu": Approximation(
        "the noise counts as a constant, though it grows with the input (network-and-solver 6.5 and 10)",
        _noisy_relu,
    ),
    "cost.tica": Approximation(
        "that of the sum of √E, while the sum of 1/(0.001 + √E) is reported (network-and-solver 7.7 and 10)", _tica
    ),
}
