"""Softmax and the logistic-regression cost. Network specification 6.10, 7.1.

Matrices are (classes, N), one column per image; labels are N class indices. Gradients are those of minus the cost,
since training ascends.
"""

import numpy as np

from .checks import floats, require, shaped


def softmax_forward(x):
    """exp(x - max) / sum of it, per column.

    Parameters
    ----------
    x : ndarray, (classes, N)
        float32 or float64.

    Returns
    -------
    ndarray, (classes, N)

    Raises
    ------
    OperandError
        A ValueError, for a wrong shape or dtype; here and below.
    """
    x = floats("softmax_forward: x", x, 2)
    e = np.exp(x - x.max(axis=0))
    return e / e.sum(axis=0)


def softmax_backward(probs, grads):
    """Gradient for any gradient of the probabilities: probs * (grads - sum over classes of grads * probs)."""
    probs = floats("softmax_backward: probs", probs, 2)
    grads = shaped("softmax_backward: grads", grads, probs.shape, probs, "the shape of probs")
    return probs * (grads - (grads * probs).sum(axis=0))


def softmax_logreg_backward(labels, probs, coeff=1.0):
    """Gradient of softmax and logreg in one: coeff * ([class is the label] - probs), (classes, N)."""
    probs = floats("softmax_logreg_backward: probs", probs, 2)
    rows, columns = _positions("softmax_logreg_backward", labels, probs)
    difference = -probs
    difference[rows, columns] = 1 - probs[rows, columns]
    return probs.dtype.type(coeff) * difference


def logreg_cost(labels, probs, topk=1):
    """The three numbers of cost.logreg, summed over the images.

    Parameters
    ----------
    labels : ndarray, N values
        Class indices; fractions are cut off.
    probs : ndarray, (classes, N)
        float32 or float64.
    topk : int
        How many guesses count for the third number.

    Returns
    -------
    ndarray, (3,), float64
        Sum of -log p (infinite if some p is 0); N - Σ credit; N - Σ top-k credit. Credit: 1/(number of classes that
        share the maximum) if the label is one of them. Top-k credit: topk places less the classes above the label,
        shared among the classes equal to it, at most 1.
    """
    probs = floats("logreg_cost: probs", probs, 2)
    require(topk >= 1, "logreg_cost: wrong topk", "at least 1", topk, "the number of guesses")
    label_probs = probs[_positions("logreg_cost", labels, probs)]
    with np.errstate(divide="ignore"):
        logs = np.log(label_probs, dtype=np.float64)
    equal = (probs == label_probs).sum(axis=0)
    free = topk - (probs > label_probs).sum(axis=0)
    # NaN equals nothing, not even itself: as in 2012 it then has top-k credit but is not the maximum.
    credit = np.where(label_probs == np.fmax.reduce(probs), 1 / np.maximum(equal, 1), 0)
    topk_credit = np.clip(free / np.maximum(equal, 1), 0, 1)
    count = probs.shape[1]
    return np.array([-logs.sum(), count - credit.sum(), count - topk_credit.sum()])


def logreg_backward(labels, probs, coeff=1.0):
    """Gradient for the probabilities: coeff / p at the label, 0 elsewhere, (classes, N)."""
    probs = floats("logreg_backward: probs", probs, 2)
    positions = _positions("logreg_backward", labels, probs)
    grads = np.zeros_like(probs)
    with np.errstate(divide="ignore"):
        grads[positions] = probs.dtype.type(coeff) / probs[positions]
    return grads


def _positions(op, labels, probs):
    """Index arrays (label, image) into probs."""
    classes, count = probs.shape
    labels = np.asarray(labels)
    require(labels.size == count, f"{op}: wrong number of labels", count, labels.size, "one label per image")
    rows = labels.reshape(-1).astype(np.int64)
    good = (rows >= 0) & (rows < classes)
    require(
        good.all(), f"{op}: label out of range", f"0 ... {classes - 1}", labels.reshape(-1)[~good][:5], "class indices"
    )
    return rows, np.arange(count)
