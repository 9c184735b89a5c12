"""Checkpoints of a training: one safetensors file each, called ``EPOCH.BATCH``, its facts as JSON in the header."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import files
from ..errors import BadInput
from ..network.load import from_texts, parameter_shapes
from ..values import parameters

NAMED = re.compile(r"(\d{1,9})\.(\d{1,9})")
MEAN = "data.mean"


@dataclass(frozen=True)
class Checkpoint:
    """A stored network.

    Attributes
    ----------
    path : Path
    tensors : dict of str to ndarray
        ``layer.weights[0]``, ``layer.weights_inc[0]``, ``layer.biases`` and so on.
    mean : ndarray, (features,)
        What is subtracted from a picture.
    about : dict
        ``engine``, ``state``, ``settings``, ``network`` (the texts of its files), ``data``, ``log``.
    """

    path: Path
    tensors: dict
    mean: np.ndarray
    about: dict

    def values_for(self, network):
        """The tensors by layer and tensor, as `parameters.make` gives them.

        Raises
        ------
        BadInput
            They are those of another network.
        """
        wanted = {f"{layer}.{tensor}": (layer, tensor, array)
                  for layer, tensor, array in parameters.owned(network, parameters.make(network, 0))}  # fmt: skip
        for name in sorted({*wanted} ^ {*self.tensors}):
            what = "is missing" if name in wanted else "is no part of the network"
            raise BadInput(f"{self.path}: {name} {what}", hint="this is a checkpoint of another network")
        values = {layer.name: {} for layer in network.layers if parameter_shapes(layer)}
        for name, (layer, tensor, like) in wanted.items():
            found = self.tensors[name]
            if found.shape != like.shape or found.dtype != like.dtype or not np.isfinite(found).all():
                raise BadInput(f"{self.path}: {name} does not fit the network", actual=f"{found.dtype} {found.shape}",
                               expected=f"finite {like.dtype} {like.shape}")  # fmt: skip
            values[layer][tensor] = found
        return parameters.share(network, values)

    def network(self):
        """The stored network, without its parameters."""
        return from_texts(**self.about["network"], path=self.path)


def names(folder):
    """The checkpoints in a folder, the oldest first: Paths of files called ``EPOCH.BATCH``; others do not count."""
    found = [path for path in Path(folder).glob("*") if NAMED.fullmatch(path.name)]
    return sorted(found, key=lambda path: place(path.name))


def place(name):
    """(epoch, batch) of a checkpoint's name."""
    return tuple(map(int, name.split(".")))


def find(path):
    """The newest checkpoint in a folder, or in the folder of an engine in it; a file is one itself.

    Raises
    ------
    BadInput
        There is none, or several engines have some.
    """
    path = Path(path)
    if path.is_file():
        return path
    folders = {file.parent for file in (*names(path), *(one for each in path.glob("*/") for one in names(each)))}
    if len(folders) != 1:
        which = f"one of {', '.join(sorted(map(str, folders)))}" if folders else "the folder of a training"
        raise BadInput(f"{path} holds {'several' if folders else 'no'} checkpoints", expected=which)
    return names(folders.pop())[-1]


def save(path, values, mean, about):
    """Write a checkpoint in one step.

    Raises
    ------
    BadInput
        It cannot be written; what was there is as it was.
    """
    from safetensors.numpy import save as packed

    tensors = {f"{layer}.{tensor}": array for layer, own in values.items() for tensor, array in own.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: np.ascontiguousarray(array) for name, array in {**tensors, MEAN: mean}.items()}
        files.write(path, packed(arrays, {"rosetta": json.dumps(about)}))
    except OSError as error:
        raise BadInput(f"{path}: the checkpoint cannot be written: {error.strerror}",
                       hint="make room; --resume goes on from the last one, which is whole") from error  # fmt: skip


def load(path):
    """The Checkpoint in a file.

    Raises
    ------
    BadInput
        It cannot be read, or is none of ours.
    """
    from safetensors import safe_open

    path = Path(path)
    try:
        with safe_open(str(path), "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = json.loads((file.metadata() or {})["rosetta"])
        missing = {"engine", "state", "settings", "network", "data", "log"} - {*about}
        if missing:
            raise ValueError(f"no {min(missing)}")
        return Checkpoint(path, tensors, tensors.pop(MEAN), about)
    except Exception as error:  # what a damaged file does to the library is not for us to list
        raise BadInput(f"{path}: no checkpoint that can be read ({error})",
                       hint="an older one, if this one is damaged") from error  # fmt: skip
