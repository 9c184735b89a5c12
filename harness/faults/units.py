"""Faults of layers on units: neurons, dropout, combinations of inputs, softmax and cost."""

import numpy as np

from .fault import COEFF, cases, miscomputed, misread, on_result, scene

# Every neuron beside the others on the same values, some of them beyond 4 (softrelu).
NEURONS = scene(
    "".join(
        [
            "[data]\ntype=data\ndataIdx=0\ndims=40\n[fc1]\ntype=fc\ninputs=data\noutputs=24\n",
            *(
                f"[{name}]\ntype=neuron\ninputs=fc1\nneuron={neuron}\n"
                for name, neuron in {
                    "relu1": "relu", "abs1": "abs", "tanh1": "tanh[1.5,0.5]", "logistic1": "logistic",
                    "softrelu1": "softrelu", "square1": "square", "linear1": "linear[0.7,0.3]", "brelu1": "brelu[1.5]",
                }.items()
            ),
        ]
    ),
    "relu1,abs1,tanh1,logistic1,softrelu1,square1,linear1,brelu1",
)  # fmt: skip

# Inputs of unequal lengths side by side, unequal coefficients, a keep that is no power of two.
JOINS = scene(
    """
[data]
type=data
dataIdx=0
dims=40

[long]
type=fc
inputs=data
outputs=24

[short]
type=fc
inputs=data
outputs=16

[other]
type=fc
inputs=data
outputs=24

[stack]
type=concat
inputs=long,short

[sum1]
type=eltsum
inputs=long,other
coeffs=0.75,-1.5

[max1]
type=eltmax
inputs=long,other

[drop1]
type=hs
inputs=sum1
keep=0.7
""",
    "stack,max1,drop1",
)

# Logits far apart, so that some probabilities are tiny; a second softmax that has two readers and is not fused.
COSTS = scene(
    """
[data]
type=data
dataIdx=0
dims=40

[logits]
type=fc
inputs=data
outputs=10

[open]
type=softmax
inputs=logits

[open_cost]
type=cost.logreg
inputs=labels,open

[spread]
type=fc
inputs=data
outputs=10
initW=1

[sharp]
type=softmax
inputs=spread

[sharp_cost]
type=cost.logreg
inputs=labels,sharp
""",
    "open",
)

# Logits about 100, whose exponentials overflow.
HIGH = scene(
    """
[data]
type=data
dataIdx=0
dims=40

[high]
type=fc
inputs=data
outputs=10
initB=100

[high_probs]
type=softmax
inputs=high

[high_cost]
type=cost.logreg
inputs=labels,high_probs
""",
    "data",
)

BOTH = "forward acts, backward inputs_grad[0]"
GRADIENT = "inputs_grad[0]"


def passed_on(layer, tensor):
    """The gradient as it came."""
    return layer.acts_grad.copy()


# Neurons


def neuron_with(change):
    """Keys of a neuron layer whose parameters are ``change(parameters)``."""
    return lambda spec: {"neuron": {**spec["neuron"], "params": change(dict(spec["neuron"]["params"]))}}


def slope_one_at_zero(layer, grads):
    """The gradient with a slope of 1 where the input is exactly 0."""
    return np.where(layer.inputs[0] == 0, layer.acts_grad, grads)


def smallest_lost(layer, grads):
    """The smallest gradient that is not 0 becomes 0."""
    grads.flat[np.where(grads == 0, np.inf, np.abs(grads)).argmin()] = 0
    return grads


def slope_of_output(layer, tensor):
    """The slope of the logistic function at its output, not at its input."""
    y = layer.compute("acts")
    return layer.acts_grad * np.exp(-y) / np.square(1 + np.exp(-y))


def exact_softrelu(layer, tensor):
    """log(1 + e^x) everywhere."""
    return np.logaddexp(np.float32(0), layer.inputs[0])


NEURON = (
    miscomputed("relu-zero", "the slope of relu at 0 is 1", NEURONS, "relu1",
                backward={GRADIENT: on_result(slope_one_at_zero)}, input="exact"),
    miscomputed("relu-gradient", "relu lets all gradients through", NEURONS, "relu1", backward={GRADIENT: passed_on}),
    miscomputed("tiny-gradient", "the smallest of all gradients becomes 0", NEURONS, "relu1",
                backward={GRADIENT: on_result(smallest_lost)}),
    miscomputed("abs-zero", "the slope of the absolute value at 0 is +1, not -1", NEURONS, "abs1",
                backward={GRADIENT: on_result(slope_one_at_zero)}, input="exact"),
    misread("tanh-parameters", "the parameters of tanh[a,b] swapped", NEURONS, "tanh1",
            neuron_with(lambda params: {"a": params["b"], "b": params["a"]}), BOTH),
    miscomputed("logistic-slope", "the slope of the logistic function taken at its output", NEURONS, "logistic1",
                backward={GRADIENT: slope_of_output}),
    miscomputed("softrelu-exact", "softrelu evaluated above 4, where history returns its input", NEURONS, "softrelu1",
                forward={"acts": exact_softrelu}),
    miscomputed("square-slope", "the slope of the square without its 2", NEURONS, "square1",
                backward={GRADIENT: on_result(lambda layer, grads: grads / np.float32(2))}),
    misread("linear-offset", "linear[a,b] without b", NEURONS, "linear1",
            neuron_with(lambda params: {**params, "b": 0.0}), "forward acts"),
    misread("brelu-bound", "brelu[a] bounded at 1", NEURONS, "brelu1", neuron_with(lambda params: {"a": 1.0}), BOTH),
)  # fmt: skip


