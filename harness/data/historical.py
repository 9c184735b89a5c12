"""Checkpoints of the programs of 2011, 2012 and 2014 (data-checkpoints-tools 1).

Nothing in a file is run: pickles are read by `pickles`, and programs that they hold as texts, such as ``outputFilter``,
stay texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from ..network.load import Network, from_texts, parameter_shapes
from ..values import parameters
from ..values.parameters import Values
from . import pickles
from .batches import Fields
from .pickles import Instance, Name

ARRAYS = {"weights": "weights", "weightsInc": "weights_inc", "biases": "biases", "biasesInc": "biases_inc",
          "filterConns": "filterConns"}  # fmt: skip
"""Historical keys of a layer's arrays, and the names of these tensors here."""
DERIVED = {"inputLayers", "weightShapes", "biasShape"}
"""What follows from the rest of a layer, and is not kept."""
MOST_VALUES, DEEPEST = 500_000, 16
"""Of what a file says besides its arrays and its costs."""
LETTERS = {"minibatch_size": "mini", "num_epochs": "epochs", "testing_freq": "test-freq"}
"""What an option was called on the command line, where that is not its name."""


@dataclass
class Checkpoint:
    """A stored network, of a training here or of a historical program."""

    # ``conv1.weights[0]``, ``conv1.biases``, ``conv1.weights_inc[0]``, ``conv1.biases_inc``, ``conv1.filterConns[0]``;
    # what a layer takes from another one stands under that one's name alone
    tensors: dict[str, np.ndarray]
    # epoch, batch: of the batch that was learnt last; epochs count from 1
    epoch: int = 0
    batch: int = 0
    # of a historical one the layers in the keys of the release, without arrays, inputs first
    layers: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)  # values by name, likewise
    # train_outputs, test_outputs: for each batch that was learnt, or each test: what every cost was per case, and the
    # number of cases; likewise
    train_outputs: list[Any] = field(default_factory=list)
    test_outputs: list[Any] = field(default_factory=list)
    path: Path = Path()
    mean: np.ndarray | None = None  # ndarray, (features,), or None. What is subtracted from a picture.
    # what a training says of itself: ``engine``, ``state``, ``settings``, ``network`` (the texts of its files),
    # ``data``, ``log``
    about: dict[str, Any] = field(default_factory=dict)

    def network(self) -> Network:
        """The stored network, without its parameters; BadInput if the layers are none."""
        try:
            network = from_texts(**self.about["network"], path=self.path)
        except (TypeError, AttributeError) as error:
            raise BadInput(f"{self.path}: network is no name and two texts", hint="the file is damaged") from error
        except ValueError as error:
            raise BadInput(f"{self.path}: {error}") from error
        for told, layer in zip(self.layers, network.layers, strict=bool(self.layers)):
            if told.get("outputs") != layer.outputs:
                raise BadInput(f"{self.path}: layer {layer.name} contradicts itself", actual=told.get("outputs"),
                               expected=f"outputs {layer.outputs}")  # fmt: skip
        return network

    def values_for(self, network: Network) -> Values:
        """The tensors by layer and tensor, as `parameters.make` gives them.

        Raises BadInput: they are those of another network.
        """
        wanted = {f"{layer}.{tensor}": (layer, tensor, array)
                  for layer, tensor, array in parameters.owned(network, parameters.make(network, 0))}  # fmt: skip
        own = dict(self.tensors)
        if self.layers:  # momentum is of no use to anybody else
            own |= {name: np.zeros_like(array) for name, (*_, array) in wanted.items() if "_inc" in name}
        for name in sorted({*wanted} ^ {*own}):
            what = "is missing" if name in wanted else "is no part of the network"
            raise BadInput(f"{self.path}: {name} {what}", hint="this is a checkpoint of another network")
        values: Values = {layer.name: {} for layer in network.layers if parameter_shapes(layer)}
        for name, (layer, tensor, like) in wanted.items():
            found = own[name]
            if found.shape != like.shape or found.dtype != like.dtype or not np.isfinite(found).all():
                raise BadInput(f"{self.path}: {name} does not fit the network", actual=f"{found.dtype} {found.shape}",
                               expected=f"finite {like.dtype} {like.shape}")  # fmt: skip
            values[layer][tensor] = found
        return parameters.share(network, values)


