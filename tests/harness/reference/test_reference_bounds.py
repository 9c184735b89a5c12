"""The error models hold: no honest float32 evaluation, in any order, is ever called different; bugs are.

The honest evaluations here are written out in float32, one operation after the other, as an engine might: sums in a
random order or by pairs, with or without fused multiply-add, powers by exp and log.
"""

import numpy as np
import pytest
import reference_specs as specs
from honest import SCALES, SEEDS, F, accepts, add_up, multiply_add, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from alexnet_rosetta.harness import reference
from alexnet_rosetta.harness.judging.verdict import judge
from alexnet_rosetta.harness.reference.windows import Windows


@settings(max_examples=150)
@given(SEEDS, st.integers(1, 400), SCALES, SCALES)
def test_sums_of_products(seed, terms, scale_a, scale_b):
    """Fully connected layers stand for all of them: convolutions hand the same sums to the same model."""
    rng = np.random.default_rng(seed)
    spec = specs.fc([terms], 3)
    op = reference.op(spec)
    x, w, b = numbers(rng, (terms, 2), scale_a), numbers(rng, (terms, 3), scale_b), numbers(rng, (1, 3), 1.0)
    params = {"weights": [w], "biases": b}
    y = multiply_add(np.concatenate([w, b])[:, :, None], np.concatenate([x, np.ones((1, 2), F)])[:, None], rng)
    assert accepts(op.forward([x], params), y)
    v = numbers(rng, (3, 2), 1.0)
    assert accepts(op.inputs_grad(0, [x], v, params), multiply_add(w.T[:, :, None], v[:, None], rng))
    wide = op.params_grad([x.T.copy()], w.T.copy(), params)  # `terms` cases
    assert accepts(wide["weights[0]"], multiply_add(x[:, :, None], w[:, None], rng))
    assert accepts(wide["biases"], add_up(w, rng)[None])


@pytest.mark.parametrize("kind", ["conv", "local", "fc"])
def test_the_bound_of_one_element_worked_out_by_hand(kind):
    """8 sqrt(n) u (sum |a||b| + |bias|): no wider than magnitudes in float32 need to be rounded up, no narrower."""
    rng = np.random.default_rng(5)
    if kind == "fc":
        spec, rows, filters, biases = specs.fc([75], 4), 75, (75, 4), (1, 4)
    else:
        spec = specs.conv([(3, 5, 5, 1, 0, 1)], 4, kind=kind)
        rows, filters, biases = 75, (75, 4), (4, 1)
    x, w, b = numbers(rng, (rows, 2), 1.0), numbers(rng, filters, 1.0), numbers(rng, biases, 1.0)
    found = reference.op(spec).forward([x], {"weights": [w], "biases": b})
    magnitude = np.abs(w[:, 2].astype(float)) @ np.abs(x[:, 1].astype(float)) + abs(float(b.ravel()[2]))
    assert found.bound()[2, 1] == pytest.approx(8 * np.sqrt(76) * 2.0**-24 * magnitude, rel=1e-4)


@settings(max_examples=60)
@given(SEEDS, st.sampled_from(["avg", "max"]), st.integers(1, 4), st.integers(1, 3))
def test_pooling(seed, kind, size, stride):
    rng = np.random.default_rng(seed)
    spec = specs.pool(kind, 2, 7, size, min(size, stride))
    op = reference.op(spec)
    x = numbers(rng, (2, 7, 7, 3), 1.0)
    windows = Windows(7, 0, size, spec["stride"], spec["outputsX"])
    area = windows.pixels_per_window().reshape(1, spec["outputsX"], spec["outputsX"], 1).astype(F)
    under = [pixels for _, pixels in windows.taps(windows.pad(x, -np.inf if kind == "max" else 0))]
    y = np.max(under, 0) if kind == "max" else add_up(np.array(under), rng) / area
    flat = x.reshape(98, 3)
    assert accepts(op.forward([flat]), y.reshape(-1, 3))
    v = numbers(rng, y.shape, 1.0)
    spread = [v * (pixels == y) if kind == "max" else v * (1 / area) for pixels in under]
    contributions = []
    for tap, part in enumerate(spread):
        framed = windows.pad(np.zeros_like(x))
        [pixels for _, pixels in windows.taps(framed)][tap][:] = part
        contributions.append(windows.unpad(framed))
    dx = add_up(np.array(contributions), rng)
    assert accepts(op.inputs_grad(0, [flat], v.reshape(-1, 3)), dx.reshape(98, 3))


