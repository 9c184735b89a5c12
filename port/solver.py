"""Learning-rate schedules, the update rule and the norm constraints (network-and-solver 8 and 9).

Signs are historical: gradients are gradients of minus the cost, and weights move along them. The loop ``update`` of
_loops.h does the work of the function with that name, NumPy does the rest.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import _loops
from .checks import Array
from .threads import VALUE, threads_for

SUPER_MOMENTUM = 0.9


def rate(schedule: Mapping[str, Any], base: float, progress: float, normal: Callable[[], float] | None = None) -> float:
    """The learning rate at a point of the training.

    `schedule` has ``type`` and ``params``, as `grammar.read_schedule` returns it; `base` is rounded to float32 as in
    the release; `progress` is the share of the training that is done, 0 to 1. `normal` draws from N(0, 1); it is called
    only if the schedule has noise, which then multiplies the rate by 1 + s*abs(z).
    """
    base, params = float(np.float32(base)), schedule["params"]
    target = params.get("tgtFactor", 1.0)
    kind = schedule["type"]
    if kind == "linear":
        value = base * (1 - progress) + base / target * progress
    elif kind == "exp":
        value = base * target**-progress
    elif kind in ("dexp", "jdexp"):
        value = base * _stairs(target, params["numSteps"], progress, halfway=kind == "jdexp")
    else:
        value = base
    noise = params.get("noiseStdev", 0.0)
    return value * (1 + noise * abs(normal())) if noise > 0 and normal is not None else value


def _stairs(target: float, steps: int, progress: float, halfway: bool) -> float:
    """1 to 1/target in geometric steps of equal length; with `halfway`, inner steps start at the geometric mean."""
    if steps <= 1:
        return 1 / target
    step = float(bisect_left(range(1, steps), progress, key=lambda k: k / steps))  # ends of steps before this point
    if halfway and step > 0 and 0.2 < progress < 0.9 and progress > (step + 0.5) / steps:
        step -= 0.5
    return target ** (-step / (steps - 1))


def update(
    values: Array,
    inc: Array,
    grads: Array | None = None,
    *,
    eps: float = 0.0,
    mom: float = 0.0,
    decay: float = 0.0,
    step: float = 1.0,
    decoupled: bool = False,
) -> None:
    """One step, in place and in one pass over memory: Δ ← μΔ + εG, Δ ← Δ − λεW, W ← W + Δ.

    The loop is ``update`` of _loops.h: every product and every sum is rounded, on every processor. On the direct route
    (`grads` is None) the backward pass has made the first of these assignments already.

    `values` and `inc`, W and Δ of one shape and memory order (C or Fortran), are changed; `grads` is G, divided by the
    number of cases; `eps` and `mom` are ε and μ for the gradient; `decay` is λε, 0 for biases: weights decay only if it
    is above 0, as in the release. `step` is a factor on Δ as W moves: 1, or the rate if Δ holds gradients. `decoupled`:
    decay W itself, W ← W − λεW + Δ, and leave Δ alone.
    """
    w, d = _flat(values, values), _flat(inc, values)
    g = w[:0] if grads is None else _flat(grads, values)
    _loops.update(w, d, g, eps, mom, decay, step, decoupled, threads_for(VALUE * values.size))


def super_update(
    values: Array,
    inc: Array,
    grads: Array,
    mean: Array,
    square: Array,
    *,
    eps: float,
    mom: float,
    decay: float,
    floor: float,
    squared: bool = True,
    **more: Any,
) -> None:
    """One step of a layer with ``superEps`` (8.6), in place.

    A ← μA + (1−μ)G, Q ← μQ + (1−μ)G², Δ ← 0.9Δ + εG/√(Q − A² + floor), then Δ ← Δ − λεW, W ← W + Δ as in `update`.

    `values`, `inc`, `mean`, `square`, W, Δ, A, Q of one shape, are changed; `grads` is G, divided by the number of
    cases; `eps`, `mom`, `decay`, `floor` are ε, μ (of A and Q only), λε, superEps. Without `squared` A takes the place
    of A² under the root, as in the release; the root can be NaN then. `more` are further arguments of `update`.
    """
    for average, new in ((mean, grads), (square, grads * grads)):
        average *= average.dtype.type(mom)
        average += new * new.dtype.type(1 - mom)
    with np.errstate(invalid="ignore"):
        normed = grads / np.sqrt(square - (mean * mean if squared else mean) + square.dtype.type(floor))
    update(values, inc, normed, eps=eps, mom=SUPER_MOMENTUM, decay=decay, **more)


def _flat(array: Array, like: Array) -> Array:
    """A one-dimensional view, in the memory order of `like`."""
    if array.shape != like.shape or array.dtype != like.dtype:
        raise ValueError(f"update: expected {like.shape} {like.dtype}, actual {array.shape} {array.dtype}")
    turned = array if like.flags.c_contiguous else array.T
    if not turned.flags.c_contiguous:
        raise ValueError("update: the arrays are not contiguous in one order; hint: np.ascontiguousarray")
    return turned.reshape(-1)


def bound_norms(weights: Array, radius: float, like_first: bool = False) -> None:
    """wball (8.4): scale every column of (rows, filters) down to norm `radius`, in place; only if `radius` is above 0.

    With `like_first`, scale all columns by the factor of the first one, as the release did with matrices of one row.
    """
    if radius > 0:
        norms = np.sqrt(np.einsum("ij,ij->j", weights, weights))
        factors = np.divide(radius, norms, out=np.ones_like(norms), where=norms > radius)
        weights *= factors[0] if like_first else factors


def blocks_of_filters(count: int) -> list[slice]:
    """The filters that the thread blocks of the release scale, block by block: a list of slices.

    A block handles 1, 2 or 4 times 32 filters, but the next one begins 32 filters further on.
    """
    per_thread = 4 if count % 128 == 0 else 2 if count % 64 == 0 else 1
    width = 32 if count % 32 == 0 else 16
    return [slice(width * k, width * (k + per_thread)) for k in range(count // (width * per_thread))]


def bound_contrast(weights: Array, low: float, high: float) -> None:
    """wcNormMin, wcNormMax (8.5): scale every filter so that its contrast lies in [low, high], in place.

    The contrast of a filter of F rows is √Σ(w − mean)² / F; constant filters are left alone. The weights are (rows,
    filters); nothing is done if `high` is not above 0.
    """
    if high > 0:
        contrast = weights.std(axis=0) / np.sqrt(weights.dtype.type(len(weights)))
        wanted = np.clip(contrast, low, high).astype(weights.dtype)
        weights *= np.divide(wanted, contrast, out=np.ones_like(contrast), where=contrast > 0)
