"""Engines whose fault is hidden: the port, with what a chapter and a seed put into it."""

from ..checks.faults.planted import Mutant
from ..engines import find
from ..engines.wrapped import AsMeant
from .variant import MAKERS


class Hidden(Mutant):
    """An engine of a chapter; the file that `start` writes derives from it and says which."""

    chapter, seed, name = 4, 0, "mystery"

    def __init__(self) -> None:
        own = type(self)
        fault = MAKERS[own.chapter - 1](own.seed).faults[own.name]
        super().__init__(AsMeant(find("port")), fault.mutation)
        self.name = own.name
