"""Faults of softmax and of the costs, which are log-likelihoods or built from squares."""

from collections.abc import Callable
from typing import Any

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


def _guess(net: Net, logits: str, probs: str, **keys: Any) -> Net:
    """Add logits, their softmax, and its cost."""
    net.add(logits, "fc", "data", outputs=10, **keys).add(probs, "softmax", logits)
    return net.add(f"{probs}_cost", "cost.logreg", f"labels,{probs}")


# Logits far apart, so that some probabilities are tiny; a second softmax that has two readers and is not fused.
COSTS = scene(_guess(_guess(Net(40), "logits", "open"), "spread", "sharp", initW=1), "open")

# Logits about 100, whose exponentials overflow.
HIGH = scene(_guess(Net(40), "high", "high_probs", initB=100), "data")

# Many equal logits: most are 0 or 0.1.
TIES = scene(_guess(Net(40), "level", "tied", neuron="brelu[0.1]"), "data")

# Distributions and targets from the data. Of the softmax layers and logistic neurons one is read by its cost alone, and
# goes backward with it; one has two readers. Logits of the first are so far apart that probabilities underflow.
TARGETS = scene(
    Net(40)
    .add("shares", "data", dataIdx=2, dims=10)
    .add("marks", "data", dataIdx=3, dims=10)
    .add("far", "fc", "data", outputs=10, initW=8)
    .add("far_probs", "softmax", "far")
    .add("far_cost", "cost.crossent", "shares,far_probs")
    .add("near", "fc", "data", outputs=10)
    .add("near_probs", "softmax", "near")
    .add("near_cost", "cost.crossent", "shares,near_probs")
    .add("marked", "neuron", "near", neuron="logistic")
    .add("marked_cost", "cost.crossent2", "marks,marked")
    .add("open", "neuron", "near", neuron="logistic")
    .add("open_cost", "cost.crossent2", "marks,open")
    .add("energies", "fc", "data", outputs=10)
    .add("sets", "cost.msm", "labels,energies", setSize=3, threads=1),
    "near_probs,open",
)


# Softmax and cost


