"""Faults of dropout and of layers that combine their inputs."""

import numpy as np

from ...network.net import Net
from .fault import BOTH, miscomputed, misread, on_result, passed_on, scene
from .planted import CorrectLayer

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


FAULTS = (*DROPOUT, *COMBINE)
