"""`rosetta check mutants`: automatic mutants of the port, the engine of 2012 and the judge, and who notices each."""

import json
import random
import re
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from ...errors import BadInput, meant, writing
from ...files import write
from . import tokens
from .compiled import Workshop
from .ladder import UNDECIDED, Outcome, Rung, climb, golden, install, rungs
from .mutate import Mutant, mutants, mutated

ROOT = Path(__file__).parents[3]
ROOMS = {
    "port": ("port/**/*.py",),
    "legacy": ("legacy/kernels/*.cuh", "legacy/host/*.cpp", "legacy/host/*.h", "port/*.h", "port/*.pyx"),
    "judge": ("harness/judging/*.py", "harness/judging/_judge.h", "harness/pairs/*.py", "harness/reporting/**/*.py",
              *(f"harness/running/{name}.py" for name in ("propagated", "steps", "sweep", "tensor_comparison"))),
}  # fmt: skip
"""By what is changed: its files. Of the judge: the verdict, what is compared with what, and what people read of it."""
DRAWN = ("charts.py", "drawing.py", "images.py")
"""Files in which a changed number moves a line on a page; they are left as they are."""
SWITCHES = ROOT / "tests" / "harness" / "quirks" / "test_quirk_effects.py"
"""Tests of the port's switches, in positions that the reference has no formula for."""
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


def files(of: str = "port") -> list[Path]:
    """The files of `ROOMS` that can be mutated."""
    return sorted(path for one in ROOMS[of] for path in ROOT.glob(one) if path.name not in DRAWN)


def equivalent() -> dict[str, str]:
    """By what a mutant is called in `called`, why it computes the same."""
    return tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))


