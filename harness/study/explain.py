"""`rosetta explain NET LAYER PASS [TENSOR]`: one element, from its operands to the bits of every engine.

The reference is evaluated up to the step that is asked for; then each engine runs that step alone, from the values of
isolated mode, and the element is computed again in each engine's own order (`replay`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import zip_longest
from math import inf
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from .. import concordance
from ..engines.protocol import Engine
from ..errors import BadInput, meant
from ..judging.finding import Finding, finding_of
from ..judging.places import SAME, axes, place
from ..judging.verdict import bitwise_equal
from ..network.load import LayerSpec, Network, parameter_shapes
from ..network.tensors import address
from ..reference.views import PASS_TYPES
from ..running.explain import QuirkSearch
from ..running.prepare import Options, prepare
from ..running.steps import PASSES, Part, Tensor
from ..running.sweep import Sweep
from ..running.tensor_comparison import TensorComparison
from ..running.workload import Workload
from .layer import host_place, kernel_place, port_functions, port_place
from .replay import Element, F, Trace, TraceStep, element

FEW, NEAR = 24, 3
"""So many steps are all shown; of more, those near the ends and near the first difference."""


class Account(NamedTuple):
    """What one engine stored, how its replay came to a value, and a remark; None where there is no such thing."""

    value: np.float32 | None
    trace: Trace | None
    note: str


@dataclass(repr=False)
class Explanation:
    """One element explained."""

    title: str
    element: Element
    # reference, bound: the formula's value, and by how much an engine may be off
    reference: float
    bound: float
    accounts: dict[str, Account]  # by engine
    findings: list[str]  # what was found, in sentences
    # where the element comes from, and where the computation stands in both engines and the reference
    facts: dict[str, str]

    def __repr__(self) -> str:
        """The lines."""
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        """The lines for a notebook."""
        return f"<pre>{escape(repr(self))}</pre>"

    def lines(self) -> Iterator[str]:
        """What the command prints."""
        yield self.title
        yield f"  what        {self.element.formula or 'no formula of a single element'}"
        yield from (f"  {what:10}  {text}" for what, text in self.facts.items())
        yield f"  reference   {self.reference:.12g}, allowed ±{self.bound:.3g}"
        for name, account in self.accounts.items():
            yield f"  {name:10}  {self._stored(account)}{account.note}"
        yield from self._decision()
        yield from (f"  {text}" for text in self.findings)
        yield from self._steps()

    def _stored(self, account: Account) -> str:
        if account.value is None:
            return ""
        off = float(account.value) - self.reference
        share = abs(off) / self.bound if self.bound else 0.0 if F(self.reference) == account.value else inf
        used = "other bits than must be" if share == inf else f"{share:.3g} of the bound"
        return f"{shown(account.value)}, off by {off:+.3g}, {used}; "

    def _decision(self) -> Iterator[str]:
        if made := self.element.decision:
            yield f"  decision    {made.what}" + (f", by a margin of {made.margin:.3g}" if made.margin < inf else "")
            for k, (what, value) in enumerate(made.candidates):
                names = [name for name, own in self.accounts.items() if own.value == F(value)]
                yield f"   {'>' if k == made.chosen else ' '} {what}: {value:.9g}  {' '.join(names)}".rstrip()

    def _steps(self) -> Iterator[str]:
        columns = self.columns()
        if not columns:
            return
        rows, first = list(zip_longest(*columns.values())), first_difference(*columns.values())
        ends = [0, len(rows) - 1, *([] if first is None else [first])]
        near = {k for end in ends for k in range(end - NEAR, end + NEAR + 1)}
        yield "  step  " + "  ".join(f"{name:>15}" for name in columns) + "  what is taken"
        left_out = False
        for k, row in enumerate(rows):
            if len(rows) > FEW and k not in near:
                left_out = True
                continue
            if left_out:
                yield "     ..."
            left_out = False
            values = [" " * 15 if step is None or step.value is None else f"{step.value:15.9g}" for step in row]
            taken = " | ".join(dict.fromkeys(step.what for step in row if step))
            yield f" {'>' if k == first else ' '}{k + 1:5} {'  '.join(values)}  {taken}"

    def columns(self) -> dict[str, list[TraceStep]]:
        """By engine whose order is known, its steps; of one alone, the exact sums beside them."""
        found = {name: own.trace.steps for name, own in self.accounts.items() if own.trace and own.trace.steps}
        if len(found) == 1:
            ((_, steps),) = found.items()
            found["exact"] = [step._replace(value=step.exact) for step in steps]
        return found

    def first_operand(self) -> str:
        """The first partial sum that an operand other than 0 enters, in words; "" where there are no operands."""
        if not len(self.element.a):
            return ""
        used = set(np.flatnonzero(self.element.a * self.element.b))
        for name, steps in self.columns().items():
            for k, step in enumerate(steps):
                if step.term in used:
                    return f"first partial sum at fault: step {k + 1} of {name}, {step.what}: right is {step.value:.9g}"
        names = ", ".join(self.element.names[k] for k in sorted(used)[:3])
        return f"operands left: {names or f'what is added to the sum, {self.element.plus:.6g}'}"

    def figure(self) -> Any:
        """How far each engine's partial sums are from the exact sums in its order: a matplotlib Figure."""
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        with rc_context({"text.parse_math": False}):  # a layer may be called $x$
            figure = Figure(figsize=(7, 3), layout="constrained")
            plot = figure.add_subplot(xlabel="step", ylabel="partial sum - exact sum", title=self.title)
            for name, own in self.accounts.items():
                sums = (
                    [(k, float(s.value) - s.exact) for k, s in enumerate(own.trace.steps, 1) if s.exact is not None]
                    if own.trace
                    else []
                )
                if sums:
                    plot.plot(*np.transpose(sums), lw=1, label=name)
            plot.axhline(0, color="gray", lw=0.5)
            if plot.get_legend_handles_labels()[1]:
                plot.legend(frameon=False)
        return figure


