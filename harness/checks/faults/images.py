"""Faults of layers on images that have no weights: pooling and normalisation, of any kind."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...network.load import LayerSpec
from ...network.net import Net
from .fault import (
    BOTH,
    Wrong,
    both,
    box,
    flat,
    miscomputed,
    misread,
    on_grad,
    on_input,
    on_result,
    only_direct,
    planes,
    scene,
    to_half,
    window_turned,
)
from .planted import CorrectLayer

# Windows that overlap and are clipped on all four sides, negative values; an even window and a blocked one that leaves
# a rest of channels, with constants that make the normalisation strong.
IMAGES = scene(
    Net(243)
    .add("conv1", "conv", "data", channels=3, filters=16, filterSize=3, padding=1, stride=1)
    .add("max1", "pool", "conv1", pool="max", channels=16, sizeX=3, stride=2, start=-1)
    .add("avg1", "pool", "conv1", pool="avg", channels=16, sizeX=3, stride=2, start=-1)
    .add("stack", "concat", "max1,avg1")
    .add("norm1", "cmrnorm", "stack", channels=32, size=4, scale=2, pow=0.75, minDiv=2)
    .add("norm2", "cmrnorm", "stack", channels=32, size=5, blocked="true", scale=2, pow=0.75, minDiv=2),
    "norm1,norm2",
)

# Pooling


def clipped_share(layer: CorrectLayer, acts: np.ndarray) -> np.ndarray:
    """Outputs or their gradients times the share of their window that lies inside the image."""
    spec = layer.spec
    starts = spec["start"] + spec["stride"] * np.arange(spec["outputsX"])
    inside = np.minimum(starts + spec["sizeX"], spec["imgSize"]) - np.maximum(starts, 0)
    share = np.outer(inside, inside).astype(np.float32) / np.float32(spec["sizeX"] ** 2)
    return flat(planes(acts, spec["channels"]) * share[:, :, None])


def without_border(layer: CorrectLayer, x: np.ndarray) -> np.ndarray:
    """Images whose last row and column are never the maximum."""
    images = planes(x, layer.spec["channels"]).copy()
    images[:, -1] = images[:, :, -1] = -1e30
    return flat(images)


def without_ties(layer: CorrectLayer, x: np.ndarray) -> np.ndarray:
    """Images, multiples of 1/8, in which each pixel is a little less than the one before."""
    images = planes(x, layer.spec["channels"])
    order = np.arange(images[0, ..., 0].size, dtype=np.float32).reshape(*images.shape[1:3], 1)
    return flat(images - order * np.float32(2**-16))


def shorter(spec: LayerSpec) -> dict[str, Any]:
    """A window that lacks its last pixel."""
    return {"sizeX": spec["sizeX"] - 1}


POOL = (
    misread("pool-window", "the window one pixel too short", IMAGES, "max1", shorter, BOTH),
    misread("pool-window-average", "the window of an average one pixel too short", IMAGES, "avg1", shorter, BOTH),
    misread("pool-start", "the first window starts at the border", IMAGES, "max1", lambda spec: {"start": 0}, BOTH),
    miscomputed("pool-clip", "windows clipped one pixel before the right and lower border", IMAGES, "max1",
                **both(on_input(without_border))),
    miscomputed("pool-floor", "the number of windows rounded down", IMAGES, "max1",
                acts=on_result(lambda layer, x: flat(planes(x, layer.spec["channels"])[:, :-1, :-1])), status="shape"),
    miscomputed("pool-zero", "the running maximum starts at zero", IMAGES, "max1",
                acts=on_result(lambda layer, acts: np.maximum(acts, 0))),
    miscomputed("pool-ties", "of equal maxima only the first gets the gradient", IMAGES, "max1",
                grad=on_input(without_ties), input="exact"),
    miscomputed("pool-area", "averages divided by the whole window where it is clipped", IMAGES, "avg1",
                acts=on_result(clipped_share), grad=on_grad(clipped_share)),
    miscomputed("pool-sum", "the gradient of an average not divided", IMAGES, "avg1",
                grad=on_result(lambda layer, grads: grads * layer.spec["sizeX"] ** 2)),
    misread("pool-kind", "an average where a maximum was asked for", IMAGES, "max1", lambda spec: {"pool": "avg"},
            BOTH),
)  # fmt: skip


# Response normalisation across channels


channels_turned = window_turned(lambda images: images[::-1])

NORM = (
    misread("norm-alpha", "alpha not divided by the size of the window", IMAGES, "norm1",
            lambda spec: {"scale": spec["scale"] * spec["size"]}, BOTH),
    misread("norm-alpha-twice", "alpha divided by the size of the window twice", IMAGES, "norm1",
            lambda spec: {"scale": spec["scale"] / spec["size"]}, BOTH),
    misread("norm-k", "k = 1, as before 2012", IMAGES, "norm1", lambda spec: {"minDiv": 1.0}, BOTH),
    misread("norm-power", "a square root in place of the power", IMAGES, "norm1", lambda spec: {"pow": 0.5}, BOTH),
    misread("norm-window-low", "the window without its lowest channel", IMAGES, "norm1",
            lambda spec: {"size": spec["size"] - 1}, BOTH),
    misread("norm-window-high", "the window with one channel more at its upper end", IMAGES, "norm1",
            lambda spec: {"size": spec["size"] + 1}, BOTH),
    miscomputed("norm-window-side", "an even window with its surplus channel on the wrong side", IMAGES, "norm1",
                **both(channels_turned)),
    miscomputed("norm-mirror", "the mirror image of an even window forgotten in the gradient", IMAGES, "norm1",
                grad=channels_turned),
    miscomputed("norm-direct", "the gradient forgets that the denominators depend on the input", IMAGES, "norm1",
                grad=only_direct),
    misread("norm-blocked", "sliding windows where blocks were asked for", IMAGES, "norm2",
            lambda spec: {"blocked": False}, BOTH),
)  # fmt: skip


# Even windows, constants that make the normalisation strong; pooling windows that overlap and are clipped.
WINDOWS = scene(
    Net(243)
    .add("conv1", "conv", "data", channels=3, filters=16, filterSize=3, padding=1, stride=1)
    .add("rnorm1", "rnorm", "conv1", channels=16, size=4, scale=2, pow=0.75)
    .add("cnorm1", "cnorm", "conv1", channels=16, size=4, scale=2, pow=0.75)
    .add("maxabs1", "pool", "rnorm1", pool="maxabs", channels=16, sizeX=3, stride=2, start=-1)
    .add("rand1", "pool", "cnorm1", pool="rand", channels=16, sizeX=3, stride=2, start=-1, doMax="false"),
    "maxabs1,rand1",
)


# Normalisation across pixels


pixels_turned = window_turned(lambda images: images[:, ::-1, ::-1])


def means(layer: CorrectLayer) -> tuple[np.ndarray, np.ndarray]:
    """The images, and the mean of the clipped window around every pixel."""
    x, size = planes(layer.inputs[0], layer.spec["channels"]), layer.spec["size"]
    return x, box(x, size) / box(np.ones_like(x), size)


def normed(layer: CorrectLayer, x: np.ndarray, mean: np.ndarray | float) -> np.ndarray:
    """Outputs for other means."""
    spec = layer.spec
    return x * (1 + spec["scale"] * box((x - mean) ** 2, spec["size"])) ** -spec["pow"]


def whole_window_means(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """Outputs for means over the whole window where it is clipped."""
    x, _ = means(layer)
    return flat(normed(layer, x, box(x, layer.spec["size"]) / layer.spec["size"] ** 2).astype(np.float32))


def no_means(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """Outputs without means."""
    x, _ = means(layer)
    return flat(normed(layer, x, 0).astype(np.float32))


def centred(layer: CorrectLayer, acts: np.ndarray) -> np.ndarray:
    """Outputs that are themselves without their mean."""
    x, mean = means(layer)
    return acts * flat(1 - mean / x)


def constant_means(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The gradient with the means taken for constants."""
    x, mean = means(layer)
    alpha, beta = layer.spec["scale"], layer.spec["pow"]
    d = 1 + alpha * box((x - mean) ** 2, layer.spec["size"])
    direct = planes(layer.acts_grad, layer.spec["channels"]) * d**-beta
    shared = box((direct * x / d)[:, ::-1, ::-1], layer.spec["size"])[:, ::-1, ::-1]
    return flat((direct - 2 * alpha * beta * (x - mean) * shared).astype(np.float32))


