"""Curves of cost and error, drawn from the lines of a log (data-checkpoints-tools 7.1)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files
from ..reporting.report import charts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = ("cost per case", "share of wrong first answers")
SIZE = (10, 3.6)


def series(events: Sequence[dict[str, Any]], engine: str, kind: str, cost: str, index: int) -> list[tuple[int, float]]:
    """The (minibatches seen, value per case) of a number of a cost in the data batches, or the tests, of an engine."""
    own = [event for event in events if event["kind"] == kind and event["engine"] == engine]
    return [(event["step"], event["costs"][cost][index]) for event in own if index < len(event["costs"].get(cost, ()))]


def drawer(events: Sequence[dict[str, Any]], title: str = "") -> Callable[["Figure"], None]:
    """A function that draws the curves of all engines in a log into a figure.

    One panel for each of the first two numbers of the first cost. The value of a data batch is that of training: with
    dropout, and before each update. The value of a test stands where it was measured.
    """
    engines = list(dict.fromkeys(event["engine"] for event in events))
    costs = list(dict.fromkeys(cost for event in events for cost in event["costs"]))

    def draw(figure: "Figure") -> None:
        figure.suptitle(title, fontsize=10)
        for index, (axes, label) in enumerate(zip(figure.subplots(1, 2), LABELS, strict=True)):
            for k, engine in enumerate(engines):
                colour = charts.COLOURS[k % len(charts.COLOURS)]
                for kind, style in (("train", {"alpha": 0.5, "lw": 1}), ("test", {"marker": "o", "ms": 3, "lw": 1.6})):
                    points = [series(events, engine, kind, cost, index) for cost in costs[:1]]
                    if points and points[0]:
                        axes.plot(*zip(*points[0], strict=True), color=colour, label=f"{engine} {kind}", **style)
            axes.set(xlabel="minibatches", ylabel=label)
            axes.set_ylim(bottom=0)
            axes.grid(color="#88888844", lw=0.5)
            if axes.lines:
                axes.legend(fontsize=8)

    return draw


def write(folder: str | Path, events: Sequence[dict[str, Any]], title: str) -> None:
    """Write ``curves.svg`` and ``curves.png`` into a folder; earlier ones stay until the new ones are whole."""
    draw = drawer(events, title)
    files.write(Path(folder, "curves.svg"), charts.svg(draw, "curves", SIZE).replace("currentColor", "#444").encode())
    files.write(Path(folder, "curves.png"), charts.png(draw, SIZE))


def in_figures(events: Sequence[dict[str, Any]]) -> str:
    """The last test of each engine, in words."""
    last = {event["engine"]: event for event in events if event["kind"] == "test"}
    smooth = {engine: "".join(f", {layer} {own:.0%} smooth (noise: {noise:.0%})" for layer, (own, noise) in
                              event.get("smooth", {}).items()) for engine, event in last.items()}  # fmt: skip
    return "; ".join(f"{engine}: {numbers(event)}{smooth[engine]}" for engine, event in last.items()) or "no test yet"


def numbers(event: dict[str, Any]) -> str:
    """The numbers of the first cost of an event, in words."""
    values: list[float] = next(iter(event["costs"].values()), [])
    return f"cost {values[0]:.4f}" + (f", error {100 * values[1]:.2f} %" if len(values) > 1 else "")
