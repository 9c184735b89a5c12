"""Faults of the update."""

import numpy as np

from ...network.net import Net
from .fault import miscomputed, misgiven, misread, scene
from .weights import CONVS

# Constraints that bind for some filters and not for others, and rates with noise.
CONSTRAINTS = scene(
    Net(243)
    .add("conv1", "conv", "data", channels=3, filters=16, filterSize=3, padding=1, stride=2, neuron="relu")
    .add(
        "conv2",
        "conv",
        "conv1",
        channels=16,
        filters=16,
        filterSize=3,
        padding=1,
        stride=1,
        wcNormMin=0.0247,
        wcNormMax=0.0253,
        schedW="jdexp[tgtFactor=10,noiseStdev=0,numSteps=4]",
    )
    .add("local1", "local", "conv2", channels=16, filters=16, filterSize=3, padding=1, stride=2, wball=0.025)
    .add("fc1", "fc", "local1", outputs=16, wball=0.0205)
    .add(
        "conv3",
        "conv",
        "conv1",
        channels=16,
        filters=16,
        filterSize=3,
        padding=1,
        stride=2,
        schedW="linear[tgtFactor=10,noiseStdev=0.5]",
        schedB="dexp[tgtFactor=10,noiseStdev=0,numSteps=1]",
    )
    .add("fc2", "fc", "conv3", outputs=16, schedW="exp[tgtFactor=10,noiseStdev=0.5]")
    .add("super1", "fc", "conv3", outputs=16, superEps=0.2),
    "fc1,fc2,super1",
)

# Update


def step(change, *tensors):
    """Results of an update: ``change(spec, W, Δ, G)`` gives the new W and Δ, of which some tensors are wrong."""

    def wrong(layer, tensor):
        before = (layer.read(name) for name in ("weights[0]", "weights_inc[0]", "weights_grad[0]"))
        constants = {key: np.float32(layer.spec[key][0]) for key in ("epsW", "momW", "wc")}
        return change(constants, *before)[tensor == "weights_inc[0]"]

    return dict.fromkeys(tensors or ("weights[0]", "weights_inc[0]"), wrong)


def weights_first(c, w, d, g):
    """W ← W + Δ, then Δ."""
    return w + d, c["momW"] * d + c["epsW"] * (g - c["wc"] * w)


def rate_last(c, w, d, g):
    """Δ ← μΔ + G − λW,  W ← W + εΔ."""
    d = c["momW"] * d + g - c["wc"] * w
    return w + c["epsW"] * d, d


def decay_apart(c, w, d, g):
    """Δ ← μΔ + εG,  W ← W + Δ − λεW."""
    d = c["momW"] * d + c["epsW"] * g
    return w + d - c["epsW"] * c["wc"] * w, d


def decay_first(c, w, d, g):
    """Δ ← μ(Δ − λεW) + εG."""
    d = c["momW"] * (d - c["epsW"] * c["wc"] * w) + c["epsW"] * g
    return w + d, d


def descent(c, w, d, g):
    """Δ ← μΔ − εG − λεW."""
    d = c["momW"] * d - c["epsW"] * (g + c["wc"] * w)
    return w + d, d


def decayed(layer, tensor):
    """What an update gives if the biases decay like weights."""
    spec = layer.spec
    w, d, g = (layer.read(name) for name in ("biases", "biases_inc", "biases_grad"))
    d = np.float32(spec["momB"]) * d + np.float32(spec["epsB"]) * (g - np.float32(spec["wc"][0]) * w)
    return d if tensor == "biases_inc" else w + d


