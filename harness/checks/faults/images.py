"""Faults of layers on images that have no weights: pooling and response normalisation."""

from typing import Any

import numpy as np

from ...network.load import LayerSpec
from ...network.net import Net
from .fault import (
    BOTH,
    both,
    flat,
    miscomputed,
    misread,
    on_grad,
    on_input,
    on_result,
    only_direct,
    planes,
    scene,
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


# Response normalisation


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

FAULTS = (*POOL, *NORM)
