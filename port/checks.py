"""Checks of operands: every error says what, expected, actual and a hint."""

import numpy as np

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
INT_MAX = 2**31 - 1


class OperandError(ValueError):
    """An array or number that an operation cannot work with.

    Attributes
    ----------
    hint : str
        What to do about it.
    """

    def __init__(self, what, expected, actual, hint):
        super().__init__(f"{what}\n  expected: {expected}\n  actual:   {actual}\n  hint:     {hint}")
        self.hint = hint


def floats(what, array, ndim=None, like=None):
    """The array, C-contiguous, after checking its dtype and number of axes.

    Parameters
    ----------
    what : str
        Operation and operand, for the message.
    array : ndarray
    ndim : int, optional
        Required number of axes.
    like : ndarray, optional
        Another operand, whose dtype this one must have.

    Raises
    ------
    OperandError
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


def shaped(what, array, shape, like, hint):
    """`floats` for an operand whose whole shape is known."""
    array = floats(what, array, like=like)
    if array.shape != tuple(shape):
        raise OperandError(f"{what} has the wrong shape", tuple(shape), array.shape, hint)
    return array


def square(what, images, like=None):
    """`floats` for square images (channels, y, x, images), not empty and small enough for BLAS's 32-bit strides."""
    images = floats(what, images, 4, like)
    if images.shape[1] != images.shape[2]:
        hint = "only square images are supported; did you swap the image axis? it is the last"
        raise OperandError(f"{what} is not square", "(channels, size, size, images)", images.shape, hint)
    if images.size == 0 or images[0].size > INT_MAX:
        expected = f"1 to {INT_MAX} values per channel, at least one channel"
        raise OperandError(f"{what} has a size out of range", expected, images.shape, "use smaller batches")
    return images


def require(condition, what, expected, actual, hint):
    """Raise OperandError unless the condition holds."""
    if not condition:
        raise OperandError(what, expected, actual, hint)