PIXEL_NORM = (
    misread("rnorm-alpha", "alpha divided by the side of the window, not by its pixels", WINDOWS, "rnorm1",
            lambda spec: {"scale": spec["scale"] * spec["size"]}, BOTH),
    misread("rnorm-window", "the window without its last row and column", WINDOWS, "rnorm1",
            lambda spec: {"size": spec["size"] - 1}, BOTH),
    misread("rnorm-power", "a square root in place of the power", WINDOWS, "rnorm1", lambda spec: {"pow": 0.5}, BOTH),
    miscomputed("rnorm-side", "an even window with its surplus on the wrong side", WINDOWS, "rnorm1",
                **both(pixels_turned)),
    miscomputed("rnorm-direct", "the gradient forgets that the denominators depend on the input", WINDOWS, "rnorm1",
                grad=only_direct),
    miscomputed("cnorm-clip", "means over the whole window where it is clipped", WINDOWS, "cnorm1",
                acts=whole_window_means),
    miscomputed("cnorm-mean", "the denominators without means", WINDOWS, "cnorm1", acts=no_means),
    miscomputed("cnorm-centred", "the mean subtracted from the output too", WINDOWS, "cnorm1", acts=on_result(centred)),
    miscomputed("cnorm-direct", "the gradient forgets that the denominators depend on the input", WINDOWS, "cnorm1",
                grad=only_direct),
    miscomputed("cnorm-constant", "the gradient forgets that the means depend on the input, as in 2012", WINDOWS,
                "cnorm1", grad=constant_means),
    misread("cnorm-alpha", "alpha divided by the pixels of the window twice", WINDOWS, "cnorm1",
            lambda spec: {"scale": spec["scale"] / spec["size"] ** 2}, BOTH),
)  # fmt: skip


