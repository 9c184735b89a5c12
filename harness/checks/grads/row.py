"""The lines of a check of gradients: one for each tensor and engine, and the sentence about all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...judging.finding import tally
from ..kit import WORDS, mark

COLUMNS = "{} {:10} {:16} {:24} {:10} {:>8} {:>8} {:>8}  {}"
HEADER = COLUMNS.format(" ", "engine", "layer", "type", "tensor", "error", "allowed", "step", "verdict")


@dataclass(frozen=True)
class GradientRow:
    """The verdict on the gradient of one tensor."""

    engine: str
    layer: str
    type: str
    tensor: str
    status: str  # a key of `kit.MARKS`, or ``different``
    # error, allowed: how far the gradient is from the difference, and how far it may be, in parts of the slope
    error: float | None = None
    allowed: float | None = None
    step: float | None = None  # of the difference, in parts of the tensor's size (of the historical check: absolute)
    note: str = ""

    def used(self) -> float:
        """The share of what is allowed that the error is; 0 where nothing was measured."""
        return self.error / self.allowed if self.error is not None and self.allowed else 0.0

    def line(self) -> str:
        """The row as it is printed."""
        numbers = ["" if x is None else f"{x:.1e}" for x in (self.error, self.allowed, self.step)]
        verdict = WORDS.get(self.status, self.status) + (f": {self.note}" if self.note else "")
        return COLUMNS.format(mark(self.status), self.engine, self.layer, self.type, self.tensor, *numbers, verdict)


def sentence(rows: Sequence[GradientRow]) -> str:
    """The plain words at the end."""
    counts = Counter(row.status for row in rows)
    checked = len(rows) - counts["no gradient"]
    others = ("different", "by design", "explained", "inconclusive", "unsupported")
    more = tally(counts, others, WORDS)
    agree = [row for row in rows if row.status == "agrees" and row.allowed]
    used, closest = max(((row.used(), row) for row in agree), key=lambda pair: pair[0], default=(0.0, None))
    if closest:
        name = f"{closest.engine} {closest.layer} {closest.tensor}"
        more += f"; the closest call, {name}, used {used:.2g} of what is allowed"
    return f"{counts['agrees']} of {checked} gradients agree with differences{more}."
