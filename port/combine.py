"""Layers that join several inputs: sum, maximum, concatenation, in NumPy. Source: network-and-solver 6.11-6.13."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import Array, floats, require, shaped


def eltsum_forward(inputs: Sequence[Array], coeffs: Sequence[float] | None = None) -> Array:
    """Sum of coeff * input, of inputs of one shape and dtype, float32 or float64; coefficients are ones by default.

    Raises OperandError, a ValueError, for different shapes, dtypes or numbers of coefficients.
    """
    inputs = _same("eltsum_forward", inputs)
    coeffs = _coeffs("eltsum_forward", coeffs, len(inputs))
    acts = inputs[0] * inputs[0].dtype.type(coeffs[0])
    for x, coeff in zip(inputs[1:], coeffs[1:], strict=True):
        acts += x * x.dtype.type(coeff)
    return acts


def eltsum_backward(grads: Array, coeffs: Sequence[float]) -> list[Array]:
    """List of coeff * grads, one per input."""
    grads = floats("eltsum_backward: grads", grads)
    return [grads * grads.dtype.type(coeff) for coeff in coeffs]


def eltmax_forward(inputs: Sequence[Array]) -> Array:
    """Elementwise maximum of two or more arrays of one shape: a > b ? a : b, from the first input on."""
    first, *others = _same("eltmax_forward", inputs)
    acts = first.copy()
    for x in others:
        acts = np.where(x > acts, x, acts)
    return acts


def eltmax_backward(inputs: Sequence[Array], acts: Array, grads: Array) -> list[Array]:
    """List of gradients, one per input: every input equal to the maximum gets all of it."""
    inputs = _same("eltmax_backward", inputs)
    acts = shaped("eltmax_backward: acts", acts, inputs[0].shape, inputs[0], "the shape of the inputs")
    grads = shaped("eltmax_backward: grads", grads, acts.shape, acts, "the shape of the inputs")
    return [grads * (x == acts) for x in inputs]


def concat_forward(inputs: Sequence[Array]) -> Array:
    """Stack along the first axis (units or channels), in list order."""
    inputs = [floats(f"concat_forward: inputs[{i}]", x, like=inputs[0]) for i, x in enumerate(inputs)]
    rests = {x.shape[1:] for x in inputs}
    require(len(rests) == 1, "concat_forward: inputs differ", "one shape but for the first axis", rests, "same images")
    return np.concatenate(inputs)


def concat_backward(grads: Array, sizes: Sequence[int]) -> list[Array]:
    """List of the slices of grads that belong to inputs with these lengths of the first axis (views)."""
    grads = floats("concat_backward: grads", grads)
    require(sum(sizes) == len(grads), "concat_backward: sizes do not add up", len(grads), sum(sizes), "one per input")
    return np.split(grads, np.cumsum(sizes[:-1]))


def _same(op: str, inputs: Sequence[Any]) -> list[Any]:
    require(len(inputs) > 0, f"{op}: no inputs", "one or more", 0, "pass a list of arrays")
    first = floats(f"{op}: inputs[0]", inputs[0])
    return [
        shaped(f"{op}: inputs[{i}]", x, first.shape, first, "all inputs have one shape") for i, x in enumerate(inputs)
    ]


def _coeffs(op: str, coeffs: Sequence[float] | None, count: int) -> list[Any]:
    coeffs = [1.0] * count if coeffs is None else list(coeffs)
    require(len(coeffs) == count, f"{op}: wrong number of coefficients", count, len(coeffs), "one per input")
    return coeffs
