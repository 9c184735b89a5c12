"""Error bounds of the pooling, normalisation, cost, neuron and image entry points: operation count and magnitude.

Every function takes the arrays of a recorded case and its scalars and returns {output: (terms, magnitude)}; an output
that must have the recorded bits on every machine has magnitude 0. Average pooling, neurons and colours take the error
model of the reference. Magnitudes are computed in float64.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...reference import op
from .files import Case

Arrays = Mapping[str, np.ndarray]
Scalars = Mapping[str, Any]
Bounds = dict[str, tuple[Any, Any]]
EXACT = (1, 0.0)
PARAMETERS = {"brelu": "a", "drelu": "a", "tanh": "ab", "linear": "ab"}
"""The parameters of types of neurons."""


def f64(arrays: Arrays, *names: str) -> list[np.ndarray]:
    """The named arrays in float64."""
    return [arrays[name].astype(np.float64) for name in names]


def scaled(arrays: Arrays, s: Scalars, terms: float, magnitude: np.ndarray | float) -> tuple[float, np.ndarray | float]:
    """The bound of scaleTargets * old + scaleOutput * result."""
    scale_targets = s.get("scaleTargets", 0.0)
    old = np.abs(arrays["in_target"]) * abs(scale_targets) if scale_targets else 0.0
    return terms + 2, magnitude * abs(s.get("scaleOutput", s.get("scaleOutputs", 1.0))) + old


def windows(s: Scalars, size: int) -> np.ndarray:
    """0/1 matrix (outputsX, size): which pixels of an axis each pooling window covers."""
    start = s["startX"] + np.arange(s["outputsX"])[:, None] * s["strideX"]
    pixel = np.arange(size)[None, :]
    return ((pixel >= start) & (pixel < start + s["subsX"])).astype(float)


def side(rows: int, maps: int) -> int:
    return round((rows / maps) ** 0.5)


def pool(a: Arrays, s: Scalars, pooler: str) -> Bounds:
    """The reference's bound of average pooling, times the pixels of a window for their sum."""
    if pooler in ("Max", "MaxAbs"):
        return {"target": EXACT}
    size = side(len(a["in_images"]), s["numFilters"])
    geometry = {"start": s["startX"], "sizeX": s["subsX"], "stride": s["strideX"], "outputsX": s["outputsX"]}
    average = op({"type": "pool", "pool": "avg", "channels": s["numFilters"], "imgSize": size, **geometry})
    found = average.forward([np.where(np.isfinite(a["in_images"]), a["in_images"], 0)])
    return {"target": (found.terms, found.magnitude * (found.terms if pooler == "Sum" else 1))}


def undo(a: Arrays, s: Scalars, grads: str, share: bool) -> Bounds:
    """Gradients spread over their windows."""
    outputs = s["outputsX"]
    rows, n = a[grads].shape
    maps = rows // outputs**2
    size = s.get("imgSize") or side(a["in_images"].shape[0], maps)
    cover = windows(s, size)
    g = np.abs(a[grads].astype(float)).reshape(maps, outputs, outputs, n)
    if share:
        g = g / np.maximum(cover.sum(1)[:, None] * cover.sum(1)[None, :], 1)[None, :, :, None]
    total = np.einsum("py,qx,cpqn->cyxn", cover, cover, g).reshape(-1, n)
    return {"target": scaled(a, s, max(1, cover.sum(0).max() ** 2), total)}


