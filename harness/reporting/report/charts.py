"""Charts as matplotlib figures, and as inline SVG whose text and axes take the page's own colour, light or dark."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from markupsafe import escape
from matplotlib import rc_context
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ...judging.finding import HIGHEST_EXPONENT, LOWEST_EXPONENT
from ...judging.row import Row, by_step

COLOURS = ("#d9822b", "#2b8cbe", "#7a5195", "#2ca25f", "#c51b8a")
INK = "#010203"
MARKERS = {
    **dict.fromkeys(("forward", "pair", "test", "view 1", "view 2", "view 3"), "o"),
    "backward": "s",
    "update": "^",
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a layer may be called $x$
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def share_chart(rows: Sequence[Row], engines: Sequence[str]) -> Figure:
    """The share of the bound that each tensor used, layer by layer, on a logarithmic axis; 1 is the limit."""
    layers = list(dict.fromkeys(row.layer for row in rows))
    floor = 1e-5

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for k, engine in enumerate(engines):
            for step, marker in MARKERS.items():
                points = [
                    (layers.index(row.layer) + 0.2 * (k - (len(engines) - 1) / 2), row.findings[engine].share)
                    for row in rows
                    if row.step == step and engine in row.findings and row.findings[engine].elements
                ]
                if points:
                    x, y = np.transpose(points)
                    label = f"{engine} {step}"
                    axes.plot(
                        x, np.clip(y, floor, 1e3), marker, ms=4, color=COLOURS[k], mec="none", alpha=0.75, label=label
                    )
        axes.axhline(1, color="#d62728", lw=1, ls="--")
        axes.annotate("the bound", (len(layers) - 0.5, 1), ha="right", va="bottom", fontsize=8, color="#d62728")
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)
        axes.set_ylim(floor / 1.5, max(2, axes.get_ylim()[1]))
        axes.set_ylabel("share of the bound used (bottom line: 0; top: 1000 or more)")
        axes.set_xticks(range(len(layers)), layers, rotation=90)
        axes.set_xlim(-0.7, len(layers) - 0.3)
        axes.grid(axis="y", color="#88888844", lw=0.5)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8, handletextpad=0.1)

    return drawn(draw, (10, 4.2))


def _times(rows: Sequence[Row]) -> dict[tuple[str, str, str], float]:
    """Seconds by layer, engine and pass."""
    return {
        (layer, engine, step): seconds
        for (_, layer, _, step), group in by_step(rows).items()
        for row in group
        for engine, seconds in row.seconds.items()
    }


def time_chart(rows: Sequence[Row], engines: Sequence[str]) -> Figure:
    """Seconds per layer and engine; forward, backward and update stacked."""
    times = _times(rows)
    layers = list(dict.fromkeys(layer for layer, _, _ in times))
    height = 0.8 / max(1, len(engines))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for k, engine in enumerate(engines):
            left = np.zeros(len(layers))
            at = np.arange(len(layers)) + (k - (len(engines) - 1) / 2) * height
            for step in MARKERS:
                alpha = {"backward": 0.6, "update": 0.3}.get(step, 1.0)
                widths = np.array([times.get((layer, engine, step), 0.0) for layer in layers])
                if widths.any():
                    axes.barh(at, widths, height, left, color=COLOURS[k], alpha=alpha, label=f"{engine} {step}")
                left += widths
        axes.set_yticks(range(len(layers)), layers)
        axes.set_ylim(len(layers) - 0.4, -0.6)
        axes.set_xlabel("seconds")
        axes.grid(axis="x", color="#88888844", lw=0.5)
        axes.legend(loc="lower right", fontsize=8)

    return drawn(draw, (10, 1 + 0.2 * len(layers)))


def parts_chart(parts: Mapping[str, float]) -> str:
    """The wall seconds of the whole run by part, the longest on top."""
    names = sorted(parts, key=parts.__getitem__)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        bars = axes.barh(names, [parts[name] for name in names], 0.7, color=COLOURS[1])
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
        axes.set_xlabel("seconds")

    return svg(draw, "parts", (10, 0.8 + 0.25 * len(names)))


def _histograms(rows: Sequence[Row], engines: Sequence[str]) -> dict[str, np.ndarray]:
    own = {engine: [row.findings[engine].histogram for row in rows if engine in row.findings] for engine in engines}
    return {engine: np.sum(histograms, axis=0) for engine, histograms in own.items()}


def histogram_chart(rows: Sequence[Row], engines: Sequence[str]) -> Figure:
    """Elements of all tensors by share of their bound, in powers of two."""
    totals = _histograms(rows, engines)
    used = [k for counts in totals.values() for k in np.flatnonzero(counts[1:] > 1e-4 * counts.sum())]
    exponents = np.arange(LOWEST_EXPONENT, HIGHEST_EXPONENT + 1)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for k, (engine, counts) in enumerate(totals.items()):
            shares = counts / max(1, counts.sum())
            label = f"{engine} ({shares[0]:.1%} without any error)"
            axes.stairs(shares[1:], np.append(exponents, HIGHEST_EXPONENT + 1), color=COLOURS[k], lw=1.5, label=label)
        axes.axvline(0, color="#d62728", lw=1, ls="--")
        axes.set_xlim(LOWEST_EXPONENT + int(min(used, default=0)), 3)
        axes.set_xlabel("log₂ of the share of its bound that an element used")
        axes.set_ylabel("share of all elements")
        axes.legend(loc="upper left", fontsize=8)

    return drawn(draw, (10, 2.6))


def depth_chart(rows: Sequence[Row], engines: Sequence[str]) -> Figure:
    """Propagated mode: distance from the reference over depth."""
    steps = [row for row in rows if row.distances]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for k, engine in enumerate(engines):
            norms = [row.distances.get(engine, {}).get("norm", np.nan) for row in steps]
            axes.plot(norms, "o-", ms=3, lw=1, color=COLOURS[k], label=engine)
        axes.set_yscale("symlog", linthresh=1e-9)
        plain_ticks(axes.yaxis)
        axes.set_ylabel("relative distance ‖x − r‖ / ‖r‖")
        axes.set_xticks(range(len(steps)), [f"{row.layer} {row.tensor}" for row in steps], rotation=90, fontsize=7)
        axes.grid(axis="y", color="#88888844", lw=0.5)
        axes.legend(fontsize=8)

    return drawn(draw, (10, 4.2))


def shares_in_figures(rows: Sequence[Row], engines: Sequence[str]) -> str:
    """The tensor that came closest to its bound, of each engine."""
    closest = {name: max(rows, key=partial(_share_of, name)) for name in engines}
    return _list(
        f"{name} {_most(row.findings[name].share)}, in {row.layer} {row.step} {row.tensor}"
        for name, row in closest.items()
    )


def _share_of(engine: str, row: Row) -> float:
    return row.findings[engine].share if engine in row.findings else -1.0


def _most(share: float) -> str:
    """What an engine did that used this largest share of a bound."""
    return (
        f"used at most {share:.3g} of a bound" if np.isfinite(share) else "has other bits where the same were asked for"
    )


def histograms_in_figures(rows: Sequence[Row], engines: Sequence[str]) -> str:
    """How many elements had no error, and how many more than half of their bound, of each engine."""
    half = -LOWEST_EXPONENT  # the bin of 2**-1 to 1
    return _list(
        f"{name}: {counts[0] / max(1, counts.sum()):.1%} of {counts.sum():,} elements without any error, "
        f"{counts[half:].sum():,} used more than half of their bound"
        for name, counts in _histograms(rows, engines).items()
    )


def depth_in_figures(rows: Sequence[Row], engines: Sequence[str]) -> str:
    """The largest and the last relative distance of each engine."""
    found = {name: [row.distances[name]["norm"] for row in rows if name in row.distances] for name in engines}
    return _list(
        f"{name}: at most {max(norms):.2g}, at the end {norms[-1]:.2g}" for name, norms in found.items() if norms
    )


def times_in_figures(rows: Sequence[Row], engines: Sequence[str]) -> str:
    """The slowest layers of each engine."""
    times = _times(rows)
    parts = []
    for name in engines:
        own: dict[str, float] = {}
        for (layer, engine, _), seconds in times.items():
            if engine == name:
                own[layer] = own.get(layer, 0.0) + seconds
        slowest = sorted(own, key=own.__getitem__, reverse=True)[:3]
        parts.append(f"{name}, slowest layers: " + ", ".join(f"{layer} {own[layer]:.3g} s" for layer in slowest))
    return _list(parts)


IN_FIGURES: dict[Callable[[Sequence[Row], Sequence[str]], Figure], Callable[[Sequence[Row], Sequence[str]], str]] = {
    share_chart: shares_in_figures,
    histogram_chart: histograms_in_figures,
    depth_chart: depth_in_figures,
    time_chart: times_in_figures,
}
"""What each chart shows, in words and figures, for readers who do not see it."""


def labelled(svg: str, text: str) -> str:
    """The SVG as one picture with a text alternative."""
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(text)}" ', 1)


def _list(parts: Iterable[str]) -> str:
    return "; ".join(parts) + "."


def plain_ticks(axis: Axis) -> None:
    """Numbers on a logarithmic axis as text; names from files must not be formulas, so nothing is one."""
    axis.set_major_formatter(lambda value, position: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def drawn(draw: Callable[[Figure], None], size: tuple[float, float], **more: Any) -> Figure:
    """What ``draw`` draws into a figure of that size in inches: a matplotlib Figure."""
    with rc_context(STYLE), np.errstate(all="ignore"):
        figure = Figure(figsize=size, layout="constrained", **more)
        draw(figure)
    return figure


def as_svg(figure: Figure, name: str) -> str:
    """A figure as inline SVG without a background, in the page's own colour of text."""
    buffer = io.StringIO()
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_alpha(0)
    with rc_context(STYLE | {"svg.hashsalt": name}), np.errstate(all="ignore"):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :].replace(INK, "currentColor")


def svg(draw: Callable[[Figure], None], name: str, size: tuple[float, float]) -> str:
    """What ``draw`` draws, as SVG."""
    return as_svg(drawn(draw, size), name)


def png(draw: Callable[[Figure], None], size: tuple[float, float]) -> bytes:
    """The same as the bytes of a PNG file, on white."""
    buffer = io.BytesIO()
    with rc_context(STYLE), np.errstate(all="ignore"):
        drawn(draw, size, dpi=120).savefig(buffer, format="png")
    return buffer.getvalue()
