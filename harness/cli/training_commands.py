"""The commands that train networks and look at what they learned."""

from pathlib import Path
from typing import Any

import click

from .shared import PATH, Finite, names, params_option


@click.command()
@click.argument("net", required=False)
@click.option("--data", metavar="PATH", help="photos [the default], fashion, or a folder: see 'rosetta data info'.")
@params_option
@click.option("--engine", metavar="NAME", help="port [the default], legacy-cpu, legacy-gpu, or both.")
@click.option("--epochs", type=click.IntRange(1), help="How often all data batches are seen [10].")
@click.option("--updates", type=click.IntRange(1), help="End after so many updates of the weights.")
@click.option("--batch", type=click.IntRange(1), help="Cases of a minibatch [128].")
@click.option("--train-range", metavar="A-B", help="Data batches to train with.")
@click.option("--test-range", metavar="A-B", help="Data batches to test with.")
@click.option("--test-freq", type=click.IntRange(1), help="Data batches between tests and checkpoints [an epoch].")
@click.option("--update-every", type=click.IntRange(1), help="Minibatches per update [1].")
@click.option("--mirror/--no-mirror", default=None, help="Turn pictures left and right in one of two cases.")
@click.option("--colour-noise", type=Finite(0, 10), help="Strength of the colour noise of 2012 [0].")
@click.option("--seed", type=click.IntRange(0), help="Of all that is random [0].")
@click.option("--threads", type=click.IntRange(1), help="Threads of the engines; by default all processors.")
@click.option("--keep", type=click.IntRange(1), help="Checkpoints of each engine that are kept [3].")
@click.option("--out", metavar="DIR", type=PATH,
              help="Folder of the training [runs/train-NET]; an earlier one there is renamed by its date.")  # fmt: skip
@click.option("--resume", metavar="DIR", type=PATH, help="Go on with the training in that folder.")
@click.pass_context
def train(ctx: click.Context, /, net: str | None, out: Path | None, resume: Path | None, **given: Any) -> None:
    """Train NET as the program of 2012 did: data batches in their order, tests and checkpoints every so often.

    With --engine both, two engines learn from the same weights, batches and random numbers. Ctrl-C stores a checkpoint
    and ends. Exit code 0: trained to the end; 1: a cost is no number any more; 2: bad input; 130: interrupted.
    """
    from ..training.run import Settings, settings_of
    from .training_terminal import run_train

    if net is None and resume is not None and out is None:
        settings, folder = settings_of(resume, **given), resume
    elif net is not None and resume is None:
        settings = Settings(net, **{name: value for name, value in given.items() if value is not None})
        folder = out or Path("runs", f"train-{Path(net).stem}")
    else:
        raise click.UsageError("give either NET, perhaps with --out, or --resume DIR")
    ctx.exit(run_train(settings, folder, resume is not None))


_DATA = click.option("--data", metavar="PATH", help="Another data set than that of the training.")
_TESTED = click.option("--test-range", metavar="A-B", help="Data batches; by default those for tests.")
_ENGINE = click.option("--engine", metavar="NAME", help="Another engine than that of the training.")
_THREADS = click.option("--threads", type=click.IntRange(1), help="Threads of the engine; by default all processors.")
_CHECKPOINT = click.argument("checkpoint", type=PATH)


@click.command()
@_CHECKPOINT
@_DATA
@_TESTED
@click.option("--views", default="1", show_default=True, type=click.Choice(["1", "9", "10"]),
              help="Views of each picture, whose probabilities are averaged.")  # fmt: skip
@click.option("--batch", type=click.IntRange(1), help="Cases of a minibatch; by default that of the training.")
@_ENGINE
@_THREADS
def test(checkpoint: Path, views: str, test_range: str | None, batch: int | None, **trained: Any) -> None:
    """Test a stored network: CHECKPOINT is a file, or the folder of a training."""
    from .training_terminal import run_test

    run_test(checkpoint, test_range, int(views), batch, **trained)


