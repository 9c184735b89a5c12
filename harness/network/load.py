"""From a NET argument to layer specifications."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import BadInput, meant
from ..reference import facts
from ..reference.layer import LayerSpec as LayerSpec
from . import implied
from .graph import Graph
from .net import sections

RULES = ("strict-2012", "salvage", "sched")
"""How layer files may be read besides (`port.config.load_network`): refuse what the parser of 2012 did not accept,
accept stray characters before the first header, take the key ``sched`` for schedW and schedB."""
SHIPPED = Path(__file__).parent / "shipped"


@dataclass(frozen=True)
class Network:
    """A network as the harness and the engines see it."""

    name: str
    definition: Path  # the layer-definition file
    params: Path | None  # the layer-parameter file
    spec: Any  # layer specifications that carry their geometry
    progress: float = 0.0  # the share of the training that is done, for the learning rates
    update_every: int = 1  # backward passes per update; gradients are divided by the cases of all of them
    minibatch: int | None = None  # cases per pass; None where that is not known yet
    quantise: bool = False  # whether what goes between devices is rounded where the layers say so (`quantise`)
    # which algorithm of convolution the port takes: ``auto``, ``direct`` or ``winograd``
    port_algorithm: str = "direct"

    @property
    def layers(self) -> tuple[LayerSpec, ...]:
        """The layers in definition order, which is a topological order."""
        return self.spec.layers

    @property
    def graph(self) -> Graph:
        """The Graph of the layers."""
        return Graph(self.layers, self.quantise)

    def classes(self) -> int | None:
        """Number of classes: the outputs of what the first cost compares with class labels; None without a cost."""
        layers = self.graph.layers
        costs = (cost for cost in self.layers if facts(cost).labels == "classes")
        return next((layers[cost.inputs[1]].outputs for cost in costs), None)

    def parameter_count(self) -> int:
        """Number of weights and biases."""
        graph = self.graph
        owned = [
            shape
            for layer in self.layers
            for tensor, shape in parameter_shapes(layer).items()
            if graph.owner(layer, tensor) == (layer.name, tensor)
        ]
        return sum(rows * columns for rows, columns in owned)


def parameter_shapes(layer: LayerSpec) -> dict[str, tuple[int, int]]:
    """Shapes of ``weights[i]`` and ``biases`` of a layer, by tensor name; empty for a layer without parameters."""
    shapes = {f"weights[{i}]": tuple(shape) for i, shape in enumerate(layer.get("weightShapes", ()))}
    if "biasShape" in layer.keys:
        shapes["biases"] = tuple(layer["biasShape"])
    return shapes


def sparse_inputs(layer: LayerSpec) -> list[int]:
    """Indices of the inputs whose channels the groups of a layer see by a list of connections."""
    return [i for i, sparse in enumerate(layer.get("randSparse") or ()) if sparse]


def plain(layer: LayerSpec, values: Mapping[str, np.ndarray] | None = None) -> dict[str, Any]:
    """A layer as a plain dict, with what no layer file of 2012 holds: its class tree and its sparse connections.

    ``values``: the layer's tensors; ``filterConns[i]`` are the connections of input i.
    """
    found = layer.to_dict()
    if getattr(layer, "tree", None) is not None:
        found["tree"] = [list(children) for children in layer.tree.children]
    if values and sparse_inputs(layer):
        found["filterConns"] = [values.get(f"filterConns[{i}]") for i in range(len(layer.inputs))]
    return found


def altered(network: Network, keys: Mapping[str, Mapping[str, Any]]) -> Network:
    """The network with other values for some layers.

    ``keys``: by layer, the values that replace its own.
    """
    layers = tuple(
        replace(layer, keys=MappingProxyType({**layer.keys, **keys[layer.name]})) if keys.get(layer.name) else layer
        for layer in network.spec.layers
    )
    return replace(network, spec=replace(network.spec, layers=layers))


def noted(network: Network, text: str) -> Network:
    """The network with one more thing to be said about it."""
    return replace(network, spec=replace(network.spec, warnings=(*network.spec.warnings, text)))


def shipped() -> list[str]:
    """Names of the networks that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.cfg") if not path.stem.endswith("-params"))


def load(
    net: str,
    params: str | None = None,
    data: implied.DataSet | None = None,
    rules: Sequence[str] = (),
    forward_only: bool = False,
) -> Network:
    """The network of a shipped name, or of the user's own layer-definition file.

    `net` is a name from `shipped`, or the path of a layer-definition file; `params` the layer-parameter file, by
    default ``X-params.cfg`` beside ``X.cfg``, where there is one. `data` is what the data provider would say; by
    default what can be told from the file, `implied.implied_by`. The rules are some of `RULES`. With `forward_only`,
    make up what only learning needs, learning rates above all, where the parameter file lacks it or is missing.

    Raises BadInput: a file is missing; port.config.ConfigError: a file cannot be understood; names file, layer and key.
    """
    definition = SHIPPED / f"{net}.cfg" if net in shipped() else Path(net)
    if not definition.is_file():
        hint = f"shipped networks: {', '.join(shipped())}; anything else is the path of a layer-definition file"
        if net and definition.is_dir():
            raise BadInput(
                f"{net!r} is a folder, and no layer-definition file", hint="rosetta check layers takes a folder"
            )
        raise BadInput(f"there is no network {net!r} and no file of that name", hint=meant(net, shipped(), hint))
    if params is None:
        beside = definition.with_name(f"{definition.stem}-params.cfg")
        params_file = beside if beside.is_file() else None
    else:
        params_file = Path(params)
        if not params_file.is_file():
            raise BadInput(f"there is no layer-parameter file {params!r}", hint="--params takes the path of a file")
    return _network(definition.stem, definition, params_file, definition, data, rules, forward_only)


