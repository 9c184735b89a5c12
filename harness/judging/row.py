"""The rows of a comparison: one tensor of one layer and pass, with what was found about each engine."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from html import escape
from typing import Any

from . import ledger
from .finding import AGREES, FAILS, NOT_COMPARED, Finding, Worst, summarise, worst_status
from .places import place

SHORTEST = 1e-3
"""Seconds below which a time says more about clocks and waking threads than about a layer."""


@dataclass
class Row:
    """One tensor."""

    # layer, type, step, tensor: ``step`` is the pass: forward, backward or update
    layer: str
    type: str
    step: str
    tensor: str
    shape: tuple[int, ...]
    findings: dict[str, Finding]  # by engine
    # for each pair of engines, ``a = b``: how many elements differ in their bits
    bitwise: dict[str, int] = field(default_factory=dict)
    # by engine, wall seconds of the whole step of the layer; empty where the row has no step of its own
    seconds: dict[str, float] = field(default_factory=dict)
    mode: str = "isolated"  # ``isolated`` or ``propagated``
    # in propagated mode, by engine: relative error ``norm`` and ``largest`` error
    distances: dict[str, dict[str, float]] = field(default_factory=dict)
    # by engine: ``local``, ``unexplained`` or ``inherited`` for a difference in propagated mode; in isolated mode
    # ``inherited`` for that of a sum over consumers one of which sends a wrong gradient
    origin: dict[str, str] = field(default_factory=dict)
    quirk: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by engine, the quirks that explain its difference
    # by engine, the quirk that an unexplained difference looks like: see `running.explain`
    resembles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    # the axes along which its elements lie: see `places.axes`; empty in records made before there were any
    axes: dict[str, int] = field(default_factory=dict)
    exact: bool = False  # whether the exact tier asks for the same bits
    # in propagated mode, by engine, the share of the bound of the formula from the engine's own operands
    own: dict[str, float] = field(default_factory=dict)
    # in propagated mode, by engine, what `running.decisions.decided` says
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    sent_by: tuple[str, ...] = ()  # in propagated mode, of ``acts_grad``, the layers that send it
    command: str = ""  # the shell command that makes this row again; "" where nobody knows one

    def to_dict(self) -> dict[str, Any]:
        """A plain dictionary, as it stands in a record."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Row":
        """The row of a plain dictionary."""
        findings = {name: _finding(found) for name, found in values["findings"].items()}
        named = {
            key: {name: tuple(quirks) for name, quirks in values.get(key, {}).items()} for key in ("quirk", "resembles")
        }
        own = {name: float(share) for name, share in values.get("own", {}).items()}
        decisions = {name: one | {"margin": float(one["margin"])} for name, one in values.get("decisions", {}).items()}
        more = {"findings": findings, "shape": tuple(values["shape"]), "own": own, "decisions": decisions}
        more["sent_by"] = tuple(values.get("sent_by", ()))
        return cls(**values | named | more)

    @classmethod
    def of(cls, comparison: Any, seconds: dict[str, float], axes: dict[str, int]) -> "Row":
        """The row of a finished `TensorComparison`."""
        layer = comparison.layer
        return cls(
            layer.name,
            layer.type,
            comparison.step,
            comparison.tensor,
            comparison.shape,
            comparison.findings(),
            comparison.bitwise(),
            seconds,
            distances=comparison.distances(),
            axes=axes,
        )

    def counted(self) -> dict[str, Finding]:
        """The findings that decide about the run: all but inherited differences."""
        return {name: found for name, found in self.findings.items() if self.origin.get(name) != "inherited"}

    def weighs(self, engine: str, allow: Sequence[str] = (), fail_on: Sequence[str] = ()) -> bool:
        """Whether what was found about an engine makes the exit code of a run other than 0: see `run_code`."""
        found = self.counted().get(engine)
        if found is None or found.agrees or found.status in allow:
            return False
        explained = found.fails and engine not in self.quirk and "unexplained" in fail_on
        return not fail_on or found.status in fail_on or explained

    def unexplained(self) -> list[str]:
        """The engines whose tensor or decisions nothing below explains, nor a quirk."""
        beyond = {name for name, one in self.decisions.items() if one["beyond"]}
        wrong = beyond | {name for name, share in self.own.items() if share > 1}
        return [name for name in self.findings if name in wrong and name not in self.quirk]

    def name(self, engine: str) -> str:
        """What a sentence calls this tensor of an engine."""
        return f"{engine} {self.layer} {self.step} {self.tensor}"

    def telling(self) -> tuple[str, Finding]:
        """(engine, Finding): of those that gave the row its status, the one that used most of its bound."""
        own = self.findings if self.status() == "inherited" else self.counted()
        worst = worst_status(found.status for found in own.values())
        found = {engine: found for engine, found in own.items() if found.status == worst}
        return max(found.items(), key=lambda item: item[1].share)

    def status(self) -> str:
        """The most severe status; ``inherited`` where all that differs is inherited."""
        worst = worst_status(found.status for found in self.counted().values())
        return "inherited" if "inherited" in self.origin.values() and worst not in FAILS else worst

    def place(self, worst: Worst | None) -> dict[str, int]:
        """Where a `finding.Worst` is: dict of str to int, such as channel, y, x and image; {} of None."""
        if worst is None:
            return {}
        axes = self.axes or dict(zip(("row", "column"), self.shape, strict=False))
        return place(axes, self.shape, worst.index)

    def where(self, worst: Worst | None) -> str:
        """The same in words: ``channel 3, y 2, x 1, image 0``."""
        return ", ".join(f"{axis} {at}" for axis, at in self.place(worst).items())

    def lacking(self) -> list[str]:
        """The engines that were not compared."""
        return [name for name, found in self.counted().items() if found.status in NOT_COMPARED]

    def explained(self) -> bool:
        """Whether quirks explain every difference that counts."""
        failed = {name for name, found in self.counted().items() if found.fails}
        return bool(failed) and failed <= self.quirk.keys()

    def _repr_html_(self) -> str:
        """The row as a notebook shows it: a line for each engine."""
        columns = ("engine", "verdict", "share", "ulps", "worst_at", "worst_actual", "worst_reference", "worst_bound")
        heads = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in columns)
        lines = [[("" if line[name] is None else f"{line[name]}") for name in columns] for line in self.flat()]
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
        caption = escape(f"{self.mode}: {self.layer} {self.step} {self.tensor}")
        return f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"

    def flat(self) -> list[dict[str, Any]]:
        """One plain dictionary per engine: the lines of results.csv and of the frame ``rows``."""
        return [self._flat(engine, found) for engine, found in self.findings.items()]

    def _flat(self, engine: str, found: Finding) -> dict[str, Any]:
        worst, distance = found.worst, self.distances.get(engine, {})
        return {
            "mode": self.mode,
            "layer": self.layer,
            "type": self.type,
            "pass": self.step,
            "tensor": self.tensor,
            "shape": "x".join(map(str, self.shape)),
            "engine": engine,
            "verdict": found.status,
            "origin": self.origin.get(engine, ""),
            "quirk": " ".join(self.quirk.get(engine, ())),
            "resembles": " ".join(self.resembles.get(engine, ())),
            "share": found.share,
            "worst_at": self.where(worst),
            "worst_actual": worst and worst.actual,
            "worst_reference": worst and worst.reference,
            "worst_bound": worst and worst.bound,
            "ulps": found.ulps,
            "signs": found.signs,
            "elements": found.elements,
            "differing": found.differing,
            "outside": found.outside,
            "nonfinite": found.nonfinite,
            "loose": found.loose,
            "notices": found.notices,
            "relative_error": distance.get("norm"),
            "largest_error": distance.get("largest"),
            "own_share": self.own.get(engine),
            "decisions": self.decisions.get(engine, {}).get("count"),
            "decisions_differing": self.decisions.get(engine, {}).get("differ"),
            "seconds": self.seconds.get(engine),
            "reason": found.reason,
            "command": self.command,
        }


