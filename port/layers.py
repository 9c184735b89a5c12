"""Layers without weights, and the table of all layers."""

import numpy as np
from numpy.typing import DTypeLike

from . import combine, dropout, neurons, norm, pool
from .checks import Array
from .config import LayerSpec
from .conv_layers import Conv, Local
from .cost_layers import COSTS, Softmax
from .image_layers import IMAGE_LAYERS
from .layer import Layer, images, matrix
from .weight_layers import Fc, TreeFc


class Data(Layer):
    """A matrix of the batch."""

    def __init__(self, spec: LayerSpec, dtype: DTypeLike, rng: np.random.Generator) -> None:
        super().__init__(spec, dtype, rng)
        self.rows = {spec.outputs}  # set of int: the numbers of values per image that the layer accepts

    def feed(self, values: Array) -> Array:
        """Take the batch's matrix, (outputs, N), as the output."""
        self.acts = np.ascontiguousarray(values, self.dtype)
        if self.acts.ndim != 2 or len(self.acts) not in self.rows:
            raise ValueError(f"{self.spec.name}: expected ({self.spec.outputs}, N), actual {np.shape(values)}")
        return self.acts


class Neuron(Layer):
    """An elementwise function; `backward` without a gradient passes the fused cost and the neuron in one step."""

    def _kind(self):
        """The kind of neuron, in the variant that the switches ask for."""
        kind = self.spec["neuron"]["type"]
        quirk, variant = neurons.VARIANTS.get(kind, ("", ""))
        return kind if self.quirks.get(quirk, True) else variant

    def _forward(self, noise):
        kind, params = self._kind(), dict(self.spec["neuron"]["params"])
        if self.spec["neuron"]["type"] == "nrelu":
            drawn = self.rng.standard_normal(self.inputs[0].shape) if noise is None else noise
            params["normals"] = np.asarray(drawn, self.dtype)
        return neurons.neuron_forward(kind, self.inputs[0], **params)

    def _input_grad(self, i, acts_grad):
        if acts_grad is None:
            return self.fused_cost.fused_grad(self.acts)
        at_output = self.spec["neuron"]["type"] == "softrelu" and self.quirks["softrelu-gradient-at-output"]
        x = self.acts if at_output else self.inputs[0]
        return neurons.neuron_backward(self._kind(), x, self.acts, acts_grad, **self.spec["neuron"]["params"])


class Pool(Layer):
    """Maximum, maximum of the absolute values, average, or random element of windows."""

    # ndarray: random pooling: for each output of the last forward pass the position of its pixel in the clipped window
    chosen = None

    def __init__(self, spec: LayerSpec, dtype: DTypeLike, rng: np.random.Generator) -> None:
        super().__init__(spec, dtype, rng)
        self.windows = {"size": spec["sizeX"], "stride": spec["stride"], "start": spec["start"]}
        self.kind = "max" if spec.get("doMax") else spec["pool"]

    def _forward(self, noise):
        x, more = images(self.inputs[0], self.spec["imgSize"]), {"outputs": self.spec["outputsX"], **self.windows}
        if self.kind == "rand":
            self.chosen = self._choose(x, noise, more)
            return matrix(pool.rand_pool_forward(x, self.chosen, **self.windows))
        if self.kind == "avg":
            return matrix(pool.avg_pool_forward(x, whole=self._whole(), **more))
        return matrix((pool.max_pool_forward if self.kind == "max" else pool.maxabs_pool_forward)(x, **more))

    def _whole(self):
        """Whether an average divides by the whole window, pixels outside the image included."""
        return not self.quirks["avg-pool-clipped-area"]

    def _choose(self, x, noise, more):
        """The pixel of each output: as `noise` gives it, or chosen by uniform deviates, given or drawn."""
        shape = (self.spec.outputs, x.shape[-1])
        noise = self.rng.random(shape) if noise is None else np.asarray(noise)
        noise = images(noise, self.spec["outputsX"])
        return noise if np.issubdtype(noise.dtype, np.integer) else pool.rand_pool_choose(x, noise, **more)

    def _input_grad(self, i, acts_grad):
        size, outputs = self.spec["imgSize"], self.spec["outputsX"]
        grads = images(acts_grad, outputs)
        if self.kind == "avg":
            return matrix(pool.avg_pool_backward(grads, img_size=size, whole=self._whole(), **self.windows))
        x, acts = images(self.inputs[0], size), images(self.acts, outputs)
        run = pool.max_pool_backward if self.quirks["max-ties-full"] else pool.first_pool_backward
        return matrix(run(x, acts, grads, **self.windows))


class _Norm(Layer):
    """Base of the normalisation layers."""

    denoms = None  # ndarray: the denominators of the last forward pass

    def __init__(self, spec: LayerSpec, dtype: DTypeLike, rng: np.random.Generator) -> None:
        super().__init__(spec, dtype, rng)
        self.constants = {"power": spec["pow"], "size": spec["size"], "scale": spec["scale"]}

    def _images(self, *matrices):
        return [images(array, self.spec["imgSize"]) for array in matrices]

    def release(self) -> None:
        """Forget activities, denominators and gradients."""
        super().release()
        self.denoms = None


