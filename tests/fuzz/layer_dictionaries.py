"""Layer dictionaries for `legacy.Network`: those of shipped networks with up to three values bent.

A network must be built or raise Refused, and so must every step of every layer (KeyboardInterrupt if a step takes long,
MemoryError if it takes much). Inputs that a bent layer would take hundreds of megabytes for are not made.
"""

import copy
from functools import cache

import numpy as np

from alexnet_rosetta.harness.network import load
from alexnet_rosetta.legacy import Network, Refused
from alexnet_rosetta.port.config import load_network

from . import runner
from .entry_points import EDGES, MEMORY, PATIENCE, STRANGE, WORDS, Draw

NETS = ("tiny", "cifar", "zoo")
VALUES = 200_000  # in the outputs of a layer that is run


@cache
def sound(net):
    """The layer dictionaries of a shipped network."""
    shipped = load.SHIPPED
    return [layer.to_dict() for layer in load_network(shipped / f"{net}.cfg", shipped / f"{net}-params.cfg").layers]


def part(d, layers):
    """Some layers of a network, in order: runs of a few are reached more often than the last of many."""
    first = d.to(0, len(layers) - 1)
    wanted = {layers[first]["name"]}
    chosen = []
    for layer in reversed(layers[: first + 1]):
        if layer["name"] in wanted:
            wanted.update(layer.get("inputs", ()))
            chosen.append(layer)
    return copy.deepcopy(chosen[::-1])


def bend(d, value):
    """Another value in the place of one."""
    if isinstance(value, dict) and value and d.odds(0.9):
        key = d.of(*value)
        return {**value, key: bend(d, value[key])}
    if isinstance(value, list) and value and d.odds(0.8):
        i = d.to(0, len(value) - 1)
        if d.odds(0.7):
            return [*value[:i], bend(d, value[i]), *value[i + 1 :]]
        return d.of(value[:i], value + value, value[::-1], [value], value[i])
    if isinstance(value, str):
        return d.of(*WORDS, 0, "data", "sqrt", "conv")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and d.odds(0.9):
        near = (value - 1, value + 1, 2 * value, -value)
        return d.of(*near, *near, d.of(*EDGES), -d.of(*EDGES), d.of(*STRANGE))
    return d.of(not value, None, [], {}, [[]], *EDGES[:6], *STRANGE)


def draw(rng):
    """(layers, cases, options of the network)."""
    d = Draw(rng)
    layers = part(d, sound(d.of(*NETS)))
    for _ in range(d.of(0, 1, 1, 2, 3)):
        layer = d.of(*layers)
        key = d.of(*layer) if layer else ""
        if d.odds(0.1):
            layer.pop(key, None)
        elif key in layer:
            layer[key] = bend(d, layer[key])
    if d.odds(0.05):
        layers.insert(d.to(0, len(layers)), d.of(None, {}, [], copy.deepcopy(layers[0])))
    options = {"update_every": 2, "minibatch": d.of(1, 3, 2**31 - 1)} if d.odds(0.1) else {}
    return layers, d.of(1, 2, 3, 33), {**options, "quantise": d.odds(0.2)}


def rows_of(layer):
    """What a layer says of its outputs, if it is a size that is run."""
    rows = layer.get("outputs")
    return rows if type(rows) is int and 0 <= rows <= VALUES else None


def steps(net, layers, cases, rng):
    """Every layer forward, backward and updated, those that can be fed; the words of what happened."""
    outputs = {layer["name"]: rows_of(layer) for layer in layers}
    for step in ("forward", "backward", "update"):
        for layer in layers if step == "forward" else reversed(layers):
            name, rows = layer["name"], outputs[layer["name"]]
            if rows is None or rows * cases > 4 * VALUES:
                continue
            values = np.abs(rng.standard_normal((rows, cases), np.float32)) % 1
            given = {
                "forward": ([values] if layer["type"] == "data" else None, values if layer["type"] == "hs" else None),
                "backward": (),
                "update": (),
            }[step]
            try:
                getattr(net, step)(name, *given)
                yield "done"
            except Refused as refusal:
                if name not in refusal.what:
                    raise AssertionError(f"the refusal does not name the layer {name}") from refusal
                yield "refused"


def trial(rng):
    """One network, and its steps."""
    layers, cases, options = case = draw(rng)
    try:
        try:
            net = Network(layers, threads=1, **options)
        except Refused:
            return "refused"
        happened = list(steps(net, layers, cases, rng))
    except MemoryError:
        return "memory"
    except Exception as error:
        error.add_note(f"{case}")
        raise
    return "ran" if "done" in happened else "refused"


if __name__ == "__main__":
    runner.main(trial, patience=PATIENCE, memory=MEMORY, interruptible=True)
