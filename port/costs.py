"""Softmax and the costs; cost.msm is in msm.py. Source: network-and-solver 6.10, 7.

Matrices are (classes, N), one column for each image; labels are N class indices, targets have a value for each class.
Costs are sums over the images in float64. Gradients are gradients of minus the cost, because training ascends. NumPy
does the work.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .checks import Array, floats, require, shaped, square
from .norm import window_sums

LOG_OF_ZERO = -50.0  # the value of log x for x <= 0 in the release, in all costs but logreg
TICA_FLOOR = 0.001


def softmax_forward(x: Array) -> Array:
    """exp(x - max) divided by the sum over the column, max being the maximum of the column; (classes, N).

    Here and below arrays are float32 or float64, and OperandError, a ValueError, is raised for a wrong shape or dtype.
    """
    x = floats("softmax_forward: x", x, 2)
    e = np.exp(x - x.max(axis=0))
    return e / e.sum(axis=0)


def softmax_backward(probs: Array, grads: Array) -> Array:
    """Gradient of `softmax_forward`: probs * (grads - sum over classes of grads * probs), `grads` of any cost."""
    probs = floats("softmax_backward: probs", probs, 2)
    grads = shaped("softmax_backward: grads", grads, probs.shape, probs, "the shape of probs")
    return probs * (grads - (grads * probs).sum(axis=0))


def softmax_logreg_backward(labels: ArrayLike, probs: Array, coeff: float = 1.0) -> Array:
    """Gradient of softmax and logreg in one step: coeff * ([class is the label] - probs), (classes, N)."""
    probs = floats("softmax_logreg_backward: probs", probs, 2)
    rows, columns = label_positions("softmax_logreg_backward", labels, probs)
    difference = -probs
    difference[rows, columns] = 1 - probs[rows, columns]
    return probs.dtype.type(coeff) * difference


def logreg_cost(labels: ArrayLike, probs: Array, topk: int = 1) -> Array:
    """The three numbers of cost.logreg, summed over the images, in float64; fractions of labels are cut off.

    Sum of -log p (infinite if some p is 0); N - Σ credit; N - Σ top-k credit. Credit: 1/(number of classes that share
    the maximum) if the label is one of them. Top-k credit: `topk` places less the classes above the label, shared among
    the classes equal to it, at most 1.
    """
    probs = floats("logreg_cost: probs", probs, 2)
    require(topk >= 1, "logreg_cost: wrong topk", "at least 1", topk, "the number of guesses")
    positions = label_positions("logreg_cost", labels, probs)
    with np.errstate(divide="ignore"):
        logs = np.log(probs[positions], dtype=np.float64)
    return np.array([-logs.sum(), *rank_errors(probs, positions, topk)])


def rank_errors(values: Array, positions: tuple[Array, Array], topk: int) -> tuple[float, float]:
    """The number of images less Σ credit, and less Σ top-k credit, of the values at the label's `positions`."""
    mine = values[positions]
    equal = (values == mine).sum(axis=0)
    free = topk - (values > mine).sum(axis=0)
    # NaN equals nothing, not even itself: as in 2012 a NaN has top-k credit but is not the maximum.
    credit = np.where(mine == np.fmax.reduce(values), 1 / np.maximum(equal, 1), 0)
    topk_credit = np.clip(free / np.maximum(equal, 1), 0, 1)
    return values.shape[1] - credit.sum(), values.shape[1] - topk_credit.sum()


def logreg_backward(labels: ArrayLike, probs: Array, coeff: float = 1.0) -> Array:
    """Gradient for the probabilities: coeff / p at the label, 0 elsewhere, (classes, N)."""
    probs = floats("logreg_backward: probs", probs, 2)
    positions = label_positions("logreg_backward", labels, probs)
    grads = np.zeros_like(probs)
    with np.errstate(divide="ignore"):
        grads[positions] = probs.dtype.type(coeff) / probs[positions]
    return grads


def crossent_cost(targets: Array, probs: Array) -> Array:
    """The two numbers of cost.crossent: -Σ targets * log(probs), with -50 for log 0; and N - Σ credit.

    The targets are a distribution over the classes for each image. Credit: 1/(number of classes that share the maximum)
    if one of them has a target above 0.
    """
    targets, probs = _pair("crossent_cost", targets, probs)
    top = probs == probs.max(axis=0)
    credit = (top & (targets > 0)).any(axis=0) / np.maximum(top.sum(axis=0), 1)
    return np.array([-(targets * _safe_log(probs)).sum(), probs.shape[1] - credit.sum()])


def crossent_backward(targets: Array, probs: Array, coeff: float = 1.0) -> Array:
    """Gradient for the probabilities: coeff * targets / probs."""
    targets, probs = _pair("crossent_backward", targets, probs)
    with np.errstate(divide="ignore", invalid="ignore"):
        return probs.dtype.type(coeff) * targets / probs


def softmax_crossent_backward(targets: Array, probs: Array, coeff: float = 1.0) -> Array:
    """Gradient of softmax and crossent in one step: coeff * (targets - probs * sum of the targets)."""
    targets, probs = _pair("softmax_crossent_backward", targets, probs)
    return probs.dtype.type(coeff) * (targets - probs * targets.sum(axis=0))


def crossent2_cost(targets: Array, y: Array) -> Array:
    """The number of cost.crossent2: -Σ (t log y + (1-t) log(1-y)), with -50 for log 0; y and targets in 0 ... 1."""
    targets, y = _pair("crossent2_cost", targets, y)
    return np.array([-(targets * _safe_log(y) + (1 - targets) * _safe_log(1 - y)).sum()])


