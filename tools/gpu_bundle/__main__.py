"""``python -m tools.gpu_bundle wheels|bundle [FOLDER]``: `make gpu-wheels`, `make gpu-bundle`."""

import sys
from pathlib import Path

from alexnet_rosetta.harness.errors import BadInput

from . import pack
from .wheels import Workshop

ROOT = Path(__file__).resolve().parents[2]
USAGE = "usage: python -m tools.gpu_bundle wheels|bundle [FOLDER]"


def main(what="", folder="build/gpu"):
    """Make the wheels, or the wheels and the bundle."""
    if what not in ("wheels", "bundle"):
        raise SystemExit(USAGE)
    try:
        workshop = Workshop(folder)
        workshop.make(ROOT)
        if what == "bundle":
            pack.bundle(workshop, ROOT)
    except (BadInput, OSError) as error:
        raise SystemExit(f"gpu-{what}: {error}") from error


if __name__ == "__main__":
    main(*sys.argv[1:])
