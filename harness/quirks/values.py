"""Switches that need nothing of an engine: they change the values and arrays that it is given."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import Unsupported
from ..network.load import LayerSpec, Network, altered
from ..network.solver import super_eps
from . import LEDGER

Rewrite = Callable[[LayerSpec], dict[str, Any]]


class OtherShape(Unsupported):
    """The engine's tensor would have another shape."""

    status = "shape"


def rewritten(network: Network, settings: Mapping[str, bool]) -> Network:
    """The network as an engine with these switches off reads it: dict of quirk to bool."""
    off = [name for name, on in settings.items() if not on and name in REWRITES]
    for name in off:
        keys = {layer.name: REWRITES[name](layer) for layer in network.layers if layer.type in LEDGER[name].layers}
        network = altered(network, keys)
    return network


def touched(network: Network, name: str) -> list[str]:
    """Names of the layers of a network for which a switch makes a difference; empty if it does nothing there."""
    layers = [layer for layer in network.layers if layer.type in LEDGER[name].layers]
    if name in REWRITES:
        changes = [(layer, _changed(layer, REWRITES[name])) for layer in layers]
        return [layer.name for layer, changed in changes if changed]
    if name == "norm-before-relu":
        layers = [layer for layer in layers if reads_linear_convolution(layer, network.graph.layers)]
    elif name == "pool-ceil":
        layers = [layer for layer in layers if reshapes(layer)]
    elif name in CONDITIONS:
        layers = [layer for layer in layers if CONDITIONS[name](layer)]
    return [layer.name for layer in layers]


def kind(layer: LayerSpec) -> str:
    """What a neuron or pooling layer does; of any other its type."""
    return layer["neuron"]["type"] if layer.type == "neuron" else layer.get("pool") or layer.type


def _changed(layer: LayerSpec, rewrite: Rewrite) -> bool:
    try:
        return any(layer[key] != value for key, value in rewrite(layer).items())
    except KeyError:  # a network without its learning rates
        return True


def rearranged(session: Any, network: Network, settings: Mapping[str, bool]) -> Any:
    """The session, in a cover where a switch needs one."""
    layers = network.graph.layers
    relu_first, reshaped = set(), {}
    if not settings.get("norm-before-relu", True):
        relu_first = {layer.name for layer in network.layers if reads_linear_convolution(layer, layers)}
    if not settings.get("pool-ceil", True):
        reshaped = {x.name: floor_outputs(x) for x in network.layers if x.type == "pool" and reshapes(x)}
    return Rearranged(session, relu_first, reshaped) if relu_first or reshaped else session


def reads_linear_convolution(layer: LayerSpec, layers: Mapping[str, LayerSpec]) -> bool:
    """Whether a normalisation sees the outputs of a convolution without a neuron between."""
    return layer.type in LEDGER["norm-before-relu"].layers and layers[layer.inputs[0]].type in ("conv", "local")


def floor_outputs(layer: LayerSpec) -> int:
    """Outputs per side of a pooling layer with windows that stay inside the image."""
    return (layer["imgSize"] - layer["start"] - layer["sizeX"]) // layer["stride"] + 1


def reshapes(layer: LayerSpec) -> bool:
    """Whether that is another number than it has."""
    return floor_outputs(layer) != layer["outputsX"]


class Rearranged:
    """A session, in isolated mode, some of whose layers see their input through relu, or would have other shapes.

    `reshaped` are pooling layers, and how many outputs per side they would have.
    """

    def __init__(self, session: Any, relu_first: set[str], reshaped: dict[str, int]) -> None:
        self._session, self._relu_first, self._reshaped = session, relu_first, reshaped
        self._seen: dict[str, np.ndarray] = {}

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._session, verb)

    def forward(self, layer: str, inputs: Sequence[np.ndarray] | None = None, mask: np.ndarray | None = None) -> None:
        """One layer forward."""
        if layer in self._reshaped:
            side = self._reshaped[layer]
            raise OtherShape(f"rounding down gives {side} x {side} outputs")
        if layer in self._relu_first and inputs is not None:
            self._seen[layer] = inputs[0] > 0
            inputs = [np.maximum(inputs[0], 0)]
        self._session.forward(layer, inputs, mask)

    def read(self, layer: str, tensor: str) -> np.ndarray:
        """A tensor of a layer."""
        found = self._session.read(layer, tensor)
        return found * self._seen[layer] if tensor == "inputs_grad[0]" and layer in self._relu_first else found

    def sum_grad(self, layer: str, parts: Sequence[tuple[str, int, np.ndarray]]) -> np.ndarray:
        """The gradient of an output that several layers read."""
        if self._relu_first.isdisjoint(consumer for consumer, *_ in parts):
            return self._session.sum_grad(layer, parts)
        total = np.zeros_like(self.read(parts[0][0], f"inputs_grad[{parts[0][1]}]"))
        for consumer, i, _ in parts:
            total += self.read(consumer, f"inputs_grad[{i}]")
        return total


