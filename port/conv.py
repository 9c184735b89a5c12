"""Convolution on (channels, y, x, images) arrays: forward, image gradient, filter gradient, bias gradient.

Source of the formulas: network-and-solver 6.3. Letters: C channels, K = C/groups, F filters, S filter side, I image
side, M = 1 + ceil((2 padding + I - S)/stride) modules per side (the last window may stick out right and bottom; pixels
outside the image are 0), N images. With y = stride my - padding + p and x = stride mx - padding + q::

    acts[f, my, mx, n] = biases[f] + sum over k, p, q of filters[k, (p, q), f] images[group(f) K + k, y, x, n]

_gemm.pyx does the work with a few large BLAS products, in one of two ways. ``*_taps``, for stride 1 and enough
channels, takes one filter tap at a time, F x MN = (F x K)(K x MN): image rows already are BLAS matrices, and nothing is
copied. ``*_patches``, for all other convolutions, makes patch matrices of pieces of an output row, F x MN =
(F x KSS)(KSS x MN).
"""

import numpy as np

from . import _gemm
from .checks import Array, check_modules, conv_geometry, require, shaped, square
from .config.geometry import ceil_div
from .threads import single_threaded_blas, threads_for

FEWEST_TAP_CHANNELS = 16  # with fewer channels a product for each tap has too little to sum up
TAP_COLUMNS = 1024  # columns of one product (pixels times images): large enough for BLAS, small enough to share out
PATCH_COLUMNS = 512
CHANNEL_BLOCK = 128
FILTER_GRADIENT_PARTS = 16


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
) -> Array:
    """Convolve.

    The products are those of ``forward_taps`` or ``forward_patches`` in _gemm.pyx.

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

    Returns
    -------
    ndarray, (F, M, M, N)

    Raises
    ------
    OperandError
        A ValueError, for a wrong shape, dtype or geometry.
    """
    images = _images("conv_forward: images", images, img_size)
    g = conv_geometry(
        "conv_forward", images.shape, np.shape(filters)[-1], filter_size, padding, stride, groups, modules
    )
    filters = _filters("conv_forward: filters", filters, g, images)
    biases, shared = _biases(biases, g, images)
    out = _output(out, accumulate, g, images)
    _forward(g, images.reshape(-1), filters, biases, shared, accumulate, out.reshape(-1))
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
) -> Array:
    """Gradient with respect to the images: the adjoint of `conv_forward` in its images.

    The products are those of ``images_taps`` or ``images_patches`` in _gemm.pyx.

    Parameters
    ----------
    grads : ndarray, (F, M, M, N)
    filters : ndarray, (K, S*S, F) or (K*S*S, F)
    channels : int
        C, all groups together.
    img_size, filter_size, padding, stride, groups, modules : int
        As in `conv_forward`.

    Returns
    -------
    ndarray, (C, I, I, N)
    """
    grads = square("conv_backward_images: grads", grads)
    shape = (channels, img_size, img_size, grads.shape[3])
    g = conv_geometry("conv_backward_images", shape, len(grads), filter_size, padding, stride, groups, modules)
    check_modules("conv_backward_images: grads", grads, g)
    filters = _filters("conv_backward_images: filters", filters, g, grads)
    out = np.zeros(shape, grads.dtype)
    with single_threaded_blas():
        if _by_taps(g):
            g = _pieces(g, g["I"], TAP_COLUMNS)
            _gemm.images_taps(g, grads.reshape(-1), filters, out.reshape(-1), _threads(g))
        else:
            g = _pieces(g, g["M"], PATCH_COLUMNS)
            patches = np.empty(g["K"] * g["S"] ** 2 * g["M"] * g["N"], grads.dtype)
            _gemm.images_patches(g, grads.reshape(-1), filters, out.reshape(-1), patches, _threads(g))
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
) -> Array:
    """Gradient with respect to the filters, summed over the images (not divided by their number).

    The products are those of ``filters_taps`` or ``filters_patches`` in _gemm.pyx.

    Parameters
    ----------
    images : ndarray, (C, I, I, N)
    grads : ndarray, (F, M, M, N)
    filter_size, padding, stride, groups, modules : int
        As in `conv_forward`.

    Returns
    -------
    ndarray, (K*S*S, F)
    """
    images = square("conv_backward_filters: images", images)
    grads = square("conv_backward_filters: grads", grads, like=images)
    g = conv_geometry("conv_backward_filters", images.shape, len(grads), filter_size, padding, stride, groups, modules)
    check_modules("conv_backward_filters: grads", grads, g)
    rows = g["K"] * g["S"] ** 2
    with single_threaded_blas():
        if _by_taps(g):
            out = np.zeros((rows, g["F"]), images.dtype)
            block = ceil_div(g["K"], ceil_div(g["K"], CHANNEL_BLOCK))
            g = _pieces(g, g["M"], TAP_COLUMNS)
            _gemm.filters_taps(g, images.reshape(-1), grads.reshape(-1), out.reshape(-1), block, _threads(g))
            return out
        parts = np.zeros((min(g["M"], FILTER_GRADIENT_PARTS), rows * g["F"]), images.dtype)
        g = _pieces(g, g["M"], PATCH_COLUMNS)
        scratch = _scratch(g, images.dtype)
        _gemm.filters_patches(g, images.reshape(-1), grads.reshape(-1), parts, scratch, _threads(g))
    return parts.sum(axis=0).reshape(rows, g["F"])


