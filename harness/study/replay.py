"""One element of a tensor computed again as an engine computes it: its order of additions, its roundings.

`element` names the operands; an `Element` is traced for an engine's `Arithmetic`: in the order of the kernels of 2012
(conv-kernels 6; pool-norm 1, 2, 8, 9), or in the port's, where that is not the order of BLAS or NumPy. Numbers are
float32; a fused multiply-add rounds the exact sum once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from ctypes import c_float
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..engines.port import by_winograd
from ..engines.protocol import Arithmetic
from ..network.solver import base_rate, normal, schedule, solver_constants, super_eps, updates_directly
from ..network.tensors import address, gradient, increment, is_parameter, parameter
from ..reference import scheduled
from ..running.steps import Sum, Tensor

F = np.float32
BLAS = "the order of these additions is that of the BLAS library: its value only"
NUMPY = "the order of these additions is NumPy's: its value only"
WINOGRAD = "these are the sums of Winograd's filter gradient: its value only"
UNKNOWN = "in which order this engine adds is not known: its value only"
NO_REPLAY = "this computation has no replay: its value only"
WHOLE = "the update is scaled by the whole filter: its value only"


class TraceStep(NamedTuple):
    """What there is after one step: `term` is the operand it took, `exact` the sum so far without any rounding."""

    what: str
    value: Any  # float32; in a column of exact sums a float, or None
    rounding: float | None = None
    exact: float | None = None
    term: int | None = None


class Trace:
    """An element as one engine computes it, step by step; ``fused``: whether a·b + c is rounded once."""

    def __init__(self, fused: bool, order: str = "") -> None:
        self.fused, self.order = fused, order
        self.steps: list[TraceStep] = []
        self.value, self._exact = F(0), 0.0
        self.multiplies = False

    def sum(
        self,
        what: str,
        a: Sequence[Any] | np.ndarray,
        b: np.ndarray | None = None,
        terms: Sequence[int] | np.ndarray | None = None,
        names: Sequence[str] | None = None,
        start: float | np.float32 | None = None,
    ) -> np.float32:
        """Add a·b (or a) to `start` one after the other; `terms` are the places of the operands in `names`."""
        before, exact = float(start or 0), 0.0 if start is None else self._exact
        self.multiplies |= b is not None
        wide = np.asarray(a, np.float64) * (1.0 if b is None else b)  # exact
        self.value = F(start or 0)
        for k, value in enumerate(running(a, b, self.fused, self.value)):
            exact += float(wide[k])
            term = None if terms is None else int(terms[k])
            label = f"{what} {k}" if names is None or term is None else names[term]
            self.steps.append(TraceStep(label, value, float(value) - (before + float(wide[k])), exact, term))
            self.value, before = value, float(value)
        self._exact = exact
        return self.value

    def then(self, what: str, value: float | np.float32) -> np.float32:
        """Note a step that is no addition of operands."""
        self.value = F(value)
        self.steps.append(TraceStep(what, self.value))
        return self.value

    def multiply_add(self, a: np.float32, b: np.float32, c: np.float32) -> np.float32:
        """a·b + c, in one rounding or two."""
        self.multiplies = True
        return _fused(a, b, c) if self.fused else F(a) * F(b) + F(c)


def running(
    a: Sequence[Any] | np.ndarray, b: np.ndarray | None = None, fused: bool = False, start: float | np.float32 = 0.0
) -> np.ndarray:
    """The partial sums of a·b (of a, where b is None), added to `start`, as float32."""
    a = np.asarray(a, F)
    if b is None or not fused:
        products = a if b is None else a * np.asarray(b, F)
        return np.add.accumulate(np.concatenate(([F(start)], products)), dtype=F)[1:]
    total, found = float(start), []
    for product in (a.astype(np.float64) * b).tolist():  # exact
        total = _rounded_sum(total, product)
        found.append(total)
    return np.array(found, F)


def _rounded_sum(x: float, y: float) -> float:
    """The float32 next to x + y. Where float64 has already rounded to the middle of two, its own error decides."""
    total = x + y
    found = c_float(total).value
    left = total - found
    if left and c_float(found + 2 * left).value == found + 2 * left:
        part = total - x
        error = (x - (total - part)) + (y - part)
        if error:
            return found + 2 * left if (error > 0) == (left > 0) else found
    return found


def _fused(a: np.float32, b: np.float32, c: np.float32) -> np.float32:
    return F(_rounded_sum(float(c), float(a) * float(b)))


class Decision(NamedTuple):
    """A choice: the candidates (what, value that comes out), which one is right, how far another choice is."""

    what: str
    candidates: list[tuple[str, float]]
    chosen: int
    margin: float


@dataclass
class Element:
    """What an element is made of."""

    formula: str = ""
    # a, b: ndarray of float32. Operands. Where `linear`, the element is ``plus + factor * sum(a * b)``.
    a: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    b: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    names: list[str] = field(default_factory=list)  # where each pair of operands is
    # by order (``legacy``, ``port``): fills a Trace; or says why there is none
    traces: Mapping[str, Callable[[Trace], object] | str] = field(default_factory=dict)
    decision: Decision | None = None
    plus: float = 0.0
    factor: float = 1.0
    linear: bool = True

    def traced(self, arithmetic: Arithmetic | None) -> tuple[Trace | None, str]:
        """(Trace or None, why there is none) for an engine's `Arithmetic`."""
        if arithmetic is None:
            return None, UNKNOWN
        fill = self.traces.get(arithmetic.order, NO_REPLAY)
        if isinstance(fill, str):
            return None, fill
        trace = Trace(arithmetic.fused)
        with np.errstate(all="ignore"):
            fill(trace)
        return trace, ""

    def add(
        self, trace: Trace, what: str, terms: Iterable[int] | np.ndarray, start: float | np.float32 | None = None
    ) -> np.float32:
        """Let a trace add operands in the order of `terms`."""
        terms = np.asarray(terms, int)
        return trace.sum(what, self.a[terms], self.b[terms], terms, self.names, start)


