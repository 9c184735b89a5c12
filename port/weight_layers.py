"""Layers with weights: the base class of all of them, and the layer types fc and treefc."""

import numpy as np
from numpy.typing import DTypeLike

from . import linear, solver, tree
from .checks import Array
from .config import LayerSpec
from .layer import Layer, Normal
from .parameters import Field, Parameter


class Weighted(Layer):
    """A layer with a weight matrix per input and a bias; `cases` is B, by default the number of images of each pass.

    A shared matrix is the `Parameter` of its owner. Of the matrices ``weights`` are W, ``weights_inc`` Δ, and
    ``weights_grad`` G = ∂W/B (in gc passes ∂W), None where the rate is 0 and on the direct route; shapes are
    ``weightShapes``. ``biases``, ``biases_inc``, ``biases_grad`` are those of the bias, of shape ``biasShape``.
    """

    direct = False  # backward changes Δ itself, unless there is a superEps

    def __init__(self, spec: LayerSpec, dtype: DTypeLike, rng: np.random.Generator) -> None:
        super().__init__(spec, dtype, rng)
        self.super_eps = spec["superEps"]
        direct = self.direct and not self.super_eps > 0
        self.parameters = [
            Parameter(np.zeros(shape, dtype), np.zeros(shape, dtype), base, mom, direct)
            for shape, base, mom in zip(spec["weightShapes"], spec["epsW"], spec["momW"], strict=True)
        ]
        self.owned = [True] * len(self.parameters)
        shape = spec["biasShape"]
        self.bias = Parameter(np.full(shape, spec["initB"], dtype), np.zeros(shape, dtype), spec["epsB"], spec["momB"])
        self.cases: int | None = None

    @property
    def blocks(self) -> int:
        """Filter banks below each other in a weight matrix."""
        return 1

    weights = property(lambda self: Field(self.parameters, "values"))
    weights_inc = property(lambda self: Field(self.parameters, "inc"))
    weights_grad = property(lambda self: Field(self.parameters, "grad"))
    biases = property(lambda self: self.bias.values, lambda self, array: setattr(self.bias, "values", array))
    biases_inc = property(lambda self: self.bias.inc, lambda self, array: setattr(self.bias, "inc", array))
    biases_grad = property(lambda self: self.bias.grad, lambda self, array: setattr(self.bias, "grad", array))

    def share(self, i: int, parameter: Parameter) -> None:
        """Use another layer's matrix for input i (network-and-solver 8.3)."""
        self.parameters[i], self.owned[i] = parameter, False

    def learns(self, i: int) -> bool:
        """Whether weight matrix i collects gradients, that is, the rates of this layer and of the owner are above 0."""
        return self.spec["epsW"][i] > 0 and self.parameters[i].base > 0

    def initialise(self, rng: np.random.Generator) -> None:
        """Own weights N(0, initW²), biases initB, Δ = 0 (config-format 13.1).

        The normals are drawn in double precision in row-major order.
        """
        for parameter, own, deviation in zip(self.parameters, self.owned, self.spec["initW"], strict=True):
            if own:
                parameter.values[...] = deviation * rng.standard_normal(parameter.values.shape)
                parameter.inc[...] = 0
        self.biases[...] = self.spec["initB"]
        self.biases_inc[...] = 0

    def forget_gradients(self) -> None:
        for parameter in (*self.parameters, self.bias):
            parameter.collected = False

    def collected(self) -> bool:
        """Whether gradients of the layer's own matrices wait for an update."""
        return any(own and one.collected for own, one in zip(self.owned, self.parameters, strict=True))

    def params_grad(self, acts_grad: Array | None, progress: float = 0.0, normal: Normal | None = None) -> None:
        """Collect the gradients of the parameters that learn."""
        for i, parameter in enumerate(self.parameters):
            if not self.learns(i):
                continue
            if parameter.direct and self.pass_type != "gc":
                eps = self._rate("schedW", self.spec["epsW"][i], progress, normal)
                eps = eps if self.quirks["rate-in-momentum"] else 1.0
                into = parameter.collect_into(self.quirks["shared-fc-overwrites"])
                self._add_weights_grad(i, acts_grad, *into, eps / self._divisor())
            else:
                parameter.collect(self._scaled(self._weights_grad(i, acts_grad)))
        if self.spec["epsB"] > 0:
            self.bias.collect(self._scaled(self._biases_grad(acts_grad)))

    def _divisor(self):
        """B; 1 in gc passes."""
        return 1 if self.pass_type == "gc" else self.cases or self.inputs[0].shape[1]

    def _scaled(self, grads):
        """∂W/B."""
        grads *= self.dtype.type(1 / self._divisor())
        return grads

    def _rate(self, kind, base, progress, normal):
        """The rate of the weights (``schedW``) or biases (``schedB``)."""
        return solver.rate(self.spec[kind], base, progress, normal or self.rng.standard_normal)

    def _update(self, progress, normal):
        self.update_weights(progress, normal)
        if self.spec["epsB"] > 0:
            self._step("biases_grad", self.bias, "schedB", progress, normal, 0.0)

    def update_weights(self, progress: float = 0.0, normal: Normal | None = None) -> None:
        """One step of the weight matrices that the layer owns; arguments as in `update`."""
        for i, parameter in enumerate(self.parameters):
            if self.owned[i] and parameter.base > 0:
                self._step(f"weights_grad[{i}]", parameter, "schedW", progress, normal, self.spec["wc"][i])
                self._constrain(i, parameter.values)

    def _step(self, name, parameter, schedule, progress, normal, decay):
        """Update one parameter."""
        arguments = {"decoupled": not self.quirks["decay-in-momentum"]}
        if not parameter.direct:
            arguments |= {"grads": self._present(name, parameter.grad), "mom": parameter.mom}
            arguments["eps"] = self._rate(schedule, parameter.base, progress, normal)
        arguments["decay"] = decay * self._rate(schedule, parameter.base, progress, normal) if decay > 0 else 0.0
        if not self.quirks["rate-in-momentum"]:
            arguments |= self._rate_outside(arguments, self._rate(schedule, parameter.base, progress, _no_noise), decay)
        if self.super_eps > 0:
            if parameter.mean is None:
                parameter.mean, parameter.square = np.zeros_like(parameter.values), np.zeros_like(parameter.values)
            averages = {"mean": parameter.mean, "square": parameter.square, "floor": self.super_eps}
            squared = not self.quirks["super-eps-mean-not-squared"]
            solver.super_update(parameter.values, parameter.inc, **arguments, **averages, squared=squared)
        else:
            solver.update(parameter.values, parameter.inc, **arguments)
        parameter.collected = False

    def _rate_outside(self, arguments, rate, decay):
        """The arguments of `solver.update` where Δ holds gradients: the rate multiplies Δ as W moves."""
        found = {"step": arguments.get("eps", rate), "decay": arguments["decay"] if arguments["decoupled"] else decay}
        return found if "eps" not in arguments else found | {"eps": 1.0}

    def _constrain(self, i, weights):
        """Scale each filter down to its greatest norm, after an update."""
        like_first = self.quirks["one-row-vectors"] and not self.direct and len(weights) == 1
        for bank in np.split(weights, self.blocks):
            solver.bound_norms(bank, self.spec["wballNormed"][i], like_first)

    def _present(self, name, grads):
        if grads is None:
            raise ValueError(f"{self.spec.name}: there is no {name}; hint: run backward before update")
        return grads

    def _weights_grad(self, i, acts_grad):
        """∂W of input i, a new array."""
        raise NotImplementedError

    def _add_weights_grad(self, i, acts_grad, inc, scale_inc, scale_new):
        """inc = scale_inc * inc + scale_new * ∂W, in place."""
        raise NotImplementedError

    def _biases_grad(self, acts_grad):
        raise NotImplementedError


