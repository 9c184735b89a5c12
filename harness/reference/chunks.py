"""How many images are evaluated in float64 at a time."""

from collections.abc import Iterable, Sequence

import numpy as np

from .layer import LayerSpec

CHUNK_BYTES = 128 * 2**20


def chunks(layer: LayerSpec, inputs: Sequence[np.ndarray]) -> list[slice]:
    """Slices of images, as many at a time as float64 evaluation of the layer may take in memory."""
    batch = inputs[0].shape[1]
    step = max(1, CHUNK_BYTES // image_bytes(layer, (array.shape[0] for array in inputs)))
    return [slice(start, min(start + step, batch)) for start in range(0, batch, step)]


def image_bytes(layer: LayerSpec, rows: Iterable[int]) -> int:
    """What a layer's evaluation in float64 takes for one image; ``rows`` are those of its inputs."""
    return 8 * (2 * sum(rows) + 3 * layer.outputs)


def columns(array: np.ndarray | None, part: slice) -> np.ndarray | None:
    """The columns of a chunk; None of nothing, all of what is drawn once for all images."""
    return array if array is None or array.shape[1] == 1 else array[:, part]