@click.command()
@_CHECKPOINT
@click.argument("layer")
@_DATA
@_TESTED
@click.option("--out", required=True, metavar="DIR", type=PATH, help="A new or empty folder.")
@_ENGINE
@_THREADS
def features(checkpoint: Path, layer: str, test_range: str | None, out: Path, **trained: Any) -> None:
    """Write the outputs of LAYER for data batches: batches of 2012 (data_batch_N) and, beside each, an npz file."""
    from .training_terminal import run_features

    run_features(checkpoint, layer, test_range, out, **trained)


@click.command()
@_CHECKPOINT
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE...", type=PATH)
@_DATA
@_ENGINE
@_THREADS
def predict(checkpoint: Path, pictures: tuple[Path, ...], **trained: Any) -> None:
    """Say what a stored network takes each PICTURE for: the best five answers. The centre of the picture counts."""
    from .training_terminal import run_predict

    run_predict(checkpoint, pictures, **trained)


@click.command()
@_CHECKPOINT
@_DATA
@_TESTED
@click.option(
    "--case", default=0, show_default=True, type=click.IntRange(0), help="The case followed through the layers."
)
@click.option("--wrong", is_flag=True, help="Show cases with a wrong answer only.")
@click.option("--out", metavar="DIR", type=PATH, help="Folder of the page and the pictures "
              "[show, beside the checkpoint].")  # fmt: skip
@_ENGINE
@_THREADS
def show(checkpoint: Path, test_range: str | None, case: int, wrong: bool, out: Path | None, **trained: Any) -> None:
    """Draw what a stored network learned: filters, curves, answers, confusion, one picture layer by layer."""
    from .training_terminal import run_show

    run_show(checkpoint, test_range, case, wrong, out, **trained)


@click.command()
@click.argument("net")
@click.option("--data", default="photos", show_default=True, metavar="PATH", help="As of rosetta train.")
@params_option
@click.option("--engines", default="legacy-cpu,port", show_default=True, callback=names, help="Engines to judge.")
@click.option("--updates", default=9, show_default=True, type=click.IntRange(2), help="Updates of a run.")
@click.option("--batch", default=32, show_default=True, type=click.IntRange(2), help="Cases of a minibatch.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all that is random.")
@click.option("--ensemble", default=60, show_default=True, type=click.IntRange(6), help="Runs that give the limits.")
@click.option(
    "--held-out", default=30, show_default=True, type=click.IntRange(3), help="Runs that measure false alarms."
)
@click.option("--faults", is_flag=True, help="Also judge some twenty faults of a solver, which have to be outside.")
@click.option("--out", metavar="DIR", type=PATH, help="Folder for drift.html, drift.svg, drift.json.")
@click.pass_context
def drift(ctx: click.Context, /, net: str, out: Path | None, faults: bool, **options: Any) -> None:
    """Judge whole trainings: does an engine take a path that correct engines take?

    Exit code 0: all engines are inside, and all faults that were asked for outside; 1: one is not.
    """
    from .training_terminal import run_drift

    ctx.exit(run_drift(net, out, faults, **options))


@click.command()
@click.option("--engine", default="port", show_default=True, metavar="NAME", help="That runs the networks.")
@click.option("--batch", default=6, show_default=True, type=click.IntRange(1), help="Photographs.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of weights and photographs.")
@click.option("--threads", type=click.IntRange(1), help="Threads of the engine; by default all processors.")
@click.option("--checkpoint", metavar="FILE", help="Trained weights of alexnet: any that 'rosetta convert' reads.")
@click.option("--table", is_flag=True, help="Only what differs, read from the layer files; run nothing.")
@click.option("--out", metavar="DIR", type=PATH, help="Folder for family.html, .md, effects.csv.")
@click.pass_context
def family(ctx: click.Context, /, table: bool, out: Path | None, **options: Any) -> None:
    """Show how the AlexNets of 2012 to 2014 differ, and what each difference does to the same photographs.

    Weights are those of alexnet as drawn, before any training, unless a checkpoint is given. Exit code 0; 1: a control,
    whose outputs have to stay as they are, changes them.
    """
    from .training_terminal import run_family

    ctx.exit(run_family(table, out, **options))


COMMANDS = (train, test, features, predict, show, drift, family)
