"""A device that records what would be launched and runs nothing; shapes of any size cost no time and no memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from .._call import MOST_LAUNCHES, Launch, Layer, Matrix
from ..errors import Refused

if TYPE_CHECKING:
    from ..network import Network

ALIGNMENT = 256
SCALAR_READ = 4096  # copies to the host up to this size are results that host code reads; they return zeros


class DryDevice:
    """Memory is addresses only.

    Attributes
    ----------
    logging : bool
        Whether launches are counted; False at first.
    instances : dict of (str, str) to None
        Kernel string and argument kinds of all launches, in order of the first.
    """

    def __init__(self) -> None:
        self.instances: dict[tuple[str, str], None] = {}
        self._next, self._launches, self.logging = ALIGNMENT, 0, False

    def allocate(self, elements: int) -> int:
        """An address that nobody has."""
        address = self._next
        self._next += -(-4 * max(elements, 1) // ALIGNMENT) * ALIGNMENT
        return address

    def launch(self, launch: Any) -> None:
        """Note the instance."""
        self.instances[launch.kernel, launch.kinds] = None
        self._launches += self.logging

    def gemm(self, *arguments: Any) -> None:
        """A matrix product."""
        self._launches += self.logging

    def release(self, address: int) -> None:
        """Nothing to free."""

    def copy_in(self, address: int, array: Matrix) -> None:
        """Nothing to copy to."""

    def copy_out(self, array: Matrix, address: int) -> None:
        """Zeros for a result that host code reads; a larger array is left as it is."""
        if array.size <= SCALAR_READ:
            array[...] = 0

    def copy_within(self, to: int, source: int, elements: int) -> None:
        """Nothing to copy."""

    def forget(self, address: int, elements: int) -> None:
        """Nothing to spoil."""

    def step(self, *key: str) -> AbstractContextManager[None]:
        """Steps are not timed."""
        return nullcontext()

    def seconds(self, *key: str) -> float:
        """0: nothing runs."""
        return 0.0

    copy_seconds = seconds

    def launch_seconds(self) -> list[float]:
        """0 for each launch that was logged since `forget_launches`."""
        return [0.0] * min(self._launches, MOST_LAUNCHES)

    def forget_launches(self) -> None:
        """Start counting again."""
        self._launches = 0


def planned(layers: Sequence[Layer], batch: int, **options: Any) -> dict[tuple[str, str], None]:
    """The instances that a network launches in training, whether its layers are driven alone or on one another.

    Parameters
    ----------
    layers : list of dict
        As `legacy.Network` takes them, and the options beside them.
    batch : int

    Returns
    -------
    dict of (str, str) to None
        As `DryDevice.instances`. Steps that the engine refuses are left out.
    """
    from ..network import Network

    device = DryDevice()
    network = Network(layers, device=device, **options)
    outputs = {layer["name"]: layer["outputs"] for layer in layers}

    def values(name: str) -> Matrix:
        return np.empty((outputs[name], batch), np.float32)

    for layer in layers:
        for i in [i for i, random in enumerate(layer.get("randSparse", ())) if random]:
            connections = np.arange(layer["groups"][i] * layer["filterChannels"][i]) % layer["channels"][i]
            network.write(layer["name"], f"filterConns[{i}]", connections)
        _forward(network, layer, None if layer.get("inputs") else [values(layer["name"])], batch)
    for layer in reversed(layers):
        _tried(network.backward, layer["name"])
    for layer in layers:
        _tried(network.update, layer["name"])
        if layer.get("inputs"):
            _forward(network, layer, [values(name) for name in layer["inputs"]], batch)
            _tried(network.backward, layer["name"], values(layer["name"]))
    return device.instances


def _forward(network: Network, layer: Layer, inputs: list[Matrix] | None, batch: int) -> None:
    """A forward step with the mask that the layer takes."""
    masks = (None, np.zeros((layer["outputs"], batch), np.float32), np.zeros((4, 1), np.float32))
    any(_tried(network.forward, layer["name"], inputs, mask) for mask in masks)


def _tried(step: Callable[..., object], *args: object) -> bool:
    try:
        step(*args)
    except Refused:
        return False
    return True


def launches(layers: Sequence[Layer], name: str, batch: int) -> list[Launch]:
    """The launch records of one layer alone, forward and backward, on fresh targets.

    Parameters
    ----------
    layers : list of dict
        As `legacy.Network` takes them: the layer, and those that it reads.
    name : str
        The layer.
    batch : int

    Returns
    -------
    list of dict
        As `legacy.Network.launches`. Steps that the engine refuses have none.
    """
    from ..network import Network

    network = Network(layers, device=DryDevice())
    network.logging = True
    sizes = {layer["name"]: layer["outputs"] for layer in layers}
    (layer,) = (layer for layer in layers if layer["name"] == name)
    _forward(network, layer, [np.empty((sizes[one], batch), np.float32) for one in layer["inputs"]], batch)
    _tried(network.backward, name, np.empty((layer["outputs"], batch), np.float32))
    return [launch for launch in network.launches if launch["layer"] == name]
