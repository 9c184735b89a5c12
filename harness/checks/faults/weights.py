"""Faults of layers with weights: convolution and full connection."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...network.net import Net
from .fault import (
    Change,
    both,
    cases,
    flat,
    miscomputed,
    misread,
    on_grad,
    on_input,
    on_result,
    on_weights,
    planes,
    scene,
)
from .planted import CorrectLayer

# Modules that stick out over the border (conv2: ceil geometry), groups, an even filter, a bias per module, two inputs.
CONVS = scene(
    Net(300)
    .add("conv1", "conv", "data", channels=3, filters=16, filterSize=5, padding=1, stride=2, partialSum=5,
         neuron="relu")
    .add("conv2", "conv", "conv1", channels=16, filters=16, groups=2, filterSize=4, padding=1, stride=2, partialSum=3)
    .add("side", "conv", "conv2", channels=32, filters=16, filterSize=3, padding=1, stride=1, sharedBiases=0)
    .add("conv3", "conv", "conv2,side", channels="32,16", filters="16,16", filterSize="3,1", padding="1,0",
         stride="1,1")
    .add("fc1", "fc", "conv3", outputs=12),
    "fc1,conv3",
)  # fmt: skip

# The output of conv1 has 153,600 values.
WIDE = scene(
    Net(4800)
    .add("conv1", "conv", "data", channels=3, filters=16, filterSize=3, padding=1, stride=1)
    .add("pool1", "pool", "conv1", pool="avg", channels=16, sizeX=8, stride=8),
    "pool1",
)


# Convolution


def geometry(layer: CorrectLayer, padding: int, stride: int) -> dict[str, Any]:
    """Values of the layer with another padding and stride."""
    side, size = layer.spec["imgSize"][0], layer.spec["filterSize"][0]
    modules = 1 - (size - side - 2 * padding) // stride
    return {
        "padding": (-padding,), "stride": (stride,), "partialSum": 0,
        "modulesX": modules, "modules": modules**2, "outputs": layer.spec["filters"] * modules**2,
    }  # fmt: skip


def wider(layer: CorrectLayer) -> dict[str, Any]:
    """Values of the layer with one pixel more of padding."""
    return geometry(layer, 1 - layer.spec["padding"][0], layer.spec["stride"][0])


def padded_acts(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The modules that there should be, of those with a wider padding."""
    inside = layer.spec["modulesX"]
    return flat(planes(layer.compute(tensor, keys=wider(layer)), layer.spec["filters"])[:, :inside, :inside])


