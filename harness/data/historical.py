"""Checkpoints of the programs of 2011, 2012 and 2014 (data-checkpoints-tools 1), and what they convert to.

Nothing in a file is run: pickles are read by `pickles`, and programs that they hold as texts, such as ``outputFilter``,
stay texts.
"""

import io
import json
import re
import struct
from dataclasses import asdict, dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np

from .. import files
from ..errors import BadInput, RosettaError
from ..network.load import from_texts, load, parameter_shapes, plain
from ..network.tensors import parameter
from ..values.archive import Archive
from . import pickles
from .batches import Fields, need
from .pickles import Instance, Name

NAME = re.compile(r"(\d{1,9})\.(\d{1,9})")
ARRAYS = {"weights": "weights", "weightsInc": "weights_inc", "biases": "biases", "biasesInc": "biases_inc",
          "filterConns": "filterConns"}  # fmt: skip
"""Historical keys of a layer's arrays, and the names of these tensors here."""
DERIVED = {"inputLayers", "weightShapes", "biasShape"}
"""What follows from the rest of a layer, and is not kept."""
MOST_VALUES, DEEPEST = 500_000, 16
"""Of what a file says besides its arrays and its costs."""
ABOUT, HISTORY = "rosetta", "historical"
"""Names in the header of a safetensors file: what a training says of itself, and what a historical checkpoint said."""
MEAN = "data.mean"
"""What a training stores beside the tensors of its network."""


@dataclass
class Checkpoint:
    """What a checkpoint holds.

    Attributes
    ----------
    tensors : dict of str to ndarray
        ``conv1.weights[0]``, ``conv1.biases``, ``conv1.weights_inc[0]``, ``conv1.biases_inc``,
        ``conv1.filterConns[0]``; what a layer takes from another one stands under that one's name alone.
    epoch, batch : int
        Of the batch that was learnt last; epochs count from 1.
    layers : list of dict
        The layers in the keys of the release, without arrays, inputs first.
    options : dict
        Values by name.
    train_outputs, test_outputs : list of [dict of str to list of float, int]
        For each batch that was learnt, or each test: what every cost was per case, and the number of cases.
    """

    tensors: dict
    epoch: int = 0
    batch: int = 0
    layers: list = field(default_factory=list)
    options: dict = field(default_factory=dict)
    train_outputs: list = field(default_factory=list)
    test_outputs: list = field(default_factory=list)


def newest(folder):
    """The checkpoint of a folder with the largest epoch and batch; other names do not count (1.2).

    Of the folder of a training, the one of its only engine.
    """
    found = {tuple(map(int, name.groups())): path for path in folder.iterdir() if (name := NAME.fullmatch(path.name))}
    inside = {path.parent for path in folder.glob("*/*") if NAME.fullmatch(path.name)}
    if not found and len(inside) == 1:
        return newest(inside.pop())
    if not found:
        raise BadInput(f"{folder} has no checkpoints of its own", expected="files of the names EPOCH.BATCH")
    return found[max(found)]


def read(path):
    """Read a checkpoint of 2011, 2012 or 2014; of a folder, the newest.

    Parameters
    ----------
    path : path

    Raises
    ------
    BadInput
        It is none, or cannot be read; names file and field.
    """
    path = Path(path)
    if path.is_dir():
        path = newest(path)
    top = pickles.load(path)
    state, options = (top.get(key) if type(top) is dict else None for key in ("model_state", "op"))
    if type(state) is not dict:
        raise BadInput(f"{path} is no checkpoint", expected="a dict with model_state and op")
    get, rest = Fields(state, path), _Plain(path)
    given = get("layers", (list, dict), [])
    layers = _in_order(list(given if type(given) is list else given.values()), path)
    seen, tensors = set(), {}
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
    outputs = [_outputs(get(name, list, []), f"{path}: {name}", sums) for name in ("train_outputs", "test_outputs")]
    return Checkpoint(tensors, get("epoch", int, 0), get("batchnum", int, 0), told, rest(values, "op"), *outputs)


def _in_order(layers, path):
    """The layers of a file, inputs first and by name; those of 2011 count them."""
    names, inputs = {}, {}
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


def _tensors(layer, path, seen):
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

    def __init__(self, path):
        self.path, self.left = path, MOST_VALUES

    def __call__(self, value, where, depth=0):
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


def _outputs(entries, where, sums=None):
    """Costs per case and numbers of cases; divided here where the file has sums, of costs of the types ``sums``."""
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


def _per_case(kind, sums, cases):
    """What the program of 2014 showed for the sums of a cost (1.6): per case; precision and recall of each class."""
    if kind != "cost.dce":
        return [x / cases for x in sums]
    parts = [sums[k : k + 3] for k in range(2, len(sums) - 2, 3)]
    return [x / cases for x in sums[:2]] + [
        right / of if of > 0 else float("inf") for said, real, right in parts for of in (said, real)
    ]


