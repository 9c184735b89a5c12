"""What the data set behind a layer file must be like: a definition alone leaves dimensions and classes open."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..reference import facts

CLASSES = 1000
"""Classes of a data set that nothing is known about: ImageNet's."""

DEPTH = 8
"""Layers that may lie between a cost and the layer that says how many outputs there are."""


@dataclass(frozen=True)
class DataSet:
    """What the historical data provider told the parser."""

    # values per case by data index; the rest is the parser's default
    dims: dict[int, int] = field(default_factory=dict)
    classes: int | None = None
    # class tree for treefc layers: the children of every node, leaves first, and the root
    tree: tuple[tuple[tuple[int, ...], ...], int] | None = None


def flat_tree(classes: int, root: int | None = None) -> tuple[tuple[tuple[int, ...], ...], int]:
    """The tree in which every class is a child of the root."""
    root = classes if root is None else root
    return (*[()] * classes, tuple(range(classes))), root


def implied_by(sections: Mapping[str, Mapping[str, str]]) -> DataSet:
    """Guess the data set, dimensions and class tree, that a definition file does not state.

    Label matrices that a cost compares unit by unit get as many rows as the layer below that cost has outputs; a
    treefc layer without a tree gets a flat one over `CLASSES`.

    ``sections``: the options of every layer as they are written, `port.config.read_sections`.
    """
    dims = {}
    for section in sections.values():
        inputs = _inputs(section)
        labels = (
            sections.get(inputs[0], {})
            if facts({"type": section.get("type")}).labels_per_class and len(inputs) == 2
            else {}
        )
        if labels.get("type") == "data" and "dims" not in labels:
            row, outputs = _number(labels.get("dataidx", "")), _outputs(sections, inputs[1])
            if outputs and row is not None:
                dims[row] = outputs
    bare = any(section.get("type") == "treefc" and "tree" not in section for section in sections.values())
    return DataSet(dims, None, flat_tree(CLASSES) if bare else None)


def _number(text: str) -> int | None:
    """A number of at most nine digits; None of anything else."""
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _inputs(section: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in section.get("inputs", "").split(",")]


def _outputs(sections: Mapping[str, Mapping[str, str]], name: str) -> int | None:
    """The key ``outputs`` of a layer, or of the one it is computed from unit by unit; None if there is none."""
    for _ in range(DEPTH):
        section = sections.get(name, {})
        outputs = _number(section.get("outputs", ""))
        if outputs is not None:
            return outputs
        inputs = _inputs(section)
        if section.get("type") not in ("softmax", "neuron", "hs") or len(inputs) != 1:
            return None
        name = inputs[0]
    return None
