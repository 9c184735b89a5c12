"""The update rule:  Δ ← μ Δ + ε G - λ ε W,   W ← W + Δ.

Convolutions and all biases keep G = (Σ over cases) / B and use it here (gradient G given).  Fully connected and
local layers had μ Δ + (ε / B) Σ put into Δ by the backward pass (`accumulate`), so that the update only decays and
applies (no gradient given).

Error model: n = 4 for the weights, M = |W| + |μΔ| + |εG| + |λεW|; Δ lacks the first term of M.  In `accumulate` the
sum over cases brings its own n and M.  `limit_norms` divides by a norm, whose relative error is that of its K squares:
n grows by K + 3, and M is the limited M, |W| once more, and |W| times the relative M of the norm.

Source: network specification, 8.1, 8.2 and 8.4.
"""

import numpy as np

from .bounded import Bounded

_TERMS = 4


def update(param, inc, grad=None, *, eps, mom, wc=0.0):
    """One step of one matrix.

    Parameters
    ----------
    param, inc, grad : ndarray or None
        W, Δ and G; without G, Δ already holds its gradient.
    eps, mom, wc : float
        ε, μ and λ; biases do not decay.

    Returns
    -------
    new_param, new_inc : Bounded
        Unchanged copies where ε is not positive (frozen).
    """
    if not eps > 0:
        return Bounded(param), Bounded(inc)
    w = np.asarray(param, np.float64)
    parts = [inc] if grad is None else [np.multiply(inc, mom, dtype=np.float64), eps * np.asarray(grad, np.float64)]
    if wc > 0:
        parts.append(-(wc * eps) * w)
    delta = sum(np.asarray(part, np.float64) for part in parts)
    size = sum(np.abs(part, dtype=np.float64) for part in parts)
    new_inc = Bounded(inc) if grad is None and not wc > 0 else Bounded(delta, size, _TERMS)
    return Bounded(w + delta, np.abs(w) + size, _TERMS), new_inc


def accumulate(inc, grad_sum, *, eps, mom, cases):
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


def limit_norms(param, radius):
    """The constraint `wball` after an update: columns w longer than the radius become w · radius / ‖w‖.

    Parameters
    ----------
    param : Bounded
        The updated matrix; one filter, or output unit, per column.
    radius : float
        wball × weights per filter (`wballNormed`).
    """
    w = param.value
    magnitude = np.broadcast_to(param.magnitude, w.shape)
    square = (w * w).sum(0)
    norm = np.sqrt(square)
    # An engine may find a norm just below the radius to be above it; then it changes w by rounding errors only.
    limited = norm > radius * (1 - 2.0**-12)
    factor = np.where(limited, np.minimum(1, radius / np.where(limited, norm, 1)), 1)
    condition = 1 + (np.abs(w) * magnitude).sum(0) / np.where(limited, square, 1)
    spread = np.where(limited, factor * (magnitude + np.abs(w) * condition), magnitude)
    return Bounded(w * factor, spread, param.terms + np.where(limited, len(w) + 3, 0))