@cache
def called(file: str) -> list[str]:
    """What the mutants of a file are called, each otherwise: by name and line, and which of several of those it is."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    mutants = [(one.name, one.before, lines[one.line - 1].strip()) for one in _mutants(ROOT / file)]
    names = [name if before == line else f"{name} in {line}" for name, before, line in mutants]
    several, seen = Counter(names), Counter[str]()
    for k, name in enumerate(names):
        seen[name] += 1
        names[k] += f" #{seen[name]} of {several[name]}" if several[name] > 1 else ""
    return names


def check_mutants(
    echo: Callable[[str], None], only: tuple[str, ...] = (), sample: int = 0, seed: int = 0,
    out: Path = Path("runs", "mutants"), of: str = "port",
) -> int:  # fmt: skip
    """Run the check; a run that was ended goes on where the list in `out` ends.

    Of the files of a room (`ROOMS`), or `only` some, all mutants or a `sample`; mutants.jsonl has a line for each. The
    exit code is 0 if each that is not listed as equivalent was noticed, in a layer that ran the changed statement; 3 if
    of some nothing is known; else 1.
    """
    chosen = _chosen(only, of)
    if sample:
        chosen = random.Random(seed).sample(chosen, min(sample, len(chosen)))  # so is whatever was done when it ends
    with writing(out, "choose another folder with --out"):
        out.mkdir(parents=True, exist_ok=True)
    log = out / "mutants.jsonl"
    done = _read(log)
    left = [one for one in chosen if _key(one) not in done]
    began, climber = time.monotonic(), Climber(of, out, left)
    for count, one in enumerate(left, 1):
        done[_key(one)] = {**asdict(one), **climber.climbed(one)}
        if done[_key(one)]["how"] != UNDECIDED:  # which the next run tries again
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": _key(one), **done[_key(one)]}) + "\n")
        if count % 100 == 0:
            echo(f"{count} of {len(left)}, {time.monotonic() - began:.0f} s")
    return _tell([done[_key(one)] for one in chosen], out, echo)


class Climber:
    """Has mutants climb, each by the way of its file; workloads and objects are made once for all that are `chosen`."""

    def __init__(self, of: str, out: Path, chosen: Sequence[Mutant]) -> None:
        self.sound: dict[str, bool] = {}
        self.unfit: list[str] = []
        self.workshop = Workshop(ROOT, out / "build") if any(_is_compiled(one) for one in chosen) else None
        apart = any(one.file.startswith("port/config") for one in chosen)
        self.ladder = list(rungs(shared=True)) if of != "judge" else []
        self.own = list(rungs(shared=False)) if apart else []

    def climbed(self, one: Mutant) -> dict[str, object]:
        """What became of a mutant; of a kernel or host code also ``golden``: whether the recorded cases notice."""
        room, path = "legacy" if one.file.startswith("legacy") else one.file.split("/")[0], ROOT / one.file
        name, tests = one.file.removesuffix(".py").removesuffix("/__init__").replace("/", "."), near(one)
        if self.workshop is None or not _is_compiled(one):
            change = partial(install, room, name, path, mutated(path, one.number))
            return asdict(self._noticed(change, self.own if "config" in name else self.ladder, tests, room))
        how, name, library = self.workshop.mutant(one.file, tokens.mutated(path, one.number))
        if library is None:
            return asdict(Outcome("compiler", how))
        change = partial(install, room, name, library)
        if room == "legacy" and (recorded := climb(change, [("golden", golden)])).how:
            return {**asdict(replace(recorded, rung="golden")), "golden": recorded.how != UNDECIDED}
        found = asdict(self._noticed(change, self.ladder, tests, room))
        return {**found, "golden": False} if room == "legacy" else found

    def _noticed(self, change: Callable[[], None], ladder: Sequence[Rung], tests: list[str], room: str) -> Outcome:
        """Climb; a test that fails without any change is left out from then on."""
        engine = "legacy-cpu" if room == "legacy" else "port"
        while True:
            found = climb(change, ladder, [*tests, *self.unfit] if tests else [], engine)
            test = found.detail.partition("\n")[0]
            if found.rung != "tests" or not test:
                return found
            if test not in self.sound:
                nothing = partial(install, room, "nothing", Path())
                self.sound[test] = not climb(nothing, [], [test]).how
            if self.sound[test]:
                return found
            self.unfit.append(f"--deselect={test}")


def near(one: Mutant) -> list[str]:
    """The files of tests that may know a mutant, in the order in which they are asked.

    All of the room, but for those that run a build of their own (tests/legacy/counted), or of the folder of the
    harness: those that are named after the file first, then those that name the file or the function; of the harness
    also others that import the file, of the port also those of its switches.
    """
    room, *folders, name = one.file.split("/")
    stem = Path(name).stem
    words = {stem.strip("_"), *one.function.split("."), *(folders if room == "port" else ())}
    words -= {"", "init", *(word for word in words if word.startswith("__"))}
    named = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b" if words else "")
    home = ROOT / "tests" / ("/".join((room, *folders[:1])) if room == "harness" else room)
    ranked = []
    for path in (home.parent if room == "harness" else home).rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        is_home, is_named = path.is_relative_to(home), bool(named.search(text))
        if path.parent.name != "counted" and (is_home or f"{folders[0]}.{stem}" in text):
            ranked.append((stem not in path.stem, not is_home, not is_named, str(path)))
    return [*(path for *_, path in sorted(ranked)), *([str(SWITCHES)] if room == "port" else [])]


def _is_compiled(one: Mutant) -> bool:
    return not one.file.endswith(".py")


def _key(one: Mutant) -> str:
    return f"{one.name} #{one.number}"


def _mutants(path: Path) -> list[Mutant]:
    return (mutants if path.suffix == ".py" else tokens.mutants)(path, ROOT)


def _chosen(only: tuple[str, ...], of: str) -> list[Mutant]:
    known = {path.relative_to(ROOT).as_posix(): path for path in files(of)}
    for name in only:
        if name not in known:
            hint = meant(name, known, f"files such as {next(iter(known))}")
            raise BadInput(f"{name!r} is no file with mutants of {of}", hint=hint)
    return [one for name in (only or known) for one in _mutants(known[name])]


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
    dropped = Counter(str(one["how"]) for one in found if one["rung"] == "compiler")
    found = [one for one in found if one["rung"] != "compiler"]
    open_ = [one for one in found if one["how"] == UNDECIDED]
    survived = [one for one in found if not one["how"]]
    same = [one for one in survived if _name(one) in listed]
    left = [one for one in survived if one not in same]
    wrong = [one for one in found if not one["right"]]
    by = Counter(_by(one) for one in found)
    how = Counter(str(one["how"]) or "survived" for one in found)
    if dropped:
        echo(f"{dropped['no program']} do not compile, {dropped['same']} come to the same bytes of object code")
    echo(f"{len(found)} mutants: " + ", ".join(f"{count} {name}" for name, count in how.most_common()))
    echo("first noticed by: " + ", ".join(f"{count} {name}" for name, count in by.most_common()))
    killed = len(found) - len(survived) - len(open_)
    if any("golden" in one for one in found):
        asked = [one for one in found if one.get("golden") is not None and one not in same]
        unseen = [f"{one['file']}:{one['line']} {one['after']} ({_by(one)})\n" for one in asked if not one["golden"]]
        echo(f"the recorded cases notice {len(asked) - len(unseen)} of {len(asked)}")
        write(out / "golden.txt", "".join(unseen).encode())
    echo(f"{len(wrong)} showed in a layer that had not run the changed statement")
    for one in (*left, *wrong, *open_):
        what = "survived" if not one["how"] else UNDECIDED if one in open_ else "misplaced"
        echo(f"{what} {one['file']}:{one['line']} {_name(one).partition(': ')[2]}")
    echo(f"{killed} of {killed + len(left)} that compute something else were noticed, {len(same)} are equivalent")
    write(out / "survivors.txt", "".join(f"{_name(one)}\n" for one in left).encode())
    return 1 if left or wrong else 3 if open_ else 0


def _by(one: dict[str, object]) -> str:
    """The rung that noticed a mutant; of one that ended the process, which rung is not known."""
    return str(one["rung"]).split(" 9")[0] or str(one["how"]) or "nobody"


def _name(one: dict[str, Any]) -> str:
    return called(one["file"])[one["number"]]
