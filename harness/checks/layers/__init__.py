"""`rosetta check layers`: a folder of layer files, each pair of them loaded, compared with records, built and run."""

from .check import run

__all__ = ["run"]
