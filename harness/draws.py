"""Random numbers of a run: every array has its own Philox stream, keyed by the seed and by what it is for.

A key never depends on the order in which arrays are drawn, so one layer can be repeated alone and
gets the same numbers that it had in the whole network.
"""

import hashlib

import numpy as np


def generator(seed, *key):
    """A Philox generator for the array named by ``key`` (strings and integers)."""
    text = repr((int(seed), *key)).encode()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())))


class Tape:
    """Dropout masks, drawn once and replayed into every engine, the reference included.

    Parameters
    ----------
    seed : int

    Attributes
    ----------
    masks : dict of (str, str, int) to ndarray of bool
        The masks drawn so far, keyed by (layer, pass type, occurrence).
    """

    def __init__(self, seed):
        self.seed = seed
        self.masks = {}

    def mask(self, layer, batch, pass_type="train", occurrence=0):
        """The mask of an hs layer, (outputs, batch), True with probability ``keep``; None for other layers.

        Network specification 6.14: a layer with ``enable=false`` scales by ``keep`` and uses no mask.
        """
        if layer.type != "hs" or pass_type != "train" or not layer.get("enable", True):
            return None
        key = (layer.name, pass_type, occurrence)
        if key not in self.masks:
            random = generator(self.seed, "mask", *key)
            self.masks[key] = random.random((layer.outputs, batch), np.float32) < np.float32(layer["keep"])
        return self.masks[key]
