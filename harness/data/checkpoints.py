"""Checkpoints in files of any kind: of a training here, historical, or weights alone; and what they convert to.

A training stores safetensors files called ``EPOCH.BATCH``, the facts as JSON in the header.
"""

import io
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import BadInput, RosettaError, writing
from ..network.load import Network, layer_files, plain
from ..network.load import load as load_network
from ..values.archive import Archive
from ..values.parameters import Values
from . import historical, others
from .batches import Fields, need
from .historical import Checkpoint

NAMED = re.compile(r"(\d{1,9})\.(\d{1,9})")
ABOUT, HISTORY = "rosetta", "historical"
"""Names in the header of a safetensors file: what a training says of itself, and what a historical checkpoint said."""
MEAN = "data.mean"
"""What a training stores beside the tensors of its network."""
FACTS = {"engine": str, "state": dict, "settings": dict, "network": dict, "data": dict, "log": list}
"""What a training says of itself."""
OF_2012 = "the program of 2012"
"""Who trained a historical checkpoint."""


def names(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the oldest first: Paths of files called ``EPOCH.BATCH``; others do not count."""
    found = [path for path in Path(folder).glob("*") if NAMED.fullmatch(path.name)]
    return sorted(found, key=lambda path: place(path.name))


def place(name: str) -> tuple[int, int]:
    """(epoch, batch) of a checkpoint's name."""
    epoch, batch = name.split(".")
    return int(epoch), int(batch)


def find(path: str | Path) -> Path:
    """The newest checkpoint in a folder, or else in the only folder in it that has some; a file is one itself.

    Raises BadInput: there is none, or several engines have some.
    """
    path = Path(path)
    if path.is_file():
        return path
    folders = [path] if names(path) else [each for each in sorted(path.glob("*/")) if names(each)]
    if len(folders) != 1:
        what = f"{path} holds {'several' if folders else 'no'} checkpoints"
        which = f"one of {', '.join(map(str, folders))}" if folders else "files of the names EPOCH.BATCH"
        raise BadInput(what if path.is_dir() else f"there is no checkpoint {path}", expected=which)
    return names(folders[0])[-1]


def save(path: Path, values: Values, mean: np.ndarray, about: dict[str, Any]) -> None:
    """Write a checkpoint of a training in one step.

    Raises BadInput: it cannot be written; what was there is as it was.
    """
    tensors = {f"{layer}.{tensor}": array for layer, own in values.items() for tensor, array in own.items()}
    with writing(f"{path}: the checkpoint", "make room; --resume goes on from the last one, which is whole"):
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, packed({**tensors, MEAN: mean}, {ABOUT: json.dumps(about)}))


def packed(tensors: Mapping[str, np.ndarray], header: dict[str, str]) -> bytes:
    """The bytes of a safetensors file."""
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(array) for name, array in tensors.items()}, header)


def load(path: str | Path) -> Checkpoint:
    """The Checkpoint in a file of any kind; of a folder, the newest.

    Raises BadInput: it cannot be read; names file and field.
    """
    path = find(path)
    if path.suffix == ".npz":
        archive = Archive(path, "arrays such as 'conv1.weights[0]' and 'conv1.biases'")
        total = sum(header.nbytes for header in archive.headers.values())
        need(2 * total, str(path))
        return Checkpoint(archive.load(archive.headers, total), path=path)
    with open(path, "rb") as file:
        if file.read(10)[8:] != b'{"':
            return historical.read(path)
    need(2 * path.stat().st_size, str(path))
    try:
        return _safetensors(path)
    except RosettaError:
        raise
    except Exception as error:  # what a damaged file does to the package is not for us to list
        raise BadInput(f"{path} cannot be read ({str(error)[:100]})",
                       hint="the file is damaged; an older one may be whole") from error  # fmt: skip


