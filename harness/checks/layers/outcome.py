"""What became of a pair of layer files, and the table and sentence about all of them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...judging.finding import exit_code, summarise, tally
from ...judging.row import Row, attributed, decisive
from ...running.steps import PASSES
from ..kit import mark

# How a pair can end, from best to worst, and the exit code that it stands for.
CODES = {
    "agrees": 0,
    "loaded": 0,
    "explained": 0,
    "not compared": 3,
    "refused": 2,
    "too large": 2,
    "different": 1,
    "interrupted": 130,
}
BAD = ("different", "refused", "too large", "not compared", "interrupted")
_PASSES = dict.fromkeys(PASSES, 9)
COLUMNS = {"": 1, "pair": 0, "layers": 6, "derived values": 14, **_PASSES, "closest": 8, "s": 6, "GiB": 5}


@dataclass
class PairResult:
    """What became of a pair."""

    name: str  # of the pair
    status: str = "loaded"  # a key of `CODES`
    layers: int = 0
    recorded: str = ""  # how many derived values are as recorded
    rows: list[Row] = field(default_factory=list)
    seconds: float = 0.0
    memory: int | None = None  # bytes that the process had at most

    def at_least(self, status: str) -> None:
        """Take a status if it is worse than the one so far."""
        self.status = max(self.status, status, key=list(CODES).index)

    def judge(self, allow: Sequence[str] = ()) -> None:
        """Take the status that the rows stand for, where statuses in ``allow`` need not have been compared."""
        findings = [found for row in self.rows for found in row.counted().values()]
        failed = [row for row in self.rows if any(found.fails for found in row.counted().values())]
        if failed:
            self.at_least("explained" if all(row.explained() for row in failed) else "different")
        rest = [found for found in findings if not found.fails]
        if not findings or (rest and exit_code(rest, allow)):
            self.at_least("not compared")
        elif self.status == "loaded":
            self.status = "agrees"

    def share(self) -> float | None:
        """The largest share of a bound that was used, over all tensors that agree."""
        return max((found.share for _, found in decisive(self.rows) if found.agrees), default=None)

    def passed(self, step: str) -> str:
        """``38/40``: how many tensors of a pass agree."""
        findings = [found for row in self.rows if row.step == step for found in row.counted().values()]
        return f"{sum(found.agrees for found in findings)}/{len(findings)}" if findings else ""


def table(outcomes: Sequence[PairResult]) -> Iterator[str]:
    """Yield the lines of the closing table: one for each pair."""
    widths = COLUMNS | {"pair": max(len(one.name) for one in outcomes)}
    yield _line(widths, {name: name for name in widths}) + "  verdict"
    for one in outcomes:
        share = one.share()
        cells = {
            "": mark(one.status),
            "pair": one.name,
            "layers": str(one.layers or ""),
            "derived values": one.recorded,
            **{step: one.passed(step) for step in PASSES},
            "closest": "" if share is None else f"{share:.2g}",
            "s": f"{one.seconds:.0f}",
            "GiB": "" if one.memory is None else f"{one.memory / 2**30:.1f}",
        }
        yield f"{_line(widths, cells)}  {one.status}"


def _line(widths: Mapping[str, int], cells: Mapping[str, str]) -> str:
    left = ("", "pair", "derived values")
    return " ".join(
        cells[name].ljust(width) if name in left else cells[name].rjust(width) for name, width in widths.items()
    )


def sentence(outcomes: Sequence[PairResult], load_only: bool = False) -> str:
    """The plain words at the end."""
    counts = Counter(one.status for one in outcomes)
    good, what = (counts["loaded"], "loaded") if load_only else (counts["agrees"], "agree")
    what += f", {counts['explained']} but for what quirks explain" if counts["explained"] else ""
    found = [(f"{one.name} {name}", finding) for one in outcomes for name, finding in decisive(one.rows)]
    more = [summarise(found) if found else "", attributed(row for one in outcomes for row in one.rows)]
    return " ".join(filter(None, [f"{good} of {len(outcomes)} pairs {what}{tally(counts, BAD)}.", *more]))


def worst_code(outcomes: Sequence[PairResult]) -> int:
    """That of the worst pair; 3 of none."""
    worst = max((one.status for one in outcomes), key=list(CODES).index, default="not compared")
    return CODES[worst]
