"""`rosetta compare`: rows while they are found, a progress bar on a terminal, the closing sentence, the record."""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from .. import engines, files
from ..bench import measure, tables
from ..comparison import Comparison, execute
from ..errors import BadInput, writing
from ..judging import ledger
from ..judging.finding import exit_code
from ..judging.row import Row, run_code, total_seconds
from ..reporting import lines
from ..reporting.formats import excused
from ..running.prepare import Options, step_count
from ..running.workload import Workload
from ..sweeps.part import Result
from ..sweeps.spec import Part
from .shared import INTERRUPTED


class Terminal(Console):
    """A console that leaves it to the command what happens when nobody reads on."""

    def on_broken_pipe(self) -> None:
        """Raise what the system raised; rich would end the program with the exit code of a difference."""
        raise BrokenPipeError


def threads(number: int) -> str:
    """A number of threads in words."""
    return f"{number} thread{'s' if number > 1 else ''}"


def bar(console: Console, total: int | None = None) -> tuple[Progress, TaskID]:
    """A progress bar that runs, and vanishes when it is stopped, and its only task."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
    task = progress.add_task("", total=total)
    progress.start()
    return progress, task


class Screen:
    """Prints lines until nobody reads them any more; what is printed then goes nowhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.lost: OSError | None = None  # why nothing more is printed

    def print(self, text: str, style: str | None = None) -> None:
        """One line, uncut; control characters as escapes."""
        try:
            say(self.console, text, style)
        except OSError as error:
            self.lost, self.console.quiet = error, True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still to be flushed

    def end(self, kept: str) -> None:
        """Raise what took the screen away: BrokenPipeError, or BadInput with what was ``kept`` as its hint."""
        if isinstance(self.lost, BrokenPipeError):
            raise self.lost
        if self.lost is not None:
            raise BadInput(f"standard output cannot be written: {self.lost.strerror}", hint=kept)


class Printer(Screen):
    """Prints rows as they come. A run goes on without its screen, for the sake of its record.

    ``mode``: the mode of the run.
    """

    def __init__(self, console: Console, mode: str) -> None:
        super().__init__(console)
        self.mode, self._told = mode, lines.Told()
        self.progress: Progress | None = None
        self._step: tuple[str, str, str] | None = None
        self._done: set[tuple[str, str, str]] = set()

    def started(self, work: Workload) -> None:
        """Headline and column names."""
        names = [engine.name for engine in work.engines]
        width = self.console.width if self.console.is_terminal else None
        self._lines = lines.Lines(work.network.layers, names, self.mode, width)
        count = work.network.spec.parameter_count
        self.print(
            f"{work.network.name}: {len(work.network.layers)} layers, {count:,} parameters, {work.batch} cases "
            f"({work.inputs.kind}), {' and '.join(names)} against the float64 reference, {threads(work.threads)}"
        )
        for warning in work.network.spec.warnings:
            self.print(f"note: {warning}")
        self.print(lines.LEGEND)
        self.print(self._lines.reading())
        self.print(self._lines.header(), "bold")
        if self.console.is_terminal:
            self.progress, self._task = bar(self.console, step_count(work, self.mode))

    def row(self, row: Row) -> None:
        """One line, and more where something is wrong."""
        step = (row.mode, row.layer, row.step)
        if step[0] == "propagated" and (self._step or step)[0] == "isolated":
            self.print("each engine now feeds itself", "bold")
        mark = lines.mark(row)
        self.print(self._lines.row(row, step != self._step), lines.COLOURS[mark])
        for text in self._told.news(row):
            self.print(text)
        self._step = step
        self._done.add(step)
        if self.progress is not None:
            self.progress.update(self._task, completed=len(self._done), description=f"{row.step} {row.layer}")

    def stop(self) -> None:
        """Take the progress bar away."""
        if self.progress is not None:
            self.progress.stop()


