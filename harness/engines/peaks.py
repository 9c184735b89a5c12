"""What a machine can do at most: floating-point operations and bytes per second, and what 2012 reported.

A graphics card says it by its attributes: every FP32 core finishes one multiply-add, two operations, per clock, and
memory moves a bit per wire on both edges of its clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CORES = {(6, 0): 64, (7, 0): 64, (7, 2): 64, (7, 5): 64, (8, 0): 64}  # FP32 cores of a multiprocessor; else 128

IMAGES_PER_EPOCH = 1_200_000  # "roughly 1.2 million training images"
EPOCHS = 90  # "roughly 90 cycles"
DAYS = (5, 6)  # "five to six days on two NVIDIA GTX 580 3GB GPUs"


@dataclass(frozen=True)
class Peak:
    """The most that a machine can do."""

    name: str
    flops: float  # single-precision operations per second
    bandwidth: float  # bytes per second to and from its memory

    def __str__(self) -> str:
        return f"{self.name} ({self.flops / 1e12:.2f} TFLOP/s, {self.bandwidth / 1e9:.0f} GB/s)"


# 512 cores at 1.544 GHz; 384 wires at 2.004 GHz, both edges.
GTX_580 = Peak("GTX 580", 1.58e12, 192e9)


def of_card(card: Mapping[str, Any]) -> Peak:
    """The peak of a graphics card.

    ``card``: ``name``, ``compute_capability`` (two integers), ``multiprocessors``, ``clock_khz``, ``memory_clock_khz``,
    ``bus_bits``: attributes of the driver.
    """
    cores = card["multiprocessors"] * CORES.get(tuple(card["compute_capability"]), 128)
    flops = 2.0 * cores * card["clock_khz"] * 1e3
    return Peak(card["name"], flops, 2.0 * card["memory_clock_khz"] * 1e3 * card["bus_bits"] / 8)


def images_per_second_of_2012() -> tuple[float, float]:
    """(lowest, highest) images per second that the days of the 2012 paper amount to, on its two GTX 580."""
    images = IMAGES_PER_EPOCH * EPOCHS
    low, high = (images / (days * 24 * 3600) for days in sorted(DAYS, reverse=True))
    return low, high