class Spot:
    """A place in a `steps.Tensor`, and the values that its step reads.

    ``i`` is the input that the tensor belongs to, ``alone`` whether one step makes it.
    """

    def __init__(self, tensor: Tensor, index: tuple[int, ...]) -> None:
        self.name, self.layer, self.work = tensor.name, tensor.step.layer, tensor.step.work
        self.row, self.column = index if len(index) == 2 else (0, *index)
        self.i = address(self.name)[1] or 0
        several = getattr(tensor.step, "steps", [tensor.step])
        self.step, self.alone = several[0], len(several) == 1
        self.inputs: Any
        self.grad: Any
        self.mask: Any
        self.inputs, self.grad, self.mask = (getattr(self.step, key, None) for key in ("inputs", "grad", "mask"))
        self.params = self.work.values.get(self.layer.name, {}) | getattr(self.step, "gradients", {})

    @property
    def value(self) -> np.float32:
        """What an element-wise layer takes there: of its input, or of the gradient."""
        return (self.inputs[0] if self.name == "acts" else self.grad)[self.row, self.column]

    def parameter(self, name: str) -> np.ndarray:
        """A parameter as the layer uses it."""
        owner, held = self.work.network.graph.owner(self.layer, name)
        return self.work.values[owner][held]

    def rate(self, use: int = 0) -> float:
        """The learning rate of the tensor's parameter, from a base rounded to float32."""
        own, network = parameter(self.name), self.work.network
        found, drawn = schedule(self.layer, own), normal(self.work.normals(self.layer), self.layer, own, use)
        noise = 1 + found["params"].get("noiseStdev", 0.0) * abs(drawn)
        return scheduled(found, float(F(base_rate(self.layer, own))), network.progress) * noise


def element(tensor: Tensor, index: tuple[int, ...]) -> Element:
    """The `Element` at a place, a tuple of int, of a `steps.Tensor`."""
    spot, kind = Spot(tensor, index), address(tensor.name)[0]
    if isinstance(tensor.step, Sum):
        sent = (f"{name} backward inputs_grad[{i}]" for name, i, _ in tensor.step.parts)
        return Element(f"the sum of what several layers send, each to be explained alone: {', '.join(sent)}")
    if tensor.step.pass_name == "update":
        return _update(spot)
    if spot.work.network.update_every > 1 or (is_parameter(kind) and not spot.alone):
        return Element("the sum of what several backward steps give")
    make = FAMILIES.get((spot.layer.type, kind.partition("_")[0]))
    return make(spot) if make else Element()


# Convolution and locally connected layers


class _Filters:
    """The geometry of one input of a layer of filters, with its images and gradients as (C, y, x, N)."""

    def __init__(self, spot: Spot, i: int) -> None:
        spec = spot.layer
        self.local, self.filters, self.side = spec.type == "local", spec["filters"], spec["modulesX"]
        self.winograd = not self.local and by_winograd(spec, i, spot.work.network.port_algorithm)
        self.channels, self.width, self.groups = (spec[key][i] for key in ("channels", "filterChannels", "groups"))
        self.size, self.image = spec["filterSize"][i], spec["imgSize"][i]
        self.start, self.stride = spec["padding"][i], spec["stride"][i]
        sparse = bool(any(spec.get("randSparse") or ()) and spec["randSparse"][i])
        self.seen = np.asarray(spot.params[f"filterConns[{i}]"]) if sparse else np.arange(self.channels)
        self.cached = 2 if sparse or self.channels > 3 else self.channels
        self.weights = spot.parameter(f"weights[{i}]").reshape(-1, self.width, self.size**2, self.filters)
        self.x = spot.inputs[i].reshape(self.channels, self.image, self.image, -1)
        self.v: Any = None if spot.grad is None else spot.grad.reshape(self.filters, self.side, self.side, -1)

    def channels_of(self, f: int) -> np.ndarray:
        """The image channels that filter f sees."""
        group = f // (self.filters // self.groups)
        return self.seen[group * self.width : (group + 1) * self.width]

    def weight(self, my: int, mx: int, k: int, q: int, f: int) -> tuple[np.float32, str]:
        """(value, name) of a weight."""
        name = f"w[{k}, {q // self.size}, {q % self.size}]"
        return self.weights[my * self.side + mx if self.local else 0, k, q, f], name

    def pixel(self, my: int, mx: int, q: int) -> tuple[int, int] | None:
        """(y, x) under a tap; None outside the image."""
        y, x = self.start + my * self.stride + q // self.size, self.start + mx * self.stride + q % self.size
        return (y, x) if 0 <= y < self.image and 0 <= x < self.image else None

    def order(self) -> np.ndarray:
        """Channels and taps, as k·S² + q, in the order of filterActs: four taps of the cached channels."""
        taps, cached = self.size**2, self.cached
        first = ((oc, p) for oc in range(0, self.width, cached) for p in range(0, taps, 4))
        block = (range(c * taps + p, c * taps + min(p + 4, taps)) for oc, p in first for c in range(oc, oc + cached))
        return np.array([k for ks in block for k in ks])


