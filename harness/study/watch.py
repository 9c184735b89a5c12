"""`rosetta watch NET LAYER`: the verdict on one layer anew, whenever a file of an engine is saved.

Operands and reference are evaluated once and held, with the digest of everything that they depend on. A verdict is made
in a process that is forked off before any engine is imported, so that each engine is imported as it was saved last.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from subprocess import run
from time import sleep, time
from typing import Any, NamedTuple

import numpy as np

from .. import engines, files, machine
from ..errors import BadInput, RosettaError, one_line, told
from ..judging.finding import finding_of
from ..judging.places import axes
from ..judging.row import Row
from ..quirks.settings import parse
from ..running.explain import QuirkSearch
from ..running.prepare import Options, prepare
from .explain import evaluated, judge_alone

ROOT = Path(__file__).parents[2]
COMPILED = (".pyx", ".pxd", ".pxi", ".h", ".cuh", ".cpp")
SOURCES = (".py", ".cfg", ".toml", ".so")
PAUSE = 0.1


class Held(NamedTuple):
    """The tensors of a layer with what the reference says of each, and the digest of what both depend on."""

    digest: str
    work: Any
    tensors: list[Any]


def hold(options: Options, layer: str) -> Held:
    """Evaluate the reference up to a layer."""
    before = digest(options)
    work = prepare(
        replace(options, engines=("reference",), quirks=(), level="", layers=(layer,), passes=("forward", "backward"))
    )
    own = [one.subject for _, one in evaluated(work, "backward") if one.tensor != "acts_grad"]  # others send that
    tensors = [(subject, list(subject.step.bounded(subject.name))) for subject in own]
    if not tensors or digest(options) != before:
        raise BadInput(f"{layer} leaves nothing to watch, or a file was changed meanwhile", hint="begin again")
    return Held(before, work, tensors)


def depends(options: Options) -> list[Path]:
    """The files that operands and reference depend on: layer files, values, the harness, the reader of layer files."""
    own = [ROOT / "harness", ROOT / "port" / "config"]
    named = [Path(name) for name in (options.net, options.params, options.weights, options.input) if name]
    beside = [path.with_name(f"{path.stem}-params.cfg") for path in named[:1]]
    found = (path for folder in own for path in folder.rglob("*") if path.suffix in SOURCES)
    return sorted({*found, *(path for path in (*named, *beside) if path.is_file())})


def digest(options: Options) -> str:
    """A digest of the options, of the versions of what computes, and of all bytes of `depends`."""
    found = sha256(repr((options, sys.version, np.__version__, machine.environment(1)["packages"])).encode())
    for path in depends(options):
        data = path.read_bytes()
        found.update(f"{path} {len(data)} ".encode() + data)
    return found.hexdigest()


def watched(options: Options) -> list[Path]:
    """The files of the engines, and those of `depends`."""
    named = (Path(name) if name.endswith(".py") else ROOT / name.partition("-")[0] for name in options.engines)
    found = (path for place in named for path in [place, *place.rglob("*")])
    return sorted({*depends(options), *(path for path in found if path.suffix in (".py", *COMPILED))})


def judged_rows(held: Held, options: Options) -> Iterator[Row]:
    """Run the layer in every engine and judge it."""
    chosen = engines.available(options.engines)
    work = replace(held.work, engines=chosen, settings=parse(options.quirks, chosen, options.level))
    sessions: dict[Any, Any] = {}
    for subject, parts in held.tensors:
        step, found, seconds = subject.step, {}, {}
        for engine in chosen:
            key = engine.name, *map(id, getattr(step, "steps", [step]))
            try:
                if key not in sessions:
                    sessions[key] = QuirkSearch(work).session(engine, step, work.settings.get(engine.name, {}))
                    seconds[engine.name] = sessions[key].seconds(step.layer.name, step.pass_name)
                found[engine.name] = step.read(sessions[key], subject.name)
            except Exception as error:
                found[engine.name] = finding_of(error, f"{step.layer.name} {step.pass_name}")
        judged = judge_alone(subject, found, parts)
        yield Row.of(judged, seconds, axes(work.network.graph.layers, judged.layer, judged.tensor, judged.shape or ()))


def show_verdict(
    held: Held, options: Options, show: Callable[[Iterable[Row]], None], say: Callable[[str], None]
) -> None:
    """Show the rows, made in a process of its own; whatever goes wrong there is a line."""

    def child() -> None:
        try:
            show(judged_rows(held, options))
        except BaseException as error:
            say(f"! {one_line(error) if isinstance(error, RosettaError) else told(error)}")

    process = get_context("fork").Process(target=child)
    process.start()
    process.join()
    if process.exitcode:
        say(f"! the engine ended its process: exit code {process.exitcode}")


def build(options: Options) -> str:
    """Build the extension modules of the engines whose sources changed, and put them in place; "" or what failed."""
    folder = ROOT / "build" / f"cmake-{sys.implementation.cache_tag}"
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    ninja = shutil.which("ninja", path=path)
    if ninja is None or not (folder / "build.ninja").exists():
        return f"nothing was built: no ninja, or no folder {folder}; 'make build' makes it"
    level = (os.environ.get("ROSETTA_ISA") or machine.instruction_level() or "baseline").rpartition("-")[2]
    legacy = ("legacy", f"_legacy_{'strict' if level in ('v1', 'v2') else level}")
    targets = [legacy] * ("legacy-cpu" in options.engines)
    targets += [("port", source.stem) for source in (ROOT / "port").glob("_*.pyx")] * ("port" in options.engines)
    made = run([ninja, "-C", folder, *(name for _, name in targets)], capture_output=True, text=True, check=False)
    if made.returncode:
        return next((line for line in made.stdout.splitlines() if "error" in line.lower()), made.stdout[-200:])
    for room, name in targets:
        data = next((folder / "modules").glob(f"{name}.*")).read_bytes()
        place = ROOT / room / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
        if not place.exists() or data != place.read_bytes():
            files.write(place, data)
    return ""


def watch(options: Options, layer: str, show: Callable[[Iterable[Row]], None], say: Callable[[str], None],
          times: int = 0) -> bool:  # fmt: skip
    """Show the layer's rows now and after every change, ``times`` changes (0: without end).

    Returns True where something changed that the held tensors depend on: they must not be used any more.
    """
    began = time()
    held = hold(options, layer)
    say(f"{layer}: operands and reference are held ({time() - began:.1f} s); waiting for files of the engines")
    before = _stamps(options)
    show_verdict(held, options, show, say)
    done = 0
    while not times or done < times:
        sleep(PAUSE)
        now = _stamps(options)
        changed = [path for path in now.keys() | before.keys() if now.get(path) != before.get(path)]
        if not changed:
            continue
        before, done = now, done + 1
        saved = max((now[path] / 1e9 for path in changed if path in now), default=time())
        say(f"{', '.join(path.name for path in changed[:3])} changed")
        if held.digest != digest(options):
            return True
        problem = build(options) if any(path.suffix in COMPILED for path in changed) else ""
        if problem:
            say(f"! {problem}")
            continue
        show_verdict(held, options, show, say)
        say(f"{time() - saved:.1f} s after it was saved")
    return False


def _stamps(options: Options) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in watched(options) if path.exists()}
