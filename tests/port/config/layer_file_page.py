"""What docs/layer-file.md has to say about a key: cells of its tables, from the parser's own tables."""

import re
from pathlib import Path

from alexnet_rosetta.port.config import grammar
from alexnet_rosetta.port.config.keys import REQUIRED
from alexnet_rosetta.port.config.layer_types import LAYER_TYPES
from alexnet_rosetta.port.config.weight_types import LOCAL_KEYS, WEIGHT_KEYS, WEIGHT_PARAMS

PAGE = Path(__file__).parents[3] / "docs" / "layer-file.md"
KINDS = {
    grammar.read_int: "integer",
    grammar.read_float: "number",
    grammar.read_bool: "yes or no",
    grammar.read_listed_bool: "true or false",
    grammar.read_str: "word",
    grammar.read_schedule: "schedule",
    grammar.read_init_function: "initialiser",
}
SHARED = {
    "Weights": ((*WEIGHT_KEYS,), (*WEIGHT_PARAMS,), ("fc", "treefc", "conv", "local")),
    "Filters": (tuple(key for key in LOCAL_KEYS if key not in WEIGHT_KEYS), (), ("conv", "local")),
}


def cells(key, file):
    """The first five cells of a key's row: name, file, kind, default, allowed values."""
    kind = KINDS[key.read] + (" per input" if key.each else "")
    return f"`{key.name}`", file, kind, _default(key.default), _allowed(key)


def _default(value):
    if value is REQUIRED:
        return "required"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return value["type"]
    return "" if value is None or value == "" else f"{value:g}"


def _allowed(key):
    if key.one_of:
        return ", ".join(key.one_of)
    if key.low is None:
        return ""
    return f"≥ {key.low}" if key.high is None else f"{key.low} to {key.high}"


def expected():
    """By heading of the page: the rows that its tables must have."""
    found = {
        title: [cells(key, "layers") for key in keys] + [cells(key, "parameters") for key in params]
        for title, (keys, params, _) in SHARED.items()
    }
    for name, row in LAYER_TYPES.items():
        shared = [key for keys, params, types in SHARED.values() if name in types for key in (*keys, *params)]
        own = [cells(key, "layers") for key in row.keys if key not in shared]
        found[name] = own + [cells(key, "parameters") for key in row.params if key not in shared]
    return found


def sections():
    """The text below every heading of the page, up to the next one, by heading without code marks."""
    parts = re.split(r"^#+ +(.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title.strip("` "): text for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def rows(text):
    """The cells of every table row of a text but heads and rules."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