def _filter_acts(spot: Spot) -> Element:
    spec, made = spot.layer, Element("sum of input × weight over channels and taps, + bias")
    inputs: list[tuple[_Filters, int]] = []
    pairs: list[tuple[np.float32, np.float32]] = []
    f, module = divmod(spot.row, spec["modulesX"] ** 2)
    my, mx = divmod(module, spec["modulesX"])
    for i in range(len(spot.inputs)):
        g = _Filters(spot, i)
        inputs.append((g, len(pairs)))
        for k, channel in enumerate(g.channels_of(f)):
            for q in range(g.size**2):
                at, (weight, name) = g.pixel(my, mx, q), g.weight(my, mx, k, q, f)
                pairs.append((g.x[channel, at[0], at[1], spot.column] if at else F(0), weight))
                place = f"{spec.inputs[i]}[{channel}, {at[0]}, {at[1]}]" if at else "0 outside"
                made.names.append(f"{place} · {name}")
    made.a, made.b = np.array(pairs, F).T
    bias = spot.params["biases"].reshape(-1)[f if spec.get("sharedBiases", False) else spot.row]
    made.plus = float(bias)

    def one(trace: Trace, port: bool, g: _Filters, first: int) -> np.float32:
        if not port:
            trace.order = f"four taps of {g.cached} channel(s) at a time, then the next taps, then channels"
            return made.add(trace, "", g.order() + first)
        if g.winograd:
            planes, weights = g.x[g.channels_of(f), ..., spot.column], g.weights[0, :, :, f]
            return _winograd(trace, planes, weights.reshape(-1, 3, 3), g.start, my, mx)
        trace.order = "taps, of each the channels one after the other"
        return made.add(trace, "", first + np.arange(g.width * g.size**2).reshape(g.width, -1).T.ravel())

    def run(trace: Trace, port: bool) -> None:
        for i, (g, first) in enumerate(inputs):
            before = trace.value
            found = one(trace, port, g, first)
            trace.then("+ bias" if not i else "+ the inputs before", found + (before if i else bias))

    made.traces = {"legacy": partial(run, port=False), "port": BLAS if g.local else partial(run, port=True)}
    return made