def _network(
    name: str,
    definition: Path | str,
    params: Path | str | None,
    path: Path,
    data: implied.DataSet | None = None,
    rules: Sequence[str] = (),
    forward_only: bool = False,
) -> Network:
    """The network of two layer files, each given as its path or as its text; ``path`` is where they come from."""
    from alexnet_rosetta.port import config

    known = data or implied.implied_by(config.read_sections(definition, "salvage" in rules))
    told = {"data_dims": known.dims, "num_classes": known.classes, "tree": known.tree and config.Tree(*known.tree)}
    switched = {rule.replace("-", "_"): True for rule in rules}
    spec = config.load_network(definition, params, **told, **switched, forward_only=forward_only)
    return Network(name, path, params if isinstance(params, Path) else None, spec)


def texts(network: Network) -> dict[str, str]:
    """What `from_texts` needs to make the network again: its name and the texts of its two files."""
    return {
        "name": network.name,
        "definition": _text(network.definition),
        "params": _text(network.params),
    }


def _text(path: Path | None) -> str:
    data = path.read_bytes() if path else b""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def from_texts(name: str, definition: str, params: str, path: Path) -> Network:
    """The network of the texts of its two files, which come from the file ``path``; rates may be missing."""
    return _network(name, definition + "\n", params + "\n", path, forward_only=True)


def layer_files(layers: list[dict[str, Any]], path: Path) -> tuple[str, str]:
    """The texts of two layer files that say what the layers of a historical checkpoint say, but for rates of 2014.

    The files are to be read as any others, with all checks, rather than to believe what a file derives.

    ``layers``: in the keys of the release, inputs first (data-checkpoints-tools 1.7): ``padding`` is negated,
    ``filters`` counts those of all groups, ``scale`` of a norm layer is divided by the size of the window.
    ``path``: where they come from.
    Returns the definition, the parameters.
    """
    files: tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]] = {}, {}
    for layer in layers:
        try:
            for file, keys in zip(files, _own_keys(layer), strict=True):
                texts = {key: _written(value) for key, value in keys.items()}
                texts = {key: text for key, text in texts.items() if text}
                file.update({layer["name"]: texts} if texts else {})
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            what = f"what a layer of type {layer['type']} has ({type(error).__name__}: {ascii(str(error))[:80]})"
            raise BadInput(f"{path}: layer {layer['name']} lacks {what}") from error
    return sections(files[0]), sections(files[1])


def _own_keys(layer: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """(values in the definition, values in the parameter file) of a layer in the keys of the release."""
    from alexnet_rosetta.port.config import LAYER_TYPES

    row, own = LAYER_TYPES.get(layer["type"]), layer | {"dims": layer["outputs"]}
    given, learned = {"type", "inputs"}, set[str]()
    if row:
        given |= {key.name for key in row.keys} | {"dims", "weightSource", "tree"}.intersection(row.also)
        learned |= {key.name for key in row.params} - {"superMom"} | {"scale", "pow", "doMax"}.intersection(row.also)
    if own["type"] in ("conv", "local"):
        own["padding"] = [-width for width in own["padding"]]
        own["filters"] = [own["filters"] // groups for groups in own["groups"]]
        given |= {"filterChannels"} if any(own.get("randSparse", ())) else set()
    elif own["type"] == "treefc":
        own["tree"] = [" ".join(map(str, children)) for children in own["tree"] if children]
    elif own["type"] == "neuron":
        given |= {"neuron"}
    elif "norm" in own["type"]:
        own["scale"] = own["scale"] * own["size"] ** (1 if own["type"] == "cmrnorm" else 2)
    return tuple({key: own[key] for key in sorted(keys) if own.get(key) is not None} for keys in (given, learned))


def _written(value: Any) -> str:
    """A value as a layer file has it; nothing of a schedule, which only learning needs."""
    if isinstance(value, dict):
        arguments = ",".join(str(number) for _, number in sorted(value["params"].items()))
        return "" if "usesActs" not in value else value["type"] + (f"[{arguments}]" if arguments else "")
    if isinstance(value, list):
        return ",".join(map(_written, value)) if any(map(_written, value)) else ""
    return str(int(value) if isinstance(value, bool) else value)