BIASES = "update biases_inc, update biases"
UPDATE = (
    misread("decay-without-rate", "weight decay not multiplied by the learning rate", CONVS, "conv2",
            lambda spec: {"wc": [spec["wc"][0] / spec["epsW"][0]]}, "update weights_inc[0], update weights[0]"),
    miscomputed("decay-outside-momentum", "weight decay taken from the weights, not from the increment", CONVS,
                "conv2", update=step(decay_apart, "weights_inc[0]")),
    miscomputed("decay-before-momentum", "weight decay multiplied by the momentum", CONVS, "conv2",
                update=step(decay_first)),
    miscomputed("momentum-order", "the weights changed by the old increment", CONVS, "conv2",
                update=step(weights_first, "weights[0]")),
    miscomputed("rate-outside-momentum", "the learning rate applied to the increment, not to the gradient", CONVS,
                "conv2", update=step(rate_last)),
    miscomputed("descent", "the gradient subtracted: training descends", CONVS, "conv2", update=step(descent)),
    misread("bias-rate", "the biases learn at the rate of the weights", CONVS, "conv2",
            lambda spec: {"epsB": spec["epsW"][0]}, BIASES),
    misread("bias-momentum", "the biases have the momentum of the weights", CONVS, "conv2",
            lambda spec: {"momB": spec["momW"][0]}, BIASES),
    miscomputed("bias-decay", "the biases decay like weights", CONVS, "conv2",
                update={"biases": decayed, "biases_inc": decayed}),
)  # fmt: skip


# Constraints


NEW = "weights[0]"


def size_of_filters(layer, radius, weights, axis=0):
    """The factors that bring columns, or all there is, inside a radius."""
    norms = np.sqrt((weights**2).sum(axis=axis, keepdims=True))
    return np.minimum(1, np.float32(radius) / norms)


def unlimited(layer):
    """The new weights before any constraint."""
    w, d = (layer.read(name) for name in (NEW, "weights_inc[0]"))
    eps, mom, wc = (np.float32(layer.spec[key][0]) for key in ("epsW", "momW", "wc"))
    if "weights_grad[0]" in gradients_of(layer):
        d = mom * d + eps * layer.read("weights_grad[0]")
    return w + (d - eps * wc * w)


def gradients_of(layer):
    """Names of the gradient matrices that a layer keeps until its update."""
    return ("weights_grad[0]",) if layer.spec.type == "conv" else ()


def whole_matrix(layer, tensor):
    """The matrix as a whole brought inside the radius."""
    w = unlimited(layer)
    return w * size_of_filters(layer, layer.spec["wballNormed"][0], w, axis=None)


def by_rows(layer, tensor):
    """Rows in place of columns brought inside the radius."""
    w = unlimited(layer)
    return w * size_of_filters(layer, layer.spec["wballNormed"][0], w, axis=1)


def all_modules(layer, tensor):
    """Filters of all modules together brought inside the radius."""
    w = unlimited(layer)
    return w * size_of_filters(layer, layer.spec["wballNormed"][0], w)


def contrast(weights, divisor):
    """√Σ(w - mean)² / divisor of every column."""
    return np.sqrt(((weights - weights.mean(axis=0)) ** 2).sum(axis=0)) / np.float32(divisor)


def limited_contrast(divisor):
    """Constraints on a contrast with another divisor."""

    def wrong(layer, tensor):
        w = unlimited(layer)
        a = contrast(w, divisor(len(w)))
        low, high = (np.float32(layer.spec[key][0]) for key in ("wcNormMin", "wcNormMax"))
        return w * (np.clip(a, low, high) / a)

    return wrong


def without_mean(layer, tensor):
    """Filters that lose their mean."""
    w = unlimited(layer)
    a = contrast(w, len(w))
    low, high = (np.float32(layer.spec[key][0]) for key in ("wcNormMin", "wcNormMax"))
    return (w - w.mean(axis=0)) * (np.clip(a, low, high) / a)


LIMITS = (
    misread("wball-radius", "the norm held to wball, not to wball times the weights of a filter", CONSTRAINTS, "fc1",
            lambda spec: {"wballNormed": spec["wball"]}, "update weights[0]"),
    misread("wball-ignored", "the norm of filters not held", CONSTRAINTS, "fc1", lambda spec: {"wballNormed": (0.0,)},
            "update weights[0]"),
    miscomputed("wball-matrix", "the norm of the whole matrix held", CONSTRAINTS, "fc1", update={NEW: whole_matrix}),
    miscomputed("wball-rows", "the norms of rows held, not of columns", CONSTRAINTS, "fc1", update={NEW: by_rows}),
    miscomputed("wball-modules", "the filters of all modules held together", CONSTRAINTS, "local1",
                update={NEW: all_modules}),
    misread("contrast-lower", "wcNormMin ignored", CONSTRAINTS, "conv2", lambda spec: {"wcNormMin": (0.0,)},
            "update weights[0]"),
    miscomputed("contrast-deviation", "the contrast divided by the root of the weights of a filter", CONSTRAINTS,
                "conv2", update={NEW: limited_contrast(np.sqrt)}),
    miscomputed("contrast-mean", "filters lose their mean", CONSTRAINTS, "conv2", update={NEW: without_mean}),
)  # fmt: skip


