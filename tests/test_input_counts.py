"""How many inputs a layer has: the specification says so of every type, and each way to a network holds to that."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from alexnet_rosetta import legacy, port
from alexnet_rosetta.harness.network.load import load
from alexnet_rosetta.port.config import LAYER_TYPES, ConfigError, NetworkSpec

TEXT = (Path(__file__).parents[1] / "docs/specification/config-format.md").read_text(encoding="utf-8")
MANY = 4
WORDS = {"1 input": (1, 1), "At least 2 inputs": (2, MANY), "Any number of inputs": (1, MANY), "Any inputs": (1, MANY)}


def specified():
    """By type: the fewest and the most inputs, up to `MANY`, in the words of chapter 6."""
    found = {"data": (0, 0)}
    chapter = TEXT.partition("## 6. Layer types")[2].partition("## 7. ")[0]
    for section in chapter.split("\n### ")[1:]:
        heading, _, body = section.partition("\n")
        said = next((WORDS[word] for word in WORDS if re.search(rf"(^|\s){word}\b", body)), None)
        found |= {kind: said for kind in heading.partition(" (")[0].split(", ") if said}
    for kind, inputs in re.findall(r"^\| `(cost\.\w+)`[^|]*\| ([^|]+) \|", chapter, re.MULTILINE):
        found[kind] = (len(inputs.split(",")),) * 2
    return found


SPECIFIED = specified()


def test_the_specification_says_it_of_every_type():
    assert SPECIFIED.keys() == LAYER_TYPES.keys()
    assert (SPECIFIED["pool"], SPECIFIED["eltmax"], SPECIFIED["cost.gsum2"]) == ((1, 1), (2, MANY), (2, 2))


@pytest.mark.parametrize("kind", sorted(LAYER_TYPES))
def test_a_dictionary_with_more_or_fewer_inputs_is_refused(kind):
    """What is accepted may lack keys; what is refused says what, how many, how many there are, and where to look."""
    fewest, most = SPECIFIED[kind]
    for count in range(MANY + 1):
        names = [f"x{i}" for i in range(count)]
        layers = [{"name": name, "type": "data", "dataIdx": 0, "outputs": 1} for name in names]
        message = ""
        try:
            legacy.Network([*layers, {"name": "it", "type": kind, "inputs": names, "outputs": 1}], threads=1)
        except legacy.Refused as refusal:
            message = str(refusal)
        assert ("wrong number of inputs" in message) == (not fewest <= count <= most), (count, message)
        if "wrong number" in message:
            words = (
                rf"(?s)layer it: .* {re.escape(kind)} layer.*expected: {fewest}.*actual: +{count}\n.*config-format 6"
            )
            assert re.search(words, message)


@pytest.fixture(scope="module")
def zoo():
    return [*load("zoo").spec.layers, *load("tiny").spec.layers]


@pytest.mark.parametrize("kind", sorted(LAYER_TYPES))
def test_a_layer_of_the_port_with_more_or_fewer_inputs_is_refused(zoo, kind):
    """Layers that were changed after the reader had checked them."""
    fewest, most = SPECIFIED[kind]
    below = replace(next(layer for layer in zoo if layer.type == "data"), name="x")
    sound = next((layer for layer in zoo if layer.type == kind), None) or replace(below, type=kind, name="it")
    for count in {fewest - 1, most + 1 if most < MANY else fewest - 1} - {-1}:
        bent = replace(sound, inputs=("x",) * count)
        with pytest.raises(ConfigError, match=rf"inputs.*wrong number.*expected {fewest}.*actual {count}"):
            port.Network(NetworkSpec((below, bent), True, ()))


def test_a_second_input_of_pooling_is_no_sum():
    """A second input was pooled over the first one's output in the engine, and read by nobody in the port."""
    found = [layer.to_dict() for layer in load("tiny").spec.layers]
    pool = next(layer for layer in found if layer["type"] == "pool")
    pool["inputs"] *= 2
    with pytest.raises(legacy.Refused, match=f"layer {pool['name']}: wrong number of inputs of a pool layer"):
        legacy.Network(found, threads=1)
