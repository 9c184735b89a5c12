"""The commands of `rosetta` that carry comparisons to others: to publish one, and to verify what was published."""

from pathlib import Path

import click

from .shared import say


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", metavar="PACK", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option("--title", default="", help="Of the article; by default engines and network.")
@click.option("--author", "authors", multiple=True, metavar="NAME", help="May be repeated.")
@click.option("--licence", default="CC-BY-4.0", show_default=True, metavar="SPDX", help="Of the package.")
def publish(run, out, title, authors, licence):
    """Make a package of a RUN, the folder of a record, that somebody else can verify.

    It is an RO-Crate: the record, the files that the run read, a one-page article, and the hash of every file. The seal
    that is printed stands for all of them: state it where you cite the package.
    """
    from ..publishing.pack import publish as write

    seal = write(run, out, title, authors, licence)
    say(f"package {out}, article {out / 'article.md'}")
    say(f"seal {seal}")


@click.command()
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--seal", default="", metavar="SHA256", help="The seal that the authors state.")
@click.option("--layers", default=3, show_default=True, type=click.IntRange(1), help="Layers that are run again.")
@click.option("--seed", type=click.IntRange(0), help="Of the choice of layers; by default another one each time.")
@click.pass_context
def verify(ctx, pack, **options):
    """Check a PACK that 'rosetta publish' made: every byte against its hash, then three random layers again.

    Exit code 0: all is as published; 1: a byte or a verdict is not; 2: PACK is none; 3: an engine cannot run here.
    """
    from ..publishing.verify import verify as check

    ctx.exit(check(pack, say, **options))


COMMANDS = (publish, verify)
