"""Response normalisation across channels. Network specification 6.8.

With the window of channel f running from f - size//2 to f - size//2 + size - 1, clipped (blocked: the channels of the
block of `size` that f belongs to)::

    denoms = min_div + scale * (sum of images**2 over the window)        acts = images * denoms**-power

Both passes go over the data once; each sum is formed afresh, since a running sum would lose digits.
"""

import numpy as np

from . import _loops
from .checks import require, shaped, square
from .threads import VALUE, threads_for


def cmrnorm_forward(images, *, size, scale, power, min_div=1.0, blocked=False):
    """Normalise each value by its neighbours in other channels.

    Parameters
    ----------
    images : ndarray, (C, I, I, N)
        float32 or float64.
    size : int
        Channels in a window.
    scale : float
        Already divided by size, as the layer files' parser does.
    power, min_div : float
    blocked : bool
        Fixed blocks of channels instead of sliding windows.

    Returns
    -------
    acts, denoms : ndarray, (C, I, I, N)

    Raises
    ------
    OperandError
        A ValueError, for a wrong shape, dtype or size.
    """
    images = square("cmrnorm_forward: images", images)
    norm = _geometry("cmrnorm_forward", images, size, scale, power, min_div, blocked)
    acts, denoms = np.empty_like(images), np.empty_like(images)
    _loops.cmrnorm_forward(norm, _rows(images), _rows(acts), _rows(denoms), threads_for(VALUE * images.size))
    return acts, denoms


def cmrnorm_backward(images, acts, denoms, grads, *, size, scale, power, blocked=False):
    """Gradient of `cmrnorm_forward`.

    The sum runs over the channels whose windows contain this one, the mirrored window::

        dimages = grads denoms**-power - 2 scale power images * (sum of grads acts / denoms)

    Parameters
    ----------
    images, acts, denoms, grads : ndarray, (C, I, I, N)
        Input and outputs of `cmrnorm_forward`, and the gradient of acts.
    size, scale, power, blocked
        As there.

    Returns
    -------
    ndarray, (C, I, I, N)
    """
    images = square("cmrnorm_backward: images", images)
    others = [
        shaped(f"cmrnorm_backward: {name}", array, images.shape, images, "the shape of images")
        for name, array in (("acts", acts), ("denoms", denoms), ("grads", grads))
    ]
    norm = _geometry("cmrnorm_backward", images, size, scale, power, 0.0, blocked)
    dimages = np.empty_like(images)
    threads = threads_for(VALUE * images.size)
    scratch = np.empty((threads, len(images) * _loops.norm_block()), images.dtype)
    _loops.cmrnorm_backward(norm, _rows(images), *map(_rows, others), _rows(dimages), scratch, threads)
    return dimages


def _geometry(op, images, size, scale, power, min_div, blocked):
    """The `Norm` of _loops.h, checked."""
    require(size >= 1, f"{op}: wrong size", "at least 1 channel", size, "size is the number of channels in a window")
    return dict(
        C=len(images), size=size, blocked=bool(blocked), plane=images[0].size, scale=scale, power=power, min_div=min_div
    )


def _rows(array):
    """One row per channel."""
    return array.reshape(len(array), -1)
