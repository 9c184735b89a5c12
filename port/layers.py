"""Layers without weights, and the table of all layers that the port can run."""

import numpy as np

from . import combine, costs, dropout, neurons, norm, pool
from .ini import ConfigError
from .layer import Layer, images, matrix
from .weight_layers import Conv, Fc


class Data(Layer):
    """A matrix of the batch."""

    def feed(self, values):
        """Take the batch's matrix, (outputs, N), as the output."""
        self.acts = np.ascontiguousarray(values, self.dtype)
        if self.acts.ndim != 2 or len(self.acts) != self.spec.outputs:
            raise ValueError(f"{self.spec.name}: expected ({self.spec.outputs}, N), actual {np.shape(values)}")
        return self.acts


class Neuron(Layer):
    """An elementwise function."""

    def _forward(self, mask):
        neuron = self.spec["neuron"]
        return neurons.neuron_forward(neuron["type"], self.inputs[0], **neuron["params"])

    def _input_grad(self, i, acts_grad):
        neuron = self.spec["neuron"]
        return neurons.neuron_backward(neuron["type"], self.inputs[0], self.acts, acts_grad, **neuron["params"])


class Pool(Layer):
    """Maximum or average of windows."""

    def __init__(self, spec, dtype, rng):
        super().__init__(spec, dtype, rng)
        self.windows = {"size": spec["sizeX"], "stride": spec["stride"], "start": spec["start"]}

    def _forward(self, mask):
        run = pool.max_pool_forward if self.spec["pool"] == "max" else pool.avg_pool_forward
        return matrix(run(images(self.inputs[0], self.spec["imgSize"]), outputs=self.spec["outputsX"], **self.windows))

    def _input_grad(self, i, acts_grad):
        size, outputs = self.spec["imgSize"], self.spec["outputsX"]
        grads = images(acts_grad, outputs)
        if self.spec["pool"] == "avg":
            return matrix(pool.avg_pool_backward(grads, img_size=size, **self.windows))
        x, acts = images(self.inputs[0], size), images(self.acts, outputs)
        return matrix(pool.max_pool_backward(x, acts, grads, **self.windows))


class CrossMapNorm(Layer):
    """Response normalisation across channels."""

    def __init__(self, spec, dtype, rng):
        super().__init__(spec, dtype, rng)
        self.constants = {"power": spec["pow"], **{key: spec[key] for key in ("size", "scale", "blocked")}}
        self.denoms = None

    def _forward(self, mask):
        x = images(self.inputs[0], self.spec["imgSize"])
        acts, self.denoms = norm.cmrnorm_forward(x, min_div=self.spec["minDiv"], **self.constants)
        return matrix(acts)

    def _input_grad(self, i, acts_grad):
        x, acts, grads = (images(array, self.spec["imgSize"]) for array in (self.inputs[0], self.acts, acts_grad))
        return matrix(norm.cmrnorm_backward(x, acts, self.denoms, grads, **self.constants))

    def release(self):
        """Forget activities, denominators and gradients."""
        super().release()
        self.denoms = None


class Dropout(Layer):
    """hs: a random mask in training, the factor ``keep`` in all other passes and where ``enable`` is false.

    Attributes
    ----------
    mask : ndarray or None
        Of the last forward pass, 0 or 1; None where none was used.
    """

    mask = None

    def _forward(self, mask):
        x, keep = self.inputs[0], self.spec["keep"]
        self.mask = None
        if self.pass_type == "train" and self.spec["enable"]:
            self.mask = (self.rng.random(x.shape) < keep if mask is None else np.asarray(mask)).astype(self.dtype)
        return dropout.dropout_forward(x, keep, self.mask)

    def _input_grad(self, i, acts_grad):
        return dropout.dropout_backward(acts_grad, self.spec["keep"], self.mask)


class Concat(Layer):
    """Inputs stacked along units."""

    def _forward(self, mask):
        return combine.concat_forward(self.inputs)

    def _input_grad(self, i, acts_grad):
        return combine.concat_backward(acts_grad, self.spec["numInputs"])[i].copy()


class EltSum(Layer):
    """Weighted sum of the inputs."""

    def _forward(self, mask):
        return combine.eltsum_forward(self.inputs, self.spec["coeffs"])

    def _input_grad(self, i, acts_grad):
        return combine.eltsum_backward(acts_grad, self.spec["coeffs"][i : i + 1])[0]


class EltMax(Layer):
    """Maximum of the inputs."""

    def _forward(self, mask):
        return combine.eltmax_forward(self.inputs)

    def _input_grad(self, i, acts_grad):
        return combine.eltmax_backward(self.inputs[i : i + 1], self.acts, acts_grad)[0]


class Softmax(Layer):
    """Probabilities of classes.

    Attributes
    ----------
    fused_cost : LogReg or None
        The only consumer, if it is a cost.logreg: then backward ignores its argument and goes through both at once.
    """

    fused_cost = None

    def _forward(self, mask):
        return costs.softmax_forward(self.inputs[0])

    def _input_grad(self, i, acts_grad):
        if self.fused_cost is None:
            return costs.softmax_backward(self.acts, acts_grad)
        return costs.softmax_logreg_backward(self.fused_cost.inputs[0], self.acts, self.fused_cost.spec["coeff"])


class LogReg(Layer):
    """cost.logreg: −Σ log p of the labels, wrong first guesses, wrong first ``topk`` guesses."""

    def _forward(self, mask):
        self.cost = costs.logreg_cost(*self.inputs, self.spec["topk"])

    def _input_grad(self, i, acts_grad):
        return costs.logreg_backward(*self.inputs, self.spec["coeff"])


RUNNABLE = {
    "data": Data,
    "conv": Conv,
    "fc": Fc,
    "neuron": Neuron,
    "pool": Pool,
    "cmrnorm": CrossMapNorm,
    "hs": Dropout,
    "concat": Concat,
    "eltsum": EltSum,
    "eltmax": EltMax,
    "softmax": Softmax,
    "cost.logreg": LogReg,
}


class UnsupportedLayer(ConfigError, NotImplementedError):
    """A layer that `load_network` reads but the port has no operation for."""


def make_layer(spec, dtype, rng):
    """The layer for a LayerSpec.

    Raises
    ------
    UnsupportedLayer
        The port has no operation for it.
    """
    wishes = [
        (spec.type not in RUNNABLE, f"layers of type {spec.type}"),
        (spec.get("pool") in ("maxabs", "rand"), f"pool={spec.get('pool')}"),
        (spec.type == "neuron" and spec["neuron"]["type"] == "nrelu", "the noisy neuron nrelu"),
        (any(spec.get("randSparse", ())), "sparse connections (randSparse)"),
        (any(spec.get("weightSourceLayers", ())), "shared weights (weightSource)"),
        (spec.get("superEps", 0) > 0, "superEps"),
    ]
    for missing, what in wishes:
        if missing:
            where = {"file": spec.file, "line": spec.line, "layer": spec.name}
            raise UnsupportedLayer(f"the port cannot run {what}", **where, hint="it can be read, but not run")
    return RUNNABLE[spec.type](spec, dtype, rng)
