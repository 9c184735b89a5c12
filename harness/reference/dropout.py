"""Dropout as in 2012 (`hs`): training multiplies by a 0/1 mask and nothing else; every other pass scales by `keep`.

Error model: the mask makes copies; `keep` costs one rounding unless it is a power of two.
Source: network-and-solver 6.14.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .bounded import Bounded, scaled_copy
from .layer import Arrays, Draw, Layer, LayerSpec, uniforms


class Dropout(Layer):
    """An `hs` layer."""

    @staticmethod
    def noise(spec: Mapping[str, Any] | LayerSpec, pass_type: str) -> Draw | None:
        """The mask of a training pass: True with probability ``keep``."""
        if pass_type == "train" and spec.get("enable", True):
            return lambda random, shape: uniforms(random, shape) < np.float32(spec["keep"])
        return None

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.keep, self.enable = spec["keep"], spec["enable"]

    def forward(
        self, inputs: Arrays, params: object = None, *, pass_type: str = "train", mask: np.ndarray | None = None
    ) -> Bounded:
        """Outputs like the input; `mask` (outputs, N) holds 0 and 1 and is needed for pass type "train"."""
        return self._apply(inputs[0], pass_type, mask)

    def inputs_grad(
        self,
        i: int,
        inputs: Arrays,
        acts_grad: np.ndarray,
        params: object = None,
        *,
        pass_type: str = "train",
        mask: np.ndarray | None = None,
    ) -> Bounded:
        """Gradient of the input, through the same mask."""
        return self._apply(acts_grad, pass_type, mask)

    def _apply(self, x: np.ndarray, pass_type: str, mask: np.ndarray | None) -> Bounded:
        if not (self.enable and pass_type == "train"):
            return scaled_copy(x, self.keep)
        if mask is None:
            raise ValueError("hs: the training pass needs the mask that the engines used")
        return Bounded(mask * x)
