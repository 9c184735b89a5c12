"""A chapter: its texts, which are data, and a variant of it."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .variant import MAKERS, Variant

CHAPTERS = range(1, len(MAKERS) + 1)


@dataclass(frozen=True)
class Chapter:
    """A chapter for one student."""

    number: int
    seed: int
    variant: Variant
    texts: dict[str, Any]  # as in the chapter's file: title, minutes, question, answer, steps, hints, mistakes, after

    def filled(self, text: str) -> str:
        """A text with the values of the variant in its gaps."""
        return text.format(**self.variant.values)

    @property
    def steps(self) -> Iterator[tuple[str, ...]]:
        """(text, commands of a shell, lines of Python) of each step; commands and lines may be empty."""
        for step in self.texts["steps"]:
            yield tuple(self.filled(step.get(part, "")).strip() for part in ("text", "run", "python"))


def load(number: int, seed: int) -> Chapter:
    """The chapter of that number for a student; BadInput if there is none."""
    if number not in CHAPTERS:
        raise BadInput(f"the class has no chapter {number}", expected=f"{CHAPTERS[0]} to {CHAPTERS[-1]}")
    texts = tomllib.loads((Path(__file__).parent / "chapters" / f"{number}.toml").read_text(encoding="utf-8"))
    return Chapter(number, seed, MAKERS[number - 1](seed), texts)