def run_bench(options: Options, repeat: int, full: bool, out: Path | None, html: Path | None = None) -> int:
    """Time, print the tables, store them; a bar on a terminal, which stays silent otherwise, shows how far it is.

    Returns the exit code: 0; 1 if an engine failed; 3 if one could not run a step.
    """
    if out is not None:
        tables.check_file(out)
    if html is not None:
        tables.check_file(html, "--html", (".html",))
    engines.available(options.engines)
    console, progress = Terminal(), None
    say(console, f"{options.net}: of each engine one step to warm up and {repeat} that are timed, in turn")
    if console.is_terminal:
        progress, task = bar(console)

    def done(total: int, what: str) -> None:
        if progress is not None:
            progress.update(task, total=total, advance=1, description=what)

    try:
        found = measure.measure(options, repeat, done)
    finally:
        if progress is not None:
            progress.stop()
    if out is not None:
        tables.write(out, found)
    for line in tables.lines(found, full):
        say(console, line)
    if out is not None:
        say(console, f"stored in {out}")
    if html is not None:
        from ..reporting.report import bench

        with writing(html, "choose another file with --html"):
            files.write(html, bench.page(json.loads(tables.as_json(found))))
        say(console, f"page {html}")
    return exit_code(found.broken.values()) if found.broken else 0


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print one line, uncut; control characters as escapes."""
    console.print(lines.printable(text), style=style, markup=False, highlight=False, soft_wrap=True)


def run_compare(options: Options, out: Path, keep: bool) -> Comparison:
    """Compare, print, record, report; returns the `api.Comparison`."""
    console = Terminal()
    printer = Printer(console if console.width > 0 else Terminal(width=80), options.mode)  # COLUMNS=0
    try:
        found = execute(options, out, keep, printer.started, printer.row)
    finally:
        printer.stop()
    if found.status == "interrupted":
        printer.print("interrupted: the layers that were finished are in the record")
    if found.note:
        printer.print(f"note: {found.note}")
    for line in ledger.table(found.table, list(dict.fromkeys(name for row in found.table for name in row.findings))):
        printer.print(line)
    totals = total_seconds(found.table)
    if totals:
        left_out = any(row.seconds and row.seconds.keys() != totals.keys() for row in found.table)
        where = "in layers that all engines ran" if left_out else "in layers"
        printer.print(f"seconds {where}: " + ", ".join(f"{name} {value:.2f}" for name, value in totals.items()))
    printer.print(f"where the time went: {lines.parts(found.parts)}")
    if found.earlier:
        printer.print(f"the earlier record of that name is now {out.with_name(found.earlier.name)}")
    printer.print(f"record {out}, report {found.report}")
    excuse = excused(found.table, options.allow, options.fail_on)
    printer.print(found.sentence, "bold" if excuse else lines.SENTENCE_COLOURS[run_code(found.table)])
    if excuse:
        printer.print(excuse)
    printer.end(f"the record {out} is whole")
    return found


def run_sweep(title: str, todo: list[Part], out: Path, resume: bool, **cluster: Any) -> int:
    """Run the parts of a sweep: a line for each that is finished, a bar with the counts so far, the page at the end.

    Returns the exit code; that of Ctrl-C where the sweep was interrupted.
    """
    from ..sweeps import page, run

    run.check_folder(out, resume)
    before = run.table(out, todo)
    if len(before):
        before = before[~before["status"].isin(run.AGAIN)]
    done = set(before["part"] if len(before) else ())
    left = [one for one in todo if one.key not in done]
    console, progress, interrupted = Terminal(), None, False
    failed: dict[str, str] = {}
    say(console, f"{title}: {len(todo)} parts, {len(todo) - len(left)} of them finished before; folder {out}")
    counts = Counter(before.drop_duplicates("part")["status"] if len(before) else ())

    def tell(result: Result) -> None:
        counts[result.status] += 1
        if result.status == "failed":
            failed[run.label(result.part)] = result.sentence
        told = f"{run.label(result.part)}, {result.seconds:.1f} s"
        say(console, f"{counts.total()}/{len(todo)} {result.status}: {told}. {result.sentence}")
        if progress is not None:
            text = ", ".join(f"{count} {status}" for status, count in counts.items())
            progress.update(task, completed=counts.total(), description=text)

    try:
        if left:
            with run.cluster(**cluster) as (client, slots, limit):
                if console.is_terminal:
                    progress, task = bar(console, len(todo))
                run.run(left, out, client, slots, limit, tell)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if progress is not None:
            progress.stop()
    out.mkdir(parents=True, exist_ok=True)
    frame = run.table(out, todo)
    files.write(out / "index.html", page.render(title, frame, counts, len(todo), failed).encode())
    say(console, f"results {out / 'results'}, page {out / 'index.html'}")
    if interrupted or failed:
        say(console, f"to go on: rosetta sweep ... --resume {out}")
    say(console, run.sentence(counts, len(todo)))
    return INTERRUPTED if interrupted else run.exit_code(counts, len(todo))
