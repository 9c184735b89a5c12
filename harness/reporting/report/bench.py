"""The page of a `rosetta bench`, from what the bench stored: totals, bars, the roofline of this machine, every step."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import cycle
from math import inf, log10
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from ...errors import RecordError
from ...judging.row import faster_or_slower
from ...running.steps import PASSES
from ..lines import printable
from ..record import read_json, reading
from . import charts, filled, words

FORMAT = "alexnet-rosetta bench"
SHOWN = 0.01
"""Share of the time of a pass, in some engine, from which on a layer has bars of its own."""
ROOFLINE = (10.0, 6.2)
"""Inches of that chart."""
Pair = tuple[float, float]


def rendered(record: str | Path, kind: str = "html", fail_on: Sequence[str] = ()) -> bytes:
    """The page of a stored bench; RecordError where the file is none, or no page is asked for."""
    if kind != "html" or fail_on:
        raise RecordError(f"{record} is no record with verdicts", hint="a bench has a page, html, and no more")
    with reading(record, "a .json file that 'rosetta bench --out' wrote"):
        return page(read_json(Path(record)))


def page(about: Mapping[str, Any]) -> bytes:
    """The page of what `bench.tables.as_json` holds."""
    if about.get("format") != FORMAT or about.get("version") not in (1, 2):
        raise RecordError("this is no bench of this program", expected=f"{FORMAT!r}, version 1 or 2",
                          actual=f"{about.get('format')!r}, version {about.get('version')!r}")  # fmt: skip
    engines, steps = [*map(printable, about["options"]["engines"])], [_step(one, about) for one in about["layers"]]
    colours = dict(zip(engines, cycle(charts.COLOURS), strict=False))
    totals = [_total(steps, step, about) for step in (*PASSES, "all")]
    facts: dict[str, Any] = {
        "about": about, "engines": engines, "steps": [_line(one, engines) for one in steps],
        "totals": [_line(one, engines) for one in totals if any(one["seconds"].values())],
        "intervals": any(one["ratios"] for one in steps),
        "created": datetime.fromisoformat(about["created"]).strftime("%d %B %Y, %H:%M UTC"),
        "rates": {printable(name): float(rate) for name, rate in about["images_per_second"].items()},
        "sentence": _sentence(totals[-1], engines), "command": words.bench_command(about),
        "memory": {printable(name): size for name, size in about.get("memory", {}).items() if size > 0},
        "bars": [(step, _bars([one for one in steps if one["pass"] == step], colours, step))
                 for step in PASSES if any(one["pass"] == step for one in steps)],
        "roofline": _roofline(steps, colours, about["peaks"].values()),
        "roofs": [f"{name}: on the roof all steps together would take {1e3 * least:,.0f} ms, and they take "
                  f"{1e3 * totals[-1]['seconds'][name]:,.0f}" for name, least in totals[-1]["roof"].items()],
    }  # fmt: skip
    return filled("bench.html", **facts).encode("utf-8", "backslashreplace")


def _step(one: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """A layer and pass of the record; ``roof``: by engine the least seconds, of computing and moving the longer."""
    seconds = {printable(name): float(value) for name, value in one["seconds"].items()}
    work = int(one["operations"]), int(one["bytes"])
    roof = {printable(name): max(work[0] / peak["flops"], work[1] / peak["bandwidth"])
            for name, peak in about["peaks"].items() if name in one["seconds"]}  # fmt: skip
    if not all(0 <= value < inf for value in seconds.values()):
        raise RecordError(f"seconds of {one['layer']} {one['pass']} are no times")
    return {
        "layer": printable(one["layer"]), "pass": one["pass"], "work": work, "roof": roof,
        "seconds": seconds, "spread": {printable(name): float(value) for name, value in one["spread"].items()},
        "ratios": _intervals(one.get("ratio_95", {}), about),
    }  # fmt: skip


def _intervals(found: Any, about: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """By engine, the interval of its seconds over the last engine's; version 1 has those of the first of two."""
    named = found if isinstance(found, Mapping) else {about["options"]["engines"][0]: found}
    return {printable(name): (float(low), float(high)) for name, (low, high) in named.items()}