def conv_backward_biases(grads: Array, shared: bool = True) -> Array:
    """Gradient with respect to the biases, summed over the images (not divided by their number).

    Parameters
    ----------
    grads : ndarray, (F, M, M, N)
    shared : bool
        One bias per filter (then also summed over the modules), or one per output.

    Returns
    -------
    ndarray, (F, 1) or (F*M*M, 1)
    """
    grads = square("conv_backward_biases: grads", grads)
    rows = len(grads) if shared else grads[..., 0].size
    return grads.reshape(rows, -1).sum(axis=1, keepdims=True)


def _forward(g, *arguments):
    """Convolve in one of the two ways; the arguments are checked and flat."""
    with single_threaded_blas():
        if _by_taps(g):
            _gemm.forward_taps(_pieces(g, g["M"], TAP_COLUMNS), *arguments, _threads(g))
        else:
            g = _pieces(g, g["M"], PATCH_COLUMNS)
            _gemm.forward_patches(g, *arguments, _scratch(g, arguments[0].dtype), _threads(g))


def _output(out, accumulate, g, like):
    """The array for the result of conv_forward: `out`, checked, or a new one."""
    shape = (g["F"], g["M"], g["M"], g["N"])
    what = "conv_forward: out"
    if out is None:
        require(not accumulate, f"{what}: accumulate without out", "out", None, "pass the sum so far")
        return np.empty(shape, like.dtype)
    hint = "allocate it anew"
    require(
        shaped(what, out, shape, like, "(F, M, M, N)") is out, f"{what} is not contiguous", "C order", "a view", hint
    )
    return out


def _by_taps(g):
    return g["stride"] == 1 and g["K"] >= FEWEST_TAP_CHANNELS


def _pieces(g, side, columns):
    """g with a row of `side` pixels cut into equal pieces of about `columns` matrix columns."""
    count = min(side, ceil_div(side * g["N"], columns))
    return {**g, "columns": ceil_div(side, count)}


def _threads(g):
    return threads_for(g["F"] * g["M"] ** 2 * g["N"] * g["K"] * g["S"] ** 2)


def _scratch(g, dtype):
    """Room for the patch matrix of one piece, for each thread."""
    return np.empty((_threads(g), g["K"] * g["S"] ** 2 * g["columns"] * g["N"]), dtype)


def _images(what, images, img_size):
    images = square(what, images)
    require(
        images.shape[1] == img_size, f"{what} have the wrong size", img_size, images.shape[1], "img_size is their side"
    )
    return images


def _filters(what, filters, g, like):
    """The filters as one vector; K, S*S, F or K*S*S, F."""
    shape: tuple[int, ...] = (g["K"], g["S"] ** 2, g["F"])
    if np.ndim(filters) == 2:
        shape = (shape[0] * shape[1], shape[2])
    hint = "filters are (channels of one group * side**2, filters), columns are filters"
    return shaped(what, filters, shape, like, hint).reshape(-1)


def _biases(biases, g, like):
    """(flat biases, whether there is one per filter)."""
    if biases is None:
        return np.zeros(g["F"], like.dtype), True
    shared = np.size(biases) == g["F"]
    rows = g["F"] if shared else g["F"] * g["M"] ** 2
    return shaped("conv: biases", biases, (rows, 1), like, "(F, 1), or (F*M*M, 1) if not shared").reshape(-1), shared
