"""Grades an answer: right, or which parts are, and a hint."""

import re
from pathlib import Path

from ..errors import BadInput, meant
from .chapter import load
from .folder import keep, state
from .variant import Variant


def read(text: str, variant: Variant) -> tuple[int | str, ...]:
    """The parts of an answer; BadInput if they are not what was asked for."""
    words = re.sub(r"(?<=\d),(?=\d{3}\b)", "", str(text)).lower().replace(",", " ").split()
    if len(words) != len(variant.parts):
        raise BadInput(
            "the answer has too few or too many parts",
            expected=", ".join(variant.parts),
            hint="in quotes, with blanks between",
        )
    return tuple(_part(*each) for each in zip(words, variant.parts.items(), strict=True))


def _part(word: str, asked: tuple[str, tuple[str, ...] | None]) -> int | str:
    name, known = asked
    if known is None and not word.isdecimal():
        raise BadInput(f"{name}: {word!r} is no number", expected="a whole number in digits")
    if known is not None and word not in known:
        raise BadInput(f"{name}: there is no {word!r}", hint=meant(word, known, f"one of {', '.join(known)}"))
    return int(word) if known is None else word


def answer(number: int, text: str, folder: str | Path) -> tuple[bool, list[str]]:
    """Grade an answer and write it down.

    ``folder``: as `start` left it.
    Returns: whether all is right, and what there is to say.
    """
    seed, earlier = state(folder, number)
    chapter = load(number, seed)
    found, right = read(text, chapter.variant), chapter.variant.answer
    keep(folder, number, seed, [*earlier, text])
    if found == right:
        times = f"at attempt {len(earlier) + 1}"
        return True, [f"Right, {times}: {text}", chapter.filled(chapter.texts["after"]).strip()]
    good = [name for name, one, other in zip(chapter.variant.parts, found, right, strict=True) if one == other]
    lines = [f"Not yet. Right so far: {', '.join(good) or 'nothing'}."]
    known = [key for key, mistake in chapter.variant.mistakes.items() if mistake == found]
    hints = chapter.texts["hints"]
    hint = chapter.texts["mistakes"][known[0]] if known else hints[min(len(earlier), len(hints) - 1)]
    return False, [*lines, f"Hint: {chapter.filled(hint).strip()}"]