# Dropout


def rescaled(layer, x):
    """Divided by the share of units that are kept."""
    return x / np.float32(layer.spec["keep"])


def all_kept(layer, tensor):
    """With a mask that lets everything through."""
    return layer.compute(tensor, mask=np.ones_like(layer.mask))


def other_mask(layer, tensor):
    """With the masks of the neighbouring cases."""
    return layer.compute(tensor, mask=np.roll(layer.mask, 1, axis=1))


DROPOUT = (
    miscomputed("dropout-rescaled", "what is kept is divided by keep, as in later frameworks", JOINS, "drop1",
                forward={"acts": on_result(rescaled)}, backward={GRADIENT: on_result(rescaled)}),
    miscomputed("dropout-no-mask", "the mask ignored", JOINS, "drop1", forward={"acts": all_kept},
                backward={GRADIENT: all_kept}),
    misread("dropout-test", "training treated as testing: everything times keep", JOINS, "drop1",
            lambda spec: {"enable": False}, BOTH),
    miscomputed("dropout-other-mask", "another mask in the backward pass", JOINS, "drop1",
                backward={GRADIENT: other_mask}),
)  # fmt: skip


# Combinations


def reversed_inputs(layer, tensor):
    """Inputs from the last to the first."""
    return np.concatenate(layer.inputs[::-1])


def from_the_start(layer, tensor):
    """The gradient of the second input read from the first row on."""
    return layer.acts_grad[: len(layer.inputs[1])].copy()


def not_if_taken(layer, grads):
    """The gradient of the second input where the first is not the maximum."""
    return grads * (layer.inputs[0] < layer.inputs[1])


COMBINE = (
    miscomputed("concat-order", "inputs joined from the last to the first", JOINS, "stack",
                forward={"acts": reversed_inputs}),
    miscomputed("concat-gradient", "the gradient of the second input read from the start", JOINS, "stack",
                backward={"inputs_grad[1]": from_the_start}),
    misread("eltsum-coefficients", "a plain sum, without its coefficients", JOINS, "sum1",
            lambda spec: {"coeffs": [1.0 for _ in spec["coeffs"]]},
            "forward acts, backward inputs_grad[0], backward inputs_grad[1]"),
    miscomputed("eltmax-ties", "of equal inputs only the first gets the gradient", JOINS, "max1",
                backward={"inputs_grad[1]": on_result(not_if_taken)}, input="exact"),
    miscomputed("eltmax-gradient", "every input of a maximum gets the gradient", JOINS, "max1",
                backward={"inputs_grad[0]": passed_on, "inputs_grad[1]": passed_on}),
)  # fmt: skip


# Softmax and cost


def across_cases(layer, tensor):
    """Normalised over the cases."""
    powers = np.exp(layer.inputs[0] - layer.inputs[0].max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def unshifted(layer, tensor):
    """Exponentials of the logits themselves."""
    with np.errstate(over="ignore", invalid="ignore"):
        powers = np.exp(layer.inputs[0])
        return powers / powers.sum(axis=0)


def next_label(layer, grads):
    """The gradient for the label after the right one, which is where the gradient is positive."""
    is_label = grads > 0
    return grads + np.float32(COEFF) * (np.roll(is_label, 1, axis=0).astype(np.float32) - is_label)


def flushed(layer, grads):
    """Gradients below a millionth are 0."""
    return np.where(np.abs(grads) < 1e-6, np.float32(0), grads)


def only_diagonal(layer, tensor):
    """p (1 - p) times the gradient."""
    p = layer.compute("acts")
    return p * (1 - p) * layer.acts_grad


COST = (
    miscomputed("softmax-axis", "softmax over the cases", COSTS, "sharp", forward={"acts": across_cases}),
    miscomputed("softmax-overflow", "softmax without subtracting the maximum", HIGH, "high_probs",
                forward={"acts": unshifted}, status="nonfinite"),
    miscomputed("softmax-tiny", "gradients of improbable classes become 0", COSTS, "sharp",
                backward={GRADIENT: on_result(flushed)}),
    miscomputed("softmax-label", "the gradient takes labels to start at 1", COSTS, "sharp",
                backward={GRADIENT: on_result(next_label)}),
    miscomputed("softmax-sign", "the gradient of the cost, not of minus the cost", COSTS, "sharp",
                backward={GRADIENT: on_result(lambda layer, grads: -grads)}),
    miscomputed("softmax-diagonal", "only the diagonal of the derivative of softmax", COSTS, "open",
                backward={GRADIENT: only_diagonal}),
    miscomputed("cost-mean", "the cost divided by the number of cases", COSTS, "sharp_cost",
                forward={"cost": on_result(lambda layer, cost: cost / cases(layer))}),
    misread("cost-topk", "one guess more than topk", COSTS, "sharp_cost", lambda spec: {"topk": spec["topk"] + 1},
            "forward cost"),
    misread("cost-coefficient", "the weight of the cost left out of the gradient", COSTS, "sharp_cost",
            lambda spec: {"coeff": 1.0}, "sharp backward inputs_grad[0]"),
    miscomputed("cost-batch", "the gradient of the cost divided by the number of cases", COSTS, "open_cost",
                backward={"inputs_grad[1]": on_result(lambda layer, grads: grads / cases(layer))}),
)  # fmt: skip

FAULTS = (*NEURON, *DROPOUT, *COMBINE, *COST)
