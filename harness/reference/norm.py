"""Response normalisation, across channels (cmrnorm) or across pixels (rnorm, and cnorm after removing the mean).

    D = minDiv + α Σ_window U²,     Y = X D^−β,     U = X  (cnorm: X minus the mean of its window)
    dX = V D^−β − 2αβ U Σ_mirrored window V Y / D

The window of size s around position f is f − ⌊s/2⌋ ... f − ⌊s/2⌋ + s − 1, clipped; for even sizes the positions
whose window holds f are the mirror image of that.  Blocked: the s positions of f's own block.  In cnorm the mean
depends on X too: of the second term, dU, each position also takes from those that it averages over,

    dX = V D^−β + dU − Σ_mirrored window dU / (positions in the window)

Error model (s: numbers in the window): forward n = s + 6, M = |Y| max(1 + |β|, l), because D is a sum of positive
numbers and the power multiplies its relative error by β.  Backward n = s + 8, M = b |V D^−β| + 2α|β| |U| Σ b |V Y / D|
with b = max(1, |β|, l): up to β = 1 the factor 8 of the bound has room for the power, beyond it the error grows as β
does.  l = |β ln D| / 8 is for powers computed as exp(−β ln D), whose exponent is rounded twice; it matters from
D = 40,000 on for β = 0.75.  All that is first order in |β| 8 √n u, which is 0.002 for β = 1000 and s = 9; layer files
allow no larger powers.  A power next to nothing may be flushed to zero before it is multiplied, which costs 2**-126
times the other factors.
In cnorm U cancels, with errors in proportion to W = |X| + mean |X|; W then takes the place of |U|, and
κ = 2α Σ|U| W / D is what its errors add to the relative error of D.

Source: network-and-solver 6.7 to 6.9; pool-norm 2.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .bounded import ROUNDOFF, SMALLEST_NORMAL, Bounded, planes
from .layer import Arrays, Layer, LayerSpec
from .windows import Windows

Formula = Callable[..., tuple[np.ndarray, np.ndarray]]
_BAND = 2**15
"""Numbers of an array that are evaluated at a time."""


class ResponseNorm(Layer):
    """A `cmrnorm` (across channels) or `rnorm` (across pixels) layer; `scale` is already divided by the window."""

    @staticmethod
    def operations(spec: Mapping[str, Any] | LayerSpec, forward: bool) -> int:
        """Forward Σ u² over the window, scale and shift, power, product."""
        terms = spec["size"] if spec["type"] == "cmrnorm" else spec["size"] ** 2
        return 2 * terms + 4 if forward else terms + 8

    backward_reads = ("inputs", "acts")

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.channels, self.size = spec["channels"], spec["size"]
        self.alpha, self.beta, self.min_div = spec["scale"], spec["pow"], spec.get("minDiv", 1.0)
        across_channels = spec["type"] == "cmrnorm"
        self.axes = (0,) if across_channels else (1, 2)
        self.add_up = _block_sum if across_channels and spec["blocked"] else window_sum

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs like the input, (channels * pixels, N)."""
        return self._in_bands(self._outputs, self._in_window() + 6, inputs[0])

    def _outputs(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = x.astype(np.float64)
        d = self._denominators(x)
        y = x * d**-self.beta
        condition = np.maximum(1 + abs(self.beta), self._exponents(d))
        return y, np.abs(y) * condition + _flushed(x)

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: object = None, **_: object) -> Bounded:
        """Gradient of the input."""
        return self._in_bands(self._gradient, self._in_window() + 8, inputs[0], acts_grad)

    def _gradient(self, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = x.astype(np.float64)
        d = self._denominators(x)
        direct = v * d**-self.beta
        shared = direct * x / d  # V Y / D
        factor = 2 * self.alpha * self.beta
        value = direct - factor * x * self._sum(shared, mirrored=True)
        through_d = abs(factor) * np.abs(x)
        power = self._power_condition(d)
        magnitude = np.abs(direct) * power + through_d * self._sum(np.abs(shared) * power, mirrored=True)
        magnitude += _flushed(v) + _flushed(through_d) * self._in_window()
        return value, magnitude

    def _in_bands(self, formula: Formula, terms: int, *operands: np.ndarray) -> Bounded:
        """The Bounded of value and magnitude; across channels of as many pixels at a time as stay in the cache."""
        arrays = [planes(x, self.channels) for x in operands]
        if self.axes != (0,):
            return _flat(*formula(*arrays), terms)
        arrays = [x.reshape(len(x), -1, x.shape[3]) for x in arrays]
        channels, pixels, cases = arrays[0].shape
        value, magnitude = np.empty((2, channels, pixels, cases))
        step = max(1, _BAND // (channels * cases))
        for band in (slice(start, start + step) for start in range(0, pixels, step)):
            value[:, band], magnitude[:, band] = formula(*(x[:, band] for x in arrays))
        return _flat(value, magnitude, terms)

    def _power_condition(self, d: np.ndarray) -> np.ndarray:
        """b."""
        return np.maximum(max(1.0, abs(self.beta)), self._exponents(d))

    def _exponents(self, d: np.ndarray) -> np.ndarray:
        """l."""
        return np.abs(self.beta * np.log(d)) / 8

    def _denominators(self, u: np.ndarray) -> np.ndarray:
        return self.min_div + self.alpha * self._sum(u * u)

    def _sum(self, x: np.ndarray, mirrored: bool = False) -> np.ndarray:
        for axis in self.axes:
            x = self.add_up(x, self.size, axis, mirrored)
        return x

    def _in_window(self) -> int:
        return self.size ** len(self.axes)


class ContrastNorm(ResponseNorm):
    """A `cnorm` layer: the denominator sees each pixel minus the mean of its (clipped) window."""

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs like the input, (channels * pixels, N)."""
        x = planes(np.asarray(inputs[0], np.float64), self.channels)
        u, w = self._differences(x)
        d = self._denominators(u)
        y = x * d**-self.beta
        condition = np.maximum(1 + abs(self.beta), self._exponents(d)) + abs(self.beta) * self._amplified(u, w, d)
        return _flat(y, np.abs(y) * condition + _flushed(x), 2 * self._in_window() + 6)

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: object = None, **_: object) -> Bounded:
        """Gradient of the input."""
        x = planes(np.asarray(inputs[0], np.float64), self.channels)
        v = planes(acts_grad, self.channels)
        u, w = self._differences(x)
        inside = self._inside(x.shape[1])
        d = self._denominators(u)
        kappa = self._amplified(u, w, d)
        direct = v * d**-self.beta
        shared = direct * x / d
        factor = 2 * self.alpha * self.beta
        du = -factor * u * self._sum(shared, mirrored=True)
        power, beta = self._power_condition(d), abs(self.beta)
        spread = abs(factor) * w * self._sum(np.abs(shared) * (power + (1 + beta) * kappa), mirrored=True)
        spread += _flushed(abs(factor) * w) * self._in_window()
        value = direct + du - self._sum(du / inside, mirrored=True)
        magnitude = np.abs(direct) * (power + beta * kappa) + _flushed(v)
        magnitude += spread + self._sum(spread / inside, mirrored=True)
        return _flat(value, magnitude, 3 * self._in_window() + 8)

    def _differences(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside = self._inside(x.shape[1])
        return x - self._sum(x) / inside, np.abs(x) + self._sum(np.abs(x)) / inside

    def _inside(self, side: int) -> np.ndarray:
        windows = Windows(side, -(self.size // 2), self.size, 1, side)
        return windows.pixels_per_window().reshape(side, side, 1)

    def _amplified(self, u: np.ndarray, w: np.ndarray, d: np.ndarray) -> np.ndarray:
        return 2 * self.alpha * self._sum(np.abs(u) * w) / d


def window_sum(x: np.ndarray, size: int, axis: int, mirrored: bool) -> np.ndarray:
    """Sum over the clipped window along one axis, by shifting."""
    low = size // 2 - size + 1 if mirrored else -(size // 2)
    total = np.zeros_like(x)
    into, of = np.moveaxis(total, axis, 0), np.moveaxis(x, axis, 0)
    for shift in range(max(low, 1 - len(of)), min(low + size, len(of))):
        start, stop = max(0, -shift), min(len(of), len(of) - shift)
        into[start:stop] += of[start + shift : stop + shift]
    return total


def _block_sum(x: np.ndarray, size: int, axis: int, mirrored: bool) -> np.ndarray:
    """Sum over the block of `size` channels; the last block may be short.  A block is its own mirror image."""
    total = np.empty_like(x)
    for start in range(0, len(x), size):
        total[start : start + size] = x[start : start + size].sum(0)
    return total


def _flushed(factor: np.ndarray) -> np.ndarray:
    """The magnitude that stands for a power flushed to zero before it is multiplied with `factor`."""
    return np.abs(factor) * (SMALLEST_NORMAL / (8 * ROUNDOFF))


def _flat(value: np.ndarray, magnitude: np.ndarray, terms: int) -> Bounded:
    cases = value.shape[-1]
    return Bounded(value.reshape(-1, cases), magnitude.reshape(-1, cases), terms)
