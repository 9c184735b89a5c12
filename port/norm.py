"""Response and contrast normalisation, over the pixels of a channel and across channels.

Source: network-and-solver 6.7-6.9. The order of the functions is that of the kernels in legacy/kernels/norm.cuh;
docs/concordance.md sets kernels, host functions and these functions side by side.

Over pixels, the window of a pixel at row y runs from row y - size//2 to row y - size//2 + size - 1, columns alike,
clipped to the image. Across channels, the window of channel f runs from f - size//2 to f - size//2 + size - 1, clipped
(blocked: the channels of the block of `size` that f belongs to). Over either window::

    denoms = min_div + scale * (sum of images**2 over the window)        acts = images * denoms**-power

with min_div 1 over pixels. Contrast normalisation puts in the place of the images, in the denominators alone, their
differences from the mean of the window.

NumPy does the work over pixels (`window_sums`), the loops ``cmrnorm_forward`` and ``cmrnorm_backward`` of _loops.h do
the work across channels, a thread a block of columns. Both form each sum afresh, because a running sum loses digits.
"""

from typing import Any

import numpy as np

from . import _loops, buffers
from .checks import Array, require, shaped, square
from .pool import avg_pool_backward, avg_pool_forward
from .threads import VALUE, threads_for


def rnorm_forward(images: Array, *, size: int, scale: float, power: float) -> tuple[Array, Array]:
    """Normalise each value by its neighbours in the same channel: images * (1 + scale Σ images²)**-power.

    The sums are those of `window_sums`.

    Parameters
    ----------
    images : ndarray, (C, I, I, N)
        float32 or float64.
    size : int
        Side of a window.
    scale, power : float
        The scale is already divided by size², as the layer files' parser does.

    Returns
    -------
    acts, denoms : ndarray, (C, I, I, N)

    Raises
    ------
    OperandError
        A ValueError, for a wrong shape, dtype or size; here and below.
    """
    images = square("rnorm_forward: images", images)
    return _normalise("rnorm_forward", images, images, size, scale, power)


