"""Faults of operations on images: nails, blur, reflection, resizing, colour spaces."""

from collections.abc import Callable

import numpy as np

from ...network.net import Net
from .fault import (
    BOTH,
    Change,
    Wrong,
    both,
    flat,
    miscomputed,
    misread,
    on_input,
    on_result,
    passed_on,
    planes,
    scene,
    to_half,
)
from .planted import CorrectLayer

# What has no gradient stands on the data, what has one above weights; 7 pixels leave a rest at a stride of 4.
PICTURES = scene(
    Net(768)
    .add("resize1", "resize", "data", channels=3, scale=1.3)
    .add("rscale1", "rscale", "data", channels=3, maxScale=1.6, tgtSize=10)
    .add("yuv1", "rgb2yuv", "data")
    .add("lab1", "rgb2lab", "data", center=1)
    .add("conv1", "conv", "yuv1,lab1", channels=3, filters=16, filterSize=4, padding=0, stride=2, initW="0.3,0.003")
    .add("nails1", "nailbed", "conv1", channels=16, stride=4)
    .add("blur1", "blur", "conv1", channels=16, filterSize=5, stdev=1.2)
    .add("fc1", "fc", "blur1,nails1,resize1,rscale1", outputs=27)
    .add("href1", "href", "fc1", channels=3),
    "href1",
)


def seen(change: Callable[[np.ndarray], np.ndarray], channels: int | None = None) -> Change:
    """A change of the (channels, S, S, N) view of a matrix."""
    return lambda layer, x: flat(change(planes(x, channels or layer.spec["channels"])))


# Nails and blur