def _safetensors(path: Path) -> Checkpoint:
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = file.metadata() or {}
    if HISTORY in header:
        told = Fields(json.loads(header[HISTORY]), path)
        given = {name: told(name, type(value), value) for name, value in _told(Checkpoint({})).items()}
        for name in ("train_outputs", "test_outputs"):
            given[name] = historical.per_case(given[name], f"{path}: {name}")
        layers = historical.in_order(given["layers"], path)
        return Checkpoint(**{**given, "layers": layers, "tensors": tensors, "path": path})
    epoch, batch = place(path.name) if NAMED.fullmatch(path.name) else (0, 0)
    found = Checkpoint(tensors, epoch, batch, path=path, mean=tensors.pop(MEAN, None))
    if ABOUT in header:
        told = Fields(json.loads(header[ABOUT]), path)
        found.about, facts = told.fields, {MEAN: found.mean} | {name: told(name, kind) for name, kind in FACTS.items()}
        for part, kinds in (("settings", {"batch": int, "seed": int}), ("data", {"shape": list, "label_names": list})):
            inner = Fields(facts[part] or {}, path)
            facts |= {f"{part}.{name}": inner(name, kind) for name, kind in kinds.items()}
        lacking = [name for name, value in facts.items() if value is None]
        if lacking:
            raise BadInput(f"{path}: {lacking[0]} is missing", hint="the file is damaged; an older one may be whole")
        if found.mean is not None and found.mean.shape != (prod(facts["data.shape"]),):
            raise BadInput(f"{path}: {MEAN} does not fit", actual=found.mean.shape, expected=facts["data.shape"])
    return found


