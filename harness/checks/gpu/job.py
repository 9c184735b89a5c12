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
    """How much each part does.

    Attributes
    ----------
    golden : Path
        Folder of the recorded cases.
    batches : dict of str to int
        Cases of the comparisons, by network; the bench takes AlexNet's.
    exact : dict of str to int
        Networks of the exact tier, and their cases (powers of two).
    steps : int
        Training steps that are repeated.
    repeat : int
        Timed steps of the bench.
    bench : str
        The network that is timed.
    """

    golden: Path = Path("tests/golden")
    batches: dict[str, int] = field(default_factory=lambda: {"alexnet": 128, "cifar": 128, "zoo": 32})
    exact: dict[str, int] = field(default_factory=lambda: {"tiny": 32, "cifar": 128, "alexnet": 32})
    steps: int = 1000
    repeat: int = 10
    bench: str = "alexnet"

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise BadInput(f"{self.steps} steps cannot be compared with each other", hint="take 2 or more")


@dataclass
class Job:
    """A running part.

    Attributes
    ----------
    target : target.Target
    settings : Settings
    numbers : dict
        What is found, for the evidence file.
    problems : list of str
        What is wrong; none means that the part passed.
    deadline : float
        When to stop, by `perf_counter`.
    """

    target: target.Target
    settings: Settings
    deadline: float = float("inf")
    numbers: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

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
