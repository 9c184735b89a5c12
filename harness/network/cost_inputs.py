"""What a data layer must hold where a cost reads it as labels, targets or gates."""

import numpy as np

READERS = {
    "cost.logreg": "classes",
    "cost.msm": "classes",
    "cost.crossent": "distribution",
    "cost.crossent2": "targets",
    "cost.rflickr": "targets",
    "cost.gsum2": "gates",
}
"""By type of cost, what its first input is. The strictest come first: what they accept, those below accept too."""


def kinds(graph):
    """{data layer: kind} of the data layers that are read only as the first input of such costs.

    ``classes`` are indices, ``distribution`` has a column of probabilities for each case, ``targets`` are 0 or 1,
    ``gates`` numbers from 0 to 1.
    """
    found = {}
    for name, layer in graph.layers.items():
        readers = [(graph.layers[consumer].type, i) for consumer, i in graph.consumers[name]]
        if layer.type == "data" and readers and all(i == 0 and kind in READERS for kind, i in readers):
            found[name] = next(kind for cost, kind in READERS.items() if (cost, 0) in readers)
    return found


def classes(graph, name):
    """Number of classes that all costs know which read a data layer as class indices."""
    costs = [graph.layers[consumer] for consumer, _ in graph.consumers[name]]
    return min(graph.layers[cost.inputs[1]].outputs for cost in costs if READERS[cost.type] == "classes")


def draw(graph, name, kind, batch, random):
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


def complaint(graph, name, kind, values):
    """What a data layer should hold, if that is not what it does; else None."""
    if kind == "classes":
        count = classes(graph, name)
        right = (values == np.floor(values)) & (values >= 0) & (values < count)
        return None if right.all() else f"labels are whole numbers from 0 to {count - 1}, stored as float32"
    right = (values >= 0) & (values <= 1)
    return None if right.all() else f"{kind} are numbers from 0 to 1"
