"""Locally connected layers on (channels, y, x, images) arrays: convolution with filters of its own for every module.

Source of the formulas: network-and-solver 6.4. Letters as in conv.py: C channels, K = C/groups, F filters, S filter
side, I image side, M modules per side, N images. NumPy does the work, one output row at a time: the patches of the M
modules of the row form a stack of matrices, and for each module and group F/groups x N = (F/groups x KSS)(KSS x N).
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from . import buffers
from .checks import Array, check_modules, conv_geometry, require, shaped, square
from .conv import conv_backward_biases
from .threads import single_threaded_blas


def local_forward(
    images: Array,
    filters: Array,
    biases: Array | None,
    *,
    filter_size: int,
    padding: int,
    stride: int,
    groups: int = 1,
    modules: int | None = None,
    out: Array | None = None,
) -> Array:
    """Convolve with a filter bank per module.

    Parameters, result and error are those of `conv.conv_forward`, except for what follows.

    Parameters
    ----------
    filters : ndarray, (M*M*K*S*S, F)
        Rows: module, channel, pixel; columns are filters. C order.
    biases : ndarray, (F*M*M, 1), or None
        One per output.
    out : ndarray, (F, M, M, N), optional
        An array that receives the sum (a layer with several inputs).
    """
    images = square("local_forward: images", images)
    g = conv_geometry(
        "local_forward", images.shape, np.shape(filters)[-1], filter_size, padding, stride, groups, modules
    )
    banks = _banks("local_forward: filters", filters, g, images)
    if out is None:
        out = buffers.zeros((g["F"], g["M"], g["M"], g["N"]), images.dtype)
    if biases is not None:
        rows = g["F"] * g["M"] ** 2
        biases = shaped("local_forward: biases", biases, (rows, 1), images, "(F*M*M, 1), one per output")
        out += biases.reshape(g["F"], g["M"], g["M"], 1)
    padded = _padded(images, g)
    with single_threaded_blas():
        for row in range(g["M"]):
            acts = out[:, row].reshape(g["groups"], -1, g["M"], g["N"])  # a view: the first axis is only split
            acts += (banks[row].transpose(0, 1, 3, 2) @ _patches(padded, row, g)).transpose(1, 2, 0, 3)
    return out


def local_backward_images(
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
    """Gradient with respect to the images, (C, I, I, N), of `grads`, (F, M, M, N): the adjoint of `local_forward`.

    `channels` is C, all groups together; the other parameters are those of `local_forward`.
    """
    grads = square("local_backward_images: grads", grads)
    shape = (channels, img_size, img_size, grads.shape[3])
    g = conv_geometry("local_backward_images", shape, len(grads), filter_size, padding, stride, groups, modules)
    check_modules("local_backward_images: grads", grads, g)
    banks = _banks("local_backward_images: filters", filters, g, grads)
    padded = np.zeros((channels, _side(g), _side(g), g["N"]), grads.dtype)
    with single_threaded_blas():
        for row in range(g["M"]):
            patches = banks[row] @ _module_grads(grads, row, g)
            patches = patches.reshape(g["M"], channels, g["S"], g["S"], g["N"]).transpose(1, 2, 3, 0, 4)
            for p, q in np.ndindex(g["S"], g["S"]):
                padded[:, row * stride + p, _columns(q, g)] += patches[:, p, q]
    return np.ascontiguousarray(padded[:, padding : padding + img_size, padding : padding + img_size])


def local_backward_filters(
    images: Array,
    grads: Array,
    *,
    filter_size: int,
    padding: int,
    stride: int,
    groups: int = 1,
    modules: int | None = None,
    out: Array | None = None,
    scale_out: float = 0.0,
    scale_new: float = 1.0,
) -> Array:
    """out = scale_out * out + scale_new * gradient with respect to the filters, summed over the images.

    `grads` are (F, M, M, N). `out`, (M*M*K*S*S, F) in C order, is changed in place and returned; by default it is a new
    array. It is not read if scale_out is 0. The other parameters are those of `local_forward`. The call with out = Δ,
    scale_out = momentum and scale_new = rate/images is the direct route of the weight update.
    """
    images = square("local_backward_filters: images", images)
    grads = square("local_backward_filters: grads", grads, like=images)
    g = conv_geometry("local_backward_filters", images.shape, len(grads), filter_size, padding, stride, groups, modules)
    check_modules("local_backward_filters: grads", grads, g)
    if out is None:
        out, scale_out = np.empty((_rows(g), g["F"]), images.dtype), 0.0
    contiguous = out.flags.c_contiguous
    require(contiguous, "local_backward_filters: out is not contiguous", "C order", out.strides, "np.ascontiguousarray")
    banks, padded = _banks("local_backward_filters: out", out, g, images), _padded(images, g)
    with single_threaded_blas():
        for row in range(g["M"]):
            new = _patches(padded, row, g) @ _module_grads(grads, row, g).transpose(0, 1, 3, 2)
            new *= images.dtype.type(scale_new)
            if scale_out:
                new += banks[row] * images.dtype.type(scale_out)
            banks[row] = new
    return out


def local_backward_biases(grads: Array) -> Array:
    """Gradient with respect to the biases, summed over the images: (F, M, M, N) -> (F*M*M, 1)."""
    return conv_backward_biases(grads, shared=False)


# --- views of the operands that one output row needs; g is the dict of `conv_geometry` ------------------------------


def _banks(what: str, filters: Any, g: dict[str, int], like: Array) -> Array:
    """The filters as a view (M, M, groups, KSS, F/groups)."""
    hint = "rows are (modules * channels of one group * side**2), columns filters"
    filters = shaped(what, filters, (_rows(g), g["F"]), like, hint)
    return filters.reshape(g["M"], g["M"], -1, g["groups"], g["F"] // g["groups"]).transpose(0, 1, 3, 2, 4)


def _rows(g: dict[str, int]) -> int:
    """Rows of the filter matrix, MMKSS."""
    return g["M"] ** 2 * g["K"] * g["S"] ** 2


def _side(g: dict[str, int]) -> int:
    """Side of the padded image: all that some window covers, and all of the image."""
    return max((g["M"] - 1) * g["stride"] + g["S"], g["padding"] + g["I"])


def _padded(images: Array, g: dict[str, int]) -> Array:
    """The images with the zeros around them that some window covers."""
    before, after = g["padding"], _side(g) - g["padding"] - g["I"]
    return np.pad(images, ((0, 0), (before, after), (before, after), (0, 0)))


def _patches(padded: Array, row: int, g: dict[str, int]) -> Array:
    """The pixels in the windows of one output row, (M, groups, KSS, N); a copy."""
    strip = padded[:, row * g["stride"] : row * g["stride"] + g["S"]]
    windows = sliding_window_view(strip, g["S"], axis=2)[:, :, _columns(0, g)]
    return windows.transpose(2, 0, 1, 4, 3).reshape(g["M"], g["groups"], -1, g["N"])


def _module_grads(grads: Array, row: int, g: dict[str, int]) -> Array:
    """The gradients of one output row, (M, groups, F/groups, N)."""
    return grads[:, row].reshape(g["groups"], -1, g["M"], g["N"]).transpose(2, 0, 1, 3)


def _columns(q: int, g: dict[str, int]) -> slice:
    """The padded image's columns that column q of the filters meets."""
    return slice(q, q + (g["M"] - 1) * g["stride"] + 1, g["stride"])
