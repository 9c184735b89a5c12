"""Cost and neuron entry points of `alexnet_rosetta.legacy.cudaconv`.

Gradients are those of the objective, which training maximises. Probabilities are (classes, cases) row-major for costs
and their plain gradients, (cases, classes) column-major - the same memory - for the gradients through softmax.
Gradients return the array written to `target`, which has the shape of the probabilities or acts and is needed if `add`;
costs return the numbers of every case, (1, numCases).
"""

import numpy as np

from ._call import Matrix, invoke, invoke_all
from .device import Device
from .errors import Refused

__all__ = [
    "NEURONS",
    "computeCrossEntCost",
    "computeCrossEntGrad",
    "computeCrossEntSoftmaxGrad",
    "computeEltwiseMaxGrad",
    "computeLogregCost",
    "computeLogregGrad",
    "computeLogregSoftmaxGrad",
    "computeMultiSoftmaxCost",
    "computeSoftmaxGrad",
    "neuron",
]

# Neurons by the codes of the recorded outputs; then those that have none.
NEURONS = ("relu", "softrelu", "brelu", "abs", "logistic", "tanh", "square", "sqrt", "linear", "ident", "drelu",
           "nrelu", "log")  # fmt: skip


def computeLogregCost(
    labels: Matrix, probs: Matrix, labelLogProbs: Matrix | None = None, correctProbs: Matrix | None = None,
    *, generation: int = 2012, device: str | Device = "cpu",
) -> tuple[Matrix, ...]:  # fmt: skip
    """Log-probability of the label, and the credit for a right answer, shared among tied maxima (pool-norm 7.2).

    The log of an exact zero is -inf.

    Parameters
    ----------
    labels : (1, numCases) float32, class indices
    probs : (numOut, numCases) float32
    """
    return invoke_all("computeLogregCost", locals(), "labels probs", "labelLogProbs correctProbs")


def computeMultiSoftmaxCost(
    labels: Matrix, probs: Matrix, energies: Matrix | None = None, labelLogProbs: Matrix | None = None,
    correctProbs: Matrix | None = None, top5Probs: Matrix | None = None,
    *, setSize: int, useEnergies: bool = False, generation: int = 2012, device: str | Device = "cpu",
) -> tuple[Matrix, ...]:  # fmt: skip
    """`computeLogregCost` with the credit for a label among the `setSize` best classes (pool-norm 7.3).

    Parameters
    ----------
    labels : (1, numCases) float32, class indices
    probs : (numOut, numCases) float32
    energies : like `probs`, optional
        What classes are ranked by if `useEnergies`.
    """
    energies = probs if energies is None and not useEnergies else energies
    given = locals()
    return invoke_all("computeMultiSoftmaxCost", given, "labels probs energies", "labelLogProbs correctProbs top5Probs")


def computeCrossEntCost(
    labels: Matrix, probs: Matrix, labelLogProbs: Matrix | None = None, correctProbs: Matrix | None = None,
    *, generation: int = 2012, device: str | Device = "cpu",
) -> tuple[Matrix, ...]:  # fmt: skip
    """Cross-entropy with a distribution over classes; the log of 0 or less counts as -50 (pool-norm 7.5).

    correctProbs: 1 / (classes at the maximum) if one of them has a positive label, else 0.

    Parameters
    ----------
    labels, probs : (numOut, numCases) float32
    """
    return invoke_all("computeCrossEntCost", locals(), "labels probs", "labelLogProbs correctProbs")


def computeLogregGrad(
    labels: Matrix, probs: Matrix, target: Matrix | None = None,
    *, add: bool = False, coeff: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Gradient of coeff * log p(label) with respect to the probabilities (pool-norm 7.4).

    Parameters
    ----------
    labels : (1, numCases) float32, class indices
    probs : (numOut, numCases) float32
    """
    return invoke("computeLogregGrad", locals(), "labels probs", "target")


def computeCrossEntGrad(
    labels: Matrix, probs: Matrix, target: Matrix | None = None,
    *, add: bool = False, coeff: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Gradient of the cross-entropy with respect to the probabilities: coeff * labels / probs (pool-norm 7.4).

    Parameters
    ----------
    labels, probs : (numOut, numCases) float32
    """
    return invoke("computeCrossEntGrad", locals(), "labels probs", "target")


def computeSoftmaxGrad(
    acts: Matrix, actsGrad: Matrix, target: Matrix | None = None,
    *, add: bool = False, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Gradient through a softmax (pool-norm 7.4).

    Parameters
    ----------
    acts, actsGrad : (numCases, numOut) float32, column-major
    """
    return invoke("computeSoftmaxGrad", locals(), "acts actsGrad", "target", columns="acts actsGrad target")


def computeLogregSoftmaxGrad(
    labels: Matrix, probs: Matrix, target: Matrix | None = None,
    *, add: bool = False, coeff: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Gradient of coeff * log p(label) with respect to the inputs of the softmax (pool-norm 7.4).

    Parameters
    ----------
    labels : (1, numCases) float32, class indices
    probs : (numCases, numOut) float32, column-major
    """
    return invoke("computeLogregSoftmaxGrad", locals(), "labels probs", "target", columns="probs target")


def computeCrossEntSoftmaxGrad(
    labels: Matrix, probs: Matrix, target: Matrix | None = None,
    *, add: bool = False, coeff: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Gradient of the cross-entropy with respect to the inputs of the softmax (pool-norm 7.4).

    The form of 2012, right for labels that do not sum to 1.

    Parameters
    ----------
    labels : (numOut, numCases) float32
    probs : (numCases, numOut) float32, column-major
    """
    return invoke("computeCrossEntSoftmaxGrad", locals(), "labels probs", "target", columns="probs target")


def _turned(array: object) -> bool:
    """Whether a matrix is column-major."""
    return isinstance(array, np.ndarray) and array.flags.f_contiguous and not array.flags.c_contiguous


def computeEltwiseMaxGrad(
    actGrad: Matrix, input: Matrix, output: Matrix, target: Matrix | None = None,
    *, add: bool = False, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Gradient through an element-wise maximum: an input that equals the output gets all of it (pool-norm 7.6).

    Parameters
    ----------
    actGrad, input, output : float32 matrices of one shape and storage order
    """
    given, matrices = locals(), "actGrad input output"
    return invoke(
        "computeEltwiseMaxGrad", given, matrices, "target", columns=f"{matrices} target" if _turned(actGrad) else ""
    )


def neuron(
    inputs: Matrix, actsGrad: Matrix, outputs: Matrix | None = None, target: Matrix | None = None,
    *, type: str | int, a: float = 1.0, b: float = 1.0, add: bool = False, generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:  # fmt: skip
    """A neuron, forward and backward: f(inputs), and actsGrad * f' (plus the old target if `add`) (pool-norm 8).

    softrelu of generation 2011 takes its derivative at the output, as it did.

    Parameters
    ----------
    inputs, actsGrad : float32 matrices of one shape and storage order
    type : str or int
        Name or code: `NEURONS`.
    a, b : float
        Parameters of brelu, tanh, linear, drelu and log.
    """
    if isinstance(type, int) and not 0 <= type < len(NEURONS):
        raise Refused("neuron: unknown code", f"0 to {len(NEURONS) - 1}", type)
    given = locals() | {"type": NEURONS[type] if isinstance(type, int) else type}
    columns = "inputs actsGrad outputs target" if _turned(inputs) else ""
    return invoke_all("neuron", given, "inputs actsGrad", "outputs target", columns=columns, words="type")
