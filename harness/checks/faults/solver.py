"""Faults of the update."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...network.load import LayerSpec
from ...network.net import Net
from .fault import Keys, Wrong, alone, miscomputed, misgiven, misread, scene, solver_step
from .planted import CorrectLayer
from .weights import CONVS

# Constraints that bind for some filters and not for others, and rates with noise.
CONSTRAINTS = scene(
    Net(243)
    .add("conv1", "conv", "data", channels=3, filters=16, filterSize=3, padding=1, stride=2, neuron="relu")
    .add("conv2", "conv", "conv1", channels=16, filters=16, filterSize=3, padding=1, stride=1, wcNormMin=0.0247,
         wcNormMax=0.0253, schedW="jdexp[tgtFactor=10,noiseStdev=0,numSteps=4]")
    .add("local1", "local", "conv2", channels=16, filters=16, filterSize=3, padding=1, stride=2, wball=0.025)
    .add("fc1", "fc", "local1", outputs=16, wball=0.0205)
    .add("conv3", "conv", "conv1", channels=16, filters=16, filterSize=3, padding=1, stride=2,
         schedW="linear[tgtFactor=10,noiseStdev=0.5]", schedB="dexp[tgtFactor=10,noiseStdev=0,numSteps=1]")
    .add("fc2", "fc", "conv3", outputs=16, schedW="exp[tgtFactor=10,noiseStdev=0.5]")
    .add("super1", "fc", "conv3", outputs=16, superEps=0.2),
    "fc1,fc2,super1",
)  # fmt: skip

# Update


def step(
    increment: Callable[..., np.ndarray],
    weights: Callable[..., np.ndarray] = lambda w, old, new, eps, wc: w + new,
    tensors: Sequence[str] = ("weights[0]", "weights_inc[0]"),
) -> dict[str, Wrong]:
    """Results of an update: Δ is ``increment(W, Δ, G, ε, μ, λ)``, W ``weights(W, old Δ, Δ, ε, λ)``; some are wrong."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        w, d, g, eps, mom, wc = solver_step(layer)
        new = increment(w, d, g, eps, mom, wc)
        return new if tensor == "weights_inc[0]" else weights(w, d, new, eps, wc)

    return dict.fromkeys(tensors, wrong)


