"""Checks of operands. Each error says what is wrong, what was expected, what was found, and how to mend the call."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .config.geometry import conv_modules

Array = NDArray[Any]
"""An array; of float32 or float64 where a docstring says nothing else."""

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
INT_MAX = 2**31 - 1


class OperandError(ValueError):
    """An operation cannot work with an array or a number."""

    def __init__(self, what: str, expected: object, actual: object, hint: str) -> None:
        super().__init__(f"{what}\n  expected: {expected}\n  actual:   {actual}\n  hint:     {hint}")
        self.hint = hint  # how to mend the call


def floats(what: str, array: ArrayLike, ndim: int | None = None, like: Array | None = None) -> Array:
    """The array, C-contiguous, after checking its dtype and number of axes.

    `what` is the operation and operand, for the message; `like` is another operand, whose dtype this one must have.
    Raises OperandError.
    """
    array = np.asarray(array)
    if array.dtype not in DTYPES:
        raise OperandError(f"{what} has the wrong dtype", "float32 or float64", array.dtype, "convert with astype")
    if like is not None and array.dtype != like.dtype:
        raise OperandError(f"{what} has the wrong dtype", like.dtype, array.dtype, "all operands share one dtype")
    if ndim is not None and array.ndim != ndim:
        hint = "images are (channels, y, x, images), matrices (units, images)"
        raise OperandError(f"{what} has the wrong number of axes", ndim, f"{array.ndim}, shape {array.shape}", hint)
    return np.ascontiguousarray(array)


def shaped(what: str, array: ArrayLike, shape: Sequence[int], like: Array, hint: str) -> Array:
    """`floats` for an operand whose whole shape is known."""
    array = floats(what, array, like=like)
    if array.shape != tuple(shape):
        raise OperandError(f"{what} has the wrong shape", tuple(shape), array.shape, hint)
    return array


def square(what: str, images: ArrayLike, like: Array | None = None) -> Array:
    """`floats` for square images (channels, y, x, images), not empty, and small enough for 32-bit strides of BLAS."""
    images = floats(what, images, 4, like)
    if images.shape[1] != images.shape[2]:
        hint = "only square images are supported; did you swap the image axis? it is the last"
        raise OperandError(f"{what} is not square", "(channels, size, size, images)", images.shape, hint)
    if images.size == 0 or images[0].size > INT_MAX:
        expected = f"1 to {INT_MAX} values per channel, at least one channel"
        raise OperandError(f"{what} has a size out of range", expected, images.shape, "use smaller batches")
    return images


def require(condition: object, what: str, expected: object, actual: object, hint: str) -> None:
    """Raise OperandError unless the condition holds."""
    if not condition:
        raise OperandError(what, expected, actual, hint)


def conv_geometry(
    op: str,
    images_shape: Sequence[int],
    num_filters: int,
    filter_size: int,
    padding: int,
    stride: int,
    groups: int,
    modules: int | None,
) -> dict[str, int]:
    """The sizes of one convolution, checked: a dict with the fields of `Conv` in _conv.h.

    `op` is the operation, for messages; images have the shape (C, I, I, N); `padding` is zeros on each side. Without
    `modules`, M is the least number that covers the padded image. Raises OperandError.
    """
    channels, img_size, _, num_images = images_shape
    widest = img_size + 2 * padding
    hint = "the network files negate the padding; pass the file's value"
    actual = f"stride {stride}, padding {padding}"
    require(stride >= 1 and padding >= 0, f"{op}: wrong step or padding", "stride >= 1, padding >= 0", actual, hint)
    hint = "the filter must fit into the padded image"
    require(1 <= filter_size <= widest, f"{op}: wrong filter_size", f"1 to {widest}", filter_size, hint)
    divides = groups >= 1 and channels % groups == 0 and num_filters % groups == 0
    actual = f"{groups} ({channels} channels, {num_filters} filters)"
    hint = "each group owns channels/groups channels and filters/groups filters"
    require(divides, f"{op}: wrong number of groups", "a divisor of channels and filters", actual, hint)
    side = modules or conv_modules(img_size, filter_size, padding, stride)
    sizes = {"K": channels // groups, "S": filter_size, "F": num_filters, "I": img_size, "M": side, "N": num_images}
    return {**sizes, "padding": padding, "stride": stride, "groups": groups}


def check_modules(what: str, grads: Array, g: dict[str, int]) -> None:
    """Raise OperandError unless `grads` have the shape (F, M, M, N) of the geometry."""
    expected = (g["F"], g["M"], g["M"], g["N"])
    require(grads.shape == expected, f"{what} have the wrong shape", expected, grads.shape, "(F, M, M, N)")
