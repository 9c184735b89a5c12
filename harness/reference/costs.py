"""Softmax and the logistic-regression cost.  Gradients are those of minus the cost: training ascends.

    softmax:  p_j = exp(x_j - max) / Σ,   dX_i = p_i (V_i - Σ V_j p_j),   below cost.logreg: coeff ([j = label] - p_j)
    logreg:   -Σ log p_label,  N - Σ top-1 credit,  N - Σ top-k credit;   dp_j = coeff [j = label] / p_j

Error model: exp(x - max) has relative error 1 + |x - max| =: c, and the sum over classes adds its own: for p,
n = classes + 4, M = p c.  Gradients take those of p times what multiplies it.  For the logarithms n = N and
M = Σ max(|log p|, 1), since near p = 1 a fast logarithm is accurate absolutely, not relatively.  Counts are exact.

Source: network specification, 3, 6.10, 7.1; pooling and normalisation specification, 7.
"""

import numpy as np

from .bounded import Bounded


class Softmax:
    """A `softmax` layer, (classes, N)."""

    def __init__(self, spec):
        self.classes = spec["outputs"]

    def forward(self, inputs, params=None, *, pass_type="train", mask=None):
        """Probabilities (classes, N)."""
        p, condition = self._probabilities(inputs[0])
        return Bounded(p, p * condition, self.classes + 4)

    def inputs_grad(self, i, inputs, acts_grad, params=None, *, pass_type="train", mask=None, labels=None, coeff=1.0):
        """Gradient of the input; with `labels` (1, N) that of softmax and cost.logreg together (acts_grad unused)."""
        p, c = self._probabilities(inputs[0])
        if labels is not None:
            missing = _is_label(labels, self.classes) - p
            return Bounded(coeff * missing, abs(coeff) * (p * c + np.abs(missing)), self.classes + 6)
        v = np.asarray(acts_grad, np.float64)
        centred = v - (v * p).sum(0)
        magnitude = p * (c * np.abs(centred) + np.abs(v) + (np.abs(v) * p * c).sum(0))
        return Bounded(p * centred, magnitude, self.classes + 8)

    def _probabilities(self, x):
        below_max = np.asarray(x, np.float64) - x.max(0)
        p = np.exp(below_max)
        p /= p.sum(0)
        return p, 1 - below_max


class LogregCost:
    """A `cost.logreg` layer over labels (1, N) and probabilities (classes, N)."""

    def __init__(self, spec):
        self.coeff, self.topk = spec["coeff"], spec.get("topk", 1)

    def forward(self, inputs, params=None, *, pass_type="train", mask=None):
        """The three reported numbers, summed over the images given."""
        labels, p = inputs
        cases = np.arange(p.shape[1])
        of_label = p[labels[0].astype(int), cases]
        with np.errstate(divide="ignore"):  # no clamp: p = 0 costs inf
            logs = np.log(of_label, dtype=np.float64)
        greater, equal = (p > of_label).sum(0), (p == of_label).sum(0)
        best = of_label == np.fmax.reduce(p)
        top1 = np.where(best, 1 / np.maximum(equal, 1), 0)
        top_k = _top_credit(self.topk - greater, equal)
        entries = [
            Bounded(np.array([-logs.sum()]), np.array([np.maximum(np.abs(logs), 1).sum()]), len(cases)),
            _errors(top1),
            _errors(top_k),
        ]
        value = np.concatenate([entry.value for entry in entries])
        magnitude = np.concatenate([entry.magnitude for entry in entries])
        return Bounded(value, magnitude, np.array([entry.terms for entry in entries]))

    def inputs_grad(self, i, inputs, acts_grad=None, params=None, *, pass_type="train", mask=None):
        """Gradient of the probabilities (input 1), where no softmax takes it over."""
        labels, p = inputs
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.coeff * _is_label(labels, len(p)) / np.asarray(p, np.float64)
        return Bounded(value, np.abs(value), 2)


def _is_label(labels, classes):
    return (np.arange(classes)[:, None] == labels.reshape(1, -1)).astype(np.float64)


def _top_credit(free, equal):
    """Credit of a label with `equal` ties (itself included) and `free` places left among the best k."""
    return np.where(free <= 0, 0, np.where(equal <= free, 1, free / np.maximum(equal, 1)))


def _errors(credit):
    """N - Σ credit: exact, unless a tie was split into parts that float32 cannot hold."""
    cases = len(credit)
    rounds = cases if (credit != credit.astype(np.float32)).any() else 0
    return Bounded(np.array([cases - credit.sum()]), np.array([float(rounds)]), rounds)
