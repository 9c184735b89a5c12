"""Costs: reported numbers by hand, gradients by finite differences, sets of classes by enumeration, honest float32."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
import reference_specs as specs
from honest import SEEDS, F, accepts, add_up, assert_double, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from alexnet_rosetta.harness import reference
from alexnet_rosetta.harness.judging.verdict import judge
from alexnet_rosetta.harness.reference.msm import marginals

CASES = 4


def cost(kind, coeff=0.5, **keys):
    return reference.op({"type": f"cost.{kind}", "coeff": coeff, **keys})


def drawn(seed=1, classes=6):
    """Distributions, 0/1 targets, probabilities that need not add up to 1, any values: (classes, CASES)."""
    rng = np.random.default_rng(seed)
    t = rng.random((classes, CASES), F) * (rng.random((classes, CASES)) < 0.6)
    binary = (rng.random((classes, CASES)) < 0.5).astype(F)
    return t, binary, rng.uniform(0.05, 0.95, (classes, CASES)).astype(F), specs.normal(rng, classes, CASES)


def objective(op, inputs, i):
    """Minus the cost, as a function of input i."""
    return lambda x: -op.coeff * op.forward([*inputs[:i], x, *inputs[i + 1 :]]).value[0]


T, BINARY, P, X = drawn()
LABELS = np.float32([[3, 0, 5, 3]])
WITH_GRADIENT = {
    "logreg": (cost("logreg"), [LABELS, P], 1),
    "crossent": (cost("crossent"), [T, P], 1),
    "crossent2, 0 and 1": (cost("crossent2"), [BINARY, P], 1),
    "crossent2, between": (cost("crossent2"), [T, P], 1),
    "rflickr": (cost("rflickr"), [T, X], 1),
    "sum2": (cost("sum2"), [X], 0),
    "gsum2, gate": (cost("gsum2"), [T[:1], X], 0),
    "gsum2, values": (cost("gsum2"), [T[:1], X], 1),
    "msm": (cost("msm", setSize=3), [LABELS, X], 1),
    "msm of one": (cost("msm", setSize=1), [LABELS, X], 1),
    "msm of all but one": (cost("msm", setSize=5), [LABELS, X], 1),
}


@pytest.mark.parametrize(("op", "inputs", "i"), WITH_GRADIENT.values(), ids=WITH_GRADIENT)
def test_gradients_are_those_of_minus_the_cost(op, inputs, i):
    specs.assert_is_derivative(objective(op, inputs, i), inputs[i], op.inputs_grad(i, inputs).value)


@pytest.mark.parametrize(("op", "inputs", "i"), WITH_GRADIENT.values(), ids=WITH_GRADIENT)
def test_costs_add_up_over_slices(op, inputs, i):
    parts = [op.forward([x[:, part] for x in inputs]) for part in (np.s_[:1], np.s_[1:])]
    whole = op.forward(inputs)
    assert_double(whole, (parts[0] + parts[1]).value)
    assert ((parts[0] + parts[1]).bound() >= whole.bound() * (1 - 2**-20)).all()


def test_classes_of_probability_0_have_no_gradient_unless_they_are_the_label():
    labels, p = np.array([[0, 1]], F), np.array([[1, 0], [0, 0.5]], F)
    assert cost("logreg").inputs_grad(1, [labels, p]).value.tolist() == [[0.5, 0], [0, 1]]
    labels[0, 1] = 0
    assert cost("logreg").inputs_grad(1, [labels, p]).value.tolist() == [[0.5, np.inf], [0, 0]]


def test_softmax_and_cross_entropy_are_one_step():
    softmax = reference.op(specs.softmax(6))
    both = lambda x: -0.5 * cost("crossent").forward([T, softmax.forward([x]).value]).value[0]  # noqa: E731
    found = softmax.inputs_grad(0, [X], None, targets=T, coeff=0.5)
    specs.assert_is_derivative(both, X, found.value)
    p = softmax.forward([X]).value
    two_steps = softmax.inputs_grad(0, [X], cost("crossent").inputs_grad(1, [T, p]).value)
    assert_double(found, two_steps.value)


def test_logistic_neuron_and_cross_entropy_are_one_step():
    logistic = reference.op(specs.neuron("logistic"))
    both = lambda x: -0.5 * cost("crossent2").forward([BINARY, logistic.forward([x]).value]).value[0]  # noqa: E731
    found = logistic.inputs_grad(0, [X], None, targets=BINARY, coeff=0.5)
    specs.assert_is_derivative(both, X, found.value)


def test_a_best_class_counts_where_it_is_possible_at_all():
    p = np.float32([[0.5, 0.4, 0.3], [0.3, 0.4, 0.3], [0.2, 0.2, 0.4]])
    t = np.float32([[0.1, 0, 1], [0.9, 0.5, 0], [0, 0.5, 0]])
    assert cost("crossent").forward([t, p]).value[1] == 3 - (1 + 1 / 2 + 0)


def test_the_logarithm_of_nothing_is_minus_fifty():
    t, p = np.float32([[0.25], [0.75]]), np.float32([[0], [1]])
    assert cost("crossent").forward([t, p]).value[0] == 0.25 * 50
    assert cost("crossent2").forward([t, p]).value[0] == (0.25 + 0.25) * 50


# Topographic ICA

TICA = [(2, 5, 3), (1, 6, 4), (1, 4, 1)]


def tica(channels, image, size):
    rng = np.random.default_rng(2)
    return cost("tica", channels=channels, sizeX=size), specs.normal(rng, channels * image**2, 2)


def energies(x, channels, image, size):
    planes, found = x.reshape(channels, image, image, -1), []
    for c, i, j in np.ndindex(channels, image, image):
        rows, columns = (slice(max(0, k - size // 2), max(0, k - size // 2 + size)) for k in (i, j))
        found.append((planes[c, rows, columns].astype(np.float64) ** 2).sum((0, 1)))
    return np.array(found)


@pytest.mark.parametrize("shape", TICA)
def test_tica_reports_the_reciprocals(shape):
    op, x = tica(*shape)
    wanted = (1 / (0.001 + np.sqrt(energies(x, *shape)))).sum()
    assert_double(op.forward([x]), [wanted])


@pytest.mark.parametrize("shape", TICA)
def test_the_gradient_of_tica_is_that_of_its_objective(shape):
    op, x = tica(*shape)

    def minus_objective(x):
        roots = np.sqrt(energies(x, *shape))
        return -op.coeff * (roots - 0.001 * np.log(0.001 + roots)).sum()

    specs.assert_is_derivative(minus_objective, x, op.inputs_grad(0, [x]).value)


# Sets of classes


@pytest.mark.parametrize("size", range(1, 6))
def test_marginals_by_enumeration(size):
    e = X.astype(np.float64)
    m, log_z = marginals(e, size)
    known = (m * np.abs(e)).sum(0) + np.abs(log_z) + np.log(comb(6, size))  # λ of the error model
    m = reference.Bounded(m, m * (1 + np.abs(e) + known), 2 * 6 + size)
    sets = list(combinations(range(6), size))
    weights = np.array([np.exp(e[list(chosen)].sum(0)) for chosen in sets])
    assert_double(reference.Bounded(log_z, known, 2 * 6 + size), np.log(weights.sum(0)))
    holding = np.array([[i in chosen for chosen in sets] for i in range(6)])
    assert_double(m, holding @ weights / weights.sum(0))
    assert_double(reference.Bounded(m.value.sum(0), m.magnitude.sum(0), m.terms + 6), size)


def test_the_gradient_of_msm_by_enumeration():
    found = cost("msm", setSize=3).inputs_grad(1, [LABELS, X])
    wanted = np.empty(X.shape)
    sets = list(combinations(range(6), 3))
    for n in range(CASES):
        weights = np.array([np.exp(X[list(chosen), n].sum(dtype=np.float64)) for chosen in sets])
        label = int(LABELS[0, n])
        with_label = np.array([label in chosen for chosen in sets])
        for i in range(6):
            holding = np.array([i in chosen for chosen in sets])
            given_label = weights[holding & with_label].sum() / weights[with_label].sum()
            wanted[i, n] = 0.5 * (given_label - weights[holding].sum() / weights.sum())
    assert_double(found, wanted)


def test_msm_counts_by_energies():
    e = np.float32([[3, 1, 0], [2, 1, 0], [1, 0, 0], [0, 0, 0]])
    found = cost("msm", setSize=2).forward([np.float32([[1, 0, 2]]), e])
    assert found.value[1:].tolist() == [3 - (0 + 1 / 2 + 1 / 4), 3 - (1 + 1 + 1 / 2)]


def test_energies_far_apart_are_no_problem():
    e = np.float32([[500], [-1000], [0], [499]])
    op = cost("msm", setSize=2, coeff=1)
    found = op.forward([np.float32([[2]]), e])
    wanted = 499 - np.log1p(np.exp(-1.0))
    assert_double(reference.Bounded(*(part[0] for part in (found.value, found.magnitude, found.terms))), wanted)
    assert np.isfinite(op.inputs_grad(1, [np.float32([[1]]), e]).value).all()


def float32_marginals(e, size):
    """Forward and backward in log space, every operation rounded to float32."""
    nothing = np.full((size + 1, e.shape[1]), F(-1e35))
    nothing[0] = 0
    after = [nothing]
    for energy in e[::-1]:
        grown = after[-1].copy()
        grown[1:] = np.logaddexp(grown[1:], after[-1][:-1] + energy)
        after.append(grown)
    log_z, before, m = after.pop()[size], nothing.copy(), np.empty_like(e)
    for i, energy in enumerate(e):
        rest = after.pop()
        m[i] = np.exp(np.logaddexp.reduce(before[:size] + rest[:size][::-1], axis=0) + energy - log_z)
        before[1:] = np.logaddexp(before[1:], before[:-1] + energy)
    return m


def test_defects_of_2012_are_found():
    """A wrong sign, a distribution taken to add up to 1, windows of even size that are not mirrored."""
    wrong = {
        "crossent2": (cost("crossent2").inputs_grad(1, [T, P]), 0.5 * (T / P + (1 - T) / (1 - P))),
        "rest of a distribution": (
            reference.op(specs.softmax(6)).inputs_grad(0, [X], None, targets=T, coeff=0.5),
            0.5 * (T - reference.op(specs.softmax(6)).forward([X]).value),
        ),
    }
    op, x = tica(1, 6, 4)
    wrong["tica"] = op.inputs_grad(0, [x]), op.inputs_grad(0, [x[::-1]]).value[::-1]
    for name, (found, values) in wrong.items():
        assert judge(found, np.asarray(values, F)).status == "different", name


@settings(max_examples=80)
@given(SEEDS, st.integers(3, 150), st.integers(2, 6), st.sampled_from([0.1, 1.0, 10.0]))
def test_honest_msm(seed, classes, size, scale):
    rng = np.random.default_rng(seed)
    size = min(size, classes - 1)
    e = rng.standard_normal((classes, 3), F) * F(scale)
    labels = rng.integers(0, classes, (1, 3)).astype(F)
    shifted = e - e.max(0)
    m, is_label = float32_marginals(shifted, size), np.arange(classes)[:, None] == labels
    given_label = np.where(is_label, F(1), float32_marginals(np.where(is_label, F(-1e35), shifted), size - 1))
    op = cost("msm", setSize=size)
    assert accepts(op.inputs_grad(1, [labels, e]), F(0.5) * (given_label - m))
    found = op.forward([labels, e])
    of_label = m[labels[0].astype(int), range(3)]
    value = np.array([-np.log(np.maximum(of_label, F(1e-38))).sum(), *found.value[1:]], np.float64)
    finding = judge(found, value, dtype=np.float64)
    assert not (finding.fails and (of_label > 1e-30).all()), finding


@settings(max_examples=80)
@given(SEEDS, st.integers(1, 40), st.sampled_from([1, 8, 0.01]))
def test_honest_logarithms(seed, classes, power):
    rng = np.random.default_rng(seed)
    p, t = rng.random((2, classes, 5), F) ** F(power), rng.random((classes, 5), F)
    p[1][p[0] < 0.1] = 0
    y = p[1]
    logs = np.where(y > 0, np.log(np.where(y > 0, y, F(1))), F(-50))
    no = np.where(y < 1, np.log(np.where(y < 1, F(1) - y, F(1))), F(-50))
    for kind, terms in (("crossent", t * logs), ("crossent2", t * logs + (F(1) - t) * no)):
        found = cost(kind).forward([t, y])
        total = -add_up(np.concatenate([add_up(terms, rng)]), rng)
        finding = judge(found, np.array([total, *found.value[1:]], np.float64), dtype=np.float64)
        assert not finding.fails, finding
    with np.errstate(divide="ignore", invalid="ignore"):
        assert accepts(cost("crossent").inputs_grad(1, [t, y]), F(0.5) * (t / y))
        two_steps = F(0.5) * (t / y - (F(1) - t) / (F(1) - y))
        inside = (y > 0) & (y < 1)
        found = cost("crossent2").inputs_grad(1, [t, y])
        kept = reference.Bounded(found.value[inside], found.magnitude[inside], found.terms)
        assert accepts(kept, two_steps[inside])


@settings(max_examples=80)
@given(SEEDS, st.integers(1, 60), st.sampled_from([1e-4, 0.1, 1.0, 100.0]))
def test_honest_squares(seed, units, scale):
    rng = np.random.default_rng(seed)
    x, t, q = numbers(rng, (units, 5), scale), numbers(rng, (units, 5), scale), numbers(rng, (1, 5), 1.0)
    d = x - t
    sums = {"sum2": ([x], x * x), "gsum2": ([q, x], q * (x * x)), "rflickr": ([t, x], np.log(F(1) + d * d))}
    for kind, (inputs, terms) in sums.items():
        total = add_up(terms.reshape(-1, 1), rng).astype(np.float64)
        finding = judge(cost(kind).forward(inputs), total, dtype=np.float64)
        assert not finding.fails, (kind, finding)
    assert accepts(cost("sum2", coeff=0.3).inputs_grad(0, [x]), F(-0.6) * x)
    assert accepts(cost("gsum2").inputs_grad(0, [q, x]), F(-0.5) * add_up(x * x, rng)[None])
    assert accepts(cost("gsum2", coeff=0.3).inputs_grad(1, [q, x]), F(-0.6) * q * x)
    assert accepts(cost("rflickr", coeff=0.3).inputs_grad(1, [t, x]), F(-0.3) * (F(2) * d / (F(1) + d * d)))


@settings(max_examples=80)
@given(SEEDS, st.integers(1, 5), st.sampled_from([1e-4, 0.1, 1.0, 100.0]))
def test_honest_tica(seed, size, scale):
    rng = np.random.default_rng(seed)
    x = numbers(rng, (36, 2), scale, 0)
    spans = [range(max(0, p - size // 2), min(6, p - size // 2 + size)) for p in range(6)]
    windows = [[6 * r + c for r in spans[y] for c in spans[x]] for y in range(6) for x in range(6)]
    a = F(1) / (F(0.001) + np.sqrt([add_up(x[w] ** 2, rng) for w in windows]))
    op = cost("tica", coeff=0.3, channels=1, sizeX=size)
    finding = judge(op.forward([x]), add_up(a.reshape(-1, 1), rng).astype(np.float64), dtype=np.float64)
    assert not finding.fails, finding
    held_by = [[j for j in range(36) if i in windows[j]] for i in range(36)]
    assert accepts(op.inputs_grad(0, [x]), F(-0.3) * x * np.array([add_up(a[h], rng) for h in held_by]))


@settings(max_examples=60)
@given(SEEDS, st.integers(2, 100), st.sampled_from([0.1, 3.0, 20.0]))
def test_honest_single_steps(seed, classes, scale):
    rng = np.random.default_rng(seed)
    x, t = rng.standard_normal((classes, 3), F) * F(scale), rng.random((classes, 3), F)
    e = np.exp(x - x.max(0))
    p = e / add_up(e, rng)
    fused = reference.op(specs.softmax(classes)).inputs_grad(0, [x], None, targets=t, coeff=0.3)
    assert accepts(fused, F(0.3) * (t - p * add_up(t, rng)))
    with np.errstate(over="ignore"):
        y = F(1) / (F(1) + np.exp(-x))
    fused = reference.op(specs.neuron("logistic")).inputs_grad(0, [x], None, targets=t, coeff=0.3)
    assert accepts(fused, F(0.3) * (t - y))
