"""`rosetta check golden`: the engine of 2012 against outputs recorded from the historical kernels."""

from .check import check_golden

__all__ = ["check_golden"]
