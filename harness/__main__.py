"""The command ``rosetta``, which also ends without a traceback while it is being imported."""

import os
import signal
from types import FrameType

from . import files


def main() -> None:
    """Entry point of the console script."""
    before = {number: signal.getsignal(number) for number in files.ENDING}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _leave)
    from .cli.commands import main as command

    for number, handler in before.items():
        signal.signal(number, handler)
    command()


def _leave(number: int, frame: FrameType | None) -> None:
    """End at once: there is nothing yet that could be lost."""
    os.write(2, b"rosetta: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
