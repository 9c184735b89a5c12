"""Pooling over square windows, clipped at the border of the image.

    max:     Y = maximum;  X gets the V of every window whose maximum it equals (all of them, on a tie)
    maxabs:  the same with the element of largest |x|, sign kept, the later one on a tie
    average: Y = sum / pixels inside;  X gets V / pixels inside from every window over it

Error model: a maximum is a copy, so it must match bit for bit.  Everything else is a sum of products (with 0, 1 or
1 / pixels): n = pixels in the window for the average, n = windows over the pixel for both gradients.

Source: network specification, 6.6; pooling specification, 1.1 to 1.3.
"""

import numpy as np

from .bounded import Bounded, multilinear, planes
from .windows import Windows

_EMPTY_MAXIMUM = np.float32(-2e38)


class _Pool:
    def __init__(self, spec):
        self.channels = spec["channels"]
        self.windows = Windows(spec["imgSize"], spec["start"], spec["sizeX"], spec["stride"], spec["outputsX"])

    def _zeros(self, like):
        return np.zeros((self.channels, self.windows.outputs, self.windows.outputs, like.shape[-1]), like.dtype)

    def _per_channel(self, counts):
        return np.tile(counts, (self.channels, 1))


class MaxPool(_Pool):
    """A `pool` layer with pool=max, maxabs, or rand with doMax."""

    def __init__(self, spec):
        super().__init__(spec)
        self.fill, self.pick = (0, _larger_abs) if spec["pool"] == "maxabs" else (_EMPTY_MAXIMUM, np.fmax)

    def forward(self, inputs, params=None, *, pass_type="train", mask=None):
        """Outputs (channels * outputs * outputs, N)."""
        x = self.windows.pad(planes(inputs[0], self.channels), self.fill)
        return Bounded(self._maximum(x).reshape(-1, x.shape[3]))

    def _maximum(self, framed):
        y = self._zeros(framed) + self.fill
        for _, x in self.windows.taps(framed):
            self.pick(y, x, out=y)
        return y

    def inputs_grad(self, i, inputs, acts_grad, params=None, *, pass_type="train", mask=None):
        """Gradient of the images."""
        x = self.windows.pad(planes(inputs[0], self.channels), self.fill)
        y = self._maximum(x)
        chosen = [x == y for _, x in self.windows.taps(x)]
        terms = self._per_channel(self.windows.windows_per_pixel())
        return multilinear(lambda v: self._undo(v, chosen), terms, acts_grad)

    def _undo(self, v, chosen):
        v = planes(v, self.channels)
        return _scatter(self.windows, v, lambda tap: v * chosen[tap])


class AveragePool(_Pool):
    """A `pool` layer with pool=avg."""

    def forward(self, inputs, params=None, *, pass_type="train", mask=None):
        """Outputs (channels * outputs * outputs, N)."""
        return multilinear(self._average, self._area(), inputs[0])

    def _average(self, x):
        framed = self.windows.pad(planes(x, self.channels))
        y = self._zeros(x)
        for _, pixels in self.windows.taps(framed):
            y += pixels
        return y.reshape(-1, x.shape[1]) / self._area().astype(x.dtype)

    def inputs_grad(self, i, inputs, acts_grad, params=None, *, pass_type="train", mask=None):
        """Gradient of the images."""
        return multilinear(self._undo, self._per_channel(self.windows.windows_per_pixel()), acts_grad)

    def _undo(self, v):
        share = planes(v / self._area().astype(v.dtype), self.channels)
        return _scatter(self.windows, share, lambda tap: share)

    def _area(self):
        return self._per_channel(self.windows.pixels_per_window())


def _scatter(windows, v, contribution):
    """Add `contribution(tap number)`, shaped like v, to the pixels under every tap."""
    framed = windows.pad(np.zeros((len(v), windows.image, windows.image, v.shape[3]), v.dtype))
    for tap, (_, pixels) in enumerate(windows.taps(framed)):
        pixels += contribution(tap)
    return windows.unpad(framed).reshape(-1, v.shape[3])


def _larger_abs(y, x, out):
    np.copyto(out, x, where=~(np.abs(y) > np.abs(x)))
