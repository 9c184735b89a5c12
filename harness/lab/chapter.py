"""A chapter: its texts, which are data, a variant of it, its folder, its engine, and the grading of answers."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files
from ..checks.faults.planted import Mutant
from ..engines import find
from ..engines.wrapped import AsMeant
from ..errors import BadInput, meant, writing
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


STATE = "lab.json"
ENGINE = '''"""An engine of `rosetta lab`. Its fault is hidden: who reads on spoils the search."""

from alexnet_rosetta.harness.lab import Hidden


class {title}(Hidden):
    """The port, and something else."""

    chapter, seed, name = {number}, {seed}, "{name}"
'''


def start(number: int, seed: int, out: str | Path) -> Chapter:
    """Write the folder of a chapter; the Chapter.

    Raises BadInput: there is no such chapter, or something is in the folder.
    """
    chapter, out = load(number, seed), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} is there already", hint="another folder with --out, or remove that one")
    texts = {"net.cfg": chapter.variant.net, "net-params.cfg": chapter.variant.net}
    for name in chapter.variant.faults:
        texts[f"{name}.py"] = ENGINE.format(title=name.title(), name=name, number=number, seed=seed)
    texts |= {"notebook.ipynb": notebook(chapter), "sheet.html": sheet(chapter)}
    texts[STATE] = json.dumps({"chapter": number, "seed": seed, "answers": []})
    with writing(out, "another folder with --out"):
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            files.write(out / name, text.encode())
    return chapter


def notebook(chapter: Chapter) -> str:
    """The chapter as a notebook, JSON."""
    cells = [("markdown", f"# {chapter.texts['title']}\n\n{chapter.filled(chapter.texts['question'])}")]
    for text, run, python in chapter.steps:
        cells += [("markdown", text)] if text else []
        cells += [("code", "\n".join(f"!{line}" for line in run.splitlines()))] if run else []
        cells += [("code", python)] if python else []
    blank = " ".join(part.upper().replace(" ", "_") for part in chapter.variant.parts)
    cells.append(("code", f'!rosetta lab answer {chapter.number} "{blank}"'))
    extra: dict[str, dict[str, Any]] = {"markdown": {}, "code": {"execution_count": None, "outputs": []}}
    listed: list[dict[str, Any]] = [{"cell_type": kind, "id": f"cell{k}", "metadata": {}, "source": text, **extra[kind]}
              for k, (kind, text) in enumerate(cells)]  # fmt: skip
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return json.dumps({"cells": listed, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def sheet(chapter: Chapter) -> str:
    """The chapter as a page to print, HTML."""
    from ..reporting.report import filled

    question = chapter.filled(chapter.texts["question"]).split("\n\n")
    return filled("sheet.html", Path(__file__).parent, chapter=chapter, question=question)


def state(folder: str | Path, number: int) -> tuple[int, list[str]]:
    """What `start` and `answer` have written into a folder; BadInput unless it is of that chapter."""
    try:
        found = json.loads((Path(folder) / STATE).read_text(encoding="utf-8"))
        own, seed, answers = found["chapter"], int(found["seed"]), list(found["answers"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder} is no folder of the class", hint=f"rosetta lab start {number}") from error
    if own != number:
        raise BadInput(f"{folder} is of chapter {own}", expected=f"chapter {number}", hint="--out names the folder")
    return seed, answers


def keep(folder: str | Path, number: int, seed: int, answers: list[str]) -> None:
    """Write down what was answered."""
    files.write(Path(folder) / STATE, json.dumps({"chapter": number, "seed": seed, "answers": answers}).encode())


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
    if known is None and not (word.isdecimal() and len(word) < 20):
        raise BadInput(f"{name}: {word[:40]!r} is no number", expected="a whole number in digits")
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


class Hidden(Mutant):
    """An engine of a chapter; the file that `start` writes derives from it and says which."""

    chapter, seed, name = 4, 0, "mystery"

    def __init__(self) -> None:
        own = type(self)
        fault = MAKERS[own.chapter - 1](own.seed).faults[own.name]
        super().__init__(AsMeant(find("port")), fault.mutation)
        self.name = own.name
