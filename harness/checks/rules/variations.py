"""Correct engines that add up otherwise: images of a batch in another order, more threads."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engines.protocol import Engine, Session
from ...engines.wrapped import WrappedEngine, WrappedSession
from ...network.load import Network

Array = NDArray[Any]


class Variation(WrappedEngine):
    """An engine that runs on so many threads, with the images of each batch turned round if asked for.

    ``engine``: a correct one.
    ``turned``: whether images run from the last to the first: sums over images are added in the other order.
    """

    def __init__(self, engine: Engine, name: str, threads: int = 1, turned: bool = False) -> None:
        super().__init__(engine, name)
        self.threads, self.turned = threads, turned

    def open(self, network: Network, threads: int) -> Any:
        session = self.engine.open(network, self.threads)
        return _Turned(session) if self.turned else session


class _Turned(WrappedSession):
    """Hands everything on, images last to first, and back."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._cases = 0

    def _turn(self, array: Array | None) -> Any:
        """Matrices with a column for each case; all else has no images."""
        turns = array is not None and array.ndim == 2 and array.shape[1] == self._cases
        return np.ascontiguousarray(array[:, ::-1]) if array is not None and turns else array

    def read(self, layer: str, tensor: str) -> Array:
        array = self._session.read(layer, tensor)
        return self._turn(array) if tensor.startswith(("acts", "inputs_grad")) else array

    def forward(self, layer: str, inputs: Sequence[Array] | None = None, mask: Array | None = None) -> None:
        if inputs:
            self._cases = inputs[0].shape[1]
            inputs = [self._turn(array) for array in inputs]
        self._session.forward(layer, inputs, self._turn(mask))

    def backward(self, layer: str, acts_grad: Array | None = None, progress: float = 0.0) -> None:
        self._session.backward(layer, self._turn(acts_grad), progress)

    def sum_grad(self, layer: str, parts: Sequence[tuple[str, int, Array]]) -> Array:
        return self._turn(self._session.sum_grad(layer, [(*where, self._turn(part)) for *where, part in parts]))
