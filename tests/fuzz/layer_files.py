"""Layer files: shipped and historical ones, with sections, options and values bent or with bytes damaged.

Loading must end in a network or in a ConfigError of one printable line, soon and without much memory; an accepted
network holds finite numbers and names that are safe to print and to make files of; nothing that a file names is run.
"""

import math
import os
import re
import tempfile
import time
from functools import cache
from pathlib import Path

from alexnet_rosetta.harness.checks.layers import pairs
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.port.config import ConfigError, grammar
from alexnet_rosetta.port.config.layer_types import LAYER_TYPES, LAYER_TYPES_OF_2014

from . import runner
from .entry_points import Draw

SECONDS = 3.0  # of processor time, for files of up to 4 MiB
MEMORY = 3 << 30
MESSAGE = 1500
FLOAT32 = 2.0**128 - 2.0**104  # its largest number
CANARY = Path("canary")
FOLDER = tempfile.TemporaryDirectory(prefix="rosetta-fuzz-")
COUNTS = [0, 1, 2, 3, 4, 5, 8, 16, 17, 31, 32, 255, 256, 1000, 46341, 65536, 2**30, 2**31 - 1, 2**31, 10**18, 10**40]
NUMBERS = [
    "0",
    ".5",
    "1",
    "-1",
    "1e-3",
    "31",
    "1e10",
    "3.4e38",
    "3.5e38",
    "1e308",
    "1e-39",
    "1e-400",
    "nan",
    "inf",
    "-.75",
    "1_0",
    "0x10",
    "5.",
    ".",
    "+1",
    "1e",
    "--1",
]
WORDS = ["", " ;", "\0", "\x85", "\x1b[2J", "\u202e", "é" * 60, "0 1 2, 3 4, 5 6", "0 1, 1 0", "a" * 5000, "1," * 3000,
         "[" * 2000, f"__import__('os').system('touch {CANARY}')", f"os.system(touch {CANARY})", "initw.makew(1)",
         "1" * 70, ",", ",,", "[", "]", "%", "%(a)s", "%%", ";", "true", "off", "../x", "/x", "$", "<script>",
         "=1+1"]  # fmt: skip
SCHEDULES = ["default", "exp[1000]", "linear[tgtFactor=10,noiseStdev=.1]",
             "dexp[tgtFactor=10,noiseStdev=0,numSteps={}]",
             "jdexp[500,.25,{}]", "exp[tgtFactor=1e-38,noiseStdev=1e38]", "dexp[500,{}]",
             "exp[base=.1;tgtFactor=9]"]  # fmt: skip
KEYS = {key.name.lower(): key for row in LAYER_TYPES.values() for key in (*row.keys, *row.params)}
ALSO = {name.lower() for row in LAYER_TYPES.values() for name in row.also}
NAMES = sorted({*KEYS, *ALSO, "inputs", "gpu", "neuron", "quantf", "sched"})


@cache
def seeds():
    """Texts of pairs of files: definition and parameters."""
    found = [(networks.SHIPPED / f"{net}.cfg", networks.SHIPPED / f"{net}-params.cfg") for net in networks.shipped()]
    folder = os.environ.get("ROSETTA_HISTORICAL")
    if folder:
        found += [(pair.definition, pair.params) for pair in pairs.find(folder)[0] if pair.params]
    return [tuple(path.read_text("latin-1") for path in pair) for pair in found]


def value(d, name, layers):
    """A text for the option `name`."""
    if d.odds(0.15):
        return d.of(*WORDS, *NUMBERS)
    count = str(d.of(*COUNTS, *range(1, 17)) * d.of(1, 1, 1, 1, -1))
    if name in ("inputs", "weightsource"):
        return ",".join(d.of(*layers) + d.of("", "", "", "[0]", "[1]") for _ in range(d.of(1, 1, 2, 3)))
    if name == "type":
        return d.of(*LAYER_TYPES, *LAYER_TYPES_OF_2014, "sfc ", "Conv")
    if name == "neuron":
        kind = d.of(*grammar.NEURONS)
        arguments = ",".join(d.of(*NUMBERS) for _ in grammar.NEURONS[kind][0])
        return f"{kind}[{arguments}]" if arguments else kind
    if name.startswith("sched"):
        return d.of(*SCHEDULES).format(count)
    if name.startswith("quant"):
        return d.of("half", "default", "half[]", "int8")
    key = KEYS.get(name)
    if key is not None and key.one_of:
        return d.of(*key.one_of)
    one = d.of(*NUMBERS) if key is not None and key.read is grammar.read_float else count
    return ",".join([one] * d.of(1, 1, 1, 2, 3))


