"""The commands of `rosetta` that study the legacy code path."""

import os
import sys
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import click

from ..errors import BadInput
from ..files import write
from ..judging.row import Row
from ..running.steps import PASSES
from .shared import PATH, drawing, names, params_option, run_options, say


@click.command()
@click.argument("net")
@click.argument("layer", required=False)
@params_option
@click.option(
    "--pass", "passes", callback=names, metavar="PASSES", help="Some of forward,backward,update; by default all."
)
@click.option("--batch", default=32, show_default=True, type=click.IntRange(1), help="Number of cases.")
@click.option("--html", metavar="DIR", type=PATH, help="Write a small site there instead.")
@click.option("--record", metavar="RUN", type=PATH, help="With --html: show values of a record.")
@click.option("--release", metavar="DIR", type=PATH,
              help="With --html: show the lines of the release of 2012, from your copy of it.")  # fmt: skip
@click.option("--counted", is_flag=True, help="Count what threads of LAYER's kernels do; needs a C++ compiler.")
@click.option("--blocks", default=4, show_default=True, type=click.IntRange(0),
              help="With --counted: blocks of a launch that are counted; 0: all.")  # fmt: skip
@click.option("--play", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="Write a page that plays a block of each kernel of LAYER; needs a C++ compiler.")  # fmt: skip
def study(
    net: str,
    layer: str | None,
    params: str | None,
    passes: Sequence[str],
    batch: int,
    html: Path | None,
    record: Path | None,
    release: Path | None,
    counted: bool,
    blocks: int,
    play: Path | None,
) -> None:
    """Show how the engine of 2012 runs a LAYER of NET: kernels, grids, the rules that chose them, and the source.

    Without LAYER: the kernels of all layers. With --html: a page for each layer, with formula, drawings and the
    sources side by side.
    """
    from ..study.layer import lines, table

    unknown = [name for name in passes if name not in PASSES]
    if unknown:
        raise BadInput(f"there is no pass {unknown[0]!r} to study", expected=" or ".join(PASSES))
    passes = [name for name in PASSES if name in (passes or PASSES)]
    if (counted or play) and not layer:
        raise BadInput(
            f"{'--counted' if counted else '--play'} needs a LAYER", hint="rosetta study NET LAYER --counted"
        )
    if play and (html or counted):
        raise BadInput(f"--play and {'--html' if html else '--counted'} write two things", hint="give one of them")
    if html is not None:
        from ..study.counted import by_kernel
        from ..study.page import write as write_site

        texts = by_kernel(net, layer, params, batch, passes, blocks or None) if counted and layer else {}
        site = write_site(html, net, layer, params=params, passes=passes, batch=batch, record=record, release=release,
                          counted=texts)  # fmt: skip
        say(f"study: {site}")
        return
    if record is not None or release is not None:
        raise BadInput(f"{'--record' if record else '--release'} needs --html", hint="--html DIR writes a site")
    told: Iterable[str]
    if play and layer:
        from ..study.counted import play as write_player

        write_player(play, net, layer, params, batch, passes)
        told = [f"study: {play}"]
    elif counted and layer:
        from ..study.counted import lines as counts

        told = counts(net, layer, params, batch, passes, blocks or None)
    else:
        told = lines(net, layer, params, batch, passes) if layer else table(net, params, batch, passes)
    for line in told:
        say(line)


def _place(ctx: click.Context, /, param: click.Parameter, value: str | None) -> list[int] | None:
    """Whole numbers that commas part; None where nothing is said."""
    try:
        return None if value is None else [int(part) for part in value.split(",")]
    except ValueError as error:
        raise BadInput(f"--at {value} is no place", expected="numbers, such as 3,2,1,0") from error


@click.command()
@click.argument("net")
@click.argument("layer")
@click.argument("step", metavar="PASS")
@click.argument("tensor", required=False)
@click.option("--at", callback=_place, metavar="C,Y,X,N", help="The element, along the axes that the report names.")
@click.option("--worst", is_flag=True, help="The element that used most of its bound: what is taken without --at.")
@click.option("--figure", metavar="FILE", callback=drawing, type=click.Path(dir_okay=False, path_type=Path),
              help="Also draw how far each partial sum is from the exact one: .svg, .png or .pdf.")  # fmt: skip
@run_options
def explain(
    net: str,
    layer: str,
    step: str,
    tensor: str | None,
    at: list[int] | None,
    worst: bool,
    figure: Path | None,
    input_: str,
    **options: Any,
) -> None:
    """Explain one element of a TENSOR of a LAYER of NET: operands, order of additions, roundings, bound, source.

    Each engine runs that step alone, from the values of isolated mode; the element is computed again in the engine's
    own order. PASS is forward, backward or update; of tests test, 'view 1' and so on. The options are those of
    'rosetta compare'.
    """
    from ..study.explain import explain as explained

    if worst and at is not None:
        raise BadInput("--at and --worst name two elements", hint="give one of them")
    found = explained(net, layer, step, tensor, at=at, input=input_, **options)
    for line in found.lines():
        say(line)
    if figure is not None:
        data = BytesIO()
        found.figure().savefig(data, format=figure.suffix[1:])
        write(figure, data.getvalue())


@click.command()
@click.argument("net")
@click.argument("layer")
@run_options
@click.option("--times", default=0, hidden=True, help="End after so many changes.")
def watch(net: str, layer: str, input_: str, times: int, **options: Any) -> None:
    """Judge a LAYER of NET again whenever a file of an engine is saved, forward and backward.

    Compiled sources are built first, as 'make build' does. Where something else was changed, such as a layer file or
    the reference, everything begins anew. Ctrl-C ends it.
    """
    from ..reporting.lines import Lines, explanations
    from ..running.prepare import Options
    from ..study.watch import watch as again

    def show(rows: Iterable[Row]) -> None:
        table = None
        for row in rows:
            if table is None:
                table = Lines([], list(row.findings))
                say(table.header())
            for text in (table.row(row, True), *explanations(row)):
                say(text)
        sys.stdout.flush()

    if again(Options(net, input=input_, **options), layer, show, say, times):
        os.execv(sys.executable, [sys.executable, "-m", "alexnet_rosetta.harness", *sys.argv[1:]])


@click.command()
@click.argument("run", type=PATH)
@click.option("--out", metavar="DIR", type=PATH, help="A new folder [RUN-fault].")
def bisect(run: Path, out: Path | None) -> None:
    """Find the first layer and pass at fault in a RUN, the folder of a record, and what shows the fault alone.

    A new folder holds the fewest images, channels and pixels that still show it, and a script that does it again.
    """
    from dataclasses import fields

    from ..reporting.record import read, reading
    from ..running.prepare import Options
    from ..study.bisect import bisect as find

    with reading(run):
        record = read(run)
        kept = record.about["options"].items()
        options = Options(**{name: value for name, value in kept if name in {one.name for one in fields(Options)}})
    find(record.rows, options, out or run.with_name(f"{run.name}-fault"), say)


COMMANDS = (study, explain, watch, bisect)
"""How the engine of 2012 runs a layer, where to read it in both engines, and one element explained."""
