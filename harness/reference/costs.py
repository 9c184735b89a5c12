"""Softmax and the costs that are log-likelihoods.  Gradients are those of minus the cost: training ascends.

    softmax:    p_j = exp(x_j - max) / Σ,   dX_i = p_i (V_i - Σ V_j p_j)
    logreg:     -Σ log p_label,  N - Σ top-1 credit,  N - Σ top-k credit;      dp_j = coeff [j = label] / p_j
    crossent:   -Σ t log p,  N - Σ credit (best class with t > 0);             dp = coeff t / p
    crossent2:  -Σ (t log y + (1 - t) log(1 - y));                             dy = coeff (t/y - (1 - t)/(1 - y))

The two crossents take -50 for the logarithm of zero.  A softmax read by logreg or crossent alone is one step with it:
dX_i = coeff (t_i - p_i Σ t), where t is 1 for the label and 0 elsewhere, or the distribution.  (Likewise a logistic
neuron and crossent2: coeff (t - y), in neurons.py.)

Error model: exp(x - max) has relative error 1 + |x - max|.  All classes are divided by one sum, of positive and often
nearly equal numbers, whose roundings conspire when it is added up serially: it enters with its deterministic error, one
u per class.  So for p, n = classes + 4, M = p c, c = 1 + |x - max| + classes / (8 √n).  Gradients take those of p times
what multiplies it.  For the logarithms n counts what is
added and M = Σ |t| max(|log p|, 1), since near p = 1 a fast logarithm is accurate absolutely, not relatively.  Counts
are exact.

Source: network-and-solver 3, 6.10, 7.1 to 7.3; pool-norm 7.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .bounded import Bounded
from .layer import Arrays, Cost, Layer, LayerSpec

_LOG_OF_ZERO = -50.0


class Softmax(Layer):
    """A `softmax` layer, (classes, N)."""

    fuses_with = ("cost.logreg", "cost.crossent")

    @staticmethod
    def operations(spec: Mapping[str, Any] | LayerSpec, forward: bool) -> int:
        """Maximum, difference, exponential and quotient."""
        return 4

    backward_reads = ("acts",)

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.classes = spec["outputs"]

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Probabilities (classes, N)."""
        p, condition = self._probabilities(inputs[0])
        return Bounded(p, p * condition, self.classes + 4)

    def inputs_grad(
        self,
        i: int,
        inputs: Arrays,
        acts_grad: np.ndarray,
        params: object = None,
        *,
        labels: np.ndarray | None = None,
        targets: np.ndarray | None = None,
        coeff: float = 1.0,
        **_: object,
    ) -> Bounded:
        """Gradient of the input.

        With `labels` (1, N) that of softmax and cost.logreg together, with `targets` (classes, N) that of softmax and
        cost.crossent together (acts_grad unused).
        """
        p, c = self._probabilities(inputs[0])
        if labels is not None:
            targets = _is_label(labels, self.classes)
        if targets is not None:
            return self._grad_with_cost(p, c, np.asarray(targets, np.float64), coeff)
        v = np.asarray(acts_grad, np.float64)
        centred = v - (v * p).sum(0)
        magnitude = p * (c * np.abs(centred) + np.abs(v) + (np.abs(v) * p * c).sum(0))
        return Bounded(p * centred, magnitude, self.classes + 8)

    def _grad_with_cost(self, p: np.ndarray, c: np.ndarray, targets: np.ndarray, coeff: float) -> Bounded:
        missing = targets - p * targets.sum(0)
        magnitude = p * c * np.abs(targets).sum(0) + np.abs(missing)
        return Bounded(coeff * missing, abs(coeff) * magnitude, self.classes + 6)

    def _probabilities(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        below_max = np.asarray(x, np.float64) - x.max(0)
        p = np.exp(below_max)
        p /= p.sum(0)
        return p, 1 - below_max + self.classes / (8 * np.sqrt(self.classes + 4))


class LogregCost(Cost):
    """A `cost.logreg` layer over labels (1, N) and probabilities (classes, N)."""

    labels, fused_labels = "classes", "labels"

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.coeff, self.topk = spec["coeff"], spec.get("topk", 1)

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """The three reported numbers, summed over the images given."""
        labels, p = inputs
        of_label = chosen(p, labels)
        with np.errstate(divide="ignore"):  # no clamp: p = 0 costs inf
            logs = np.log(of_label, dtype=np.float64)
        likelihood = total(-logs, np.maximum(np.abs(logs), 1), len(logs))
        return entries(likelihood, *label_errors(labels, p, self.topk))

    def inputs_grad(
        self, i: int, inputs: Arrays, acts_grad: object = None, params: object = None, **_: object
    ) -> Bounded:
        """Gradient of the probabilities (input 1), where no softmax takes it over."""
        labels, p = inputs
        with np.errstate(divide="ignore"):
            of_label = np.divide(self.coeff, p, dtype=np.float64)
        value = np.where(_is_label(labels, len(p)), of_label, 0)
        return Bounded(value, np.abs(value), 2)


class CrossEntropyCost(Cost):
    """A `cost.crossent` layer over distributions and probabilities, both (classes, N)."""

    labels, labels_per_class, fused_labels = "distribution", True, "targets"

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """The two reported numbers, summed over the images given."""
        targets, p = inputs
        logs = _safe_log(p)
        best = p == np.fmax.reduce(p)
        credit = (best & (targets > 0)).any(0) / np.maximum(best.sum(0), 1)
        likelihood = total(-targets * logs, np.abs(targets) * np.maximum(np.abs(logs), 1), p.size)
        return entries(likelihood, _errors(credit))

    def inputs_grad(
        self, i: int, inputs: Arrays, acts_grad: object = None, params: object = None, **_: object
    ) -> Bounded:
        """Gradient of the probabilities (input 1), where no softmax takes it over."""
        targets, p = inputs
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.coeff * np.divide(targets, p, dtype=np.float64)
        return Bounded(value, np.abs(value), 2)


class BinaryCrossEntropyCost(Cost):
    """A `cost.crossent2` layer over targets and probabilities, both (units, N)."""

    labels, labels_per_class, fused_labels = "targets", True, "targets"

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """The reported number, summed over the images given."""
        t, y = (np.asarray(x, np.float64) for x in inputs)
        yes, no = _safe_log(y), _safe_log(1 - y)
        size = np.abs(t) * np.maximum(np.abs(yes), 1) + np.abs(1 - t) * np.maximum(np.abs(no), 1)
        return total(-(t * yes + (1 - t) * no), size, 2 * y.size)

    def inputs_grad(
        self, i: int, inputs: Arrays, acts_grad: object = None, params: object = None, **_: object
    ) -> Bounded:
        """Gradient of the probabilities (input 1), where no logistic neuron takes it over."""
        t, y = (np.asarray(x, np.float64) for x in inputs)
        with np.errstate(divide="ignore", invalid="ignore"):
            yes, no = t / y, (1 - t) / (1 - y)
            return Bounded(self.coeff * (yes - no), abs(self.coeff) * (np.abs(yes) + np.abs(no)), 6)


# What the costs share.


def chosen(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The row of x that the label names, for every case: (N,)."""
    return x[labels[0].astype(int), np.arange(x.shape[1])]


def label_errors(labels: np.ndarray, x: np.ndarray, k: int) -> tuple[Bounded, Bounded]:
    """N - Σ top-1 credit and N - Σ top-k credit of labels (1, N), ranked by x (classes, N)."""
    of_label = chosen(x, labels)
    greater, equal = (x > of_label).sum(0), (x == of_label).sum(0)
    best = of_label == np.fmax.reduce(x)
    top1 = np.where(best, 1 / np.maximum(equal, 1), 0)
    return _errors(top1), _errors(_top_credit(k - greater, equal))


def total(terms: np.ndarray, magnitudes: np.ndarray, count: int) -> Bounded:
    """One reported number: the sum of `count` terms."""
    return Bounded(np.array([terms.sum()]), np.array([magnitudes.sum()]), count)


def entries(*numbers: Bounded) -> Bounded:
    """The reported numbers of a cost, in a row."""
    value = np.concatenate([number.value for number in numbers])
    magnitude = np.concatenate([number.magnitude for number in numbers])
    return Bounded(value, magnitude, np.array([number.terms for number in numbers]))


def _is_label(labels: np.ndarray, classes: int) -> np.ndarray:
    return (np.arange(classes)[:, None] == labels.reshape(1, -1)).astype(np.float64)


def _safe_log(x: np.ndarray) -> np.ndarray:
    positive = x > 0
    return np.where(positive, np.log(np.where(positive, x, 1), dtype=np.float64), _LOG_OF_ZERO)


def _top_credit(free: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """Credit of a label with `equal` ties (itself included) and `free` places left among the best k."""
    return np.where(free <= 0, 0, np.where(equal <= free, 1, free / np.maximum(equal, 1)))


def _errors(credit: np.ndarray) -> Bounded:
    """N - Σ credit: exact, unless a tie was split into parts that float32 cannot hold."""
    cases = len(credit)
    rounds = cases if (credit != credit.astype(np.float32)).any() else 0
    return Bounded(np.array([cases - credit.sum()]), np.array([float(rounds)]), rounds)
