"""Pooling, normalisation, neurons, dropout, combinations, costs and solver against loops and finite differences."""

import numpy as np
import pytest
import reference_specs as specs
from honest import assert_double

from alexnet_rosetta.harness import reference

CASES = 2

POOLS = {
    "disjoint": (2, 6, 2, 2, 0),
    "overlapping": (1, 7, 3, 2, 0),
    "last window clipped": (1, 8, 3, 2, 0),
    "starts outside": (2, 5, 3, 2, -1),
    "starts inside": (1, 6, 2, 2, 1),
}


def windows(spec):
    """((channel, window y, window x), pixel slices) of every window."""
    for c, y, x in np.ndindex(spec["channels"], spec["outputsX"], spec["outputsX"]):
        top, left = (spec["start"] + spec["stride"] * o for o in (y, x))
        rows, columns = (slice(max(0, o), max(0, o + spec["sizeX"])) for o in (top, left))
        yield (c, y, x), (c, rows, columns)


def images(spec, rng):
    return specs.normal(rng, spec["channels"] * spec["imgSize"] ** 2, CASES)


def as_planes(x, spec):
    side = round((len(x) / spec["channels"]) ** 0.5)
    return x.reshape(spec["channels"], side, side, -1)


@pytest.mark.parametrize("geometry", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize("kind", ["max", "maxabs", "avg"])
def test_pooling_forward(kind, geometry):
    spec = specs.pool(kind, *geometry)
    x = images(spec, np.random.default_rng(1))
    found = reference.op(spec).forward([x])
    means = as_planes(np.empty(found.value.shape), spec)
    for window, pixels in windows(spec):
        inside = as_planes(x, spec)[pixels].reshape(-1, CASES).astype(np.float64)
        largest = inside[np.abs(inside).argmax(0), range(CASES)]
        wanted = {"max": inside.max(0), "maxabs": largest, "avg": inside.mean(0)}[kind]
        value = as_planes(found.value, spec)[window]
        if kind != "avg":
            assert np.array_equal(value, wanted)
            continue
        means[window] = wanted
        assert (as_planes(np.broadcast_to(found.terms, found.value.shape), spec)[window] == len(inside)).all()
        assert (as_planes(found.magnitude, spec)[window] >= np.abs(inside).mean(0)).all()
    if kind == "avg":
        assert_double(found, means.reshape(found.value.shape))


@pytest.mark.parametrize("geometry", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize("kind", ["max", "maxabs", "avg"])
def test_pooling_gradient_is_the_derivative(kind, geometry):
    spec = specs.pool(kind, *geometry)
    rng = np.random.default_rng(2)
    x, op = images(spec, rng), reference.op(spec)
    v = specs.normal(rng, spec["outputs"], CASES)
    found = op.inputs_grad(0, [x], v)
    specs.assert_is_derivative(lambda x: (op.forward([x]).value * v).sum(), x, found.value)
    covering = np.zeros(as_planes(x, spec).shape)
    for _, pixels in windows(spec):
        covering[pixels] += 1
    assert np.array_equal(np.broadcast_to(found.terms, x.shape), covering.reshape(x.shape))


def test_every_tied_maximum_gets_the_full_gradient():
    spec = specs.pool("max", 1, 3, 2, 1)
    x = np.float32([1, 5, 5, 0, 5, 1, 2, 2, 2]).reshape(9, 1)
    v = np.float32([1, 10, 100, 1000]).reshape(4, 1)
    # windows: {1,5,0,5} {5,5,5,1} {0,5,2,2} {5,1,2,2}
    wanted = [0, 1 + 10, 10, 0, 1 + 10 + 100 + 1000, 0, 0, 0, 0]
    found = reference.op(spec).inputs_grad(0, [x], v)
    assert found.value.ravel().tolist() == wanted
    assert (found.magnitude.ravel() >= wanted).all()


def test_maxabs_takes_the_later_of_equal_magnitudes():
    spec = specs.pool("maxabs", 1, 2, 2, 2)
    x = np.float32([3, -3, 1, 2]).reshape(4, 1)
    assert reference.op(spec).forward([x]).value.item() == -3


NORMS = {
    "across 5 channels": specs.norm("cmrnorm", 9, 5),
    "across 4 channels": specs.norm("cmrnorm", 9, 4),
    "wider than the channels": specs.norm("cmrnorm", 4, 4),
    "blocks of 4, the last of 1": specs.norm("cmrnorm", 9, 4, blocked=True),
    "3 x 3 pixels": specs.norm("rnorm", 2, 3),
    "4 x 4 pixels": specs.norm("rnorm", 2, 4),
}


def window_of(spec, at, shape):
    """The positions (channel, y, x) in the normalisation window around `at`."""
    size, ranges = spec["size"], [[a] for a in at]
    for axis in (0,) if spec["type"] == "cmrnorm" else (1, 2):
        start = at[axis] // size * size if spec["blocked"] else at[axis] - size // 2
        ranges[axis] = range(max(0, start), min(shape[axis], start + size))
    return np.ix_(*ranges)


def norm_input(spec, rng):
    return specs.normal(rng, spec["channels"] * 25, CASES)


@pytest.mark.parametrize("spec", NORMS.values(), ids=NORMS)
def test_response_norm_forward(spec):
    x = norm_input(spec, np.random.default_rng(3))
    planes = as_planes(x, spec).astype(np.float64)
    wanted = np.empty_like(planes)
    for at in np.ndindex(planes.shape[:3]):
        squares = (planes[window_of(spec, at, planes.shape)] ** 2).sum((0, 1, 2))
        wanted[at] = planes[at] * (spec.get("minDiv", 1.0) + spec["scale"] * squares) ** -spec["pow"]
    assert_double(reference.op(spec).forward([x]), wanted.reshape(x.shape))


@pytest.mark.parametrize("spec", NORMS.values(), ids=NORMS)
def test_response_norm_gradient_is_the_derivative(spec):
    rng = np.random.default_rng(4)
    x, op = norm_input(spec, rng), reference.op(spec)
    v = specs.normal(rng, *x.shape)
    specs.assert_is_derivative(lambda x: (op.forward([x]).value * v).sum(), x, op.inputs_grad(0, [x], v).value)


def test_contrast_norm_normalises_by_the_spread_around_the_mean():
    spec = specs.norm("cnorm", 2, 3)
    x = norm_input(spec, np.random.default_rng(5))
    planes = as_planes(x, spec).astype(np.float64)
    mean, wanted = np.empty_like(planes), np.empty_like(planes)
    for at in np.ndindex(planes.shape[:3]):
        mean[at] = planes[window_of(spec, at, planes.shape)].mean((0, 1, 2))
    for at in np.ndindex(planes.shape[:3]):
        squares = ((planes - mean)[window_of(spec, at, planes.shape)] ** 2).sum((0, 1, 2))
        wanted[at] = planes[at] * (1 + spec["scale"] * squares) ** -spec["pow"]
    assert_double(reference.op(spec).forward([x]), wanted.reshape(x.shape))


@pytest.mark.parametrize("size", [2, 3])
def test_the_contrast_norm_gradient_is_the_derivative(size):
    rng = np.random.default_rng(6)
    spec = specs.norm("cnorm", 2, size)
    op, x = reference.op(spec), norm_input(spec, rng)
    v = specs.normal(rng, *x.shape)
    specs.assert_is_derivative(lambda z: (op.forward([z]).value * v).sum(), x, op.inputs_grad(0, [x], v).value)


NEURONS = {
    "ident": specs.neuron("ident"),
    "relu": specs.neuron("relu"),
    "brelu": specs.neuron("brelu", a=0.5),
    "abs": specs.neuron("abs"),
    "logistic": specs.neuron("logistic"),
    "tanh": specs.neuron("tanh", a=1.7159, b=0.6666),
    "drelu": specs.neuron("drelu", a=2.0),
    "softrelu": specs.neuron("softrelu"),
    "square": specs.neuron("square"),
    "linear": specs.neuron("linear", a=3.0, b=-1.5),
}
KNOWN = {
    "ident": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "brelu": lambda x: np.clip(x, 0, 0.5),
    "abs": np.abs,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: np.float32(1.7159) * np.tanh(np.float64(np.float32(0.6666)) * x),
    "drelu": lambda x: x - 2 * np.tanh(x / 2),
    "softrelu": lambda x: np.where(x > 4, x, np.log1p(np.exp(x))),
    "square": lambda x: x * x,
    "linear": lambda x: 3 * x - 1.5,
}


@pytest.mark.parametrize("kind", NEURONS)
def test_neurons(kind):
    rng = np.random.default_rng(8)
    op = reference.op(NEURONS[kind])
    x, v = 3 * specs.normal(rng, 40, 3), specs.normal(rng, 40, 3)
    assert_double(op.forward([x]), KNOWN[kind](x.astype(np.float64)))
    specs.assert_is_derivative(lambda x: (op.forward([x]).value * v).sum(), x, op.inputs_grad(0, [x], v).value)


def test_square_root():
    x, v = np.float32([[0.25, 2, 9]]), np.float32([[1, 2, 3]])
    op = reference.op(specs.neuron("sqrt"))
    assert np.array_equal(op.forward([x]).value, np.sqrt(x.astype(np.float64)))
    assert np.array_equal(op.inputs_grad(0, [x], v).value, v / (2 * np.sqrt(x.astype(np.float64))))


def test_conventions_at_the_kinks():
    x, v = np.float32([[0, -0.0, np.nan]]), np.float32([[2, 2, 2]])
    relu, absolute = reference.op(specs.neuron("relu")), reference.op(specs.neuron("abs"))
    np.testing.assert_array_equal(relu.forward([x]).value, x)
    np.testing.assert_array_equal(relu.inputs_grad(0, [x], v).value, [[0, 0, 0]])
    np.testing.assert_array_equal(absolute.inputs_grad(0, [x[:, :2]], v[:, :2]).value, [[-2, -2]])
    bounded = reference.op(specs.neuron("brelu", a=0.1))
    at_the_limit = np.float32([[0.1]])
    assert bounded.forward([at_the_limit]).value == at_the_limit
    assert bounded.inputs_grad(0, [at_the_limit], at_the_limit).value == 0


def test_noisy_relu_replays_its_noise():
    x, normals = np.float32([[2, 2, -1]]), np.float32([[0.5, -3, 9]])
    op = reference.op(specs.neuron("nrelu"))
    assert op.forward([x], mask=normals).value.tolist() == [[3, 0, 0]]
    assert op.inputs_grad(0, [x], x, mask=normals).value.tolist() == [[2, 0, 0]]


def test_dropout_masks_in_training_and_scales_otherwise():
    x, mask = np.float32([[1, 2, 3]]), np.float32([[1, 0, 1]])
    op = reference.op({"type": "hs", "keep": 0.3, "enable": True})
    assert op.forward([x], mask=mask).value.tolist() == [[1, 0, 3]]
    assert op.inputs_grad(0, [x], x, mask=mask).value.tolist() == [[1, 0, 3]]
    for found in (
        op.forward([x], pass_type="test"),
        reference.op({"type": "hs", "keep": 0.3, "enable": False}).forward([x]),
    ):
        np.testing.assert_array_equal(found.value, 0.3 * x.astype(np.float64))
        assert (found.bound() > 0).all()
    with pytest.raises(ValueError, match="mask"):
        op.forward([x])


def test_halving_is_exact():
    found = reference.op({"type": "hs", "keep": 0.5, "enable": True}).forward([np.float32([[3]])], pass_type="test")
    assert found.value == 1.5
    assert found.bound() == 0


def test_concatenation_sum_and_maximum():
    a, b, v = np.float32([[1, 2]]), np.float32([[1, 3]]), np.float32([[5, 7]])
    concat = reference.op({"type": "concat", "numInputs": [1, 1]})
    assert concat.forward([a, b]).value.tolist() == [[1, 2], [1, 3]]
    assert concat.inputs_grad(1, [a, b], np.vstack([a, v])).value.tolist() == [[5, 7]]
    eltsum = reference.op({"type": "eltsum", "coeffs": [1.0, -3.0]})
    assert eltsum.forward([a, b]).value.tolist() == [[-2, -7]]
    assert eltsum.inputs_grad(1, [a, b], v).value.tolist() == [[-15, -21]]
    eltmax = reference.op({"type": "eltmax"})
    assert eltmax.forward([a, b]).value.tolist() == [[1, 3]]
    assert eltmax.inputs_grad(0, [a, b], v).value.tolist() == [[5, 0]], "all tied inputs get the full gradient"
    assert eltmax.inputs_grad(1, [a, b], v).value.tolist() == [[5, 7]]


def test_softmax_and_its_gradient():
    rng = np.random.default_rng(9)
    op = reference.op(specs.softmax(6))
    x, v = 3 * specs.normal(rng, 6, 4), specs.normal(rng, 6, 4)
    p = np.exp(x.astype(np.float64))
    assert_double(op.forward([x]), p / p.sum(0))
    specs.assert_is_derivative(lambda x: (op.forward([x]).value * v).sum(), x, op.inputs_grad(0, [x], v).value)


def test_fused_softmax_gradient_is_the_derivative_of_minus_the_cost():
    rng = np.random.default_rng(10)
    softmax, cost = reference.op(specs.softmax(6)), reference.op(specs.logreg())
    x, labels = specs.normal(rng, 6, 4), np.float32([[0, 5, 2, 2]])
    found = softmax.inputs_grad(0, [x], None, labels=labels, coeff=0.5)
    minus_cost = lambda x: -0.5 * cost.forward([labels, softmax.forward([x]).value]).value[0]  # noqa: E731
    specs.assert_is_derivative(minus_cost, x, found.value)


def test_logreg_gradient_is_the_derivative_of_minus_the_cost():
    rng = np.random.default_rng(11)
    op = reference.op(specs.logreg(coeff=2.0))
    p, labels = rng.random((5, 4), np.float32) + np.float32(0.1), np.float32([[0, 4, 1, 1]])
    found = op.inputs_grad(1, [labels, p])
    specs.assert_is_derivative(lambda p: -2 * op.forward([labels, p]).value[0], p, found.value)


def test_logreg_counts():
    p = np.float32([[0.5, 0.2, 0.25, 0.1], [0.25, 0.2, 0.25, 0.2], [0.25, 0.2, 0.25, 0.3], [0, 0.4, 0.25, 0.4]])
    labels = np.float32([[0, 1, 2, 0]])
    # credits of the first: 1, 0, 1/4, 0; of the best two: 1, one place for three ties, two places for four, 0
    found = reference.op(specs.logreg(topk=2)).forward([labels, p])
    assert found.value.tolist() == [
        -np.log(p[labels[0].astype(int), range(4)], dtype=np.float64).sum(),
        4 - 1.25,
        4 - (1 + 1 / 3 + 0.5),
    ]
    assert found.bound()[1] == 0
    assert found.bound()[2] > 0, "a third is no float32"


def test_logreg_costs_add_up_over_slices():
    rng = np.random.default_rng(12)
    p, labels = rng.random((5, 6), np.float32), rng.integers(0, 5, (1, 6)).astype(np.float32)
    op = reference.op(specs.logreg())
    parts = [op.forward([labels[:, part], p[:, part]]) for part in (np.s_[:2], np.s_[2:])]
    whole = op.forward([labels, p])
    assert_double(whole, (parts[0] + parts[1]).value)
    assert (parts[0] + parts[1]).terms.tolist() == whole.terms.tolist() == [6, 0, 0]


def test_a_zero_probability_costs_infinity():
    found = reference.op(specs.logreg()).forward([np.float32([[1]]), np.float32([[1], [0]])])
    assert found.value[0] == np.inf


def test_update_rule():
    w, inc, grad = (np.float32([[x]]) for x in (2, 3, 5))
    new, delta = reference.update(w, inc, grad, eps=0.5, mom=0.25, wc=0.125)
    assert delta.value == 0.25 * 3 + 0.5 * 5 - 0.125 * 0.5 * 2
    assert new.value == 2 + delta.value
    assert new.magnitude == 2 + delta.magnitude == 2 + 0.75 + 2.5 + 0.125


def test_direct_route_is_the_same_rule_in_two_steps():
    w, inc, grad = (np.float32([[x]]) for x in (2, 3, 5))
    accumulated = reference.accumulate(inc, reference.Bounded(grad * 4.0, 20.0, 4), eps=0.5, mom=0.25, cases=4)
    new, delta = reference.update(w, accumulated.value, eps=0.5, mom=0.25, wc=0.125)
    at_once = reference.update(w, inc, grad, eps=0.5, mom=0.25, wc=0.125)
    assert (new.value, delta.value) == (at_once[0].value, at_once[1].value)


def test_long_columns_are_shortened_to_the_radius():
    w = np.float64([[3, 0.3], [4, 0.4]])
    limited = reference.limit_norms(reference.Bounded(w, np.abs(w), 4), 1.0)
    assert_double(limited, [[0.6, 0.3], [0.8, 0.4]])
    assert limited.terms.tolist() == [9, 4]


def test_a_frozen_matrix_stays_as_it_is():
    w, inc = np.float32([[2]]), np.float32([[3]])
    new, delta = reference.update(w, inc, w, eps=0.0, mom=0.9, wc=0.1)
    assert (new.value, new.bound(), delta.value, delta.bound()) == (2, 0, 3, 0)


def test_sum_over_consumers():
    copy = reference.Bounded(np.float32([3.0]))
    assert reference.sum_grads([copy]) is copy
    added = reference.sum_grads([copy, reference.Bounded(np.array([-1.0]), np.array([8.0]), 10)])
    assert (added.value, added.magnitude, added.terms) == (2, 11, 12)


@pytest.mark.parametrize("spec", [{"type": "cost.dce"}, specs.neuron("log", a=1.0), {"type": "pool", "pool": "sum"}])
def test_what_has_no_formula_says_so(spec):
    with pytest.raises(reference.UnsupportedLayer, match="no formula"):
        reference.op(spec)


def test_random_pooling_with_do_max_is_max_pooling():
    spec = specs.pool("rand", 1, 4, 2, 2) | {"doMax": True}
    x = np.arange(16, dtype=np.float32).reshape(16, 1)
    assert reference.op(spec).forward([x]).value.ravel().tolist() == [5, 7, 13, 15]