def in_corner(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """Nails from the first pixel on."""
    stride = layer.spec["stride"]
    return flat(planes(layer.inputs[0], layer.spec["channels"])[:, ::stride, ::stride])


def to_corner(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The gradient of these."""
    spec, grads = layer.spec, np.zeros_like(layer.inputs[0])
    into = planes(grads, spec["channels"])
    into[:, :: spec["stride"], :: spec["stride"]] = planes(layer.acts_grad, spec["channels"])
    return grads


def spread(layer: CorrectLayer, grads: np.ndarray) -> np.ndarray:
    """Every pixel gets the gradient of the nail before it."""
    spec = layer.spec
    v = planes(layer.acts_grad, spec["channels"])
    cells = np.arange(spec["imgSize"]) // spec["stride"]
    return flat(v[:, cells[:, None], cells])


def continued(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """Blurred with border pixels repeated outside the image."""
    x, size = planes(layer.inputs[0], layer.spec["channels"]), layer.spec["filterSize"]
    offsets = np.arange(size) - size // 2
    taps = np.exp(-(offsets**2) / (2 * layer.spec["stdev"] ** 2))
    for axis in (1, 2):
        framed = np.pad(x, [(size // 2,) * 2 if k == axis else (0, 0) for k in range(4)], mode="edge")
        shifted = [framed.take(range(k, k + x.shape[axis]), axis) for k in range(size)]
        x = sum(tap * part for tap, part in zip(taps / taps.sum(), shifted, strict=True))
    return flat(x.astype(np.float32))


def unnormalised(layer: CorrectLayer, acts: np.ndarray) -> np.ndarray:
    """Times the sum of the filter, twice."""
    offsets = np.arange(layer.spec["filterSize"]) - layer.spec["filterSize"] // 2
    total = np.exp(-(offsets**2) / (2 * layer.spec["stdev"] ** 2)).sum()
    return acts * np.float32(total**2)


NAILS = (
    miscomputed("nailbed-start", "the first nail in the corner, not centred", PICTURES, "nails1", acts=in_corner,
                grad=to_corner),
    miscomputed("nailbed-gradient", "the gradient of a nail given to all pixels of its cell", PICTURES, "nails1",
                grad=on_result(spread)),
    miscomputed("nailbed-axes", "rows and columns of the nails swapped", PICTURES, "nails1",
                acts=on_result(seen(lambda images: images.swapaxes(1, 2)))),
)  # fmt: skip
BLUR = (
    misread("blur-size", "a filter two pixels shorter", PICTURES, "blur1",
            lambda spec: {"filterSize": spec["filterSize"] - 2}, BOTH),
    misread("blur-variance", "the standard deviation taken for a variance", PICTURES, "blur1",
            lambda spec: {"stdev": spec["stdev"] ** 0.5}, BOTH),
    miscomputed("blur-border", "border pixels repeated outside the image", PICTURES, "blur1", acts=continued),
    miscomputed("blur-sum", "the filter not divided by its sum", PICTURES, "blur1", **both(on_result(unnormalised))),
    miscomputed("blur-gradient", "the gradient handed down without blurring it", PICTURES, "blur1", grad=passed_on),
)  # fmt: skip
HREF = (
    miscomputed("href-gradient", "the gradient not mirrored", PICTURES, "href1", grad=passed_on),
    miscomputed("href-axis", "upside down, not left to right", PICTURES, "href1",
                **both(on_result(seen(lambda images: images[:, ::-1, ::-1])))),
    miscomputed("href-channels", "the channels reversed too", PICTURES, "href1",
                acts=on_result(seen(lambda images: images[::-1]))),
)  # fmt: skip


# Resizing


def nearest(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The pixel before each place, without interpolating."""
    spec, x = layer.spec, planes(layer.inputs[0], layer.spec["channels"])
    target, scale = spec["tgtSize"], spec["scale"]
    at = np.arange(target) * scale + (spec["imgSize"] - target * scale) / 2
    at = np.clip(at, 0, spec["imgSize"] - 1).astype(int)
    return flat(x[:, at[:, None], at])


def drawn(change: Callable[[np.ndarray], np.ndarray]) -> Wrong:
    """With other random numbers: ``change(u)`` of the four for size, scale, row and column."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        return layer.compute(tensor, mask=change(layer.mask.copy()))

    return wrong


def centred(u: np.ndarray) -> np.ndarray:
    """The crop in the middle."""
    u[2:] = 0.5
    return u


def equally_likely(u: np.ndarray) -> np.ndarray:
    """The number that gives all seven sizes the same probability; right is one in proportion to 1, 4, 9 ..."""
    ends = np.cumsum(np.arange(1, 8) ** 2)
    u[0] = (ends[int(u[0, 0] * 7)] - 0.5) / ends[-1]
    return u


RESIZE = (
    misread("resize-scale", "the scale measured between the corner pixels", PICTURES, "resize1",
            lambda spec: {"scale": (spec["imgSize"] - 1) / (spec["tgtSize"] - 1)}, "forward acts"),
    miscomputed("resize-nearest", "the pixel nearest to the corner taken, not interpolated", PICTURES, "resize1",
                acts=nearest),
    miscomputed("resize-axes", "target rows and columns swapped", PICTURES, "resize1",
                acts=on_result(seen(lambda images: images.swapaxes(1, 2)))),
    miscomputed("rscale-crop", "the crop always in the middle", PICTURES, "rscale1", acts=drawn(centred)),
    miscomputed("rscale-size", "all sizes drawn with the same probability", PICTURES, "rscale1",
                acts=drawn(equally_likely)),
    miscomputed("rscale-order", "the draws for row and column swapped", PICTURES, "rscale1",
                acts=drawn(lambda u: u[[0, 1, 3, 2]])),
)  # fmt: skip


# Colours


def mixed(matrix: np.ndarray) -> Wrong:
    """A matrix applied to the three colours."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        x = layer.inputs[0]
        return np.tensordot(matrix, x.reshape(3, -1, x.shape[1]), 1).reshape(x.shape).astype(np.float32)

    return wrong


YUV = np.array([[0.2126, 0.7152, 0.0722], [-0.09991, -0.33609, 0.436], [0.615, -0.55861, -0.05639]])
TELEVISION = np.array([[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]])


def rounded_exponent(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """Colours whose root is the .3333th, not the third, power."""
    xyz = np.array([[0.49, 0.31, 0.2], [0.17697, 0.8124, 0.01063], [0, 0.01, 0.99]])
    t = np.tensordot(xyz, layer.inputs[0].reshape(3, -1, layer.inputs[0].shape[1]), 1)
    x, y, z = np.where(t > 0.0088564517, np.maximum(t, 0) ** 0.3333, 7.787037 * t + 0.13793103)
    return np.concatenate([116 * y - 66, 500 * (x - y), 200 * (y - z)]).astype(np.float32)


COLOURS = (
    miscomputed("yuv-standard", "the matrix of standard, not of high-definition television", PICTURES, "yuv1",
                acts=mixed(TELEVISION)),
    miscomputed("yuv-transposed", "the colour matrix transposed", PICTURES, "yuv1", acts=mixed(YUV.T)),
    miscomputed("yuv-colours", "colours in the order blue, green, red", PICTURES, "yuv1",
                acts=on_input(lambda layer, x: np.concatenate(np.split(x, 3)[::-1]))),
    misread("lab-centre", "lightness not centred", PICTURES, "lab1", lambda spec: {"center": False}, "forward acts"),
    miscomputed("lab-root", "the power .3333 taken for a cube root, as in 2012", PICTURES, "lab1",
                acts=rounded_exponent),
    miscomputed("lab-half", "colours of half precision", PICTURES, "lab1", acts=on_input(to_half)),
)  # fmt: skip

FAULTS = (*NAILS, *BLUR, *HREF, *RESIZE, *COLOURS)
