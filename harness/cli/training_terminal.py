"""`rosetta train` and its companions in the terminal: a bar and lines, or plain lines where nobody looks."""

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from textwrap import wrap
from time import perf_counter
from types import FrameType
from typing import Any

from threadpoolctl import threadpool_limits

from .. import files, machine
from ..errors import BadInput, writing
from ..training import curves
from ..training.pictures import best
from ..training.run import Settings, Training
from ..training.trained import Trained
from .terminal import Screen, Terminal, bar, say, threads

REDRAW = 15.0
"""Seconds between drawings of the curves, unless there is a new test."""


def run_train(settings: Settings, out: Path, resume: bool) -> int:
    """Train, show, draw; returns the exit code: 0, or 130 if it was asked to end.

    A training that nobody reads any more stores a checkpoint and ends.
    """
    console, training = Terminal(), Training(settings, out, resume)
    screen = Screen(console)
    for line in headlines(training):
        screen.print(line)
    if resume:
        screen.print(f"goes on after {training.state.step} minibatches")
    display, drawn = Display(console, training), perf_counter()
    training.on_step = display.step
    with softly(training):
        try:
            training.stop = screen.lost is not None
            for event in training.events():
                for line in described(event):
                    screen.print(line)
                training.stop = training.stop or screen.lost is not None
                if event["kind"] == "saved" or perf_counter() - drawn > REDRAW:
                    drawn = perf_counter()
                    draw(training)
        finally:
            display.stop()
    screen.end(f"'rosetta train --resume {out}' goes on after the last checkpoint")
    if training.stop:
        say(console, f"interrupted after {training.state.step} minibatches; 'rosetta train --resume {out}' goes on")
        return 128 + signal.SIGINT
    say(console, f"at the end {curves.in_figures(training.log.events)}")
    shown = out / training.engines[-1] if len(training.engines) > 1 else out
    say(console, f"checkpoints, log.jsonl and curves.svg are in {out}; 'rosetta show {shown}' draws what was learned")
    return 0


def headlines(training: Training) -> Iterator[str]:
    """What is trained, on what, with what."""
    data, network = training.data, training.network
    yield (f"{training.title}, {threads(training.threads)}; {network.spec.parameter_count:,} parameters, "
           f"minibatches of {training.settings.batch}")  # fmt: skip
    yield (f"{data.kind}: {len(training.train_range)} batches to train with, {len(training.test_range)} to test with, "
           f"{data.classes} classes")  # fmt: skip
    for note in (*network.spec.warnings, *data.notes, *training.notes):
        yield f"note: {note}"


def described(event: dict[str, Any]) -> Iterator[str]:
    """Lines about an event, at most 80 columns wide where names are short."""
    if event["kind"] == "saved":
        yield f"stored checkpoint {event['name']}"
        return
    place = f"{event['epoch']}.{event['batch']}"
    rate = f"{event['cases'] / event['seconds']:,.0f} images/s" if event["seconds"] else ""
    what = {"train": place, "test": f"{place} test"}[event["kind"]]
    yield f"{what:<11} {event['engine']:<10} {curves.numbers(event):<30} {rate:>16}"


class Display:
    """A bar with what is left, on a terminal; nothing elsewhere."""

    def __init__(self, console: Terminal, training: Training) -> None:
        self.training, self._begin, self._first = training, perf_counter(), training.share
        self._bar = bar(console, 100) if console.is_terminal and not console.is_dumb_terminal else None

    def step(self) -> None:
        """After a minibatch."""
        if self._bar is None:
            return
        training, seconds = self.training, perf_counter() - self._begin
        done = training.share
        left = seconds * (1 - done) / max(done - self._first, 1e-9)
        state = training.state
        text = f"epoch {state.epoch}, batch {state.batch}, {int(left) // 60}:{int(left) % 60:02} left"
        progress, task = self._bar
        progress.update(task, completed=round(100 * done), description=text)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar[0].stop()


def draw(training: Training) -> None:
    """Draw the curves as far as they go."""
    with writing(f"{training.folder}: the curves"):
        curves.write(training.folder, training.log.events, training.title)


@contextmanager
def softly(training: Training) -> Iterator[None]:
    """Let the first request to end stop the training after its minibatch; the second one ends it at once."""
    before: dict[int, Any] = {number: signal.getsignal(number) for number in files.ENDING}

    def ask(number: int, frame: FrameType | None) -> None:
        training.stop = True
        signal.signal(number, before[number])

    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def stored(checkpoint: Path, trained: dict[str, Any]) -> Iterator[tuple[Callable[[str], None], Trained]]:
    """A function that prints a line, and a stored network that works with the threads that were asked for."""
    console, network = Terminal(), Trained(checkpoint, **trained)
    with threadpool_limits(network.threads):
        yield partial(say, console), network


