"""The check that mistakes are noticed: automatic mutants of the port, and a ladder of comparisons that each climbs."""

from .check import check_mutants

__all__ = ["check_mutants"]