def padded_gradient(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The gradient with a wider padding, zero for modules that there should not be."""
    keys, grads = wider(layer), planes(layer.acts_grad, layer.spec["filters"])
    framed = np.zeros((len(grads), keys["modulesX"], keys["modulesX"], grads.shape[3]), np.float32)
    framed[:, : grads.shape[1], : grads.shape[2]] = grads
    return layer.compute(tensor, keys=keys, acts_grad=flat(framed))


def swapped(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """Stride and padding in each other's place."""
    return layer.compute(tensor, keys=geometry(layer, layer.spec["stride"][0], -layer.spec["padding"][0]))


def on_taps(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """A change of the (channels, S, S, filters) view of filters or their gradient."""

    def changed(layer: CorrectLayer, filters: np.ndarray) -> np.ndarray:
        side = layer.spec["filterSize"][0]
        taps = filters.reshape(-1, side, side, filters.shape[1])
        return np.ascontiguousarray(change(taps)).reshape(filters.shape)

    return changed


def seen_as(change: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
    """Filters seen in another order in all three directions; ``change`` is its own reverse."""
    filters = on_taps(change)
    return {**both(on_weights(filters)), "backward": {WEIGHTS: on_result(filters)}}


def interleaved(layer: CorrectLayer, x: np.ndarray) -> np.ndarray:
    """The channels that belong together if group g has the channels g, g + groups, ..."""
    images = planes(x, layer.spec["channels"][0])
    groups = layer.spec["groups"][0]
    return flat(images.reshape(-1, groups, *images.shape[1:]).swapaxes(0, 1))


def without_last_modules(layer: CorrectLayer, acts_grad: np.ndarray) -> np.ndarray:
    """The gradient as if the last slab of `partialSum` modules had none."""
    kept = acts_grad.reshape(layer.spec["filters"], layer.spec["modules"], -1).copy()
    kept[:, -layer.spec["partialSum"] :] = 0
    return kept.reshape(acts_grad.shape)


def without_last_case(layer: CorrectLayer, acts_grad: np.ndarray) -> np.ndarray:
    """The gradient as if the last image had none."""
    kept = acts_grad.copy()
    kept[:, -1] = 0
    return kept


def bias_per_input(layer: CorrectLayer, acts: np.ndarray) -> np.ndarray:
    """The bias once more for the second input."""
    return acts + np.repeat(layer.read("biases"), layer.spec["modules"], axis=0)


def biases_by_module(layer: CorrectLayer, acts: np.ndarray) -> np.ndarray:
    """Biases per module taken for (modules, filters)."""
    biases = layer.read("biases")
    return acts - biases + biases.reshape(layer.spec["modules"], -1).T.reshape(-1, 1)


def one_value_off(layer: CorrectLayer, acts: np.ndarray) -> np.ndarray:
    """One value in the middle is wrong in its tenth bit."""
    row = acts[len(acts) // 2]
    row[np.abs(row).argmax()] *= np.float32(1 + 2**-10)
    return acts


def per_module(layer: CorrectLayer, grads: np.ndarray) -> np.ndarray:
    """Divided by the number of modules."""
    return grads / np.float32(layer.spec["modules"])


WEIGHTS = "weights_grad[0]"
CONV = (
    miscomputed("conv-padding", "padding one pixel too wide", CONVS, "conv2", acts=padded_acts, grad=padded_gradient,
                backward={WEIGHTS: padded_gradient}),
    miscomputed("conv-floor", "the number of modules rounded down: none sticks out over the border", CONVS, "conv2",
                acts=on_result(lambda layer, acts: flat(planes(acts, layer.spec["filters"])[:, :-1, :-1])),
                status="shape"),
    miscomputed("conv-stride-padding", "stride and padding swapped in the call", CONVS, "conv2", acts=swapped,
                status="shape"),
    miscomputed("conv-flipped", "a true convolution: filters turned by 180 degrees", CONVS, "conv2",
                **seen_as(lambda taps: taps[:, ::-1, ::-1])),
    miscomputed("conv-transposed", "x and y of the filter taps swapped", CONVS, "conv2",
                **seen_as(lambda taps: taps.swapaxes(1, 2))),
    miscomputed("conv-colours", "colours in the order blue, green, red", CONVS, "conv1",
                acts=on_weights(on_taps(lambda taps: taps[::-1])),
                backward={WEIGHTS: on_result(on_taps(lambda taps: taps[::-1]))}),
    miscomputed("conv-groups", "channels dealt out to the groups in turn, not in blocks", CONVS, "conv2",
                acts=on_input(interleaved)),
    miscomputed("conv-groups-backward", "the image gradients of the two groups swapped", CONVS, "conv2",
                grad=on_result(lambda layer, grads: np.roll(grads, len(grads) // 2, axis=0))),
    miscomputed("conv-second-input", "the second input of a convolution forgotten", CONVS, "conv3",
                acts=on_input(lambda layer, x: 0 * x, 1)),
    miscomputed("conv-bias-twice", "the bias added once for each input", CONVS, "conv3",
                acts=on_result(bias_per_input)),
    miscomputed("conv-bias-layout", "biases per module read as (modules, filters)", CONVS, "side",
                acts=on_result(biases_by_module), input="exact"),
    miscomputed("conv-one-value", "one value of 153,600 wrong in its tenth bit", WIDE, "conv1",
                acts=on_result(one_value_off)),
    miscomputed("conv-dtype", "the output left in float64", CONVS, "conv2",
                acts=on_result(lambda layer, acts: acts.astype(np.float64)), status="dtype"),
    miscomputed("conv-lost-image", "the last image left out of the weight gradient", CONVS, "conv2",
                backward={WEIGHTS: on_grad(without_last_case)}),
    miscomputed("conv-lost-slab", "the last slab of partialSum modules not added up", CONVS, "conv2",
                backward={WEIGHTS: on_grad(without_last_modules)}),
    miscomputed("conv-batch-sum", "the weight gradient not divided by the batch size", CONVS, "conv2",
                backward={WEIGHTS: on_result(lambda layer, grads: grads * cases(layer))}),
    miscomputed("conv-module-mean", "the weight gradient divided by the number of modules too", CONVS, "conv2",
                backward={WEIGHTS: on_result(per_module)}),
    miscomputed("conv-bias-mean", "the bias gradient a mean over the modules", CONVS, "conv2",
                backward={"biases_grad": on_result(per_module)}),
    miscomputed("conv-gradient-layout", "the weight gradient delivered filter by filter", CONVS, "conv2",
                backward={WEIGHTS: on_result(lambda layer, grads: grads.T)}, status="shape"),
    miscomputed("gradient-overwritten", "gradients from two layers above overwritten, not added", CONVS, "conv2",
                backward={"acts_grad": lambda layer, _: layer.session.sum_grad(layer.spec.name, layer.parts[-1:])}),
)  # fmt: skip


# Full connection


def by_columns(layer: CorrectLayer, weights: np.ndarray) -> np.ndarray:
    """The same values read in Fortran order."""
    return np.ascontiguousarray(weights.reshape(weights.shape[::-1]).T)


def without_tail(layer: CorrectLayer, acts_grad: np.ndarray) -> np.ndarray:
    """The gradient as if cases beyond the last multiple of four had none."""
    kept = acts_grad.copy()
    kept[:, kept.shape[1] // 4 * 4 :] = 0
    return kept


FC = (
    miscomputed("fc-order", "weights read column by column", CONVS, "fc1", acts=on_weights(by_columns)),
    miscomputed("fc-flatten", "images flattened in the order y, x, channel", CONVS, "fc1",
                acts=on_input(lambda layer, x: flat(np.moveaxis(planes(x, 16), 0, 2)))),
    miscomputed("fc-second-input", "the second input of a full connection forgotten", CONVS, "top",
                acts=on_input(lambda layer, x: 0 * x, 1)),
    miscomputed("fc-lost-tail", "cases beyond the last full tile left out of the weight gradient", CONVS, "fc1",
                backward={"weights_inc[0]": on_grad(without_tail)}),
    misread("fc-momentum", "the old increment overwritten, not multiplied by the momentum", CONVS, "fc1",
            lambda spec: {"momW": [0.0]}, "backward weights_inc[0]"),
    misread("fc-rate", "the weights learn at the rate of the biases", CONVS, "fc1",
            lambda spec: {"epsW": [spec["epsB"]]},
            "backward weights_inc[0], update weights_inc[0], update weights[0]"),
    miscomputed("fc-bias-sum", "the bias gradient not divided by the batch size", CONVS, "fc1",
                backward={"biases_grad": on_result(lambda layer, grads: grads * cases(layer))}),
)  # fmt: skip


FAULTS = (*CONV, *FC)
