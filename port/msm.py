"""cost.msm, multi-softmax: a distribution over sets of classes. Source: network-and-solver 13.

A set S of exactly K classes has the probability Π exp(e_i) / Z over its members, Z being the sum over all sets of K.
Everything is computed in float64, in log space, class after class for all images at once, in O(classes * K) steps.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike

from .checks import Array, floats, require
from .costs import label_positions, rank_errors


def add_logs_roughly(a: Array, b: Array) -> Array:
    """log(e^a + e^b) with the short cuts of the release.

    With d the distance of a and b: the larger number if d is above 15, the larger number plus e^-d if d is above 5. The
    error is at most 2e-5.
    """
    top, bottom = np.maximum(a, b), np.minimum(a, b)
    distance = np.where(np.isneginf(bottom), np.inf, top - np.where(np.isneginf(bottom), 0, bottom))
    return top + np.where(distance > 15, 0, np.where(distance > 5, np.exp(-distance), np.log1p(np.exp(-distance))))


def msm_marginals(
    energies: Array, size: int, labels: ArrayLike | None = None, add: Callable[[Array, Array], Array] = np.logaddexp
) -> Array:
    """Probability of every class to be in the set, (classes, N), float64; every column adds up to K.

    Energies are (classes, N) in float32 or float64; `size` is K, from 1 to classes - 1. With `labels`, N values: the
    probability under the condition that the label is in the set. `add` adds two numbers that are given as logarithms.
    Raises OperandError, a ValueError, for a wrong shape, dtype, size or label.
    """
    energies = floats("msm_marginals: energies", energies, 2)
    classes, count = energies.shape
    require(1 <= size < classes, "msm_marginals: wrong size", f"1 to {classes - 1}", size, "the classes of a set")
    fixed = np.zeros((classes, count), bool)
    if labels is not None:
        fixed[label_positions("msm_marginals", labels, energies)] = True
    e = energies.astype(np.float64)
    e -= e.max(axis=0)
    behind = _behind(e, size, fixed, add)
    logs = np.empty_like(e)
    ahead = np.full((size + 1, count), -np.inf)  # ahead[s]: log of the sum over sets of s among the classes so far
    ahead[0] = 0
    for i in range(classes):
        rest = reduce(add, (ahead[:size] + behind[i + 1, size - 1 :: -1])[::-1])
        logs[i] = rest + e[i] - behind[0, size]
        ahead = _with_class(ahead, e[i], fixed[i], add)
    return np.exp(logs)


def msm_cost(
    labels: ArrayLike, energies: Array, size: int, add: Callable[[Array, Array], Array] = np.logaddexp
) -> tuple[Array, Array]:
    """The three numbers of cost.msm, float64, and the marginals; parameters as `msm_marginals`.

    The numbers are -Σ log(marginal of the label); N - Σ credit and N - Σ top-K credit as `costs.logreg_cost`, by
    energies.
    """
    marginals = msm_marginals(energies, size, add=add)
    positions = label_positions("msm_cost", labels, energies)
    with np.errstate(divide="ignore"):
        logs = np.log(marginals[positions])
    return np.array([-logs.sum(), *rank_errors(np.asarray(energies), positions, size)]), marginals


def msm_backward(
    labels: ArrayLike,
    energies: Array,
    marginals: Array,
    size: int,
    coeff: float = 1.0,
    add: Callable[[Array, Array], Array] = np.logaddexp,
) -> Array:
    """Gradient for the energies: coeff * (marginals with the label in the set - marginals), (classes, N)."""
    difference = msm_marginals(energies, size, labels, add) - marginals
    return (coeff * difference).astype(energies.dtype)


def _behind(e: Array, size: int, fixed: Array, add: Callable[[Array, Array], Array]) -> Array:
    """[i, s]: log of the sum over sets of s among the classes from i on, (classes + 1, K + 1, N)."""
    classes, count = e.shape
    behind = np.full((classes + 1, size + 1, count), -np.inf)
    behind[classes, 0] = 0
    for i in reversed(range(classes)):
        behind[i] = _with_class(behind[i + 1], e[i], fixed[i], add)
    return behind


def _with_class(sums: Array, energy: Array, fixed: Array, add: Callable[[Array, Array], Array]) -> Array:
    """Log sums over sets by size, after one more class: it may be in the set, and must be where `fixed`."""
    without = np.where(fixed, -np.inf, sums)
    return np.concatenate([without[:1], add(sums[:-1] + energy, without[1:])])
