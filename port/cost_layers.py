"""Softmax and the cost layers. Labels and targets, the first input of most costs, get no gradient."""

import numpy as np

from . import costs, msm
from .checks import Array
from .layer import VIEWS, Layer, images, matrix


class Softmax(Layer):
    """Probabilities of classes; `backward` without a gradient passes the fused cost and the softmax in one step."""

    def _forward(self, noise):
        return costs.softmax_forward(self.inputs[0])

    def _input_grad(self, i, acts_grad):
        if acts_grad is None:
            return self.fused_cost.fused_grad(self.acts)
        return costs.softmax_backward(self.acts, acts_grad)


class LogReg(Layer):
    """cost.logreg: −Σ log p of the labels, wrong first guesses, wrong first ``topk`` guesses."""

    # ndarray: after the last of several views: the probabilities averaged over the views. The cost is that of the
    # averages; passes over the other views report no cost.
    mean_probs = None
    _views = 0

    def _forward(self, noise):
        labels, probs = self.inputs
        if self.pass_type in VIEWS:
            probs = self._averaged(probs)
        self.cost = None if probs is None else costs.logreg_cost(labels, probs, self.spec["topk"])

    def _averaged(self, probs):
        """Add the probabilities of a view; return the mean after the last view, None before."""
        if self.pass_type == "first_view":
            self.mean_probs, self._views = probs.copy(), 1
            return None
        if not self._views:
            raise ValueError(f"{self.spec.name}: there is no first view; hint: pass types first_view ... last_view")
        self.mean_probs += probs
        self._views += 1
        if self.pass_type == "middle_view":
            return None
        self.mean_probs /= self._views
        self._views = 0
        return self.mean_probs

    def _input_grad(self, i, acts_grad):
        return costs.logreg_backward(*self.inputs, self.spec["coeff"]) if i == 1 else None

    def fused_grad(self, probs: Array) -> Array:
        """Gradient for the input of the softmax below."""
        return costs.softmax_logreg_backward(self.inputs[0], probs, self.spec["coeff"])


class MultiSoftmax(Layer):
    """cost.msm: −Σ log P(label in the set), wrong first guesses, wrong first ``setSize`` guesses."""

    marginals = None  # ndarray: P(class in the set) of the last forward pass, float64

    def _forward(self, noise):
        self.cost, self.marginals = msm.msm_cost(*self.inputs, self.spec["setSize"], add=self._add_logs())

    def _add_logs(self):
        return msm.add_logs_roughly if self.quirks["msm-log-shortcuts"] else np.logaddexp

    def _input_grad(self, i, acts_grad):
        if i == 0:
            return None
        more = {"coeff": self.spec["coeff"], "add": self._add_logs()}
        return msm.msm_backward(*self.inputs, self.marginals, self.spec["setSize"], **more)

    def release(self) -> None:
        """Forget inputs, marginals and gradients."""
        super().release()
        self.marginals = None


class CrossEntropy(Layer):
    """cost.crossent: −Σ t log p, and wrong first guesses."""

    def _forward(self, noise):
        self.cost = costs.crossent_cost(*self.inputs)

    def _input_grad(self, i, acts_grad):
        return costs.crossent_backward(*self.inputs, self.spec["coeff"]) if i == 1 else None

    def fused_grad(self, probs: Array) -> Array:
        """Gradient for the input of the softmax below."""
        return costs.softmax_crossent_backward(self.inputs[0], probs, self.spec["coeff"])


class CrossEntropy2(Layer):
    """cost.crossent2: −Σ (t log y + (1−t) log(1−y))."""

    def _forward(self, noise):
        self.cost = costs.crossent2_cost(*self.inputs)

    def _input_grad(self, i, acts_grad):
        if i != 1:
            return None
        return costs.crossent2_backward(*self.inputs, self.spec["coeff"], wrong_sign=self.quirks["crossent2-sign"])

    def fused_grad(self, y: Array) -> Array:
        """Gradient for the input of the logistic neuron below."""
        return costs.logistic_crossent2_backward(self.inputs[0], y, self.spec["coeff"])


class RFlickr(Layer):
    """cost.rflickr: Σ log(1 + (y−t)²)."""

    def _forward(self, noise):
        self.cost = costs.rflickr_cost(*self.inputs)

    def _input_grad(self, i, acts_grad):
        return costs.rflickr_backward(*self.inputs, self.spec["coeff"]) if i == 1 else None


class Sum2(Layer):
    """cost.sum2: Σ x²."""

    def _forward(self, noise):
        self.cost = costs.sum2_cost(self.inputs[0])

    def _input_grad(self, i, acts_grad):
        return costs.sum2_backward(self.inputs[0], self.spec["coeff"])


class GatedSum2(Layer):
    """cost.gsum2: Σ gate x²."""

    def _forward(self, noise):
        self.cost = costs.gsum2_cost(*self._operands())

    def _input_grad(self, i, acts_grad):
        return costs.gsum2_backward(*self._operands(), self.spec["coeff"])[i]

    def _operands(self):
        """Gates and values; with the quirk on and one value per case, all cases take the gate of the first case."""
        gate, x = self.inputs
        like_first = self.quirks["one-row-vectors"] and len(x) == 1
        return (np.repeat(gate[:, :1], gate.shape[1], axis=1) if like_first else gate), x


class Tica(Layer):
    """cost.tica: reports Σ 1/(0.001+√E); the gradient is that of another objective, as in the release."""

    reciprocals = None  # ndarray: 1/(0.001+√E) of the last forward pass

    def _forward(self, noise):
        x = images(self.inputs[0], self.spec["imgSize"])
        self.cost, self.reciprocals = costs.tica_forward(x, size=self.spec["sizeX"])

    def _input_grad(self, i, acts_grad, root=False):
        x, more = images(self.inputs[0], self.spec["imgSize"]), {"size": self.spec["sizeX"], "root": root}
        more |= {"coeff": self.spec["coeff"], "mirrored": not self.quirks["tica-window-not-mirrored"]}
        return matrix(costs.tica_backward(x, self.reciprocals, **more))

    def add_grad(self, i: int, total: Array, grads: Array) -> Array:
        """Add the gradient; with the quirk on its sum under a root, as the release did."""
        return super().add_grad(
            i, total, self._input_grad(i, None, True) if self.quirks["tica-accumulate-root"] else grads
        )

    def release(self) -> None:
        """Forget inputs, reciprocals and gradients."""
        super().release()
        self.reciprocals = None


COSTS = {
    "cost.logreg": LogReg,
    "cost.msm": MultiSoftmax,
    "cost.crossent": CrossEntropy,
    "cost.crossent2": CrossEntropy2,
    "cost.rflickr": RFlickr,
    "cost.sum2": Sum2,
    "cost.gsum2": GatedSum2,
    "cost.tica": Tica,
}