def _floor_geometry(layer: LayerSpec) -> dict[str, Any]:
    """The smallest padding with which rounding down gives as many filter positions."""
    padding = []
    for i, given in enumerate(layer["padding"]):
        size, stride, wanted = layer["filterSize"][i], layer["stride"][i], layer["modulesX"]
        pad = -given
        while 1 + (2 * pad + layer["imgSize"][i] - size) // stride < wanted:
            pad += 1
        padding.append(-pad)
    return {"padding": tuple(padding)}


def _undivided_scale(layer: LayerSpec) -> dict[str, Any]:
    return {"scale": layer["scale"] * layer["size"] ** (1 if layer.type == "cmrnorm" else 2)}


def _other_sign(layer: LayerSpec) -> dict[str, Any]:
    return {"coeff": -layer["coeff"]} if layer.type.startswith("cost.") else {}


def _rate_of_weights(layer: LayerSpec) -> dict[str, Any]:
    rate = layer["epsW"][0]
    return {"epsB": rate} if rate > 0 and layer["epsB"] > 0 else {}


def _deviations(layer: LayerSpec) -> dict[str, Any]:
    """Limits that hold for the standard deviation, where the contrast is that over the root of the count."""
    roots = [math.sqrt(count) for count in layer["weightsPerFilter"]]
    return {
        key: tuple(limit / root for limit, root in zip(layer[key], roots, strict=True))
        for key in ("wcNormMin", "wcNormMax")
    }


REWRITES: dict[str, Rewrite] = {
    "bias-rate": _rate_of_weights,
    "conv-ceil-geometry": _floor_geometry,
    "gradient-ascent": _other_sign,
    "lrn-alpha-over-size": _undivided_scale,
    "lrn-k-from-file": lambda layer: {"minDiv": 1.0},
    "wball-times-size": lambda layer: {"wballNormed": layer["wball"]},
    "wcnorm-over-count": _deviations,
}
"""What a layer's keys become with the switch off."""


def _rows(layer: LayerSpec) -> Sequence[int]:
    """Rows of each matrix over which a layer broadcasts row vectors: filters' weights, or the values that are gated."""
    if layer.type == "cost.gsum2":
        return layer["numInputs"][1:]
    return [rows for rows, _ in layer["weightShapes"]]


CONDITIONS = {
    "abs-slope-at-zero": lambda layer: kind(layer) == "abs",
    "avg-pool-clipped-area": lambda layer: kind(layer) == "avg",
    "conv-oversample-overwrites": lambda layer: max(layer.get("overSample", (1,))) > 1,
    "dropout-disabled-scales": lambda layer: not layer.get("enable", False),
    "max-ties-full": lambda layer: kind(layer) in ("max", "eltmax"),
    "norm-undo-add-inverted": lambda layer: layer["size"] >= 6,
    "nrelu-noise-is-activation": lambda layer: kind(layer) == "nrelu",
    "one-row-vectors": lambda layer: 1 in _rows(layer),
    "shared-fc-overwrites": lambda layer: any(layer.get("weightSourceLayers", ())),
    "softrelu-cut": lambda layer: kind(layer) == "softrelu",
    "softrelu-gradient-at-output": lambda layer: kind(layer) == "softrelu",
    "super-eps-mean-not-squared": lambda layer: super_eps(layer) > 0,
    "tica-window-not-mirrored": lambda layer: layer["sizeX"] % 2 == 0,
}
"""Which layers of its types a switch is about, where those are not all."""
