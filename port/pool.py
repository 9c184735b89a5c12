"""Pooling over square windows of each channel: maximum, largest magnitude, average, random pixel.

Source: network-and-solver 6.6. The order of the functions is that of the kernels in legacy/kernels/pool.cuh: first all
forward passes, then all gradients. docs/concordance.md sets kernels, host functions and these functions side by side.

Output (oy, ox) covers the rows from start + stride oy to start + stride oy + size - 1 (columns alike), clipped to the
image. Arrays are (channels, y, x, images) in float32 or float64; letters: I image side, O outputs per side.

The loops ``max_pool_*`` and ``avg_pool_*`` of _loops.h do the work of the functions with the same name, a thread a
channel; the other functions work in NumPy, one place of the window at a time (`_taps`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from . import _loops, buffers
from .checks import Array, require, shaped, square
from .config.geometry import pool_outputs
from .threads import VALUE, threads_for


def max_pool_forward(images: Array, *, size: int, stride: int, start: int = 0, outputs: int | None = None) -> Array:
    """Maximum of each window. A window that is empty, or has no value above -2e38, gives -2e38; a NaN never wins.

    The loop is ``max_pool_forward`` of _loops.h.

    Parameters
    ----------
    images : ndarray, (C, I, I, N)
    size, stride, start : int
        Side of a window, step, and first row and column of the first window, not positive.
    outputs : int, optional
        O; by default as many as it takes to cover the image.

    Returns
    -------
    ndarray, (C, O, O, N)

    Raises
    ------
    OperandError
        A ValueError, for a wrong shape, dtype or geometry; here and below.
    """
    images = square("max_pool_forward: images", images)
    pool = _geometry("max_pool_forward", images.shape, size, stride, start, outputs)
    acts = _empty_acts(pool, images)
    _loops.max_pool_forward(pool, _rows(images), _rows(acts), _threads(images))
    return acts


def maxabs_pool_forward(images: Array, *, size: int, stride: int, start: int = 0, outputs: int | None = None) -> Array:
    """The value of largest magnitude in each window, with its sign; parameters as in `max_pool_forward`.

    The search starts from 0. Of equal magnitudes the last in scan order (rows from the top, each from left to right)
    wins. The gradient is `max_pool_backward`, which compares values with their signs.
    """
    images = square("maxabs_pool_forward: images", images)
    pool = _geometry("maxabs_pool_forward", images.shape, size, stride, start, outputs)
    acts = buffers.zeros((len(images), pool["O"], pool["O"], pool["N"]), images.dtype)
    for to, source, _ in _taps(pool):
        best, new = acts[to], images[source]
        np.copyto(best, new, where=~(np.abs(best) > np.abs(new)))
    return acts


def avg_pool_forward(
    images: Array, *, size: int, stride: int, start: int = 0, outputs: int | None = None, whole: bool = False
) -> Array:
    """Sum of each window divided by the number of its pixels inside the image; with `whole`, divided by size².

    The other parameters are those of `max_pool_forward`. The loop is ``avg_pool_forward`` of _loops.h.
    """
    images = square("avg_pool_forward: images", images)
    pool = _geometry("avg_pool_forward", images.shape, size, stride, start, outputs)
    last = start + (pool["O"] - 1) * stride
    require(
        start + size > 0 and last < pool["I"],
        "avg_pool_forward: a window lies outside the image",
        f"windows that overlap 0 ... {pool['I'] - 1}",
        f"windows {start} ... {last + size - 1}",
        "fewer outputs",
    )
    acts = _empty_acts(pool, images)
    _loops.avg_pool_forward(pool, _rows(images), _rows(acts), _threads(images))
    return acts * _share_inside(pool, images.dtype) if whole else acts


def rand_pool_choose(
    images: Array, uniforms: Array, *, size: int, stride: int, start: int = 0, outputs: int | None = None
) -> Array:
    """Choose one pixel of each window at random: its position in the clipped window, in scan order, (C, O, O, N).

    The law is this project's, since the release's law is not known: the probability of a pixel is proportional to its
    value if the value is positive, else 0; in a window without positive values all pixels are equally likely. With the
    pixels of the clipped window in scan order, the choice is the first pixel at which the running sum of the positive
    values exceeds the uniform deviate times their total.

    `uniforms` are (C, O, O, N) in [0, 1); the other parameters are those of `max_pool_forward`.
    """
    images = square("rand_pool_choose: images", images)
    pool = _geometry("rand_pool_choose", images.shape, size, stride, start, outputs)
    shape = (len(images), pool["O"], pool["O"], pool["N"])
    uniforms = np.asarray(uniforms, np.float64)
    hint = "one uniform deviate for every output"
    require(uniforms.shape == shape, "rand_pool_choose: uniforms have the wrong shape", shape, uniforms.shape, hint)
    total, area = np.zeros(shape), np.zeros((pool["O"], pool["O"], 1))
    for to, source, _ in _taps(pool):
        total[to] += np.maximum(images[source], 0)
        area[to[1:3]] += 1
    level, passed, chosen = uniforms * total, np.zeros(shape), np.zeros(shape, np.intp)
    for to, source, _ in _taps(pool):
        passed[to] += np.maximum(images[source], 0)
        chosen[to] += passed[to] <= level[to]
    chosen = np.where(total > 0, chosen, (uniforms * area).astype(np.intp))
    return np.minimum(chosen, area.astype(np.intp) - 1)


def rand_pool_forward(images: Array, chosen: Array, *, size: int, stride: int, start: int = 0) -> Array:
    """The pixel of each window, (C, O, O, N), that `chosen` names: integers as `rand_pool_choose` returns them.

    The gradient is `max_pool_backward`: every pixel equal to the chosen one gets the window's gradient.
    """
    images, chosen = square("rand_pool_forward: images", images), np.asarray(chosen)
    _check_acts("rand_pool_forward: chosen", chosen, images)
    pool = _geometry("rand_pool_forward", images.shape, size, stride, start, chosen.shape[1])
    acts, found = _empty_acts(pool, images), np.zeros(chosen.shape, bool)
    for to, source, position in _taps(pool):
        here = chosen[to] == position
        np.copyto(acts[to], images[source], where=here)
        found[to] |= here
    wrong = chosen[~found][:5]
    require(found.all(), "rand_pool_forward: no such pixel", "positions in the clipped windows", wrong, "from 0 on")
    return acts


def max_pool_backward(images: Array, acts: Array, grads: Array, *, size: int, stride: int, start: int = 0) -> Array:
    """Gradient of `max_pool_forward`: every pixel equal to its window's maximum gets the window's whole gradient.

    `acts` and `grads`, (C, O, O, N), are the output of `max_pool_forward` and its gradient. Pixels that no window
    covers get 0. The comparison is a factor 0 or 1: an infinite gradient leaves NaN behind. The loop is
    ``max_pool_backward`` of _loops.h.
    """
    images = square("max_pool_backward: images", images)
    acts = square("max_pool_backward: acts", acts, like=images)
    pool = _geometry("max_pool_backward", images.shape, size, stride, start, acts.shape[1])
    _check_acts("max_pool_backward: acts", acts, images)
    grads = shaped("max_pool_backward: grads", grads, acts.shape, images, "the shape of acts")
    dimages = buffers.empty_like(images)
    _loops.max_pool_backward(pool, _rows(images), _rows(acts), _rows(grads), _rows(dimages), _threads(dimages))
    return dimages


def first_pool_backward(images: Array, acts: Array, grads: Array, *, size: int, stride: int, start: int = 0) -> Array:
    """Gradient of `max_pool_forward`, of equal pixels given to the first in scan order alone.

    Parameters and result as in `max_pool_backward`.
    """
    images = square("first_pool_backward: images", images)
    acts = square("first_pool_backward: acts", acts, like=images)
    pool = _geometry("first_pool_backward", images.shape, size, stride, start, acts.shape[1])
    _check_acts("first_pool_backward: acts", acts, images)
    grads = shaped("first_pool_backward: grads", grads, acts.shape, images, "the shape of acts")
    dimages, free = np.zeros_like(images), np.ones(acts.shape, bool)
    for to, source, _ in _taps(pool):
        hit = (images[source] == acts[to]) & free[to]
        free[to] &= ~hit
        dimages[source] += grads[to] * hit
    return dimages


def avg_pool_backward(
    grads: Array, *, img_size: int, size: int, stride: int, start: int = 0, whole: bool = False
) -> Array:
    """Gradient of `avg_pool_forward`: each pixel of a window gets the window's gradient divided by its clipped area.

    `grads` are (C, O, O, N), the result is (C, I, I, N) with I = `img_size`. The loop is ``avg_pool_backward`` of
    _loops.h.
    """
    grads = square("avg_pool_backward: grads", grads)
    shape = (len(grads), img_size, img_size, grads.shape[3])
    pool = _geometry("avg_pool_backward", shape, size, stride, start, grads.shape[1])
    grads = grads * _share_inside(pool, grads.dtype) if whole else grads
    dimages = buffers.empty(shape, grads.dtype)
    _loops.avg_pool_backward(pool, _rows(grads), _rows(dimages), _threads(dimages))
    return dimages


def _taps(pool: dict[str, Any]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...], Array]]:
    """The places (p, q) of a window in scan order, as (outputs that have it, their pixels, its position in each)."""
    first = pool["start"] + pool["stride"] * np.arange(pool["O"])
    low, high = np.maximum(first, 0), np.minimum(first + pool["size"], pool["I"])
    spans = []
    for p in range(pool["size"]):
        inside = np.flatnonzero((first + p >= 0) & (first + p < pool["I"]))
        if inside.size:
            begin, end = inside[0], inside[-1]
            pixels = slice(first[begin] + p, first[end] + p + 1, pool["stride"])
            spans.append((slice(begin, end + 1), pixels, (first + p - low)[begin : end + 1]))
    for rows, pixel_rows, down in spans:
        for columns, pixel_columns, right in spans:
            position = down[:, np.newaxis] * (high - low)[columns] + right
            yield (slice(None), rows, columns), (slice(None), pixel_rows, pixel_columns), position[..., np.newaxis]


def _geometry(
    op: str, shape: tuple[int, ...], size: int, stride: int, start: int, outputs: int | None
) -> dict[str, Any]:
    """The `Pool` of _loops.h, checked."""
    img_size = shape[1]
    require(
        size >= 1 and stride >= 1 and start <= 0,
        f"{op}: wrong window",
        "size >= 1, stride >= 1, start <= 0",
        f"size {size}, stride {stride}, start {start}",
        "start is the first row of the first window",
    )
    outputs = pool_outputs(img_size, size, start, stride) if outputs is None else outputs
    require(outputs >= 1, f"{op}: no outputs", "at least 1 per side", outputs, "the window is larger than the image")
    return dict(I=img_size, O=outputs, N=shape[3], size=size, stride=stride, start=start)


def _share_inside(pool: dict[str, Any], dtype: DTypeLike) -> Array:
    """The share of each window's pixels that are inside the image, (O, O, 1)."""
    first = pool["start"] + pool["stride"] * np.arange(pool["O"])
    inside = np.minimum(first + pool["size"], pool["I"]) - np.maximum(first, 0)
    return (inside[:, np.newaxis, np.newaxis] * inside[:, np.newaxis] / pool["size"] ** 2).astype(dtype)


def _empty_acts(pool: dict[str, Any], images: Array) -> Array:
    return buffers.empty((len(images), pool["O"], pool["O"], pool["N"]), images.dtype)


def _check_acts(what: str, acts: Array, images: Array) -> None:
    expected = (len(images), *acts.shape[1:3], images.shape[3])
    require(
        acts.shape == expected, f"{what} have the wrong shape", expected, acts.shape, "channels and images as in images"
    )


def _rows(array: Array) -> Array:
    """One row per channel."""
    return array.reshape(len(array), -1)


def _threads(images: Array) -> int:
    return threads_for(VALUE * images.size)
