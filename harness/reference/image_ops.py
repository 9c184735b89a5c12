"""Operations on images: nails, blur, reflection, resizing, colour spaces.

    nailbed:  Y(y, x) = X(start + stride y, start + stride x);  its gradient goes back there
    blur:     correlation with a symmetric filter along both axes, zero outside the image: K X Kᵀ, its own gradient
    href:     mirrored left to right, as is its gradient
    resize:   target pixel t looks at s = t scale + (S - T scale) / 2, held within 0 ... S - 1, and interpolates
              linearly: W X Wᵀ with W(t, pixel) = max(0, 1 - |s - pixel|)
    rscale:   in training resized to R x R (R = S: not at all), then cropped to T x T, both at random, all cases alike;
              in other passes the T x T pixels in the middle
    rgb2yuv, rgb2lab:  a matrix, and for LAB a cube root with a linear piece near 0

The last four have no gradient.

Error model: selections are copies.  Blur is a sum of size products per axis, with a filter good to a few roundings:
n = 2 size + 6.  Resizing interpolates three times, where M is all pixels around; and where it looks is off by the
roundings of numbers of the size t scale + |(S - T scale) / 2|, which the pixels around translate into M.  The matrices
are sums of three products.  For h(x) = x^(1/3) or its linear piece, see `_cube_root`.

Source: network-and-solver 6.15 and 6.16; pool-norm 3.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .bounded import ROUNDOFF, Bounded, multilinear, planes
from .layer import Arrays, Draw, Layer, LayerSpec, uniforms


class _Images(Layer):
    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.channels: int = spec.get("channels", 3)
        self.side: int = spec.get("imgSize", 0)

    def _planes(self, x: np.ndarray) -> np.ndarray:
        return planes(x, self.channels)


class NailBed(_Images):
    """A `nailbed` layer."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__(spec)
        nails = slice(spec["start"], spec["start"] + spec["stride"] * (spec["outputsX"] - 1) + 1, spec["stride"])
        self.nails = (slice(None), nails, nails)

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs (channels * outputs * outputs, N)."""
        return Bounded(_flat(self._planes(inputs[0])[self.nails]))

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: object = None, **_: object) -> Bounded:
        """The gradient at the nails, 0 between them."""
        dx = np.zeros(self._planes(inputs[0]).shape, acts_grad.dtype)
        dx[self.nails] = self._planes(acts_grad)
        return Bounded(_flat(dx))


class Blur(_Images):
    """A `blur` layer; filter_i is exp(-(i - size/2)² / 2 stdev²), i = 0 ... size - 1, divided by the sum."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__(spec)
        radius = spec["filterSize"] // 2
        taps = np.exp(-(np.arange(-radius, radius + 1.0) ** 2) / (2 * spec["stdev"] ** 2))
        self.band: Any = sum(np.eye(self.side, k=k) * tap for k, tap in enumerate(taps / taps.sum(), -radius))
        self.terms = 2 * spec["filterSize"] + 6

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs like the input."""
        return multilinear(self._blurred, self.terms, inputs[0])

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: object = None, **_: object) -> Bounded:
        """The blurred gradient."""
        return multilinear(self._blurred, self.terms, acts_grad)

    def _blurred(self, x: np.ndarray) -> np.ndarray:
        return _flat(_along_axes(self.band, self.band, self._planes(x)))


class Reflection(_Images):
    """An `href` layer."""

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs like the input."""
        return Bounded(_flat(self._planes(inputs[0])[:, :, ::-1]))

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: object = None, **_: object) -> Bounded:
        """The mirrored gradient."""
        return self.forward([acts_grad])


class Resize(_Images):
    """A `resize` layer."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__(spec)
        self.target, self.scale = spec["tgtSize"], spec["scale"]

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs (channels * target * target, N)."""
        value, magnitude = resized(self._planes(inputs[0]), self.target, self.scale)
        return Bounded(_flat(value), _flat(magnitude), 12)


