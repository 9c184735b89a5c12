"""Damaged and hostile npz files as --input, as --weights and in a record.

Each is read as what it claims to be. It is taken, with arrays as they should be, or refused with the error of bad
input that names the file; it takes little time and memory whatever it says about itself, and nothing in it is run.
"""

import io
import os
import pickle
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from functools import cache
from pathlib import Path

import numpy as np

from alexnet_rosetta.harness import machine
from alexnet_rosetta.harness.errors import BadInput, RecordError
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.reporting import record
from alexnet_rosetta.harness.values import inputs, parameters

from . import runner

sys.path.insert(0, str(runner.ROOT / "tests" / "harness"))
import small_nets

TAKEN = 128 << 20  # bytes that a trial may take
SECONDS = 5.0  # of the processor, likewise
PATIENCE = 60.0  # on a machine that does other things too


class Mine:
    """What a pickle would run: it makes the file that must not be there."""

    def __reduce__(self):
        return open, (canary(), "w")


@cache
def folder():
    """A folder of this process."""
    return Path(tempfile.mkdtemp(prefix="rosetta-fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))


def canary():
    """The path of a file that exists if anything of a file was run."""
    return str(folder() / "canary")


@cache
def network():
    """The network that the files are for."""
    return networks.load(small_nets.write_net(folder()))


@cache
def sound(role):
    """{name: array} of a file that is right."""
    minibatch = inputs.make(network(), "random", 4, 0).data
    if role == "input":
        return minibatch
    if role == "weights":
        held = parameters.make(network(), 0)
        tensors = [(f"{layer}.{name}", array) for layer, own in held.items() for name, array in own.items()]
        return {name: array for name, array in tensors if "_inc" not in name}
    return {"filters.conv1": np.zeros((27, 16), np.float32), "pictures": np.zeros((4, 5, 5, 3), np.uint8)}


def npy(array):
    """The bytes of an npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def header(text, version=(1, 0), rest=b""):
    """The bytes of an npy file with a header of one's own."""
    text = text.encode("latin1") + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + rest


@cache
def zeros(name, megabytes):
    """A small archive with an array of so many megabytes of zeros."""
    deflate, file = zlib.compressobj(9, zlib.DEFLATED, -15), io.BytesIO()
    start = header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({megabytes << 18},)}}")
    first = deflate.compress(start) + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)  # which may be repeated
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.npy", first + block * megabytes + deflate.flush())
        (entry,) = archive.infolist()
        entry.compress_type, entry.file_size = zipfile.ZIP_DEFLATED, len(start) + (megabytes << 20)
    return file.getvalue()


SHAPES = ["(10**18,)", "(2**63, 2)", "(-1,)", "(0,)", "()", "(192, 10000000000)", "(1.5,)", "((3,),)", "(True,)", "'x'"]
KINDS = ["'<f4'", "'>f4'", "'<f8'", "'|O'", "'<U1000000000'", "[('a', '<f4')]", "'|V4'", "'<M8[s]'", "3", "'<f4' * 9"]


def hostile_header(rng):
    """A header that says what it should not."""
    d = rng.integers
    kind, shape = KINDS[d(len(KINDS))], SHAPES[d(len(SHAPES))]
    text = f"{{'descr': {kind}, 'fortran_order': {['False', 'True', '3'][d(3)]}, 'shape': {shape}}}"
    text = [
        text,
        text,
        f"__import__('os').open({canary()!r}, 64)",
        "(" * int(d(1, 30_000)),
        "{'descr': '<f4', 'fortran_order': False, 'shape': (192, 4L)}",
        text[: int(d(1, len(text)))],
        "{" + "'a': 1, " * int(d(1, 8000)) + "}",
    ][d(7)]
    version = [(1, 0), (2, 0), (3, 0), (9, 9)][d(4)]
    return header(text[:60_000] if version == (1, 0) else text, version, bytes(int(d(0, 2000))))


def member(rng, array):
    """What an archive may hold in the place of an array."""
    data, way = npy(array), int(rng.integers(12))
    if way == 0:
        return hostile_header(rng)
    if way == 1:
        return bent(rng, data)
    if way == 2:
        return npy(np.array([Mine(), 3], object))
    if way == 3:
        return pickle.dumps(Mine())
    if way == 4:
        return npy(array.astype(np.dtype(["f8", ">f4", "i4", "f2", "c8", "U3"][int(rng.integers(6))])))
    if way == 5:
        return npy(array.T if array.ndim > 1 else array[:-1])
    if way == 6:
        array = array.copy()
        values = [np.nan, np.inf, 1e38, -1] if array.dtype.kind == "f" else [9]
        array.flat[int(rng.integers(array.size))] = rng.choice(values)
        return npy(array)
    return data


