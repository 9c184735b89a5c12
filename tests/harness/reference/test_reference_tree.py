"""The class tree against sums over paths, and the honest float32 evaluation of what it adds up."""

import numpy as np
import pytest
import reference_specs as specs
from honest import SEEDS, F, accepts, add_up, assert_double, multiply_add, numbers
from hypothesis import given, settings

from alexnet_rosetta.harness import reference

# The specification's example: 10 leaves.
CHILDREN = [[]] * 10 + [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9], [10, 11], [12, 13], [14, 15]]
SPEC = {"type": "treefc", "numInputs": [5], "outputs": 10, "tree": CHILDREN, "rootLabel": 16}
PATHS = [[leaf, 10 + min(leaf // 3, 1) if leaf < 6 else 12 + (leaf - 6) // 2, 14 + leaf // 6, 16] for leaf in range(10)]


@pytest.fixture
def drawn():
    rng = np.random.default_rng(1)
    params = {"weights": [specs.normal(rng, 5, 17)], "biases": specs.normal(rng, 1, 10)}
    return specs.normal(rng, 5, 3), specs.normal(rng, 10, 3), params


def test_a_class_is_the_sum_of_the_offsets_on_its_path(drawn):
    x, _, params = drawn
    wanted = np.empty((10, 3))
    for leaf, path in enumerate(PATHS):
        weights = params["weights"][0][:, path].sum(1, dtype=np.float64)
        wanted[leaf] = weights @ x + params["biases"][0, leaf]
    assert_double(reference.op(SPEC).forward([x], params), wanted)


def test_gradients_are_derivatives(drawn):
    x, v, params = drawn
    op = reference.op(SPEC)

    def objective(x=x, weights=params["weights"][0], biases=params["biases"]):
        return (op.forward([x], {"weights": [weights], "biases": biases}).value * v).sum()

    grads = op.params_grad([x], v, params)
    specs.assert_is_derivative(objective, x, op.inputs_grad(0, [x], v, params).value)
    specs.assert_is_derivative(lambda w: objective(weights=w), params["weights"][0], grads["weights[0]"].value)
    specs.assert_is_derivative(lambda b: objective(biases=b), params["biases"], grads["biases"].value)


def test_the_step_of_a_node_is_divided_by_its_leaves():
    w, inc, grad = (np.full((1, 17), x, np.float32) for x in (2, 3, 5))
    new, delta = reference.op(SPEC).update(w, inc, grad, eps=0.5, mom=0.25, wc=0.125)
    for node, leaves in {4: 1, 10: 3, 12: 2, 14: 6, 16: 10}.items():
        wanted = 0.25 * 3 + 0.5 / leaves * (5 - 0.125 / leaves * 2)
        assert delta.value[0, node] == pytest.approx(wanted, rel=2**-50)
        assert new.value[0, node] == pytest.approx(2 + wanted, rel=2**-50)


@settings(max_examples=60)
@given(SEEDS)
def test_honest_evaluations(seed):
    rng = np.random.default_rng(seed)
    op = reference.op(SPEC)
    x, v, w, b = (numbers(rng, shape, 1.0) for shape in ((5, 4), (10, 4), (5, 17), (1, 10)))
    params = {"weights": [w], "biases": b}
    effective = np.stack([add_up(w[:, path].T, rng) for path in PATHS], axis=1)
    y = multiply_add(effective[:, :, None], x[:, None], rng) + b.T
    assert accepts(op.forward([x], params), y)
    assert accepts(op.inputs_grad(0, [x], v, params), multiply_add(effective.T[:, :, None], v[:, None], rng))
    grads = op.params_grad([x], v, params)
    leaves = multiply_add(x.T[:, :, None], v.T[:, None], rng)
    nodes = np.stack([add_up(leaves[:, [node in path for path in PATHS]].T, rng) for node in range(17)], axis=1)
    assert accepts(grads["weights[0]"], nodes)
    count = np.array([sum(node in path for path in PATHS) for node in range(17)], F)
    delta = F(0.9) * w + (F(0.01) / count) * (nodes - (F(0.0005) / count) * w)
    new, inc = op.update(w, w, nodes, eps=0.01, mom=0.9, wc=0.0005)
    assert accepts(inc, delta)
    assert accepts(new, w + delta)
