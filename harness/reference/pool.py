"""Pooling over square windows, clipped at the border of the image.

    max:     Y = maximum;  X gets the V of every window whose maximum it equals (all of them, on a tie)
    maxabs:  the same with the element of largest |x|, sign kept, the later one on a tie
    average: Y = sum / pixels inside;  X gets V / pixels inside from every window over it
    rand:    Y = pixel k of the window with probability p_k = max(x_k, 0) / sum, all alike where that sum is 0;
             X gets V like under a maximum, by equality with Y

The law of random pooling is our own, the historical one being lost.  The draw is a recorded number u in [0, 1) for
every output: Y is the first pixel, row by row, with p_0 + ... + p_k > u.

Error model: a maximum is a copy, so it must match bit for bit.  So is a random pixel, but where u is next to the end
of a pixel's share, rounding (n = pixels in the window) may take the neighbour: then both are as good.  Everything else
is a sum of products (with 0, 1 or 1 / pixels): n = pixels in the window for the average, n = windows over the pixel for
all gradients.

Source: network-and-solver 6.6; pool-norm 1.1 to 1.4.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .bounded import ROUNDOFF, Bounded, multilinear, planes, within
from .layer import Arrays, Draw, Layer, LayerSpec, uniforms
from .windows import Windows

_EMPTY_MAXIMUM = np.float32(-2e38)


class _Pool(Layer):
    @staticmethod
    def operations(spec: Mapping[str, Any] | LayerSpec, forward: bool) -> int:
        """One for each pixel of the window."""
        return spec["sizeX"] ** 2

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.channels = spec["channels"]
        self.windows = Windows(spec["imgSize"], spec["start"], spec["sizeX"], spec["stride"], spec["outputsX"])

    def _zeros(self, like: np.ndarray) -> np.ndarray:
        return np.zeros((self.channels, self.windows.outputs, self.windows.outputs, like.shape[-1]), like.dtype)

    def _per_channel(self, counts: np.ndarray) -> np.ndarray:
        return np.tile(counts, (self.channels, 1))


class MaxPool(_Pool):
    """A `pool` layer with pool=max, or rand with doMax."""

    exact: tuple[str, ...] = ("acts", "inputs_grad")
    fill: float | np.float32 = _EMPTY_MAXIMUM
    pick: Callable[..., object] = staticmethod(np.fmax)

    backward_reads = ("inputs", "acts")

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs (channels * outputs * outputs, N)."""
        x = self.windows.pad(planes(inputs[0], self.channels), self.fill)
        return Bounded(self._maximum(x).reshape(-1, x.shape[3]))

    def _maximum(self, framed: np.ndarray) -> np.ndarray:
        y = self._zeros(framed) + self.fill
        for _, x in self.windows.taps(framed):
            self.pick(y, x, out=y)
        return y

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: object = None, **_: object) -> Bounded:
        """Gradient of the images."""
        x = self.windows.pad(planes(inputs[0], self.channels), self.fill)
        y = self._maximum(x)
        chosen = [x == y for _, x in self.windows.taps(x)]
        terms = self._per_channel(self.windows.windows_per_pixel())
        return multilinear(lambda v: self._undo(v, chosen), terms, acts_grad)

    def _undo(self, v: np.ndarray, chosen: Sequence[np.ndarray]) -> np.ndarray:
        v = planes(v, self.channels)
        return _scatter(self.windows, v, lambda tap: v * chosen[tap])


class MaxAbsPool(MaxPool):
    """A `pool` layer with pool=maxabs."""

    exact = ()

    @staticmethod
    def pick(y: np.ndarray, x: np.ndarray, out: np.ndarray) -> None:
        """The element of larger size into ``out``, x where both have the same."""
        np.copyto(out, x, where=~(np.abs(y) > np.abs(x)))

    fill = 0