def read(path: str | Path) -> Checkpoint:
    """Read a checkpoint of 2011, 2012 or 2014.

    Raises BadInput: it is none, or cannot be read; names file and field.
    """
    path = Path(path)
    top = pickles.load(path)
    state, options = (top.get(key) if type(top) is dict else None for key in ("model_state", "op"))
    if type(state) is not dict:
        raise BadInput(f"{path} is no checkpoint", expected="a dict with model_state and op")
    get, rest = Fields(state, path), _Plain(path)
    given = get("layers", (list, dict), [])
    layers = in_order(list(given if type(given) is list else given.values()), path)
    seen: set[int] = set()
    tensors: dict[str, np.ndarray] = {}
    for layer in layers:
        tensors |= _tensors(layer, path, seen)
    told = [{key: rest(value, f"layer {layer['name']}") for key, value in layer.items()
             if key not in ARRAYS and key not in DERIVED} for layer in layers]  # fmt: skip
    if type(given) is list:  # 2011 counts layers
        for layer in told:
            indices = layer.get("weightSourceLayerIndices")
            if type(indices) is list and all(type(i) is int and i < len(given) for i in indices):
                layer["weightSourceLayers"] = ["" if i < 0 else given[i]["name"] for i in indices]
    values = options.state.get("options") if type(options) is Instance else None
    values = {name: option.state.get("value") for name, option in (values.items() if type(values) is dict else ())
              if type(option) is Instance}  # fmt: skip
    sums = {layer["name"]: layer["type"] for layer in layers} if "id" in layers[0] else None  # 2014
    trained, tested = (
        per_case(get(name, list, []), f"{path}: {name}", sums) for name in ("train_outputs", "test_outputs")
    )
    return Checkpoint(tensors, get("epoch", int, 0), get("batchnum", int, 0), told, rest(values, "op"),
                      trained, tested, path)  # fmt: skip


def in_order(layers: Sequence[Any], path: Path) -> list[dict[str, Any]]:
    """The layers of a file, inputs first and by name; those of 2011 count them."""
    names: dict[str, dict[str, Any]] = {}
    inputs = {}
    for k, layer in enumerate(layers):
        name, kind, given = (layer.get(key, []) if type(layer) is dict else 0 for key in ("name", "type", "inputs"))
        if type(name) is not str or not name.isprintable() or not 0 < len(name) < 200 or set(name) & set("/\\"):
            raise BadInput(f"{path}: layer {k} has no name that can be one")
        if type(kind) is not str or type(given) is not list or name in names:
            raise BadInput(f"{path}: layer {name} is there twice, or has no type or no list of inputs")
        given = [list(names)[i] if type(i) is int and 0 <= i < k else i for i in given]
        names[name], inputs[name] = layer | ({"inputs": given} if given else {}), given
    if not names or any(type(i) is not str or i not in names for given in inputs.values() for i in given):
        raise BadInput(f"{path}: layers are missing")
    try:
        return [names[name] for name in TopologicalSorter(inputs).static_order()]
    except CycleError as error:
        raise BadInput(f"{path}: layers that read each other in a circle") from error


def _tensors(layer: dict[str, Any], path: Path, seen: set[int]) -> dict[str, np.ndarray]:
    """The arrays of a layer by the names of their tensors; one that was seen before is another layer's."""
    found = {}
    for key, tensor in ARRAYS.items():
        value = layer.get(key, [])
        for i, array in enumerate(value if type(value) is list else [value]):
            where = f"{layer['name']}.{tensor}" + (f"[{i}]" if type(value) is list else "")
            if tensor == "filterConns":
                if type(array) is list and all(type(x) is int and abs(x) < 1 << 31 for x in array):
                    found[where] = np.array(array, np.int64)
                continue
            if type(array) is not np.ndarray or array.dtype.kind != "f" or array.ndim != 2:
                raise BadInput(f"{path}: {where} is no matrix of floats", actual=type(array).__name__)
            if id(array) not in seen:
                found[where] = np.ascontiguousarray(array, np.float32)
            seen.add(id(array))
    return found