def _filter_inputs_grad(spot: Spot) -> Element:
    g = _Filters(spot, spot.i)
    made = Element("sum of output gradient × weight over the modules that cover the pixel, and filters")
    (channel, pixel), each = divmod(spot.row, g.image**2), g.filters // g.groups
    pairs: list[tuple[np.float32, np.float32]] = []
    slabs: list[list[int]] = []
    seen: list[int] = np.flatnonzero(g.seen == channel).tolist()
    for use in seen:
        slabs.append([])
        for my, mx in np.ndindex(g.side, g.side):
            p, q = (at - g.start - m * g.stride for at, m in zip(divmod(pixel, g.image), (my, mx), strict=True))
            if 0 <= p < g.size and 0 <= q < g.size:
                for f in range(use // g.width * each, (use // g.width + 1) * each):
                    weight, name = g.weight(my, mx, use % g.width, p * g.size + q, f)
                    slabs[-1].append(len(pairs))
                    pairs.append((g.v[f, my, mx, spot.column], weight))
                    made.names.append(f"grad[{f}, {my}, {mx}] · {name}")
    made.a, made.b = np.array(pairs, F).reshape(-1, 2).T
    y, x = divmod(pixel, g.image)

    def port_use(trace: Trace, use: int, slab: Sequence[int]) -> np.float32:
        if g.winograd:
            group = slice(use // g.width * each, (use // g.width + 1) * each)
            turned = g.weights[0, use % g.width, ::-1, group].T.reshape(-1, 3, 3)
            return _winograd(trace, g.v[group, ..., spot.column], turned, -g.start - 2, y, x)
        trace.order = "taps, which is modules backwards, of each the filters"
        return made.add(trace, "", np.array(slab, int).reshape(-1, each)[::-1].ravel())

    def run(trace: Trace, port: bool) -> None:
        trace.order = "modules in raster order, of each the filters one after the other"
        uses = zip(seen, slabs, strict=True)
        sums = [port_use(trace, use, slab) if port else made.add(trace, "", slab) for use, slab in uses]
        if len(sums) > 1:
            trace.sum("use of the channel", sums)

    made.traces = {"legacy": partial(run, port=False), "port": BLAS if g.local else partial(run, port=True)}
    return made


def _filter_weights_grad(spot: Spot) -> Element:
    g, f = _Filters(spot, spot.i), spot.column
    (bank, rest), per_slab = (
        divmod(spot.row, g.width * g.size**2),
        spot.layer["partialSum"] if spot.layer.type != "local" else 0,
    )
    k, q = divmod(rest, g.size**2)
    channel, cases = g.channels_of(f)[k], g.v.shape[-1]
    modules = [divmod(module, g.side) for module in ([bank] if g.local else range(g.side**2))]
    slabs = [
        modules[first : first + (per_slab or len(modules))]
        for first in range(0, len(modules), per_slab or len(modules))
    ]
    inside = [[(at, module) for module in slab if (at := g.pixel(module[0], module[1], q))] for slab in slabs]
    flat = [pair for slab in inside for pair in slab]
    made = Element("1/images × sum of input × output gradient over modules and images")
    made.a = np.array([g.x[(channel, *at)] for at, _ in flat], F).reshape(-1)
    made.b = np.array([g.v[(f, *module)] for _, module in flat], F).reshape(-1)
    made.names = [
        f"input[{channel}, {y}, {x}] · grad[{f}, {my}, {mx}], image {n}"
        for (y, x), (my, mx) in flat
        for n in range(cases)
    ]
    own = parameter(spot.name)
    direct, mom = updates_directly(spot.layer, own), F(solver_constants(spot.layer, own)["mom"])
    factor = F((spot.rate() if direct else 1) / cases)
    made.factor = float(factor)
    if direct:
        old = spot.params[spot.name][spot.row, f]
        made.formula, made.plus = f"momentum × old step + rate × {made.formula}", float(mom) * float(old)

    def legacy(trace: Trace) -> None:
        trace.order = "modules in raster order, of each the images" + (
            f"; by {per_slab} modules, then those sums" if per_slab else ""
        )
        first, parts = 0, []
        for slab in inside:
            found = made.add(trace, "", range(first, first + len(slab) * cases))
            parts.append(trace.then("× 1/images" if not direct else "× rate/images", factor * found))
            first += len(slab) * cases
        if per_slab:
            trace.sum("slab", parts)
        if direct:
            trace.then("+ momentum × old step", trace.multiply_add(mom, old, trace.value))

    def port(trace: Trace) -> None:
        trace.order, parts = "eight parts of pieces of rows, of each piece the pixels and of each the images", []
        number = {module: k * cases for k, (_, module) in enumerate(flat)}
        for part in _parts(g.side, cases):
            total = F(0)
            for row, pixels, images in part:
                placed = [number[row, x] for x in pixels if (row, x) in number]
                total = made.add(trace, "", [at + n for at in placed for n in images], start=total)
            parts.append(total)
        trace.then("× 1/images", factor * trace.sum("part", parts))

    winograd = g.winograd and spot.work.network.port_algorithm == "winograd"
    made.traces = {"legacy": legacy, "port": BLAS if g.local else WINOGRAD if winograd else port}
    return made


def _parts(side: int, cases: int) -> list[list[tuple[int, range, range]]]:
    """Of each part of the port's filter gradient its units: row, pixels and images (`Cut` of port/_conv.h)."""
    images = -(-cases // -(-cases // 128))
    chunks, pixels = -(-cases // images), min(side, 128 // images)
    pixels = -(-side // -(-side // pixels))
    units = [
        (row, range(x, min(x + pixels, side)), range(n * images, min((n + 1) * images, cases)))
        for row in range(side)
        for n in range(chunks)
        for x in range(0, side, pixels)
    ]
    return [units[part * len(units) // 8 : (part + 1) * len(units) // 8] for part in range(8)]


def _winograd(trace: Trace, planes: np.ndarray, filters: np.ndarray, begin: int, y: int, x: int) -> np.float32:
    """An output of Winograd's F(2x2, 3x3): planes (D, side, side), filters (D, 3, 3); window 0 starts at `begin`."""
    trace.order = "Winograd's F(2x2, 3x3): of 16 points of a tile the channels one after the other, then the tile"
    side, top, left = planes.shape[-1], y // 2 * 2 + begin, x // 2 * 2 + begin
    tile = np.zeros((len(planes), 4, 4), F)
    rows, columns = ([p for p in range(4) if 0 <= at + p < side] for at in (top, left))
    for p in rows:
        for q in columns:
            tile[:, p, q] = planes[:, top + p, left + q]

    def inputs(d: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]

    def taps(w: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [w[0], (w[0] + w[1] + w[2]) / 2, (w[0] - w[1] + w[2]) / 2, w[2]]

    def outputs(m: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]

    def twice(change: Callable[[Sequence[np.ndarray]], list[np.ndarray]], values: np.ndarray) -> list[list[np.ndarray]]:
        """Along the rows, then along the columns: lists of lists of arrays."""
        by_row = change([values[:, p] for p in range(values.shape[1])])
        return [change([one[:, q] for q in range(one.shape[1])]) for one in by_row]

    v, u = twice(inputs, tile), twice(taps, np.asarray(filters, F))
    m = [[trace.sum(f"point {p}, {q}, channel", u[p][q], v[p][q]) for q in range(4)] for p in range(4)]
    found = twice(outputs, np.array([m], F))
    return trace.then("the tile's output", found[y % 2][x % 2][0])


def _filter_biases_grad(spot: Spot) -> Element:
    shared = spot.layer.get("sharedBiases", False)
    rows = spot.grad.reshape(spot.layer["filters"], -1) if shared else spot.grad
    made = Element("1/images × sum of output gradients over " + ("modules and images" if shared else "images"))
    made.a, made.b, factor = rows[spot.row], np.ones(rows.shape[1], F), F(1 / spot.grad.shape[1])
    made.names, made.factor = [f"grad[{k}]" for k in range(len(made.a))], float(factor)

    def legacy(trace: Trace) -> None:
        _reduce(trace, made, len(rows))
        trace.then("× 1/images", factor * trace.value)

    made.traces = {"legacy": legacy, "port": NUMPY}
    return made


def _reduce(trace: Trace, made: Element, height: int) -> np.float32:
    """The sum of one of `height` stored vectors, as the reductions of 2012 have it (pool-norm 9.4)."""
    width = len(made.a)
    many, halves = height >= 16384, width < 512
    threads = 256
    if many:
        threads = 32 if width > 16 else -(-width // 4) * 4
    elif halves:
        threads = 2 * next(size for size in (32, 64, 128, 256) if width <= 2 * size)
    after = "their sums one after the other" if many else "halves added to halves" if halves else "neighbours added"
    trace.order = f"{threads} threads take every {threads}th value, then {after}"
    if width == 1:
        return trace.then("one value", made.a[0])
    slots = np.zeros(threads, F)
    for thread in range(min(threads, width)):
        slots[thread] = made.add(trace, "", range(thread, width, threads))
    if many:
        return trace.sum("thread", slots)
    while len(slots) > 1:
        slots = slots[: len(slots) // 2] + slots[len(slots) // 2 :] if halves else slots[::2] + slots[1::2]
        trace.then(f"the first of {len(slots)} sums", slots[0])
    return trace.value


def _dense(spot: Spot) -> Element:
    """A fully connected layer: its operands; in both engines the order is that of BLAS."""
    made, at = Element(traces=dict.fromkeys(("legacy", "port"), BLAS)), spot.column
    if spot.name == "acts":
        made.formula, made.plus = "sum of input × weight, + bias", float(spot.params["biases"].reshape(-1)[spot.row])
        weights = [spot.parameter(f"weights[{i}]")[:, spot.row] for i in range(len(spot.inputs))]
        made.a, made.b = np.concatenate([x[:, at] for x in spot.inputs]), np.concatenate(weights)
        made.names = [
            f"{name}[{k}] · w[{k}, {spot.row}]"
            for name, x in zip(spot.layer.inputs, spot.inputs, strict=True)
            for k in range(len(x))
        ]
    elif spot.name.startswith("inputs_grad"):
        made.formula = "sum of output gradient × weight"
        made.a, made.b = spot.grad[:, at], spot.parameter(f"weights[{spot.i}]")[spot.row]
        made.names = [f"grad[{k}] · w[{spot.row}, {k}]" for k in range(len(made.a))]
    return made


# Pooling


class _Window:
    """The windows of a pooling layer in the map and image of a place."""

    def __init__(self, spot: Spot, side: str) -> None:
        self.spec = spec = spot.layer
        self.kind = "max" if spec.get("doMax") else spec["pool"]
        self.c, at = divmod(spot.row, spec[side] ** 2)
        self.at = divmod(at, spec[side])
        own = (self.c, ..., spot.column)
        self.x = spot.inputs[0].reshape(spec["channels"], spec["imgSize"], spec["imgSize"], -1)[own]
        if spot.grad is not None:
            self.v = spot.grad.reshape(spec["channels"], spec["outputsX"], spec["outputsX"], -1)[own]

    def pixels(self, oy: int, ox: int) -> list[tuple[int, int]]:
        """(y, x) of the pixels of a window, rows then columns."""
        spec = self.spec
        spans = [
            range(max(0, first), min(spec["imgSize"], first + spec["sizeX"]))
            for first in (spec["start"] + o * spec["stride"] for o in (oy, ox))
        ]
        return [(y, x) for y in spans[0] for x in spans[1]]

    def best(self, values: Iterable[np.float32]) -> list[np.float32]:
        """The choices after each pixel."""
        found, last = [], F(0) if self.kind == "maxabs" else F(-2e38)
        for value in values:
            keep = abs(last) > abs(value) if self.kind == "maxabs" else not value > last
            last = last if keep else value
            found.append(last)
        return found or [last]


def _pool_acts(spot: Spot) -> Element:
    w = _Window(spot, "outputsX")
    places = w.pixels(*w.at)
    values = np.array([w.x[at] for at in places], F)
    made = Element(
        names=[f"{spot.layer.inputs[0]}[{w.c}, {y}, {x}]" for y, x in places], a=values, b=np.ones_like(values)
    )
    if w.kind == "avg":
        made.formula, made.factor = "sum of the window / its pixels inside the image", 1 / len(values)
    else:
        made.formula, made.linear = f"pooling {w.kind}: one pixel of the window", False
        if w.kind == "rand":
            return made
        best = w.best(values)
        chosen = next((k for k, value in enumerate(values) if value == best[-1]), 0)
        size = np.abs(values) if w.kind == "maxabs" else values
        margin = float(size[chosen] - np.delete(size, chosen).max(initial=-np.inf)) if len(values) else np.inf
        what = f"the pixel of largest {'size' if w.kind == 'maxabs' else 'value'} comes through"
        made.decision = Decision(what, list(zip(made.names, values.tolist(), strict=True)), chosen, margin)

    def run(trace: Trace) -> None:
        trace.order = "the pixels of the window, rows then columns"
        if w.kind == "avg":
            trace.then(f"/ {len(values)}", made.add(trace, "", range(len(values))) / F(len(values)))
        for k, value in enumerate(() if w.kind == "avg" else best):
            trace.then(f"{made.names[k] if made.names else 'empty'}: best so far", value)

    made.traces = {"legacy": run, "port": run}
    return made


def _pool_inputs_grad(spot: Spot) -> Element:
    w = _Window(spot, "imgSize")
    covering = [o for o in np.ndindex(*w.v.shape) if w.at in w.pixels(*o)]
    what = "each / its pixels" if w.kind == "avg" else "whose choice it is"
    made = Element(f"sum of the gradients of the windows over the pixel, {what}")
    if w.kind == "rand":
        return made
    made.names, made.a = [f"grad[{w.c}, {oy}, {ox}]" for oy, ox in covering], np.array([w.v[o] for o in covering], F)
    windows = [np.array([w.x[at] for at in w.pixels(*o)], F) for o in covering]
    area = np.array([len(window) for window in windows], F)
    chosen = [w.x[w.at] == w.best(window)[-1] for window in windows]
    made.b = 1 / area if w.kind == "avg" else np.array(chosen, F)

    def run(trace: Trace, divides: bool) -> None:
        trace.order = "windows over the pixel, rows then columns"
        if divides:
            trace.sum("", made.a / area, None, range(len(area)), made.names)
        else:
            made.add(trace, "", range(len(area)))

    made.traces = {"legacy": partial(run, divides=False), "port": partial(run, divides=w.kind == "avg")}
    return made


# Functions of fastmath.cuh: float64 by the same series, rounded once


def _log2(x: float | np.float32) -> float:
    m, e = np.frexp(np.float64(x))
    m, e = (2 * m, e - 1) if m < np.sqrt(0.5) else (m, e)
    s = (m - 1) / (m + 1)
    z, series = s * s, 0.0
    for k in (13, 11, 9, 7, 5, 3, 1):
        series = 1 / k + z * series
    return e + s * 2.8853900817779268 * series if 0 < x < np.inf else np.log2(np.float64(x))


def _exp2(t: float) -> np.float32:
    t = min(max(t, -200.0), 200.0)
    r, series = (t - np.rint(t)) * 0.69314718055994531, 0.0
    for part in (362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1):
        series = 1 / part + r * series
    return F(np.ldexp(series, int(np.rint(t))))


def _exp(x: float | np.float32) -> np.float32:
    return _exp2(float(x) * 1.4426950408889634)


def _log(x: float | np.float32) -> np.float32:
    return F(_log2(x) * 0.69314718055994531)


# Response normalisation across maps


class _Norm:
    """One pixel of all maps of a cmrnorm layer, for the engine of one order."""

    def __init__(self, spot: Spot, order: str) -> None:
        spec = self.spec = spot.layer
        self.legacy, pixels = order == "legacy", spec["imgSize"] ** 2
        self.f, pixel = divmod(spot.row, pixels)
        self.x = spot.inputs[0][pixel::pixels, spot.column]
        self.v: Any = None if spot.grad is None else spot.grad[pixel::pixels, spot.column]
        self.scale, self.power, self.least = (F(spec[key]) for key in ("scale", "pow", "minDiv"))
        self.names = [f"{spec.inputs[0]}, map {c}" for c in range(len(self.x))]

    def maps(self, f: int, mirrored: bool = False) -> np.ndarray:
        """The maps that map f is normalised with, or those that it helps to normalise."""
        size = self.spec["size"]
        first = f // size * size if self.spec["blocked"] else f - (size - size // 2 - 1 if mirrored else size // 2)
        return np.arange(max(0, first), min(len(self.x), first + size))

    def denominator(self, trace: Trace, f: int) -> np.float32:
        """D of map f."""
        maps = self.maps(f)
        squares = trace.sum("", self.x[maps], self.x[maps], maps, self.names)
        return trace.then("minDiv + scale × sum of squares", trace.multiply_add(self.scale, squares, self.least))

    def times_power(self, x: np.float32, d: np.float32) -> np.float32:
        """x D^-β."""
        if self.legacy:
            return x * _exp2(float(-self.power) * float(_log2(d)))
        root, power = np.sqrt(d), self.spec["pow"]
        if power in (0.75, 0.5, 1):
            return x / {0.75: root * np.sqrt(root), 0.5: root, 1: d}[power]
        return F(x * np.float64(d) ** -power)


def _norm_acts(norm: _Norm, trace: Trace) -> None:
    d = norm.denominator(trace, norm.f)
    trace.then("x D^-pow", norm.times_power(norm.x[norm.f], d))


def _norm_inputs_grad(norm: _Norm, trace: Trace) -> None:
    aside, parts, maps, x = Trace(trace.fused), [], norm.maps(norm.f, mirrored=True), norm.x[norm.f]
    factor = F(-2) * norm.scale * norm.power if norm.legacy else F(2 * norm.spec["scale"] * norm.spec["pow"])
    for c in maps:
        d = norm.denominator(aside, c)
        parts.append((factor * norm.v[c] if norm.legacy else norm.v[c]) * norm.times_power(norm.x[c], d) / d)
    total = trace.sum("", parts, None, maps, norm.names)
    through = norm.times_power(norm.v[norm.f], norm.denominator(aside, norm.f))
    trace.then("g D^-pow", through)
    trace.then("+ x × sum", trace.multiply_add(*((x, total) if norm.legacy else (-(factor * x), total)), through))


def _cmrnorm(fill: Callable[[_Norm, Trace], None], formula: str, spot: Spot) -> Element:
    def run(trace: Trace, order: str) -> None:
        trace.order = "the maps of the window, from the first to the last"
        fill(_Norm(spot, order), trace)

    traces = {order: partial(run, order=order) for order in ("legacy", "port")}
    return Element(formula, traces=traces, linear=False)


# Neurons and dropout


def _tanh(x: np.float32, a: np.float32, b: np.float32) -> np.float32:
    return a * (F(2) / (1 + _exp(F(-2) * b * x)) - 1)


def _noisy(
    multiply_add: Callable[[np.float32, np.float32, np.float32], np.float32], x: np.float32, noise: np.float32
) -> np.float32:
    y = max(x, F(0))
    return max(multiply_add(y, noise, y), F(0))


# By kind, of the engine of 2012 and, where it differs, of the port: the output of (trace, x, a, b, noise), then the
# gradient of (v, x, y, a, b).
# fmt: off
_NEURONS = {
    "ident": (lambda t, x, a, b, z: x, None, lambda v, x, y, a, b: v, None),
    "relu": (lambda t, x, a, b, z: 0 if x < 0 else x, None, lambda v, x, y, a, b: v * F(y > 0), None),
    "brelu": (lambda t, x, a, b, z: 0 if x < 0 else min(x, a), None, lambda v, x, y, a, b: v * F(0 < y < a), None),
    "nrelu": (lambda t, x, a, b, z: _noisy(t.multiply_add, x, z),
              lambda t, x, a, b, z: _noisy(lambda p, q, r: p * q + r, x, z), lambda v, x, y, a, b: v * F(y > 0), None),
    "abs": (lambda t, x, a, b, z: abs(x), None, lambda v, x, y, a, b: v if x > 0 else -v, None),
    "square": (lambda t, x, a, b, z: x * x, None, lambda v, x, y, a, b: v * 2 * x, None),
    "sqrt": (lambda t, x, a, b, z: np.sqrt(x), None, lambda v, x, y, a, b: v / (2 * y), None),
    "linear": (lambda t, x, a, b, z: t.multiply_add(a, x, b), lambda t, x, a, b, z: a * x + b,
               lambda v, x, y, a, b: a * v, None),
    "logistic": (lambda t, x, a, b, z: 1 / (1 + _exp(-x)), lambda t, x, a, b, z: 1 / (1 + np.exp(-x)),
                 lambda v, x, y, a, b: v * y * (1 - y), None),
    "tanh": (lambda t, x, a, b, z: _tanh(x, a, b), lambda t, x, a, b, z: a * np.tanh(b * x),
             lambda v, x, y, a, b: v * (b * (a - y * y / a)), None),
    "softrelu": (lambda t, x, a, b, z: x if x > 4 else _log(1 + _exp(x)),
                 lambda t, x, a, b, z: x if x > 4 else np.log1p(np.exp(x)),
                 lambda v, x, y, a, b: v if x > 4 else v * (_exp(x) / (1 + _exp(x))),
                 lambda v, x, y, a, b: v if x > 4 else v * (np.exp(x) / (1 + np.exp(x)))),
    "drelu": (lambda t, x, a, b, z: t.multiply_add(-a, _tanh(x, F(1), 1 / a), x),
              lambda t, x, a, b, z: x - a * np.tanh(x / a),
              lambda v, x, y, a, b: v * (F(2) / (1 + _exp(F(-2) * x / a)) - 1) ** 2,
              lambda v, x, y, a, b: v * np.tanh(x / a) ** 2),
}
# fmt: on


def _neuron(spot: Spot) -> Element:
    neuron, forward = spot.layer["neuron"], spot.name == "acts"
    kind, params = neuron["type"], neuron["params"]
    if kind not in _NEURONS or not (forward or spot.grad is not None):
        return Element()
    a, b = (F(params.get(name, 1)) for name in ("a", "b"))
    x, noise = spot.inputs[0][spot.row, spot.column], F(0) if spot.mask is None else spot.mask[spot.row, spot.column]
    output, ports_output, slope, ports_slope = _NEURONS[kind]
    made = Element(f"{kind} of one value" if forward else f"gradient × slope of {kind}", linear=False)

    def run(trace: Trace, output: Callable[..., Any], slope: Callable[..., Any]) -> None:
        trace.order = "one value"
        y = trace.then(f"{kind} of {x:.9g}", output(trace, x, a, b, noise))
        if not forward:
            trace.then(f"× {spot.value:.9g}", slope(spot.value, x, y, a, b))

    port = partial(run, output=ports_output or output, slope=ports_slope or slope)
    made.traces = {"legacy": partial(run, output=output, slope=slope), "port": port}
    if kind in ("relu", "nrelu", "brelu", "abs"):
        through = float(spot.value)
        candidates = [("positive", through), ("not positive", -through if kind == "abs" else 0.0)]
        candidates += [(f"above {a:g}", float(a) if forward else 0.0)] if kind == "brelu" else []
        chosen = 1 if not x > 0 else 2 if kind == "brelu" and x > a else 0
        margin = min(abs(x), abs(x - a)) if kind == "brelu" else abs(x)
        made.decision = Decision(f"the sign of the input {x:.9g} decides", candidates, chosen, float(margin))
    return made


def _dropout(spot: Spot) -> Element:
    kept = None if spot.mask is None else bool(spot.mask[spot.row, spot.column])
    factor = F(spot.layer["keep"]) if kept is None else F(kept)
    made = Element(
        "value × keep" if kept is None else "value × mask", np.array([spot.value]), np.array([factor]), ["value"]
    )
    if kept is not None:
        candidates = [("kept", float(spot.value)), ("dropped", 0.0)]
        made.decision = Decision("the recorded mask decides", candidates, int(not kept), np.inf)

    def run(trace: Trace) -> None:
        trace.order = "one product"
        trace.then(f"× {factor:g}", spot.value * factor)

    made.traces = {"legacy": run, "port": run}
    return made


# Weight updates


def _update(spot: Spot) -> Element:
    layer, own = spot.layer, parameter(spot.name)
    constants, i, at = solver_constants(layer, own), address(own)[1], (spot.row, spot.column)
    made = Element("step = momentum × step + rate × gradient - rate × decay × weight; weight + step")
    scaled = i is not None and any(layer.get(key) and layer[key][i] > 0 for key in ("wballNormed", "wcNormMax"))
    if layer.type == "treefc" or super_eps(layer) > 0 or (scaled and spot.name == own):
        made.linear, made.traces = False, dict.fromkeys(("legacy", "port"), WHOLE)
        return made
    w, inc = spot.params[own][at], spot.params[increment(own)][at]
    g = None if updates_directly(layer, own) else spot.params[gradient(own)][at]
    mom, eps = F(1 if g is None else constants["mom"]), F(spot.rate())
    decay = {"legacy": F(-float(F(constants["wc"])) * spot.rate(1)), "port": -F(constants["wc"] * spot.rate(1))}
    made.names, made.a = ["step", "gradient", "weight"], np.array([inc, 0 if g is None else g, w], F)
    made.b, made.plus = np.array([mom, eps, decay["port"]], F), float(w) if spot.name == own else 0.0

    def run(trace: Trace, order: str) -> None:
        trace.order, step = "momentum, gradient, decay, then the weight", inc
        if g is not None:
            moved = trace.multiply_add(step, mom, g * eps) if order == "legacy" else step * mom + g * eps
            step = trace.then("momentum × step + rate × gradient", moved)
        if constants["wc"] > 0:
            step = trace.then("- rate × decay × weight", step + w * decay[order])
        trace.then("weight + step" if spot.name == own else "the new step", w + step if spot.name == own else step)

    made.traces = {order: partial(run, order=order) for order in ("legacy", "port")}
    return made


_SQUARES = "x (minDiv + scale × sum of squares over neighbouring maps)^-pow"
_MIRRORED = "g D^-pow - 2 scale pow x × sum of g y / D over the maps that x is in"
FAMILIES: dict[tuple[str, str], Callable[[Spot], Element]] = {
    ("hs", "acts"): _dropout,
    ("hs", "inputs"): _dropout,
    ("neuron", "acts"): _neuron,
    ("neuron", "inputs"): _neuron,
    ("pool", "acts"): _pool_acts,
    ("pool", "inputs"): _pool_inputs_grad,
    ("cmrnorm", "acts"): partial(_cmrnorm, _norm_acts, _SQUARES),
    ("cmrnorm", "inputs"): partial(_cmrnorm, _norm_inputs_grad, _MIRRORED),
    ("fc", "acts"): _dense,
    ("fc", "inputs"): _dense,
    **{(kind, "acts"): _filter_acts for kind in ("conv", "local")},
    **{(kind, "inputs"): _filter_inputs_grad for kind in ("conv", "local")},
    **{(kind, "weights"): _filter_weights_grad for kind in ("conv", "local")},
    **{(kind, "biases"): _filter_biases_grad for kind in ("conv", "local")},
}
"""By layer type and tensor, what makes the Element."""