def _no_noise():
    return 0.0


class Fc(Weighted):
    """Fully connected layer; several inputs add up. The weights learn on the direct route: backward changes Δ."""

    direct = True

    def _forward(self, noise):
        out = None
        for i, x in enumerate(self.inputs):
            biases = self.biases if i == 0 else None
            out = linear.fc_forward(x, self.weights[i], biases, out=out, accumulate=i > 0)
        return out

    def _input_grad(self, i, acts_grad):
        return linear.fc_backward_inputs(acts_grad, self.weights[i])

    def _weights_grad(self, i, acts_grad):
        return linear.fc_backward_weights(self.inputs[i], acts_grad, np.empty_like(self.weights[i]))

    def _add_weights_grad(self, i, acts_grad, inc, scale_inc, scale_new):
        linear.fc_backward_weights(self.inputs[i], acts_grad, inc, scale_inc, scale_new)

    def _biases_grad(self, acts_grad):
        return linear.fc_backward_biases(acts_grad)


class TreeFc(Weighted):
    """Fully-connected layer over a class tree: one weight column, an offset, per node; one output per leaf.

    Only constant rates are supported, as in the release: schedules are ignored, and so are ``wball`` and ``superEps``.
    """

    def __init__(self, spec: LayerSpec, dtype: DTypeLike, rng: np.random.Generator) -> None:
        super().__init__(spec, dtype, rng)
        self.super_eps = 0.0
        self.shape = tree.TreeShape(spec.tree)
        self._leaf_weights = None

    def initialise(self, rng: np.random.Generator) -> None:
        """Draw the offsets of the leaves as other layers draw their weights; offsets of inner nodes start at 0."""
        super().initialise(rng)
        self.weights[0][:, self.shape.classes :] = 0

    def _forward(self, noise):
        self._leaf_weights = tree.tree_weights(self.weights[0], self.shape)
        return linear.fc_forward(self.inputs[0], self._leaf_weights, self.biases)

    def _input_grad(self, i, acts_grad):
        return linear.fc_backward_inputs(acts_grad, self._leaf_weights)

    def _weights_grad(self, i, acts_grad):
        leaves = np.empty_like(self._leaf_weights)
        return tree.tree_backward(linear.fc_backward_weights(self.inputs[0], acts_grad, leaves), self.shape)

    def _biases_grad(self, acts_grad):
        return linear.fc_backward_biases(acts_grad)

    def update_weights(self, progress: float = 0.0, normal: Normal | None = None) -> None:
        """One step of the offsets."""
        parameter, spec = self.parameters[0], self.spec
        if parameter.base > 0:
            grads = self._present("weights_grad[0]", parameter.grad)
            constants = {"eps": parameter.base, "mom": parameter.mom, "decay": spec["wc"][0]}
            tree.tree_update(parameter.values, parameter.inc, grads, self.shape, **constants)
            parameter.collected = False

    def _rate(self, kind, base, progress, normal):
        """The base rate."""
        return float(np.float32(base))

    def release(self) -> None:
        """Forget activities, gradients and the weights of the leaves."""
        super().release()
        self._leaf_weights = None
