"""`rosetta bisect RUN`: the first layer and pass at fault, the fewest operands that still show it, a folder of both.

The reference is evaluated up to the first tensor that fails. Images are left out, then channels, pixels, rows and
columns of every operand are set to zero, half of them at a time, as long as the engine still differs. What is left is
stored with the calls that the engine was given, as a script.
"""

import shutil
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .. import files
from ..engines.protocol import Engine
from ..errors import BadInput
from ..judging.finding import Finding
from ..judging.places import axes
from ..judging.row import Row
from ..network.graph import reads_constants
from ..network.load import parameter_shapes
from ..network.tensors import increment
from ..reporting.lines import printable
from ..running.contributions import OutputGradient, ParameterGradients
from ..running.exact_workload import ExactWorkload
from ..running.prepare import Options, prepare
from ..running.steps import Backward, Collected, Forward, Sum, Update
from ..running.sweep import Sweep
from .explain import evaluated, explanation, judge_alone, run_alone

LARGEST = 64 * 2**10
"""Bytes that the folder may take."""


def bisect(rows: Sequence[Row], options: Options, out: Path, say: Callable[[str], None]) -> Path:
    """Find the fault of a run, whose rows stand in order, and write its folder, which must not exist.

    Raises BadInput: nothing fails in a step of its own, or it does not fail any more, or `out` exists.
    """
    isolated = [row for row in rows if row.mode == "isolated" and row.shape]
    failed = [(row, name) for row in isolated for name, one in row.counted().items() if one.fails]
    if not failed:
        raise BadInput("no tensor of the run fails in a step of its own", hint="rosetta report shows what was found")
    if out.exists() or not out.absolute().parent.is_dir():
        raise BadInput(f"{out} exists, or has no folder to be in", hint="choose another folder with --out")
    row, engine = next((one for one in failed if one[1] not in one[0].quirk), failed[0])
    say(f"first at fault: {row.name(engine)} ({row.findings[engine].status})")
    work = prepare(replace(options, layers=(), mode="isolated"))
    with threadpool_limits(work.threads):
        for sweep, one in evaluated(work, row.step):
            vars(sweep)["free"] = lambda name: None  # what other layers read is needed again
            if (one.layer.name, one.step, one.tensor) == (row.layer, row.step, row.tensor):
                at = [own.name for own in work.engines].index(engine)
                named, search = options.engines[at], _Search(sweep, one.subject, work.engines[at])
                if search.shows(search.kept):
                    search.reduce()
                    return _write(search, named, options.rules, out, say)
    raise BadInput(f"{row.name(engine)} does not fail any more", hint="run the comparison again")


