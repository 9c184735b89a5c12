"""What a device for the engine is, if it is implemented in Python."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Device(Protocol):
    """A device that the C++ engine calls back; see `legacy.gpu.device.GpuDevice`.

    Addresses are integers; only the device knows what they point to. Sizes are numbers of 32-bit words. An exception
    passes through the C++ code to whoever called the engine. A device may also have a method ``prepare(instances)``,
    which gets the kernel instances that a network is about to launch.
    """

    logging: bool  # whether the device keeps the seconds of launches

    def allocate(self, elements: int) -> int:
        """Address of zeros."""
        ...

    def release(self, address: int) -> None:
        """Take memory back."""
        ...

    def copy_in(self, address: int, array: npt.NDArray[np.float32]) -> None:
        """Copy a one-dimensional array of the host to an address."""
        ...

    def copy_out(self, array: npt.NDArray[np.float32], address: int) -> None:
        """Copy from an address into a one-dimensional array of the host."""
        ...

    def copy_within(self, to: int, source: int, elements: int) -> None:
        """Copy from one address to another."""
        ...

    def forget(self, address: int, elements: int) -> None:
        """Nobody reads these contents any more."""
        ...

    def launch(self, launch: Any) -> None:
        """Run a `Launch` of the extension module: kernel, grid, block, kinds and values of the arguments."""
        ...

    def gemm(self, *arguments: Any) -> None:
        """Multiply matrices; the arguments are those of BLAS sgemm, column-major."""
        ...

    def step(self, *key: str) -> AbstractContextManager[None]:
        """A block whose work counts as one step of a layer."""
        ...

    def seconds(self, *key: str) -> float:
        """Seconds of a step without copies; KeyError if the step never ran."""
        ...

    def copy_seconds(self, *key: str) -> float:
        """Seconds of a step's copies between host and device."""
        ...

    def launch_seconds(self) -> list[float]:
        """Seconds of every launch since `forget_launches`, in order."""
        ...

    def forget_launches(self) -> None:
        """Start the list of `launch_seconds` again."""
        ...