def shown(value: float | np.floating) -> str:
    """A float32 in decimal, and its bits."""
    return f"{value:.9g} ({int(F(value).view(np.uint32)):08x})"


def first_difference(one: Iterable[TraceStep], other: Iterable[TraceStep]) -> int | None:
    """The number of the first step after which two columns hold different bits; None where there is none."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((k for k, (a, b) in pairs if b.value is not None and not bitwise_equal(F(a.value), F(b.value))), None)


def explain(
    net: str, layer: str, step: str, tensor: str | None = None, *, at: Sequence[int] | None = None, **options: Any
) -> Explanation:
    """Explain one element.

    Parameters
    ----------
    net, layer : str
    step : str
        The pass, as rows call it: ``forward``, ``backward``, ``update``; of tests ``test``, ``view 1`` ...
    tensor : str, optional
        By default the first tensor of that layer and pass.
    at : sequence of int, optional
        Place along the axes of the tensor; by default the element that used most of its bound.
    **options
        The fields of `Options`.

    Returns
    -------
    Explanation

    Raises
    ------
    BadInput
        No such layer, pass or tensor, or no such place in it.

    Examples
    --------
    >>> found = explain("tiny", "conv1", "forward", at=(0, 0, 0, 0), engines=("reference",), batch=2, input="random")
    >>> found.title
    'tiny: conv1 forward acts at channel 0, y 0, x 0, image 0'
    """
    return explained(prepare(Options(net, **options)), layer, step, tensor, at)


def explained(
    work: Workload, name: str, step: str, tensor: str | None = None, at: Sequence[int] | None = None
) -> Explanation:
    """`explain` for a Workload."""
    layer = _layer(work, name, step)
    with threadpool_limits(work.threads):
        subject, shape = _reached(work, layer, step, tensor, at)
        parts = list(subject.step.bounded(subject.name))
        found, launches = run_alone(work, subject)
    index = (
        _worst(subject, found, parts)
        if at is None
        else _index(at, axes(work.network.graph.layers, layer, subject.name, shape), shape)
    )
    return explanation(work, subject, found, parts, index, shape, launches)


def explanation(
    work: Workload,
    subject: Tensor,
    found: Mapping[str, np.ndarray | Finding],
    parts: Sequence[Part],
    index: tuple[int, ...],
    shape: tuple[int, ...],
    launches: Sequence[Mapping[str, Any]] = (),
) -> Explanation:
    """The Explanation of the element at a place of a `steps.Tensor`, of what `run_alone` found."""
    layer = subject.step.layer
    at = place(axes(work.network.graph.layers, layer, subject.name, shape), shape, index)
    made, (reference, bound) = element(subject, index), _at(parts, index)
    accounts = {engine.name: _account(work, engine, found[engine.name], index, made) for engine in work.engines}
    where = ", ".join(f"{axis} {k}" for axis, k in at.items())
    title = f"{work.network.name}: {layer.name} {subject.step.pass_name} {subject.name} at {where}"
    findings = list(_findings(made, accounts, reference, bound))
    facts = _seen(work, layer, subject.name, at) | _sources(work.network, layer, subject, launches)
    return Explanation(title, made, reference, bound, accounts, findings, facts)


def _layer(work: Workload, name: str, step: str) -> LayerSpec:
    """The layer of that name, if it has that pass."""
    known = {layer.name: layer for layer in work.network.layers if layer.type != "data"}
    if name not in known:
        hint = meant(name, known, f"layers: {', '.join(known)}")
        raise BadInput(f"{work.network.name} has no layer {name!r} to explain", hint=hint)
    passes = [*PASS_TYPES[work.pass_type].values(), *(PASSES[1:] if work.pass_type == "train" else ())]
    if step not in passes:
        raise BadInput(f"there is no pass {step!r} to explain", expected=" or ".join(passes))
    return known[name]


def _reached(
    work: Workload, layer: LayerSpec, step: str, tensor: str | None, at: Sequence[int] | None
) -> tuple[Tensor, tuple[int, ...]]:
    """The `steps.Tensor` that is asked for, and its shape; the reference alone runs up to it."""
    if at is not None:
        _require_place(work, layer, step, tensor, at)
    names = []
    for _, comparison in evaluated(work, step):
        if (comparison.layer.name, comparison.step) == (layer.name, step):
            names.append(comparison.tensor)
            if tensor in (None, comparison.tensor):
                return comparison.subject, comparison.shape or ()
    hint = (
        meant(tensor, names, f"tensors: {', '.join(names)}") if names else "it does not learn, nor does anything below"
    )
    raise BadInput(f"{layer.name} {step} leaves no tensor {tensor or ''}".rstrip(), hint=hint)


def evaluated(work: Workload, last: str = "update") -> Iterator[tuple[Sweep, TensorComparison]]:
    """Yield the sweep, and the TensorComparison that it is at, of the reference alone, up to the end of a pass."""
    seen: list[TensorComparison] = []
    passes = PASSES[: 1 + (PASSES.index(last) if last in PASSES else 0)]
    sweep = Sweep(replace(work, engines=[], passes=passes, explains=False, on_tensor=seen.append))
    for _ in sweep.rows():
        yield from ((sweep, one) for one in seen)
        seen.clear()


def _require_place(work: Workload, layer: LayerSpec, step: str, tensor: str | None, at: Sequence[int]) -> None:
    """BadInput before anything runs, where the shape of the tensor is known already and has no such place."""
    shapes = parameter_shapes(layer)
    kind, i = address(tensor or ("acts" if step not in PASSES[1:] else "inputs_grad[0]"))
    if kind in ("acts", "inputs_grad") and (i or 0) < len(layer.inputs):
        rows = layer.outputs if kind == "acts" else work.network.graph.layers[layer.inputs[i or 0]].outputs
        name, shape = tensor or ("acts" if kind == "acts" else "inputs_grad[0]"), (rows, work.batch)
    elif tensor in shapes:
        name, shape = tensor, shapes[tensor]
    else:
        return
    if not layer.type.startswith("cost."):
        _index(at, axes(work.network.graph.layers, layer, name, shape), shape)


def _index(at: Sequence[int], lie: Mapping[str, int], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The place in a matrix of a place along the axes."""
    if len(at) != len(lie) or not all(0 <= k < length for k, length in zip(at, lie.values(), strict=True)):
        expected = ", ".join(f"{axis} below {length}" for axis, length in lie.items())
        raise BadInput(
            "there is no such element", expected=expected, actual=",".join(map(str, at)), hint="--at counts from 0"
        )
    return tuple(map(int, np.unravel_index(np.ravel_multi_index(tuple(at), tuple(lie.values())), shape)))


