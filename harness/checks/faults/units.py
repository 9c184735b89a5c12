"""Faults of layers over units: neurons, dropout, and layers that combine their inputs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...network.net import Net
from .fault import BOTH, Keys, Wrong, miscomputed, misread, on_input, on_result, passed_on, scene, to_half
from .planted import CorrectLayer

# Every neuron beside the others on the same values, some of them beyond 4 (softrelu).
BESIDE = {
    "relu1": "relu", "abs1": "abs", "tanh1": "tanh[1.5,0.5]", "logistic1": "logistic", "softrelu1": "softrelu",
    "square1": "square", "linear1": "linear[0.7,0.3]", "brelu1": "brelu[1.5]", "nrelu1": "nrelu",
    "drelu1": "drelu[0.8]", "ident1": "ident",
}  # fmt: skip
_BELOW = Net(40).add("fc1", "fc", "data", outputs=24)
for name, kind in BESIDE.items():
    _BELOW.add(name, "neuron", "fc1", neuron=kind)
NEURONS = scene(
    _BELOW.add("sqrt1", "neuron", "square1", neuron="sqrt"),
    "relu1,abs1,tanh1,logistic1,softrelu1,sqrt1,linear1,brelu1,nrelu1,drelu1,ident1",
)


def neuron_with(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Keys:
    """Keys of a neuron layer whose parameters are ``change(parameters)``."""
    return lambda spec: {"neuron": {**spec["neuron"], "params": change(dict(spec["neuron"]["params"]))}}


def slope_one_at_zero(layer: CorrectLayer, grads: np.ndarray) -> np.ndarray:
    """The gradient with a slope of 1 where the input is exactly 0."""
    return np.where(layer.inputs[0] == 0, layer.acts_grad, grads)


def smallest_lost(layer: CorrectLayer, grads: np.ndarray) -> np.ndarray:
    """The smallest gradient that is not 0 becomes 0."""
    grads.flat[np.where(grads == 0, np.inf, np.abs(grads)).argmin()] = 0
    return grads


def slope_of_output(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The slope of the logistic function at its output, not at its input."""
    y = layer.compute("acts")
    return layer.acts_grad * np.exp(-y) / np.square(1 + np.exp(-y))


