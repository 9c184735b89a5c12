"""treefc: a fully connected layer whose classes are the leaves of a tree.

Node ν holds an offset w_ν; the weights of a class are the sum of the offsets on the path from the root to its leaf.
With the matrix A (nodes, classes), 1 where the class lies under the node or is it, E = W A are the weights of the
classes:

    Y = Eᵀ X + b,   dX = E V,   dW = X (A V)ᵀ,   db = sum of V
    Δ_ν ← μ Δ_ν + (ε / n_ν) (G_ν - (λ / n_ν) w_ν),   w_ν ← w_ν + Δ_ν,   n_ν the number of leaves under ν

Error model: sums of products; to the n of a fully connected layer come the nodes on a path (forward and dX) or the
leaves under a node (dW), and to that of the update two divisions.

Source: network-and-solver 12.  The learning rate is constant.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import solver
from .bounded import Bounded, multilinear
from .layer import Arrays, Layer, Params


class TreeFullyConnected(Layer):
    """A `treefc` layer: `tree` lists the children of every node; the leaves are 0 ... classes - 1.

    Weights are (inputs, nodes), biases (1, classes).
    """

    gradient_check = (0.001, 0.01)

    backward_reads = ("inputs",)

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.under = _classes_under_nodes(spec["tree"], spec["outputs"])
        self.depth = self.under.sum(0).max()
        self.leaves = self.under.sum(1)

    def forward(self, inputs: Arrays, params: Params, **_: object) -> Bounded:
        """Outputs (classes, N)."""
        terms = len(inputs[0]) + self.depth + 1
        return multilinear(self._forward, terms, inputs[0], params["weights"][0], params["biases"])

    def _forward(self, x: np.ndarray, weights: np.ndarray, biases: np.ndarray) -> np.ndarray:
        return self._of_classes(weights).T @ x + biases.T

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: Params, **_: object) -> Bounded:
        """Gradient of the input, (inputs, N)."""
        terms = len(acts_grad) + self.depth + 1
        return multilinear(lambda w, v: self._of_classes(w) @ v, terms, params["weights"][0], acts_grad)

    def params_grad(self, inputs: Arrays, acts_grad: np.ndarray, params: Params) -> dict[str, Bounded]:
        """Sums over the images given, not yet divided by the number of cases."""
        cases = acts_grad.shape[1]
        return {
            "weights[0]": multilinear(self._weights_grad, cases + self.leaves[None], inputs[0], acts_grad),
            "biases": multilinear(lambda v: v.sum(1)[None], cases, acts_grad),
        }

    def _weights_grad(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return x @ (self.under.astype(v.dtype) @ v).T

    def update(
        self, param: np.ndarray, inc: np.ndarray, grad: np.ndarray, *, eps: float, mom: float, wc: float = 0.0
    ) -> tuple[Bounded, Bounded]:
        """One step of the offsets, which decay whatever the sign of λ; biases learn like all others."""
        eps = eps / self.leaves
        parts = solver.momentum_and_gradient(inc, grad, eps, mom)
        both = solver.stepped(param, parts, eps * (wc / self.leaves))
        new, delta = (Bounded(found.value, found.magnitude, found.terms + 2) for found in both)
        return new, delta

    def _of_classes(self, weights: np.ndarray) -> np.ndarray:
        return weights @ self.under.astype(weights.dtype)


def _classes_under_nodes(children: Sequence[Sequence[int]], classes: int) -> np.ndarray:
    """(nodes, classes): 1 where a class lies under a node, or is it."""
    parents = {child: node for node, below in enumerate(children) for child in below}
    under = np.zeros((len(children), classes))
    for leaf in range(classes):
        node: int | None = leaf
        while node is not None:
            under[node, leaf] = 1
            node = parents.get(node)
    return under