def bend(d, text):
    """The text of a layer file with one section, option or value changed."""
    lines = text.split("\n")
    heads = [i for i, line in enumerate(lines) if line.startswith("[") and "]" in line]
    layers = [lines[i][1 : lines[i].index("]")] for i in heads] or ["x"]
    options = [i for i, line in enumerate(lines) if "=" in line and line[0] not in "#;[ "]
    change = d.of(*["value"] * 6, *["option"] * 3, "drop", "drop", "rename", "double", "move", "repeat", "any")
    if change == "value" and options:
        i = d.of(*options)
        name = lines[i].split("=")[0].strip().lower()
        lines[i] = f"{name}={value(d, name, layers)}"
    elif change == "option" and heads:
        name = d.of(*NAMES)
        lines.insert(d.of(*heads) + 1, f"{name}={value(d, name, layers)}")
    elif change == "drop" and options:
        del lines[d.of(*options)]
    elif change == "rename" and heads:
        i = d.of(*heads)
        old, new = layers[heads.index(i)], d.of(*WORDS, *layers, "DEFAULT", "x", "data_neuron", "é" * 50)
        if d.odds(0.5):  # everywhere, so that the name is a sound one
            return re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", lambda _: new, text)
        lines[i] = f"[{new}]"
    elif change in ("double", "move") and len(heads) > 1:
        first = d.to(0, len(heads) - 1)
        end = heads[first + 1] if first + 1 < len(heads) else len(lines)
        piece, to = lines[heads[first] : end], d.of(*heads)
        if change == "move":
            del lines[heads[first] : end]
            to = min(to, len(lines))
        lines[to:to] = piece
    elif change == "repeat" and d.odds(0.02):
        line = d.of(*lines)
        lines.insert(d.to(0, len(lines)), "\n".join([line] * min(100_000, 2**22 // (len(line) + 1))))
    else:
        lines.insert(d.to(0, len(lines)), d.of(*WORDS) + d.of("", "=", ":") + d.of(*WORDS, *NUMBERS))
    return "\n".join(lines)


def damage(d, data):
    """The bytes of a layer file with some of them changed, cut out, doubled or put in."""
    data = bytearray(data)
    for _ in range(d.of(1, 1, 2, 4, 8)):
        at, size = d.to(0, len(data)), d.of(1, 1, 2, 7, 100)
        change = d.of("flip", "set", "cut", "double", "put")
        if change == "flip" and at < len(data):
            data[at] ^= 1 << d.to(0, 7)
        elif change == "set":
            data[at : at + size] = bytes(d.rng.integers(0, 256, size, "u1"))
        elif change == "cut":
            del data[at : at + size]
        elif change == "double":
            data[at:at] = data[at : at + 10 * size]
        else:
            data[at:at] = d.of(*WORDS, *NUMBERS, "\n", "\n[x]\n", "\r", "\n ", "=").encode()
    return bytes(data)


def draw(rng):
    """(definition, parameters or None, reading rules): bytes of two files that belong together more or less."""
    d = Draw(rng)
    definition, params = d.of(*seeds()[: len(networks.shipped()) if d.odds(0.5) else None])
    if d.odds(0.03):
        params = d.of(*seeds())[1]
    for _ in range(d.of(0, 1, 1, 2, 4)):
        definition = bend(d, definition)
    for _ in range(d.of(0, 0, 1, 2)):
        params = bend(d, params)
    files = [text.encode("utf-8", "surrogatepass") for text in (definition, params)]
    if d.odds(0.4):
        which = d.to(0, 1)
        files[which] = damage(d, files[which])
    rules = tuple(rule for rule in networks.RULES if d.odds(0.05))
    return files[0], None if d.odds(0.03) else files[1], rules


def load(case):
    """The network of a drawn case."""
    definition, params, rules = case
    files = [Path(FOLDER.name, "net.cfg"), Path(FOLDER.name, "net-params.cfg")]
    for path, data in zip(files, (definition, params), strict=True):
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)
    return networks.load(str(files[0]), rules=rules)


def check(network):
    """What holds of every accepted network."""
    assert len(network.spec.warnings) <= 101
    for text in network.spec.warnings:
        assert text.isprintable(), text
        assert len(text) < MESSAGE, text
    assert {layer.name for layer in network.layers} == set(network.graph.layers)
    assert network.parameter_count() >= 0
    assert network.classes() != 0
    for layer in network.layers:
        assert layer.name.isprintable(), layer.name
        assert Path("folder", f"{layer.name}.acts.npy").parent == Path("folder"), layer.name
        assert len(f"{layer.name}.backward.weights_grad[1023].legacy-cpu.npy".encode()) < 256, layer.name
        for name, found in layer.to_dict().items():
            assert all(_sound(number) for number in _numbers(found)), f"{layer.name}.{name}: {found}"


def _numbers(found):
    if isinstance(found, dict | list):
        return [number for item in (found.values() if isinstance(found, dict) else found) for number in _numbers(item)]
    return [found] if isinstance(found, int | float) else []


def _sound(number):
    return math.isfinite(number) and abs(number) <= (2**63 if isinstance(number, int) else FLOAT32)


def trial(rng):
    """One pair of files."""
    case, begin = draw(rng), time.process_time()
    try:
        try:
            check(load(case))
            outcome = "accepted"
        except ConfigError as error:
            text, outcome = str(error), "refused"
            assert text.isprintable(), text
            assert len(text) < MESSAGE, text
        spent = time.process_time() - begin
        assert spent < SECONDS, f"{spent:.1f} seconds"
        assert not CANARY.exists(), "something in a file was run"
    except Exception as error:
        error.add_note("\n".join(f"--- {part!r}"[:3_000] for part in case))
        raise
    return outcome


if __name__ == "__main__":
    runner.main(trial, memory=MEMORY)
