"""docs/layer-file.md says what the parser's tables say, of every layer type and key, and names all derived values."""

import layer_file_page as page
import pytest

from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.port.config import grammar
from alexnet_rosetta.port.config.layer_types import LAYER_TYPES

SECTIONS = page.sections()


@pytest.mark.parametrize(("title", "wanted"), page.expected().items(), ids=page.expected())
def test_rows_are_those_of_the_parser(title, wanted):
    found = page.rows(SECTIONS[title])
    also = {f"`{name}`" for row in LAYER_TYPES.values() for name in row.also} - {row[0] for row in wanted}
    assert [row[:5] for row in found if row[0] not in also] == wanted
    assert [row[0] for row in found if len(row) != 6 or not row[5]] == []


@pytest.mark.parametrize("kind", LAYER_TYPES)
def test_what_a_type_looks_up_itself_is_there(kind):
    titles = [kind, *(title for title, (_, _, types) in page.SHARED.items() if kind in types)]
    there = {row[0] for title in titles for row in page.rows(SECTIONS[title])}
    assert {f"`{name}`" for name in LAYER_TYPES[kind].also} <= there


def test_derived_values_are_named():
    everywhere = SECTIONS["Every layer"]
    for layer in networks.load("zoo").layers:
        row = LAYER_TYPES[layer.type]
        titles = [layer.type, *(title for title, (_, _, types) in page.SHARED.items() if layer.type in types)]
        text = everywhere + "".join(SECTIONS[title] for title in titles)
        given = {key.name for key in (*row.keys, *row.params)} | {*row.also}
        assert [key for key in layer.keys if key not in given and f"`{key}`" not in text] == []


def test_the_small_grammars_are_complete():
    neurons, schedules = SECTIONS["Neurons"], SECTIONS["Schedules"]
    for name, (arguments, _, _) in grammar.NEURONS.items():
        assert f"`{name}[{','.join(arguments)}]`" in neurons if arguments else f"`{name}`" in neurons
    for name, (arguments, _) in grammar.SCHEDULES.items():
        assert (f"`{name}[{','.join(f'{key}=…' for key in arguments)}]`" if arguments else f"`{name}`") in schedules
    assert all(f"`{name}(" in SECTIONS["Weights"] + SECTIONS["Filters"] for name in grammar.INIT_FUNCTIONS)
