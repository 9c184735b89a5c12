"""`rosetta check gpu`: the engine of 2012 on a graphics card against everything that is known without one."""

from .check import PARTS, check_gpu
from .job import Settings

__all__ = ["PARTS", "Settings", "check_gpu"]
