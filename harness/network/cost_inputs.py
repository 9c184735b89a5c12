"""What a data layer must hold where a cost reads it as labels, targets or gates."""

import numpy as np

from ..reference import facts
from .graph import Graph

KINDS = ("classes", "distribution", "targets", "gates")
"""What the first input of a cost can be. The strictest come first: what they accept, those below accept too."""


def kinds(graph: Graph) -> dict[str, str]:
    """{data layer: kind} of the data layers that are read only as the first input of such costs.

    ``classes`` are indices, ``distribution`` has a column of probabilities for each case, ``targets`` are 0 or 1,
    ``gates`` numbers from 0 to 1.
    """
    found = {}
    for name, layer in graph.layers.items():
        read_as = [(i == 0 and facts(graph.layers[reader]).labels) or "" for reader, i in graph.consumers[name]]
        if layer.type == "data" and read_as and all(read_as):
            found[name] = min(read_as, key=KINDS.index)
    return found


def classes(graph: Graph, name: str) -> int:
    """Number of classes that all costs know which read a data layer as class indices."""
    costs = [graph.layers[consumer] for consumer, _ in graph.consumers[name]]
    return min(graph.layers[cost.inputs[1]].outputs for cost in costs if facts(cost).labels == "classes")


def draw(graph: Graph, name: str, kind: str, batch: int, random: np.random.Generator) -> np.ndarray:
    """Values of that kind for a data layer, float32 (outputs, batch), from a numpy Generator."""
    shape = graph.layers[name].outputs, batch
    if kind == "classes":
        return random.integers(0, classes(graph, name), shape).astype(np.float32)
    if kind == "targets":
        return random.integers(0, 2, shape).astype(np.float32)
    values = random.random(shape, np.float32)
    if kind == "distribution":
        values *= random.random(shape) < 0.5  # many classes are impossible,
        values[random.integers(0, shape[0], batch), np.arange(batch)] += 1  # but never all of them
        values /= values.sum(0)
    return values


def complaint(graph: Graph, name: str, kind: str, values: np.ndarray) -> str | None:
    """What a data layer should hold, if that is not what it does; else None."""
    if kind == "classes":
        count = classes(graph, name)
        right = (values == np.floor(values)) & (values >= 0) & (values < count)
        wanted = f"labels are whole numbers from 0 to {count - 1}, stored as float32"
    else:
        right = (values >= 0) & (values <= 1)
        wanted = f"{kind} are numbers from 0 to 1"
    wrong = np.argwhere(~right)
    return f"{wanted}; case {wrong[0, -1]} has {values[tuple(wrong[0])]:g}" if len(wrong) else None