def built(rng, role):
    """An archive made member by member."""
    arrays, file = dict(sound(role)), io.BytesIO()
    names = list(arrays)
    kinds = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    with zipfile.ZipFile(file, "w", kinds[int(rng.integers(len(kinds)))]) as archive:
        for name in names:
            at = int(rng.integers(20))
            odd = [f"../{name}", f"/{name}", f"{name}\n", "é" * 300, "", f"{name}.npy"]
            if at != 6:
                archive.writestr(f"{odd[at] if at < 6 else name}.npy", member(rng, arrays[name]))
            if at == 7:
                archive.writestr("more.npy", member(rng, arrays[name]))
    return file.getvalue()


def bent(rng, data):
    """Bytes with some of them changed, lost, doubled or cut off."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at, way = int(rng.integers(len(data) + 1)), int(rng.integers(6))
        length = int(rng.choice([1, 2, 4, 30, 1000]))
        if way == 0:
            del data[at:]
        elif way == 1:
            del data[at : at + length]
        elif way == 2:
            data[at:at] = data[at : at + length]
        elif way == 3:
            data[at : at + length] = rng.bytes(length)
        elif way == 4:
            data[at : at + 4] = struct.pack("<I", int(rng.choice([0, 1, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF])))
        elif data:
            data[at % len(data)] ^= 1 << int(rng.integers(8))
    return bytes(data)


def bomb(rng, role):
    """An archive with one array that is too large, under a name that is wanted or one that is not."""
    name = rng.choice([*sound(role), "unwanted"])
    file = io.BytesIO(zeros(str(name), int(rng.choice([256, 300]))))
    with zipfile.ZipFile(file, "a") as archive:
        for key, array in sound(role).items():
            if key != name:
                archive.writestr(f"{key}.npy", npy(array))
    return file.getvalue()


def draw(rng):
    """(role, bytes of a file)."""
    role = ["input", "weights", "record"][int(rng.integers(3))]
    way = int(rng.integers(40))
    if way == 0:
        return role, bomb(rng, role)
    if way < 14:
        return role, built(rng, role)
    file = io.BytesIO()
    (np.savez_compressed if way % 2 else np.savez)(file, **sound(role))
    return role, bent(rng, file.getvalue())


def read(role, path):
    """Read a file in its role; returns {name: array}."""
    if role == "input":
        return inputs.make(network(), str(path), 4, 0).data
    if role == "weights":
        held = parameters.make(network(), 0, path)
        return {name: held[name.split(".")[0]][name.split(".")[1]] for name in sound(role)}
    about = {"format": record.FORMAT, "version": record.VERSION, "rows": []}
    (path.parent / "record.json").write_text(str(about).replace("'", '"'))
    return record.read(path.parent).arrays


def contained(read, place, seconds, taken):
    """Read a file that was warmed up for; the outcome, and what was read. Asserts what must hold of every reader.

    A refusal is the error of bad input, which names the place in a line of its length; time and memory are little;
    nothing in the file is run, and nothing is imported.
    """
    modules, found, said = set(sys.modules), None, None
    machine.reset_peak_memory()
    before, begin = machine.peak_memory(), time.process_time()
    try:
        found = read()
    except BadInput as error:
        said = str(error)
    assert time.process_time() - begin < seconds, "too much time"
    more = machine.peak_memory() - before
    assert more < taken, f"{more:,} bytes of memory"
    assert said is None or str(place) in said, f"the file is not named: {said}"
    assert said is None or len(said) < 1000, "a message without end"
    assert not os.path.exists(canary()), "something in the file was run"
    assert set(sys.modules) == modules, "something was imported"
    return "accepted" if said is None else "refused", found


def check(role, data):
    """Read bytes as a file; returns the outcome, asserts what must hold."""
    path = folder() / "arrays.npz"
    path.write_bytes(data)
    network(), sound(role)
    machine.reset_peak_memory()
    before, begin = machine.peak_memory(), time.process_time()
    arrays, said = {}, None
    try:
        arrays = read(role, path)
    except (BadInput, RecordError) as error:
        said = str(error)
    assert said is None or str(folder()) in said, "the file is not named"
    for name, array in arrays.items() if role != "record" else ():
        assert array.dtype == np.float32, name
        assert array.shape[0] == sound(role)[name].shape[0], name
        assert np.isfinite(array).all(), name
    assert time.process_time() - begin < SECONDS, "too much time"
    taken = machine.peak_memory() - before
    assert taken < TAKEN, f"{taken:,} bytes of memory"
    assert not os.path.exists(canary()), "something in the file was run"
    return "accepted" if said is None else "refused"


def trial(rng):
    """One file."""
    warnings.simplefilter("ignore")
    role, data = draw(rng)
    with runner.noted(lambda: f"{role}, {len(data)} bytes"):
        return check(role, data)


if __name__ == "__main__":
    runner.main(trial, patience=PATIENCE)
