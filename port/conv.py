"""Convolution on (channels, y, x, images) arrays: forward, image gradient, filter gradient, bias gradient.

Source of the formulas: network-and-solver 6.3. Letters: C channels, K = C/groups, F filters, S filter side, I image
side, M = 1 + ceil((2 padding + I - S)/stride) modules per side (the last window may stick out right and bottom; pixels
outside the image are 0), N images. With y = stride my - padding + p and x = stride mx - padding + q::

    acts[f, my, mx, n] = biases[f] + sum over k, p, q of filters[k, (p, q), f] images[group(f) K + k, y, x, n]

_conv.pyx does the work, with one of two algorithms. *direct* forms these sums, for any geometry. *winograd*, Winograd's
minimal filtering F(2x2, 3x3), makes four outputs of a 3x3 filter of step 1 with 16 products in place of 36; differences
of neighbouring pixels and sums of filter taps take the place of values, and rounding errors are larger. In the filter
gradient, inputs that a tap never meets cancel, so that a gradient of 0 comes out as a small number. *auto* is winograd
where that is faster, but for filter gradients.
"""

from typing import Any

import numpy as np

from . import _conv, buffers
from .checks import Array, OperandError, check_modules, conv_geometry, require, shaped, square
from .threads import VALUE, each, threads_for

ALGORITHMS = ("auto", "direct", "winograd")
FEWEST_CHANNELS = 16  # of a group, and filters: with fewer, transforms take longer than winograd saves
FEWEST_TILES = 3  # of a side: smaller images have too many outputs past their edge
FILTER_GRADIENT_PARTS = 8


def conv_forward(
    images: Array,
    filters: Array,
    biases: Array | None,
    *,
    img_size: int,
    filter_size: int,
    padding: int,
    stride: int,
    groups: int = 1,
    modules: int | None = None,
    out: Array | None = None,
    accumulate: bool = False,
    algorithm: str = "direct",
) -> Array:
    """Convolve.

    The sums are those of ``convolve`` in _conv.pyx.

    Parameters
    ----------
    images : ndarray, (C, I, I, N)
        float32 or float64; the other arrays have the same dtype.
    filters : ndarray, (K, S*S, F) or (K*S*S, F)
    biases : ndarray, (F, 1) or (F*M*M, 1), or None
        One per filter (shared), or one per output.
    img_size, filter_size, padding, stride, groups : int
        I, S, zeros on each side (not negative), step, number of groups.
    modules : int, optional
        M, if it is not the least that covers the padded image.
    out : ndarray, (F, M, M, N), optional
        C-contiguous; receives the result.
    accumulate : bool
        Add to `out` instead of overwriting it (a layer with several inputs).
    algorithm : str
        ``auto``, ``direct`` or ``winograd``, which means direct where Winograd's has no form (`by_winograd`).

    Returns
    -------
    ndarray, (F, M, M, N)

    Raises
    ------
    OperandError
        A ValueError, for a wrong shape, dtype, geometry or algorithm.
    """
    images = _images("conv_forward: images", images, img_size)
    g = conv_geometry(
        "conv_forward", images.shape, np.shape(filters)[-1], filter_size, padding, stride, groups, modules
    )
    filters = _filters("conv_forward: filters", filters, g, images)
    biases, shared = _biases(biases, g, images)
    out = _output(out, accumulate, g, images)
    _convolve(g, False, algorithm, images.reshape(-1), filters, biases, shared, accumulate, out.reshape(-1))
    return out


def conv_backward_images(
    grads: Array,
    filters: Array,
    *,
    channels: int,
    img_size: int,
    filter_size: int,
    padding: int,
    stride: int,
    groups: int = 1,
    modules: int | None = None,
    algorithm: str = "direct",
) -> Array:
    """Gradient with respect to the images, (C, I, I, N), of `grads`, (F, M, M, N): the adjoint of `conv_forward`.

    `channels` is C, all groups together; the other parameters are those of `conv_forward`. The sums are those of
    ``convolve`` in _conv.pyx.
    """
    grads = square("conv_backward_images: grads", grads)
    shape = (channels, img_size, img_size, grads.shape[3])
    g = conv_geometry("conv_backward_images", shape, len(grads), filter_size, padding, stride, groups, modules)
    check_modules("conv_backward_images: grads", grads, g)
    filters = _filters("conv_backward_images: filters", filters, g, grads)
    out, no_biases = buffers.empty(shape, grads.dtype), np.empty(0, grads.dtype)
    _convolve(g, True, algorithm, grads.reshape(-1), filters, no_biases, True, False, out.reshape(-1))
    return out


