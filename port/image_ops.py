"""Fixed operations on images: samples, blur, mirror, scale, crop, colours. Source: network-and-solver 6.15, 6.16.

Arrays are (channels, y, x, images) in float32 or float64; S is the side of the images, T the side of the result. NumPy
does the work. Resizing, cropping and colours have no gradient: these layers may only stand below all weights.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .checks import Array, require, square
from .config.geometry import nailbed

YUV = ((0.2126, 0.7152, 0.0722), (-0.09991, -0.33609, 0.436), (0.615, -0.55861, -0.05639))
XYZ = ((0.49, 0.31, 0.2), (0.17697, 0.8124, 0.01063), (0.0, 0.01, 0.99))
YUV_601 = ((0.299, 0.587, 0.114), (-0.14713, -0.28886, 0.436), (0.615, -0.51499, -0.10001))
LAB_THRESHOLD, LAB_SLOPE, LAB_OFFSET = 0.0088564517, 7.787037, 0.13793103


def nailbed_forward(images: Array, *, stride: int) -> Array:
    """Every stride-th pixel, centred: (C, S, S, N) -> (C, T, T, N) with T = ceil(S / stride).

    Raises OperandError, a ValueError, for a wrong shape or dtype; here and below.
    """
    images = square("nailbed_forward: images", images)
    _, start = nailbed(images.shape[1], stride)
    return images[:, start::stride, start::stride].copy()


def nailbed_backward(grads: Array, *, img_size: int, stride: int) -> Array:
    """Gradient of `nailbed_forward`: (C, T, T, N) -> (C, S, S, N), 0 at the other pixels; img_size is S."""
    grads = square("nailbed_backward: grads", grads)
    outputs, start = nailbed(img_size, stride)
    hint = "the side of this bed of nails"
    require(grads.shape[1] == outputs, "nailbed_backward: grads have the wrong size", outputs, grads.shape[1], hint)
    out = np.zeros((len(grads), img_size, img_size, grads.shape[3]), grads.dtype)
    out[:, start::stride, start::stride] = grads
    return out


def blur_filter(filter_size: int, stdev: float) -> Array:
    """The taps exp(-(i - filter_size//2)² / (2 stdev²)), divided by their sum, float32."""
    offsets = np.arange(filter_size) - filter_size // 2
    taps = np.exp(-(offsets**2) / (2 * stdev**2))
    return (taps / taps.sum()).astype(np.float32)


def blur(images: Array, *, filter_size: int, stdev: float) -> Array:
    """Gaussian blur: horizontal, then vertical convolution, zeros outside the image (edges darken).

    `filter_size` is the number of taps, odd, `stdev` that of the Gaussian in pixels. The filter is symmetric, so the
    gradient of this operation is the operation itself.
    """
    images = square("blur: images", images)
    odd = filter_size % 2 == 1
    require(odd, "blur: wrong filter_size", "an odd number", filter_size, "an even filter has no centre")
    taps = blur_filter(filter_size, stdev).astype(images.dtype)
    return _blur_axis(_blur_axis(images, taps, 2), taps, 1)


def _blur_axis(images: Array, taps: Array, axis: int) -> Array:
    """One pass; contributions to a pixel are added in ascending order of their position."""
    side, radius, out = images.shape[axis], len(taps) // 2, np.zeros_like(images)
    before = (slice(None),) * axis
    for offset in range(max(-radius, 1 - side), min(radius, side - 1) + 1):
        to = (*before, slice(max(0, -offset), side - max(0, offset)))
        source = (*before, slice(max(0, offset), side - max(0, -offset)))
        out[to] += images[source] * taps[radius + offset]
    return out


def mirror(images: Array) -> Array:
    """Every image left-right; the gradient of this operation is the operation itself."""
    return np.ascontiguousarray(square("mirror: images", images)[:, :, ::-1])


def resize(images: Array, *, size: int, scale: float, margin: float = 1.0) -> Array:
    """Bilinear scaling: target pixel t lies at source coordinate clamp(t scale + (S - T scale)/2, 0, S - margin).

    `size` is T. `scale` is source pixels per target pixel: above 1 the image shrinks. The `margin` was 1.01 in the
    release.
    """
    images = square("resize: images", images)
    side = images.shape[1]
    place = np.clip(np.arange(size) * scale + (side - size * scale) / 2, 0, max(side - margin, 0))
    first = np.floor(place).astype(int)
    second, share = np.minimum(first + 1, side - 1), (place - first).astype(images.dtype)
    x_share, y_share = share[:, np.newaxis], share[:, np.newaxis, np.newaxis]
    left, right = images[:, :, first], images[:, :, second]
    rows = left + x_share * (right - left)
    top, bottom = rows[:, first], rows[:, second]
    return top + y_share * (bottom - top)


def crop(images: Array, *, size: int, top: int, left: int) -> Array:
    """The size x size window whose first row and column are `top` and `left`."""
    images = square("crop: images", images)
    inside = 0 <= top <= images.shape[1] - size and 0 <= left <= images.shape[1] - size
    actual = f"{size} pixels from ({top}, {left})"
    require(inside, "crop: the window lies outside", f"within {images.shape[1]} pixels", actual, "a smaller window")
    return images[:, top : top + size, left : left + size].copy()


def rscale_draw(uniforms: Sequence[float], *, img_size: int, max_scale: float, size: int) -> dict[str, Any]:
    """The random choices of rscale, one set for all images of a batch: the arguments of `rscale`, a dict.

    With n = S - floor(S/maxScale) + 1 scales, scale s = 0 ... n-1 has a probability proportional to (s + 1)²; the image
    is scaled to R = T + s pixels (``scaled``) by a ``factor`` between max(1, S/(R+1)) and S/R; the crop of T pixels
    starts anywhere, at ``top`` and ``left``. The four `uniforms` in [0, 1) are for scale, factor, first row, first
    column; `img_size` is S, `size` is T.
    """
    r, f, y, x = (float(u) for u in uniforms)
    count = img_size - int(img_size / max_scale) + 1
    shares = np.cumsum(np.arange(1, count + 1) ** 2) / (count * (count + 1) * (2 * count + 1) // 6)
    scaled = size + int(np.searchsorted(shares, r))
    low = max(1.0, img_size / (scaled + 1))
    factor = low + f * (img_size / scaled - low)
    origins = scaled - size + 1
    return {"scaled": scaled, "factor": factor, "top": int(y * origins), "left": int(x * origins)}


def rscale(images: Array, *, size: int, scaled: int, factor: float, top: int, left: int, margin: float = 1.0) -> Array:
    """Scale the images to the side `scaled`, unless they have it already, and crop a window of the side `size`."""
    if np.shape(images)[1] != scaled:
        images = resize(images, size=scaled, scale=factor, margin=margin)
    return crop(images, size=size, top=top, left=left)


def rgb_to_yuv(images: Array, coefficients: Sequence[Sequence[float]] = YUV) -> Array:
    """Red, green, blue to luminance and two colour differences; (3, S, S, N) to the same shape."""
    return _mix(coefficients, square("rgb_to_yuv: images", images))


def rgb_to_lab(images: Array, *, center: bool = False, power: float = 1 / 3) -> Array:
    """Red, green, blue in 0 ... 1 to L, a, b; (3, S, S, N) to the same shape; `center` subtracts 50 from L.

    As in the release, no white point enters the formula (network-and-solver 6.15). `power` stands in the place of the
    cube root; 0.3333 in the release.
    """
    mixed = _mix(XYZ, square("rgb_to_lab: images", images))
    roots = np.power(np.maximum(mixed, LAB_THRESHOLD), images.dtype.type(power))
    x, y, z = np.where(mixed > LAB_THRESHOLD, roots, LAB_SLOPE * mixed + LAB_OFFSET)
    return np.stack([116 * y - 16 - (50 if center else 0), 500 * (x - y), 200 * (y - z)])


def _mix(rows: Sequence[Sequence[float]], images: Array) -> Array:
    """Weighted sums of the three channels, added from left to right."""
    require(len(images) == 3, "colours: wrong number of channels", 3, len(images), "red, green, blue")
    red, green, blue = images
    dtype = images.dtype.type
    return np.stack([dtype(a) * red + dtype(b) * green + dtype(c) * blue for a, b, c in rows])
