"""One trained array with all that belongs to it, and how gradients collect in it (network-and-solver 8).

Weights that layers share are one `Parameter` in the lists of all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


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

    values: np.ndarray
    inc: np.ndarray
    base: float
    mom: float
    direct: bool = False
    grad: np.ndarray | None = None
    contributions: int = 0
    mean: np.ndarray | None = None
    square: np.ndarray | None = None
    before: np.ndarray | None = None

    def collect(self, grads):
        """Take a gradient: the first since the last update replaces G, further ones add to it."""
        if self.contributions:
            self.grad += grads
        else:
            self.grad = grads
        self.contributions += 1

    def collect_into(self, replace=False):
        """For the direct route: (Δ, the factor it must be scaled by before the next gradient is added).

        With `replace` a gradient takes the place of earlier ones, as in the code of 2011.
        """
        self.contributions += 1
        if replace and self.contributions == 1:
            self.before = self.inc.copy()
        elif replace:
            self.inc[...] = self.before
        return self.inc, self.mom if self.contributions == 1 or replace else 1.0


class Field(Sequence):
    """One attribute of every parameter in a list, as a list whose entries can be set."""

    def __init__(self, parameters, name):
        self._parameters, self._name = parameters, name

    def __len__(self):
        return len(self._parameters)

    def __getitem__(self, i):
        return getattr(self._parameters[i], self._name)

    def __setitem__(self, i, array):
        setattr(self._parameters[i], self._name, array)
