"""`rosetta new net NAME`: a first pair of layer files, to be changed."""

from collections.abc import Mapping
from pathlib import Path

from ..errors import BadInput

DEFINITION = """\
# The layers, from the data up: a section for each, which names its inputs. All keys: docs/layer-file.md.

[data]
type=data
dataIdx=0
# values per case: 3 colours x 32 x 32 pixels
dims=3072

[labels]
type=data
dataIdx=1
# one class number per case
dims=1

[conv1]
type=conv
inputs=data
# of the input, which must be channels x side x side values
channels=3
# a multiple of 16, as the kernels of 2012 want it
filters=16
filterSize=5
padding=2
stride=1
# standard deviation of the first weights
initW=0.05
neuron=relu

[pool1]
type=pool
pool=max
inputs=conv1
channels=16
sizeX=3
stride=2

[fc10]
type=fc
inputs=pool1
# ten classes
outputs=10
initW=0.01

[probs]
type=softmax
inputs=fc10

[cost]
type=cost.logreg
inputs=labels,probs
"""

PARAMS = """\
# What the layers learn with: learning rates (eps), momentum (mom) and weight decay (wc) of weights (W) and biases (B).

[conv1]
epsW=0.001
epsB=0.002
momW=0.9
momB=0.9
wc=0.0005

[fc10]
epsW=0.001
epsB=0.002
momW=0.9
momB=0.9
wc=0.0005

[cost]
coeff=1
"""


def write(name: str) -> tuple[Path, Path]:
    """Write NAME.cfg and NAME-params.cfg; `name` is a path without or with the ending ``.cfg``.

    Raises BadInput: a file of that name exists, or cannot be written; nothing is left half-written.
    """
    base = name.removesuffix(".cfg")
    if base.rpartition("/")[2] in ("", ".", ".."):
        raise BadInput(f"{name!r} is no name of a network", hint="NAME is a path in a folder that exists")
    definition, params = Path(f"{base}.cfg"), Path(f"{base}-params.cfg")
    write_all({definition: DEFINITION, params: PARAMS}, name)
    return definition, params


def write_all(texts: Mapping[Path, str], name: str) -> None:
    """Write new files, and the folder that they are in; BadInput if one exists or cannot be: then none is left."""
    made: list[Path] = []
    try:
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:
                made.append(path)
                file.write(text)
    except (OSError, ValueError) as error:
        for half in made:
            half.unlink()
        if isinstance(error, FileExistsError):
            raise BadInput(f"{path} exists", hint="choose another name; nothing was written") from None
        reason = getattr(error, "strerror", None) or error
        raise BadInput(
            f"{name!r} cannot be written: {reason}", hint="NAME is a path in a folder that exists"
        ) from error
