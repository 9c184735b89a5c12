"""What stands in the report, gathered from a record and put into the template."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, metadata
from math import inf
from types import MappingProxyType
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from ...judging.finding import AGREES, FAILS
from ...judging.ledger import ledger
from ...judging.row import Row, decisive, run_code, step_lines, total_seconds
from .. import lines
from ..formats import excused
from ..record import Record
from . import charts, drawing, filled, images, words

TONES = {"green": "good", "yellow": "open", "bold red": "bad", "magenta": "bad", "cyan": "open"}
"""Class in the style sheet by the colour that a mark has in a terminal."""


def render(record: Record) -> str:
    """The page as text."""
    return filled("report.html", **facts(record))


def fragment(comparison: Any) -> str:
    """Sentence, numbers and layer table of an `api.Comparison`, to stand in somebody else's page."""
    rows = comparison.table
    engines = list(dict.fromkeys(name for row in rows for name in row.findings))
    return filled(
        "fragment.html",
        sentence=comparison.sentence,
        counts=counts(rows),
        totals=total_seconds(rows),
        steps=[step_line(line, engines) for line in step_lines(rows)],
        engines=engines,
        kernels_of="",
        propagated=any(row.mode == "propagated" for row in rows),
    )


def facts(record: Record) -> dict[str, Any]:
    """The names that the template uses."""
    about, rows = record.about, record.rows
    engines = list(about["engines"])
    excuse = excused(rows, *(about["options"].get(name, ()) for name in ("allow", "fail_on")))
    failed = any(found.fails for _, found in decisive(rows))
    launched: tuple[str, dict[str, Any]] = next(iter(about.get("kernels", {}).items()), ("", {}))
    layers = about["network"]["layers"]
    isolated = [row for row in rows if row.mode == "isolated"]
    propagated = [row for row in rows if row.mode == "propagated"]
    return {
        "about": about,
        "introduction": about["introduction"] if "introduction" in about else list(words.about_the_run(about)),
        "command": words.command(about["options"]),
        "drawing": drawing.network(layers) if layers and all("shape" in layer for layer in layers) else "",
        "kernels_of": launched[0],
        "addresses": addresses(),
        "created": datetime.fromisoformat(about["created"]).strftime("%d %B %Y, %H:%M UTC"),
        "engines": engines,
        "tone": {0: "good", 1: "bad", 3: "open"}[run_code(rows)] if not excuse or failed else "allowed",
        "excuse": excuse,
        "counts": counts(rows),
        "totals": total_seconds(rows),
        "steps": [step_line(line, engines, launched[1]) for line in step_lines(rows)],
        "tensors": [tensor_line(row, about["options"]) for row in rows],
        "ledger": ledger(propagated),
        "charts": [*chart_list(isolated, propagated, engines), *parts_chart(about.get("parts", {}))],
        "pictures": list(zip(images.thumbnails(record.arrays.get("pictures", ())), about["captions"], strict=False)),
        "filters": filter_pictures(record.arrays),
    }


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """How many tensors got which verdict, in four groups."""
    statuses = Counter(found.status for _, found in decisive(rows))
    agree, fail = sum(statuses[name] for name in AGREES), sum(statuses[name] for name in FAILS)
    return {
        "agree": agree,
        "identical": statuses["identical"],
        "different": fail,
        "other": statuses.total() - agree - fail,
        "inherited": sum(list(row.origin.values()).count("inherited") for row in rows if row.mode == "propagated"),
    }


