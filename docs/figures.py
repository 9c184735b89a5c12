"""Drawings that the pages of the guide show; notebooks import this file from their own folder."""

import os
import re
import subprocess
from importlib import import_module
from pathlib import Path

from IPython.display import HTML

from alexnet_rosetta.harness.judging.places import described
from alexnet_rosetta.harness.network.load import load
from alexnet_rosetta.harness.reporting.report import drawing

TOP = Path(__file__).parent.parent


def network(net):
    """A network as the report draws it, from left to right, in the colours of its devices."""
    return HTML(f'<div class="wide">{drawing.network(described(load(net).layers))}</div>')


def terminal(command, lines=None, code=0):
    """Run a command at the top of the source tree and print it with its output, or the first lines of that.

    An error unless the command ends with the exit code.
    """
    plain = {name: value for name, value in os.environ.items() if not name.endswith(("COLOR", "FORCE"))}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=TOP, env=plain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode != code:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout}")
    printed = done.stdout.splitlines()
    print(f"$ {command}", *printed[:lines], *(["..."] if lines and len(printed) > lines else []), sep="\n")


def source(room, file, name):
    """Print the function of that name from a source file of a room: the lines from its comment to its closing brace."""
    path = Path(import_module(f"alexnet_rosetta.{room}").__path__[0]) / file
    lines = path.read_text(encoding="utf-8").splitlines()
    first = end = next(k for k, line in enumerate(lines) if re.search(rf"\b{name}\(", line) and line[:1].isalpha())
    while lines[first - 1].startswith(("//", "template")):
        first -= 1
    while lines[end] != "}":
        end += 1
    print(f"{room}/{file}:{first + 1}\n\n" + "\n".join(lines[first : end + 1]))
