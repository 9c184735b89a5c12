"""What a person sees at the command line: one line for each tensor, in columns."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf

from ..judging.finding import NOT_COMPARED, Finding
from ..judging.row import Row, looks_like, ratio, ratio_name
from ..network.load import LayerSpec

EXPLAINED = "*"
MARKS = {
    "identical": "=",
    "equivalent": "~",
    "inconclusive": "?",
    "unsupported": "-",
    "unavailable": "-",
    "inherited": ">",
}
FAILED = "!"
COLOURS = {"=": "green", "~": "green", "?": "yellow", "-": "yellow", "!": "bold red", "*": "magenta", ">": "cyan"}
SENTENCE_COLOURS = {0: "bold green", 1: "bold red", 3: "bold yellow"}
LEGEND = (
    "= same bits as the reference   ~ within what rounding allows   ! different   * different, explained by a quirk   "
    "> inherited difference   ? inconclusive   - not compared"
)
COLUMNS = {
    "bound used": "share of what rounding allows; 3 x: three times that; bits: the same bits were asked for",
    "worst at": "channel, y, x, image; of weights channel, y, x, filter",
    "distance": "‖engine - reference‖ / ‖reference‖; inherited: right from the reference's values; local: not",
}


class Lines:
    """Formats rows for one network and set of engines.

    ``mode``: of the run: ``propagated`` adds a column for the distance from the reference.
    ``width``: columns of the terminal: the less telling columns are left out where it is narrow. None: all are shown.
    """

    def __init__(
        self, layers: Sequence[LayerSpec], engines: Sequence[str], mode: str = "isolated", width: int | None = None
    ) -> None:
        self.engines = engines
        self.columns = {
            " ": 1,
            "layer": max([5, *(len(layer.name) for layer in layers)]),
            "type": max([4, *(len(layer.type) for layer in layers)]),
            "pass": 8,
            "tensor": 14,
            "verdict": 12 if len(engines) < 3 else max(len(f"unsupported: {engine}") for engine in engines),
            "bound used": 10,
            **({"distance": 8} if mode == "propagated" else {}),
            "worst at": 13,
            "ULP": 6,
            "bitwise": 9,
            **{f"{engine} s": max(8, len(engine) + 2) for engine in engines},
        }
        self.ratio = ratio_name(engines)
        if self.ratio:
            self.columns[self.ratio] = max(6, len(self.ratio))
        for name in ("type", "worst at", "bitwise", "ULP", self.ratio):
            if name in self.columns and width is not None and sum(self.columns.values()) + len(self.columns) > width:
                del self.columns[name]

    def header(self) -> str:
        """The names of the columns."""
        return self._line({name: name for name in self.columns})

    def reading(self) -> str:
        """How to read the columns that are shown."""
        return "   ".join(f"{name}: {text}" for name, text in COLUMNS.items() if name in self.columns)

    def row(self, row: Row, first_of_step: bool) -> str:
        """One tensor; seconds stand only in the first line of a layer's step."""
        _, worst = row.telling()
        cells = {
            " ": mark(row),
            "layer": row.layer,
            "type": row.type,
            "pass": row.step,
            "tensor": row.tensor,
            "verdict": verdict(row),
            "bound used": share(worst),
            "distance": _distance(row),
            "worst at": ",".join(map(str, row.place(worst.worst).values())),
            "ULP": ulps(row),
            "bitwise": _bitwise(row),
        }
        if first_of_step and row.seconds:
            cells |= {f"{engine} s": f"{value:.4f}" for engine, value in row.seconds.items()}
            cells[self.ratio] = "" if ratio(row.seconds) is None else f"{ratio(row.seconds):.2f}"
        return self._line(cells)

    def _line(self, cells: Mapping[str, str]) -> str:
        right = {"bound used", "distance", "ULP", self.ratio, *(f"{engine} s" for engine in self.engines)}
        parts = [
            cells.get(name, "").rjust(width) if name in right else cells.get(name, "").ljust(width)
            for name, width in self.columns.items()
        ]
        return " ".join(parts).rstrip()


