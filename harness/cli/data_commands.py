"""The commands ``rosetta data`` and ``rosetta convert``."""

from pathlib import Path

import click

from ..data import make as making
from .shared import PATH, params_option, say


@click.group("data")
def data() -> None:
    """Look at data sets, and write them as the programs of 2011 to 2014 read them."""


_size = click.option(
    "--size", type=click.IntRange(4, 1024), help="Side of the pictures, of photos and folders of pictures."
)


@data.command("info")
@click.argument("source", metavar="PATH")
@_size
def info(source: str, size: int | None) -> None:
    """Say what is in PATH: a folder of batches or pictures, or the names photos and fashion."""
    from ..data import open_data
    from ..data.batches import ranges

    found = open_data(source, size)
    channels, rows, columns = found.shape
    say(f"{found.source}: {found.kind}")
    say(f"  cases    {channels} x {rows} x {columns} (channels, rows, columns), {found.features} values")
    names = ", ".join(found.label_names[:20]) + (", ..." if found.classes > 20 else "")
    say(f"  classes  {found.classes or 'unknown'}{': ' if names else ''}{names}")
    for part, numbers in (("train", found.train), ("test", found.test)):
        batch = found.read(numbers[0])
        bad = [found.named(numbers[0], case) for case in batch.unreadable]
        told = f", {len(bad)} of them cannot be decoded: {', '.join(bad[:3])}" if bad else ""
        say(f"  {part:<8} batches {ranges(numbers)}; the first has {batch.labels.shape[1]} cases{told}")
    say(f"  mean     {found.mean.min():.1f} to {found.mean.max():.1f}")
    for note in found.notes:
        say(f"  note     {note}")


@data.command("make")
@click.option("--from", "source", required=True, metavar="PATH", help="A source, as 'rosetta data info' takes it.")
@click.option("--out", required=True, metavar="DIR", type=PATH, help="A new or empty folder.")
@click.option("--form", default="columns", show_default=True, type=click.Choice(list(making.FORMS)))
@_size
def make(source: str, out: Path, form: str, size: int | None) -> None:
    """Write a data set as batches of 2011, 2012 or 2014, in pickles that Python 2 reads.

    columns: an array with a column for each case (2011, 2012); jpeg-2012: JPEG files in one list a batch; jpeg-2014:
    folders of such lists. JPEG changes pixels a little, columns do not.
    """
    from ..data import open_data
    from ..data.batches import ranges

    written = list(making.make(open_data(source, size), out, form))
    say(f"{out}: batches {ranges(sorted(written))} and batches.meta")


@click.command("convert")
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET", type=PATH)
@click.option(
    "--net",
    help="The network, where SOURCE holds weights alone and TARGET is a folder of 2012 "
    "or, as SOURCE may be, of another program.",
)
@click.option(
    "--layout",
    default="2012",
    show_default=True,
    type=click.Choice(["2012", "torch"]),
    help="What X.safetensors gets: all tensors, or a state_dict.",
)
@params_option
def convert(source: str, target: Path, net: str | None, params: str | None, layout: str) -> None:
    """Convert a checkpoint: historical (2011, 2012, 2014), of 'rosetta train' (safetensors), or weights in an npz file.

    TARGET X.npz gets weights and biases, for 'rosetta compare --weights'; X.safetensors gets all tensors; X.pt a
    state_dict of PyTorch and X.onnx a model, each of which may be SOURCE too; any other name is a folder, which gets a
    checkpoint as the program of 2012 wrote it.
    """
    from ..data.checkpoints import convert as converted

    say(f"{converted(source, target, net, params, layout)}: written")


COMMANDS = (data, convert)