def step_line(
    line: dict[str, Any], engines: Sequence[str], kernels: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """One line of the layer table; ``kernels`` are those launched, by layer and pass."""
    mark = lines.EXPLAINED if line["quirk"] else lines.MARKS.get(line["verdict"], lines.FAILED)
    return line | {
        "mark": mark,
        "tone": TONES[lines.COLOURS[mark]],
        "used": "" if line["share"] is None else used(line["share"]),
        "kernels": kernels.get(line["layer"], {}).get(line["pass"], []),
        "seconds": [line.get(f"seconds {engine}") for engine in engines],
    }


def used(share: float) -> str:
    """The share of the bound in figures; ``bits`` where the same bits were asked for, and are not there."""
    return "bits" if share == inf else f"{share:.3g}"


def tensor_line(row: Row, options: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the tensor table; `options` are those of the run."""
    engine, worst = row.telling()
    mark = lines.mark(row)
    return {
        "mark": mark,
        "tone": TONES[lines.COLOURS[mark]],
        "row": row,
        "verdict": lines.verdict(row),
        "share": worst.share if worst.elements else None,
        "used": used(worst.share) if worst.elements else "",
        "ulps": lines.ulps(row),
        "loose": max(found.loose for found in row.findings.values()),
        "notices": max(
            (found.surely_notices for found in row.findings.values() if found.surely_notices is not None), default=None
        ),
        "worst": worst.worst,
        "place": row.where(worst.worst),
        "explain": words.explanation(options, row, row.place(worst.worst)) if worst.elements else "",
        "engine": engine,
        "bitwise": "; ".join("same" if not n else f"{n:,} differ" for n in row.bitwise.values()),
        "elements": max(found.elements for found in row.findings.values()),
        "notes": list(lines.explanations(row)),
    }


def chart_list(
    isolated: Sequence[Row], propagated: Sequence[Row], engines: Sequence[str]
) -> list[tuple[str, str, str, Markup]]:
    """(title, what it shows, the same in figures, SVG) of the charts that the rows have something for."""
    found = []

    def add(
        title: str, text: str, chart: Callable[[Sequence[Row], Sequence[str]], Figure], rows: Sequence[Row]
    ) -> None:
        figures = charts.IN_FIGURES[chart](rows, engines)
        found.append(
            (
                title,
                text,
                figures,
                Markup(charts.labelled(charts.as_svg(chart(rows, engines), chart.__name__), f"{title}. {figures}")),
            )
        )

    if any(finding.elements for row in isolated for finding in row.findings.values()):
        add("Errors", SHARE_TEXT, charts.share_chart, isolated)
        add("Distribution", HISTOGRAM_TEXT, charts.histogram_chart, isolated)
    if any(row.distances for row in propagated):
        add("Drift", DEPTH_TEXT, charts.depth_chart, propagated)
    if any(row.seconds for row in isolated):
        add("Time", TIME_TEXT, charts.time_chart, isolated)
    return found


def parts_chart(parts: Mapping[str, float]) -> Iterator[tuple[str, str, str, Markup]]:
    """The chart of where the time of the whole run went, as in `chart_list`; none of a record without it."""
    if parts:
        figures = f"{lines.parts(parts)}."
        svg = charts.labelled(charts.parts_chart(parts), f"{PARTS_TITLE}. {figures}")
        yield PARTS_TITLE, PARTS_TEXT, figures, Markup(svg)


def addresses() -> list[tuple[str, ...]]:
    """(what, address) of the pages that the package names as its own: source, documentation."""
    try:
        named = metadata("alexnet-rosetta").get_all("Project-URL") or []
    except PackageNotFoundError:
        return []
    return [tuple(part.strip() for part in text.split(",", 1)) for text in named]


def filter_pictures(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """(caption, address) of the first layer's filters and of their gradients."""
    captions = {"filters": "filters of", "filters_grad": "their gradients, "}
    return [
        (f"{captions[kind]} {layer}", images.filter_grid(arrays[name]))
        for name in sorted(arrays, key=lambda name: name.split(".", 1)[::-1])
        for kind, _, layer in [name.partition(".")]
        if kind in captions
    ]


SHARE_TEXT = (
    "Each point is one tensor: the element that came closest to the limit of what rounding may do to it. "
    "Below the dashed line the engine computes what the formula says; above it, it computes something else."
)
HISTOGRAM_TEXT = "All elements of all tensors: how much of its own bound each one used."
DEPTH_TEXT = (
    "Each engine fed itself. Small roundings grow with depth, and one flipped ReLU or pooling maximum makes a jump; "
    "that is no fault of the layer where it shows."
)
PARTS_TITLE = "Where the time went"
PARTS_TEXT = (
    "Wall seconds of the whole run. prepare: drawing inputs and weights, opening the engines. reference: the formulas "
    "in 64 bits, while the judge works beside them. judging: waiting for the judge. This page is not in it."
)
TIME_TEXT = "Wall seconds of each layer: full colour forward, lighter backward, lightest update."