class CrossMapNorm(_Norm):
    """Response normalisation across channels."""

    def _forward(self, noise):
        more = {"min_div": self.spec["minDiv"], "blocked": self.spec["blocked"], **self.constants}
        acts, self.denoms = norm.cmrnorm_forward(*self._images(self.inputs[0]), **more)
        return matrix(acts)

    def _input_grad(self, i, acts_grad):
        x, acts, grads = self._images(self.inputs[0], self.acts, acts_grad)
        more = {"blocked": self.spec["blocked"], **self.constants}
        return matrix(norm.cmrnorm_backward(x, acts, self.denoms, grads, **more))


class ResponseNorm(_Norm):
    """Response normalisation over windows of pixels."""

    def _forward(self, noise):
        acts, self.denoms = norm.rnorm_forward(*self._images(self.inputs[0]), **self.constants)
        return matrix(acts)

    def _input_grad(self, i, acts_grad):
        x, acts, grads = self._images(self.inputs[0], self.acts, acts_grad)
        return matrix(norm.rnorm_backward(x, acts, self.denoms, grads, **self.constants))

    def add_grad(self, i: int, total: Array, grads: Array) -> Array:
        """Add, or with the quirk on overwrite where windows are large, as the release did."""
        overwrites = self.quirks["norm-undo-add-inverted"] and self.spec["size"] >= 6
        return grads if overwrites else super().add_grad(i, total, grads)


class ContrastNorm(ResponseNorm):
    """Contrast normalisation over windows of pixels."""

    diffs = None  # ndarray: differences from the local means, of the last forward pass

    def _forward(self, noise):
        acts, self.denoms, self.diffs = norm.cnorm_forward(*self._images(self.inputs[0]), **self.constants)
        return matrix(acts)

    def _input_grad(self, i, acts_grad):
        acts, grads = self._images(self.acts, acts_grad)
        more = {"fixed_means": self.quirks["cnorm-ignores-means"], **self.constants}
        return matrix(norm.cnorm_backward(self.diffs, acts, self.denoms, grads, **more))

    def release(self) -> None:
        """Forget activities, denominators, differences and gradients."""
        super().release()
        self.diffs = None


class Dropout(Layer):
    """hs: a random mask in training, the factor ``keep`` in all other passes and where ``enable`` is false."""

    mask = None  # ndarray: the mask of the last forward pass, 0 or 1 (or 1/keep); None after a pass without a mask

    def _forward(self, noise):
        x, keep = self.inputs[0], self.spec["keep"]
        self.mask = None
        if self.pass_type == "train" and self.spec["enable"]:
            self.mask = (self.rng.random(x.shape) < keep if noise is None else np.asarray(noise)).astype(self.dtype)
            if not self.quirks["dropout-scales-in-test"]:
                self.mask /= self.dtype.type(keep)
        return dropout.dropout_forward(x, self._factor(), self.mask)

    def _factor(self):
        """The factor on all values in a pass without a mask."""
        scales = self.quirks["dropout-scales-in-test"]
        if not self.spec["enable"]:
            scales = scales and self.quirks["dropout-disabled-scales"]
        return self.spec["keep"] if scales else 1.0

    def _input_grad(self, i, acts_grad):
        return dropout.dropout_backward(acts_grad, self._factor(), self.mask)


class Concat(Layer):
    """Inputs stacked along units."""

    def _forward(self, noise):
        return combine.concat_forward(self.inputs)

    def _input_grad(self, i, acts_grad):
        return combine.concat_backward(acts_grad, self.spec["numInputs"])[i].copy()


class EltSum(Layer):
    """Weighted sum of the inputs."""

    def _forward(self, noise):
        return combine.eltsum_forward(self.inputs, self.spec["coeffs"])

    def _input_grad(self, i, acts_grad):
        return combine.eltsum_backward(acts_grad, self.spec["coeffs"][i : i + 1])[0]


class EltMax(Layer):
    """Maximum of the inputs."""

    def _forward(self, noise):
        return combine.eltmax_forward(self.inputs)

    def _input_grad(self, i, acts_grad):
        (grads,) = combine.eltmax_backward(self.inputs[i : i + 1], self.acts, acts_grad)
        if not self.quirks["max-ties-full"]:
            for earlier in self.inputs[:i]:
                grads *= earlier != self.acts
        return grads


LAYERS: dict[str, type[Layer]] = {
    "data": Data,
    "conv": Conv,
    "local": Local,
    "fc": Fc,
    "treefc": TreeFc,
    "neuron": Neuron,
    "pool": Pool,
    "rnorm": ResponseNorm,
    "cnorm": ContrastNorm,
    "cmrnorm": CrossMapNorm,
    "hs": Dropout,
    "concat": Concat,
    "eltsum": EltSum,
    "eltmax": EltMax,
    "softmax": Softmax,
    **IMAGE_LAYERS,
    **COSTS,
}
