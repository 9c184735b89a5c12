"""Square windows sliding over square images: the geometry that convolution and pooling share."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Windows:
    """Along each axis, window o covers the pixels start + stride o ... start + stride o + size - 1.

    Windows may stick out of the image on any side; what is outside counts as padding.
    """

    image: int
    start: int
    size: int
    stride: int
    outputs: int

    @cached_property
    def _pixel(self) -> np.ndarray:
        """(outputs, size): the pixel under tap p of window o, along one axis."""
        return self.start + self.stride * np.arange(self.outputs)[:, None] + np.arange(self.size)

    @cached_property
    def _inside(self) -> np.ndarray:
        return (self._pixel >= 0) & (self._pixel < self.image)

    def tap_inside(self) -> np.ndarray:
        """(outputs * outputs, size * size): 1 where tap (p, q) of window (y, x) is inside the image, else 0."""
        return np.kron(self._inside, self._inside).astype(int)

    def windows_per_tap(self) -> np.ndarray:
        """(size * size, 1): in how many windows tap (p, q) falls inside the image."""
        return _square(self._inside.sum(0))

    def pixels_per_window(self) -> np.ndarray:
        """(outputs * outputs, 1): how many pixels of window (y, x) are inside the image."""
        return _square(self._inside.sum(1))

    def windows_per_pixel(self) -> np.ndarray:
        """(image * image, 1): how many windows cover pixel (y, x)."""
        return _square(np.bincount(self._pixel[self._inside], minlength=self.image))

    def pad(self, x: np.ndarray, fill: float | np.float32 = 0) -> np.ndarray:
        """Frame (C, S, S, N) images so that window o starts at pixel stride * o of the result."""
        extent = self.stride * (self.outputs - 1) + self.size
        framed = np.full((x.shape[0], extent, extent, x.shape[3]), fill, x.dtype)
        inner, outer = self._overlap(extent)
        framed[:, inner, inner] = x[:, outer, outer]
        return framed

    def unpad(self, framed: np.ndarray) -> np.ndarray:
        """The images inside such a frame; pixels that no window reaches are 0."""
        x = np.zeros((framed.shape[0], self.image, self.image, framed.shape[3]), framed.dtype)
        inner, outer = self._overlap(framed.shape[1])
        x[:, outer, outer] = framed[:, inner, inner]
        return x

    def _overlap(self, extent: int) -> tuple[slice, slice]:
        low, high = max(0, self.start), min(self.image, self.start + extent)
        return slice(low - self.start, high - self.start), slice(low, high)

    def taps(self, framed: np.ndarray, rows: range | None = None) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        """Yield ((p, q), view): the pixels under tap (p, q) of all windows, (C, outputs, outputs, N).

        `rows`, a range of window rows, restricts the view to those.
        """
        rows = rows or range(self.outputs)
        for p in range(self.size):
            for q in range(self.size):
                yield (p, q), framed[:, self._under(p, rows), self._under(q, range(self.outputs))]

    def _under(self, tap: int, windows: range) -> slice:
        return slice(tap + self.stride * windows.start, tap + self.stride * (windows.stop - 1) + 1, self.stride)


def _square(counts: np.ndarray) -> np.ndarray:
    return np.outer(counts, counts).reshape(-1, 1)
