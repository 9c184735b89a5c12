"""The commands of `rosetta` that study the legacy code path."""

import click

from ..errors import BadInput
from ..running.steps import PASSES
from .shared import names, params_option, say


@click.command()
@click.argument("net")
@click.argument("layer", required=False)
@params_option
@click.option(
    "--pass", "passes", callback=names, metavar="PASSES", help="Some of forward,backward,update; by default all."
)
@click.option("--batch", default=32, show_default=True, type=click.IntRange(1), help="Number of cases.")
def study(net, layer, params, passes, batch):
    """Show how the engine of 2012 runs a LAYER of NET: kernels, grids, the rules that chose them, and the source.

    Without LAYER: the kernels of all layers.
    """
    from ..study.layer import lines, table

    unknown = [name for name in passes if name not in PASSES]
    if unknown:
        raise BadInput(f"there is no pass {unknown[0]!r} to study", expected=" or ".join(PASSES))
    passes = [name for name in PASSES if name in (passes or PASSES)]
    for line in lines(net, layer, params, batch, passes) if layer else table(net, params, batch, passes):
        say(line)


COMMANDS = (study,)