def cnorm_forward(images: Array, *, size: int, scale: float, power: float) -> tuple[Array, Array, Array]:
    """Divide each value by the contrast of its window: images * (1 + scale Σ diffs²)**-power.

    diffs are the differences of all values from the means of their own windows; the numerator holds the images
    themselves. Parameters as `rnorm_forward`; the result is acts, denoms and diffs, (C, I, I, N) each.
    """
    images = square("cnorm_forward: images", images)
    _check_size("cnorm_forward", size)
    diffs = images - avg_pool_forward(images, size=size, stride=1, start=-(size // 2), outputs=images.shape[1])
    return *_normalise("cnorm_forward", images, diffs, size, scale, power), diffs


def cmrnorm_forward(
    images: Array, *, size: int, scale: float, power: float, min_div: float = 1.0, blocked: bool = False
) -> tuple[Array, Array]:
    """Normalise each value by its neighbours in other channels.

    Parameters and result as `rnorm_forward`, but `size` is a number of channels, by which `scale` is already divided.
    `min_div` takes the place of 1; `blocked`: fixed blocks of channels instead of sliding windows. The loop is
    ``cmrnorm_forward`` of _loops.h.
    """
    images = square("cmrnorm_forward: images", images)
    norm = _geometry("cmrnorm_forward", images, size, scale, power, min_div, blocked)
    acts, denoms = buffers.empty_like(images), buffers.empty_like(images)
    _loops.cmrnorm_forward(norm, _rows(images), _rows(acts), _rows(denoms), threads_for(VALUE * images.size))
    return acts, denoms


def rnorm_backward(
    images: Array, acts: Array, denoms: Array, grads: Array, *, size: int, scale: float, power: float
) -> Array:
    """Gradient of `rnorm_forward`, for its input and outputs, and `grads`, the gradient of acts.

    The sum runs over the pixels whose windows contain this one, the mirrored window::

        dimages = grads denoms**-power - 2 scale power images * (sum of grads acts / denoms)
    """
    images = square("rnorm_backward: images", images)
    acts, denoms, grads = _alike("rnorm_backward", images, acts, denoms, grads)
    _check_size("rnorm_backward", size)
    dimages = _through_denoms(images, acts, denoms, grads, size, scale, power)
    dimages += grads * denoms**-power
    return dimages


def cnorm_backward(
    diffs: Array,
    acts: Array,
    denoms: Array,
    grads: Array,
    *,
    size: int,
    scale: float,
    power: float,
    fixed_means: bool = False,
) -> Array:
    """Gradient of `cnorm_forward`, for its outputs, and `grads`, the gradient of acts.

    With `fixed_means`, leave out how the means depend on the images, as the release did: `rnorm_backward` with diffs in
    the place of images.
    """
    if fixed_means:
        return rnorm_backward(diffs, acts, denoms, grads, size=size, scale=scale, power=power)
    of_diffs = _through_denoms(diffs, acts, denoms, grads, size, scale, power)
    of_means = avg_pool_backward(of_diffs, img_size=diffs.shape[1], size=size, stride=1, start=-(size // 2))
    return grads * denoms**-power + (of_diffs - of_means)


def cmrnorm_backward(
    images: Array,
    acts: Array,
    denoms: Array,
    grads: Array,
    *,
    size: int,
    scale: float,
    power: float,
    blocked: bool = False,
) -> Array:
    """Gradient of `cmrnorm_forward`: the formula of `rnorm_backward`, summed over the mirrored window of channels.

    The loop is ``cmrnorm_backward`` of _loops.h.
    """
    images = square("cmrnorm_backward: images", images)
    others = _alike("cmrnorm_backward", images, acts, denoms, grads)
    norm = _geometry("cmrnorm_backward", images, size, scale, power, 0.0, blocked)
    dimages = buffers.empty_like(images)
    threads = threads_for(VALUE * images.size)
    scratch = buffers.empty((threads, len(images) * _loops.norm_block()), images.dtype)
    _loops.cmrnorm_backward(norm, _rows(images), *map(_rows, others), _rows(dimages), scratch, threads)
    return dimages


def window_sums(values: Array, size: int, mirrored: bool = False) -> Array:
    """Sum over the clipped window of each pixel of (C, I, I, N).

    `mirrored`: over the pixels whose windows contain it.
    """
    low = size // 2 - size + 1 if mirrored else -(size // 2)
    for axis in (1, 2):
        side, sums = values.shape[axis], np.zeros_like(values)
        before = (slice(None),) * axis
        for offset in range(max(low, 1 - side), min(low + size, side)):
            to = (*before, slice(max(0, -offset), side - max(0, offset)))
            sums[to] += values[(*before, slice(max(0, offset), side - max(0, -offset)))]
        values = sums
    return values


def _normalise(op: str, images: Array, centred: Array, size: int, scale: float, power: float) -> tuple[Array, Array]:
    """(acts, denoms) with the squares of `centred` in the denominators."""
    _check_size(op, size)
    denoms = window_sums(centred * centred, size)
    denoms *= denoms.dtype.type(scale)
    denoms += 1
    return images * denoms**-power, denoms


def _through_denoms(
    values: Array, acts: Array, denoms: Array, grads: Array, size: int, scale: float, power: float
) -> Array:
    """The part of the gradient that comes through the squares of `values` in the denominators."""
    found = window_sums(grads * acts / denoms, size, mirrored=True)
    found *= values
    found *= values.dtype.type(-2 * scale * power)
    return found


def _alike(op: str, images: Array, acts: Array, denoms: Array, grads: Array) -> list[Array]:
    """What a gradient needs besides the images, checked."""
    named = {"acts": acts, "denoms": denoms, "grads": grads}
    return [
        shaped(f"{op}: {name}", array, images.shape, images, "the shape of images") for name, array in named.items()
    ]


def _check_size(op: str, size: int) -> None:
    require(size >= 1, f"{op}: wrong size", "at least 1 pixel", size, "size is the side of a window")


def _geometry(
    op: str, images: Array, size: int, scale: float, power: float, min_div: float, blocked: bool
) -> dict[str, Any]:
    """The `Norm` of _loops.h, checked."""
    require(size >= 1, f"{op}: wrong size", "at least 1 channel", size, "size is the number of channels in a window")
    return dict(
        C=len(images), size=size, blocked=bool(blocked), plane=images[0].size, scale=scale, power=power, min_div=min_div
    )


def _rows(array: Array) -> Array:
    """One row per channel."""
    return array.reshape(len(array), -1)
