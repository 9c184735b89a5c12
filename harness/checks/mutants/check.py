"""`rosetta check mutants`: automatic mutants of the port, and who notices each."""

import json
import os
import random
import re
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ...errors import BadInput, meant
from ...files import write
from .ladder import Outcome, climb, rungs
from .mutate import Mutant, mutants, mutated

ROOT = Path(__file__).parents[3]
TESTING = 400
"""Seconds of the unit tests for one mutant."""
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


def files(of: str = "port") -> list[Path]:
    """The files of a room that can be mutated."""
    return sorted(path for path in (ROOT / of).rglob("*.py") if path.name != "py.typed")


def equivalent() -> dict[str, str]:
    """By name of a mutant, why it computes the same."""
    return {name: reason for name, reason in tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).items()}


def check_mutants(
    echo: Callable[[str], None], only: tuple[str, ...] = (), sample: int = 0, seed: int = 0,
    out: Path = Path("runs", "mutants"),
) -> int:  # fmt: skip
    """Run the check; a run that was ended goes on where the list in `out` ends.

    Parameters
    ----------
    echo : callable
        Takes the lines that it prints.
    only : sequence of str
        Files, as ``port/conv.py``; by default all.
    sample : int
        How many mutants, drawn from all; 0: every one.
    seed : int
        Of the draw.
    out : Path
        A folder: mutants.jsonl has a line for each mutant.

    Returns
    -------
    int
        0 if each mutant that is not listed as equivalent was noticed, in a layer that ran the changed statement.
    """
    chosen = _chosen(only)
    if sample:
        chosen = sorted(random.Random(seed).sample(chosen, min(sample, len(chosen))), key=lambda one: one.name)
    out.mkdir(parents=True, exist_ok=True)
    log = out / "mutants.jsonl"
    done = _read(log)
    apart = any(one.file.startswith("port/config") for one in chosen)
    shared, own = list(rungs(shared=True)), list(rungs(shared=False)) if apart else []
    began = time.monotonic()
    for count, one in enumerate(chosen, 1):
        key = f"{one.name} #{one.number}"
        if key not in done:
            path = ROOT / one.file
            ladder = own if one.file.startswith("port/config") else shared
            outcome = climb(one.file, path, mutated(path, one.number), ladder)
            if not outcome.how:
                outcome = _tested(one)
            done[key] = {**asdict(one), **asdict(outcome)}
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, **done[key]}) + "\n")
        if count % 100 == 0:
            echo(f"{count} of {len(chosen)}, {time.monotonic() - began:.0f} s")
    return _tell([done[f"{one.name} #{one.number}"] for one in chosen], out, echo)


def _tested(one: Mutant) -> Outcome:
    """Whether the unit tests notice a mutant: those of the port that name its module or its function."""
    words = {Path(one.file).stem, *one.function.split("."), *one.file.split("/")[1:-1]} - {"__init__"}
    texts = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests" / "port").rglob("test_*.py"))}
    near = [str(path) for path, text in texts.items() if any(re.search(rf"\b{word}\b", text) for word in words)]
    if not near:
        return Outcome()
    options = ["-x", "-q", "-p", f"{__package__}.plugin", "-p", "no:cacheprovider", "-m", "not slow"]
    command = [sys.executable, "-m", "pytest", *options, *near]
    environment = {**os.environ, "ROSETTA_MUTANT": f"{one.file} {one.number}"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TESTING)
    except subprocess.TimeoutExpired:
        return Outcome("tests", "nothing came")
    if done.returncode == 0:
        return Outcome()
    told = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR", "E  "))]
    return Outcome("tests", "different", True, told[-1][:300] if told else done.stdout[-300:])


def _chosen(only: tuple[str, ...]) -> list[Mutant]:
    known = {path.relative_to(ROOT).as_posix(): path for path in files()}
    for name in only:
        if name not in known:
            raise BadInput(f"{name!r} is no file with mutants", hint=meant(name, known, "files such as port/conv.py"))
    return [one for name in (only or known) for one in mutants(known[name], ROOT)]


def _read(log: Path) -> dict[str, dict[str, object]]:
    """What earlier runs found; a last line that was cut short is left out."""
    found = {}
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        found[entry.pop("key")] = entry
    return found


def _tell(found: list[dict[str, object]], out: Path, echo: Callable[[str], None]) -> int:
    listed = equivalent()
    survived = [one for one in found if not one["how"]]
    same = [one for one in survived if _name(one) in listed]
    left = [one for one in survived if _name(one) not in listed]
    wrong = [one for one in found if not one["right"]]
    by = Counter(str(one["rung"]).split(" 9")[0] or "nobody" for one in found)
    how = Counter(str(one["how"]) or "survived" for one in found)
    echo(f"{len(found)} mutants: " + ", ".join(f"{count} {name}" for name, count in how.most_common()))
    echo("first noticed by: " + ", ".join(f"{count} {name}" for name, count in by.most_common()))
    killed = len(found) - len(survived)
    echo(f"{killed} of {killed + len(left)} that compute something else were noticed, {len(same)} are equivalent")
    echo(f"{len(wrong)} showed in a layer that had not run the changed statement")
    for one in (*left, *wrong):
        what = "misplaced" if one["how"] else "survived"
        echo(f"{what} {one['file']}:{one['line']} {_name(one).partition(': ')[2]}")
    write(out / "survivors.txt", "".join(f"{_name(one)}\n" for one in left).encode())
    return int(bool(left or wrong))


def _name(one: dict[str, object]) -> str:
    return f"{one['file']}: {one['function']}: {one['before']} -> {one['after']}"
