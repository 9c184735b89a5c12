"""Facts about the graphics card that the engine runs on: what it is, what it can do, how much memory is taken."""

import re
import subprocess
from typing import Any

# Facts that are numbers of the driver: name here, name of the attribute there.
ATTRIBUTES = {
    "multiprocessors": "MULTIPROCESSOR_COUNT",
    "clock_khz": "CLOCK_RATE",
    "memory_clock_khz": "MEMORY_CLOCK_RATE",
    "bus_bits": "GLOBAL_MEMORY_BUS_WIDTH",
    "l2_bytes": "L2_CACHE_SIZE",
    "shared_bytes_per_multiprocessor": "MAX_SHARED_MEMORY_PER_MULTIPROCESSOR",
}


def facts(index: int = 0) -> dict[str, Any]:
    """What a card is and can do.

    ``index``: its number among those that CUDA_VISIBLE_DEVICES shows.
    Returns: ``name``, ``compute_capability`` (two integers), ``memory_bytes``, ``cuda`` (the driver's version of CUDA),
    ``driver`` (its own version, None where nvidia-smi is absent), and the keys of `ATTRIBUTES`; clocks in kHz.
    Raises ImportError, pycuda.driver.Error: no PyCUDA, no driver or no card; `gpu.probe` says so in words.
    """
    import pycuda.driver as cuda

    cuda.init()
    card = cuda.Device(index)
    number = cuda.get_driver_version()
    found = {"name": card.name(), "compute_capability": list(card.compute_capability()),
             "memory_bytes": card.total_memory(), "cuda": f"{number // 1000}.{number % 1000 // 10}",
             "driver": _driver_version()}  # fmt: skip
    attribute = cuda.device_attribute
    return found | {key: card.get_attribute(getattr(attribute, name)) for key, name in ATTRIBUTES.items()}


def memory_taken() -> int:
    """Bytes of the card's memory that are not free, whoever took them."""
    import pycuda.driver as cuda

    from . import open_device

    open_device()  # the context that the question is put to
    free, total = cuda.mem_get_info()
    return total - free


def _driver_version() -> str | None:
    try:
        text = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                              capture_output=True, text=True, check=False, timeout=30).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"[\d.]+", text)
    return found[0] if found else None
