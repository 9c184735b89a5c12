"""Locally connected layers on (channels, y, x, images) arrays: convolution with filters of its own for every module.

Source of the formulas: network-and-solver 6.4. Letters as in conv.py: C channels, K = C/groups, F filters, S filter
side, I image side, M modules per side, N images. One output row at a time: the patches of its M modules form a stack of
matrices, and for each module and group F/groups x N = (F/groups x KSS)(KSS x N).
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .checks import require, shaped, square
from .config.geometry import conv_modules
from .conv import conv_backward_biases
from .threads import single_threaded_blas


def local_forward(images, filters, biases, *, filter_size, padding, stride, groups=1, modules=None, out=None):
    """Convolve with a filter bank per module.

    Parameters
    ----------
    images : ndarray, (C, I, I, N)
        float32 or float64; the other arrays have the same dtype.
    filters : ndarray, (M*M*K*S*S, F)
        Rows: module, channel, pixel; columns are filters. C order.
    biases : ndarray, (F*M*M, 1), or None
        One per output.
    filter_size, padding, stride, groups : int
        S, zeros on each side (not negative), step, number of groups.
    modules : int, optional
        M, if it is not the least that covers the padded image.
    out : ndarray, (F, M, M, N), optional
        What to add to (a layer with several inputs).

    Returns
    -------
    ndarray, (F, M, M, N)
        A new array, or `out`.

    Raises
    ------
    OperandError
        A ValueError, for a wrong shape, dtype or geometry.
    """
    images = square("local_forward: images", images)
    g = _Geometry("local_forward", images.shape, np.shape(filters)[-1], filter_size, padding, stride, groups, modules)
    banks = g.banks("local_forward: filters", filters, images)
    if out is None:
        out = np.zeros((g.F, g.M, g.M, g.N), images.dtype)
    if biases is not None:
        biases = shaped("local_forward: biases", biases, (g.F * g.M**2, 1), images, "(F*M*M, 1), one per output")
        out += biases.reshape(g.F, g.M, g.M, 1)
    padded = g.padded(images)
    with single_threaded_blas():
        for row in range(g.M):
            rows = out[:, row].reshape(g.groups, -1, g.M, g.N)  # a view: the first axis is only split
            rows += (banks[row].transpose(0, 1, 3, 2) @ g.patches(padded, row)).transpose(1, 2, 0, 3)
    return out


def local_backward_images(grads, filters, *, channels, img_size, filter_size, padding, stride, groups=1, modules=None):
    """Gradient with respect to the images: the adjoint of `local_forward` in its images.

    Parameters
    ----------
    grads : ndarray, (F, M, M, N)
    filters : ndarray, (M*M*K*S*S, F)
    channels : int
        C, all groups together.
    img_size, filter_size, padding, stride, groups, modules : int
        As in `local_forward`; img_size is I.

    Returns
    -------
    ndarray, (C, I, I, N)
    """
    grads = square("local_backward_images: grads", grads)
    shape = (channels, img_size, img_size, grads.shape[3])
    g = _Geometry("local_backward_images", shape, len(grads), filter_size, padding, stride, groups, modules)
    g.check_modules("local_backward_images: grads", grads)
    banks = g.banks("local_backward_images: filters", filters, grads)
    padded = np.zeros((channels, g.side, g.side, g.N), grads.dtype)
    with single_threaded_blas():
        for row in range(g.M):
            patches = banks[row] @ g.module_grads(grads, row)
            patches = patches.reshape(g.M, channels, g.S, g.S, g.N).transpose(1, 2, 3, 0, 4)
            for p in range(g.S):
                for q in range(g.S):
                    padded[:, row * stride + p, g.columns(q)] += patches[:, p, q]
    return np.ascontiguousarray(padded[:, padding : padding + img_size, padding : padding + img_size])


def local_backward_filters(
    images, grads, *, filter_size, padding, stride, groups=1, modules=None, out=None, scale_out=0.0, scale_new=1.0
):
    """out = scale_out * out + scale_new * gradient with respect to the filters, summed over the images.

    With out = Δ, scale_out = momentum and scale_new = rate/images this is the direct route of the weight update.

    Parameters
    ----------
    images : ndarray, (C, I, I, N)
    grads : ndarray, (F, M, M, N)
    filter_size, padding, stride, groups, modules : int
        As in `local_forward`.
    out : ndarray, (M*M*K*S*S, F), optional
        C order; changed in place. Not read if scale_out is 0.
    scale_out, scale_new : float

    Returns
    -------
    ndarray, (M*M*K*S*S, F)
    """
    images = square("local_backward_filters: images", images)
    grads = square("local_backward_filters: grads", grads, like=images)
    g = _Geometry("local_backward_filters", images.shape, len(grads), filter_size, padding, stride, groups, modules)
    g.check_modules("local_backward_filters: grads", grads)
    if out is None:
        out, scale_out = np.empty((g.rows, g.F), images.dtype), 0.0
    contiguous = out.flags.c_contiguous
    require(contiguous, "local_backward_filters: out is not contiguous", "C order", out.strides, "np.ascontiguousarray")
    banks, padded = g.banks("local_backward_filters: out", out, images), g.padded(images)
    with single_threaded_blas():
        for row in range(g.M):
            new = g.patches(padded, row) @ g.module_grads(grads, row).transpose(0, 1, 3, 2)
            new *= images.dtype.type(scale_new)
            if scale_out:
                new += banks[row] * images.dtype.type(scale_out)
            banks[row] = new
    return out


def local_backward_biases(grads):
    """Gradient with respect to the biases, summed over the images: (F, M, M, N) -> (F*M*M, 1)."""
    return conv_backward_biases(grads, shared=False)


class _Geometry:
    """The sizes, checked, and the views of the operands that one output row needs."""

    def __init__(self, op, images_shape, num_filters, filter_size, padding, stride, groups, modules):
        self.C, self.I, _, self.N = images_shape
        self.F, self.S, self.padding, self.stride, self.groups = num_filters, filter_size, padding, stride, groups
        right = stride >= 1 and padding >= 0 and 1 <= filter_size <= self.I + 2 * padding
        expected = f"stride >= 1, padding >= 0, filter_size from 1 to {self.I} + 2 * padding"
        actual = f"stride {stride}, padding {padding}, filter_size {filter_size}"
        hint = "the network files negate the padding; pass the file's value"
        require(right, f"{op}: wrong geometry", expected, actual, hint)
        divides = groups >= 1 and self.C % groups == 0 and num_filters % groups == 0
        actual = f"{groups} ({self.C} channels, {num_filters} filters)"
        hint = "each group owns channels/groups channels and filters/groups filters"
        require(divides, f"{op}: wrong number of groups", "a divisor of channels and filters", actual, hint)
        self.M = modules or conv_modules(self.I, filter_size, padding, stride)
        self.rows = self.M**2 * (self.C // groups) * filter_size**2
        self.side = max((self.M - 1) * stride + filter_size, padding + self.I)  # of the padded image

    def banks(self, what, filters, like):
        """The filters as a view (M, M, groups, KSS, F/groups)."""
        hint = "rows are (modules * channels of one group * side**2), columns filters"
        filters = shaped(what, filters, (self.rows, self.F), like, hint)
        return filters.reshape(self.M, self.M, -1, self.groups, self.F // self.groups).transpose(0, 1, 3, 2, 4)

    def padded(self, images):
        """The images with the zeros around them that some window covers."""
        after = self.side - self.padding - self.I
        return np.pad(images, ((0, 0), (self.padding, after), (self.padding, after), (0, 0)))

    def patches(self, padded, row):
        """What the windows of one output row see, (M, groups, KSS, N); a copy."""
        strip = padded[:, row * self.stride : row * self.stride + self.S]
        windows = sliding_window_view(strip, self.S, axis=2)[:, :, : (self.M - 1) * self.stride + 1 : self.stride]
        return windows.transpose(2, 0, 1, 4, 3).reshape(self.M, self.groups, -1, self.N)

    def module_grads(self, grads, row):
        """The gradients of one output row, (M, groups, F/groups, N)."""
        return grads[:, row].reshape(self.groups, -1, self.M, self.N).transpose(2, 0, 1, 3)

    def columns(self, q):
        """The padded image's columns that filter column q meets."""
        return slice(q, q + (self.M - 1) * self.stride + 1, self.stride)

    def check_modules(self, what, grads):
        expected = (self.F, self.M, self.M, self.N)
        require(grads.shape == expected, f"{what} have the wrong shape", expected, grads.shape, "(F, M, M, N)")
