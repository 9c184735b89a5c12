"""A trained array with its momentum buffer and its gradient, and how gradients collect (network-and-solver 8).

A matrix that layers share is one `Parameter`, which stands in the lists of all these layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .checks import Array


@dataclass(eq=False)
class Parameter:
    """A weight matrix or a bias."""

    # values, inc: w and Δ
    values: Array
    inc: Array
    # base, mom: base rate and momentum of the owner; a base rate of 0 freezes the array for all layers that share it
    base: float
    mom: float
    # true on the direct route: Δ collects the gradients times the rate. False: `grad` collects the gradients.
    direct: bool = False
    # G: the gradients of all passes and of all sharing layers since the last update, divided by the cases per update
    grad: Array | None = None
    collected: bool = False  # whether a gradient has been collected since the last update
    # mean, square: running averages of G and G², of layers with ``superEps``
    mean: Array | None = None
    square: Array | None = None
    # δ before the first gradient since the last update, kept where later gradients replace the first one
    before: Array | None = None

    def collect(self, grads: Array) -> None:
        """Take a gradient: the first one since the last update replaces G, each later one adds to G."""
        if self.collected and self.grad is not None:
            self.grad += grads
        else:
            self.grad = grads
        self.collected = True

    def collect_into(self, replace: bool) -> tuple[Array, float]:
        """For the direct route: Δ, and the factor on Δ before the caller adds the next gradient.

        With `replace` each gradient takes the place of the earlier ones, as in the code of 2011.
        """
        if replace and not self.collected:
            self.before = self.inc.copy()
        elif replace:
            self.inc[...] = self.before
        factor = 1.0 if self.collected and not replace else self.mom
        self.collected = True
        return self.inc, factor


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
