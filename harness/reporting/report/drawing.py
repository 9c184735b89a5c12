"""The network as a drawing: inline SVG, from left to right, one box for each layer with what only follows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from markupsafe import Markup, escape

LETTER, LINE, GAP = 7.4, 15, 34
BEGIN_A_BOX = ("data", "conv", "fc", "local", "treefc", "concat", "eltsum", "eltmax")


@dataclass
class Box:
    """A layer and the chain of layers without weights behind it."""

    layers: list[Mapping[str, Any]]  # as they stand in a record: name, type, inputs, shape, gpu
    column: int  # length of the longest way from the data
    lines: list[str] = field(default_factory=list)
    # left, top, width, height: place in the drawing
    left: float = 0.0
    top: float = 0.0
    width: float = 0.0
    height: float = 0.0


def network(layers: Sequence[Mapping[str, Any]], addresses: Mapping[str, str] = MappingProxyType({})) -> Markup:
    """The SVG of a network, its names escaped.

    ``layers``: in an order in which inputs come first.
    ``addresses``: pages that the lines of layers lead to, by the layers' names.
    """
    boxes, home = _boxes(layers)
    columns = [[box for box in boxes if box.column == k] for k in range(1 + max(box.column for box in boxes))]
    for own in columns:
        own.sort(key=lambda box: max(box.layers[0].get("gpu", 0), 0))
    height = max(sum(box.height + 12 for box in own) for own in columns)
    left = 1.0
    for own in columns:
        top = 1 + (height - sum(box.height + 12 for box in own)) / 2
        for box in own:
            box.left, box.top = left, top
            box.width = max(other.width for other in own)
            top += box.height + 12
        left += own[0].width + GAP
    wires = [_wire(boxes[home[source]], box) for box in boxes for source in dict.fromkeys(box.layers[0]["inputs"])]
    label = f"{len(layers)} layers from left to right: " + "; ".join(
        " or ".join(box.layers[0]["name"] for box in own) for own in columns
    )
    width = left - GAP + 1
    return Markup(
        f'<svg class="network" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img" '
        f'aria-label="{escape(label)}">{"".join(wires)}{"".join(_drawn(box, addresses) for box in boxes)}</svg>'
    )


def _boxes(layers: Sequence[Mapping[str, Any]]) -> tuple[list[Box], dict[str, int]]:
    """All boxes, and the number of the box that each layer is in."""
    readers: dict[str, list[str]] = {}
    for layer in layers:
        for source in layer["inputs"]:
            readers.setdefault(source, []).append(layer["name"])
    boxes: list[Box] = []
    home: dict[str, int] = {}
    for layer in layers:
        (source, *others) = layer["inputs"] or [None]
        alone = source and not others and readers[source] == [layer["name"]] and layer["type"] not in BEGIN_A_BOX
        if alone and boxes[home[source]].layers[-1]["name"] == source:
            boxes[home[source]].layers.append(layer)
            home[layer["name"]] = home[source]
            continue
        home[layer["name"]] = len(boxes)
        boxes.append(Box([layer], 1 + max((boxes[home[name]].column for name in layer["inputs"]), default=-1)))
    for box in boxes:
        if not box.layers[0]["inputs"]:  # labels stand beside what reads them
            wanting = [other.column for other in boxes if box.layers[0]["name"] in other.layers[0]["inputs"]]
            box.column = min(wanting, default=1) - 1
        box.lines = _lines(box.layers)
        box.width = 16 + LETTER * max(map(len, box.lines))
        box.height = 10 + LINE * len(box.lines)
    return boxes, home


def _lines(layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The name of the first layer; then type, and size where there is a new one, of each."""
    lines, before = [layers[0]["name"]], None
    for layer in layers:
        size = "" if layer["type"].startswith("cost.") else "×".join(map(str, layer["shape"]))
        kind = layer.get("variant") if layer["type"] == "neuron" else None
        lines.append((kind or layer["type"]) + (f" {size}" if size and size != before else ""))
        before = size
    return lines


def _wire(source: Box, box: Box) -> str:
    x0, y0 = source.left + source.width, source.top + source.height / 2
    x1, y1 = box.left, box.top + box.height / 2
    bend = max(GAP / 2, (x1 - x0) / 3)
    return f'<path d="M{x0:.0f} {y0:.0f}C{x0 + bend:.0f} {y0:.0f} {x1 - bend:.0f} {y1:.0f} {x1:.0f} {y1:.0f}"/>'


def _drawn(box: Box, addresses: Mapping[str, str]) -> str:
    device = box.layers[0].get("gpu", 0)
    tower = f' class="gpu{min(device, 1)}"' if device is not None and device >= 0 else ""
    x, top = round(box.left + 8), round(box.top + 17)
    lines = "".join(
        _linked(
            f'<text x="{x}" y="{top + LINE * k}"{"" if k else " class=name"}>{escape(line)}</text>',
            box.layers[max(k - 1, 0)]["name"],
            addresses if k or len(box.lines) == 1 else {},
        )
        for k, line in enumerate(box.lines)
    )
    return (
        f'<g{tower}><rect x="{box.left:.0f}" y="{box.top:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" '
        f'rx="4"/>{lines}</g>'
    )


def _linked(text: str, name: str, addresses: Mapping[str, str]) -> str:
    """A line of a box as a link, where there is a page of its layer."""
    if name not in addresses:
        return text
    return f'<a href="{escape(addresses[name])}" aria-label="{escape(name)}">{text}</a>'