POWERS = st.sampled_from([0.75, 0.75, 0.75, 31.0, 300.0, -0.75, -2.0])


@settings(max_examples=200)
@given(SEEDS, st.integers(2, 6), st.sampled_from([1e-4, 1e-2, 1.0]), SCALES, st.booleans(), POWERS)
def test_response_norm(seed, size, alpha, scale, blocked, beta):
    rng = np.random.default_rng(seed)
    spec = specs.norm("cmrnorm", 8, size, scale=alpha, blocked=blocked, power=beta)
    op = reference.op(spec)
    x, v = numbers(rng, (8, 9), scale, 0), numbers(rng, (8, 9), scale)
    starts = [f // size * size if blocked else f - size // 2 for f in range(8)]
    members = [range(max(0, s), min(8, s + size)) for s in starts]
    d = np.array([F(2) + F(alpha) * add_up(x[list(m)] ** 2, rng) for m in members])
    power = np.exp(F(-beta) * np.log(d)) if rng.random() < 0.5 else d ** F(-beta)
    y = x * power
    assert accepts(op.forward([x]), y)
    q = F(-2 * alpha * beta) * v * y / d
    held_by = [[j for j in range(8) if f in members[j]] for f in range(8)]
    dx = np.array([x[f] * add_up(q[held_by[f]], rng) for f in range(8)]) + v * power
    assert accepts(op.inputs_grad(0, [x], v), dx)


@settings(max_examples=200)
@given(
    SEEDS, st.integers(2, 4), st.sampled_from([1e-2, 1.0]), st.sampled_from([1e-2, 1.0, 30.0]), st.booleans(), POWERS
)
def test_contrast_norm(seed, size, alpha, scale, offset, beta):
    rng = np.random.default_rng(seed)
    op = reference.op(specs.norm("cnorm", 1, size, scale=alpha, power=beta))
    x, v = numbers(rng, (36, 2), scale, 0) + F(offset * scale * 10), numbers(rng, (36, 2), scale)
    spans = [range(max(0, p - size // 2), min(6, p - size // 2 + size)) for p in range(6)]
    windows = [[6 * r + c for r in spans[y] for c in spans[x]] for y in range(6) for x in range(6)]
    u = x - np.array([add_up(x[w], rng) / F(len(w)) for w in windows])
    d = np.array([F(1) + F(alpha) * add_up(u[w] ** 2, rng) for w in windows])
    y = x * d ** F(-beta)
    assert accepts(op.forward([x]), y)
    q = F(-2 * alpha * beta) * v * y / d
    held_by = [[j for j in range(36) if i in windows[j]] for i in range(36)]
    du = np.array([u[i] * add_up(q[held_by[i]], rng) for i in range(36)])
    of_means = du / F([[len(w)] for w in windows])
    dx = du - np.array([add_up(of_means[held], rng) for held in held_by])
    assert accepts(op.inputs_grad(0, [x], v), dx + v * d ** F(-beta))


@settings(max_examples=60)
@given(SEEDS, st.integers(2, 200), st.sampled_from([0.1, 3.0, 30.0]))
def test_softmax(seed, classes, scale):
    rng = np.random.default_rng(seed)
    op = reference.op(specs.softmax(classes))
    # Many equal terms next to a large one conspire, so no two scales here.
    x, v = rng.standard_normal((classes, 3), F) * F(scale), numbers(rng, (classes, 3), 1.0)
    below = x - x.max(0)
    e = np.exp(below) if rng.random() < 0.5 else np.exp2(F(1.442695041) * below)
    p = e / add_up(e, rng)
    assert accepts(op.forward([x]), p)
    assert accepts(op.inputs_grad(0, [x], v), p * (v - add_up(v * p, rng)))
    labels = rng.integers(0, classes, (1, 3)).astype(F)
    one = (np.arange(classes)[:, None] == labels).astype(F)
    assert accepts(op.inputs_grad(0, [x], None, labels=labels, coeff=0.3), F(0.3) * (one - p))


@pytest.mark.parametrize("classes", [100, 1000, 20_000])
def test_softmax_of_many_equal_classes_added_up_serially(classes):
    """The roundings of such a sum conspire: a third of all of them is seen."""
    op, worst = reference.op(specs.softmax(classes)), 0
    for logit in np.linspace(-2, -0.01, 100, dtype=F):
        x = np.full((classes, 1), logit)
        x[0] = 0
        e = np.exp(x)
        p = e / np.add.accumulate(e, axis=0)[-1]
        v = np.full_like(p, 0.5)
        assert accepts(op.forward([x]), p)
        assert accepts(op.inputs_grad(0, [x], v), p * (v - np.add.accumulate(v * p, axis=0)[-1]))
        r = op.forward([x]).value
        worst = max(worst, np.abs(p / r - 1).max() / (classes * 2.0**-24))
    assert worst > 0.2


@settings(max_examples=60)
@given(SEEDS, st.integers(1, 200))
def test_logarithms(seed, cases):
    rng = np.random.default_rng(seed)
    p = rng.random((4, cases), F) ** F(rng.choice([1, 0.001, 8]))
    labels = rng.integers(0, 4, (1, cases)).astype(F)
    found = reference.op(specs.logreg(topk=2)).forward([labels, p])
    of_label = p[labels[0].astype(int), range(cases)]
    top1 = (of_label == p.max(0)) / (p == of_label).sum(0)
    top2 = np.clip((2 - (p > of_label).sum(0)) / (p == of_label).sum(0), 0, 1)
    costs = [-add_up(np.log(of_label), rng), cases - top1.sum(dtype=F), cases - top2.sum(dtype=F)]
    finding = judge(found, np.array(costs, np.float64), dtype=np.float64)
    assert not finding.fails, finding


def float32_tanh(x, scale):
    return F(2) / (F(1) + np.exp(F(-2) * scale * x)) - F(1)


HONEST = {
    "logistic": ({}, lambda x: 1 / (1 + np.exp(-x)), lambda v, x, y: v * y * (1 - y)),
    "tanh": (
        {"a": 1.7159, "b": 0.6666},
        lambda x: F(1.7159) * float32_tanh(x, F(0.6666)),
        lambda v, x, y: v * (F(0.6666) * (F(1.7159) - y * y / F(1.7159))),
    ),
    "drelu": (
        {"a": 3.0},
        lambda x: x - F(3) * float32_tanh(x, F(1) / F(3)),
        lambda v, x, y: v * float32_tanh(x / F(3), F(1)) ** 2,
    ),
    "softrelu": (
        {},
        lambda x: np.where(x > 4, x, np.log(1 + np.exp(x))),
        lambda v, x, y: np.where(x > 4, v, v * (np.exp(x) / (1 + np.exp(x)))),
    ),
    "square": ({}, lambda x: x * x, lambda v, x, y: v * (2 * x)),
    "linear": ({"a": 0.3, "b": -1.7}, lambda x: F(0.3) * x + F(-1.7), lambda v, x, y: F(0.3) * v),
    "relu": ({}, lambda x: np.maximum(x, 0), lambda v, x, y: v * (y > 0)),
    "brelu": ({"a": 0.3}, lambda x: np.clip(x, 0, F(0.3)), lambda v, x, y: v * ((y > 0) & (y < F(0.3)))),
    "abs": ({}, np.abs, lambda v, x, y: np.where(x > 0, v, -v)),
}


@settings(max_examples=150)
@given(SEEDS, st.sampled_from(sorted(HONEST)), st.sampled_from([1e-8, 1e-4, 0.1, 1.0, 5.0]))
def test_neurons(seed, kind, scale):
    rng = np.random.default_rng(seed)
    params, function, gradient = HONEST[kind]
    op = reference.op(specs.neuron(kind, **params))
    x, v = rng.standard_normal((20, 3), F) * F(scale), numbers(rng, (20, 3), 1.0)
    y = function(x)
    assert accepts(op.forward([x]), y)
    assert accepts(op.inputs_grad(0, [x], v), gradient(v, x, y))


@settings(max_examples=60)
@given(SEEDS, SCALES, st.booleans())
def test_square_roots(seed, scale, reciprocal):
    rng = np.random.default_rng(seed)
    op = reference.op(specs.neuron("sqrt"))
    x, v = (rng.random((9, 2), F) + F(1e-3)) * F(scale), numbers(rng, (9, 2), 1.0)
    y = np.sqrt(x)
    assert accepts(op.forward([x]), y)
    assert accepts(op.inputs_grad(0, [x], v), v * (F(1) / (F(2) * y)) if reciprocal else v / (F(2) * y))


@settings(max_examples=60)
@given(SEEDS, SCALES, st.booleans())
def test_update(seed, scale, decay_first):
    rng = np.random.default_rng(seed)
    w, inc, grad = (numbers(rng, (7, 5), s) for s in (1.0, 1e-3, scale))
    eps, mom, wc = F(0.01), F(0.9), F(0.0005)
    delta = mom * inc - wc * eps * w + eps * grad if decay_first else (mom * inc + eps * grad) - (wc * eps) * w
    new, new_inc = reference.update(w, inc, grad, eps=0.01, mom=0.9, wc=0.0005)
    assert accepts(new, w + delta)
    assert accepts(new_inc, delta)


@settings(max_examples=60)
@given(SEEDS, st.sampled_from([0.1, 1.0, 10.0, 1000.0]), st.integers(1, 200))
def test_limited_norms(seed, radius, rows):
    rng = np.random.default_rng(seed)
    w, inc = numbers(rng, (rows, 5), 1.0), numbers(rng, (rows, 5), 0.1)
    w[:, 0] *= F(radius) / np.sqrt((w[:, 0] ** 2).sum() + F(1e-6))  # just at the radius
    inc[:, 0] = 0
    new, _ = reference.update(w, inc, eps=0.01, mom=0.9, wc=0.0)
    moved = w + inc
    norm = np.sqrt(add_up(moved**2, rng))
    factor = np.divide(F(radius), norm, out=np.ones_like(norm), where=norm > radius)
    assert accepts(reference.limit_norms(new, radius), moved * factor)


@settings(max_examples=60)
@given(SEEDS, st.integers(1, 50))
def test_direct_route(seed, cases):
    rng = np.random.default_rng(seed)
    x, v, inc = numbers(rng, (6, cases), 1.0), numbers(rng, (4, cases), 0.1), numbers(rng, (6, 4), 1e-3)
    grads = reference.op(specs.fc([6], 4)).params_grad([x], v, None)
    total = multiply_add(x.T[:, :, None], v.T[:, None], rng)
    delta = F(0.9) * inc + (F(0.01) / F(cases)) * total
    assert accepts(reference.accumulate(inc, grads["weights[0]"], eps=0.01, mom=0.9, cases=cases), delta)
    assert accepts(grads["weights[0]"].scaled(1 / cases), total * (F(1) / F(cases)))


@settings(max_examples=60)
@given(SEEDS, st.integers(1, 6))
def test_sums_over_inputs_and_consumers(seed, parts):
    rng = np.random.default_rng(seed)
    inputs = [numbers(rng, (4, 3), 1.0) for _ in range(parts)]
    coeffs = rng.uniform(-2, 2, parts)
    products = [F(c) * x for c, x in zip(coeffs, inputs, strict=True)]
    found = reference.op({"type": "eltsum", "coeffs": coeffs.tolist()}).forward(inputs)
    assert accepts(found, add_up(np.array(products), rng))
    assert accepts(reference.sum_grads([reference.Bounded(x) for x in inputs]), add_up(np.array(inputs), rng))


# The catalogue of tools/criteria.py: five honest evaluations and eight bugs, by which the rule was chosen.

BATCH, MODULES = 128, 55 * 55


@pytest.fixture(scope="module")
def weight_gradient():
    """Inputs, output gradients and reference of conv1's weight gradient: 387,200 products each."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((33, BATCH * MODULES), F) * F(60)
    d = rng.standard_normal((16, BATCH * MODULES), F) * F(1e-5)
    return x, d, reference.op(specs.fc([33], 16)).params_grad([x], d, None)["weights[0]"]


def test_catalogue_accepts_serial_and_blocked_products():
    rng = np.random.default_rng(0)
    w = rng.standard_normal((1200, 128), F) * F(0.01)
    x = np.maximum(rng.standard_normal((1200, 1458), F) * F(30), 0)
    zero = np.zeros((1, 128), F)
    found = reference.op(specs.fc([1200], 128)).forward([x], {"weights": [w], "biases": zero})
    serial = np.zeros((128, 1458), F)
    for k in range(1200):
        serial += w[k][:, None] * x[k]
    assert judge(found, serial).status == "equivalent"
    assert judge(found, w.T @ x).status == "equivalent"


def test_catalogue_accepts_serial_and_blocked_weight_gradients(weight_gradient):
    x, d, found = weight_gradient
    serial = np.cumsum(x[:2, None] * d[:3], axis=2, dtype=F)[:, :, -1]
    part = reference.Bounded(found.value[:2, :3], found.magnitude[:2, :3], found.terms)
    assert accepts(part, serial)
    assert accepts(found, x @ d.T)


def test_catalogue_rejects_wrong_weight_gradients(weight_gradient):
    x, d, found = weight_gradient
    last_image_dropped = x[:, :-MODULES] @ d[:, :-MODULES].T
    assert judge(found, last_image_dropped).status == "different"
    assert judge(found, np.zeros((33, 16), F)).status == "different"
    factor = 1e-6 / np.abs(found.value).max()
    assert judge(found.scaled(factor), np.zeros((33, 16), F)).status == "different"


@pytest.mark.parametrize("scale", [None, 1.0, 30.0])
def test_catalogue_of_response_norms(scale):
    rng = np.random.default_rng(0)
    shape = 96 * 121, 8
    x = rng.uniform(-1, 1, shape).astype(F) if scale is None else rng.standard_normal(shape, F) * F(scale)
    spec = specs.norm("cmrnorm", 96, 5, scale=1e-4)
    found = reference.op(spec).forward([x])

    def in_float32(alpha):
        planes = x.reshape(96, -1)
        squares = sum(np.pad(planes**2, ((2, 2), (0, 0)))[shift : shift + 96] for shift in range(5))
        return (planes * np.exp(F(-0.75) * np.log(F(2) + F(alpha) * squares))).reshape(shape)

    assert judge(found, in_float32(1e-4)).status == "equivalent"
    assert judge(found, in_float32(2e-5)).status == "different"


def test_catalogue_rejects_one_wrong_element_in_millions():
    rng = np.random.default_rng(0)
    actual = rng.standard_normal((40_000, 64), F) * F(10)
    value = actual * (1 + rng.integers(-1, 2, actual.shape) * 2.0**-25)
    found = reference.Bounded(value, 3 * np.abs(value), 9)
    assert judge(found, actual).agrees
    actual[20_000, 7] = 0
    finding = judge(found, actual)
    assert (finding.status, finding.outside, finding.worst.index) == ("different", 1, (20_000, 7))


def test_catalogue_rejects_permuted_classes():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 16), F) * F(3)
    found = reference.op(specs.softmax(1000)).forward([x])
    p = found.value.astype(F)
    assert judge(found, p).status == "identical"
    assert judge(found, p[rng.permutation(1000)]).status == "different"
