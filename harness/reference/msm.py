"""cost.msm: K classes are chosen at once; a set S of K classes has probability exp(Σ_S e) / Z, Z summed over all sets.

    m_i = P(i in S);   reports -Σ log m_label,  N - Σ top-1 credit,  N - Σ top-K credit, ranked by the energies e
    de_i = coeff (P(i in S | label in S) - m_i)

With F[i, s] the logarithm of the sum over all sets of s classes among the first i, and B[i, s] that over the classes
from i on:   m_i = exp(e_i + log Σ_s exp(F[i, s] + B[i+1, K-1-s]) - B[0, K]).   Given that the label is in S, the rest
of S is a set of K - 1 of the other classes.

Error model: logarithms are sums of energies and of log counts, n = 2 classes + K roundings of numbers of the size
λ = Σ m|e| + |log Z| + log of the number of sets; the exponential turns them into a relative error of m:
M = m (1 + |e_i| + λ), with energies below their maximum.

Source: network-and-solver 7.8 and 13.  Logarithms are added exactly; the historical short cuts, off by up to 2e-5,
are the quirk msm-log-shortcuts of the ledger.
"""

from collections.abc import Mapping
from math import comb, log
from typing import Any

import numpy as np

from .bounded import Bounded
from .costs import chosen, entries, label_errors, total
from .layer import Arrays, Cost


class MultiSoftmaxCost(Cost):
    """A `cost.msm` layer over labels (1, N) and energies (classes, N)."""

    labels = "classes"

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.coeff, self.size = spec["coeff"], spec["setSize"]

    def forward(self, inputs: Arrays, params: object = None, **_: object) -> Bounded:
        """The three reported numbers, summed over the images given."""
        labels, energies = inputs
        m, condition = self._marginals(energies, self.size)
        of_label = chosen(m, labels)
        with np.errstate(divide="ignore"):
            logs = np.log(of_label)
        size = np.maximum(np.abs(logs), 1) + chosen(condition, labels)
        likelihood = total(-logs, size, self._terms(energies) + len(logs))
        return entries(likelihood, *label_errors(labels, energies, self.size))

    def inputs_grad(
        self, i: int, inputs: Arrays, acts_grad: object = None, params: object = None, **_: object
    ) -> Bounded:
        """Gradient of the energies (input 1)."""
        labels, energies = inputs
        m, condition = self._marginals(energies, self.size)
        is_label = np.arange(len(energies))[:, None] == labels
        others = np.where(is_label, -np.inf, energies)
        given, given_condition = self._marginals(others, self.size - 1)
        given = np.where(is_label, 1, given)
        magnitude = given * np.where(is_label, 1 + condition, given_condition) + m * condition
        return Bounded(self.coeff * (given - m), abs(self.coeff) * magnitude, self._terms(energies) + 2)

    def _marginals(self, energies: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """m and its condition, for sets of that size; an energy of -inf is never chosen."""
        e = np.asarray(energies, np.float64) - energies.max(0)
        m, log_z = marginals(e, size)
        e = np.where(np.isfinite(e), np.abs(e), 0)
        return m, 1 + e + (m * e).sum(0) + np.abs(log_z) + log(comb(len(e), size))

    def _terms(self, energies: np.ndarray) -> int:
        return 2 * len(energies) + self.size


def marginals(e: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """P(i in S) for all i, and log Z, of the sets S of `size` classes with energies e (classes, N)."""
    after = [_sums_over_sets_of_none(e, size)]
    for energy in e[::-1]:
        after.append(_with_one_more(after[-1], energy))
    log_z = after.pop()[size]
    before, m = _sums_over_sets_of_none(e, size), np.empty_like(e)
    for i, energy in enumerate(e):
        rest = np.logaddexp.reduce(before[:size] + after.pop()[:size][::-1], axis=0, initial=-np.inf)
        m[i] = np.exp(rest + energy - log_z)
        before = _with_one_more(before, energy)
    return m, log_z


def _sums_over_sets_of_none(e: np.ndarray, size: int) -> np.ndarray:
    """By number of classes chosen, 0 ... size: only the empty set can be chosen from nothing."""
    sums = np.full((size + 1, e.shape[1]), -np.inf)
    sums[0] = 0
    return sums


def _with_one_more(sums: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """The sums when one more class, of that energy, may be chosen."""
    grown = sums.copy()
    grown[1:] = np.logaddexp(sums[1:], sums[:-1] + energy)
    return grown
