"""The machine that the engine of 2012 runs on, as `rosetta check gpu` and `rosetta bench` ask for it."""

import os
import platform
import resource
from collections.abc import Iterable, Mapping
from functools import cache
from timeit import repeat
from typing import Any

import numpy as np

from .. import machine
from .peaks import Peak, of_card


class Card:
    """The first graphics card. Memory is counted exactly: ``noise`` bytes are nothing."""

    noise = 0

    def facts(self) -> dict[str, Any]:
        """Name, compute capability, driver, clocks; see `legacy.gpu.card.facts`."""
        from alexnet_rosetta.legacy.gpu import card

        return card.facts()

    def memory_taken(self) -> int:
        """Bytes of the card's memory that are not free."""
        from alexnet_rosetta.legacy.gpu import card

        return card.memory_taken()

    def prepare(self, launches: Iterable[Mapping[str, Any]]) -> int:
        """Compile kernels that were not compiled before.

        ``launches``: launch records.
        Returns: how many were compiled.
        """
        from alexnet_rosetta.legacy import gpu
        from alexnet_rosetta.legacy.gpu import cuda_source

        instances = {(record["kernel"], "".join(map(cuda_source.kind, record["args"])))
                     for record in launches if record["args"]}  # fmt: skip
        return gpu.open_device().kernels.prepare(instances)


class Processor:
    """In the card's place where the engine runs on the CPU. Memory comes in pages; less than one a step is noise."""

    noise = os.sysconf("SC_PAGE_SIZE")

    def facts(self) -> dict[str, Any]:
        """Name and architecture."""
        return {"name": machine.environment(machine.processors())["processor"], "architecture": platform.machine()}

    def memory_taken(self) -> int:
        """Bytes of this process in memory."""
        try:
            with open("/proc/self/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * self.noise
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def prepare(self, launches: Iterable[Mapping[str, Any]]) -> int:
        """Nothing: the kernels are compiled."""
        return 0


@cache
def processor_peak(threads: int) -> Peak | None:
    """What this processor does on so many threads, measured: products of matrices in the cache, a copy and an update.

    None without the compiled modules.
    """
    try:
        from alexnet_rosetta.port import _loops, conv, set_threads
    except ImportError:
        return None
    set_threads(threads)
    random = np.random.default_rng(0)
    x, filters = random.random((192, 2048), np.float32), random.random((192, 768), np.float32)
    geometry = {"img_size": 4, "filter_size": 1, "padding": 0, "stride": 1, "algorithm": "direct"}
    one, other = np.ones((2, 2**24), np.float32)
    product, convolution, copy, update = (
        min(repeat(call, number=1, repeat=30))
        for call in (
            lambda: filters.T @ x,
            lambda: conv.conv_forward(x.reshape(192, 4, 4, 128), filters, None, **geometry),
            lambda: _loops.relu_forward(one, other, threads),
            lambda: _loops.update(one, other, one[:0], 0.0, 0.0, 0.0, 0.0, False, threads),  # reads two, writes one
        )
    )
    operations = 2 * 192 * 768 * 2048
    bandwidth = one.nbytes * max(2 / copy, 3 / update)
    return Peak(f"{threads} threads, measured", operations / min(product, convolution), bandwidth)


def card_peak() -> Peak | None:
    """What the card can do at most, or None where nobody says it."""
    try:
        peak = of_card(Card().facts())
    except Exception:  # no driver, no PyCUDA, an attribute it does not know
        return None
    return peak if peak.flops and peak.bandwidth else None  # a virtual machine may hide its clocks