def cross_map_undo(a: Arrays, s: Scalars) -> Bounds:
    maps = a["in_maxGrads"].shape[0] // s["imgSize"] ** 2
    total = np.abs(a["in_maxGrads"].reshape(maps, s["imgSize"] ** 2, -1)).sum(0)
    return {"target": scaled(a, s, maps, np.tile(total, (a["in_images"].shape[0] // s["imgSize"] ** 2, 1)))}


def terms_of(s: Scalars) -> int:
    return s["sizeX"] ** 2 if "sizeX" in s else s["sizeF"]


def norm(a: Arrays, s: Scalars) -> Bounds:
    terms = terms_of(s)
    return {
        "denoms": (terms + 2, np.abs(a.get("out_denoms", 0.0))),
        "target": (terms + 6, np.abs(a["out_target"].astype(float)) * (1 + s["powScale"])),
    }


def mirrored_sum(values: np.ndarray, s: Scalars) -> np.ndarray:
    """Sum over the mirrored window (space or maps) of an array (maps, side, side, images)."""

    def axis_matrix(size: int, window: int, blocked: bool = False) -> np.ndarray:
        i, j = np.arange(size)[:, None], np.arange(size)[None, :]
        if blocked:
            return (i // window == j // window).astype(float)
        return ((j >= i + window // 2 - window + 1) & (j <= i + window // 2)).astype(float)

    maps, size = values.shape[:2]
    if "sizeF" in s:
        return np.einsum("fg,gyxn->fyxn", axis_matrix(maps, s["sizeF"], s["blocked"]), values)
    window = axis_matrix(size, s["sizeX"])
    return np.einsum("yp,xq,cpqn->cyxn", window, window, values)


def norm_undo(a: Arrays, s: Scalars) -> Bounds:
    inputs = "in_meanDiffs" if "in_meanDiffs" in a else "in_inputs"
    g, x, act = f64(a, "in_outGrads", inputs, "in_acts")
    maps, beta, alpha = s["numFilters"], s["powScale"], s["addScale"]
    size = side(g.shape[0], maps)
    grid = (maps, size, size, g.shape[1])
    if "in_denoms" in a:
        denoms, amplification = a["in_denoms"].astype(float), 1.0
    else:  # 2014 recovers 1/D as (act / input) ** (1 / powScale)
        with np.errstate(all="ignore"):
            denoms = np.where(act == 0, 1.0, (act / x) ** (-1 / beta))
        amplification = 1 + 1 / beta
    spread = mirrored_sum(np.abs(g * act / denoms).reshape(grid), s).reshape(g.shape)
    magnitude = np.abs(g * denoms**-beta) * (1 + beta) + 2 * alpha * beta * np.abs(x) * spread * amplification
    bound = scaled(a, s, terms_of(s) + 8, magnitude)
    if terms_of(s) >= 36 and "sizeX" in s:  # the inverted flag: scales are ignored
        bound = (bound[0], magnitude)
    return {"target": bound, "acts": (4, np.abs(a.get("out_acts", 0.0)))}


def old(a: Arrays, s: Scalars) -> np.ndarray | float:
    return np.abs(a["in_target"]) if s["add"] else 0.0


def logarithm(log_probs: np.ndarray) -> tuple[int, np.ndarray]:
    return (4, np.maximum(np.abs(np.where(np.isfinite(log_probs), log_probs, 0.0)), 1))


def logreg_cost(a: Arrays, s: Scalars) -> Bounds:
    return {"labelLogProbs": logarithm(a["out_labelLogProbs"]), "correctProbs": EXACT, "top5Probs": EXACT}


def crossent_cost(a: Arrays, s: Scalars) -> Bounds:
    labels, probs = f64(a, "in_labels", "in_probs")
    logs = np.where(probs > 0, np.log(np.where(probs > 0, probs, 1.0)), -50.0)
    return {
        "labelLogProbs": (len(probs) + 4, (np.abs(labels) * np.maximum(np.abs(logs), 1)).sum(0, keepdims=True)),
        "correctProbs": EXACT,
    }


def quotient_grad(a: Arrays, s: Scalars) -> Bounds:
    result = np.where(np.isfinite(a["out_target"]), a["out_target"], 0.0).astype(float)
    return {"target": (4, np.abs(result) + 2 * old(a, s))}


def softmax_grad(a: Arrays, s: Scalars) -> Bounds:
    y, g = f64(a, "in_acts", "in_actsGrad")
    total = np.abs(y) * (np.abs(g) + (np.abs(g) * y).sum(1, keepdims=True))
    return {"target": (y.shape[1] + 4, total + old(a, s))}


def logreg_softmax_grad(a: Arrays, s: Scalars) -> Bounds:
    return {"target": (4, abs(s["coeff"]) * (1 + a["in_probs"].astype(float)) + old(a, s))}


def crossent_softmax_grad(a: Arrays, s: Scalars) -> Bounds:
    labels, probs = f64(a, "in_labels", "in_probs")
    total = np.abs(labels.T) + probs * np.abs(labels).sum(0)[:, None]
    return {"target": (len(labels) + 4, abs(s["coeff"]) * total + old(a, s))}


def neuron(a: Arrays, s: Scalars, kind: str) -> Bounds:
    """The reference's bounds of a neuron and of its gradient; a sum with what was there costs two roundings more."""
    params = {name: s[name] for name in PARAMETERS.get(kind, "")}
    formula = op({"type": "neuron", "neuron": {"type": kind, "params": params}})
    outputs = formula.forward([a["in_inputs"]])
    grad = formula.inputs_grad(0, [a["in_inputs"]], a["in_actsGrad"])
    size = np.maximum(grad.magnitude, np.abs(grad.value)) + old(a, s)
    return {"outputs": (outputs.terms, outputs.magnitude), "target": (grad.terms + 2, size)}


def nails(a: Arrays, s: Scalars) -> Bounds:
    size, n = s["imgSize"], a["in_images"].shape[1]
    rows = np.arange(s["startX"], s["startX"] + -(-size // s["strideX"]) * s["strideX"], s["strideX"])
    image = np.abs(a["in_images"].astype(float)).reshape(-1, size, size, n)
    return {"target": scaled(a, s, 1, image[:, rows[:, None], rows[None, :]].reshape(-1, n))}


def nails_undo(a: Arrays, s: Scalars) -> Bounds:
    return {"target": (1, np.abs(a["out_target"]))}


def blur(a: Arrays, s: Scalars) -> Bounds:
    """Both ends of the filter stand in for each other, so every tap is taken at its larger magnitude."""
    taps = np.abs(a["in_filter"][0].astype(float))
    taps, radius = np.maximum(taps, taps[::-1]), taps.size // 2
    rows, n = a["in_images"].shape
    size = side(rows, s["numChannels"])
    axis = 2 if s["horiz"] else 1
    image = np.abs(a["in_images"].astype(float)).reshape(s["numChannels"], size, size, n)
    wide = np.pad(image, [(radius, radius) if k == axis else (0, 0) for k in range(4)])
    total = sum(tap * np.take(wide, np.arange(size) + k, axis) for k, tap in enumerate(taps))
    return {"target": scaled(a, s, taps.size, total.reshape(-1, n))}


def resize(a: Arrays, s: Scalars) -> Bounds:
    """A position has the relative error of its size; the values there change at most by twice the largest pixel."""
    return {"target": (8, 2 * np.abs(a["in_images"]).max(0) * (1 + s["imgSize"]))}


def colours(kind: str) -> Callable[[Arrays, Scalars], Bounds]:
    """The reference's bound of a layer that changes colours."""

    def bound(a: Arrays, s: Scalars) -> Bounds:
        found = op({"type": kind, **s}).forward([a["in_images"]])
        return {"target": (found.terms, found.magnitude)}

    return bound


def scaled_tica(a: Arrays, s: Scalars, terms: int, magnitude: np.ndarray | float) -> Bounds:
    return {"target": scaled(a, {"scaleTargets": s["scaleTarget"], "scaleOutput": s["scaleOutput"]}, terms, magnitude)}


def tica(a: Arrays, s: Scalars) -> Bounds:
    """Every reciprocal is at most 1000."""
    return scaled_tica(a, s, terms_of(s) + 4, np.full(a["in_images"].shape, 1000.0))


def tica_grad(a: Arrays, s: Scalars) -> Bounds:
    ticas = np.abs(a["in_ticas"].astype(float))
    n = ticas.shape[1]
    size = side(ticas.shape[0], s["numFilters"])
    i, j = np.arange(size)[:, None], np.arange(size)[None, :]
    window = ((j >= i - s["sizeX"] // 2) & (j < i - s["sizeX"] // 2 + s["sizeX"])).astype(float)
    total = np.einsum("yp,xq,cpqn->cyxn", window, window, ticas.reshape(-1, size, size, n)).reshape(-1, n)
    return scaled_tica(a, s, terms_of(s) + 4, np.abs(a["in_images"]) * np.maximum(total, np.sqrt(total)))


def weight_norm(a: Arrays, s: Scalars) -> Bounds:
    return {"weights": (a["in_weights"].shape[0] // s["numModules"] + 4, np.abs(a["out_weights"]))}


def exact(name: str) -> Callable[[Arrays, Scalars], Bounds]:
    return lambda a, s: {name: EXACT}


BOUNDS = {
    "convLocalMaxUndo": lambda a, s: undo(a, s, "in_maxGrads", False),
    "convLocalAvgUndo": lambda a, s: undo(a, s, "in_avgGrads", not s.get("sum", False)),
    "convPoolCrossMap": exact("target"),
    "convCrossMapMaxPoolUndo": cross_map_undo,
    "convResponseNorm": norm,
    "convContrastNorm": norm,
    "convResponseNormCrossMap": norm,
    "convContrastNormCrossMap": norm,
    "convResponseNormUndo": norm_undo,
    "convContrastNormUndo": norm_undo,
    "convResponseNormCrossMapUndo": norm_undo,
    "computeLogregCost": logreg_cost,
    "computeMultiSoftmaxCost": logreg_cost,
    "computeCrossEntCost": crossent_cost,
    "computeLogregGrad": quotient_grad,
    "computeCrossEntGrad": quotient_grad,
    "computeSoftmaxGrad": softmax_grad,
    "computeLogregSoftmaxGrad": logreg_softmax_grad,
    "computeCrossEntSoftmaxGrad": crossent_softmax_grad,
    "computeEltwiseMaxGrad": exact("target"),
    "convCrop": exact("target"),
    "convReflectHorizontal": exact("targets"),
    "convBedOfNails": nails,
    "convBedOfNailsUndo": nails_undo,
    "convGaussianBlur": blur,
    "convResizeBilinear": resize,
    "convRGBToYUV": colours("rgb2yuv"),
    "convRGBToLAB": colours("rgb2lab"),
    "convTICA": tica,
    "convTICAGrad": tica_grad,
    "normalizeLocalWeights": weight_norm,
}


CONVOLUTION = ("FilterActs", "ImgActs", "WeightActs")

# Outputs that an exponential, logarithm or power goes into; all else is add, multiply, divide, compare.
TRANSCENDENTAL_NEURONS = {"softrelu", "logistic", "tanh", "drelu"}


def bounds(case: Case) -> Bounds:
    """{output: (terms, magnitude)} of a recorded case."""
    arrays, scalars = case.arrays, case.about["scalars"]
    if case.entry == "convLocalPool":
        return pool(arrays, scalars, case.about["entry"].partition(":")[2])
    if case.entry == "neuron":
        return neuron(arrays, scalars, case.about["neuron"])
    return BOUNDS[case.entry](arrays, scalars)


def must_be_identical(case: Case, output: str, fused: bool) -> bool:
    """Whether a build must give the recorded bits: without contraction (``fused`` false), or with.

    Convolution kernels must in both: their contracted outputs are recorded too. The others must in the strict build,
    as far as they add, multiply, divide and compare.
    """
    if any(word in case.entry for word in CONVOLUTION):
        return True
    if fused:
        return False
    if case.entry == "convRGBToLAB":
        return False
    if "Norm" in case.entry:
        return output == "denoms" or (output == "acts" and "Undo" in case.entry)
    return output != "labelLogProbs" and case.about.get("neuron") not in TRANSCENDENTAL_NEURONS
