"""Faults of the costs built from squares."""

from collections.abc import Callable

import numpy as np

from ...network.net import Net
from .fault import (
    COEFF,
    Wrong,
    box,
    cases,
    flat,
    miscomputed,
    misread,
    on_result,
    planes,
    scene,
    window_turned,
)
from .planted import CorrectLayer

# An even window for tica; gates are learned, targets come from the data.
SQUARES = scene(
    Net(147)
    .add("targets", "data", dataIdx=2, dims=10)
    .add("conv1", "conv", "data", channels=3, filters=16, filterSize=3, padding=1, stride=1)
    .add("energy1", "cost.tica", "conv1", channels=16, sizeX=4)
    .add("fc1", "fc", "data", outputs=10)
    .add("square1", "cost.sum2", "fc1")
    .add("gate1", "fc", "data", outputs=1)
    .add("gated1", "cost.gsum2", "gate1,fc1")
    .add("squash1", "neuron", "fc1", neuron="logistic")
    .add("flickr1", "cost.rflickr", "targets,squash1"),
    "conv1,squash1",
)

OF_VALUES = "inputs_grad[1]"
BOTH = "forward cost, backward inputs_grad[0]"


def reported(formula: Callable[..., np.ndarray]) -> Wrong:
    """A cost that is the sum of ``formula`` of its inputs in float64."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        return np.array([formula(*(x.astype(np.float64) for x in layer.inputs)).sum()])

    return wrong


def times(factor: float) -> Wrong:
    """The result times a number."""
    return on_result(lambda layer, result: result * result.dtype.type(factor))


def mean_square(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The gradient of a gate, a mean of squares."""
    return -np.float32(COEFF) * np.square(layer.inputs[1]).mean(axis=0, keepdims=True)


SUMS = (
    miscomputed("sum2-half", "half the sum of squares", SQUARES, "square1", cost=times(0.5)),
    miscomputed("sum2-slope", "the gradient of a square without its 2", SQUARES, "square1", grad=times(0.5)),
    miscomputed("sum2-mean", "the sum of squares divided by the number of cases", SQUARES, "square1",
                cost=on_result(lambda layer, cost: cost / cases(layer)),
                grad=on_result(lambda layer, grads: grads / cases(layer))),
    miscomputed("sum2-sign", "the gradient of the cost, not of minus the cost", SQUARES, "square1", grad=times(-1)),
    miscomputed("gsum2-gate", "the values gated before they are squared", SQUARES, "gated1",
                cost=reported(lambda gate, x: (gate * x) ** 2)),
    miscomputed("gsum2-mean", "the gradient of a gate averaged over the values", SQUARES, "gated1", grad=mean_square),
    miscomputed("gsum2-ungated", "the gradient of the values not gated", SQUARES, "gated1",
                backward={OF_VALUES: lambda layer, tensor: -2 * np.float32(COEFF) * layer.inputs[1]}),
    miscomputed("rflickr-log", "the logarithm of the square without its 1", SQUARES, "flickr1",
                cost=reported(lambda t, y: np.log((y - t) ** 2))),
    miscomputed("rflickr-slope", "the slope of the square without its 2", SQUARES, "flickr1",
                backward={OF_VALUES: times(0.5)}),
    miscomputed("rflickr-sign", "values taken from targets, not targets from values", SQUARES, "flickr1",
                backward={OF_VALUES: times(-1)}),
)  # fmt: skip


# Topographic components


def energies(layer: CorrectLayer) -> np.ndarray:
    """E, the sums of squares over windows, (channels, S, S, N) in float64."""
    return box(planes(layer.inputs[0].astype(np.float64), layer.spec["channels"]) ** 2, layer.spec["sizeX"])


def on_energies(formula: Callable[[np.ndarray], np.ndarray]) -> Wrong:
    """The sum of ``formula(E)``."""
    return lambda layer, tensor: np.array([formula(energies(layer)).sum()])


def own_energy(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The gradient from the energy around each pixel alone."""
    x = planes(layer.inputs[0], layer.spec["channels"])
    return flat((-COEFF * x / (0.001 + np.sqrt(energies(layer)))).astype(np.float32))


TICA = (
    misread("tica-window", "the window one pixel too short", SQUARES, "energy1",
            lambda spec: {"sizeX": spec["sizeX"] - 1}, BOTH),
    miscomputed("tica-objective", "the roots of the energies reported, not their reciprocals", SQUARES, "energy1",
                cost=on_energies(np.sqrt)),
    miscomputed("tica-offset", "the reciprocals without their offset of 0.001", SQUARES, "energy1",
                cost=on_energies(lambda energy: energy**-0.5)),
    miscomputed("tica-gradient", "the gradient from the energy around each pixel alone", SQUARES, "energy1",
                grad=own_energy),
    miscomputed("tica-mirror", "the mirror image of an even window forgotten in the gradient", SQUARES, "energy1",
                grad=window_turned(lambda images: images[:, ::-1, ::-1])),
)  # fmt: skip

FAULTS = (*SUMS, *TICA)