class _Search:
    """What is kept of the operands of a step: of each, items along its first and second axis; of all, images."""

    def __init__(self, sweep: Sweep, subject: Any, engine: Engine) -> None:
        self.sweep, self.subject, self.engine, self.tried = sweep, subject, engine, 0
        self.kept: dict[tuple[str, ...], list[int]] = {("images",): list(range(sweep.work.batch))}
        self.grids: dict[tuple[str, ...], tuple[int, int]] = {}
        for step in getattr(subject.step, "steps", [subject.step]):
            layer, graph = step.layer, sweep.graph
            if not isinstance(step, Update):
                for i, source in enumerate(layer.inputs):
                    if not reads_constants(layer, i):
                        self._add(("acts", source), graph.layers[source], sweep.acts[source])
            if isinstance(step, Backward) and layer.name in sweep.acts_grad:
                self._add(("acts_grad", layer.name), layer, sweep.acts_grad[layer.name])
            for tensor in parameter_shapes(layer):
                owner, held = graph.owner(layer, tensor)
                for name in (held, increment(held)):
                    self._add(("values", owner, name), None, sweep.work.values[owner][name])
            for name, array in sweep.gradients.get(layer.name, {}).items() if isinstance(step, Update) else ():
                self._add(("gradients", layer.name, name), None, array)

    def _add(self, key: tuple[str, ...], layer: Any, array: Any) -> None:
        lie = axes(self.sweep.graph.layers, layer, "acts", array.shape) if layer else {"channel": array.shape[0]}
        first = lie.get("channel", array.shape[0])
        self.grids[key] = first, array.shape[0] // first if layer else array.shape[1]
        self.kept |= {(*key, axis): list(range(n)) for axis, n in zip("01", self.grids[key], strict=True)}

    def reduce(self) -> None:
        """Keep the fewest items of every kind with which the fault still shows."""
        for key, items in self.kept.items():
            if key != ("images",) and self.shows(self.kept | {key: []}):
                items = []
            size = len(items) // 2
            while size:
                at = 0
                while at < len(items) > 1:
                    fewer = items[:at] + items[at + size :]
                    if fewer and self.shows(self.kept | {key: fewer}):
                        items = fewer
                    else:
                        at += size
                size //= 2
            self.kept = self.kept | {key: items}

    def shows(self, kept: dict[tuple[str, ...], list[int]]) -> bool:
        """Whether the engine still differs."""
        images = len(kept["images",])
        if isinstance(self.sweep.work, ExactWorkload) and images & (images - 1):
            return False  # to divide by such a number of cases is not exact
        self.tried += 1
        return self.judged(kept)[0].fails

    def judged(self, kept: dict[tuple[str, ...], list[int]], engine: Engine | None = None) -> tuple[Finding, Any]:
        """The Finding with what is kept, and the `steps.Tensor`."""
        subject = self.rebuilt(kept)
        work = subject.step.work
        name, work = self.engine.name, replace(work, engines=[engine or self.engine])
        found, _ = run_alone(work, subject)
        judged = judge_alone(subject, found, subject.step.bounded(subject.name))
        return work.adjust(Row.of(judged, {}, {})).findings[name], subject

    def rebuilt(self, kept: dict[tuple[str, ...], list[int]]) -> Any:
        """The same `steps.Tensor` of a step with what is kept of the operands."""
        sweep, work, images = copy(self.sweep), self.sweep.work, kept["images",]

        def cut(array: Any, *key: str) -> Any:
            array = np.ascontiguousarray(array if key[0] in ("values", "gradients") else array[:, images])
            if key not in self.grids or not np.issubdtype(array.dtype, np.floating):
                return array
            at = np.ix_(kept[*key, "0"], kept[*key, "1"])
            found, shape = np.zeros_like(array), (*self.grids[key], -1)
            found.reshape(shape)[at] = array.reshape(shape)[at]
            return found

        sweep.acts = {name: cut(array, "acts", name) for name, array in self.sweep.acts.items()}
        sweep.acts_grad = {name: cut(array, "acts_grad", name) for name, array in self.sweep.acts_grad.items()}
        values, sweep.gradients = (
            {x: {name: cut(array, kind, x, name) for name, array in own.items()} for x, own in held.items()}
            for kind, held in (("values", work.values), ("gradients", self.sweep.gradients))
        )
        inputs: Any = SimpleNamespace(batch=len(images), kind=work.inputs.kind, captions=[])
        tape: Any = _Tape(work, images)
        network = replace(work.network, minibatch=len(images))
        sweep.work = replace(work, network=network, inputs=inputs, values=values, tape=tape)
        return next(t for t in _step(sweep, self.subject).tensors() if t.name == self.subject.name)


class _Tape:
    """The numbers that were drawn, of some images."""

    def __init__(self, work: Any, images: list[int]) -> None:
        self._mask, self.normals, self._batch, self._images = work.tape.mask, work.tape.normals, work.batch, images

    def mask(self, layer: Any, batch: int, kind: str) -> Any:
        """What is random in a layer, as `Tape.mask` gives it."""
        whole = self._mask(layer, self._batch, kind)
        return whole if whole is None or whole.shape[1] == 1 else np.ascontiguousarray(whole[:, self._images])


def _step(sweep: Any, subject: Any) -> Any:
    step = subject.step
    if isinstance(step, Forward):
        return Forward(sweep, step.layer, step.pass_name)
    if not isinstance(step, Collected):
        return type(step)(sweep, step.layer)
    again = {old.layer.name: Backward(sweep, old.layer) for old in step.steps}
    if not isinstance(step, Sum):
        sums = ParameterGradients(sweep, [one.layer for one in again.values()])
        return next(one for new in again.values() for one in sums.add(new) if one.tensor == subject.name)
    below = OutputGradient(sweep, step.layer)
    for consumer, i, _ in step.parts:
        parts = [bounded for bounded, _ in again[consumer].bounded(f"inputs_grad[{i}]")]
        below.add(again[consumer], i, parts)
    return below.take()


# What is written


