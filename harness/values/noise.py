"""Random numbers of a run: every array has its own Philox stream, keyed by the seed and by what it is for.

A key never depends on the order in which arrays are drawn, so one layer can be repeated alone and
gets the same numbers that it had in the whole network.
"""

import hashlib

import numpy as np

from ..reference import facts
from ..reference.layer import Draw, LayerSpec, normals


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """A Philox generator for the array named by ``key`` (strings and integers)."""
    text = repr((int(seed), *key)).encode()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())))


class Tape:
    """Everything random in a run, drawn once and replayed into every engine, the reference included."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        # what was drawn so far, keyed by (layer, pass type, occurrence)
        self.masks: dict[tuple[str, str, int], np.ndarray] = {}

    def mask(self, layer: LayerSpec, batch: int, pass_type: str = "train", occurrence: int = 0) -> np.ndarray | None:
        """What is random in a forward pass of a layer; None where nothing is.

        hs, in training and unless ``enable=false``: boolean (outputs, batch), True with probability ``keep``.
        The neuron nrelu: normals (outputs, batch). pool=rand, unless ``doMax``: numbers in [0, 1), (outputs, batch).
        rscale, in training: four numbers in [0, 1), (4, 1), for all cases. Numbers are float32.
        """
        draw = facts(layer).noise(layer, pass_type)
        if draw is None:
            return None
        return self._recorded((layer.name, pass_type, occurrence), "mask", draw, (layer.outputs, batch))

    def normals(self, layer: LayerSpec, tensors: int, occurrence: int = 0) -> np.ndarray:
        """Normals for the noise of a layer's learning rates, float32 (tensors, 2): for the gradient, for the decay."""
        return self._recorded((layer.name, "update", occurrence), "normals", normals, (tensors, 2))

    def _recorded(self, key: tuple[str, str, int], what: str, draw: Draw, shape: tuple[int, ...]) -> np.ndarray:
        if key not in self.masks:
            self.masks[key] = draw(generator(self.seed, what, *key), shape)
        return self.masks[key]
