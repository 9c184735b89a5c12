"""Derived values of a loaded network against those of a record."""

from collections.abc import Iterator, Mapping
from typing import Any

from ...network.load import Network


def complaints(network: Network, layers: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What is not as recorded, ``layer key: expected …, actual …``; nothing if every value of every layer is the same.

    `layers` are the recorded values by layer and key.
    """
    found = {layer.name: layer.to_dict() for layer in network.layers}
    for name in sorted(found.keys() ^ layers.keys()):
        yield f"[{name}] " + ("is not in the record" if name in found else "is missing")
    for name, expected in layers.items():
        own = found.get(name, expected)
        for key in sorted(own.keys() ^ expected.keys()):
            yield f"[{name}] {key}: " + ("is not in the record" if key in own else "is missing")
        for key, value in expected.items():
            if key in own and own[key] != value:
                yield f"[{name}] {key}: expected {value!r}, actual {own[key]!r}"


def count(layers: Mapping[str, Mapping[str, Any]]) -> int:
    """Number of recorded values."""
    return sum(map(len, layers.values()))
