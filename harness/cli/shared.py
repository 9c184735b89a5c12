"""What the commands of several modules share: options, and printing."""

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click

from ..engines import DEFAULT
from ..errors import BadInput, writing
from ..judging.finding import FAIL_ON, UNDECIDED
from ..network.load import RULES
from ..reporting.lines import printable
from ..running.prepare import PASS_TYPE_NAMES, PORT_ALGORITHMS

PATH = click.Path(path_type=Path)
INTERRUPTED = 130
"""The exit code of a program that the signal of Ctrl-C ends."""


class Finite(click.FloatRange):
    """A number in a range, which "nan" is in none of, nor "inf"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number: float = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return number


def say(text: str, err: bool = False) -> None:
    """Print a line, whatever is in it."""
    click.echo(printable(text), err=err)


def names(ctx: click.Context, /, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """The names in an option's value, which commas part; none where there is none."""
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())


def rules(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option --rule."""
    text = "Read layer files under this rule too; may be repeated. See 'Your own network' in the guide."
    return click.option("--rule", "rules", multiple=True, type=click.Choice(RULES), help=text)(command)


def allow_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option --allow."""
    text = "Exit with 0, not 3, though a tensor is that; may be repeated."
    return click.option("--allow", multiple=True, type=click.Choice(UNDECIDED), help=text)(command)


def fail_on_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option --fail-on."""
    text = f"Verdicts, which commas part, that alone make the exit code other than 0: {', '.join(FAIL_ON)}."
    return click.option("--fail-on", metavar="VERDICTS", callback=names, help=text)(command)


def params_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option --params."""
    text = "Layer-parameter file; by default X-params.cfg beside X.cfg."
    return click.option("--params", metavar="FILE", help=text)(command)


def algorithm_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option --port-algorithm."""
    text = "The port's algorithm of convolution; auto: Winograd's where it is faster."
    choice = click.Choice(PORT_ALGORITHMS)
    return click.option("--port-algorithm", default="direct", show_default=True, type=choice, help=text)(command)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what is run: the fields of `running.prepare.Options` but mode and passes."""
    for option in reversed(_RUN):
        command = option(command)
    return command


_RUN = (
    params_option,
    click.option("--weights", metavar="FILE.npz", help="Weights and biases, as layer.weights[0] and layer.biases."),
    click.option("--engines", default=",".join(DEFAULT), show_default=True, callback=names, help="Engines to run."),
    click.option("--input", "input_", default="photos", show_default=True, metavar="photos|random|exact|FILE.npz",
                 help="What the data layers hold."),
    click.option("--batch", default=32, show_default=True, type=click.IntRange(1), help="Number of cases."),
    click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of everything that is drawn."),
    click.option("--pass-type", default="train", show_default=True, type=click.Choice(PASS_TYPE_NAMES),
                 help="Forward pass of training, of a test, or of a test of three views."),
    click.option("--progress", default=0.0, show_default=True, type=Finite(0, 1),
                 help="Share of the training that is done, for the learning rates."),
    click.option("--update-every", default=1, show_default=True, type=click.IntRange(1),
                 help="Backward passes per update; all see the same cases."),
    click.option("--quirk", "quirks", multiple=True, metavar="[ENGINE:]NAME=on|off",
                 help="Turn a quirk's switch, in one engine or all; may be repeated. See 'rosetta list quirks'."),
    click.option("--level", default="", metavar="[ENGINE:]YEAR",
                 help="All quirks as the release of 2011, 2012 or 2014 had them; --quirk comes on top."),
    click.option("--quantise", is_flag=True,
                 help="Round what goes between devices to half precision where the layer file says so."),
    algorithm_option,
    rules,
    click.option("--threads", type=click.IntRange(1), help="Threads of the engines; by default all processors."),
)  # fmt: skip


def drawing(ctx: click.Context, /, param: click.Parameter, value: Path | None) -> Path | None:
    """A file of a kind that can be drawn, in a folder that is there."""
    if value is not None and value.suffix not in (".svg", ".png", ".pdf"):
        raise BadInput(f"{value} is no drawing", expected=".svg, .png or .pdf")
    if value is not None:
        with writing(value), TemporaryFile(dir=value.parent):
            pass
    return value