class _Noting:
    """An engine that notes every call of its sessions as a line of Python, and its arrays."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.calls: list[str] = []
        self.arrays: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def open(self, network: Any, threads: int) -> Any:
        """A session whose calls are noted."""
        session, note = self._engine.open(network, threads), self

        class Noted:
            def __getattr__(self, verb: str) -> Any:
                def call(*args: Any) -> Any:
                    told = f"session.{verb}({', '.join(map(note.spelled, args))})"
                    reads = verb in ("read", "sum_grad")
                    note.calls += [f"found = {told}" if reads else told] * (verb not in ("launches", "record_launches"))
                    return getattr(session, verb)(*args)

                return call

        return Noted()

    def spelled(self, value: Any) -> str:
        """An argument in Python."""
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self.spelled, value))}]"
        if not isinstance(value, np.ndarray):
            return repr(value)
        k, kept = f"a{len(self.arrays) // 3}", np.flatnonzero(value != 0)
        self.arrays |= {f"{k}.shape": np.array(value.shape), f"{k}.at": kept, f"{k}.kept": value.ravel()[kept]}
        return f"array({k!r})"


def _write(search: _Search, named: str, rules: Sequence[str], out: Path, say: Callable[[str], None]) -> Path:
    """Write the folder of an engine that the command calls `named`."""
    whole, noting = search.sweep.work, _Noting(search.engine)
    finding, subject = search.judged(search.kept, noting)
    network, step, worst = whole.network, subject.step, finding.worst
    text = [f"{network.name}: {noting.name} {step.layer.name} {step.pass_name} {subject.name}: {finding.status}"]
    text.append(f"images: {len(search.kept['images',])} of {whole.batch}, after {search.tried} trials")
    for key, (a, b) in search.grids.items():
        kinds = ("channels", "pixels") if "acts" in key[0] else ("rows", "columns")
        left = [len(search.kept[*key, axis]) for axis in "01"]
        text.append(f"{' '.join(key[::-1])}: {left[0]} of {a} {kinds[0]}, {left[1]} of {b} {kinds[1]}")
    parts = list(step.bounded(subject.name))
    shape = tuple(subject.shape or parts[0][0].value.shape)
    if worst:
        work = replace(step.work, engines=[search.engine])
        found, launches = run_alone(work, subject)
        explained = explanation(work, subject, found, parts, worst.index, shape, launches)
        text += filter(None, [*explained.lines(), explained.first_operand()])
    text = list(map(printable, text))
    script = SCRIPT.format(
        what=text[0].translate({34: "'", 92: "/"}),
        files=(network.definition.name, network.params and network.params.name, tuple(rules)),
        exact="exact_network" if isinstance(whole, ExactWorkload) else "",
        point={name: getattr(step.work.network, name) for name in POINT},
        engine=Path(named).name,
        calls="\n    ".join(noting.calls),
        shape=(shape, "float64" if subject.name == "cost" else "float32"),
        place=worst and (worst.index, worst.reference, worst.bound if finding.share > 1 else 0.0),
    )
    with TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}.") as draft:
        folder = Path(draft, out.name)
        folder.mkdir()
        for path in (network.definition, network.params, *[Path(named)] * named.endswith(".py")):
            if path:
                shutil.copyfile(path, folder / path.name)
        np.savez_compressed(folder / "case.npz", **noting.arrays)
        (folder / "about.txt").write_text("\n".join([*text, ""]), encoding="utf-8")
        (folder / "again.py").write_text(script, encoding="utf-8")
        size = sum(path.stat().st_size for path in folder.iterdir())
        files.place(folder, out)
    for line in text:
        say(line)
    say(f"{out}: {size:,} bytes{'' if size <= LARGEST else ', more than 64 KiB'}; again: python {out / 'again.py'}")
    return out


POINT = ("progress", "update_every", "minibatch", "quantise", "port_algorithm")
SCRIPT = '''"""{what}

From 'rosetta bisect'; about.txt says more. Exit code 1: the fault is there; 0: it is gone.
"""

import sys
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import numpy as np

from alexnet_rosetta.harness.engines import find
from alexnet_rosetta.harness.network.load import load
from alexnet_rosetta.harness.running.exact_workload import exact_network

HERE = Path(__file__).parent
case = np.load(HERE / "case.npz")


def array(k):
    """An array of which only what is not zero is stored."""
    whole = np.zeros(case[f"{{k}}.shape"], case[f"{{k}}.kept"].dtype)
    whole.flat[case[f"{{k}}.at"]] = case[f"{{k}}.kept"]
    return whole


definition, params, rules = {files!r}
network = load(str(HERE / definition), params and str(HERE / params), rules=rules, forward_only=params is None)
network = replace({exact}(network), **{point!r})
engine = {engine!r}
session = find(str(HERE / engine) if engine.endswith(".py") else engine).open(network, 1)
try:
    {calls}
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(1)
found, place = np.asarray(found), {place!r}
if (found.shape, str(found.dtype)) != {shape!r} or place is None:
    print(found.shape, found.dtype, "is stored; right would be", *{shape!r})
    sys.exit(int((found.shape, str(found.dtype)) != {shape!r}))
index, reference, bound = place
value = found[index]
same = np.array_equal(value, np.float32(reference), equal_nan=True)
wrong = not (same or (bound and abs(float(value) - reference) <= bound))
print(f"{{value}} is stored, {{reference}} would be right, allowed +-{{bound:.3g}}:", "wrong" if wrong else "right")
sys.exit(int(wrong))
'''