def times_slope(slope: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Wrong:
    """The gradient times ``slope(x, y)``."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        found = layer.acts_grad * slope(layer.inputs[0], layer.compute("acts"))
        return found.astype(np.float32)

    return wrong


def last_case_kept(layer: CorrectLayer, acts: np.ndarray) -> np.ndarray:
    """The last case as the buffer had it: 0."""
    acts[:, -1] = 0
    return acts


NEURON = (
    miscomputed("relu-zero", "the slope of relu at 0 is 1", NEURONS, "relu1", grad=on_result(slope_one_at_zero),
                input="exact"),
    miscomputed("relu-gradient", "relu lets all gradients through", NEURONS, "relu1", grad=passed_on),
    miscomputed("tiny-gradient", "the smallest of all gradients becomes 0", NEURONS, "relu1",
                grad=on_result(smallest_lost)),
    miscomputed("abs-zero", "the slope of the absolute value at 0 is +1, not -1", NEURONS, "abs1",
                grad=on_result(slope_one_at_zero), input="exact"),
    misread("tanh-parameters", "the parameters of tanh[a,b] swapped", NEURONS, "tanh1",
            neuron_with(lambda params: {"a": params["b"], "b": params["a"]}), BOTH),
    miscomputed("logistic-slope", "the slope of the logistic function taken at its output", NEURONS, "logistic1",
                grad=slope_of_output),
    miscomputed("softrelu-exact", "softrelu evaluated above 4, where history returns its input", NEURONS, "softrelu1",
                acts=lambda layer, tensor: np.logaddexp(np.float32(0), layer.inputs[0])),
    miscomputed("square-slope", "the slope of the square without its 2", NEURONS, "square1",
                grad=on_result(lambda layer, grads: grads / np.float32(2))),
    misread("linear-offset", "linear[a,b] without b", NEURONS, "linear1",
            neuron_with(lambda params: {**params, "b": 0.0}), "forward acts"),
    misread("linear-slope", "linear[a,b] with the slope b", NEURONS, "linear1",
            neuron_with(lambda params: {**params, "a": params["b"]}), BOTH),
    misread("brelu-bound", "brelu[a] bounded at 1", NEURONS, "brelu1", neuron_with(lambda params: {"a": 1.0}), BOTH),
    miscomputed("brelu-gradient", "brelu lets gradients through above its bound", NEURONS, "brelu1",
                grad=times_slope(lambda x, y: x > 0)),
    miscomputed("abs-gradient", "the absolute value lets all gradients through unchanged", NEURONS, "abs1",
                grad=passed_on),
    miscomputed("tanh-slope", "the slope of tanh[a,b] without its b", NEURONS, "tanh1",
                grad=on_result(lambda layer, grads: grads / np.float32(0.5))),
    miscomputed("logistic-half", "the logistic function of inputs in half precision", NEURONS, "logistic1",
                acts=on_input(to_half)),
    miscomputed("softrelu-slope", "softrelu has the slope of relu", NEURONS, "softrelu1",
                grad=times_slope(lambda x, y: x > 0)),
    miscomputed("square-sign", "the square keeps the sign of its input", NEURONS, "square1",
                acts=lambda layer, tensor: layer.inputs[0] * np.abs(layer.inputs[0])),
    miscomputed("sqrt-slope", "the slope of the root without its 1/2", NEURONS, "sqrt1",
                grad=on_result(lambda layer, grads: grads * 2)),
    miscomputed("sqrt-input", "the slope of the root taken from its input, not its output", NEURONS, "sqrt1",
                grad=times_slope(lambda x, y: 0.5 / x)),
    miscomputed("nrelu-noise", "noise of nrelu not multiplied by its input", NEURONS, "nrelu1",
                acts=lambda layer, tensor: np.maximum(layer.inputs[0] + layer.mask, 0)),
    miscomputed("nrelu-gradient", "nrelu lets gradients through where noise made its output 0", NEURONS, "nrelu1",
                grad=lambda layer, tensor: layer.acts_grad * (layer.inputs[0] > 0)),
    misread("drelu-parameter", "drelu[a] with a = 1", NEURONS, "drelu1", neuron_with(lambda params: {"a": 1.0}), BOTH),
    miscomputed("drelu-slope", "the slope of drelu is tanh, not its square", NEURONS, "drelu1",
                grad=times_slope(lambda x, y: np.tanh(x / 0.8))),
    miscomputed("ident-stale", "the last case of an ident neuron left as the buffer had it", NEURONS, "ident1",
                acts=on_result(last_case_kept)),
    miscomputed("ident-half", "the gradient of an ident neuron in half precision", NEURONS, "ident1",
                grad=lambda layer, tensor: to_half(layer, layer.acts_grad)),
)  # fmt: skip


# Inputs of unequal lengths side by side, unequal coefficients, a keep that is no power of two.
JOINS = scene(
    Net(40)
    .add("long", "fc", "data", outputs=24)
    .add("short", "fc", "data", outputs=16)
    .add("other", "fc", "data", outputs=24)
    .add("stack", "concat", "long,short")
    .add("sum1", "eltsum", "long,other", coeffs="0.75,-1.5")
    .add("max1", "eltmax", "long,other")
    .add("drop1", "hs", "sum1", keep=0.7),
    "stack,max1,drop1",
)

# Dropout


def rescaled(layer: CorrectLayer, x: np.ndarray) -> np.ndarray:
    """Divided by the share of units that are kept."""
    return x / np.float32(layer.spec["keep"])


def all_kept(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """With a mask that lets everything through."""
    return layer.compute(tensor, mask=np.ones_like(layer.mask))


DROPOUT = (
    miscomputed("dropout-rescaled", "what is kept is divided by keep, as in later frameworks", JOINS, "drop1",
                acts=on_result(rescaled), grad=on_result(rescaled)),
    miscomputed("dropout-no-mask", "the mask ignored", JOINS, "drop1", acts=all_kept, grad=all_kept),
    misread("dropout-test", "training treated as testing: everything times keep", JOINS, "drop1",
            lambda spec: {"enable": False}, BOTH),
    miscomputed("dropout-other-mask", "another mask in the backward pass", JOINS, "drop1",
                grad=lambda layer, tensor: layer.compute(tensor, mask=np.roll(layer.mask, 1, axis=1))),
)  # fmt: skip


# Combinations


COMBINE = (
    miscomputed("concat-order", "inputs joined from the last to the first", JOINS, "stack",
                acts=lambda layer, tensor: np.concatenate(layer.inputs[::-1])),
    miscomputed("concat-gradient", "the gradient of the second input read from the start", JOINS, "stack",
                backward={"inputs_grad[1]": lambda layer, tensor: layer.acts_grad[: len(layer.inputs[1])].copy()}),
    misread("eltsum-coefficients", "a plain sum, without its coefficients", JOINS, "sum1",
            lambda spec: {"coeffs": [1.0 for _ in spec["coeffs"]]},
            "forward acts, backward inputs_grad[0], backward inputs_grad[1]"),
    miscomputed("eltsum-gradient", "the coefficients left out of the gradient", JOINS, "sum1", grad=passed_on,
                backward={"inputs_grad[1]": passed_on}),
    miscomputed("eltmax-ties", "of equal inputs only the first gets the gradient", JOINS, "max1",
                backward={"inputs_grad[1]": on_result(lambda layer, g: g * (layer.inputs[0] < layer.inputs[1]))},
                input="exact"),
    miscomputed("eltmax-gradient", "every input of a maximum gets the gradient", JOINS, "max1", grad=passed_on,
                backward={"inputs_grad[1]": passed_on}),
)  # fmt: skip


FAULTS = (*NEURON, *DROPOUT, *COMBINE)
