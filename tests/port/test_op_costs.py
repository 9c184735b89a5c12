"""Softmax and cost.logreg, with the tie rules of 2012."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import assert_gradient, assert_within, same_bits

from alexnet_rosetta.port import costs

LABELS = np.array([[0, 2, 1, 4, 4, 3, 0]], np.float32)


def energies(dtype, seed=0):
    return (3 * np.random.default_rng(seed).standard_normal((5, 7))).astype(dtype)


def exact_softmax(x):
    e = np.exp(x.astype(float) - x.max(axis=0).astype(float))
    return e / e.sum(axis=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_matches_the_formula(dtype):
    x = energies(dtype)
    probs = costs.softmax_forward(x)
    exact = exact_softmax(x)
    assert_within(probs, exact, len(x) + 4, exact * (1 + np.abs(x - x.max(axis=0)).astype(float)))
    grads = energies(dtype, 1)
    p, g = probs.astype(float), grads.astype(float)
    size = p * (np.abs(g) + (np.abs(g) * p).sum(axis=0))
    assert_within(costs.softmax_backward(probs, grads), p * (g - (g * p).sum(axis=0)), len(x) + 2, size)
    onehot = np.arange(5)[:, None] == LABELS
    fused = costs.softmax_logreg_backward(LABELS, probs, 0.3)
    assert_within(fused, 0.3 * (onehot - p), 3, 0.3 * np.abs(onehot - p))
    two_step = costs.softmax_backward(probs, costs.logreg_backward(LABELS, probs, 0.3))
    assert_within(two_step, 0.3 * (onehot - p), len(x) + 6, 0.3 * (onehot + p))


def test_large_energies_do_not_overflow():
    x = np.array([[1000, -1000], [0, -1001]], np.float32)
    assert_within(costs.softmax_forward(x), exact_softmax(x), 6, 1)


def test_central_differences():
    """Gradients are those of minus the cost."""
    x, rng = energies(np.float64), np.random.default_rng(2)
    probs = costs.softmax_forward(x)

    def objective(z):
        return -costs.logreg_cost(LABELS, costs.softmax_forward(z))[0]

    assert_gradient(objective, x, costs.softmax_logreg_backward(LABELS, probs), rng)
    assert_gradient(lambda p: -costs.logreg_cost(LABELS, np.abs(p))[0] if (p > 0).all() else np.nan,
                    probs + 1, costs.logreg_backward(LABELS, probs + 1), rng)  # fmt: skip
    weights = rng.standard_normal(x.shape)
    gradient = costs.softmax_backward(probs, weights)
    assert_gradient(lambda z: (costs.softmax_forward(z) * weights).sum(), x, gradient, rng)


@pytest.mark.parametrize(
    ("column", "label", "topk", "errors"),
    [
        ([0.4, 0.3, 0.2, 0.1], 0, 1, (0, 0)),
        ([0.4, 0.3, 0.2, 0.1], 2, 2, (1, 1)),
        ([0.4, 0.3, 0.2, 0.1], 2, 3, (1, 0)),
        ([0.25, 0.25, 0.25, 0.25], 3, 1, (0.75, 0.75)),
        ([0.25, 0.25, 0.25, 0.25], 3, 3, (0.75, 0.25)),
        ([0.5, 0.25, 0.25, 0.0], 1, 2, (1, 0.5)),
        ([0.5, 0.25, 0.25, 0.0], 2, 3, (1, 0)),
        ([0.5, 0.25, 0.25, 0.0], 3, 3, (1, 1)),
        ([0.5, 0.25, 0.25, 0.0], 0, 9, (0, 0)),
        ([0.5, np.nan, 0.25, 0.0], 1, 1, (1, 0)),
        ([0.5, np.nan, 0.25, 0.0], 0, 1, (0, 0)),
    ],
)
def test_error_counts_share_ties(column, label, topk, errors):
    probs = np.array(column, np.float32)[:, None]
    cost = costs.logreg_cost([label], probs, topk)
    assert cost.dtype == np.float64
    assert tuple(cost[1:]) == errors


@settings(max_examples=100)
@given(st.integers(1, 6), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_cost_is_the_expectation_over_random_orders_of_ties(classes, topk, seed):
    """Credit is the chance that the label comes among the first, ties in random order; counted by enumeration."""
    rng = np.random.default_rng(seed)
    probs = rng.integers(1, 4, (classes, 3)).astype(np.float32) / 4
    labels = rng.integers(0, classes, 3)
    cost = costs.logreg_cost(labels, probs, topk)
    credits = np.zeros(2)
    for n, label in enumerate(labels):
        better, equal = (probs[:, n] > probs[label, n]).sum(), (probs[:, n] == probs[label, n]).sum()
        ranks = better + np.arange(equal)
        credits += (ranks == 0).mean(), (ranks < topk).mean()
    logs = np.log(probs[labels, np.arange(3)].astype(float))
    double = probs.astype(np.float64)
    assert_within(cost[:1], [-logs.sum()], 3, np.maximum(abs(logs), 1).sum())
    assert_within(cost[1:], 3 - credits, 6, 3.0)
    assert same_bits(cost, costs.logreg_cost(labels, double, topk))


def test_no_clamp_on_the_logarithm():
    probs = np.array([[0], [1]], np.float32)
    assert costs.logreg_cost([0], probs)[0] == np.inf
    assert costs.logreg_backward([0], probs)[0, 0] == np.inf


@pytest.mark.parametrize("labels", [[5] * 7, [-1] * 7, [0] * 6])
def test_bad_labels_are_refused(labels):
    probs = costs.softmax_forward(energies(np.float32))
    with pytest.raises(ValueError, match="label"):
        costs.logreg_cost(labels, probs)
    with pytest.raises(ValueError, match="label"):
        costs.softmax_logreg_backward(labels, probs)
    with pytest.raises(ValueError, match="wrong topk"):
        costs.logreg_cost([0] * 7, probs, topk=0)
