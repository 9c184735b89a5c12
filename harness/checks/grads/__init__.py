"""`rosetta check grads`: every gradient formula against differences of what it is the gradient of."""

from .check import check_grads

__all__ = ["check_grads"]
