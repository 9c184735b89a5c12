"""Damaged and hostile pickles: batches and their meta of three generations, CIFAR, and checkpoints.

Each is read as what it claims to be, or refused with the error of bad input that names the file; it takes little time
and memory, and nothing in it is run, imported or opened.
"""

import pickle
import struct
import warnings
from contextlib import suppress
from functools import cache

import numpy as np

from alexnet_rosetta.harness.data import checkpoints, historical, make, open_data
from alexnet_rosetta.harness.data.batches import Batch, DataSet, in_colours, opened
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network.load import from_texts, plain
from alexnet_rosetta.harness.network.net import Net
from alexnet_rosetta.harness.values import parameters

from . import runner
from .archives import bent, canary, contained, folder

TAKEN = 256 << 20
SECONDS = 1.0
PATIENCE = 20.0
LONGEST = 1 << 16
"""Bytes of a file that a trial makes."""


@cache
def sound():
    """{role: [(bytes of batches.meta, bytes of data_batch_1), ...]} of files that are right."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (192, 6), np.uint8)
    held = DataSet("x", "", (3, 8, 8), ("cat", "dog"), (1,), (1,), lambda n: (pixels, np.arange(6) % 2),
                   colours=(np.ones(3, np.float32), np.eye(3, dtype=np.float32)))  # fmt: skip
    found = []
    for form in make.FORMS:
        place = folder() / form
        list(make.make(held, place, form))
        batch = place / "data_batch_1"
        batch = batch / "data_batch_1.0" if batch.is_dir() else batch
        found.append(((place / "batches.meta").read_bytes(), batch.read_bytes()))
    cifar = {"batch_label": "1", "labels": [0, 1] * 3, "data": np.ascontiguousarray(pixels.T), "filenames": ["a"] * 6}
    for protocol in (0, 2, 4):
        meta = {"label_names": ["a", "b"], "num_vis": 192}
        found.append((pickle.dumps(meta, protocol), pickle.dumps(cifar, protocol)))
    net = Net(48, labels=1)
    net.add("conv1", "conv", "data", channels=3, filters=4, filterSize=3, initW=0.1, neuron="relu")
    net.add("pool1", "pool", "conv1", pool="max", channels=4, sizeX=2, stride=1)
    net.add("fc2", "fc", "pool1", outputs=2, initW=0.1).softmax_cost("fc2")
    network = from_texts("net", *net.files(), folder())
    layers, drawn = list(map(plain, network.layers)), parameters.make(network, 0)
    values = {f"{layer}.{tensor}": array for layer, own in drawn.items() for tensor, array in own.items()}
    outputs = [[{"logprob": [2.0, 0.5]}, 100]] * 5
    checkpoint = historical.Checkpoint(values, 1, 2, layers, {"mini": 128, "range": [1, 2]}, outputs, outputs)
    return {"data": found, "checkpoint": [(historical.to_bytes(checkpoint), b"")] * 2}


def spliced(rng, data):
    """A pickle with instructions put in, at any byte of it."""
    data, path = bytearray(data), canary().encode()
    number = struct.pack("<I", int(rng.choice([0, 3, 255, 1 << 20, 1 << 30, (1 << 32) - 1])))
    pieces = [
        b"cbuiltins\nopen\n(S'" + path + b"'\nS'w'\ntR",
        b"c__builtin__\nfile\n(S'" + path + b"'\nS'w'\ntR",
        b"\x8c\x02os\x8c\x06system\x93\x8c" + bytes([len(path) + 6]) + b"touch " + path + b"\x85R",
        b"(S'" + path + b"'\nS'w'\niio\nopen\n",
        b"(cio\nopen\nS'" + path + b"'\nS'w'\no",
        b"coptions\nOption\n(S'" + path + b"'\ntR",
        b"(coptions\nOption\no}U\x05valuecos\nsystem\nsb",
        b"cnumpy\ndtype\n(S'O'\nI0\nI1\ntR",
        b"cnumpy.core.multiarray\nscalar\n",
        b"ccopy_reg\n_reconstructor\n",
        b"\x8b" + number,
        b"T" + number,
        b"X" + number,
        b"r" + number,
        b"j" + number,
        b"\x8e" + number + number,
        b"]" * int(rng.integers(1, 20_000)),
        b"(" * int(rng.integers(1, 20_000)),
        b"2" * int(rng.integers(1, 20_000)),
        b"\x85" * int(rng.integers(1, 20_000)),
        b"t", b"l", b"u", b"e", b"b", b"R", b"0", b"1", b"h\x00", b"h\x05", b"q\x00", b"Q", b"\x82\x01", b"\x81", b".",
    ]  # fmt: skip
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(data) + 1))
        data[at:at] = pieces[int(rng.integers(len(pieces)))]
    return bytes(data[:LONGEST])


def moved(rng, data):
    """A pickle in which a part stands in the place of another one."""
    a, b, length = (int(rng.integers(len(data) + 1)) for _ in range(3))
    return data[:a] + data[b : b + length % 400] + data[a:]


def draw(rng):
    """(role, {name of a file: its bytes})."""
    role = "checkpoint" if rng.integers(4) == 0 else "data"
    kinds = sound()[role]
    files = list(kinds[int(rng.integers(len(kinds)))])
    at = 0 if role == "checkpoint" else int(rng.integers(2))
    change = [bent, spliced, moved][int(rng.integers(3))]
    files[at] = change(rng, files[at])
    return role, {"1.2": files[0]} if role == "checkpoint" else dict(
        zip(("batches.meta", "data_batch_1"), files, strict=True)
    )


def read(role, place):
    """Read the files in their role."""
    if role == "checkpoint":
        checkpoints.as_training(checkpoints.load(place)).network()
        checkpoints.convert(place, folder() / "out")
        return
    found = open_data(place)
    assert found.mean.dtype == np.float32
    batch = found.read(1)
    assert isinstance(batch, Batch)
    assert batch.data.shape == (found.features, batch.labels.shape[1])
    assert batch.labels.dtype == np.float32
    assert not found.classes or batch.labels.max() < found.classes
    repr(found.label_names)


@cache
def warm():
    """Have everything imported that sound and damaged files take."""
    place = folder() / "warm"
    place.mkdir()
    for role, kinds in sound().items():
        names = ("batches.meta", "data_batch_1") if role == "data" else ("1.2",)
        for files in kinds:
            for name, data in zip(names, files, strict=False):
                (place / name).write_bytes(data)
            read(role, place)
    for text in (b"V\\x", b"S'\\x'", b"\x8c\x01\xff", b"X\x01\0\0\0\xff", b"c\xff\n\n", b"\x1f\x8b", b"PK\3\4"):
        (place / "1.2").write_bytes(text)
        with suppress(BadInput):
            read("checkpoint", place)
    with suppress(ValueError):
        in_colours(opened(make._jpeg(np.zeros((8, 8, 3)))[:50]))
    return True


def check(role, files):
    """Read files; returns the outcome, asserts what must hold."""
    place = folder() / "pickles"
    place.mkdir(exist_ok=True)
    for old in place.iterdir():
        old.unlink()
    for name, data in files.items():
        (place / name).write_bytes(data)
    warm()
    return contained(lambda: read(role, place), place, SECONDS, TAKEN)[0]


def trial(rng):
    """One file."""
    warnings.simplefilter("ignore")
    role, files = draw(rng)
    with runner.noted(lambda: f"{role}, { ({name: data[:2000] for name, data in files.items()}) }"):
        return check(role, files)


if __name__ == "__main__":
    runner.main(trial, patience=PATIENCE)
