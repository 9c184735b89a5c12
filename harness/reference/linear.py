"""Fully connected layers:  Y = sum over inputs  W_iᵀ X_i  + b,   dX_i = W_i V,   dW_i = X_i Vᵀ,   db = sum of V.

Error model: sums of products; n = K + 1 forward (K the length of all inputs), outputs + 1 for an input, N for the
parameters.  Source: network-and-solver 6.2.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import solver
from .bounded import Bounded, multilinear
from .layer import Arrays, Layer, Params


class FullyConnected(Layer):
    """An `fc` layer; weights are (inputs, outputs), biases (1, outputs)."""

    exact = ("acts", "inputs_grad", "weights_grad", "weights_inc", "biases_grad")
    gradient_check = (0.01, 0.01)
    accumulate = staticmethod(solver.accumulate)
    update = staticmethod(solver.update)

    backward_reads = ("inputs",)

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.num_inputs, self.outputs = spec["numInputs"], spec["outputs"]

    def forward(self, inputs: Arrays, params: Params, **_: object) -> Bounded:
        """Outputs (outputs, N)."""
        terms = sum(self.num_inputs) + 1
        return multilinear(_affine, terms, list(inputs), list(params["weights"]), params["biases"])

    def inputs_grad(self, i: int, inputs: Arrays, acts_grad: np.ndarray, params: Params, **_: object) -> Bounded:
        """Gradient of input i, (inputs, N)."""
        return multilinear(lambda w, v: w @ v, self.outputs + 1, params["weights"][i], acts_grad)

    def params_grad(self, inputs: Arrays, acts_grad: np.ndarray, params: Params) -> dict[str, Bounded]:
        """Sums over the images given, not yet divided by the number of cases."""
        grads = {f"weights[{i}]": self.weights_grad(x, acts_grad) for i, x in enumerate(inputs)}
        grads["biases"] = multilinear(lambda v: v.sum(1)[None, :], acts_grad.shape[1], acts_grad)
        return grads

    @staticmethod
    def weights_grad(x: np.ndarray, acts_grad: np.ndarray) -> Bounded:
        """Rows of a weight gradient that belong to rows ``x`` of its input."""
        return multilinear(lambda x, v: x @ v.T, acts_grad.shape[1], x, acts_grad)


def _affine(inputs: Arrays, weights: Arrays, biases: np.ndarray) -> np.ndarray:
    return sum(w.T @ x for w, x in zip(weights, inputs, strict=True)) + biases.T
