"""The folder of a chapter: network, engines, notebook, sheet, and what was answered."""

import json
from pathlib import Path
from typing import Any

from .. import files
from ..errors import BadInput, writing
from .chapter import Chapter, load

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
