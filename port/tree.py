"""Fully connected layers over a class tree (treefc). Source: network-and-solver 12.

Every node of the tree has an offset vector, a column of ``offsets`` (I, nodes); the weights of a node are the sum of
the offsets on the path from the root. Leaves are the nodes 0 ... classes-1. A treefc layer is an fc layer (linear.py)
with the weights of the leaves; NumPy does the work on the tree, level by level.
"""

from typing import Any

import numpy as np

from .checks import Array, floats, require


class TreeShape:
    """Levels and leaf counts of a tree, which has ``children[node]`` for every node, and the ``root``.

    `nodes` and `classes` are the numbers of nodes and of leaves; `levels`, for each level below the root, from the top,
    its nodes and their parents; `leaves`, (nodes,), the leaves under each node, 1 for a leaf.
    """

    def __init__(self, tree: Any) -> None:
        self.nodes = len(tree.children)
        self.classes = sum(not children for children in tree.children)
        self.levels, above = [], [tree.root]
        while above:
            pairs = [(child, parent) for parent in above for child in tree.children[parent]]
            if pairs:
                self.levels.append(tuple(np.array(side) for side in zip(*pairs, strict=True)))
            above = [child for child, _ in pairs]
        self.leaves = np.zeros(self.nodes)
        self.leaves[: self.classes] = 1
        for nodes, parents in reversed(self.levels):
            np.add.at(self.leaves, parents, self.leaves[nodes])


def tree_weights(offsets: Array, shape: TreeShape) -> Array:
    """Weights of the leaves: e_root = w_root, e_child = e_parent + w_child; (I, nodes) -> (I, classes), Fortran order.

    The offsets are float32 or float64. Raises OperandError, a ValueError, for a wrong shape or dtype.
    """
    effective = _columns("tree_weights: offsets", offsets, shape.nodes).copy(order="F")
    for nodes, parents in shape.levels:
        effective[:, nodes] += effective[:, parents]
    return effective[:, : shape.classes]


def tree_backward(grads: Array, shape: TreeShape) -> Array:
    """Gradient of `tree_weights`, (I, classes) -> (I, nodes): an inner node has the sum over its children."""
    grads = _columns("tree_backward: grads", grads, shape.classes)
    out = np.zeros((len(grads), shape.nodes), grads.dtype)
    out[:, : shape.classes] = grads
    for nodes, parents in reversed(shape.levels):
        np.add.at(out.T, parents, out.T[nodes])
    return out


def tree_update(
    offsets: Array, inc: Array, grads: Array, shape: TreeShape, *, eps: float, mom: float, decay: float
) -> None:
    """One step, in place: Δ ← μΔ + (ε/n)(G − (λ/n)W), W ← W + Δ, with n the number of leaves under the node.

    `offsets`, `inc` and `grads` are W, Δ and G, divided by the number of cases, (I, nodes); eps, mom, decay are ε, μ,
    λ.
    """
    rates = (eps / shape.leaves).astype(offsets.dtype)
    decays = (decay / shape.leaves).astype(offsets.dtype)
    inc *= inc.dtype.type(mom)
    inc += rates * (grads - decays * offsets)
    offsets += inc


def _columns(what: str, array: Any, columns: int) -> Array:
    array = floats(what, array, 2)
    require(array.shape[1] == columns, f"{what}: wrong shape", f"(inputs, {columns})", array.shape, "columns are nodes")
    return array
