"""What a seed makes of a chapter: its files, the right answer, and the answers that well-known mistakes give.

A variant is the seed's choice from a list of all variants of the chapter, in an order that is always the same: seeds
in a row give different ones.
"""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np

from .. import engines
from ..checks.faults.catalogue import FAULTS
from ..checks.faults.examine import CASES, write
from ..checks.faults.fault import Fault, Wrong, miscomputed, on_input, on_result, on_weights, scene, to_half
from ..network.load import Network, load
from ..network.net import Net
from ..running.steps import PASSES
from ..study.layer import run_layer

T = TypeVar("T")
LETTERS = "abcde"


@dataclass(frozen=True)
class Variant:
    """One variant of a chapter."""

    net: str  # the network, both layer files in one text
    values: dict[str, Any]  # what fills the gaps in the chapter's texts
    answer: tuple[int | str, ...]
    # of each part of the answer: its name, and what may be said; None where that is a number
    parts: dict[str, tuple[str, ...] | None]
    # by key of a hint, the answer that this mistake gives
    mistakes: dict[str, tuple[int | str, ...]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)  # by name of an engine, what is wrong with it


def pick(options: Iterable[T], seed: int) -> T:
    """The seed's choice from a list, whose length is the number of variants."""
    options = list(options)
    random.Random(0).shuffle(options)
    return options[seed % len(options)]


def loaded(text: str) -> Network:
    """The Network of a text."""
    with TemporaryDirectory() as folder:
        return load(str(write(text, Path(folder), "net")))


# Chapters 1 to 3: a number.


