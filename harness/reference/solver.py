"""The update rule:  Δ ← μ Δ + ε G - λ ε W,   W ← W + Δ,   the decay -λ ε W only where λ > 0.

Convolutions and all biases keep G = (Σ over cases) / B and use it here (gradient G given).  Fully connected and
local layers had μ Δ + (ε / B) Σ put into Δ by the backward pass (`accumulate`), so that the update only decays and
applies (no gradient given).

With superEps the step is divided by a running spread of G (`spread_step`):

    A ← μ A + (1 - μ) G,   Q ← μ Q + (1 - μ) G²,   Δ ← 0.9 Δ + ε G / √(Q - A² + superEps) - λ ε W

Afterwards the filters w of a matrix are held to their constraints, contrast first:

    a = √Σ(w - mean)² / K,  a < wcNormMin: w ← w wcNormMin / a,  a > wcNormMax: w ← w wcNormMax / a   (`limit_contrast`)
    ‖w‖ > wball K:  w ← w wball K / ‖w‖                                                              (`limit_norms`)

Error model: n = 4 for the weights, M = |W| + |μΔ| + |εG| + |λεW|; Δ lacks the first term of M.  In `accumulate` the
sum over cases brings its own n and M.  Under the root, Q and A² may cancel: |εG/√| counts with half their condition.
The constraints divide by a root, whose relative error is that of its K squares: n grows by K + 3, and M is the limited
M, |W| once more, and |W| times the relative M of the root.

Source: network-and-solver 8.1 to 8.6 and 9; A² in place of the historical A.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .bounded import ROUNDOFF, SMALLEST_NORMAL, Bounded

_TERMS = 4
_MARGIN = 2.0**-12


def scheduled(schedule: Mapping[str, Any], base: float, progress: float) -> float:
    """The learning rate at a point of the training, without noise.

        linear: e (1 - p) + (e / t) p      exp: e t^-p      dexp: e t^(-i / (n - 1)), i the first with p <= (i + 1) / n
        jdexp: as dexp; but in the second half of such a step, where i > 0 and .2 < p < .9, √(rate_i rate_(i-1))

    Parameters
    ----------
    schedule : dict
        ``type`` and ``params``: t = tgtFactor and n = numSteps; with a single step the rate is e / t all the time.
    base : float
        e.
    progress : float
        p, 0 to 1.
    """
    kind, target = schedule["type"], schedule["params"].get("tgtFactor", 1.0)
    if kind == "linear":
        return base * (1 - progress) + base / target * progress
    if kind == "exp":
        return base * target**-progress
    if kind not in ("dexp", "jdexp"):
        return base
    steps = schedule["params"]["numSteps"]
    if steps <= 1:
        return base / target
    i = bisect_left(range(steps), progress, key=lambda i: (i + 1) / steps)
    rate, before = (base * target ** (-j / (steps - 1)) for j in (i, i - 1))
    if kind == "jdexp" and i > 0 and 0.2 < progress < 0.9 and progress > (i + 0.5) / steps:
        return (rate * before) ** 0.5
    return rate


def update(
    param: np.ndarray,
    inc: np.ndarray,
    grad: np.ndarray | None = None,
    *,
    eps: float | np.ndarray,
    mom: float,
    wc: float = 0.0,
) -> tuple[Bounded, Bounded]:
    """One step of one matrix.

    Parameters
    ----------
    param, inc, grad : ndarray or None
        W, Δ and G; without G, Δ already holds its gradient.
    eps, mom, wc : float
        ε, μ and λ; biases do not decay.  ε may also be one for each column.

    Returns
    -------
    new_param, new_inc : Bounded
        Unchanged copies where ε is not positive (frozen).
    """
    if not np.all(np.greater(eps, 0)):
        return Bounded(param), Bounded(inc)
    wc = max(wc, 0.0)
    if grad is None:
        new, new_inc = stepped(param, [inc], eps * wc)
        return new, new_inc if wc else Bounded(inc)
    return stepped(param, momentum_and_gradient(inc, grad, eps, mom), eps * wc)


def momentum_and_gradient(inc: np.ndarray, grad: np.ndarray, eps: float | np.ndarray, mom: float) -> list[np.ndarray]:
    """The first two parts of Δ: μ Δ and ε G."""
    return [np.multiply(inc, mom, dtype=np.float64), eps * np.asarray(grad, np.float64)]


def spread_step(
    param: np.ndarray,
    inc: np.ndarray,
    grad: np.ndarray,
    *,
    eps: float | np.ndarray,
    mom: float,
    wc: float = 0.0,
    super_eps: float,
    mean: float | np.ndarray = 0.0,
    square: float | np.ndarray = 0.0,
) -> tuple[Bounded, Bounded]:
    """One step of one matrix in a layer with superEps; `mean` and `square` are A and Q before it."""
    g = np.asarray(grad, np.float64)
    mean, square = mom * mean + (1 - mom) * g, mom * square + (1 - mom) * g * g
    spread = square - mean**2 + super_eps
    step = eps * g / np.sqrt(spread)
    condition = 1 + (square + mean**2 + super_eps) / (2 * spread)
    parts = [np.multiply(inc, 0.9, dtype=np.float64), step]
    return stepped(param, parts, eps * max(wc, 0.0), np.abs(step) * condition, 10)


def stepped(
    param: np.ndarray,
    parts: Sequence[np.ndarray],
    decay: float | np.ndarray,
    more: float | np.ndarray = 0.0,
    terms: int = _TERMS,
) -> tuple[Bounded, Bounded]:
    """W and Δ after Δ = the parts - `decay` W; `more` is added to their magnitudes."""
    w = np.asarray(param, np.float64)
    if np.any(decay):
        parts = [*parts, -decay * w]
    delta: Any = sum(np.asarray(part, np.float64) for part in parts)
    size = sum(np.abs(part, dtype=np.float64) for part in parts) + more
    return Bounded(w + delta, np.abs(w) + size, terms), Bounded(delta, size, terms)


def accumulate(inc: np.ndarray, grad_sum: Bounded, *, eps: float, mom: float, cases: int) -> Bounded:
    """The direct route's Δ after the backward pass, μ Δ + (ε / B) Σ.

    Parameters
    ----------
    inc : ndarray
        Δ before the pass.
    grad_sum : Bounded
        The unscaled sum over all cases (`params_grad`).
    eps, mom : float
        ε and μ.
    cases : int
        B.
    """
    kept = np.multiply(inc, mom, dtype=np.float64)
    added = grad_sum.scaled(eps / cases)
    return Bounded(kept + added.value, np.abs(kept) + added.magnitude, added.terms + 1)


def limit_contrast(param: Bounded, low: float, high: float) -> Bounded:
    """The constraint `wcNormMin`, `wcNormMax` after an update; filters without any contrast stay as they are.

    ``param``: the updated matrix; one filter per column.
    """
    w = param.value
    contrast = w - w.mean(0)
    a = np.sqrt((contrast**2).sum(0)) / len(w)
    spread = param.magnitude + np.mean(np.broadcast_to(param.magnitude, w.shape), 0)
    return _rescaled(param, a, low, high, contrast, spread)


def limit_norms(param: Bounded, radius: float, banks: int = 1) -> Bounded:
    """The constraint `wball` after an update: columns w longer than the radius become w · radius / ‖w‖.

    Parameters
    ----------
    param : Bounded
        The updated matrix; one filter, or output unit, per column.
    radius : float
        wball × weights per filter (`wballNormed`).
    banks : int
        Number of filter banks that the matrix stacks: the modules of a local layer.
    """
    if banks > 1:
        parts = [np.split(np.broadcast_to(part, param.value.shape), banks) for part in _parts(param)]
        limited = [limit_norms(Bounded(*bank), radius) for bank in zip(*parts, strict=True)]
        return Bounded(*(np.concatenate(part) for part in zip(*map(_parts, limited), strict=True)))
    norm = np.sqrt((param.value**2).sum(0))
    return _rescaled(param, norm, 0.0, radius, param.value, np.asarray(param.magnitude))


def _parts(bounded: Bounded) -> tuple[np.ndarray, np.ndarray | float, np.ndarray | int]:
    return bounded.value, bounded.magnitude, bounded.terms


def _rescaled(param: Bounded, size: np.ndarray, low: float, high: float, x: np.ndarray, spread: np.ndarray) -> Bounded:
    """Columns rescaled so that their size, proportional to the norm of x (known to `spread`), is in low ... high."""
    w, magnitude = param.value, np.broadcast_to(param.magnitude, param.value.shape)
    some = size > 0
    factor = np.where(some, np.clip(size, low, high) / np.where(some, size, 1), 1)
    condition = 1 + (np.abs(x) * spread).sum(0) / np.where(some, (x * x).sum(0), 1)
    # An engine may find a size just inside a limit to be outside; then it changes w by rounding errors only.
    touched = (size < low * (1 + _MARGIN)) | (size > high * (1 - _MARGIN))
    spread = np.where(touched, factor * (magnitude + np.abs(w) * condition), magnitude)
    # Squares below the normal numbers lose their digits or are flushed to zero: then an engine may find any size.
    vague = some & touched & ((x * x).max(0) < SMALLEST_NORMAL / ROUNDOFF)
    spread = np.where(vague, np.abs(w) * np.maximum(factor, 1) / ROUNDOFF**2, spread)
    return Bounded(w * factor, spread, param.terms + np.where(touched, len(w) + 3, 0))
