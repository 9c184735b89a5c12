"""One trained array with all that belongs to it, and how gradients collect in it (network-and-solver 8).

Weights that layers share are one `Parameter` in the lists of all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .checks import Array


@dataclass(eq=False)
class Parameter:
    """A weight matrix or a bias.

    Attributes
    ----------
    values, inc : ndarray
        W and Δ.
    base, mom : float
        The owner's base rate and momentum; with a base rate of 0 the array is frozen for all layers that share it.
    direct : bool
        Δ itself collects the gradients, times the rate: the direct route. Else `grad` does.
    grad : ndarray or None
        G: gradients of all passes and sharing layers since the last update, divided by the cases per update.
    contributions : int
        How many gradients have been collected since the last update.
    mean, square : ndarray or None
        Running averages of G and G², of layers with ``superEps``.
    before : ndarray or None
        Δ before the first gradient since the last update, where further ones are to replace it.
    """

    values: Array
    inc: Array
    base: float
    mom: float
    direct: bool = False
    grad: Array | None = None
    contributions: int = 0
    mean: Array | None = None
    square: Array | None = None
    before: Array | None = None

    def collect(self, grads: Array) -> None:
        """Take a gradient: the first since the last update replaces G, further ones add to it."""
        if self.contributions and self.grad is not None:
            self.grad += grads
        else:
            self.grad = grads
        self.contributions += 1

    def collect_into(self, replace: bool = False) -> tuple[Array, float]:
        """For the direct route: (Δ, the factor it must be scaled by before the next gradient is added).

        With `replace` a gradient takes the place of earlier ones, as in the code of 2011.
        """
        self.contributions += 1
        if replace and self.contributions == 1:
            self.before = self.inc.copy()
        elif replace:
            self.inc[...] = self.before
        return self.inc, self.mom if self.contributions == 1 or replace else 1.0


class Field(Sequence[Any]):
    """One attribute of every parameter in a list, as a list whose entries can be set."""

    def __init__(self, parameters: Sequence[Parameter], name: str) -> None:
        self._parameters, self._name = parameters, name

    def __len__(self) -> int:
        return len(self._parameters)

    def __getitem__(self, i: Any) -> Any:
        return getattr(self._parameters[i], self._name)

    def __setitem__(self, i: int, array: Array) -> None:
        setattr(self._parameters[i], self._name, array)