class RandomPool(_Pool):
    """A `pool` layer with pool=rand; `mask` holds the recorded numbers, like the outputs."""

    @staticmethod
    def noise(spec: Mapping[str, Any] | LayerSpec, pass_type: str) -> Draw:
        """A number for each output."""
        return uniforms

    backward_reads = ("inputs", "acts")

    def forward(self, inputs: Arrays, params: object = None, *, mask: np.ndarray, **_: object) -> Bounded:
        """Outputs (channels * outputs * outputs, N)."""
        y, low, high = self._drawn(self._framed(inputs[0]), mask)
        return within(y.reshape(mask.shape), np.maximum(high - y, y - low).reshape(mask.shape))

    def inputs_grad(
        self,
        i: int,
        inputs: Arrays,
        acts_grad: np.ndarray,
        params: object = None,
        *,
        mask: np.ndarray,
        **_: object,
    ) -> Bounded:
        """Gradient of the images."""
        x = self._framed(inputs[0])
        y, low, high = self._drawn(x, mask)
        v, size = planes(np.asarray(acts_grad, np.float64), self.channels), planes(np.abs(acts_grad), self.channels)
        under = [pixels for _, pixels in self.windows.taps(x)]
        value = _scatter(self.windows, v, lambda tap: v * (under[tap] == y))
        certain = _scatter(self.windows, size, lambda tap: size * (under[tap] == y))
        open_ = size * (low < high)
        either = _scatter(self.windows, size, lambda tap: open_ * ((low <= under[tap]) & (under[tap] <= high)))
        terms = self._per_channel(np.maximum(self.windows.windows_per_pixel(), 1))
        return Bounded(value, certain + either * (1 + 2.0**-20) / (8 * ROUNDOFF * np.sqrt(terms)), terms)

    def _framed(self, x: np.ndarray) -> np.ndarray:
        return self.windows.pad(planes(x, self.channels), np.float32(np.nan))

    def _drawn(self, framed: np.ndarray, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The chosen pixels, and the smallest and largest that rounding may choose."""
        under = [pixels for _, pixels in self.windows.taps(framed)]
        weights = [np.fmax(pixels, 0).astype(np.float64) for pixels in under]
        alike = sum(weights) == 0
        weights = [np.where(alike, ~np.isnan(pixels), w) for pixels, w in zip(under, weights, strict=True)]
        total = sum(weights)
        at = planes(uniforms, self.channels) * total
        slack = 8 * ROUNDOFF * np.sqrt(len(under)) * total
        start, y = np.zeros(at.shape), np.zeros(at.shape, framed.dtype)
        low, high = y + np.float32(np.inf), y - np.float32(np.inf)
        for pixels, weight in zip(under, weights, strict=True):
            end = start + weight
            np.copyto(y, pixels, where=(start <= at) & (at < end))
            near = (weight > 0) & (start <= at + slack) & (at - slack < end)
            np.copyto(low, np.minimum(low, pixels), where=near)
            np.copyto(high, np.maximum(high, pixels), where=near)
            start = end
        return y, low, high


class AveragePool(_Pool):
    """A `pool` layer with pool=avg."""

    exact = ("acts",)

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs (channels * outputs * outputs, N)."""
        return multilinear(self._average, self._area(), inputs[0])

    def _average(self, x: np.ndarray) -> np.ndarray:
        framed = self.windows.pad(planes(x, self.channels))
        y = self._zeros(x)
        for _, pixels in self.windows.taps(framed):
            y += pixels
        return y.reshape(-1, x.shape[1]) / self._area().astype(x.dtype)

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: object = None, **_: object) -> Bounded:
        """Gradient of the images."""
        return multilinear(self._undo, self._per_channel(self.windows.windows_per_pixel()), acts_grad)

    def _undo(self, v: np.ndarray) -> np.ndarray:
        share = planes(v / self._area().astype(v.dtype), self.channels)
        return _scatter(self.windows, share, lambda tap: share)

    def _area(self) -> np.ndarray:
        return self._per_channel(self.windows.pixels_per_window())


def _scatter(windows: Windows, v: np.ndarray, contribution: Callable[[int], np.ndarray]) -> np.ndarray:
    """Add `contribution(tap number)`, shaped like v, to the pixels under every tap."""
    framed = windows.pad(np.zeros((len(v), windows.image, windows.image, v.shape[3]), v.dtype))
    for tap, (_, pixels) in enumerate(windows.taps(framed)):
        pixels += contribution(tap)
    return windows.unpad(framed).reshape(-1, v.shape[3])
