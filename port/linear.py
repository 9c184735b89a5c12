"""Fully connected layers. Source: network-and-solver 6.2, 8.2.

Matrices: inputs (I, N), weights (I, O), acts and gradients (O, N), biases (1, O); I inputs, O outputs, N images.
Weights may lie in memory in C or Fortran order and are never copied. ``product`` of _gemm.pyx does the work, a thread a
block of columns.
"""

from typing import Any

import numpy as np

from . import _gemm, buffers
from .checks import Array, floats, require, shaped
from .threads import single_threaded_blas, threads_for

BLOCK = 128  # units of the longer side that one thread works on at a time


def fc_forward(
    inputs: Array, weights: Array, biases: Array | None, out: Array | None = None, accumulate: bool = False
) -> Array:
    """acts = weightsᵀ inputs + biases; O×N = (O×I)(I×N).

    The product is ``product`` of _gemm.pyx.

    Parameters
    ----------
    inputs : ndarray, (I, N)
        float32 or float64; the other arrays have the same dtype.
    weights : ndarray, (I, O)
    biases : ndarray, (1, O), or None
    out : ndarray, (O, N), optional
        C-contiguous; receives the result.
    accumulate : bool
        Add to `out` instead of overwriting it (a layer with several inputs).

    Returns
    -------
    ndarray, (O, N)

    Raises
    ------
    OperandError
        A ValueError, for a wrong shape, dtype or memory order.
    """
    inputs = floats("fc_forward: inputs", inputs, 2)
    flat, order = _weights("fc_forward: weights", weights, len(inputs), inputs)
    shape = (weights.shape[1], inputs.shape[1])
    require(out is not None or not accumulate, "fc_forward: accumulate without out", "out", None, "pass the sum so far")
    out = buffers.empty(shape, inputs.dtype) if out is None else _in_place("fc_forward: out", out, shape, inputs)
    if biases is not None:
        biases = shaped("fc_forward: biases", biases, (1, shape[0]), inputs, "one bias per output").T
    if accumulate:
        out += 0 if biases is None else biases
    else:
        out[:] = 0 if biases is None else biases
    sizes = shape[1], shape[0], len(inputs)
    _product("N", "T" if order == "C" else "N", inputs.reshape(-1), flat, out.reshape(-1), sizes, 1, 1)
    return out


def fc_backward_inputs(grads: Array, weights: Array) -> Array:
    """Gradient with respect to the inputs: weights grads; I×N = (I×O)(O×N).

    The product is ``product`` of _gemm.pyx.
    """
    grads = floats("fc_backward_inputs: grads", grads, 2)
    flat, order = _weights("fc_backward_inputs: weights", weights, np.shape(weights)[0], grads)
    shaped("fc_backward_inputs: grads", grads, (weights.shape[1], grads.shape[1]), grads, "one row per output")
    out = buffers.empty((len(weights), grads.shape[1]), grads.dtype)
    sizes = grads.shape[1], len(weights), len(grads)
    _product("N", "N" if order == "C" else "T", grads.reshape(-1), flat, out.reshape(-1), sizes, 1, 0)
    return out


def fc_backward_weights(
    inputs: Array, grads: Array, out: Array, scale_out: float = 0.0, scale_new: float = 1.0
) -> Array:
    """out = scale_out * out + scale_new * inputs gradsᵀ, in place; I×O = (I×N)(N×O).

    `out` is in C or Fortran order, and not read if scale_out is 0. The call with out = Δ, scale_out = momentum and
    scale_new = rate/images is the direct route of the weight update. The product is ``product`` of _gemm.pyx.
    """
    inputs = floats("fc_backward_weights: inputs", inputs, 2)
    grads = shaped("fc_backward_weights: grads", grads, (len(grads), inputs.shape[1]), inputs, "images as in inputs")
    flat, order = _weights("fc_backward_weights: out", out, len(inputs), inputs)
    require(
        out.shape[1] == len(grads),
        "fc_backward_weights: out has the wrong shape",
        (len(inputs), len(grads)),
        out.shape,
        "(inputs, outputs)",
    )
    first, second = (grads, inputs) if order == "C" else (inputs, grads)
    sizes = len(first), len(second), inputs.shape[1]
    _product("T", "N", first.reshape(-1), second.reshape(-1), flat, sizes, scale_new, scale_out)
    return out


def fc_backward_biases(grads: Array) -> Array:
    """Gradient with respect to the biases, summed over the images: (O, N) -> (1, O)."""
    return floats("fc_backward_biases: grads", grads, 2).sum(axis=1)[np.newaxis]


def _product(
    transa: str, transb: str, a: Array, b: Array, c: Array, sizes: tuple[int, int, int], alpha: float, beta: float
) -> None:
    """Column-major c = alpha op(a) op(b) + beta c on flat arrays; sizes (m, n, k): m×n = (m×k)(k×n)."""
    m, n, k = sizes
    with single_threaded_blas():
        _gemm.product(transa, transb, a, b, c, m, n, k, alpha, beta, BLOCK, threads_for(m * n * k))


def _weights(what: str, weights: Any, num_inputs: int, like: Array) -> tuple[Array, str]:
    """(a vector that is the memory of weights, its order "C" or "F")."""
    if isinstance(weights, np.ndarray) and weights.flags.c_contiguous:
        order, flat = "C", weights.reshape(-1)
    else:
        flags = getattr(weights, "flags", None)
        require(
            flags is not None and flags.f_contiguous,
            f"{what}: wrong memory order",
            "a contiguous array, C or F order",
            getattr(weights, "strides", type(weights)),
            "np.ascontiguousarray",
        )
        order, flat = "F", weights.T.reshape(-1)
    require(
        weights.ndim == 2 and len(weights) == num_inputs,
        f"{what}: wrong shape",
        f"({num_inputs}, outputs)",
        weights.shape,
        "this looks transposed" if weights.shape[-1] == num_inputs else "one row per input",
    )
    floats(what, flat, like=like)
    return flat, order


def _in_place(what: str, out: Array, shape: tuple[int, ...], like: Array) -> Array:
    result = shaped(what, out, shape, like, "(outputs, images)")
    require(result is out, f"{what} is not contiguous", "C order", f"strides {out.strides}", "allocate it anew")
    return out
