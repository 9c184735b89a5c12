"""The costs beside logreg: values against their formulas, gradients against central differences of minus the cost."""

import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_checks import assert_gradient, assert_within, sums

from alexnet_rosetta.port import costs, msm

RNG = np.random.default_rng(1)
X = 2 * RNG.standard_normal((5, 7))
TARGETS = RNG.dirichlet(np.ones(5), 7).T.copy()
PROBS = costs.softmax_forward(X)
Y = 1 / (1 + np.exp(-X))


def check(objective, x, gradient, scale=1.0):
    """`objective` is the cost; its gradient is that of minus the cost. Steps stay below `scale`."""
    rng = np.random.default_rng(2)
    assert_gradient(lambda v: -objective(x + scale * np.tanh(v)), np.zeros_like(x), scale * gradient, rng)


def test_crossent():
    value = costs.crossent_cost(TARGETS, PROBS)
    terms = TARGETS * np.log(PROBS)
    assert_within(value[:1], [-terms.sum()], terms.size, np.abs(terms).sum())
    assert value[1] == 0  # every class has a target
    small = PROBS.min() / 4
    check(lambda p: costs.crossent_cost(TARGETS, p)[0], PROBS, costs.crossent_backward(TARGETS, PROBS), small)
    fused = costs.softmax_crossent_backward(TARGETS, PROBS, 0.5)
    check(lambda x: 0.5 * costs.crossent_cost(TARGETS, costs.softmax_forward(x))[0], X, fused)
    two_step = costs.softmax_backward(PROBS, costs.crossent_backward(TARGETS, PROBS, 0.5))
    assert_within(two_step, fused, 12, TARGETS + PROBS)


def test_crossent_with_targets_that_do_not_add_up_to_one():
    targets = 3 * TARGETS
    check(lambda x: costs.crossent_cost(targets, costs.softmax_forward(x))[0], X,
          costs.softmax_crossent_backward(targets, PROBS))  # fmt: skip


def test_credit_of_crossent():
    probs = np.array([[0.4, 0.4, 0.5], [0.4, 0.4, 0.2], [0.2, 0.2, 0.3]])
    targets = np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert costs.crossent_cost(targets, probs)[1] == 3 - 0.5
    assert costs.crossent_cost(np.ones((1, 1)), np.zeros((1, 1)))[0] == 50
    assert costs.crossent_cost(targets, np.where(probs == 0.5, np.nan, probs))[1] == 3 - 0.5  # NaN is no first guess


def test_crossent2():
    value = costs.crossent2_cost(TARGETS, Y)
    terms = TARGETS * np.log(Y) + (1 - TARGETS) * np.log(1 - Y)
    assert_within(value, [-terms.sum()], 2 * terms.size, np.abs(terms).sum())
    small = min(Y.min(), 1 - Y.max()) / 4
    check(lambda y: 0.5 * costs.crossent2_cost(TARGETS, y)[0], Y, costs.crossent2_backward(TARGETS, Y, 0.5), small)
    fused = costs.logistic_crossent2_backward(TARGETS, Y, 0.5)
    check(lambda x: 0.5 * costs.crossent2_cost(TARGETS, 1 / (1 + np.exp(-x)))[0], X, fused)
    assert costs.crossent2_cost(np.array([[0.25]]), np.array([[0.0]]))[0] == 12.5


def test_rflickr():
    value = costs.rflickr_cost(TARGETS, X)
    terms = np.log1p((X - TARGETS) ** 2)
    assert_within(value, [terms.sum()], terms.size, terms.sum())
    check(lambda x: 0.5 * costs.rflickr_cost(TARGETS, x)[0], X, costs.rflickr_backward(TARGETS, X, 0.5))


def test_sums_of_squares():
    gate = np.abs(X[:1])
    assert_within(costs.sum2_cost(X), [(X * X).sum()], X.size, (X * X).sum())
    assert_within(costs.gsum2_cost(gate, X), [(gate * X * X).sum()], X.size, (gate * X * X).sum())
    check(lambda x: 0.5 * costs.sum2_cost(x)[0], X, costs.sum2_backward(X, 0.5))
    down_gate, down = costs.gsum2_backward(gate, X, 0.5)
    check(lambda g: 0.5 * costs.gsum2_cost(g, X)[0], gate, down_gate)
    check(lambda x: 0.5 * costs.gsum2_cost(gate, x)[0], X, down)


@pytest.mark.parametrize("size", [1, 3, 4])
def test_tica(size):
    x = np.random.default_rng(3).standard_normal((2, 4, 4, 3))
    cost, reciprocals = costs.tica_forward(x, size=size)
    exact = 1 / (0.001 + np.sqrt(sums(x * x, size)))
    assert_within(reciprocals, exact, 2 * size + 4, exact)
    assert_within(cost, [exact.sum()], exact.size, exact.sum())
    for mirrored in (False, True):
        gradient = costs.tica_backward(x, reciprocals, size=size, coeff=0.5, mirrored=mirrored)
        total = sums(exact, size, mirrored)
        assert_within(gradient, -0.5 * x * total, 4 * size + 4, 0.5 * np.abs(x) * total)
    rooted = costs.tica_backward(x, reciprocals, size=size, coeff=0.5, root=True)
    assert_within(rooted, -0.5 * x * np.sqrt(total), 4 * size + 6, 0.5 * np.abs(x) * np.sqrt(total))

    def objective(z):
        roots = np.sqrt(sums(z * z, size))
        return 0.5 * (roots - 0.001 * np.log(0.001 + roots)).sum()

    if size > 1:  # size 1 has its kinks at 0
        check(objective, x, gradient, 0.25)


