"""One part of the check while it runs: what it is about, what it has found so far, how much time is left."""

from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from ... import machine
from ...errors import BadInput
from . import target


class OutOfTime(Exception):
    """The time limit was reached before the part was done."""


@dataclass(frozen=True)
class Settings:
    """How much each part does."""

    golden: Path = Path("tests/golden")  # folder of the recorded cases
    # cases of the comparisons, by network; the bench takes AlexNet's
    batches: dict[str, int] = field(default_factory=lambda: {"alexnet": 128, "cifar": 128, "zoo": 32})
    # networks of the exact tier, and their cases (powers of two)
    exact: dict[str, int] = field(default_factory=lambda: {"tiny": 32, "cifar": 128, "alexnet": 32})
    steps: int = 1000  # training steps that are repeated
    repeat: int = 10  # timed steps of the bench
    bench: str = "alexnet"  # the network that is timed

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise BadInput(f"{self.steps} steps cannot be compared with each other", hint="take 2 or more")


@dataclass
class Job:
    """A running part."""

    target: target.Target
    settings: Settings
    deadline: float = float("inf")  # when to stop, by `perf_counter`
    numbers: dict[str, Any] = field(default_factory=dict)  # what is found, for the evidence file
    problems: list[str] = field(default_factory=list)  # what is wrong; none means that the part passed

    def check_time(self) -> None:
        """Stop here if the time is up."""
        if perf_counter() > self.deadline:
            raise OutOfTime

    def seconds_left(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return None if self.deadline == float("inf") else max(0.0, self.deadline - perf_counter())

    @property
    def threads(self) -> int:
        """Threads of the engines on the CPU."""
        return machine.processors()