def decayed(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """What an update gives if the biases decay like weights."""
    spec = layer.spec
    w, d, g = (layer.read(name) for name in ("biases", "biases_inc", "biases_grad"))
    d = np.float32(spec["momB"]) * d + np.float32(spec["epsB"]) * (g - np.float32(spec["wc"][0]) * w)
    return d if tensor == "biases_inc" else w + d


BIASES = "update biases_inc, update biases"
UPDATE = (
    misread("decay-without-rate", "weight decay not multiplied by the learning rate", CONVS, "conv2",
            lambda spec: {"wc": [spec["wc"][0] / spec["epsW"][0]]}, "update weights_inc[0], update weights[0]"),
    miscomputed("decay-outside-momentum", "weight decay taken from the weights, not from the increment", CONVS, "conv2",
                update=step(lambda w, d, g, eps, mom, wc: mom * d + eps * g, tensors=["weights_inc[0]"])),
    miscomputed("decay-before-momentum", "weight decay multiplied by the momentum", CONVS, "conv2",
                update=step(lambda w, d, g, eps, mom, wc: mom * (d - eps * wc * w) + eps * g)),
    miscomputed("momentum-order", "the weights changed by the old increment", CONVS, "conv2",
                update=step(lambda w, d, *_: d, tensors=["weights[0]"])),
    miscomputed("rate-outside-momentum", "the learning rate applied to the increment, not to the gradient", CONVS,
                "conv2", update=step(lambda w, d, g, eps, mom, wc: mom * d + g - wc * w,
                                     lambda w, old, new, eps, wc: w + eps * new)),
    miscomputed("descent", "the gradient subtracted: training descends", CONVS, "conv2",
                update=step(lambda w, d, g, eps, mom, wc: mom * d - eps * (g + wc * w))),
    misread("bias-rate", "the biases learn at the rate of the weights", CONVS, "conv2",
            lambda spec: {"epsB": spec["epsW"][0]}, BIASES),
    misread("bias-momentum", "the biases have the momentum of the weights", CONVS, "conv2",
            lambda spec: {"momB": spec["momW"][0]}, BIASES),
    miscomputed("bias-decay", "the biases decay like weights", CONVS, "conv2",
                update={"biases": decayed, "biases_inc": decayed}),
)  # fmt: skip


# Constraints


NEW = "weights[0]"


def unlimited(layer: CorrectLayer) -> np.ndarray:
    """The new weights before any constraint."""
    w, d = (layer.read(name) for name in (NEW, "weights_inc[0]"))
    eps, mom, wc = (np.float32(layer.spec[key][0]) for key in ("epsW", "momW", "wc"))
    if layer.spec.type == "conv":
        d = mom * d + eps * layer.read("weights_grad[0]")
    return w + (d - eps * wc * w)


def within_radius(axis: int | None) -> Wrong:
    """The matrix as a whole (None), its rows (1), or the filters of all modules together (0) inside the radius."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        w = unlimited(layer)
        norms = np.sqrt((w**2).sum(axis=axis, keepdims=True))
        return w * np.minimum(1, np.float32(layer.spec["wballNormed"][0]) / norms)

    return wrong


def contrast(weights: np.ndarray, divisor: float) -> np.ndarray:
    """√Σ(w - mean)² / divisor of every column."""
    return np.sqrt(((weights - weights.mean(axis=0)) ** 2).sum(axis=0)) / np.float32(divisor)


def limited(layer: CorrectLayer, contrasts: np.ndarray) -> np.ndarray:
    """The factors that bring contrasts between their limits."""
    low, high = (np.float32(layer.spec[key][0]) for key in ("wcNormMin", "wcNormMax"))
    return np.clip(contrasts, low, high) / contrasts


def limited_contrast(divisor: Callable[[int], float]) -> Wrong:
    """Constraints on a contrast with another divisor."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        w = unlimited(layer)
        return w * limited(layer, contrast(w, divisor(len(w))))

    return wrong


def without_mean(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """Filters that lose their mean."""
    w = unlimited(layer)
    return (w - w.mean(axis=0)) * limited(layer, contrast(w, len(w)))


LIMITS = (
    misread("wball-radius", "the norm held to wball, not to wball times the weights of a filter", CONSTRAINTS, "fc1",
            lambda spec: {"wballNormed": spec["wball"]}, "update weights[0]"),
    misread("wball-ignored", "the norm of filters not held", CONSTRAINTS, "fc1", lambda spec: {"wballNormed": (0.0,)},
            "update weights[0]"),
    miscomputed("wball-matrix", "the norm of the whole matrix held", CONSTRAINTS, "fc1",
                update={NEW: within_radius(None)}),
    miscomputed("wball-rows", "the norms of rows held, not of columns", CONSTRAINTS, "fc1",
                update={NEW: within_radius(1)}),
    miscomputed("wball-modules", "the filters of all modules held together", CONSTRAINTS, "local1",
                update={NEW: within_radius(0)}),
    misread("contrast-lower", "wcNormMin ignored", CONSTRAINTS, "conv2", lambda spec: {"wcNormMin": (0.0,)},
            "update weights[0]"),
    miscomputed("contrast-deviation", "the contrast divided by the root of the weights of a filter", CONSTRAINTS,
                "conv2", update={NEW: limited_contrast(np.sqrt)}),
    miscomputed("contrast-mean", "filters lose their mean", CONSTRAINTS, "conv2", update={NEW: without_mean}),
)  # fmt: skip


# Schedules


def target_at_once(spec: LayerSpec) -> dict[str, Any]:
    """A rate already at its target."""
    return {"epsW": tuple(eps / spec["schedW"]["params"]["tgtFactor"] for eps in spec["epsW"])}


def schedule(**params: Any) -> Keys:
    """Wrong values of parameters of the schedule."""
    return lambda spec: {"schedW": {**spec["schedW"], "params": {**spec["schedW"]["params"], **params}}}


without_noise = schedule(noiseStdev=0.0)


def of_kind(name: str) -> Keys:
    """A schedule of another type."""
    return lambda spec: {"schedW": {**spec["schedW"], "type": name}}


def spread_step(spread: Callable[..., np.ndarray], momentum: float | None = None) -> dict[str, Wrong]:
    """One step of a layer with superEps, whose gradient is divided by ``spread(A, Q, superEps)``."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        w, d, g, eps, mom, wc = solver_step(layer)
        fresh = 1 - mom
        step = eps * g / spread(fresh * g, fresh * g * g, np.float32(layer.spec["superEps"]))
        d = (np.float32(0.9) if momentum is None else np.float32(momentum)) * d + step - eps * wc * w
        return d if tensor == "weights_inc[0]" else w + d

    return {NEW: wrong, "weights_inc[0]": wrong}


SUPER = (
    miscomputed("super-mean", "the mean of the gradients subtracted, not its square, as in 2012", CONSTRAINTS, "super1",
                update=spread_step(lambda a, q, floor: np.sqrt(q - a + floor))),
    miscomputed("super-root", "the gradient divided by its variance, without the root", CONSTRAINTS, "super1",
                update=spread_step(lambda a, q, floor: q - a * a + floor)),
    miscomputed("super-momentum", "no momentum beside superEps", CONSTRAINTS, "super1",
                update=spread_step(lambda a, q, floor: np.sqrt(q - a * a + floor), momentum=0)),
)  # fmt: skip


PASSES = 3
SEVERAL = (
    miscomputed("passes-overwritten", "every backward pass overwrites the gradient of the one before", CONSTRAINTS,
                "conv2", backward={"weights_grad[0]": alone}, update_every=PASSES),
    miscomputed("passes-momentum", "the momentum applied in every backward pass", CONSTRAINTS, "fc1",
                backward={"weights_inc[0]": alone}, update_every=PASSES),
    miscomputed("passes-bias", "every backward pass overwrites the gradient of the biases", CONSTRAINTS, "fc1",
                backward={"biases_grad": alone}, update_every=PASSES),
)  # fmt: skip


STEP = "update weights_inc[0], update weights[0]"
SCHEDULES = (
    misread("schedule-noise", "the noise of a learning rate left out", CONSTRAINTS, "conv3", without_noise, STEP),
    misread("schedule-noise-direct", "the noise of a learning rate left out in the backward pass", CONSTRAINTS, "fc2",
            without_noise, f"backward weights_inc[0], {STEP}"),
    misgiven("schedule-one-draw", "one draw of noise for both gradient and decay", CONSTRAINTS, "conv3",
             {"schedule_normals": lambda spec, z: np.repeat(z[:, :1], 2, axis=1)}, STEP),
    misread("schedule-target", "the schedule starts at its target", CONSTRAINTS, "conv3", target_at_once, STEP),
    misread("schedule-progress", "the rate stays at its base", CONSTRAINTS, "conv3", schedule(tgtFactor=1.0), STEP,
            progress=0.5),
    misread("schedule-linear", "an exponential where a linear decline was asked for", CONSTRAINTS, "conv3",
            of_kind("exp"), STEP, progress=0.5),
    misread("schedule-stairs", "a smooth decline where steps were asked for", CONSTRAINTS, "conv2",
            of_kind("exp"), STEP, progress=0.4),
    misread("schedule-halfway", "steps without the geometric mean in their second half", CONSTRAINTS, "conv2",
            of_kind("dexp"), STEP, progress=0.4),
    misread("schedule-steps", "one step more", CONSTRAINTS, "conv2", schedule(numSteps=5), STEP, progress=0.4),
    misread("schedule-single-step", "a stepped schedule with one step constant at its base, not at its target",
            CONSTRAINTS, "conv3", lambda spec: {"schedB": {"type": "default", "params": {}}}, BIASES),
)  # fmt: skip

FAULTS = (*UPDATE, *LIMITS, *SUPER, *SEVERAL, *SCHEDULES)
