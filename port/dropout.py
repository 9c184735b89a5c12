"""Dropout (layer type hs), which rescales in all passes but training. Source: network-and-solver 6.14."""

import numpy as np

from . import buffers
from .checks import Array, floats, shaped


def dropout_forward(x: Array, keep: float, mask: Array | None = None) -> Array:
    """mask * x in training; keep * x in all other passes (mask None).

    `x` is float32 or float64 of any shape; `keep` is the probability that a unit is kept, the mask 0 or 1 per value,
    dtype of x. Raises OperandError, a ValueError, for a wrong shape or dtype.
    """
    x = floats("dropout: values", x)
    if mask is None:
        return np.multiply(x, x.dtype.type(keep), out=buffers.empty_like(x))
    mask = shaped("dropout: mask", mask, x.shape, x, "one 0 or 1 per value, same dtype")
    return np.multiply(x, mask, out=buffers.empty_like(x))


def dropout_backward(grads: Array, keep: float, mask: Array | None = None) -> Array:
    """Gradient of `dropout_forward`, which is linear: the same factors on the gradient."""
    return dropout_forward(grads, keep, mask)