class RandomScale(_Images):
    """An `rscale` layer; in training `mask` (4, 1) holds the numbers u in [0, 1) that decide."""

    @staticmethod
    def noise(spec: Mapping[str, Any] | LayerSpec, pass_type: str) -> Draw | None:
        """The four numbers, for all cases."""
        return (lambda random, shape: uniforms(random, (4, 1))) if pass_type == "train" else None

    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__(spec)
        self.target, self.max_scale = spec["tgtSize"], spec["maxScale"]

    def forward(
        self, inputs: Arrays, params: object = None, *, pass_type: str = "train", mask: np.ndarray | None = None
    ) -> Bounded:
        """Outputs (channels * target * target, N)."""
        x = self._planes(inputs[0])
        if pass_type != "train":
            middle = (self.side - self.target) // 2
            return Bounded(_flat(self._crop(x, middle, middle)))
        if mask is None:
            raise ValueError("rscale: the training pass needs the numbers that the engines used")
        size, scale, top, left = self.drawn(mask[:, 0])
        if size == self.side:
            return Bounded(_flat(self._crop(x, top, left)))
        value, magnitude = (_flat(self._crop(part, top, left)) for part in resized(x, size, scale))
        return Bounded(value, magnitude, 12)

    def drawn(self, uniforms: np.ndarray) -> tuple[int, float, int, int]:
        """R, the scale, and the rows and columns before the crop, from four numbers u.

        R = T + s with probability in proportion to (s + 1)², s = 0 ... S - floor(S / maxScale); the scale is between
        max(1, S / (R + 1)) and S / R.
        """
        of_size, of_scale, of_top, of_left = map(float, uniforms)
        shares = np.cumsum(np.arange(1, self.side - int(self.side / self.max_scale) + 2) ** 2)
        size = self.target + int(np.searchsorted(shares / shares[-1], of_size))
        low, high = max(1, self.side / (size + 1)), self.side / size
        places = size - self.target + 1
        return size, low + of_scale * (high - low), int(of_top * places), int(of_left * places)

    def _crop(self, x: np.ndarray, top: int, left: int) -> np.ndarray:
        return x[:, top : top + self.target, left : left + self.target]


def resized(x: np.ndarray, target: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Images (C, S, S, N) at target x target pixels, and M."""
    side = x.shape[1]
    middle = (side - target * scale) / 2
    at = np.maximum(0, np.minimum(np.arange(target) * scale + middle, side - 1))[:, None]
    distance = np.abs(at - np.arange(side))
    weights = np.maximum(0, 1 - distance)
    # The pixels around count whole where a + w (b - a) rounds, and their weights move with what `at` is off by.
    moved = (distance < 2) * (1 + np.arange(target)[:, None] * scale + abs(middle))
    size = np.abs(np.asarray(x, np.float64))
    magnitude = _along_axes(weights + moved, weights, size) + _along_axes(weights, moved, size)
    return _along_axes(weights, weights, np.asarray(x, np.float64)), magnitude


_YUV = np.array([[0.2126, 0.7152, 0.0722], [-0.09991, -0.33609, 0.436], [0.615, -0.55861, -0.05639]])
_XYZ = np.array([[0.49, 0.31, 0.2], [0.17697, 0.8124, 0.01063], [0, 0.01, 0.99]])


class RgbToYuv(_Images):
    """An `rgb2yuv` layer."""

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs like the input."""
        return Bounded(_mixed(_YUV, inputs[0]), _mixed(np.abs(_YUV), np.abs(inputs[0])), 4)


class RgbToLab(_Images):
    """An `rgb2lab` layer; colours are meant to be between 0 and 1."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        super().__init__(spec)
        self.black = -66 if spec["center"] else -16

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """Outputs like the input: L, a, b."""
        found = _cube_root(_mixed(_XYZ, inputs[0]), _mixed(_XYZ, np.abs(inputs[0])))
        (x, y, z), (dx, dy, dz) = (part.reshape(3, -1, part.shape[1]) for part in found)
        value = np.concatenate([116 * y + self.black, 500 * (x - y), 200 * (y - z)])
        magnitude = np.concatenate([116 * dy - self.black, 500 * (dx + dy), 200 * (dy + dz)])
        return Bounded(value, magnitude, _LAB_TERMS)


_LAB_TERMS = 12
_LINEAR_BELOW = 0.0088564517


def _cube_root(t: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """h(t) and its M, for t that is known to `size` roundings.

    The power has condition 1/3 and a logarithm of its own.  The two pieces do not quite meet: where rounding decides
    between them, M makes room for the step.
    """
    above = t > _LINEAR_BELOW
    safe = np.where(above, t, 1)
    power, linear = safe ** (1 / 3), 7.787037 * t + 0.13793103
    step = abs(_LINEAR_BELOW ** (1 / 3) - (7.787037 * _LINEAR_BELOW + 0.13793103))
    slope = 8 * ROUNDOFF * np.sqrt(_LAB_TERMS)
    close = np.abs(t - _LINEAR_BELOW) <= slope * size
    value = np.where(above, power, linear)
    spread = np.where(above, power * (1 + (np.abs(np.log(safe)) + size / safe) / 3), 7.787037 * size + 0.13793103)
    return value, spread + close * step / slope


def _mixed(matrix: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A matrix applied to the three colours of every pixel."""
    return np.tensordot(matrix, x.reshape(3, -1, x.shape[1]).astype(np.float64), 1).reshape(x.shape)


def _along_axes(rows: np.ndarray, columns: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A matrix along the rows and one along the columns of images (C, S, S, N)."""
    channels, height, width, cases = x.shape
    x = (rows.astype(x.dtype) @ x.reshape(channels, height, -1)).reshape(channels, -1, width, cases)
    return columns.astype(x.dtype) @ x


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[3])
