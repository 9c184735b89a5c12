"""Turn the knob: which kernels the rules would have chosen with other numbers of images, filters and channels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..engines.legacy import planned
from ..errors import Unsupported
from ..network.load import LayerSpec, Network, plain

COMMON = ("kColVectorOp", "kRowVectorOp", "kDumbAggCols", "kAgg", "kEltwise", "sgemm")
"""How the names of kernels begin that many layers use for small work; they are left out."""
BATCHES, FILTERS, CHANNELS = (32, 64, 100, 128), (16, 32, 48, 64, 96, 128), (1, 2, 3, 4, 8, 16, 32, 48)


@dataclass(frozen=True)
class Turn:
    """Settings of a knob that lead to the same kernels: by pass; ``own`` where the layer's own is among them."""

    knob: str
    settings: tuple[int, ...]
    kernels: dict[str, tuple[str, ...]]
    own: bool


def cases(network: Network, layer: LayerSpec, batch: int) -> list[Turn]:
    """What the engine would launch for a layer if one number were another.

    Returns: knob by knob, in the order of the first setting; [] where no rule looks at a number.
    """
    groups = layer["groups"][0] if layer.get("groups") else 1
    own = {"images": batch}
    ranges: dict[str, Sequence[int]] = {"images": BATCHES}
    if layer.type in ("conv", "local"):
        own |= {"filters": layer["filters"], "channels": layer["channels"][0]}
        ranges |= {"filters": [groups * n for n in FILTERS], "channels": [groups * n for n in CHANNELS]}
    elif layer.type in ("pool", "cmrnorm", "rnorm", "cnorm"):
        own["channels"] = layer["channels"]
        ranges["channels"] = [4, 8, 16, 32, 48]
    return [case for knob, values in ranges.items() for case in _turned(network, layer, knob, values, own)]


def _turned(network: Network, layer: LayerSpec, knob: str, values: Iterable[int], own: Mapping[str, int]) -> list[Turn]:
    found: dict[str, tuple[dict[str, tuple[str, ...]], list[int]]] = {}
    for value in sorted({*values, own[knob]}):
        kernels = _kernels(network, layer, {**own, knob: value})
        if any(kernels.values()):
            found.setdefault(str(kernels), (kernels, []))[1].append(value)
    return [Turn(knob, tuple(values), kernels, own[knob] in values) for kernels, values in found.values()]


def _kernels(network: Network, layer: LayerSpec, numbers: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """{pass: kernel strings} with these numbers; nothing where the engine refuses them."""
    graph, changed = network.graph, _changed(plain(layer), numbers)
    wanted = {layer.inputs[i] for i in graph.wanted_inputs(layer)}
    sizes = zip(layer.inputs, changed["numInputs"], strict=True)
    found: dict[str, dict[str, None]] = {"forward": {}, "backward": {}}
    try:
        for launch in planned(changed, {name: (size, name in wanted) for name, size in sizes}, numbers["images"]):
            if not launch["kernel"].startswith(COMMON):
                found[launch["pass"]][launch["kernel"]] = None
    except Unsupported:
        return {}
    return {step: tuple(kernels) for step, kernels in found.items()}


def _changed(layer: dict[str, Any], numbers: Mapping[str, int]) -> dict[str, Any]:
    """The dictionary of a layer of other numbers of filters and channels, with all sizes that follow."""
    if "channels" not in numbers:
        return layer
    channels = numbers["channels"]
    if "filters" not in layer:
        per_map = layer["outputs"] // layer["channels"]
        return layer | {
            "channels": channels,
            "outputs": channels * per_map,
            "numInputs": [channels * layer["imgPixels"]],
        }
    filters, modules = numbers["filters"], layer["modules"]
    first = {"channels": channels, "filterChannels": channels // layer["groups"][0]}
    listed = {key: [value, *layer[key][1:]] for key, value in first.items()}
    times = modules if layer["type"] == "local" else 1
    rows = [times * c * p for c, p in zip(listed["filterChannels"], layer["filterPixels"], strict=True)]
    biases = layer["biasShape"][0] // layer["filters"] * filters
    return (
        layer
        | listed
        | {
            "filters": filters,
            "outputs": filters * modules,
            "numInputs": [c * p for c, p in zip(listed["channels"], layer["imgPixels"], strict=True)],
            "weightShapes": [[row, filters] for row in rows],
            "biasShape": [biases, 1],
        }
    )