# Schedules


def target_at_once(spec):
    """A rate already at its target."""
    return {"epsW": tuple(eps / spec["schedW"]["params"]["tgtFactor"] for eps in spec["epsW"])}


def steady(spec):
    """A rate with its noise but without its decline."""
    return {"schedW": {**spec["schedW"], "params": {**spec["schedW"]["params"], "tgtFactor": 1.0}}}


def one_step_more(spec):
    """A schedule of five steps, not of four."""
    return {"schedW": {**spec["schedW"], "params": {**spec["schedW"]["params"], "numSteps": 5}}}


def without_noise(spec):
    """A rate without noise."""
    return {"schedW": {**spec["schedW"], "params": {**spec["schedW"]["params"], "noiseStdev": 0.0}}}


def spread_step(spread, momentum=None):
    """One step of a layer with superEps, whose gradient is divided by ``spread(A, Q, superEps)``."""

    def wrong(layer, tensor):
        w, d, g = (layer.read(name) for name in (NEW, "weights_inc[0]", "weights_grad[0]"))
        eps, mom, wc = (np.float32(layer.spec[key][0]) for key in ("epsW", "momW", "wc"))
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


def last_pass(layer, tensor):
    """What one backward pass alone leaves behind."""
    return layer.compute(tensor)


PASSES = 3
SEVERAL = (
    miscomputed("passes-overwritten", "every backward pass overwrites the gradient of the one before", CONSTRAINTS,
                "conv2", backward={"weights_grad[0]": last_pass}, update_every=PASSES),
    miscomputed("passes-momentum", "the momentum applied in every backward pass", CONSTRAINTS, "fc1",
                backward={"weights_inc[0]": last_pass}, update_every=PASSES),
    miscomputed("passes-bias", "every backward pass overwrites the gradient of the biases", CONSTRAINTS, "fc1",
                backward={"biases_grad": last_pass}, update_every=PASSES),
)  # fmt: skip


STEP = "update weights_inc[0], update weights[0]"
SCHEDULES = (
    misread("schedule-noise", "the noise of a learning rate left out", CONSTRAINTS, "conv3", without_noise, STEP),
    misread("schedule-noise-direct", "the noise of a learning rate left out in the backward pass", CONSTRAINTS, "fc2",
            without_noise, f"backward weights_inc[0], {STEP}"),
    misgiven("schedule-one-draw", "one draw of noise for both gradient and decay", CONSTRAINTS, "conv3",
             {"schedule_normals": lambda spec, z: np.repeat(z[:, :1], 2, axis=1)}, STEP),
    misread("schedule-target", "the schedule starts at its target", CONSTRAINTS, "conv3", target_at_once, STEP),
    misread("schedule-progress", "the rate stays at its base", CONSTRAINTS, "conv3", steady, STEP, progress=0.5),
    misread("schedule-linear", "an exponential where a linear decline was asked for", CONSTRAINTS, "conv3",
            lambda spec: {"schedW": {**spec["schedW"], "type": "exp"}}, STEP, progress=0.5),
    misread("schedule-stairs", "a smooth decline where steps were asked for", CONSTRAINTS, "conv2",
            lambda spec: {"schedW": {**spec["schedW"], "type": "exp"}}, STEP, progress=0.4),
    misread("schedule-halfway", "steps without the geometric mean in their second half", CONSTRAINTS, "conv2",
            lambda spec: {"schedW": {**spec["schedW"], "type": "dexp"}}, STEP, progress=0.4),
    misread("schedule-steps", "one step more", CONSTRAINTS, "conv2", one_step_more, STEP, progress=0.4),
    misread("schedule-single-step", "a stepped schedule with one step constant at its base, not at its target",
            CONSTRAINTS, "conv3", lambda spec: {"schedB": {"type": "default", "params": {}}}, BIASES),
)  # fmt: skip

FAULTS = (*UPDATE, *LIMITS, *SUPER, *SEVERAL, *SCHEDULES)
