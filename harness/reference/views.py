"""Forward passes that are no training: tests, and tests of several views of the same cases."""

from collections.abc import MutableMapping

import numpy as np

from .layer import LayerSpec

PASS_TYPES = {
    "train": {"train": "forward"},
    "test": {"test": "test"},
    "views": {"first_view": "view 1", "middle_view": "view 2", "last_view": "view 3"},
}
"""By what a comparison is asked for, the passes that the engines run, and what their rows call them."""
VIEWS = tuple(PASS_TYPES["views"])


def seen(values: np.ndarray, kind: str) -> np.ndarray:
    """A view of the same cases: their values in another order, but labels as they are."""
    if len(values) > 1 and kind in VIEWS[1:]:
        values = values[::-1] if kind == VIEWS[1] else np.roll(values, len(values) // 2, axis=0)
    return np.ascontiguousarray(values)


def averaged(
    views: MutableMapping[str, list[np.ndarray]], layer: LayerSpec, inputs: list[np.ndarray], kind: str
) -> list[np.ndarray]:
    """What a cost is of: over several views of its cases, the average of their probabilities (network-and-solver 7.1).

    ``views``: dict of str to list of ndarray; takes the probabilities of each view, by layer.
    ``kind``: the pass.
    """
    if layer.type != "cost.logreg" or kind not in VIEWS:
        return inputs
    seen = [*(views[layer.name] if kind != VIEWS[0] else ()), inputs[1]]
    views[layer.name] = seen
    return [inputs[0], np.asarray(np.mean(seen, axis=0, dtype=np.float64), np.float32)]