def run_test(checkpoint: Path, test_range: str | None, views: int, batch: int | None, **trained: Any) -> None:
    """Test, and print the numbers per case."""
    with stored(checkpoint, trained) as (tell, network):
        costs, cases, _ = network.test(test_range, views, batch)
        tell(f"{network.checkpoint.path}: {cases:,} cases, {views} view{'s' if views > 1 else ''} each")
        for cost, values in costs.items():
            tell(f"{cost}: {', '.join(f'{value:.6f}' for value in values)}")


def run_features(checkpoint: Path, layer: str, test_range: str | None, out: Path, **trained: Any) -> None:
    """Write the outputs of a layer, batch by batch."""
    with stored(checkpoint, trained) as (tell, network):
        for path in network.write_features(layer, out, test_range):
            tell(f"wrote {path}")


def run_predict(checkpoint: Path, pictures: Sequence[Path], **trained: Any) -> None:
    """Print the best five answers to each picture, with bars."""
    with stored(checkpoint, trained) as (tell, network):
        for path, probabilities in network.predict(pictures):
            tell(str(path))
            for k, share in best(probabilities):
                name = network.names[k].split(",")[0] if k < len(network.names) else str(k)
                tell(f"  {name[:24]:<24} {100 * share:5.1f} % {'█' * round(40 * share)}")


def run_show(
    checkpoint: Path, test_range: str | None, case: int, wrong: bool, out: Path | None, **trained: Any
) -> None:
    """Draw the page."""
    from ..training.show import Page

    require_folder(out)
    with stored(checkpoint, trained) as (tell, network):
        page = Page(network, test_range, case, wrong)
        for note in page.notes:
            tell(f"note: {note}")
        written = page.write(out or network.checkpoint.path.parent / "show")
        tell(f"page {written}, {len(page.files)} pictures beside it")


def require_folder(out: Path | None) -> None:
    """BadInput, before minutes of work, if what comes of the work cannot be written."""
    if out is not None:
        with writing(out, "--out takes a folder"):
            files.try_folder(out)


def run_drift(
    net: str, out: Path | None, with_faults: bool, engines: Sequence[str], ensemble: int, held_out: int, **options: Any
) -> int:
    """Judge engines, and faults if they are asked for; returns the exit code."""
    from ..engines import available
    from ..training.drift import Drift, faults, passed
    from ..training.run import Settings

    console, settings = Terminal(), Settings(net, **options)
    chosen = available(engines)
    require_folder(out)
    found = Drift(settings, ensemble, held_out)
    outside, triples, count = found.false_positives
    say(console, f"{net} on {settings.data}: {settings.updates} updates of {settings.batch} cases, "
        f"{len(found.quantities)} distances after each, limits from {ensemble} runs")  # fmt: skip
    say(console, f"of {held_out} correct runs that had no part in setting the limits {outside} are outside: "
        f"false alarms in {triples} of the {count} ways to take three of them ({triples / count:.2%})")  # fmt: skip
    outcomes = [found.judge(engine.name, engine) for engine in chosen]
    planted = faults(found.network) if with_faults else []
    bent = [found.judge(name, found.carrier, network, bend) for name, network, bend in planted]
    for outcome in (*outcomes, *bent):
        say(console, str(outcome))
    if bent:
        say(console, f"{sum(not each.member for each in bent)} of {len(bent)} faults are outside")
    if out is not None:
        with writing(out, "--out takes a folder"):
            found.write(out, outcomes, bent)
        say(console, f"drift.html, drift.svg and drift.json are in {out}")
    return 0 if passed(outcomes, bent) else 1


def run_family(table: bool, out: Path | None, **options: Any) -> int:
    """Print what differs among the AlexNets, and what that changes; returns the exit code."""
    from ..training import family

    if table and out:
        raise BadInput("--table runs nothing, so that there is no page for --out", hint="leave out one of the two")
    require_folder(out)
    console, members = Terminal(), family.TOLD["members"]
    rows, same = family.differences()

    def show(lines: Iterable[str]) -> None:
        for line in lines:
            say(console, line)

    show(family.lines([["", *members], *rows], [19, *[16] * len(members)]))
    show(wrap(f"The same in all: {'; '.join(map(' '.join, same.items()))}.", 100))
    if table:
        return 0
    options["threads"] = machine.threads(options["threads"])
    widths, found, told = [34, *[12] * len(family.SHOWN), 6], [], family.about(**options)
    show(["", *wrap(told, 100), "", *family.lines([["", *family.SHOWN, "top 5"]], widths)])
    for effect in family.effects(**options):
        found.append(effect)
        show(family.lines([family.cells(effect)], widths))
    changes = family.controls(found)
    wrong = [what for what, change in changes.items() if not change <= family.ROUNDING]
    said = f"Controls that change: {', '.join(wrong)}" if wrong else "The controls change by rounding alone"
    say(console, f"{said}, {max(changes.values()):.1e} of the values at most.")
    if out is not None:
        with writing(out, "--out takes a folder"):
            say(console, f"page {family.write(out, found, told)}, family.md and effects.csv beside it")
    return 1 if wrong else 0
