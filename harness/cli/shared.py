"""What the commands of several modules share: options, and printing."""

import click

from ..judging.finding import UNDECIDED
from ..network.load import RULES
from ..reporting.lines import printable


def say(text, err=False):
    """Print a line, whatever is in it."""
    click.echo(printable(text), err=err)


def names(ctx, param, value):
    """The names in an option's value, which commas part; none where there is none."""
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())


def rules(command):
    """Give a command the option --rule."""
    text = "Read layer files under this rule too; may be repeated. See 'Your own network' in the guide."
    return click.option("--rule", "rules", multiple=True, type=click.Choice(RULES), help=text)(command)


def allow_option(command):
    """Give a command the option --allow."""
    text = "Exit with 0, not 3, though something is so; may be repeated."
    return click.option("--allow", multiple=True, type=click.Choice(UNDECIDED), help=text)(command)


def params_option(command):
    """Give a command the option --params."""
    text = "Layer-parameter file; by default X-params.cfg beside X.cfg."
    return click.option("--params", metavar="FILE", help=text)(command)
