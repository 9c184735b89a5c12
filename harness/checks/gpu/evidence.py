"""The evidence file: what was checked on which card, in one JSON file that is written whole or not at all.

A check can be done in several runs, each with some of the parts: a run adds its parts to the file that is there, if
that is about the same card and the same build.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ... import files
from ...errors import BadInput, writing
from ...reporting.formats import plain

FORMAT = "alexnet-rosetta gpu evidence"
VERSION = 1
SUBJECT = ("device", "card", "build")  # what all parts of a file have in common


class Evidence:
    """An evidence file.

    ``facts``: ``device``, ``card`` and ``build``, which all runs must share, and anything else about this run.
    Raises BadInput: the file is there and is none, or is about another card or build, or cannot be written.
    """

    def __init__(self, path: str | Path, facts: dict[str, Any]) -> None:
        self.path = Path(path).absolute()
        if not self.path.parent.is_dir():
            raise BadInput(f"{self.path.parent} is no folder", hint="--out takes the path of a JSON file")
        earlier = read(self.path) if self.path.exists() else {}
        for key in SUBJECT if earlier else ():
            if earlier.get(key) != json.loads(json.dumps(facts[key])):
                raise BadInput(f"{self.path} is about another {key}", expected=facts[key], actual=earlier.get(key),
                               hint="choose another file with --out")  # fmt: skip
        self.facts = {"created": earlier.get("created", now()), **facts}
        self.parts = earlier.get("parts", {})

    def add(self, name: str, part: dict[str, Any]) -> None:
        """Add the findings of a part, in the place of earlier ones, and write the file."""
        self.parts[name] = part
        whole = {"format": FORMAT, "version": VERSION, **self.facts, "updated": now(), "parts": self.parts}
        text = json.dumps(plain(whole), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
        with writing(self.path, "choose another --out"):
            files.write(self.path, text.encode())


def read(path: str | Path) -> dict[str, Any]:
    """The content of an evidence file; BadInput if it is none, or one of another version."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as evidence: {error}", hint="choose another file with --out") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("version") != VERSION:
        raise BadInput(f"{path} is no evidence file of this version", expected=f"{FORMAT} {VERSION}",
                       hint="choose another file with --out")  # fmt: skip
    return found


def now() -> str:
    """The time as text."""
    return datetime.now(UTC).isoformat(timespec="seconds")
