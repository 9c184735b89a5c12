"""The page of a sweep: failures first, networks against engines, the tensors closest to their bounds, times."""

from collections import Counter
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ..judging.finding import AGREES, FAILS
from ..reporting import report
from ..reporting.lines import printable
from ..reporting.report import charts
from .run import CODES, exit_code, sentence

WORST, LISTED = 25, 2000
"""Tensors that are shown, and parts in the last table."""
TONES = {"agrees": "good", "explained": "good", "different": "bad", "failed": "bad"}
"""Classes of the style sheet; ``open`` for all other statuses."""
TELLING = ("check", "instructions", "engines", "input", "batch", "seed", "of_mode", "quirks", "level", "threads")
SERIES = ["engine", "network", "instructions", "threads"]


def render(title: str, frame: Any, counts: Counter[str], total: int, failed: dict[str, str]) -> str:
    """The page of a frame that `run.table` gave; ``failed`` says of parts without rows, by label, why."""
    parts = _plain(frame.drop_duplicates("part")) if len(frame) else []
    parts.sort(key=lambda one: list(CODES).index(one["status"]))
    facts = {
        "title": title, "counts": counts, "total": total, "failed": failed, "parts": parts, "listed": LISTED,
        "tones": TONES, "sentence": sentence(counts, total), "code": exit_code(counts, total),
        "columns": [name for name in TELLING if len({one[name] for one in parts}) > 1],
        "seconds": sum(one["part_seconds"] for one in parts), "matrix": {}, "engines": [], "worst": [], "chart": "",
    }  # fmt: skip
    rows = frame[frame["engine"].notna()] if len(frame) else frame
    if len(rows):
        facts |= {"matrix": _matrix(rows), "engines": list(dict.fromkeys(rows["engine"]))}
        facts |= {"worst": _worst(rows), "chart": _chart(rows)}
    return report.filled("page.html", Path(__file__).parent, **facts)


def _plain(frame: Any) -> list[dict[str, Any]]:
    """The rows of a frame for a page: nothing where there is nothing, and no control characters."""
    lines = frame.astype(object).where(frame.notna(), "").to_dict("records")
    return [{k: printable(v) if isinstance(v, str) else v for k, v in line.items()} for line in lines]


def _matrix(rows: Any) -> dict[str, dict[str, tuple[int, int, str]]]:
    """By network and engine, how many of how many tensors agree, and the tone of that."""
    found: dict[str, dict[str, tuple[int, int, str]]] = {}
    counted = rows[rows["origin"] != "inherited"]
    for (network, engine), own in counted.groupby(["network", "engine"], sort=False):
        agree, fails = int(own["verdict"].isin(AGREES).sum()), own["verdict"].isin(FAILS)
        tone = "bad" if (fails & (own["quirk"] == "")).any() else "good" if agree + fails.sum() == len(own) else "open"
        found.setdefault(printable(network), {})[engine] = agree, len(own), tone
    return found


def _worst(rows: Any) -> list[dict[str, Any]]:
    """The tensors that used most of their bounds, those that fail first; each of a network once for an engine."""
    rows = rows[rows["elements"] > 0]
    fails = rows["verdict"].isin(FAILS)
    rows = rows.assign(fails=fails, bad=fails & (rows["quirk"] == "")).sort_values(["bad", "fails", "share"])[::-1]
    return _plain(rows.drop_duplicates(["network", "layer", "pass", "tensor", "engine"]).head(WORST))


def _chart(rows: Any) -> Markup | str:
    """Seconds in layers against the batch, a line for each network and engine; "" with one batch alone."""
    rows = rows[rows["seconds"].notna()]
    if rows["batch"].nunique() < 2:
        return ""
    each = rows.groupby([*SERIES, "part", "batch"])["seconds"].sum().reset_index()
    median = each.groupby([*SERIES, "batch"])["seconds"].median().reset_index()
    engines = list(dict.fromkeys(median["engine"]))
    colours = {name: charts.COLOURS[k % len(charts.COLOURS)] for k, name in enumerate(engines)}

    def draw(figure: Any) -> None:
        axes = figure.add_subplot(xlabel="cases", ylabel="seconds in layers, median", xscale="log", yscale="log")
        for (engine, *_), own in median.groupby(SERIES, sort=False):
            axes.plot(own["batch"], own["seconds"], "o-", ms=3, lw=1, color=colours[engine])
        for (engine, network), own in median.groupby(["engine", "network"], sort=False):
            if median["network"].nunique() <= 6 and engine == engines[0]:
                axes.annotate(printable(network)[:24], own[["batch", "seconds"]].iloc[-1], fontsize=7)
        axes.set_xticks(sorted(median["batch"].unique()), [f"{one}" for one in sorted(median["batch"].unique())])
        axes.minorticks_off()
        for name, colour in colours.items():
            axes.plot([], [], color=colour, label=name)
        axes.legend(fontsize=8)

    text = f"seconds against cases, {len(median.groupby(SERIES))} lines"
    return Markup(charts.labelled(charts.svg(draw, "sweep", (10, 4)), text))
