"""Kernels counted: a block's threads run one by one on the CPU, every access to memory noted; needs a C++ compiler.

`library` compiles instances, `CountingDevice` is a device for the engine that counts blocks of every launch.
"""

from .build import COUNTERS, library
from .device import CountingDevice, Launched

__all__ = ["COUNTERS", "CountingDevice", "Launched", "library"]
