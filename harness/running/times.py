"""Where the wall time of a run goes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")
REST = "rest"


class Times:
    """Wall seconds by part, which add up to the time since the making."""

    def __init__(self) -> None:
        # of the parts that have ended so far; what belongs to no part is the ``rest``
        self.seconds: dict[str, float] = {}
        self._part, self._since = REST, perf_counter()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block as a part; a part inside another is not counted twice."""
        outer = self._turn(name)
        try:
            yield
        finally:
            self._turn(outer)

    def each(self, name: str, iterable: Iterable[T]) -> Iterator[T]:
        """Iterate; what the iterable takes for its items is a part, what is done with them is not."""
        iterator = iter(iterable)
        while True:
            with self.part(name):
                found = list(islice(iterator, 1))
            if not found:
                return
            yield found[0]

    def total(self) -> float:
        """Seconds since the making."""
        self._turn(self._part)
        return sum(self.seconds.values())

    def _turn(self, name: str) -> str:
        now = perf_counter()
        self.seconds[self._part] = self.seconds.get(self._part, 0.0) + now - self._since
        outer, self._part, self._since = self._part, name, now
        return outer