def run_alone(work: Workload, subject: Tensor) -> tuple[dict[str, np.ndarray | Finding], list[Mapping[str, Any]]]:
    """(by engine the tensor or a Finding, all launches) of the step run alone."""
    search, launches = QuirkSearch(replace(work, logs=True)), []
    found: dict[str, np.ndarray | Finding] = {}
    for engine in work.engines:
        try:
            session = search.session(engine, subject.step, work.settings.get(engine.name, {}))
            found[engine.name] = np.array(subject.step.read(session, subject.name))
            launches += [launch for launch in session.launches() if launch["layer"] == subject.step.layer.name]
        except Exception as error:
            found[engine.name] = finding_of(error, f"{subject.step.layer.name} {subject.step.pass_name}")
    return found, launches


def judge_alone(subject: Tensor, found: Mapping[str, np.ndarray | Finding], parts: Iterable[Part]) -> TensorComparison:
    """The TensorComparison of a `steps.Tensor` of some engines with the reference's parts."""
    judged = TensorComparison(subject, dict(found), lambda *_: None)
    for bounded, where in parts:
        judged.add(bounded, where)
    return judged


def _worst(subject: Tensor, found: Mapping[str, np.ndarray | Finding], parts: Sequence[Part]) -> tuple[int, ...]:
    """Where an engine used most of its bound."""
    judged = judge_alone(subject, found, parts)
    worst = max(judged.findings().values(), key=lambda one: one.share, default=Finding("missing")).worst
    return worst.index if worst else (0,) * len(judged.shape or ())


