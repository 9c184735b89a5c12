"""What an array should be, and how far rounding may have moved it: in any shape, in half, single or double precision.

n and M are *given*; or *derived*: from the formulas of a layer, or of a function that only adds up products of its
arguments by running it on their absolute values; or *estimated*, which is weaker: from how far the results move when
the arguments do.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from ..errors import BadInput
from ..judging.finding import DIFFERS, Finding, Worst
from ..judging.verdict import judge, refuse
from ..network import load as networks
from ..network.net import Net
from ..reference import UnsupportedLayer, op
from ..reference.bounded import ROUNDOFF, SMALLEST_NORMAL, Bounded
from .cause import Cause, Variant, likely

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]
PRECISIONS = {"float16": (2.0**-11, 2.0**-24), "float32": (ROUNDOFF, SMALLEST_NORMAL), "float64": (2.0**-53, 0.0)}
"""Half the distance from 1 to the next number, and what an operation next to 0 may lose."""
TRIALS = 8
STEP = 2.0**-20
"""By how much arguments are moved, as a share of their size."""
EPSILONS = ("eps", "epsilon", "k", "mindiv")


@dataclass(frozen=True)
class Expected(Bounded):
    """A reference value with its error model, for results of a certain precision.

    ``roundoff``, ``smallest``: of `PRECISIONS`.
    ``basis``: ``given``, ``derived`` or ``estimated``: where n and M come from.
    """

    roundoff: float = ROUNDOFF
    smallest: float = SMALLEST_NORMAL
    basis: str = "given"

    def slope(self) -> Array:
        """8 sqrt(n) u."""
        return np.asarray(8 * self.roundoff * np.sqrt(self.terms))

    def floor(self) -> Array:
        """What is lost next to 0."""
        return np.multiply(self.terms, self.smallest)

    def of(self, dtype: Any) -> "Expected":
        """The same for results of another type; of one that is no floating-point number the bits must match."""
        kind = np.zeros(0, dtype).real.dtype.name
        if kind in PRECISIONS:
            roundoff, smallest = PRECISIONS[kind]
            return replace(self, roundoff=roundoff, smallest=smallest)
        return replace(self, magnitude=0.0, terms=0)


def shaped(found: Bounded, shape: tuple[int, ...]) -> Expected:
    """The same in another shape, if it has as many elements."""
    parts = [np.broadcast_to(x, found.value.shape) for x in (found.value, found.magnitude, found.terms)]
    if found.value.size == np.prod(shape):
        parts = [x.reshape(shape) for x in parts]
    return Expected(parts[0], parts[1], parts[2], basis=getattr(found, "basis", "derived"))


def judged(expected: Expected, actual: Any, dtype: Any = None) -> Finding:
    """The finding on an array of any shape and precision; complex ones by real and imaginary part.

    ``actual``: array_like.
    ``dtype``: what the array should be of; by default of whatever it is.
    """
    given = np.asarray(actual)
    shape = np.shape(expected.value)
    refused = refuse(given, shape, given.dtype if dtype is None else dtype)
    if refused or given.dtype.kind not in "biufc" or given.dtype.itemsize > (16 if given.dtype.kind == "c" else 8):
        return refused or Finding("dtype", reason=f"{given.dtype} is not judged")
    value, found, magnitude, terms = parts(expected, given)
    working = np.float32 if found.dtype.itemsize < 8 and found.dtype.kind == "f" else np.float64
    flat = replace(expected, value=value.reshape(-1), magnitude=magnitude.reshape(-1), terms=terms.reshape(-1))
    finding = judge(flat, found.astype(working).reshape(-1), working)
    if working is np.float64:
        finding = _in_double(finding, flat, found.reshape(-1), given.dtype.kind in "iub" and given != expected.value)
    return finding if finding.worst is None else replace(finding, worst=_at(finding.worst, found.shape, shape))


def parts(expected: Bounded, actual: Array) -> tuple[Array, Array, Array, Array]:
    """Value, array, M and n, all of one shape; complex numbers have an axis more, for their two parts."""
    value, given = np.asarray(expected.value), actual
    magnitude, terms = (np.broadcast_to(x, value.shape) for x in (expected.magnitude, expected.terms))
    if value.dtype.kind == "c" or given.dtype.kind == "c":
        value, given = (np.stack([x.real, x.imag], -1) for x in (value, given))
        magnitude, terms = (np.broadcast_to(np.asarray(x)[..., None], value.shape) for x in (magnitude, terms))
    wide = value if value.dtype in (np.float32, np.float64) else value.astype(np.float64)
    return wide, given, np.asarray(np.abs(magnitude), np.float64), np.asarray(terms, np.float64)


def _at(worst: Worst, inner: tuple[int, ...], shape: tuple[int, ...]) -> Worst:
    index = np.unravel_index(worst.index[0], inner)
    return replace(worst, index=tuple(map(int, index[: len(shape)])))


def _in_double(finding: Finding, expected: Bounded, actual: Array, other: Any) -> Finding:
    """What the judge, who counts the bits of float32, has to be told of numbers in 64 bits."""
    value = expected.value
    exact = (np.asarray(expected.bound()) == 0) & ((actual != value) | np.ravel(other))
    exact &= ~(np.isnan(actual) & np.isnan(value))
    with np.errstate(invalid="ignore"):
        differing = int(np.count_nonzero((actual != value) & ~(np.isnan(actual) & np.isnan(value))))
    status = "equivalent" if finding.status == "identical" and differing else finding.status
    worst, share, outside = finding.worst, finding.share, finding.outside
    if exact.any() and status not in DIFFERS:
        at = int(exact.argmax())
        worst, status = Worst((at,), float(actual[at]), float(value[at]), 0.0), "different"
        share, outside = np.inf, int(exact.sum())
    return replace(finding, status=status, differing=differing, worst=worst, share=share, outside=outside, ulps=0)


def cause_of(expected: Bounded, actual: Any, axes: Sequence[str] = (), variants: Iterable[Variant] = ()) -> Cause:
    """The likely cause of a difference; complex arrays are looked at with their parts side by side."""
    given = np.asarray(actual)
    if given.dtype.kind not in "biufc" or not np.size(expected.value):
        return Cause()
    if given.shape != np.shape(expected.value):
        return likely(given.real, expected.value.real, np.asarray(expected.bound()), axes)
    value, found, magnitude, terms = parts(expected, given)
    bound = replace(expected, value=value, magnitude=magnitude, terms=terms).bound()
    return likely(found, value, np.asarray(bound), axes, variants)


# Where n and M come from


def wide(x: Any) -> Any:
    """Arrays of floating-point numbers in twice the precision, at least in 64 bits; anything else as it is."""
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fc":
        return x
    if x.dtype.kind == "c":
        return x.astype(np.complex128 if x.dtype.itemsize < 16 else np.clongdouble)
    return x.astype(np.float64 if x.dtype.itemsize < 8 else np.longdouble)


def derived(formula: Function, arguments: Sequence[Any], value: Array) -> Expected:
    """n and M of a function of arrays: derived where it only adds up products of its arguments, else estimated.

    ``formula``: of the arguments, in 64 bits or more; gives one array.
    ``value``: what it gives.
    """
    where = [i for i, x in enumerate(arguments) if isinstance(x, np.ndarray) and x.dtype.kind in "fc" and x.size]
    if not where:
        return Expected(value)
    random = np.random.default_rng(0)
    terms = _dependence(formula, arguments, where, value, random)
    if magnitude := _on_absolute_values(formula, arguments, where, value, random):
        return Expected(value, magnitude[0], terms, basis="derived")
    moved = np.zeros(np.shape(value))
    for _ in range(TRIALS):
        shifted = [x * (1 + STEP * random.choice((-1, 1), x.shape)) if i in where else x
                   for i, x in enumerate(arguments)]  # fmt: skip
        moved = np.maximum(moved, np.abs(np.asarray(formula(*shifted)) - value) / STEP)
    return Expected(value, np.maximum(moved, np.abs(value)), terms, basis="estimated")


def _on_absolute_values(
    formula: Function, arguments: Sequence[Any], where: Sequence[int], value: Array, random: np.random.Generator
) -> list[Array] | None:
    """M in a list, of a function that is affine in each argument and whose own constants are not negative."""
    whole = np.asarray(formula(*(np.abs(x) if i in where else x for i, x in enumerate(arguments))))
    if whole.shape != np.shape(value) or whole.dtype.kind == "c" or not np.isfinite(whole).all():
        return None
    slack = 1e-9 * np.abs(whole)
    for _ in range(TRIALS):
        signs = [x * random.choice((-1, 1), x.shape) if i in where else x for i, x in enumerate(arguments)]
        if (np.abs(np.asarray(formula(*signs))) > whole + slack).any():
            return None
    for i in where:
        at = [list(arguments) for _ in range(4)]
        step = np.abs(arguments[i]) * random.random(arguments[i].shape)
        for k, x in enumerate((arguments[i] + step, arguments[i], step, 0 * step)):
            at[k][i] = x
        both, one, other, none = (np.asarray(formula(*x)) for x in at)
        if (np.abs(both - one - other + none) > 4 * slack).any():
            return None
    return [np.asarray(whole)]


def _dependence(
    formula: Function, arguments: Sequence[Any], where: Sequence[int], value: Array, random: np.random.Generator
) -> Array:
    """How many elements of its largest argument each element of a result depends on, to a factor of two or so.

    Of the elements a share of 1, 1/2, 1/4 and so on is moved, until an element of the result stays as it was.
    """
    largest = max(where, key=lambda i: arguments[i].size)
    x = arguments[largest]
    found = np.ones(np.shape(value))
    for halvings in range(int(np.log2(x.size)) + 1):
        touched = np.zeros(np.shape(value))
        for _ in range(TRIALS // 2):
            chosen = random.random(x.shape) < 2.0**-halvings
            moved = np.where(chosen, x + (np.abs(x) + 1) * 2.0**-10, x)
            changed = formula(*(moved if i == largest else y for i, y in enumerate(arguments)))
            touched += np.asarray(changed) != value
        found = np.where(touched > TRIALS // 4, 2.0**halvings, found)
        if not (touched > TRIALS // 4).any():
            break
    return found + 1


def layer_formula(spec: Mapping[str, Any], inputs: Mapping[str, Any]) -> Bounded:
    """One tensor of a layer by the reference's formulas, from keys as in a layer file.

    ``spec``: ``type`` and the other keys of the layer; ``tensor`` is ``acts`` (by default), ``inputs_grad[i]``,
    ``weights[i]`` or ``biases``: then gradients, summed over the cases.
    ``inputs``: ``inputs``, a list of matrices (values, cases); ``weights``, a list; ``biases``; for gradients
    ``acts_grad``.
    """
    kind, keys = spec.get("type", ""), {name: value for name, value in spec.items() if name not in ("type", "tensor")}
    given = [np.asarray(x, np.float32).reshape(-1, np.shape(x)[-1]) for x in inputs["inputs"]]
    net, names = Net(), [f"input{i}" for i in range(len(given))]
    for i, x in enumerate(given):
        net.add(names[i], "data", dataIdx=i, dims=len(x))
    # Both files get all keys, and the reader takes from each what belongs there.
    net.add("layer", str(kind), ",".join(names), keys, **{"initW": 0} | keys)
    if not str(kind).startswith("cost."):
        net.add("top", "cost.sum2", "layer")
    try:
        network = networks.from_texts("op", *net.files(), networks.SHIPPED)
        formulas = op(networks.plain(layer := network.graph.layers["layer"]))
    except (ValueError, UnsupportedLayer) as error:
        what = re.sub(r"<text>(:\d+)?: (\[layer\] )?", "", f"op {kind}: {error}")
        raise BadInput(
            what, hint="axes are channels, rows, columns, cases; of filters the last one counts them"
        ) from error
    for key in (key for key in keys if f"[layer] {key.lower()}: is unknown" in "".join(network.spec.warnings)):
        raise BadInput(f"op {kind}: {key!r} is no key of that type", hint="docs/layer-file.md has those of each type")
    tensor, grad, shapes = str(spec.get("tensor", "acts")), inputs.get("acts_grad"), networks.parameter_shapes(layer)
    tensors = ["acts", *(f"inputs_grad[{i}]" for i in range(len(given))), *shapes]
    if tensor not in tensors or (tensor != "acts" and grad is None):
        hint = f"tensors are {', '.join(tensors)}; all but acts need acts_grad"
        raise BadInput(f"op {kind}: no {tensor!r} without acts_grad, or no such tensor", hint=hint)
    held = {f"weights[{i}]": x for i, x in enumerate(inputs.get("weights") or ())} | {"biases": inputs.get("biases")}
    for name, shape in shapes.items():
        there = np.asarray(() if held.get(name) is None else held[name], np.float32)
        if there.size != np.prod(shape) and (tensor == "acts" or there.size):
            raise BadInput(f"op {kind}: {name} do not fit", expected=f"shape {shape}", actual=f"shape {there.shape}")
        held[name] = there.reshape(shape) if there.size else None
    params = {"weights": [x for name, x in held.items() if name != "biases"], "biases": held["biases"]}
    if tensor == "acts":
        return formulas.forward(given, params)
    if tensor in shapes:
        return formulas.params_grad(given, grad, params)[tensor]
    return formulas.inputs_grad(int(tensor[12:-1]), given, grad, params)


def layer_mistakes(spec: Mapping[str, Any], inputs: Mapping[str, Any], shape: tuple[int, ...]) -> Iterator[Variant]:
    """Well-known mistakes inside a layer of `layer_formula`, for results of a shape: another window, turned filters."""
    axes, scale, size = 1 if spec["type"] == "cmrnorm" else 2, spec.get("scale", 0), spec.get("size", 1)
    changed: list[tuple[str, dict[str, Any]]] = [
        (f"{key} {value} in place of {spec[key]}", {key: value} | more)
        for key in ("size", "sizeX", "start") if key in spec for value in (spec[key] - 1, spec[key] + 1)
        for more in ({}, {"scale": scale * (value / size) ** axes} if key == "size" else {})
    ]  # fmt: skip
    changed += [(f"pool {other} in place of {spec.get('pool')}", {"pool": other}) for other in ("avg", "max")]
    if "size" in spec:
        changed.append(("scale, not divided by the values of a window", {"scale": scale * size**axes}))
    if "filterSize" in spec and inputs.get("weights"):
        taps = [np.reshape(w, (-1, spec["filterSize"] ** 2, np.shape(w)[-1])) for w in inputs["weights"]]
        changed.append(("filters turned round", {"weights": [w[:, ::-1] for w in taps]}))
        changed.append(("filters with their channels in the opposite order", {"weights": [w[::-1] for w in taps]}))
    for text, other in changed:
        with suppress(BadInput):  # nothing that such a layer can have
            arrays = {"weights": other.pop("weights")} if "weights" in other else {}
            value = layer_formula({**spec, **other}, {**inputs, **arrays}).value
            if value.size == np.prod(shape):
                yield "layer", text, partial(np.reshape, value, shape)


def variants(formula: Function, arguments: Sequence[Any], actual: Array) -> Iterator[Variant]:
    """Mistakes inside a function: another epsilon, arguments in half precision."""
    named = {name: p.default for name, p in _parameters(formula).items() if isinstance(p.default, float)}
    for name in (name for name in named if name.lower() in EPSILONS):

        def with_value(value: float, name: str = name) -> Array:
            return np.asarray(formula(*arguments, **{name: value}))

        value = _fitted(with_value, actual)
        yield "epsilon", f"another {name}: {value:.4g} in place of {named[name]:g}", partial(with_value, value)
    rounded = partial(formula, *(half(x) for x in arguments))
    yield "float16", "float16 inside: the arguments were rounded to half precision", rounded


def half(x: Any) -> Any:
    """Numbers rounded to float16, in the type they had."""
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return x
    with np.errstate(over="ignore"):
        return x.astype(np.float16).astype(x.dtype)


def _parameters(formula: Function) -> Mapping[str, Any]:
    try:
        return signature(formula).parameters
    except (TypeError, ValueError):
        return {}


def _fitted(at: Callable[[float], Any], actual: Array) -> float:
    """The number, from 1e-12 to 100, that brings a function nearest to an array."""
    from scipy.optimize import minimize_scalar

    def distance(logarithm: float) -> float:
        return float(np.linalg.norm((np.asarray(at(float(np.exp(logarithm)))) - actual).ravel()))

    grid = np.linspace(np.log(1e-12), np.log(100), 57)
    best = int(np.argmin([distance(x) for x in grid]))
    ends = grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)]
    return float(np.exp(minimize_scalar(distance, bounds=ends, method="bounded", options={"xatol": 1e-10}).x))