def _total(steps: Sequence[Mapping[str, Any]], step: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The sum of a pass over all layers, as a step."""
    own = [one for one in steps if step in (one["pass"], "all")]
    return {
        "layer": "total", "pass": step, "work": tuple(sum(one["work"][k] for one in own) for k in (0, 1)),
        "ratios": _intervals(about.get("total_ratio_95", {}).get(step, {}), about),
        **{key: _summed(own, key) for key in ("seconds", "spread", "roof")},
    }  # fmt: skip


def _summed(steps: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    names = list(dict.fromkeys(name for one in steps for name in one[key]))
    return {name: sum(one[key].get(name, 0.0) for one in steps) for name in names}


def _line(one: Mapping[str, Any], engines: Sequence[str]) -> dict[str, Any]:
    """A step as the tables show it: by engine milliseconds and share of the roof; ratios to the last."""
    operations, moved = one["work"]
    cells, last = [], one["seconds"].get(engines[-1])
    for name in engines:
        seconds, roof = one["seconds"].get(name), one["roof"].get(name)
        ratio, limits = (seconds / last if seconds and last else None), one["ratios"].get(name)
        cells.append({"ms": seconds and 1e3 * seconds, "spread": 1e3 * one["spread"].get(name, 0.0),
                      "roof": seconds and roof and roof / seconds, "ratio": ratio, "limits": limits,
                      "word": limits and faster_or_slower(*limits)})  # fmt: skip
    return {"layer": one["layer"], "pass": one["pass"], "cells": cells, "gflop": operations / 1e9,
            "mib": moved / 2**20, "intensity": operations / moved if moved else None}  # fmt: skip


def _sentence(total: Mapping[str, Any], engines: Sequence[str]) -> str:
    """What a step takes, and what the intervals say of it."""
    takes = ", ".join(f"{name} {1e3 * total['seconds'][name]:,.0f} ms" for name in engines)
    told = ", ".join(f"{name} {faster_or_slower(low, high).replace('~', 'the ')} ({low:.2f} to {high:.2f} of its time)"
                     for name, (low, high) in total["ratios"].items())  # fmt: skip
    return f"A step takes {takes}." + (f" Beside {engines[-1]}: {told}." if told else "")


def _bars(steps: Sequence[Mapping[str, Any]], colours: Mapping[str, str], name: str) -> Markup:
    """Milliseconds of the layers of a pass, in the order of execution; the small ones together at the end."""
    total = _summed(steps, "seconds")
    small = [one for one in steps if all(s < SHOWN * total[e] for e, s in one["seconds"].items())]
    rows = [(one["layer"], one["seconds"]) for one in steps if one not in small]
    rows += [(f"{len(small)} smaller", _summed(small, "seconds"))] if small else []
    height = 0.84 / len(colours)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(xlabel="milliseconds")
        for k, (engine, colour) in enumerate(colours.items()):
            at = np.arange(len(rows)) + (k - (len(colours) - 1) / 2) * height
            widths = [1e3 * seconds.get(engine, 0.0) for _, seconds in rows]
            drawn = axes.barh(at, widths, 0.9 * height, color=colour, label=engine)
            axes.bar_label(drawn, fmt=lambda value: f"{value:.3g}", padding=2, fontsize=6.5)
        axes.set_yticks(range(len(rows)), [layer for layer, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="x", color="#88888844", lw=0.5)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(colours), fontsize=8)

    text = f"milliseconds of the {name} pass: " + "; ".join(
        f"{layer} " + ", ".join(f"{engine} {1e3 * value:.3g}" for engine, value in seconds.items())
        for layer, seconds in rows
    )
    size = (10, 0.9 + len(rows) * (0.1 + 0.11 * len(colours)))
    return Markup(charts.labelled(charts.svg(draw, f"bars {name}", size), text))


def _roofline(steps: Sequence[Any], colours: Mapping[str, str], peaks: Iterable[Mapping[str, Any]]) -> Markup:
    """GFLOP/s against operations for each byte: a mark for each step and engine, below what the machine can do."""
    marks = [(one, name, one["work"][0] / one["work"][1], one["work"][0] / one["seconds"][name] / 1e9)
             for one in steps for name in colours if all(one["work"]) and one["seconds"].get(name)]  # fmt: skip
    roofs = {(float(peak["flops"]), float(peak["bandwidth"])) for peak in peaks}
    if not marks or not roofs:
        return Markup()
    across = [x for _, _, x, _ in marks] + [flops / bandwidth for flops, bandwidth in roofs]
    along = [y for *_, y in marks] + [flops / 1e9 for flops, _ in roofs]
    (left, right), (low, high) = ((min(values) / 2, max(values) * 2) for values in (across, along))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(xlabel="operations for each byte", ylabel="GFLOP/s", xscale="log", yscale="log")
        for flops, bandwidth in roofs:
            line = np.geomspace(left, right, 400)
            axes.plot(line, np.minimum(flops, line * bandwidth) / 1e9, color=charts.INK, lw=1)
            ridge = flops / bandwidth
            for text, at in ((f"{flops / 1e9:.3g} GFLOP/s", ridge), (f"{bandwidth / 1e9:.3g} GB/s", ridge / 3)):
                axes.annotate(text, (at, at * bandwidth / 1e9), (-4, 3), textcoords="offset points", ha="right",
                              fontsize=8)  # fmt: skip
        for one, name, x, y in marks:
            axes.plot(x, y, charts.MARKERS[one["pass"]], ms=5, color=colours[name], mec="none", alpha=0.7)
        for x, y, text in _labels(marks, roofs, (left, right), (low, high)):
            axes.annotate(text, (x, y), ha="center", va="center", fontsize=7)
        for name, colour in colours.items():
            axes.plot([], [], "-", lw=4, color=colour, label=name)
        for step in dict.fromkeys(one["pass"] for one in steps):
            axes.plot([], [], charts.MARKERS[step], color="#888888", label=step)
        axes.set(xlim=(left, right), ylim=(low, high))
        for axis in (axes.xaxis, axes.yaxis):
            charts.plain_ticks(axis)
        axes.grid(color="#88888844", lw=0.5)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(colours) + 3, fontsize=8)

    text = f"roofline: {len(marks)} marks of {len(steps)} steps; the table of every step has their figures"
    return Markup(charts.labelled(charts.svg(draw, "roofline", ROOFLINE), text))


def _labels(
    marks: Sequence[tuple[Any, str, float, float]], roofs: Iterable[Pair], across: Pair, along: Pair
) -> Iterator[tuple[float, float, str]]:
    """(x, y, name) of labels that touch neither each other nor a mark or roof: of each kind of work the slowest."""
    wide, high = ROOFLINE[0] - 0.8, ROOFLINE[1] - 1.1  # inches between the axes

    def place(x: float, y: float) -> Pair:
        return (wide * log10(x / across[0]) / log10(across[1] / across[0]),
                high * log10(y / along[0]) / log10(along[1] / along[0]))  # fmt: skip

    line = [(x, min(flops, x * bandwidth) / 1e9) for flops, bandwidth in roofs for x in np.geomspace(*across, 200)]
    # centre, half of width and height
    taken = [(*place(x, y), 0.05, 0.05) for *_, x, y in marks] + [(*place(x, y), 0.02, 0.02) for x, y in line]
    kinds: dict[Any, list[Any]] = {}
    for mark in sorted(marks, key=lambda mark: -max(mark[0]["seconds"].values())):
        kinds.setdefault((mark[0]["pass"], mark[0]["work"]), []).append(mark)
    for own in kinds.values():
        text, (left, top) = f"{own[0][0]['layer'][:24]} {own[0][0]['pass']}", place(own[0][2], max(m[3] for m in own))
        half, bottom = 0.027 * len(text), place(own[0][2], min(m[3] for m in own))[1]
        beside = half + 0.1
        for dx, up in ((0, top + 0.13), (0, bottom - 0.13), (beside, top), (-beside, top), (beside, bottom)):
            inside = half < left + dx < wide - half and 0.1 < up < high - 0.1
            if inside and not any(abs(left + dx - a) < half + c and abs(up - b) < 0.06 + d for a, b, c, d in taken):
                taken.append((left + dx, up, half, 0.06))
                yield (across[0] * (across[1] / across[0]) ** ((left + dx) / wide),
                       along[0] * (along[1] / along[0]) ** (up / high), text)  # fmt: skip
                break