def across_cases(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """Normalised over the cases."""
    powers = np.exp(layer.inputs[0] - layer.inputs[0].max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def unshifted(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """Exponentials of the logits themselves."""
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.exp(layer.inputs[0])
        return powers / powers.sum(axis=0)


def next_label(layer: CorrectLayer, grads: np.ndarray) -> np.ndarray:
    """The gradient for the label after the right one, which is where the gradient is positive."""
    is_label = grads > 0
    return grads + np.float32(COEFF) * (np.roll(is_label, 1, axis=0).astype(np.float32) - is_label)


def flushed(layer: CorrectLayer, grads: np.ndarray) -> np.ndarray:
    """Gradients below a millionth are 0."""
    return np.where(np.abs(grads) < 1e-6, np.float32(0), grads)


def only_diagonal(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """p (1 - p) times the gradient."""
    p = layer.compute("acts")
    return p * (1 - p) * layer.acts_grad


COST = (
    miscomputed("softmax-axis", "softmax over the cases", COSTS, "sharp", acts=across_cases),
    miscomputed("softmax-overflow", "softmax without subtracting the maximum", HIGH, "high_probs", acts=unshifted,
                status="nonfinite"),
    miscomputed("softmax-tiny", "gradients of improbable classes become 0", COSTS, "sharp", grad=on_result(flushed)),
    miscomputed("softmax-label", "the gradient takes labels to start at 1", COSTS, "sharp", grad=on_result(next_label)),
    miscomputed("softmax-sign", "the gradient of the cost, not of minus the cost", COSTS, "sharp",
                grad=on_result(lambda layer, grads: -grads)),
    miscomputed("softmax-diagonal", "only the diagonal of the derivative of softmax", COSTS, "open",
                grad=only_diagonal),
    miscomputed("cost-mean", "the cost divided by the number of cases", COSTS, "sharp_cost",
                cost=on_result(lambda layer, cost: cost / cases(layer))),
    misread("cost-topk", "one guess more than topk", COSTS, "sharp_cost", lambda spec: {"topk": spec["topk"] + 1},
            "forward cost"),
    misread("cost-coefficient", "the weight of the cost left out of the gradient", COSTS, "sharp_cost",
            lambda spec: {"coeff": 1.0}, "sharp backward inputs_grad[0]"),
    miscomputed("cost-batch", "the gradient of the cost divided by the number of cases", COSTS, "open_cost",
                backward={"inputs_grad[1]": on_result(lambda layer, grads: grads / cases(layer))}),
)  # fmt: skip


# Cross entropies


def entry(number: int, formula: Callable[[CorrectLayer], float]) -> Wrong:
    """The cost with one of its numbers replaced by ``formula(layer)``."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        cost = layer.compute(tensor)
        cost[number] = formula(layer)
        return cost

    return wrong


def unclamped(layer: CorrectLayer) -> float:
    """Probabilities of 0 taken for the smallest number there is, about e^-87."""
    targets, p = (x.astype(np.float64) for x in layer.inputs)
    return -(targets * np.log(np.maximum(p, 2.0**-126))).sum()


def unlike_best_target(layer: CorrectLayer) -> float:
    """Cases whose best class is not that with the largest target."""
    targets, p = layer.inputs
    return int(np.count_nonzero(targets.argmax(axis=0) != p.argmax(axis=0)))


def only_yes(layer: CorrectLayer) -> float:
    """Without what targets of 0 cost."""
    t, y = (x.astype(np.float64) for x in layer.inputs)
    return -(t * np.log(y)).sum()


def both_positive(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The gradient with the sign of the second term wrong."""
    t, y = layer.inputs
    return np.float32(COEFF) * (t / y + (1 - t) / (1 - y))


def hardened(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The gradient as if the largest target were 1 and all others 0."""
    targets = layer.cost_inputs[0]
    best = targets == targets.max(axis=0)
    return layer.compute(tensor) + np.float32(COEFF) * (best - targets)


def slope_once_more(layer: CorrectLayer, grads: np.ndarray) -> np.ndarray:
    """Times the slope of the logistic function, which the gradient of the pair no longer has."""
    y = layer.compute("acts")
    return grads * y * (1 - y)


OF_VALUES = "inputs_grad[1]"
CROSSENT = (
    miscomputed("crossent-zero", "the logarithm of 0 that of the smallest number, where history took -50", TARGETS,
                "far_cost", cost=entry(0, unclamped)),
    miscomputed("crossent-errors", "a class counted as wrong unless it has the largest target", TARGETS, "near_cost",
                cost=entry(1, unlike_best_target)),
    miscomputed("crossent-hard", "the gradient for the most probable class, not for the distribution", TARGETS,
                "far_probs", grad=hardened),
    miscomputed("crossent-sign", "the gradient of the cost, not of minus the cost", TARGETS, "near_cost",
                backward={OF_VALUES: on_result(lambda layer, grads: -grads)}),
    misread("crossent-coefficient", "the weight of a cross entropy left out of the gradient", TARGETS, "far_cost",
            lambda spec: {"coeff": 1.0}, "far_probs backward inputs_grad[0]"),
    miscomputed("crossent2-no", "targets of 0 cost nothing", TARGETS, "open_cost", cost=entry(0, only_yes)),
    miscomputed("crossent2-sign", "the gradient of targets of 0 with the wrong sign", TARGETS, "open_cost",
                backward={OF_VALUES: both_positive}),
    miscomputed("crossent2-slope", "the slope of the logistic function in its gradient once more", TARGETS, "marked",
                grad=on_result(slope_once_more)),
)  # fmt: skip


# Sets of classes


def conditional_left_out(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The gradient [label] - m, as for one class."""
    marginals = is_label(layer) - softmaxed(layer.inputs[1]) * layer.spec["setSize"]
    return np.float32(COEFF) * marginals.astype(np.float32)


def independent(layer: CorrectLayer) -> float:
    """The log likelihood if the classes of a set were drawn one by one."""
    m = softmaxed(layer.inputs[1].astype(np.float64)) * layer.spec["setSize"]
    return -(np.log(m) * is_label(layer)).sum()


def softmaxed(x: np.ndarray) -> np.ndarray:
    """Probabilities of single classes."""
    p = np.exp(x - x.max(axis=0))
    return p / p.sum(axis=0)


def is_label(layer: CorrectLayer) -> np.ndarray:
    """1 where a class is the label."""
    labels, energies = layer.inputs
    return (np.arange(len(energies))[:, None] == labels).astype(np.float32)


MSM = (
    misread("msm-size", "sets of one class fewer", TARGETS, "sets", lambda spec: {"setSize": spec["setSize"] - 1},
            "forward cost, backward inputs_grad[1]"),
    miscomputed("msm-independent", "the classes of a set drawn one by one", TARGETS, "sets",
                cost=entry(0, independent)),
    miscomputed("msm-conditional", "the gradient of a single draw, not given that the label is in the set", TARGETS,
                "sets", backward={OF_VALUES: conditional_left_out}),
    misread("msm-coefficient", "the weight of the cost left out of the gradient", TARGETS, "sets",
            lambda spec: {"coeff": 1.0}, "backward inputs_grad[1]"),
)  # fmt: skip


# Ties


def first_best(layer: CorrectLayer) -> float:
    """Cases whose label is not the first of the most probable classes."""
    labels, p = layer.inputs
    return int(np.count_nonzero(p.argmax(axis=0) != labels[0]))


RANKS = (
    miscomputed("cost-ties", "of equal probabilities the first is the best, without sharing the credit", TIES,
                "tied_cost", cost=entry(1, first_best)),
)  # fmt: skip


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

FAULTS = (*COST, *CROSSENT, *MSM, *RANKS, *SUMS, *TICA)
