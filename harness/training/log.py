"""What a training leaves behind as it goes: lines of JSON, one for each data batch and each test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import BadInput, writing

NAME = "log.jsonl"


def read(folder: str | Path, steps: int | None = None) -> list[dict[str, Any]]:
    """The lines of a log, up to a number of steps; a last line that was not written to its end is left out.

    ``steps``: steps of training that count; by default all.
    """
    path = Path(folder, NAME)
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            if steps is None or event["step"] <= steps:
                found.append(event)
        except (ValueError, TypeError, KeyError) as error:
            raise BadInput(f"{path}, line {number}: no line of a training log", hint="delete the line") from error
    return found


class Log:
    """The growing log of a training.

    `events` are in it already; the file is written anew with these lines.
    """

    def __init__(self, folder: str | Path, events: Sequence[dict[str, Any]] = ()) -> None:
        self.path, self.events = Path(folder, NAME), list(events)
        files.write(self.path, "".join(_line(event) for event in self.events).encode())

    def add(self, event: dict[str, Any]) -> None:
        """Append a line; BadInput if there is no room for it."""
        self.events.append(event)
        with writing(self.path, "make room; --resume goes on"), open(self.path, "a", encoding="utf-8") as file:
            file.write(_line(event))


def _line(event: dict[str, Any]) -> str:
    return json.dumps(event) + "\n"