def windows(seed: int) -> Variant:
    """Sizes that round up."""
    sizes = product(range(20, 61, 3), (5, 7, 8, 11), (2, 3, 4), (0, 1, 2))
    fitting = [(s, f, t, p) for s, f, t, p in sizes if (2 * p + s - f) % t and t < f]
    size, span, stride, padding = pick(fitting, seed)
    net = Net(3 * size * size).add(
        "conv1", "conv", "data", channels=3, filters=16, filterSize=span, padding=padding, stride=stride
    )
    text = scene(net.add("pool1", "pool", "conv1", pool="max", channels=16, sizeX=3, stride=2), "pool1")
    layers = loaded(text).graph.layers
    modules, pooled = layers["conv1"]["modulesX"], layers["pool1"]["outputsX"]
    beyond = (modules - 1) * stride - padding + span - size
    return Variant(
        text,
        {"size": size, "span": span, "stride": stride, "padding": padding},
        (modules, beyond, pooled),
        {"modules per side": None, "columns beyond": None, "outputs per side": None},
        {
            "floor": (modules - 1, max(0, beyond - stride), -(-(modules - 4) // 2) + 1),
            "padding": (modules, beyond + padding, pooled),
            "pool": (modules, beyond, (modules - 3) // 2 + 1),
        },
    )


def threads(seed: int) -> Variant:
    """The launch of a convolution."""
    options = product((3, 16, 32), (16, 32, 48, 64), (20, 32, 64, 96, 100, 128, 160))
    channels, filters, batch = pick(options, seed)
    net = Net(channels * 64).add(
        "conv1", "conv", "data", channels=channels, filters=filters, filterSize=3, padding=1, stride=1
    )
    text = scene(net, "conv1")
    network = loaded(text)
    (engine,) = engines.available(["legacy-cpu"])
    session = engine.open(network, 1)
    session.record_launches()
    run_layer(session, network, network.graph.layers["conv1"], batch)
    launch = next(one for one in session.launches() if one["kernel"].startswith("filterActs"))
    _, _, images, maps = map(int, re.findall(r"\d+", launch["kernel"].partition("<")[2])[:4])
    blocks, block = prod(launch["grid"]), prod(launch["block"])
    return Variant(
        text,
        {"channels": channels, "filters": filters, "batch": batch},
        (blocks * block, images * maps),
        {"threads": None, "outputs a thread": None},
        {
            "blocks": (blocks, images * maps),
            "block": (block, images * maps),
            "outputs": (filters * 64 * batch, 1),
            "images": (blocks * block, images),
            "maps": (blocks * block, maps),
        },
    )


def crossing(seed: int) -> Variant:
    """Values that go from one card to the other."""
    options = product((16, 32), (16, 32, 48), (16, 32), (16, 20), (32, 64, 128), ("conv2", "conv3"))
    *maps, size, batch, meet = pick(options, seed)
    net = Net(3 * size * size)
    below, channels = {"a": "data", "b": "data"}, 3
    for k, filters in enumerate(maps, 1):
        both = meet == f"conv{k}"
        for tower, gpu in (("a", 0), ("b", 1)):
            listed: dict[str, Any] = {
                "channels": channels,
                "filters": filters,
                "filterSize": 3,
                "padding": 1,
                "stride": 1,
            }
            listed = {key: f"{value},{value}" if both else value for key, value in listed.items()}
            inputs = f"{below['a']},{below['b']}" if both else below[tower]
            net.add(f"conv{k}{tower}", "conv", inputs, gpu=gpu, **listed)
            net.add(f"pool{k}{tower}", "pool", f"conv{k}{tower}", pool="max", channels=filters, sizeX=3, stride=2)
        below, channels = {tower: f"pool{k}{tower}" for tower in "ab"}, filters
    text = scene(net, "pool3a,pool3b")
    layers = loaded(text).graph.layers
    met, last = layers[f"pool{int(meet[-1]) - 1}a"].outputs, layers["pool3a"].outputs
    values = (2 * met + last) * batch
    return Variant(
        text,
        {"batch": batch, "meet": meet},
        (values,),
        {"values": None},
        {
            "images": (values // batch,),
            "one way": ((met + last) * batch,),
            "last": (2 * (met + last) * batch,),
            "no last": (2 * met * batch,),
            "bytes": (4 * values,),
            "backward": (2 * values,),
        },
    )


# Chapters 4 to 6: a hidden fault.


COMMON = ("conv", "fc", "local", "pool", "cmrnorm", "rnorm", "cnorm", "neuron", "hs", "eltsum", "eltmax")


@cache
def _plain_faults() -> list[Fault]:
    """Faults of a common layer, which show there alone and in a comparison without further options."""
    types = {text: {layer.name: layer.type for layer in loaded(text).layers} for text in {f.scene for f in FAULTS}}
    usual = [f for f in FAULTS if (f.input, f.status, f.progress, f.update_every) == ("random", "different", 0.0, 1)]
    alone = [fault for fault in usual if {layer for layer, _, _ in fault.places} == {fault.mutation.layer}]
    return [fault for fault in alone if types[fault.scene][fault.mutation.layer] in COMMON]


def _layers(text: str) -> tuple[str, ...]:
    return tuple(layer.name for layer in loaded(text).layers if layer.type != "data")


def place(seed: int) -> Variant:
    """A fault of the catalogue: where is it?"""
    fault = pick(_plain_faults(), seed)
    passes = [step for step in PASSES if any(step == own for _, own, _ in fault.places)]
    return Variant(
        fault.scene,
        {"batch": CASES["random"]},
        (fault.mutation.layer, passes[0], len(fault.places)),
        {"layer": _layers(fault.scene), "first pass": PASSES, "tensors that differ": None},
        faults={"mystery": fault},
    )


def story(seed: int) -> Variant:
    """A fault of the catalogue, and the stories of four others of its layer."""
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in _plain_faults():
        groups.setdefault((fault.scene, fault.mutation.layer), []).append(fault)
    fault = pick((one for group in groups.values() if len(group) >= len(LETTERS) for one in group), seed)
    others = [one for one in groups[fault.scene, fault.mutation.layer] if one is not fault]
    drawn = random.Random(seed)
    told = drawn.sample([fault, *drawn.sample(others, len(LETTERS) - 1)], len(LETTERS))
    listed = "\n\n".join(f"{letter}) {one.story}" for letter, one in zip(LETTERS, told, strict=True))
    return Variant(
        fault.scene,
        {"batch": CASES["random"], "layer": fault.mutation.layer, "stories": listed},
        (LETTERS[told.index(fault)],),
        {"letter": tuple(LETTERS)},
        faults={"mystery": fault},
    )


OPERANDS = {"inputs": on_input(to_half), "weights": on_weights(to_half), "outputs": on_result(to_half)}
TABLE = scene(
    Net(192)
    .add("conv1", "conv", "data", channels=3, filters=16, filterSize=3, padding=1, stride=1)
    .add("conv2", "conv", "conv1", channels=16, filters=32, filterSize=3, padding=1, stride=1)
    .add("conv3", "conv", "conv2", channels=32, filters=16, filterSize=1, stride=1),
    "conv3",
)


def nudged(number: int) -> Wrong:
    """Results moved to a neighbour: what another order of the same sum may give; the number says which neighbour."""
    to = np.float32((-np.inf, np.inf, 0)[number % 3])
    return on_result(
        lambda layer, x: np.where(np.arange(x.size).reshape(x.shape) % (number + 1), x, np.nextafter(x, to))
    )


def table(seed: int) -> Variant:
    """Five engines whose bits differ, and one of them is wrong."""
    letter, layer, operand = pick(product(LETTERS, ("conv1", "conv2", "conv3"), OPERANDS), seed)
    wrong = [nudged(number) for number in range(len(LETTERS))]
    wrong[LETTERS.index(letter)] = OPERANDS[operand]
    faults = {name: miscomputed(name, "", TABLE, layer, acts=how)
              for name, how in zip(LETTERS, wrong, strict=True)}  # fmt: skip
    return Variant(
        TABLE,
        {"batch": CASES["random"]},
        (letter, layer, operand),
        {"engine": tuple(LETTERS), "layer": _layers(TABLE), "rounded": tuple(OPERANDS)},
        faults=faults,
    )


MAKERS = (windows, threads, crossing, place, story, table)