def enumerated(energies, size, labels=None):
    """Marginals by listing all sets."""
    total, found = np.zeros(energies.shape[1]), np.zeros(energies.shape)
    for chosen in itertools.combinations(range(len(energies)), size):
        weight = np.exp(energies[list(chosen)].sum(axis=0))
        if labels is not None:
            weight = weight * np.isin(labels, chosen)
        total += weight
        found[list(chosen)] += weight
    return found / total


@settings(max_examples=60)
@given(classes=st.integers(2, 7), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_msm_against_all_sets(classes, seed, data):
    rng = np.random.default_rng(seed)
    size = data.draw(st.integers(1, classes - 1))
    energies, labels = 3 * rng.standard_normal((classes, 4)), rng.integers(0, classes, 4)
    magnitude = 1 + np.abs(energies).sum(axis=0)
    for given_labels in (None, labels):
        found, expected = msm.msm_marginals(energies, size, given_labels), enumerated(energies, size, given_labels)
        assert_within(found, expected, classes * size, expected * magnitude)
        assert_within(found.sum(axis=0), np.full(4, float(size)), classes * size, size * magnitude)
    cost, marginals = msm.msm_cost(labels, energies, size)
    logs = np.log(enumerated(energies, size)[labels, np.arange(4)])
    assert_within(cost[:1], [-logs.sum()], classes * size, (np.abs(logs) + magnitude).sum())
    np.testing.assert_array_equal(cost[1:], costs.logreg_cost(labels, energies - energies.min() + 1, size)[1:])
    gradient = msm.msm_backward(labels, energies, marginals, size, 0.5)
    rng = np.random.default_rng(4)
    assert_gradient(lambda e: -0.5 * msm.msm_cost(labels, e, size)[0][0], energies, gradient, rng)


def test_msm_of_one_class_is_the_softmax():
    labels = np.arange(7) % 5
    marginals = msm.msm_marginals(X, 1)
    assert_within(marginals, PROBS, 12, PROBS * (1 + np.abs(X).max(axis=0)))
    gradient = msm.msm_backward(labels, X, marginals, 1)
    expected = costs.softmax_logreg_backward(labels, PROBS)
    assert_within(gradient, expected, 12, 1 + np.abs(X).max(axis=0))


def test_msm_of_far_apart_energies():
    energies = np.array([[1e4], [0], [-1e4]], np.float32)
    assert msm.msm_marginals(energies, 2).ravel().tolist() == [1, 1, 0]
    assert msm.msm_marginals(energies, 1, [2]).ravel().tolist() == [0, 0, 1]
    twins = np.array([[1e20], [1e20], [-1e20]], np.float32)  # only the distance to the largest can be exact
    assert msm.msm_marginals(twins, 1).ravel().tolist() == [0.5, 0.5, 0]


@pytest.mark.parametrize("distance", [0, 1, 4.9, 5, 5.1, 14.9, 15, 15.1, np.inf])
def test_the_short_cuts_of_logarithms(distance):
    expected = 0 if distance > 15 else np.exp(-distance) if distance > 5 else np.log1p(np.exp(-distance))
    for top in (-3.0, 0.0, 7.0):
        pair = np.array([top]), np.array([top - distance])
        assert msm.add_logs_roughly(*pair) == msm.add_logs_roughly(*pair[::-1]) == top + expected
    assert msm.add_logs_roughly(np.array(-np.inf), np.array(-np.inf)) == -np.inf


def test_a_cost_counts_once_unless_told():
    images, labels = X[:4].reshape(1, 2, 2, 7), np.arange(7) % 5
    reciprocals, marginals = costs.tica_forward(images, size=2)[1], msm.msm_marginals(X, 2)
    for run in (
        lambda **more: costs.softmax_logreg_backward(labels, PROBS, **more),
        lambda **more: costs.logreg_backward(labels, PROBS, **more),
        *(partial(f, TARGETS, PROBS) for f in (costs.crossent_backward, costs.softmax_crossent_backward)),
        *(partial(f, TARGETS, Y) for f in (costs.crossent2_backward, costs.logistic_crossent2_backward)),
        partial(costs.rflickr_backward, TARGETS, X), partial(costs.sum2_backward, X),
        lambda **more: np.concatenate(costs.gsum2_backward(X[:1], X, **more)),
        partial(costs.tica_backward, images, reciprocals, size=2),
        partial(msm.msm_backward, labels, X, marginals, 2),
    ):  # fmt: skip
        assert np.array_equal(run(), run(coeff=1.0))
        assert not np.array_equal(run(), run(coeff=1.001))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_have_the_dtype_of_the_values(dtype):
    x, t, y, gate = (a.astype(dtype) for a in (X, TARGETS, Y, np.abs(X[:1])))
    labels, images = np.zeros(7), x[:4].reshape(1, 2, 2, 7)
    found = [
        costs.crossent_backward(t, y, 0.5), costs.softmax_crossent_backward(t, y, 0.5),
        costs.crossent2_backward(t, y, 0.5), costs.logistic_crossent2_backward(t, y, 0.5),
        costs.rflickr_backward(t, x, 0.5), costs.sum2_backward(x, 0.5), *costs.gsum2_backward(gate, x, 0.5),
        costs.tica_backward(images, costs.tica_forward(images, size=2)[1], size=2, coeff=0.5),
        msm.msm_backward(labels, x, msm.msm_marginals(x, 2), 2, 0.5),
    ]  # fmt: skip
    assert {array.dtype for array in found} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: costs.crossent_cost(X[1:], X), "a target for every value"),
        (lambda: costs.gsum2_cost(X, X), "one gate per image"),
        (lambda: msm.msm_marginals(X, 5), "wrong size"),
        (lambda: msm.msm_marginals(X, 0), "wrong size"),
        (lambda: msm.msm_cost([9] * 7, X, 2), "label out of range"),
    ],
)
def test_bad_arguments_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
