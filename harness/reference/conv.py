"""Convolution (really cross-correlation: the filter is not flipped), and its unshared form.

For module m = (y, x), filter f of group k, filter pixel (p, q):

    Y[f, m] = b[f] + sum over inputs i, channels c, pixels (p, q)  W_i[(c, p, q), f] X_i[ch(k, c), row, column]
    row = start_i + stride_i y + p,   column = start_i + stride_i x + q,   0 outside the image.

As matrices, with P the patches under the filters, one column per module and image:  Y = Wᵀ P + b,
dP = W V (added back to the pixels they came from), dW = P Vᵀ, db = sum of V.

Error model: each of the three is a sum of products, so M is the same formula over absolute values.  n is the number
of products: K + 1 forward, filters × modules over the pixel + 1 for the images, and for a weight the modules whose
tap falls inside the image, × N.

Source: network-and-solver 6.3 and 6.4.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from . import solver
from .bounded import BOTH, Bounded, multilinear, summed
from .layer import Arrays, Layer, Params
from .windows import Windows

# Patches are made for a few rows of modules at a time: at most this many numbers (32 MiB in float64).
_PATCH_LIMIT = 2**22


class Conv(Layer):
    """A `conv` layer: any number of inputs, each with its own geometry and groups."""

    exact = ("acts", "inputs_grad", "weights_grad", "weights_inc", "biases_grad")
    gradient_check = (0.02, 0.05)
    update = staticmethod(solver.update)

    backward_reads = ("inputs",)

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.filters, self.side = spec["filters"], spec["modulesX"]
        self.channels = spec["channels"]
        self.filter_channels = spec["filterChannels"]
        self.groups = spec["groups"]
        self.shared_biases = spec.get("sharedBiases", False)
        self.connections = [_connections(spec, i) for i in range(len(self.channels))]
        geometry = zip(spec["imgSize"], spec["padding"], spec["filterSize"], spec["stride"], strict=True)
        self.windows = [Windows(*g, outputs=self.side) for g in geometry]

    def forward(self, inputs: Arrays, params: Params, **_: object) -> Bounded:
        """Outputs (filters * modules, N)."""
        terms = sum(c * w.size**2 for c, w in zip(self.filter_channels, self.windows, strict=True)) + 1
        cases = inputs[0].shape[1]
        outputs = [self._biases_alone(convert(params["biases"]), cases) for convert in BOTH]
        for i, x in enumerate(inputs):
            weights = [convert(params["weights"][i]) for convert in BOTH]
            for filters, rows, both in self._patches_of(i, x):
                for y, w, patches in zip(outputs, weights, both, strict=True):
                    y[filters, rows.start : rows.stop] += self._apply(i, w, patches, filters, rows)
        value, magnitude = (y.reshape(-1, cases) for y in outputs)
        return summed(value, magnitude, terms)

    def _biases_alone(self, biases: np.ndarray, cases: int) -> np.ndarray:
        y = np.zeros((self.filters, self.side, self.side, cases), biases.dtype)
        y += biases.reshape(self.filters, *((1, 1) if self.shared_biases else (self.side, self.side)), 1)
        return y

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: Params, **_: object) -> Bounded:
        """Gradient of input i, (channels * pixels, N)."""
        filters = self.filters * self.filter_channels[i] // self.channels[i]  # that read one channel
        terms = np.tile(filters * self.windows[i].windows_per_pixel() + 1, (self.channels[i], 1))
        return multilinear(partial(self._inputs_grad, i), terms, acts_grad, params["weights"][i])

    def _inputs_grad(self, i: int, v: np.ndarray, weights: np.ndarray) -> np.ndarray:
        v = v.reshape(self.filters, self.side, self.side, -1)
        windows = self.windows[i]
        dx = np.zeros((self.channels[i], windows.image, windows.image, v.shape[3]), v.dtype)
        for channels, filters in self._groups(i):
            framed = windows.pad(dx[channels])
            for rows in self._row_blocks(i, v.shape[3]):
                dpatches = self._apply_transposed(i, weights, v[filters, rows.start : rows.stop], filters, rows)
                for (p, q), pixels in windows.taps(framed, rows):
                    pixels += dpatches[:, p, q]
            dx[channels] = windows.unpad(framed)
        return dx.reshape(-1, v.shape[3])

    def params_grad(self, inputs: Arrays, acts_grad: np.ndarray, params: Params) -> dict[str, Bounded]:
        """Sums over the images given, not yet divided by the number of cases."""
        cases = acts_grad.shape[1]
        grads = {f"weights[{i}]": self._weights_grad(i, x, acts_grad) for i, x in enumerate(inputs)}
        summed = self.side**2 * cases if self.shared_biases else cases
        grads["biases"] = multilinear(self._biases_grad, summed, acts_grad)
        return grads

    def _weights_grad(self, i: int, x: np.ndarray, v: np.ndarray) -> Bounded:
        above = [convert(v).reshape(self.filters, self.side, self.side, -1) for convert in BOTH]
        found = [np.zeros(self._weight_shape(i), part.dtype) for part in above]
        for filters, rows, both in self._patches_of(i, x):
            for dw, part, patches in zip(found, above, both, strict=True):
                self._add_products(i, dw, patches, part[filters, rows.start : rows.stop], filters, rows)
        return summed(found[0], found[1], self._taps(i, v.shape[1]))

    def _biases_grad(self, v: np.ndarray) -> np.ndarray:
        per_bias = v.reshape(self.filters, -1) if self.shared_biases else v
        return per_bias.sum(1, keepdims=True)

    # The products themselves: patches are (channels, p, q, module rows, module columns, images).

    def _apply(self, i: int, weights: np.ndarray, patches: np.ndarray, filters: slice, rows: range) -> np.ndarray:
        y = weights[:, filters].T @ patches.reshape(len(weights), -1)
        return y.reshape(-1, *patches.shape[3:])

    def _apply_transposed(self, i: int, weights: np.ndarray, v: np.ndarray, filters: slice, rows: range) -> np.ndarray:
        dpatches = weights[:, filters] @ v.reshape(len(v), -1)
        return dpatches.reshape(-1, self.windows[i].size, self.windows[i].size, *v.shape[1:])

    def _add_products(
        self, i: int, dw: np.ndarray, patches: np.ndarray, v: np.ndarray, filters: slice, rows: range
    ) -> None:
        dw[:, filters] += patches.reshape(len(dw), -1) @ v.reshape(len(v), -1).T

    def _weight_shape(self, i: int) -> tuple[int, int]:
        return self.filter_channels[i] * self.windows[i].size ** 2, self.filters

    def _taps(self, i: int, cases: int) -> np.ndarray:
        return np.tile(self.windows[i].windows_per_tap() * cases, (self.filter_channels[i], 1))

    # Geometry.

    def _groups(self, i: int) -> Iterator[tuple[slice | np.ndarray, slice]]:
        """(channels of the input, filters) of each group of input i."""
        width, filters = self.filter_channels[i], self.filters // self.groups[i]
        for k in range(self.groups[i]):
            channels = slice(k * width, (k + 1) * width)
            table = self.connections[i]
            yield channels if table is None else table[channels], slice(k * filters, (k + 1) * filters)

    def _framed(self, i: int, x: np.ndarray, channels: slice | np.ndarray) -> np.ndarray:
        return self.windows[i].pad(x.reshape(self.channels[i], *(2 * [self.windows[i].image]), -1)[channels])

    def _row_blocks(self, i: int, cases: int) -> Iterator[range]:
        per_row = self.filter_channels[i] * self.windows[i].size ** 2 * self.side * cases
        step = max(1, _PATCH_LIMIT // max(1, per_row))
        for start in range(0, self.side, step):
            yield range(start, min(start + step, self.side))

    def _patches_of(self, i: int, x: np.ndarray) -> Iterator[tuple[slice, range, Iterator[np.ndarray]]]:
        """Yield filters, rows of modules, and the patches under them of input i: for the value, for the magnitude."""
        for channels, filters in self._groups(i):
            framed = self._framed(i, np.asarray(x), channels)
            for rows in self._row_blocks(i, x.shape[1]):
                patches = self._patches(i, framed, rows)
                yield filters, rows, (convert(patches) for convert in BOTH)

    def _patches(self, i: int, framed: np.ndarray, rows: range) -> np.ndarray:
        windows = self.windows[i]
        shape = len(framed), windows.size, windows.size, len(rows), self.side, framed.shape[3]
        patches = np.empty(shape, framed.dtype)
        for (p, q), pixels in windows.taps(framed, rows):
            patches[:, p, q] = pixels
        return patches


class Local(Conv):
    """A `local` layer: the same, with filters and biases of its own for every module.

    Weights are (modules * K, filters); n of a weight is N where its tap is inside the image of its module, else 0.
    """

    accumulate = staticmethod(solver.accumulate)

    def _apply(self, i: int, weights: np.ndarray, patches: np.ndarray, filters: slice, rows: range) -> np.ndarray:
        y = self._per_module(i, weights, filters, rows).transpose(0, 2, 1) @ _columns(patches)
        return y.transpose(1, 0, 2).reshape(-1, *patches.shape[3:])

    def _apply_transposed(self, i: int, weights: np.ndarray, v: np.ndarray, filters: slice, rows: range) -> np.ndarray:
        modules = v.reshape(len(v), -1, v.shape[3]).transpose(1, 0, 2)
        dpatches = self._per_module(i, weights, filters, rows) @ modules
        return dpatches.transpose(1, 0, 2).reshape(-1, self.windows[i].size, self.windows[i].size, *v.shape[1:])

    def _add_products(
        self, i: int, dw: np.ndarray, patches: np.ndarray, v: np.ndarray, filters: slice, rows: range
    ) -> None:
        modules = v.reshape(len(v), -1, v.shape[3]).transpose(1, 2, 0)
        self._per_module(i, dw, filters, rows)[:] += _columns(patches) @ modules

    def _per_module(self, i: int, weights: np.ndarray, filters: slice, rows: range) -> np.ndarray:
        per_module = weights.reshape(self.side**2, -1, self.filters)
        return per_module[rows.start * self.side : rows.stop * self.side, :, filters]

    def _weight_shape(self, i: int) -> tuple[int, int]:
        rows, filters = super()._weight_shape(i)
        return self.side**2 * rows, filters

    def _taps(self, i: int, cases: int) -> np.ndarray:
        inside = self.windows[i].tap_inside()
        return np.repeat(inside[:, None], self.filter_channels[i], axis=1).reshape(-1, 1) * cases


def _columns(patches: np.ndarray) -> np.ndarray:
    """(modules, K, N) from (channels, p, q, rows, columns, N)."""
    channels, size, _, rows, side, cases = patches.shape
    return patches.reshape(channels * size * size, rows * side, cases).transpose(1, 0, 2)


def _connections(spec: Mapping[str, Any], i: int) -> np.ndarray | None:
    """The channels that the groups of input i read, one group after the other; None: in order."""
    if not any(spec.get("randSparse", [])) or not spec["randSparse"][i]:
        return None
    return np.asarray(spec["filterConns"][i])