def crossent2_backward(targets: Array, y: Array, coeff: float = 1.0, *, wrong_sign: bool = False) -> Array:
    """Gradient for y: coeff * (t/y - (1-t)/(1-y)); with `wrong_sign` the sum of the two terms, as in the release."""
    targets, y = _pair("crossent2_backward", targets, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = targets / y, (1 - targets) / (1 - y)
    return y.dtype.type(coeff) * (first + second if wrong_sign else first - second)


def logistic_crossent2_backward(targets: Array, y: Array, coeff: float = 1.0) -> Array:
    """Gradient of a logistic neuron and crossent2 in one step: coeff * (t - y)."""
    targets, y = _pair("logistic_crossent2_backward", targets, y)
    return y.dtype.type(coeff) * (targets - y)


def rflickr_cost(targets: Array, y: Array) -> Array:
    """The number of cost.rflickr: Σ log(1 + (y-t)²)."""
    targets, y = _pair("rflickr_cost", targets, y)
    return np.array([np.log1p(np.square(y - targets), dtype=np.float64).sum()])


def rflickr_backward(targets: Array, y: Array, coeff: float = 1.0) -> Array:
    """Gradient for y: -2 coeff d / (1 + d²) with d = y - t."""
    targets, y = _pair("rflickr_backward", targets, y)
    d = y - targets
    return d.dtype.type(-2 * coeff) * d / (1 + d * d)


def sum2_cost(x: Array) -> Array:
    """The number of cost.sum2: Σ x²."""
    return np.array([np.square(floats("sum2_cost: x", x, 2), dtype=np.float64).sum()])


def sum2_backward(x: Array, coeff: float = 1.0) -> Array:
    """Gradient: -2 coeff x."""
    x = floats("sum2_backward: x", x, 2)
    return x.dtype.type(-2 * coeff) * x


def gsum2_cost(gate: Array, x: Array) -> Array:
    """The number of cost.gsum2: Σ gate * x², with a gate (1, N) and x (units, N)."""
    gate, x = _gated("gsum2_cost", gate, x)
    return np.array([(gate * np.square(x, dtype=np.float64)).sum()])


def gsum2_backward(gate: Array, x: Array, coeff: float = 1.0) -> tuple[Array, Array]:
    """Gradients for gate and x: -coeff * sum of x² over the units, and -2 coeff gate x."""
    gate, x = _gated("gsum2_backward", gate, x)
    dtype = x.dtype.type
    return dtype(-coeff) * (x * x).sum(axis=0, keepdims=True), dtype(-2 * coeff) * gate * x


def tica_forward(images: Array, *, size: int) -> tuple[Array, Array]:
    """cost.tica: (its number, the reciprocals 1/(0.001 + √E)); E is the sum of squares over the window of a pixel.

    Images and reciprocals are (C, I, I, N), `size` is the side of the window, which is that of rnorm. The number, (1,)
    in float64, is the sum of the reciprocals, as in the release, although the objective differs (`tica_backward`).
    """
    images = square("tica_forward: images", images)
    reciprocals = 1 / (images.dtype.type(TICA_FLOOR) + np.sqrt(window_sums(images * images, size)))
    return np.array([reciprocals.sum(dtype=np.float64)]), reciprocals


def tica_backward(
    images: Array, reciprocals: Array, *, size: int, coeff: float = 1.0, mirrored: bool = True, root: bool = False
) -> Array:
    """-coeff * images * (sum of the reciprocals over the windows that hold the pixel).

    The result is the gradient of -coeff Σ (√E - 0.001 log(0.001 + √E)). Not `mirrored`: sum over the pixel's own
    window, as the release did; the two differ for even sizes. With `root`, take the root of the sum, as the release did
    where it added to an earlier gradient.
    """
    images = square("tica_backward: images", images)
    hint = "as tica_forward returns them"
    reciprocals = shaped("tica_backward: reciprocals", reciprocals, images.shape, images, hint)
    sums = window_sums(reciprocals, size, mirrored)
    return images.dtype.type(-coeff) * images * (np.sqrt(sums) if root else sums)


def _safe_log(x: Array) -> Array:
    """log x in float64, -50 where x is not above 0."""
    x = x.astype(np.float64)
    return np.log(x, out=np.full(x.shape, LOG_OF_ZERO), where=x > 0)


def _pair(op: str, targets: Any, y: Any) -> tuple[Array, Array]:
    y = floats(f"{op}: y", y, 2)
    return shaped(f"{op}: targets", targets, y.shape, y, "a target for every value"), y


def _gated(op: str, gate: Any, x: Any) -> tuple[Array, Array]:
    x = floats(f"{op}: x", x, 2)
    return shaped(f"{op}: gate", gate, (1, x.shape[1]), x, "one gate per image"), x


def label_positions(op: str, labels: ArrayLike, probs: Array) -> tuple[Array, Array]:
    """Index arrays (label, image) into probs, checked."""
    classes, count = probs.shape
    labels = np.asarray(labels)
    require(labels.size == count, f"{op}: wrong number of labels", count, labels.size, "one label per image")
    rows = labels.reshape(-1).astype(np.int64)
    good = (rows >= 0) & (rows < classes)
    require(
        good.all(), f"{op}: label out of range", f"0 ... {classes - 1}", labels.reshape(-1)[~good][:5], "class indices"
    )
    return rows, np.arange(count)
