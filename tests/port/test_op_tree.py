"""Class trees against explicit sums over the path from the root, on the example of the specification."""

import numpy as np
import pytest
from op_checks import assert_gradient, assert_within

from alexnet_rosetta.port import tree
from alexnet_rosetta.port.config.keys import Tree

# network-and-solver 12
CHILDREN = (*[()] * 10, (0, 1, 2), (3, 4, 5), (6, 7), (8, 9), (10, 11), (12, 13), (14, 15))
SHAPE = tree.TreeShape(Tree(CHILDREN, 16))
PATHS = [(16, 14, 10, 0), (16, 14, 10, 1), (16, 14, 10, 2), (16, 14, 11, 3), (16, 14, 11, 4), (16, 14, 11, 5),
         (16, 15, 12, 6), (16, 15, 12, 7), (16, 15, 13, 8), (16, 15, 13, 9)]  # fmt: skip
LEAVES = [1] * 10 + [3, 3, 2, 2, 6, 4, 10]


def test_facts_of_the_tree():
    assert (SHAPE.nodes, SHAPE.classes, SHAPE.leaves.tolist()) == (17, 10, LEAVES)
    lone = tree.TreeShape(Tree(((),), 0))
    assert (lone.nodes, lone.classes, lone.levels) == (1, 1, [])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_are_sums_over_the_path(dtype):
    offsets = np.random.default_rng(1).standard_normal((5, 17)).astype(dtype)
    exact = np.array([offsets[:, path].sum(axis=1, dtype=float) for path in PATHS]).T
    size = np.array([np.abs(offsets[:, path]).sum(axis=1, dtype=float) for path in PATHS]).T
    assert_within(tree.tree_weights(offsets, SHAPE), exact, 4, size)


def test_gradient_of_a_node_is_the_sum_over_its_leaves():
    grads = np.random.default_rng(2).integers(-8, 8, (5, 10)).astype(float)
    found = tree.tree_backward(grads, SHAPE)
    for node in range(17):
        np.testing.assert_array_equal(found[:, node], sum(grads[:, path[-1]] for path in PATHS if node in path))
    offsets = np.random.default_rng(3).standard_normal((5, 17))
    assert_gradient(lambda z: (tree.tree_weights(z, SHAPE) * grads).sum(), offsets, found, np.random.default_rng(4))


def test_update_by_hand():
    """A leaf (n = 1), a node of 2 leaves and one of 4, in exact values: mu = 1/2, eps = 1/4, lambda = 1/2."""
    offsets, inc = np.full((2, 17), 8.0), np.full((2, 17), 4.0)
    tree.tree_update(offsets, inc, np.full((2, 17), 16.0), SHAPE, eps=0.25, mom=0.5, decay=0.5)
    for node, n in ((0, 1), (12, 2), (15, 4)):
        delta = 2 + 0.25 / n * (16 - 0.5 / n * 8)
        assert (inc[0, node], offsets[1, node]) == (delta, 8 + delta)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="columns are nodes"):
        tree.tree_weights(np.zeros((5, 16)), SHAPE)
    with pytest.raises(ValueError, match="columns are nodes"):
        tree.tree_backward(np.zeros((5, 17)), SHAPE)