def _told(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a historical checkpoint says besides its tensors."""
    return {name: value for name, value in asdict(replace(checkpoint, tensors={})).items()
            if name not in ("tensors", "path", "mean", "about")}  # fmt: skip


def as_training(checkpoint: Checkpoint) -> Checkpoint:
    """A historical checkpoint with what a training would say of itself, from its layers, options and outputs.

    Its tests lie as far apart as its option ``testing_freq`` says. What it does not say is None: the shape of its
    pictures, the names of its classes, perhaps where they are.

    Raises BadInput: it does not say of what network it is.
    """
    path, options, log = checkpoint.path, Fields(checkpoint.options, checkpoint.path), []
    if checkpoint.about:
        return checkpoint
    if not checkpoint.layers:
        raise BadInput(f"{path} does not say of what network it is", hint="rosetta convert --net NET writes what does")
    batch, apart = max(1, options("minibatch_size", int, 128)), max(1, options("testing_freq", int, 50))
    cases = checkpoint.train_outputs[0][1] if checkpoint.train_outputs else 0
    for kind, outputs, every in (("train", checkpoint.train_outputs, 1), ("test", checkpoint.test_outputs, apart)):
        for k, (costs, count) in enumerate(outputs, 1):
            log.append({"kind": kind, "engine": OF_2012, "step": k * every * -(-cases // batch), "cases": count,
                        "costs": costs})  # fmt: skip
    definition, params = layer_files(checkpoint.layers, path)
    about = {
        "engine": OF_2012,
        "state": {"step": len(checkpoint.train_outputs) * -(-cases // batch)},
        "settings": {"batch": batch, "seed": 0, "data": options("data_path", str)},
        "network": {"name": path.resolve().parent.name, "definition": definition, "params": params},
        "data": {"shape": None, "label_names": None},
        "log": log,
    }
    return replace(checkpoint, about=about)


def _of_others(path: Path, network: Network | None) -> Checkpoint | None:
    """The Checkpoint in a file of another program, in the layout of 2012; None of other files."""
    if path.suffix not in (".safetensors", *others.SUFFIXES) or not path.is_file():
        return None
    tensors = {} if path.suffix != ".safetensors" else load(path).tensors
    theirs = any(name.endswith(".weight") for name in tensors)
    if path.suffix == ".safetensors" and not theirs:
        return None
    if network is None:
        raise BadInput(f"{path} does not say of what network it is", hint="--net NET")
    return Checkpoint(others.from_state_dict(network, tensors, path) if theirs else others.read(path, network),
                      path=path)  # fmt: skip


def of_network(path: str | Path, network: Network | None) -> Checkpoint:
    """The Checkpoint in a file of any kind, also of another program where the network is known."""
    return _of_others(Path(path), network) or load(path)


def as_2012(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint of a training with what a historical one says besides."""
    about = checkpoint.about
    outputs = [
        [[event["costs"], event["cases"]] for event in about["log"] if event["kind"] == kind]
        for kind in ("train", "test")
    ]
    settings = about["settings"]
    options = {"minibatch_size": settings["batch"], "num_epochs": settings.get("epochs")}
    options |= {"testing_freq": settings.get("test_freq"), "data_path": settings.get("data")}
    return replace(
        checkpoint,
        layers=[plain(layer) for layer in checkpoint.network().layers],
        options={name: value for name, value in options.items() if value is not None},
        train_outputs=outputs[0],
        test_outputs=outputs[1],
    )


def convert(
    source: str | Path, target: Path, net: str | None = None, params: str | None = None, layout: str = "2012"
) -> Path:
    """Convert between historical checkpoint, safetensors, npz, and with a network state_dict and ONNX.

    The source is a historical checkpoint, a checkpoint of a training (safetensors), a folder of either, an npz file;
    or, of other programs, a state_dict (.pt, .pth, or safetensors with NAME.weight) or a model (.onnx). `net` and
    `params` are the network, where the source does not hold its layers and the target wants them, and with files of
    others.

    The target ``X.npz`` gets weights and biases (as ``rosetta compare --weights`` takes them), ``X.safetensors`` all
    tensors, or with the layout ``torch`` a state_dict, ``X.pt``, ``X.pth`` a state_dict, ``X.onnx`` a model; anything
    else is a folder of 2012, which gets a checkpoint ``EPOCH.BATCH``. The result is the path of what was written.
    """
    network = None if net is None else load_network(net, params)
    checkpoint = of_network(source, network)
    try:
        if target.suffix in others.SUFFIXES or layout == "torch":
            network = network or (checkpoint.network() if checkpoint.about or checkpoint.layers else None)
            if network is None:
                raise BadInput(f"{source} does not say of what network it is", hint="--net NET")
            if target.suffix not in (*others.SUFFIXES, ".safetensors"):
                raise BadInput(f"{target}: no file for a state_dict", expected=".pt, .pth or .safetensors")
            if target.suffix == ".safetensors":
                files.write(target, packed(others.to_state_dict(network, checkpoint.tensors), {"format": "pt"}))
            else:
                others.write(target, network, checkpoint.tensors)
            return target
        if target.suffix == ".npz":
            file = io.BytesIO()
            arrays: dict[str, Any] = {name: x for name, x in checkpoint.tensors.items() if "_inc" not in name}
            np.savez(file, **arrays)
            files.write(target, file.getvalue())
            return target
        if target.suffix == ".safetensors":
            mean = {} if checkpoint.mean is None else {MEAN: checkpoint.mean}
            header = {ABOUT: checkpoint.about} if checkpoint.about else {HISTORY: _told(checkpoint)}
            texts = {name: json.dumps(told) for name, told in header.items()}
            files.write(target, packed(checkpoint.tensors | mean, texts))
            return target
        if network is not None:
            checkpoint.layers = [plain(layer) for layer in network.layers]
            checkpoint.values_for(network)
        elif checkpoint.about:
            checkpoint = as_2012(checkpoint)
        if not checkpoint.layers:
            raise BadInput(f"{source} does not say of what network it is", hint="--net NET")
        data = historical.to_bytes(checkpoint)
        target.mkdir(parents=True, exist_ok=True)
        files.write(target / f"{checkpoint.epoch}.{checkpoint.batch}", data)
        return target / f"{checkpoint.epoch}.{checkpoint.batch}"
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError, struct.error) as error:
        what = f"{type(error).__name__}: {ascii(str(error))[:80]}"
        raise BadInput(f"{source} lacks what a checkpoint of 2012 has ({what})", hint="another network?") from error
    except OSError as error:
        raise BadInput(f"{target} cannot be written: {error.strerror}") from error