Failed = list[tuple[Row, str]]
"""Rows, and the engines that fail there."""


def decisive(rows: Iterable[Row]) -> list[tuple[str, Finding]]:
    """(name, Finding) of every finding that decides about the run, as `finding.summarise` takes them."""
    return [(row.name(engine), found) for row in rows for engine, found in row.counted().items()]


def run_code(rows: Sequence[Row], allow: Sequence[str] = (), fail_on: Sequence[str] = ()) -> int:
    """The exit code of a run. 0: all is as it should be; 1: something fails; 3: something was not decided.

    ``allow``: statuses of `finding.UNDECIDED` that do not count; where nothing agrees the code is 3 all the same.
    ``fail_on``: of `finding.FAIL_ON`: nothing else counts; by default everything does.
    """
    found = [row.findings[name] for row in rows for name in row.findings if row.weighs(name, allow, fail_on)]
    if any(one.fails for one in found):
        return 1
    return 3 if found or not any(one.agrees for _, one in decisive(rows)) else 0


def attributed(rows: Iterable[Row]) -> str:
    """Sentences about differences that quirks explain, and about those that only look like one; "" without any."""
    failed = [(row, name) for row in rows for name, found in row.counted().items() if found.fails]
    return " ".join(filter(None, (_explained(failed), _resembling(failed))))


