"""The check that faults are found: known faults in the engines, and random networks without any."""

from .check import check_faults

__all__ = ["check_faults"]
