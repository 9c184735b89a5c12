"""The commands of `rosetta lab`, the class."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .shared import PATH, say

SEED: dict[str, Any] = {"type": click.IntRange(0), "default": 0, "show_default": True}


@click.group()
def lab() -> None:
    """A class in six chapters: a question, or an engine with a hidden fault, another one for each student."""


def _say_lines(text: str) -> None:
    for line in text.strip().splitlines():
        say(line)


def _out(command: Callable[..., Any]) -> Callable[..., Any]:
    text = "Folder of the chapter [lab-CHAPTER]."
    return click.option("--out", metavar="DIR", type=PATH, help=text)(command)


@lab.command()
@click.argument("chapter", type=int)
@click.option("--seed", help="The student's number.", **SEED)
@_out
def start(chapter: int, seed: int, out: Path | None) -> None:
    """Write the folder of a CHAPTER: its network, engines, notebook and sheet."""
    from ..lab import start as write

    out = out or Path(f"lab-{chapter}")
    found = write(chapter, seed, out)
    say(f"Chapter {chapter}: {found.texts['title']} ({found.texts['minutes']} minutes)")
    say("")
    _say_lines(found.filled(found.texts["question"]))
    say("")
    for number, (text, run, python) in enumerate(found.steps, 1):
        say(f"{number}. {text}{' (a cell of the notebook)' if python else ''}")
        for line in run.splitlines():
            say(f"     {line}")
    say("")
    say(
        f"{out}: net.cfg{''.join(f', {name}.py' for name in found.variant.faults)}; sheet.html to print, notebook.ipynb"
    )
    parts = " ".join(part.upper().replace(" ", "_") for part in found.variant.parts)
    say(f'Begin with: cd {out}. Then: rosetta lab answer {chapter} "{parts}"')


@lab.command()
@click.argument("chapter", type=int)
@click.argument("text", metavar="ANSWER")
@_out
@click.pass_context
def answer(ctx: click.Context, /, chapter: int, text: str, out: Path | None) -> None:
    """Grade an ANSWER to a CHAPTER, in quotes. Exit code 0: right; 1: not yet, with a hint."""
    from ..lab import answer as grade
    from ..lab.chapter import STATE

    right, lines = grade(chapter, text, out or (Path() if Path(STATE).exists() else Path(f"lab-{chapter}")))
    for line in lines:
        _say_lines(line)
    ctx.exit(0 if right else 1)


@lab.command()
@click.argument("chapter", type=int, required=False)
@click.option("--seed", help="The student's number.", **SEED)
@click.option("--students", type=click.IntRange(1), default=1, show_default=True, help="So many seeds from there on.")
def key(chapter: int | None, seed: int, students: int) -> None:
    """The teacher's key: the right answers of one CHAPTER or all, a line for each student."""
    from ..lab import CHAPTERS, load

    for own in range(seed, seed + students):
        for number in [chapter] if chapter is not None else CHAPTERS:
            found = load(number, own).variant
            said = (f"{part} {value}" for part, value in zip(found.parts, found.answer, strict=True))
            stories = "; ".join(fault.story for fault in found.faults.values() if fault.story)
            say(f"seed {own}, chapter {number}: {', '.join(said)}{f' ({stories})' if stories else ''}")


COMMANDS = (lab,)