def _at(parts: Sequence[Part], index: tuple[int, ...]) -> tuple[float, float]:
    """(value, allowed error) of the reference at a place."""
    bounded, where = next(
        (b, w) for b, w in parts if w is None or all(s.start <= k < s.stop for s, k in zip(w, index, strict=True))
    )
    at = index if where is None else tuple(k - s.start for s, k in zip(where, index, strict=True))
    return float(bounded.value[at]), float(np.broadcast_to(bounded.bound(), bounded.value.shape)[at])


def _account(
    work: Workload, engine: Engine, found: np.ndarray | Finding, index: tuple[int, ...], made: Element
) -> Account:
    if isinstance(found, Finding):
        return Account(None, None, f"{found.status}: {found.reason}")
    value, own = F(found[index]), engine.quirks()
    turned = [name for name, on in work.settings.get(engine.name, {}).items() if on != own.get(name, True)]
    trace, note = (None, f"{turned[0]} is turned: its value only") if turned else made.traced(engine.arithmetic())
    if trace is not None:
        gives = "these bits" if bitwise_equal(trace.value, value) else shown(trace.value)
        rounds = "a·b + c is rounded once" if trace.fused else "a·b and its sum are rounded each"
        note = f"the replay gives {gives}: {trace.order}{f'; {rounds}' if trace.multiplies else ''}"
    return Account(value, trace, note)


def _findings(made: Element, accounts: Mapping[str, Account], reference: float, bound: float) -> Iterator[str]:
    """Sentences: the first partial sum that differs, whether engines decided alike, what a wrong value looks like."""
    traces = [(name, own.trace.steps) for name, own in accounts.items() if own.trace and own.trace.steps]
    found = _compared(*traces[0], *traces[1]) if len(traces) > 1 else ""
    yield from filter(None, [found])
    if not found or found.startswith("the orders part"):
        yield from (_against_exact(*one) for one in traces if any(step.exact is not None for step in one[1]))
    stored = {name: float(own.value) for name, own in accounts.items() if own.value is not None}
    if made.decision and len(stored) > 1:
        yield f"the engines {'decided alike' if len(set(stored.values())) == 1 else 'did not decide alike'}"
    for name, value in stored.items():
        wrong = abs(value - reference) > bound if bound else F(value) != F(reference)
        if wrong and (cause := diagnosis(made, value, reference, bound)):
            yield f"{name}: {cause}"


def _compared(a: str, mine: Sequence[TraceStep], b: str, yours: Sequence[TraceStep]) -> str:
    k = first_difference(mine, yours)
    if k is None:
        return f"the replays of {a} and {b} have the same bits after every step"
    taken = [[step for step in steps[: k + 1] if step.term is not None] for steps in (mine, yours)]
    pairs = enumerate(zip(*taken, strict=False), 1)
    if apart := next(((n, one, other) for n, (one, other) in pairs if one.term != other.term), None):
        return f"the orders part at operand {apart[0]}: {a} takes {apart[1].what}, {b} takes {apart[2].what}"
    each = "; ".join(f"{name} has {_rounded(step)}" for name, step in ((a, mine[k]), (b, yours[k])))
    return f"first partial sum whose bits differ: step {k + 1}, {mine[k].what}: {each}"


def _against_exact(name: str, steps: Sequence[TraceStep]) -> str:
    for k, step in enumerate(steps):
        if step.exact is not None and F(step.exact) != step.value:
            what = f"first partial sum that is not the exact one rounded: step {k + 1}, {step.what}"
            return f"{what}: {name} has {_rounded(step)}; exact {step.exact:.12g}"
    return f"every partial sum of {name} is the exact one rounded"


def _rounded(step: TraceStep) -> str:
    return shown(step.value) + ("" if step.rounding is None else f", rounded by {step.rounding:+.3g}")


