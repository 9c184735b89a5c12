"""`rosetta check layers`: a folder of layer files, each pair of them loaded, compared with records, built and run."""

from .check import check_layers

__all__ = ["check_layers"]