def same_bits(rows: Iterable[Row]) -> str:
    """A sentence about the tensors of which the exact tier asks for the same bits; "" without any."""
    found = [found.status == "identical" for row in rows if row.exact for found in row.findings.values()]
    if not found:
        return ""
    which = f"{len(found)} tensors that must match bit for bit"
    return f"All {which} do." if all(found) else f"{sum(found)} of the {which} do."


def own_feed(rows: Iterable[Row]) -> str:
    """A sentence about the rows of engines that feed themselves; "" without any."""
    origins = Counter(row.origin.get(name, found.status) for row in rows for name, found in row.findings.items())
    if not origins:
        return ""
    agree = sum(origins[status] for status in AGREES)
    inherited, local, unexplained = (origins[name] for name in ("inherited", "local", "unexplained"))
    sentence = f"Where each engine feeds itself, {agree} of {origins.total()} tensors agree"
    if inherited:
        sentence += f", {inherited} differ by what earlier layers hand on"
    if local:
        sentence += f", {local} in layers that differ in isolation too"
    if unexplained:
        sentence += f", {unexplained} are not what the engine's own values give"
    others = origins.total() - agree - inherited - local - unexplained
    return f"{sentence}, {others} were not decided." if others else f"{sentence}."


def left_out(rows: Iterable[Row]) -> str:
    """A sentence about what was not compared: of each engine the number of tensors, and the layers; "" of nothing."""
    layers: dict[str, Counter[str]] = {}
    for row in rows:
        for name in row.lacking():
            layers.setdefault(name, Counter())[row.layer] += 1
    said = [f"{each.total()} of {name} ({_some(each)})" for name, each in layers.items()]
    return f"Not compared: {'; '.join(said)}." if said else ""


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"{', '.join(names[:6])}{more}"


def _explained(failed: Failed) -> str:
    causes = [row.quirk[name] for row, name in failed if name in row.quirk]
    if not causes:
        return ""
    names = ", ".join(dict.fromkeys(" with ".join(quirks) for quirks in causes))
    left = len(failed) - len(causes)
    rest = "no difference is unexplained" if not left else f"{left} unexplained"
    return f"Explained by quirks: {len(causes)} of {len(failed)} differences ({names}); {rest}."


def _resembling(failed: Failed) -> str:
    alike = [(row.name(name), *row.resembles[name]) for row, name in failed if name in row.resembles]
    if not alike:
        return ""
    more = f" ({len(alike) - 1} more likewise)" if len(alike) > 1 else ""
    return f"{alike[0][0]} {looks_like(alike[0][1])}{more}."


def looks_like(quirk: str) -> str:
    """What is said of a difference that a switch hides, but does not explain."""
    return f"vanishes if {quirk} is turned, but {quirk} stands as the reference does: a fault that looks like {quirk}"


def sentence(rows: Sequence[Row], level: str = "") -> str:
    """The one plain sentence that a run ends in; ``level`` is that of the options."""
    isolated, feeding = ([row for row in rows if row.mode == mode] for mode in ("isolated", "propagated"))
    own = own_feed(feeding), ledger.explained(feeding)
    where, _, year = level.rpartition(":")
    said = f"Quirks of {where or 'all engines'} as in {year}." if level else ""
    parts = summarise(decisive(isolated)), left_out(isolated), same_bits(isolated), attributed(isolated), *own, said
    return " ".join(filter(None, parts))


