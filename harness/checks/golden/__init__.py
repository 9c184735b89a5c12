"""`rosetta check golden`: the engine of 2012 against outputs recorded from the historical kernels."""

from .check import run

__all__ = ["run"]
