"""`rosetta check grads`: every gradient formula against differences of what it is the gradient of."""

from .check import run

__all__ = ["run"]