def by_step(rows: Iterable[Row]) -> dict[tuple[str, str, str, str], list[Row]]:
    """Rows grouped by mode, layer and pass: dict of (mode, layer, type, pass) to list of Row."""
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.mode, row.layer, row.type, row.step), []).append(row)
    return groups


def step_lines(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """A plain dictionary per layer and pass: worst verdict, quirks, largest share, seconds by engine, their ratio."""
    lines = []
    for (mode, layer, kind, step), group in by_step(rows).items():
        seconds = {engine: value for row in group for engine, value in row.seconds.items()}
        status = _group_status([row.status() for row in group])
        lines.append(
            {
                "mode": mode,
                "layer": layer,
                "type": kind,
                "pass": step,
                "tensors": len(group),
                "verdict": status,
                "quirk": _group_quirks(group),
                "lacking": ", ".join(dict.fromkeys(name for row in group for name in row.lacking())),
                "share": None
                if status in NOT_COMPARED
                else max(found.share for row in group for found in row.findings.values()),
                **{f"seconds {engine}": value for engine, value in seconds.items()},
                "ratio": ratio(seconds),
            }
        )
    return lines


def _group_quirks(group: Sequence[Row]) -> str:
    """Names of the quirks that explain all that differs in these rows; "" if something is unexplained."""
    failed = [row for row in group if any(found.fails for found in row.counted().values())]
    if not all(row.explained() for row in failed):
        return ""
    return ", ".join(dict.fromkeys(name for row in failed for quirks in row.quirk.values() for name in quirks))


def total_seconds(rows: Sequence[Row]) -> dict[str, float]:
    """By engine, the seconds of the steps that all of them did in isolated mode."""
    steps = [
        {engine: value for row in group for engine, value in row.seconds.items()}
        for (mode, *_), group in by_step(rows).items()
        if mode == "isolated"
    ]
    names = dict.fromkeys(name for row in rows for name in row.findings)
    timed = [name for name in names if any(name in seconds for seconds in steps)]
    shared = [seconds for seconds in steps if timed and seconds.keys() >= set(timed)]
    return {name: sum(seconds[name] for seconds in shared) for name in timed}


def ratio_name(engines: Sequence[str]) -> str:
    """``first/second``, what `ratio` is called; "" unless there are two engines."""
    return "/".join(engines) if len(engines) == 2 else ""


def ratio(seconds: Mapping[str, float], noise: float = 0.0) -> float | None:
    """Seconds of the first engine over those of the second.

    ``seconds``: by engine.
    ``noise``: seconds by which repeated measurements spread.
    Returns None unless there are two engines, where a time is below `SHORTEST`, or the two differ by less than the
    noise.
    """
    if len(seconds) != 2 or min(seconds.values()) < SHORTEST:
        return None
    first, second = seconds.values()
    return first / second if abs(first - second) >= noise else None


def faster_or_slower(low: float, high: float) -> str:
    """In a word what the interval of a ratio of seconds says of the engine above the line."""
    return "faster" if high < 1 else "slower" if low > 1 else "~same"


def _group_status(statuses: Sequence[str]) -> str:
    worst = worst_status(status for status in statuses if status != "inherited")
    return "inherited" if "inherited" in statuses and worst not in FAILS else worst


def _finding(values: dict[str, Any]) -> Finding:
    """A Finding of plain values; what a record of an earlier version knows besides is left out."""
    worst, known = values["worst"], {item.name for item in fields(Finding)}
    if worst:
        worst = Worst(tuple(worst["index"]), *(float(worst[name]) for name in ("actual", "reference", "bound")))
    numbers: dict[str, float | None] = {
        name: float(values[name]) for name in ("share", "loose", "bound_norm", "reference_norm")
    }
    spread = {name: values.get(name) for name in ("notices", "low", "high", "mean")}
    numbers |= {name: None if value is None else float(value) for name, value in spread.items()}
    values = {name: value for name, value in values.items() if name in known}
    return Finding(**values | numbers | {"worst": worst, "histogram": tuple(values["histogram"])})
