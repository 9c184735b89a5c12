"""The check that faults are found: known faults in the engines, and random networks without any."""

from .check import run

__all__ = ["run"]
