"""The command ``rosetta``."""

import codecs
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from ..engines import DEFAULT
from ..errors import RosettaError, Unsupported, one_line
from ..machine import keep_freed_memory
from ..network.load import load
from ..quirks.quirk import YEARS
from ..reporting.report import FORMATS, rendered, write
from ..running.prepare import MODES, Options
from ..running.steps import PASSES
from . import data_commands, lab_commands, reach_commands, study_commands, training_commands
from .shared import (
    INTERRUPTED,
    PATH,
    Finite,
    algorithm_option,
    allow_option,
    drawing,
    fail_on_option,
    names,
    params_option,
    rules,
    run_options,
    say,
)

NOBODY_READS = 141
"""The exit code of a program that the signal of a closed pipe ends."""

FIRST_STEPS = """\
AlexNet's engine of 2012 beside a modern port, compared layer by layer. Five commands to start with:

  rosetta doctor                     what can run on this machine
  rosetta list                       networks, engines and inputs that come with it
  rosetta compare tiny               every layer type at toy size, in seconds
  rosetta compare alexnet            the network of the 2012 paper on real photographs
  rosetta report runs/tiny           a report from an earlier comparison

Each command explains itself with --help.
"""


class Rosetta(click.Group):
    """A group whose commands end errors with one line and the exit code they stand for."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take ``--debug`` wherever it stands."""
        end = args.index("--") if "--" in args else len(args)
        found = ["--debug"] if "--debug" in args[:end] else []
        return super().parse_args(ctx, found + [arg for arg in args[:end] if arg != "--debug"] + args[end:])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; 2 is the exit code of bad input."""
        try:
            logging.basicConfig(format="%(message)s")
            logging.getLogger(__package__.rpartition(".")[0]).setLevel(
                logging.DEBUG if ctx.params.get("debug") else logging.WARNING
            )
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            with suppress(OSError):  # what is still in the buffer goes nowhere, without a word
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(NOBODY_READS)
        except KeyboardInterrupt:
            say("rosetta: interrupted", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            expected = isinstance(error, RosettaError) or hasattr(error, "hint")
            text = str(error) if expected else f"internal error: {type(error).__name__}: {error}; --debug shows more"
            say(f"rosetta: {one_line(text)}", err=True)
            ctx.exit(getattr(error, "exit_code", 2))


def _version(ctx: click.Context, /, param: click.Parameter, value: bool) -> None:
    if value:
        from ..machine import commit

        say(f"rosetta {version('alexnet-rosetta')}, commit {commit() or 'unknown'}")
        ctx.exit()


@click.group(cls=Rosetta, invoke_without_command=True)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
              help="Say which version and commit this is.")  # fmt: skip
@click.option("--debug", is_flag=True, help="Show tracebacks with errors; may stand anywhere.")
@click.pass_context
def cli(ctx: click.Context, /, debug: bool) -> None:
    """Compare the AlexNet engine of 2012 with a modern port, layer by layer."""
    if ctx.invoked_subcommand is None:
        click.echo(FIRST_STEPS, nl=False)


@cli.command("list")
@click.argument("what", default="all", type=click.Choice(["all", "quirks"]))
@click.option("--markdown", is_flag=True, help="The ledger of quirks as the page of the guide.")
@click.option("--net", help="With quirks: those that touch a layer of that network, and which.")
@click.option("--params", metavar="FILE", help="Its layer-parameter file; by default X-params.cfg beside X.cfg.")
def list_command(what: str, markdown: bool, net: str | None, params: str | None) -> None:
    """List the networks, engines and inputs that come with the package; or its ledger of quirks."""
    from ..quirks import listing
    from . import doctor

    if net is not None and what == "quirks":
        lines = listing.touching(load(net, params))
    elif markdown:
        lines = listing.page()
    else:
        lines = listing.lines() if what == "quirks" else doctor.listing()
    for line in lines:
        say(line)


@cli.command("doctor")
def doctor_command() -> None:
    """Say which engines can run here, on what, and why not."""
    from . import doctor

    for line in doctor.diagnosis():
        say(line)


@cli.command()
@click.argument("net")
@run_options
@click.option("--mode", default=MODES[0], show_default=True, type=click.Choice(MODES))
@click.option("--passes", default=",".join(PASSES), show_default=True, callback=names, help="What to compare.")
@allow_option
@fail_on_option
@click.option("--layers", callback=names, metavar="LAYERS", help="Compare only these layers, which commas part.")
@click.option("--repeat", default=0, show_default=True, type=click.IntRange(0, 1000),
              help="Time whole training steps so often besides, for 'rosetta diff'.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Store whole tensors in the record.")
@click.option(
    "--out",
    metavar="DIR",
    type=PATH,
    help="Folder of the record [runs/NET]; an earlier one there is renamed by its date.",
)
@click.pass_context
def compare(ctx: click.Context, /, net: str, input_: str, keep: bool, out: Path | None, **options: Any) -> None:
    """Run NET through several engines and judge every tensor of every layer.

    NET is a shipped name (see 'rosetta list') or a layer-definition file of your own. Exit code 0: everything agrees;
    1: something differs; 2: bad input; 3: something was not compared, or not decided.
    """
    from .terminal import run_compare

    stem = Path(net).stem.strip(".") or "net"  # NET may be "", "." or ".."
    found = run_compare(Options(net, input=input_, **options), out or Path("runs", stem), keep)
    ctx.exit(INTERRUPTED if found.status == "interrupted" else found.exit_code)


@cli.command()
@click.argument("record", type=PATH)
@click.option("--format", "kind", default="html", show_default=True, type=click.Choice([*FORMATS]),
              help="For a browser, a pull request, other programs, or continuous integration.")  # fmt: skip
@fail_on_option
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True),
              help="The file [in the record: report.html, junit.xml ...]; - prints it.")  # fmt: skip
@click.pass_context
def report(ctx: click.Context, /, record: Path, kind: str, fail_on: tuple[str, ...], out: Path | None) -> None:
    """Write the results of a RECORD again, in a form of your choice; of a bench that was stored as .json, the page.

    With --fail-on the exit code is that of the run (1: something fails, 3: something was not compared, or not decided).
    """
    from ..judging.row import run_code
    from ..reporting.record import read, recover

    Options("", fail_on=fail_on)  # refuses other words
    note = "" if record.is_file() else recover(record)
    printed = str(out) == "-"
    if printed:
        click.echo(rendered(record, kind, fail_on), nl=False)
    else:
        say(f"report: {write(record, out, kind, fail_on)}")
    if note:
        say(f"note: {note}", err=printed)
    if record.is_file():  # a bench
        return
    found = read(record)
    ctx.exit(run_code(found.rows, found.about["options"].get("allow", ()), fail_on) if fail_on else 0)


@cli.command()
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@click.pass_context
def diff(ctx: click.Context, /, old: Path, new: Path) -> None:
    """Say what differs between two records: set-ups, verdicts, and times outside their noise.

    Exit code 0: nothing got worse; 1: a verdict got worse, a row is gone, or a step is slower.
    """
    from ..reporting.diff import report
    from ..reporting.record import read

    text, code = report(read(old), read(new))
    for line in text:
        say(line)
    ctx.exit(code)


@cli.command()
@click.argument("net")
@params_option
@click.option("--engines", default=",".join(DEFAULT), show_default=True, callback=names, help="Engines to time.")
@click.option("--batch", default=128, show_default=True, type=click.IntRange(1), help="Number of cases.")
@click.option("--threads", type=click.IntRange(1), help="Threads of the engines; by default all processors.")
@click.option("--repeat", default=7, show_default=True, type=click.IntRange(1), help="Timed steps of each engine.")
@algorithm_option
@click.option("--full", is_flag=True, help="Also GFLOP/s and GB/s, and their shares of what this machine can do.")
@click.option("--out", metavar="FILE", type=PATH, help="Store it, as .json or .csv.")
@click.option("--html", metavar="FILE", type=PATH, help="Write a page: bars, roofline, totals.")
@click.pass_context
def bench(ctx: click.Context, /, net: str, repeat: int, full: bool, out: Path | None, html: Path | None,
          **options: Any) -> None:  # fmt: skip
    """Time full training steps of NET, engines interleaved: time per layer and pass, and what they achieve.

    'rosetta report' makes the page of a .json file later.

    Exit code 0: all were timed; 1: an engine failed; 3: one could not run a step to its end.
    """
    from .terminal import run_bench

    ctx.exit(run_bench(Options(net, input="random", **options), repeat, full, out, html))


@cli.group()
def new() -> None:
    """Write the first files of something of your own."""


@new.command("net")
@click.argument("name")
def new_net(name: str) -> None:
    """Write NAME.cfg and NAME-params.cfg, a small network that runs; files that exist stay as they are."""
    from ..network.new import write

    definition, params = write(name)
    say(f"{definition}: the layers; {params}: learning rates. Try: rosetta compare {definition}")


@new.command("engine")
@click.argument("folder", metavar="DIR")
def new_engine(folder: str) -> None:
    """Write a package with an engine of your own into DIR: one layer, its test, the entry point."""
    from ..engines.new import write

    engine = write(folder)
    tried = f"pytest {folder}; pip install -e {folder}; rosetta compare tiny --engines {engine.stem}"
    say(f"{engine}: the engine. Try: {tried}")


@cli.group()
def check() -> None:
    """Check the harness and the engines themselves."""


@check.command("faults")
@click.option("--only", metavar="NAME", multiple=True, help="A fault; may be repeated. By default all.")
@click.option("--nets", default=200, show_default=True, type=click.IntRange(0), help="Random networks without a fault.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all values and networks.")
@allow_option
@click.pass_context
def check_faults(ctx: click.Context, /, **options: Any) -> None:
    """Inject known faults into the engines and see that each is reported where it is, and nothing else is.

    Exit code 0: each is, and nothing else; 1: one is not, or something else is; 3: something was left out.
    """
    ctx.exit(_check("faults").check_faults(say, **options))


@check.command("grads")
@click.argument("net")
@params_option
@click.option("--engines", default="reference,port,legacy-cpu", show_default=True, callback=names, help="To check.")
@click.option("--batch", default=4, show_default=True, type=click.IntRange(1), help="Number of cases in float64.")
@click.option("--elements", default=8, show_default=True, type=click.IntRange(0),
              help="Elements of a tensor that the check of 2012 moves; 0: all.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of everything that is drawn.")
@allow_option
@click.pass_context
def check_grads(ctx: click.Context, /, net: str, **options: Any) -> None:
    """Hold every gradient of NET against a difference of the function whose gradient it is.

    Reference and port: a difference along a random direction in float64, for every input and parameter of every layer.
    Legacy: the check of 2012, element by element in float32. Exit code 0: all agree; 1: a gradient is wrong; 3:
    one was not decided.
    """
    ctx.exit(_check("grads").check_grads(say, net, **options))


@check.command("layers")
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--only", metavar="NAME", multiple=True, help="Part of a pair's name; may be repeated. By default all.")
@click.option("--load-only", is_flag=True, help="Load and compare derived values; run nothing.")
@click.option("--engines", default=",".join(DEFAULT), show_default=True, callback=names, help="Engines to run.")
@click.option("--batch", default=32, show_default=True, type=click.IntRange(1), help="Number of cases.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of everything that is drawn.")
@click.option("--threads", type=click.IntRange(1), help="Threads of the engines; by default all processors.")
@rules
@allow_option
@click.option("--out", metavar="DIR", type=PATH, help="Folder for a record of every pair.")
@click.pass_context
def check_layers(
    ctx: click.Context, /, folder: Path, only: tuple[str, ...], load_only: bool, out: Path | None, **options: Any
) -> None:
    """Load every pair of layer files in DIR, build it and run all its passes in every engine.

    Derived values are compared with DIR/expected.json.gz, where there is one. Exit code 0: all agree, or
    differ where a quirk explains it; 1: a value or tensor differs; 2: a file was refused, or is too large for this
    machine; 3: something was not compared.
    """

    ctx.exit(_check("layers").check_layers(folder, say, Options("", **options), only, load_only, out))


@check.command("capture")
@click.argument("engine")
@click.argument("net", default="tiny")
@click.option("--batch", default=4, show_default=True, type=click.IntRange(1), help="Number of cases.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of everything that is drawn.")
@click.pass_context
def check_capture(ctx: click.Context, /, engine: str, net: str, batch: int, seed: int) -> None:
    """See that ENGINE hands out what it computed: tensors that stay, in memory of their own, read or not.

    Exit code 0: every tensor is what was computed; 1: one is not, and why; 3: a step cannot be run.
    """
    ctx.exit(_check("capture").check_capture(say, engine, net, batch, seed))


@check.command("golden")
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--level", type=click.Choice([*map(str, YEARS)]),
              help="The quirks of one release for all files; by default each has those of its own.")  # fmt: skip
@click.pass_context
def check_golden(ctx: click.Context, /, folder: Path, level: str | None) -> None:
    """Hold the engine of 2012 against the recorded outputs in DIR; calls that were refused must be refused again.

    Exit code 0: all is as recorded; 1: something is not.
    """
    ctx.exit(_check("golden").check_golden(folder, say, level=int(level) if level else None))


@check.command("rules")
@click.option("--nets", default=40, show_default=True, type=click.IntRange(0), help="Random networks.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all values.")
@click.option("--chart", callback=drawing, type=click.Path(dir_okay=False, path_type=Path),
              help="Draw false alarms over misses: .svg, .png or .pdf.")  # fmt: skip
@click.pass_context
def check_rules(ctx: click.Context, /, **options: Any) -> None:
    """Try rules of acceptance that others have published, and our own, on correct variations and on known bugs.

    Exit code 0: our rule refuses no correct tensor and misses at most one bug in a hundred; 1: otherwise.
    """
    ctx.exit(_check("rules").check_rules(say, **options))


@check.command("bound")
@click.option("--trials", default=3 * 10**8, show_default=True, type=click.IntRange(1), help="Elements to judge.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all values.")
@click.pass_context
def check_bound(ctx: click.Context, /, **options: Any) -> None:
    """Search for inputs where a correct engine uses most of what rounding allows.

    Exit code 0: no correct engine left the bound, but where all terms of a sum are equal; 1: one did.
    """
    ctx.exit(_check("bound").check_bound(say, **options))


@check.command("power")
@click.argument("net")
@params_option
@click.option("--input", "input_", default="probing", show_default=True, help="As of 'rosetta compare'.")
@click.option("--batch", default=8, show_default=True, type=click.IntRange(1), help="Number of cases.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all values.")
@click.option("--engine", default="port", show_default=True, help="Whose constants are moved.")
@click.pass_context
def check_power(ctx: click.Context, /, net: str, **options: Any) -> None:
    """The power map of NET: the smallest change of each tensor and each constant that a comparison would notice.

    Exit code 0; 3: some tensor (all zero, or with a bound as wide as its values) would notice nothing.
    """
    ctx.exit(_check("power").check_power(say, net, **options))


@check.command("mutants")
@click.option("--of", default="port", show_default=True, type=click.Choice(["port", "legacy", "judge"]),
              help="The port's Python; kernels, host code and Cython; the judge and what people read.")  # fmt: skip
@click.option("--only", metavar="FILE", multiple=True, help="A file, as port/conv.py; may be repeated. By default all.")
@click.option("--sample", default=0, show_default=True, type=click.IntRange(0), help="So many, drawn from all; 0: all.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the draw.")
@click.option("--out", default=Path("runs", "mutants"), show_default=True, type=PATH,
              help="Folder of the list; a run that was ended goes on there.")  # fmt: skip
@click.pass_context
def check_mutants(ctx: click.Context, /, **options: Any) -> None:
    """Change the code in thousands of small ways, and see which comparison, or test, notices each.

    Exit code 0: all but those listed as equivalent were noticed, in a layer that had run the change; 1: not so; 3: of
    some nothing is known.
    """
    ctx.exit(_check("mutants").check_mutants(say, **options))


@check.command("gpu")
@click.option("--out", default="evidence.json", show_default=True, metavar="FILE", type=PATH,
              help="The evidence file; parts that are in it already stay.")  # fmt: skip
@click.option("--only", callback=names, metavar="PARTS",
              help="Some of kernels,golden,exact,alexnet,cifar,zoo,sanitizer,steps,bench; by default all.")  # fmt: skip
@click.option("--time-limit", type=Finite(0), metavar="SECONDS", help="Begin nothing more after that.")
@click.option("--golden", default="tests/golden", show_default=True, metavar="DIR", type=PATH,
              help="Folder of the recorded cases.")  # fmt: skip
@click.option("--steps", default=1000, show_default=True, type=click.IntRange(2), help="Repeated training steps.")
@click.option("--repeat", default=10, show_default=True, type=click.IntRange(1), help="Timed steps of the bench.")
@click.option("--device", default="gpu", hidden=True, type=click.Choice(["gpu", "cpu"]))
@click.pass_context
def check_gpu(
    ctx: click.Context, /, out: Path, only: tuple[str, ...], time_limit: float | None, device: str, **settings: Any
) -> None:
    """Check the engine of 2012 on a graphics card against everything that is known without one.

    Exit code 0: all parts passed; 1: one did not, or was not finished; 3: there is no card.
    """
    check = _check("gpu")
    ctx.exit(check.check_gpu(out, say, only or tuple(check.PARTS), time_limit, device, check.Settings(**settings)))


def _check(name: str) -> ModuleType:
    """The module of a check: its function prints lines and returns the exit code."""
    try:
        return import_module(f"..checks.{name}", __package__)
    except ModuleNotFoundError as error:
        raise Unsupported(f"check {name} is not part of this build", hint="see 'rosetta check --help'") from error


COMMANDS = (study_commands, lab_commands, training_commands, data_commands, reach_commands)
for command in (command for module in COMMANDS for command in module.COMMANDS):
    cli.add_command(command)

ASCII = {"✓": "+", "✗": "-", "≤": "<=", "±": "+-", "×": "x", "…": "...", "–": "-", "→": "->", "‖": "||"}
"""What a terminal shows that cannot show these; a question mark for all others."""


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """What to print in the place of characters that the terminal's encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(ASCII.get(character, "?") for character in error.object[error.start : error.end]), error.end


def main() -> None:
    """Entry point of the console script: SIGTERM, and the end of a terminal, count as Ctrl-C."""
    codecs.register_error("rosetta", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="rosetta")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _again_if_lost
    keep_freed_memory()
    cli(prog_name="rosetta")


def _again_if_lost(lost: "sys.UnraisableHookArgs") -> None:
    """Send an interrupt again that Python dropped because the interrupt came while a destructor or callback ran."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


if __name__ == "__main__":
    main()
