"""What a comparison says about a tensor, how bad it is, and what a run says about all of them."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from ..errors import Unsupported, told

LOG = logging.getLogger(__name__)

# From best to worst.  The first two agree, the next three say nothing, the rest fail.
AGREES = ("identical", "equivalent")
INEXACT = ("equivalent", "inconclusive")
"""Statuses of values that are no further apart than rounding allows, and not the same bits."""
NOT_COMPARED = ("unsupported", "unavailable")
UNDECIDED = (*NOT_COMPARED, "inconclusive")
DIFFERS = ("different", "nonfinite")
"""Statuses of values that are too far from the reference."""
FAILS = (*DIFFERS, "dtype", "shape", "missing", "failed")
EXPLAINABLE = (*DIFFERS, "shape")
"""Statuses that the switch of a quirk can bring about."""
SEVERITY = AGREES + UNDECIDED + FAILS
FAIL_ON = (*UNDECIDED, *FAILS, "unexplained", "none")
"""What ``--fail-on`` takes: statuses; failures that no quirk explains; nothing at all."""

# The share of the bound is counted in powers of two: bin 0 holds 0, bin i the interval [2**e, 2**(e+1)) with
# e = LOWEST_EXPONENT + i - 1; the ends take what is beyond them.
LOWEST_EXPONENT = -32
HIGHEST_EXPONENT = 16
HISTOGRAM_BINS = HIGHEST_EXPONENT - LOWEST_EXPONENT + 2


@dataclass(frozen=True)
class Worst:
    """The element that used most of its bound."""

    index: tuple[int, ...]
    actual: float
    reference: float
    bound: float


@dataclass(frozen=True)
class Finding:
    """The verdict on one tensor of one engine against the reference."""

    status: str  # one of `SEVERITY`
    elements: int = 0  # how many were compared
    share: float = 0.0  # largest |x - r| / bound; inf where bits had to match and did not
    worst: Worst | None = None  # where that was; None where no element used any of its bound
    # largest distance to the reference rounded to float32, in units in the last place, among elements of the same sign
    # whose bound does not exceed their value
    ulps: int = 0
    differing: int = 0  # elements whose bits differ from the reference rounded to float32
    outside: int = 0  # elements outside the bound, those of `nonfinite` among them
    nonfinite: int = 0  # elements that are NaN or infinite where the reference is not, or the other way round
    # elements that have another sign (-, 0 or +) than the reference, though their bound does not exceed their value
    signs: int = 0
    loose: float = 0.0  # share of elements whose bound exceeds their value
    # bound_norm, reference_norm: euclidean norms of the bounds and of the reference
    bound_norm: float = 0.0
    reference_norm: float = 0.0
    # the smallest relative change of all elements at once that leaves the bound somewhere: the least bound / |r|; 0
    # where bits must match. None where the reference is zero throughout: whatever an engine multiplies shows nothing.
    notices: float | None = None
    # low, high, mean: of the engine's own values: smallest, largest and mean; None where nothing was compared
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    # elements per power of two of |x - r| / bound
    histogram: tuple[int, ...] = field(default=(0,) * HISTOGRAM_BINS, repr=False)
    reason: str = ""  # why there was no comparison

    @property
    def agrees(self) -> bool:
        """Whether the engine was compared with the reference and found to agree."""
        return self.status in AGREES

    @property
    def fails(self) -> bool:
        """Whether the engine is wrong, or did not deliver what it should have."""
        return self.status in FAILS

    @property
    def surely_notices(self) -> float | None:
        """The smallest relative change of all elements that leaves the bound whatever the engine rounds."""
        return None if self.notices is None or self.share > 1 else self.notices * (1 + self.share)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a record."""
        return asdict(self)


def finding_of(error: Exception, where: str) -> Finding:
    """The Finding on a tensor where an engine raised an error; what an engine does not do is no failure.

    Raises MemoryError: that is what it raised.
    """
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, Unsupported):
        return Finding(error.status, reason=str(error))
    LOG.debug("%s", where, exc_info=error)
    return Finding("failed", reason=f"{where}: {told(error)}")


def worst_status(statuses: Iterable[str]) -> str:
    """The most severe of some statuses; "" of none."""
    return max(statuses, key=SEVERITY.index, default="")


def exit_code(findings: Iterable[Finding], allow: Sequence[str] = ()) -> int:
    """0: everything agrees; 1: something fails; 3: something was not decided.

    Bad input, code 2, is an exception (`errors.RosettaError`) and never gets here.

    ``allow``: statuses of `UNDECIDED` that may be among them; where nothing agrees the code is 3 all the same.
    """
    return code_of((finding.status for finding in findings), allow)


def code_of(statuses: Iterable[str], allow: Sequence[str] = (), agree: Sequence[str] = AGREES) -> int:
    """The same for statuses, where those in ``agree`` do."""
    found = set(statuses)
    if not found.isdisjoint(FAILS):
        return 1
    return 0 if not found.isdisjoint(agree) and found <= {*agree, *allow} else 3


def summarise(rows: Iterable[tuple[str, Finding]]) -> str:
    """The one sentence a run ends in.

    ``rows``: a name for each tensor ("port conv1a acts"), and what was found.
    """
    rows = list(rows)
    counts = Counter("not compared" if finding.status in NOT_COMPARED else finding.status for _, finding in rows)
    agree = [(name, finding) for name, finding in rows if finding.agrees]
    if counts["not compared"] == len(rows):
        return "Nothing was compared."
    sentence = f"{len(agree)} of {len(rows)} tensors agree{_bit_for_bit(len(agree), counts)}"
    sentence += tally(counts, (*reversed(FAILS), "inconclusive", "not compared"))
    return f"{sentence}{_closest_call(agree)}{_first_failure(rows)}."


def _bit_for_bit(agree: int, counts: Counter[str]) -> str:
    identical = counts["identical"]
    if not identical:
        return ""
    return ", all bit for bit" if identical == agree else f", {identical} of them bit for bit"


def tally(counts: Counter[str], statuses: Iterable[str], words: Mapping[str, str] = MappingProxyType({})) -> str:
    """``, 3 different, 1 failed``: how many have each status, if any; ``words`` for those that are called otherwise."""
    return "".join(f", {counts[status]} {words.get(status, status)}" for status in statuses if counts[status])


def _closest_call(agree: Sequence[tuple[str, Finding]]) -> str:
    name, finding = max(agree, key=lambda row: row[1].share, default=("", Finding("identical")))
    if finding.share == 0:
        return ""
    return f"; the closest call, {name}, used {finding.share:.2g} of what rounding allows"


def _first_failure(rows: Sequence[tuple[str, Finding]]) -> str:
    for name, finding in rows:
        if finding.fails:
            return f"; the first to {'fail' if finding.status == 'failed' else 'differ'} is {name}"
    return ""