def conv_backward_filters(
    images: Array,
    grads: Array,
    *,
    filter_size: int,
    padding: int,
    stride: int,
    groups: int = 1,
    modules: int | None = None,
    algorithm: str = "direct",
) -> Array:
    """Gradient with respect to the filters, (K*S*S, F), summed over the images (not divided by their number).

    `grads` are (F, M, M, N); the other parameters are those of `conv_forward`. The sums are those of
    ``filter_gradient`` in _conv.pyx.
    """
    images = square("conv_backward_filters: images", images)
    grads = square("conv_backward_filters: grads", grads, like=images)
    g = conv_geometry("conv_backward_filters", images.shape, len(grads), filter_size, padding, stride, groups, modules)
    check_modules("conv_backward_filters: grads", grads, g)
    winograd = by_winograd(g, algorithm) and algorithm == "winograd"
    out = _filter_gradient(g, winograd, images, grads)
    if winograd and not np.isfinite(out).all():  # differences of infinite values are NaN that no gradient depends on
        return _filter_gradient(g, False, images, grads)
    return out


def conv_backward_biases(grads: Array, shared: bool = True) -> Array:
    """Gradient with respect to the biases, summed over the images (not divided by their number).

    `grads` are (F, M, M, N). One bias per filter if `shared`, (F, 1), then also summed over the modules; else one per
    output, (F*M*M, 1).
    """
    grads = square("conv_backward_biases: grads", grads)
    rows = len(grads) if shared else grads[..., 0].size
    values, out = grads.reshape(rows, -1), np.empty((rows, 1), grads.dtype)
    parts = threads_for(VALUE * values.size // 64)  # starting a thread of Python takes that much longer
    each(lambda part: values[part::parts].sum(axis=1, keepdims=True, out=out[part::parts]), parts)
    return out


def by_winograd(g: dict[str, int], algorithm: str) -> bool:
    """Whether a convolution of that geometry (of `conv_geometry`), or its adjoint, is done by Winograd's algorithm."""
    if algorithm not in ALGORITHMS:
        raise OperandError("unknown algorithm of convolution", ", ".join(ALGORITHMS), algorithm, "auto chooses")
    fits = g["S"] == 3 and g["stride"] == 1 and g["padding"] <= 2
    pays = min(g["K"], g["F"] // g["groups"]) >= FEWEST_CHANNELS and g["M"] >= 2 * FEWEST_TILES
    return fits and (algorithm == "winograd" or (algorithm == "auto" and pays))


def _convolve(g: dict[str, int], back: bool, algorithm: str, images: Array, *arguments: Any) -> None:
    """Convolve, or its adjoint; the arguments are checked and flat."""
    winograd, threads = by_winograd(g, algorithm), _threads(g)
    panels, blocks, scratch = _conv.room(g, back, winograd, images.itemsize)
    room = [buffers.empty(shape, images.dtype) for shape in ((panels,), (blocks,), (threads, scratch))]
    _conv.convolve(g, back, winograd, images, *arguments, *room, threads)


def _filter_gradient(g: dict[str, int], winograd: bool, images: Array, grads: Array) -> Array:
    out, threads = buffers.empty((g["K"] * g["S"] ** 2, g["F"]), images.dtype), _threads(g)
    part, blocks, scratch = _conv.room_for_filters(g, winograd, images.itemsize)
    shapes = (FILTER_GRADIENT_PARTS, part), (blocks,), (threads, scratch)
    room = [buffers.empty(shape, images.dtype) for shape in shapes]
    _conv.filter_gradient(g, winograd, images.reshape(-1), grads.reshape(-1), out.reshape(-1), *room, threads)
    return out


def _output(out: Array | None, accumulate: bool, g: dict[str, int], like: Array) -> Array:
    """The array for the result of conv_forward: `out`, checked, or a new one."""
    shape = (g["F"], g["M"], g["M"], g["N"])
    what = "conv_forward: out"
    if out is None:
        require(not accumulate, f"{what}: accumulate without out", "out", None, "pass the sum so far")
        return buffers.empty(shape, like.dtype)
    hint = "allocate it anew"
    require(
        shaped(what, out, shape, like, "(F, M, M, N)") is out, f"{what} is not contiguous", "C order", "a view", hint
    )
    return out


def _threads(g: dict[str, int]) -> int:
    return threads_for(g["F"] * g["M"] ** 2 * g["N"] * g["K"] * g["S"] ** 2)


def _images(what: str, images: Any, img_size: int) -> Array:
    images = square(what, images)
    require(
        images.shape[1] == img_size, f"{what} have the wrong size", img_size, images.shape[1], "img_size is their side"
    )
    return images


def _filters(what: str, filters: Any, g: dict[str, int], like: Array) -> Array:
    """The filters as one vector; K, S*S, F or K*S*S, F."""
    shape: tuple[int, ...] = (g["K"], g["S"] ** 2, g["F"])
    if np.ndim(filters) == 2:
        shape = (shape[0] * shape[1], shape[2])
    hint = "filters are (channels of one group * side**2, filters), columns are filters"
    return shaped(what, filters, shape, like, hint).reshape(-1)


def _biases(biases: Any, g: dict[str, int], like: Array) -> tuple[Array, bool]:
    """(flat biases, whether there is one per filter)."""
    if biases is None:
        return np.zeros(g["F"], like.dtype), True
    shared = np.size(biases) == g["F"]
    rows = g["F"] if shared else g["F"] * g["M"] ** 2
    return shaped("conv: biases", biases, (rows, 1), like, "(F, 1), or (F*M*M, 1) if not shared").reshape(-1), shared
