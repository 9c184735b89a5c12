"""Honest float32 evaluations, written out one operation after the other as an engine might, and what judges them."""

import numpy as np
from hypothesis import strategies as st

from alexnet_rosetta.harness.checks.grads.subjects import double_error
from alexnet_rosetta.harness.judging.verdict import judge

F = np.float32
SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.sampled_from([1e-6, 1e-2, 1.0, 30.0])


def accepts(reference_result, actual):
    finding = judge(reference_result, np.asarray(actual, F))
    assert not finding.fails, finding
    return True


def assert_double(reference_result, wanted):
    """A value of the reference is what a formula written afresh gives in float64, by its own error model for float64.

    Where the reference says that nothing is rounded, the two are equal.
    """
    error = np.abs(reference_result.value - wanted)
    bound = double_error(reference_result)
    assert (error <= bound).all(), f"{(error > bound).sum()} of {error.size} outside, by {(error / bound).max()}"


def add_up(terms, rng):
    """Float32 sum over axis 0 in a random order: one by one, or by pairs."""
    terms = terms[rng.permutation(len(terms))]
    if rng.random() < 0.5:
        return np.cumsum(terms, axis=0, dtype=F)[-1]
    while len(terms) > 1:
        odd = terms[len(terms) & ~1 :]
        terms = np.concatenate([terms[0 : len(terms) & ~1 : 2] + terms[1 : len(terms) & ~1 : 2], odd])
    return terms[0]


def multiply_add(a, b, rng):
    """Float32 sum over axis 0 of a * b in a random order, the products rounded or fused."""
    order = rng.permutation(len(a))
    if rng.random() < 0.5:
        return add_up(a * b, rng)
    total = np.zeros(np.broadcast_shapes(a.shape, b.shape)[1:], F)
    for k in order:
        total = (a[k].astype(np.float64) * b[k] + total).astype(F)
    return total


def numbers(rng, shape, scale, sparse=0.3):
    """Float32 numbers of one scale, some of them zero, some much larger."""
    x = rng.standard_normal(shape, F) * F(scale)
    x *= rng.random(shape) > sparse
    return x * np.where(rng.random(shape) < 0.1, F(100), F(1))
