"""Commands for many comparisons, for two dumps, and for others: sweep, judge, pack, publish, verify."""

import shlex
from pathlib import Path
from typing import Any

import click

from ..errors import BadInput
from ..judging.finding import UNDECIDED
from .shared import PATH, Finite, allow_option, say


@click.command()
@click.argument("run", type=PATH)
@click.option("--out", metavar="PACK", required=True, type=PATH, help="A new folder.")
@click.option("--title", default="", help="Of the article; by default engines and network.")
@click.option("--author", "authors", multiple=True, metavar="NAME", help="May be repeated.")
@click.option("--licence", default="CC-BY-4.0", show_default=True, metavar="SPDX", help="Of the package.")
def publish(run: Path, out: Path, title: str, authors: tuple[str, ...], licence: str) -> None:
    """Make a package of a RUN, the folder of a record, that somebody else can verify.

    It is an RO-Crate: the record, the files that the run read, a one-page article, and the hash of every file. The seal
    that is printed stands for all of them: state it where you cite the package.
    """
    from ..publishing.pack import publish as write

    seal = write(run, out, title, authors, licence)
    say(f"package {out}, article {out / 'article.md'}")
    say(f"seal {seal}")


@click.command()
@click.argument("pack", type=PATH)
@click.option("--seal", default="", metavar="SHA256", help="The seal that the authors state.")
@click.option("--layers", default=3, show_default=True, type=click.IntRange(1), help="Layers that are run again.")
@click.option("--seed", type=click.IntRange(0), help="Of the choice of layers; by default another one each time.")
@click.pass_context
def verify(ctx: click.Context, /, pack: Path, **options: Any) -> None:
    """Check a PACK that 'rosetta publish' made: every byte against its hash, then three random layers again.

    Exit code 0: all is as published; 1: a byte or a verdict is not; 2: PACK is no package; 3: an engine cannot run.
    """
    from ..publishing.verify import verify as check

    ctx.exit(check(pack, say, **options))


@click.command()
@click.argument("first", metavar="A.npz", type=PATH)
@click.argument("second", metavar="[B.npz]", required=False, type=PATH)
@click.option("--reference", metavar="R.npz", type=PATH, help="What is right, in float64.")
@click.option("--model", metavar="FILE", type=PATH, help="TOML: n and M, or op and inputs.")
@click.option("--map", "mapping", metavar="FILE", type=PATH, help='TOML: lines "in A" = "in B".')
@allow_option
@click.option("--out", metavar="DIR", type=PATH, help="Folder for a record, report and JUnit.")
@click.pass_context
def judge(
    ctx: click.Context,
    /,
    first: Path,
    second: Path | None,
    reference: Path | None,
    model: Path | None,
    mapping: Path | None,
    allow: tuple[str, ...],
    out: Path | None,
) -> None:
    """Judge two dumps, npz files of arrays by name, that two programs left, or one: see 'Dumps' in the guide.

    Arrays are paired by name. Exit code 0: all agree; 1: one differs, or is missing on a side; 2: bad input; 3: one was
    not decided.
    """
    from ..pairs.dumps import judge_dumps, told

    found = judge_dumps(first, second, reference, model, mapping)
    found.allow = allow
    for line in told(found):
        say(line)
    if out:
        dumps = [first, second] if second else [first]
        words = ["judge", *map(str, dumps), *(["--reference", str(reference)] if reference else [])]
        words += [*(["--model", str(model)] if model else []), *(["--map", str(mapping)] if mapping else [])]
        say(f"record {found.write(out, ' and '.join(x.name for x in dumps), shlex.join(['rosetta', *words]))}")
    say(found.sentence)
    ctx.exit(found.exit_code)


@click.command()
@click.argument("spec", metavar="SPEC.toml", type=PATH)
@click.option("--out", metavar="DIR", type=PATH, help="A new folder [runs/SPEC].")
@click.option("--resume", metavar="DIR", type=PATH, help="Go on there: nothing finished is repeated.")
@click.option("--scheduler", metavar="tcp://HOST:PORT", help="A running scheduler of Dask; by default a cluster here.")
@click.option("--workers", type=click.IntRange(1), help="Here: by default as many as processors. There: wait for them.")
@click.option("--memory", type=Finite(0.25, 2**30), metavar="GIB", help="That all parts together may take.")
@click.pass_context
def sweep(ctx: click.Context, /, spec: Path, out: Path | None, resume: Path | None, **cluster: Any) -> None:
    """Run all comparisons and pieces of checks that SPEC.toml lists, on the processors here or on a cluster.

    Exit code 0: all agree; 1: one differs or failed; 2: one was refused or too large; 3: one was not compared.
    """
    from ..sweeps.spec import read
    from .terminal import run_sweep

    if out is not None and resume is not None:
        raise BadInput("--out and --resume name two folders", hint="give one of them")
    title, parts = read(spec)
    ctx.exit(run_sweep(title, parts, resume or out or Path("runs", spec.stem), resume is not None, **cluster))


@click.group()
def pack() -> None:
    """Conformance packs: cases with what is right, for programs that have nothing of this project."""


@pack.command()
@click.option("--out", metavar="DIR|FILE.zip", required=True, type=PATH, help="A new one.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of everything that is drawn.")
def make(out: Path, seed: int) -> None:
    """Write a pack: every layer type, all passes, exact and real numbers; the protocol; a judge in one file."""
    from ..pack.make import make as write

    count, size = write(out, seed)
    say(f"pack {out}: {count} cases, {size / 1e6:.1f} MB; what an engine does with it: README.md in it")


_ALLOWED = [status for status in UNDECIDED if status != "unavailable"]


@pack.command("judge")
@click.argument("folder", metavar="PACK", type=PATH)
@click.option("--engine", metavar="COMMAND", required=True, help="Gets two more arguments, CASES and RESULTS.")
@click.option("--out", metavar="DIR", type=PATH, help="Folder for score.json and junit.xml.")
@click.option("--patience", default=60.0, show_default=True, type=Finite(0, min_open=True),
              help="Seconds without a new result.")  # fmt: skip
@click.option("--allow", multiple=True, type=click.Choice(_ALLOWED), help="As in 'compare'.")
@click.pass_context
def judge_pack(
    ctx: click.Context, /, folder: Path, engine: str, out: Path | None, patience: float, allow: tuple[str, ...]
) -> None:
    """Run COMMAND on a PACK: the score for each kind of layer and pass, and the level. Exit codes as of 'compare'."""
    from ..pack.judge import main

    try:
        words = [
            *(["--out", str(out)] if out else []),
            *(f"--allow={name}" for name in allow),
            "--",
            *shlex.split(engine),
        ]
    except ValueError as error:
        raise BadInput(f"--engine {engine!r} is no command ({error})") from error
    ctx.exit(main([str(folder), f"--patience={patience}", *words]))


COMMANDS = (publish, verify, judge, pack, sweep)
