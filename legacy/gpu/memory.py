"""Memory of a device: released blocks wait for the next request of their size; in debug mode they have guards."""

from typing import Any

import numpy as np

GUARD_WORDS = 64  # on either side; keeps the alignment of 256 bytes
GUARD = 0xFDFDFDFD
NAN = 0x7FC0DEAD  # a quiet NaN


class MemoryFault(RuntimeError):
    """A kernel wrote outside of a matrix."""


class Memory:
    """A pool of blocks on a driver.

    Parameters
    ----------
    driver : CudaDriver
    debug : bool
        Put guard words around every block, and NaN into what is released or forgotten.

    Notes
    -----
    Freeing memory makes a GPU wait for all of its work, hence the pool. It is emptied when the driver has nothing left.
    """

    def __init__(self, driver: Any, debug: bool = False) -> None:
        self.driver, self.debug = driver, debug
        self._guard = GUARD_WORDS if debug else 0
        self._live: dict[int, int] = {}
        self._idle: dict[int, list[int]] = {}
        self._fault: Exception | None = None  # found in `release`, raised by the next `check`

    def allocate(self, elements: int) -> int:
        """Address of ``elements`` 32-bit words, all zero."""
        words = max(elements, 1)
        idle = self._idle.get(words)
        address = idle.pop() if idle else self._fresh(words)
        self._live[address] = words
        self.driver.fill(address, 0, words)
        return address

    def release(self, address: int) -> None:
        """Take a block back; what goes wrong then is raised by the next `check`, as destructors cannot raise."""
        words = self._live.pop(address)
        self._idle.setdefault(words, []).append(address)
        if self.debug:
            try:
                self._check(address, words)
                self.spoil(address, words)
            except Exception as fault:
                self._fault = fault

    def spoil(self, address: int, elements: int) -> None:
        """In debug mode, write NaN where nobody should read."""
        if self.debug:
            self.driver.fill(address, NAN, elements)

    def check(self) -> None:
        """Look at the guards of all blocks in use; MemoryFault tells of the first that was written."""
        fault, self._fault = self._fault, None
        if fault:
            raise fault
        for address, words in self._live.items():
            self._check(address, words)

    def live(self) -> dict[int, int]:
        """{address: words} of the blocks in use."""
        return dict(self._live)

    def held(self) -> int:
        """Bytes of all blocks, those that wait included."""
        idle = sum(words * len(blocks) for words, blocks in self._idle.items())
        return 4 * (idle + sum(self._live.values()))

    def _fresh(self, words: int) -> int:
        size = 4 * (words + 2 * self._guard)
        try:
            start: int = self.driver.allocate(size)
        except MemoryError:
            self._empty()
            start = self.driver.allocate(size)
        address = start + 4 * self._guard
        for _, guard in self._guards(address, words):
            self.driver.fill(guard, GUARD, self._guard)
        return address

    def _guards(self, address: int, words: int) -> tuple[tuple[str, int], ...]:
        return (("before", address - 4 * self._guard), ("behind", address + 4 * words)) if self._guard else ()

    def _empty(self) -> None:
        self.driver.synchronize()
        for blocks in self._idle.values():
            for address in blocks:
                self.driver.free(address - 4 * self._guard)
        self._idle.clear()

    def _check(self, address: int, words: int) -> None:
        found = np.empty(self._guard, np.uint32)
        for side, guard in self._guards(address, words):
            self.driver.copy_out(found, guard)
            written = np.flatnonzero(found != GUARD)
            if written.size:
                self.driver.fill(guard, GUARD, self._guard)
                raise MemoryFault(f"{written.size} of the {self._guard} words {side} a block of {words} floats were"
                                  f" written, the first at {written[0]}")  # fmt: skip
