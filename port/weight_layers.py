"""Layers with weights: conv and fc."""

import numpy as np

from . import conv, linear, solver
from .layer import Layer, images, matrix


class Weighted(Layer):
    """A layer with a weight matrix per input and a bias.

    Attributes
    ----------
    weights, weights_inc : list of ndarray
        W and Δ per input, in the shapes ``weightShapes``.
    weights_grad : list of ndarray or None
        G = ∂W/N (in gc passes ∂W); None where the rate is 0, and on the direct route.
    biases, biases_inc, biases_grad : ndarray
        The same for the bias, shape ``biasShape``.
    """

    def __init__(self, spec, dtype, rng):
        super().__init__(spec, dtype, rng)
        shapes = spec["weightShapes"]
        self.weights = [np.zeros(shape, dtype) for shape in shapes]
        self.weights_inc = [np.zeros(shape, dtype) for shape in shapes]
        self.weights_grad = [None] * len(shapes)
        self.biases = np.full(spec["biasShape"], spec["initB"], dtype)
        self.biases_inc = np.zeros(spec["biasShape"], dtype)
        self.biases_grad = None

    def initialise(self, rng):
        """Weights N(0, initW²), biases initB, Δ = 0 (config-format specification 13.1).

        The normals are drawn in double precision in row-major order.
        """
        for weights, deviation in zip(self.weights, self.spec["initW"], strict=True):
            weights[...] = deviation * rng.standard_normal(weights.shape)
        for inc in (*self.weights_inc, self.biases_inc):
            inc[...] = 0
        self.biases[...] = self.spec["initB"]

    def params_grad(self, acts_grad, progress=0.0):
        """Gradients of the parameters that learn."""
        for i, base in enumerate(self.spec["epsW"]):
            if base > 0:
                self._weights_grad(i, acts_grad, progress)
        if self.spec["epsB"] > 0:
            self.biases_grad = self._scaled(self._biases_grad(acts_grad))

    def _scaled(self, grads):
        """∂W/N; ∂W in gc passes."""
        if self.pass_type != "gc":
            grads *= self.dtype.type(1 / self.inputs[0].shape[1])
        return grads

    def _rate(self, kind, base, progress, normal):
        """The rate of the weights (``schedW``) or biases (``schedB``)."""
        return solver.rate(self.spec[kind], base, progress, normal)

    def _update(self, progress, normal):
        spec = self.spec
        for i, base in enumerate(spec["epsW"]):
            if base > 0:
                self._step(i, base, progress, normal)
        if spec["epsB"] > 0:
            eps = self._rate("schedB", spec["epsB"], progress, normal)
            grads = self._present("biases_grad", self.biases_grad)
            solver.update(self.biases, self.biases_inc, grads, eps=eps, mom=spec["momB"])

    def _step(self, i, base, progress, normal):
        """Update one weight matrix and hold it to its constraints."""
        spec, weights, inc = self.spec, self.weights[i], self.weights_inc[i]
        arguments = self._gradient_step(i, base, progress, normal)
        decay = spec["wc"][i] * self._rate("schedW", base, progress, normal) if spec["wc"][i] > 0 else 0.0
        solver.update(weights, inc, **arguments, decay=decay)
        if "wcNormMax" in spec:
            solver.bound_contrast(weights, spec["wcNormMin"][i], spec["wcNormMax"][i])
        solver.bound_norms(weights, spec["wballNormed"][i])

    def _gradient_step(self, i, base, progress, normal):
        """The part of the update that uses the gradient, as arguments of `solver.update`."""
        grads = self._present(f"weights_grad[{i}]", self.weights_grad[i])
        return {"grads": grads, "eps": self._rate("schedW", base, progress, normal), "mom": self.spec["momW"][i]}

    def _present(self, name, grads):
        if grads is None:
            raise ValueError(f"{self.spec.name}: there is no {name}; hint: run backward before update")
        return grads


class Conv(Weighted):
    """Convolution; several inputs add up."""

    def _geometry(self, i):
        spec = self.spec
        return {
            "filter_size": spec["filterSize"][i],
            "padding": -spec["padding"][i],
            "stride": spec["stride"][i],
            "groups": spec["groups"][i],
        }

    def _forward(self, mask):
        out = None
        for i, x in enumerate(self.inputs):
            size = self.spec["imgSize"][i]
            biases = self.biases if i == 0 else None
            more = {"img_size": size, "out": out, "accumulate": i > 0, **self._geometry(i)}
            out = conv.conv_forward(images(x, size), self.weights[i], biases, **more)
        return matrix(out)

    def _input_grad(self, i, acts_grad):
        channels, size = self.spec["channels"][i], self.spec["imgSize"][i]
        grads = images(acts_grad, self.spec["modulesX"])
        more = {"channels": channels, "img_size": size, **self._geometry(i)}
        return matrix(conv.conv_backward_images(grads, self.weights[i], **more))

    def _weights_grad(self, i, acts_grad, progress):
        x = images(self.inputs[i], self.spec["imgSize"][i])
        grads = images(acts_grad, self.spec["modulesX"])
        self.weights_grad[i] = self._scaled(conv.conv_backward_filters(x, grads, **self._geometry(i)))

    def _biases_grad(self, acts_grad):
        return conv.conv_backward_biases(images(acts_grad, self.spec["modulesX"]), self.spec["sharedBiases"])


class Fc(Weighted):
    """Fully-connected layer; several inputs add up. Its weights learn on the direct route: backward changes Δ."""

    def _forward(self, mask):
        out = None
        for i, x in enumerate(self.inputs):
            biases = self.biases if i == 0 else None
            out = linear.fc_forward(x, self.weights[i], biases, out=out, accumulate=i > 0)
        return out

    def _input_grad(self, i, acts_grad):
        return linear.fc_backward_inputs(acts_grad, self.weights[i])

    def _weights_grad(self, i, acts_grad, progress):
        """Δ ← μΔ + (ε/N)∂W; in gc passes the plain gradient instead."""
        if self.pass_type == "gc":
            out, scales = np.zeros_like(self.weights[i]), (0.0, 1.0)
            self.weights_grad[i] = out
        else:
            base = self.spec["epsW"][i]
            eps = self._rate("schedW", base, progress, self.rng.standard_normal)
            out, scales = self.weights_inc[i], (self.spec["momW"][i], eps / acts_grad.shape[1])
        linear.fc_backward_weights(self.inputs[i], acts_grad, out, *scales)

    def _biases_grad(self, acts_grad):
        return linear.fc_backward_biases(acts_grad)

    def _gradient_step(self, i, base, progress, normal):
        return {}