class _Plain:
    """Copies what a file says besides its arrays as JSON has it; what refers to itself has no end."""

    def __init__(self, path: Path) -> None:
        self.path, self.left = path, MOST_VALUES

    def __call__(self, value: Any, where: str, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > DEEPEST:
            raise BadInput(f"{self.path}: {where} holds too much, or too deep")
        if type(value) is dict:
            return {str(key): self(item, where, depth + 1) for key, item in value.items()}
        if type(value) in (list, tuple):
            return [self(item, where, depth + 1) for item in value]
        if type(value) is np.ndarray and value.dtype.kind in "biuf" and value.size < 10_000:
            return value.tolist()
        if value is None or type(value) in (bool, int, float, str):
            return value
        raise BadInput(f"{self.path}: {where} holds a {type(value).__name__}")


def per_case(entries: Sequence[Any], where: str, sums: Mapping[str, str] | None = None) -> list[Any]:
    """Costs per case and numbers of cases; divided here where the file has sums, of costs of the types ``sums``."""
    costs: Any
    given = []
    for k, entry in enumerate(entries):
        costs, cases = entry if type(entry) in (list, tuple) and len(entry) == 2 else (None, 0)
        lists = list(costs.values()) if type(costs) is dict else [None]
        numbers = all(type(part) is list and all(type(x) in (int, float) for x in part) for part in lists)
        if not numbers or type(cases) is not int or cases < 1:
            raise BadInput(f"{where}[{k}] is no pair of costs and number of cases")
        if sums is not None:
            costs = {str(cost): _per_case(sums.get(cost), part, cases) for cost, part in costs.items()}
        given.append([{str(cost): [float(x) for x in part] for cost, part in costs.items()}, cases])
    return given


def _per_case(kind: str | None, sums: Sequence[float], cases: int) -> list[float]:
    """What the program of 2014 showed for the sums of a cost (1.6): per case; precision and recall of each class."""
    if kind != "cost.dce":
        return [x / cases for x in sums]
    parts = [sums[k : k + 3] for k in range(2, len(sums) - 2, 3)]
    return [x / cases for x in sums[:2]] + [
        right / of if of > 0 else float("inf") for said, real, right in parts for of in (said, real)
    ]


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as the program of 2012 wrote it.

    Raises KeyError, IndexError, TypeError: a tensor or a field of a layer is missing, or of another kind.
    """
    layers = {}
    for told in checkpoint.layers:
        name = told["name"]
        layers[name] = layer = {key: value for key, value in told.items() if key not in DERIVED}
        layer["inputLayers"] = [layers[source] for source in told.get("inputs", ())]
        if "initW" not in told:
            continue
        for key in ("biases", "biasesInc"):
            layer[key] = _held(checkpoint, f"{name}.{ARRAYS[key]}", checkpoint.tensors.get(f"{name}.biases"))
        for key in ("weights", "weightsInc"):
            layer[key] = [
                layers[source][key][told["weightSourceMatrixIndices"][i]] if source else
                _held(checkpoint, f"{name}.{ARRAYS[key]}[{i}]", checkpoint.tensors.get(f"{name}.weights[{i}]"))
                for i, source in enumerate(told.get("weightSourceLayers") or [""] * len(told["inputs"]))
            ]  # fmt: skip
        tables = [checkpoint.tensors.get(f"{name}.filterConns[{i}]") for i in range(len(layer["weights"]))]
        if any(table is not None for table in tables):
            layer["filterConns"] = [[] if table is None else table.tolist() for table in tables]
    outputs = {
        name: [tuple(entry) for entry in getattr(checkpoint, name)] for name in ("train_outputs", "test_outputs")
    }
    state = {"epoch": checkpoint.epoch, "batchnum": checkpoint.batch, **outputs, "layers": layers}
    options = {name: _option(name, value) for name, value in checkpoint.options.items()}
    return pickles.dumps({"model_state": state, "op": Instance(Name("options", "OptionsParser"), {"options": options})})


def _held(checkpoint: Checkpoint, name: str, like: np.ndarray | None) -> np.ndarray:
    """A tensor; of a momentum buffer that is missing, zeros."""
    found = checkpoint.tensors.get(name)
    if found is None and (like is None or "_inc" not in name):
        raise KeyError(name)
    return np.zeros_like(like) if found is None else found


KINDS = {bool: "Boolean", int: "Integer", float: "Float", str: "String", list: "Range"}


def _option(name: str, value: Any) -> Instance:
    """An option with a value, as the module ``options`` of 2012 kept one (1.8)."""
    parser = Name("options", f"{KINDS.get(type(value), 'String')}OptionParser")
    facts: dict[str, Any] = {
        "letter": LETTERS.get(name, name.replace("_", "-")),
        "prefixed_letter": f"--{LETTERS.get(name, name.replace('_', '-'))}",
        "name": name,
        "desc": name,
    }
    facts |= {"parser": parser, "set_once": False, "default": None, "excuses": [], "requires": [], "save": True}
    return Instance(Name("options", "Option"), {**facts, "value": value, "value_given": True})