def diagnosis(made: Element, stored: float, reference: float, bound: float) -> str:
    """What a value outside the bound looks like, in words; "" where nothing simple fits.

    Tried in turn: another choice, half precision, a factor on the whole, the addend that stands alone, one product.
    """
    if made.decision:
        others = [one for k, one in enumerate(made.decision.candidates) if k != made.decision.chosen]
        return next((f"what another choice gives: {what}" for what, value in others if F(value) == F(stored)), "")
    off, bound = stored - reference, max(bound, 2.0**-24 * abs(reference))
    if F(np.float16(stored)) == F(stored) and abs(off) <= 2.0**-11 * abs(reference) + bound:
        return "the right value rounded to half precision"
    for factor, words in ((-1, "with its sign turned"), (2, "twice"), (0.5, "halved"), (0, "left out")):
        if abs(reference) > 4 * bound and abs(stored - factor * reference) <= max(abs(factor), 1) * bound:
            return f"the right value {words}"
    if not made.linear:
        return ""
    products = made.factor * made.a.astype(np.float64) * made.b
    addends, names = np.append(made.plus, products), ["what is added to the sum", *made.names]
    for share, words in ((-1.0, "left out"), (1.0, "taken twice")):
        fits = np.flatnonzero((np.abs(off - share * addends) <= bound) & (np.abs(addends) > 2 * bound))
        if fits.size:
            more = f"; {fits.size - 1} others would fit" if fits.size > 1 else ""
            return f"as with {names[fits[0]]} = {addends[fits[0]]:.6g} {words}{more}"
    return ""


def _sources(
    network: Network, layer: LayerSpec, subject: Tensor, launches: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Where the computation stands: by room, names and lines."""
    step, kind, op = subject.step.pass_name, address(subject.name)[0], subject.step.sweep.ops[layer.name]
    method = {"acts": "forward", "cost": "forward", "inputs_grad": "inputs_grad"}.get(kind, "params_grad")
    step = step if step in PASSES else "forward"
    ours = {cls.__name__ for cls in type(op).__mro__}
    rows = [row for family in concordance.families() if layer.type in family.layers for row in family.operations]
    rows = [
        row for row in rows if row.step == step and (step == "update" or any(n.endswith(method) for n in row.reference))
    ]
    rows = [row for row in rows if "bias" in row.what] or rows if kind.startswith("biases") else rows
    called = port_functions(network, layer)
    ran = {name for launch in launches for name in re.findall(r"^\w+", launch["kernel"])}
    rows = [row for row in rows if any(name.split(".")[1] in called for name in row.port)] or rows
    rows = [row for row in rows if ran.intersection(row.kernels)] or rows
    formulas = [name for row in rows for name in row.reference]
    named = {
        "kernel": [f"{name} {kernel_place(name)}" for row in rows for name in row.kernels if not ran or name in ran],
        "host": [f"{name} {host_place(name)}" for row in rows for name in row.host],
        "port": [f"{name} {port_place(name)}" for row in rows for name in row.port if name.split(".")[1] in called],
        "formula": [n for n in formulas if n.count(".") < 2 or n.split(".")[1] in ours],
    }
    return {what: ", ".join(dict.fromkeys(map(str.strip, names))) for what, names in named.items() if names}


def _seen(work: Workload, layer: LayerSpec, tensor: str, at: Mapping[str, int]) -> dict[str, str]:
    """Which part of which picture the element comes from; {} where it is of all images."""
    layers, captions = work.network.graph.layers, work.inputs.captions
    if "image" not in at:
        return {}
    words = f"image {at['image']}" + "".join(f", {name.replace('_', ' ')}" for name in captions[at["image"] :][:1])
    name = layer.inputs[address(tensor)[1] or 0] if tensor.startswith("inputs_grad") else layer.name
    spans: Sequence[tuple[int, int]] = [(at[axis], at[axis]) for axis in ("y", "x") if axis in at]
    while spans and layers[name].type != "data":
        spans, name = _below(layers[name], spans), layers[name].inputs[0]
    side = round((layers[name].outputs / 3) ** 0.5)
    if spans and 3 * side**2 == layers[name].outputs:
        (top, bottom), (left, right) = ((max(0, low), min(side - 1, high)) for low, high in spans)
        words += f": rows {top} to {bottom}, columns {left} to {right} of {name}"
    return {"where": words}


def _below(layer: LayerSpec, spans: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """The rows and columns of a layer's first input behind rows and columns of its output; [] where nobody knows."""
    if layer.type in (*SAME, "cmrnorm"):
        return spans
    keys = {"conv": ("padding", "stride", "filterSize"), "local": ("padding", "stride", "filterSize")}
    start, stride, size = (layer.get(key) for key in keys.get(layer.type, ("start", "stride", "sizeX")))
    if layer.type not in (*keys, "pool"):
        return []
    start, stride, size = (value[0] if isinstance(value, list | tuple) else value for value in (start, stride, size))
    return [(low * stride + start, high * stride + start + size - 1) for low, high in spans]
