"""Silent acceptances: one field of a sound layer file, npz file or record is made wrong, and somebody must be told.

The file is refused, or read with a warning, or the change is seen in what comes of the file: in the network, in the
values that a run starts from (whose hashes stand in the record), in the record that is printed. A wrong field that
leaves all of these as they were is a finding.
"""

import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from alexnet_rosetta.harness.errors import BadInput, RecordError
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.reporting.report import rendered
from alexnet_rosetta.harness.values import inputs, parameters
from alexnet_rosetta.port.config import ConfigError

from . import archives, records, runner

FOLDER = tempfile.TemporaryDirectory(prefix="rosetta-silent-")
NETS = ("tiny", "zoo", "cifar", "alexnet")


def trial(rng):
    """One wrong field."""
    way = rng.integers(100)
    return layer_file(rng) if way < 80 else archive(rng) if way < 95 else record_file(rng)


# Layer files


def network(texts):
    """What a pair of texts says: the layers as plain values, and the warnings."""
    for name, text in zip(("net.cfg", "net-params.cfg"), texts, strict=True):
        Path(FOLDER.name, name).write_text(text, encoding="utf-8")
    found = networks.load(str(Path(FOLDER.name, "net.cfg")))
    return json.dumps([layer.to_dict() for layer in found.layers], default=str), sorted(map(str, found.spec.warnings))


@cache
def sound(net):
    """The texts of a shipped network, and what they say."""
    texts = [(networks.SHIPPED / f"{net}{part}.cfg").read_text("utf-8") for part in ("", "-params")]
    return texts, network(texts)


def layer_file(rng):
    """A key, a value, a name or a line that is not what it was."""
    texts, before = sound(NETS[rng.integers(len(NETS))])
    which = int(rng.integers(2))
    lines = texts[which].splitlines()
    at = int(rng.choice([k for k, line in enumerate(lines) if "=" in line and line[:1] not in "#;"]))
    wrong = bent(rng, lines, at)
    if wrong is None:
        return "nothing to change"
    changed = [*texts]
    changed[which] = "\n".join(wrong) + "\n"
    try:
        after = network(changed)
    except ConfigError:
        return "refused"
    if after[1] != before[1]:
        return "warned"
    if after[0] != before[0]:
        return "visible"
    raise AssertionError(f"nobody is told: {lines[at]!r} is {[line for line in wrong if line not in lines] or 'gone'}")


def bent(rng, lines, at):
    """The lines with one of them made wrong; None where the draw changes nothing."""
    key, _, value = lines[at].partition("=")
    way = int(rng.integers(6))
    if way == 0:  # a key that is mistyped
        k = int(rng.integers(len(key)))
        new = [f"{key[:k]}{key[k:][:1]}{key[k:]}={value}"]
    elif way == 1:  # a digit
        digits = [k for k, c in enumerate(value) if c.isdigit()]
        if not digits:
            return None
        k = int(rng.choice(digits))
        new = [f"{key}={value[:k]}{(int(value[k]) + int(rng.integers(1, 10))) % 10}{value[k + 1 :]}"]
    elif way == 2:  # the sign, or the power of ten
        if not any(c.isdigit() for c in value) or value[:2] == "0 ":  # -0 is 0
            return None
        new = [f"{key}=-{value}" if rng.integers(2) else f"{key}={value}0"]
    elif way == 3:  # the value of another line
        value = lines[int(rng.choice([k for k, line in enumerate(lines) if "=" in line]))].partition("=")[2]
        new = [f"{key}={value}"]
    elif way == 4:  # the line twice, with another value
        new = [lines[at], f"{key}=7{value}"]
    else:  # a word with a letter more
        words = value.split(",")
        k = int(rng.integers(len(words)))
        words[k] += "x"
        new = [f"{key}={','.join(words)}"]
    return None if new == [lines[at]] or same(new[-1], lines[at]) else [*lines[:at], *new, *lines[at + 1 :]]


def same(one, other):
    """Whether two lines say the same: numbers and truths in two spellings, or one for all where all are equal."""
    if {line.partition("=")[2] for line in (one, other)} in ({"true", "1"}, {"false", "0"}):
        return True
    try:
        found = [[float(x) for x in line.partition("=")[2].split(",")] for line in (one, other)]
    except ValueError:
        return False
    return found[0] == found[1] or len(set(found[0] + found[1])) == 1


# Values


def archive(rng):
    """A name, a shape, a type or a value of an array."""
    role = ("input", "weights")[rng.integers(2)]
    arrays = {name: array.copy() for name, array in archives.sound(role).items()}
    name = str(rng.choice(list(arrays)))
    array, way = arrays[name], int(rng.integers(6))
    if way == 0:
        arrays[f"{name}x"] = arrays.pop(name)
    elif way == 1:
        arrays[name] = array.astype([np.float64, np.float16, np.int32][rng.integers(3)])
    elif way == 2:
        arrays[name] = array[:-1]
    elif way == 3 and array.ndim > 1 and array.shape[0] != array.shape[1]:
        arrays[name] = array.T
    elif way == 4:
        del arrays[name]
    else:
        k = int(rng.integers(array.size))
        array.flat[k] = np.nextafter(array.flat[k], np.float32(np.inf))
    path = Path(FOLDER.name, "values.npz")
    np.savez(path, **arrays)
    try:
        if values_of(role, path) != sound_values(role):
            return "visible"
    except BadInput:
        return "refused"
    raise AssertionError(f"nobody is told: {role} {name}, way {way}")


def values_of(role, path):
    """What a run takes from a file."""
    if role == "input":
        return inputs.make(archives.network(), str(path), 4, 0).hashes()
    held = parameters.make(archives.network(), 0, path)
    return {(layer, name): array.tobytes() for layer, own in held.items() for name, array in own.items()}


@cache
def sound_values(role):
    """The same of the sound file."""
    path = Path(FOLDER.name, "sound.npz")
    np.savez(path, **archives.sound(role))
    return values_of(role, path)


# Records


def record_file(rng):
    """A number, a word or a key of record.json."""
    whole = json.loads(records.sound()["record.json"])
    holder, key = _pick(rng, whole)
    old, way = holder[key], int(rng.integers(3))
    if way == 0 and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    elif way == 1:
        del holder[key]
    elif isinstance(old, bool) or old is None:
        holder[key] = "x"
    elif isinstance(old, (int, float)):
        holder[key] = old + 1
    elif isinstance(old, str):
        holder[key] = old + "x"
    else:
        holder[key] = "x"
    try:
        if printed(json.dumps(whole).encode()) != printed(records.sound()["record.json"]):
            return "visible"
        if way < 2:
            return "nothing to change"  # a field that had the value of one that is missing
    except RecordError:
        return "refused"
    raise AssertionError(f"nobody is told: {key} was {old!r:.80}, way {way}")


def _pick(rng, whole):
    places = records.places(whole, [])
    return places[int(rng.integers(len(places)))]


def printed(text):
    """A record as it is printed for programs."""
    folder = Path(FOLDER.name, "record")
    folder.mkdir(exist_ok=True)
    for name, data in {**records.sound(), "record.json": text}.items():
        if name != "rows.jsonl":
            (folder / name).write_bytes(data)
    return rendered(folder, "json")


if __name__ == "__main__":
    runner.main(trial)