def to_bytes(checkpoint):
    """A checkpoint as the program of 2012 wrote it.

    Raises
    ------
    KeyError, IndexError, TypeError
        A tensor or a field of a layer is missing, or of another kind.
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


def _held(checkpoint, name, like):
    """A tensor; of a momentum buffer that is missing, zeros."""
    found = checkpoint.tensors.get(name)
    if found is None and (like is None or "_inc" not in name):
        raise KeyError(name)
    return np.zeros_like(like) if found is None else found


KINDS = {bool: "Boolean", int: "Integer", float: "Float", str: "String", list: "Range"}


def _option(name, value):
    """An option with a value, as the module ``options`` of 2012 kept one (1.8)."""
    parser = Name("options", f"{KINDS.get(type(value), 'String')}OptionParser")
    facts = {
        "letter": name.replace("_", "-"),
        "prefixed_letter": f"--{name.replace('_', '-')}",
        "name": name,
        "desc": name,
    }
    facts |= {"parser": parser, "set_once": False, "default": None, "excuses": [], "requires": [], "save": True}
    return Instance(Name("options", "Option"), {**facts, "value": value, "value_given": True})


# --- Conversion ----------------------------------------------------------------------------------------------------


def convert(source, target, net=None, params=None):
    """Convert between historical checkpoint, safetensors and npz.

    Parameters
    ----------
    source : path
        A historical checkpoint, a checkpoint of a training (safetensors), a folder of either, or an npz file.
    target : Path
        ``X.npz`` gets weights and biases (as ``rosetta compare --weights`` takes them), ``X.safetensors`` all tensors;
        anything else is a folder of 2012, which gets a checkpoint ``EPOCH.BATCH``.
    net, params : str, optional
        The network, where the source does not hold its layers and the target wants them.

    Returns
    -------
    Path
        What was written.
    """
    checkpoint, about = _any(Path(source))
    try:
        if target.suffix == ".npz":
            arrays, file = (
                {name: array for name, array in checkpoint.tensors.items() if "_inc" not in name and name != MEAN},
                io.BytesIO(),
            )
            np.savez(file, **arrays)
            files.write(target, file.getvalue())
            return target
        if target.suffix == ".safetensors":
            from safetensors.numpy import save

            told = {name: value for name, value in asdict(checkpoint).items() if name != "tensors"}
            header = {ABOUT: about} if about else {HISTORY: json.dumps(told)}
            files.write(target, save({name: np.ascontiguousarray(a) for name, a in checkpoint.tensors.items()}, header))
            return target
        if net is not None:
            network = load(net, params)
            checkpoint.layers = [plain(layer) for layer in network.layers]
            _fits(network, checkpoint, source)
        if not checkpoint.layers:
            raise BadInput(f"{source} does not say of what network it is", hint="--net NET")
        data = to_bytes(checkpoint)
        target.mkdir(parents=True, exist_ok=True)
        files.write(target / f"{checkpoint.epoch}.{checkpoint.batch}", data)
        return target / f"{checkpoint.epoch}.{checkpoint.batch}"
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError, struct.error) as error:
        what = f"{type(error).__name__}: {ascii(str(error))[:80]}"
        raise BadInput(f"{source} lacks what a checkpoint of 2012 has ({what})", hint="another network?") from error
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error.strerror}") from error


def _any(path):
    """(Checkpoint, what a training says of itself, as text) of a file or folder of any kind."""
    path = newest(path) if path.is_dir() else path
    if not path.is_file():
        raise BadInput(f"there is no checkpoint {path}")
    if path.suffix == ".npz":
        archive = Archive(path, "arrays such as 'conv1.weights[0]' and 'conv1.biases'")
        total = sum(header.nbytes for header in archive.headers.values())
        need(2 * total, str(path))
        return Checkpoint(archive.load(archive.headers, total)), None
    with open(path, "rb") as file:
        if file.read(10)[8:] != b'{"':
            return read(path), None
    need(2 * path.stat().st_size, str(path))
    try:
        return _safetensors(path)
    except RosettaError:
        raise
    except Exception as error:  # what a damaged file does to the package is not for us to list
        raise BadInput(f"{path} cannot be read ({str(error)[:100]})", hint="the file is damaged") from error


def _safetensors(path):
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = file.metadata() or {}
    if HISTORY in header:
        told = Fields(json.loads(header[HISTORY]), path)
        given = {name: told(name, type(value), value) for name, value in asdict(Checkpoint({})).items()}
        for name in ("train_outputs", "test_outputs"):
            given[name] = _outputs(given[name], f"{path}: {name}")
        return Checkpoint(**{**given, "layers": _in_order(given["layers"], path), "tensors": tensors}), None
    if ABOUT not in header:
        return Checkpoint(tensors), None
    about = json.loads(header[ABOUT])
    epoch, batch = map(int, NAME.fullmatch(path.name).groups()) if NAME.fullmatch(path.name) else (0, 0)
    outputs = [
        [[event["costs"], event["cases"]] for event in about["log"] if event["kind"] == kind]
        for kind in ("train", "test")
    ]
    layers = [plain(layer) for layer in from_texts(**about["network"], path=path).layers]
    options = {"mini": about["settings"]["batch"], "num_epochs": about["settings"]["epochs"]}
    return Checkpoint(tensors, epoch, batch, layers, options, *outputs), header[ABOUT]


def _fits(network, checkpoint, source):
    """Refuse tensors that are not those of a network."""
    shapes = {
        f"{layer.name}.{tensor}": shape for layer in network.layers for tensor, shape in parameter_shapes(layer).items()
    }
    for name, array in checkpoint.tensors.items():
        layer, _, tensor = name.rpartition(".")
        like = shapes.get(f"{layer}.{parameter(tensor)}")
        if "filterConns" not in tensor and name != MEAN and like != array.shape:
            raise BadInput(f"{source}: {name} does not fit {network.name}", expected=like or "no such tensor",
                           actual=array.shape)  # fmt: skip