# Pooling by absolute value or at random


def taps(layer: CorrectLayer) -> np.ndarray:
    """The pixels of all windows row by row, (size * size, C, O, O, N); outside the image NaN."""
    spec, x = layer.spec, planes(layer.inputs[0], layer.spec["channels"])
    size, stride = spec["sizeX"], spec["stride"]
    border, reach = (-spec["start"], size + stride), stride * spec["outputsX"]
    framed = np.pad(x, [(0, 0), border, border, (0, 0)], constant_values=np.nan)
    return np.stack([framed[:, p : p + reach : stride, q : q + reach : stride] for p, q in np.ndindex(size, size)])


def drawn(weigh: Callable[[np.ndarray], np.ndarray]) -> Wrong:
    """The pixel that the recorded number picks if pixels have the probabilities ``weigh(pixels)``."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        pixels = taps(layer)
        shares = np.cumsum(np.nan_to_num(weigh(pixels)), axis=0, dtype=np.float64)
        at = planes(layer.mask, layer.spec["channels"]) * shares[-1]
        return flat(np.take_along_axis(pixels, np.argmax(shares > at, axis=0)[None], 0)[0])

    return wrong


def largest(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The result of maximum pooling."""
    return layer.compute(tensor, keys={"pool": "max"}, mask=np.empty(0))


CHOICE_POOL = (
    miscomputed("maxabs-sign", "the largest absolute value without its sign", WINDOWS, "maxabs1",
                acts=on_result(lambda layer, acts: np.abs(acts))),
    misread("maxabs-max", "the maximum where the largest absolute value was asked for", WINDOWS, "maxabs1",
            lambda spec: {"pool": "max"}, BOTH),
    miscomputed("maxabs-half", "gradients of half precision", WINDOWS, "maxabs1", grad=on_grad(to_half)),
    miscomputed("rand-max", "the maximum where a random pixel was asked for", WINDOWS, "rand1", **both(largest)),
    miscomputed("rand-uniform", "all pixels equally likely, whatever their value", WINDOWS, "rand1",
                acts=drawn(lambda pixels: pixels == pixels)),
    miscomputed("rand-absolute", "negative pixels as likely as positive ones", WINDOWS, "rand1", acts=drawn(np.abs)),
    miscomputed("rand-gradient", "the gradient given to the maximum, not to the pixel that was drawn", WINDOWS, "rand1",
                grad=largest),
)  # fmt: skip

FAULTS = (*POOL, *NORM, *PIXEL_NORM, *CHOICE_POOL)