def printable(text: str) -> str:
    """Text for a terminal: control characters, which names in files may hold, as escapes such as ``\\x1b``."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def mark(row: Row) -> str:
    """One character: how the worst engine did."""
    return EXPLAINED if row.explained() else MARKS.get(row.status(), FAILED)


def verdict(row: Row) -> str:
    """The worst status; in propagated mode ``local`` or ``unexplained`` for a difference that is the layer's own.

    Where the others were compared, the engines that were not are named.
    """
    word = next((word for word in ("local", "unexplained") if word in row.origin.values()), row.status())
    lacking = row.lacking() if word in NOT_COMPARED and len(row.findings) > 2 else []
    return f"{word}: {', '.join(lacking)}" if 0 < len(lacking) < len(row.findings) else word


class Told:
    """Remembers why tensors were not compared, so that each reason is told once."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()

    def news(self, row: Row) -> list[str]:
        """The `explanations` of a row, but for reasons that an earlier row gave."""
        lines = [text for text in explanations(row) if text not in self._reasons]
        reasons = tuple(found.reason for found in row.counted().values() if found.reason)
        self._reasons |= {text for text in lines if text.endswith(reasons)}
        return lines


def explanations(row: Row) -> Iterator[str]:
    """Sentences about engines that failed or were not compared."""
    for engine, found in row.counted().items():
        if text := explanation(row, engine):
            told = text if _is_measured(row, engine) else f"{found.status}: {text}"
            yield f"  {engine}: {told}"


def _is_measured(row: Row, engine: str) -> bool:
    return not (row.quirk.get(engine) or row.resembles.get(engine) or row.findings[engine].reason)


def explanation(row: Row, engine: str) -> str:
    """Why an engine's tensor does not agree, or was not compared: a quirk, a reason, or the worst element; else ""."""
    found = row.findings[engine]
    if row.quirk.get(engine):
        return f"explained by quirk {' with '.join(row.quirk[engine])}"
    if row.resembles.get(engine):
        return looks_like(*row.resembles[engine])
    if found.reason or not found.fails or found.worst is None:
        return found.reason
    worst = found.worst
    return (
        f"{found.outside} of {found.elements} elements outside the bound; at "
        f"{row.where(worst)}: {worst.actual:.9g}, reference {worst.reference:.9g}, allowed ±{worst.bound:.2g}"
    )


def parts(seconds: Mapping[str, float]) -> str:
    """Wall seconds by part and all of them, in words: ``reference 9.8 s, port 4.6 s; 14.4 s in all``."""
    longest = sorted(seconds.items(), key=lambda part: -part[1])
    listed = ", ".join(f"{name} {value:.1f} s" for name, value in longest)
    return f"{listed}; {sum(seconds.values()):.1f} s in all"


def share(found: Finding) -> str:
    """The share of its bound that a Finding used: ``3%``, ``12 x``, ``bits``; "" of nothing."""
    used = found.share
    if not found.elements:
        return ""
    if used == inf:
        return "bits"
    if used > 1:
        return f"{used:.3g} x" if used < 1000 else f"{used:,.0f} x" if used < 1e6 else f"{used:.0e} x"
    return f"{used:.0%}" if used >= 0.01 else f"{used:.1g}" if used else "0"


def ulps(row: Row) -> str:
    """The largest distance in units in the last place; ``sign`` where an engine has a sign wrong, "" of nothing."""
    if not row.telling()[1].elements:
        return ""
    if any(found.signs for found in row.findings.values()):
        return "sign"
    largest = max(found.ulps for found in row.findings.values())
    return str(largest) if largest < 10**6 else f"{largest:.0e}"


def _distance(row: Row) -> str:
    return f"{max(found['norm'] for found in row.distances.values()):.1e}" if row.distances else ""


def _bitwise(row: Row) -> str:
    if not row.bitwise:
        return ""
    return "same" if not any(row.bitwise.values()) else f"{max(row.bitwise.values())} differ"
