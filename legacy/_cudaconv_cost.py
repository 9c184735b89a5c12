"""Cost and neuron entry points of `alexnet_rosetta.legacy.cudaconv`.

Gradients are those of the objective, which training maximises. Probabilities are (classes, cases) row-major for costs
and their plain gradients, (cases, classes) column-major - the same memory - for the gradients through softmax.
"""

from collections.abc import Callable

import numpy as np

from ._call import Matrix, Operand, call, call_all, col, row
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
NEURONS = (
    "relu",
    "softrelu",
    "brelu",
    "abs",
    "logistic",
    "tanh",
    "square",
    "sqrt",
    "linear",
    "ident",
    "drelu",
    "nrelu",
    "log",
)


def computeLogregCost(
    labels: Matrix,
    probs: Matrix,
    labelLogProbs: Matrix | None = None,
    correctProbs: Matrix | None = None,
    *,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:
    """Log-probability of the label, and the credit for a right answer, shared among tied maxima.

    Parameters
    ----------
    labels : (1, numCases) float32, class indices
    probs : (numOut, numCases) float32

    Returns
    -------
    labelLogProbs, correctProbs : ndarray of shape (1, numCases)
        The log of an exact zero is -inf.

    Notes
    -----
    Specification: pool-norm 7.2.
    """
    return call_all(
        "computeLogregCost",
        [row("labels", labels), row("probs", probs)],
        [row("labelLogProbs", labelLogProbs), row("correctProbs", correctProbs)],
        {},
        generation=generation,
        device=device,
    )


def computeMultiSoftmaxCost(
    labels: Matrix,
    probs: Matrix,
    energies: Matrix | None = None,
    labelLogProbs: Matrix | None = None,
    correctProbs: Matrix | None = None,
    top5Probs: Matrix | None = None,
    *,
    setSize: int,
    useEnergies: bool = False,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:
    """`computeLogregCost` with the credit for a label among the `setSize` best classes.

    Parameters
    ----------
    labels : (1, numCases) float32, class indices
    probs : (numOut, numCases) float32
    energies : like `probs`, optional
        What classes are ranked by if `useEnergies`.

    Returns
    -------
    labelLogProbs, correctProbs, top5Probs : ndarray of shape (1, numCases)

    Notes
    -----
    Specification: pool-norm 7.3.
    """
    energies = probs if energies is None and not useEnergies else energies
    return call_all(
        "computeMultiSoftmaxCost",
        [row("labels", labels), row("probs", probs), row("energies", energies)],
        [row("labelLogProbs", labelLogProbs), row("correctProbs", correctProbs), row("top5Probs", top5Probs)],
        {"setSize": setSize, "useEnergies": useEnergies},
        generation=generation,
        device=device,
    )


def computeCrossEntCost(
    labels: Matrix,
    probs: Matrix,
    labelLogProbs: Matrix | None = None,
    correctProbs: Matrix | None = None,
    *,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:
    """Cross-entropy with a distribution over classes; the log of 0 or less counts as -50.

    Parameters
    ----------
    labels, probs : (numOut, numCases) float32

    Returns
    -------
    labelLogProbs, correctProbs : ndarray of shape (1, numCases)
        The second: 1 / (classes at the maximum) if one of them has a positive label, else 0.

    Notes
    -----
    Specification: pool-norm 7.5.
    """
    return call_all(
        "computeCrossEntCost",
        [row("labels", labels), row("probs", probs)],
        [row("labelLogProbs", labelLogProbs), row("correctProbs", correctProbs)],
        {},
        generation=generation,
        device=device,
    )


def computeLogregGrad(
    labels: Matrix,
    probs: Matrix,
    target: Matrix | None = None,
    *,
    add: bool = False,
    coeff: float = 1.0,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:
    """Gradient of coeff * log p(label) with respect to the probabilities.

    Parameters
    ----------
    labels : (1, numCases) float32, class indices
    probs : (numOut, numCases) float32
    target : like `probs`; needed if `add`

    Returns
    -------
    ndarray, shaped like `probs`

    Notes
    -----
    Specification: pool-norm 7.4.
    """
    return call(
        "computeLogregGrad",
        [row("labels", labels), row("probs", probs)],
        [row("target", target)],
        {"add": add, "coeff": coeff},
        generation=generation,
        device=device,
    )


def computeCrossEntGrad(
    labels: Matrix,
    probs: Matrix,
    target: Matrix | None = None,
    *,
    add: bool = False,
    coeff: float = 1.0,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:
    """Gradient of the cross-entropy with respect to the probabilities: coeff * labels / probs.

    Parameters
    ----------
    labels, probs : (numOut, numCases) float32
    target : like `probs`; needed if `add`

    Returns
    -------
    ndarray, shaped like `probs`

    Notes
    -----
    Specification: pool-norm 7.4.
    """
    return call(
        "computeCrossEntGrad",
        [row("labels", labels), row("probs", probs)],
        [row("target", target)],
        {"add": add, "coeff": coeff},
        generation=generation,
        device=device,
    )


def computeSoftmaxGrad(
    acts: Matrix,
    actsGrad: Matrix,
    target: Matrix | None = None,
    *,
    add: bool = False,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:
    """Gradient through a softmax.

    Parameters
    ----------
    acts, actsGrad : (numCases, numOut) float32, column-major
    target : like `acts`; needed if `add`

    Returns
    -------
    ndarray, shaped like `acts`

    Notes
    -----
    Specification: pool-norm 7.4.
    """
    return call(
        "computeSoftmaxGrad",
        [col("acts", acts), col("actsGrad", actsGrad)],
        [col("target", target)],
        {"add": add},
        generation=generation,
        device=device,
    )


def computeLogregSoftmaxGrad(
    labels: Matrix,
    probs: Matrix,
    target: Matrix | None = None,
    *,
    add: bool = False,
    coeff: float = 1.0,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:
    """Gradient of coeff * log p(label) with respect to the inputs of the softmax.

    Parameters
    ----------
    labels : (1, numCases) float32, class indices
    probs : (numCases, numOut) float32, column-major
    target : like `probs`; needed if `add`

    Returns
    -------
    ndarray, shaped like `probs`

    Notes
    -----
    Specification: pool-norm 7.4.
    """
    return call(
        "computeLogregSoftmaxGrad",
        [row("labels", labels), col("probs", probs)],
        [col("target", target)],
        {"add": add, "coeff": coeff},
        generation=generation,
        device=device,
    )


def computeCrossEntSoftmaxGrad(
    labels: Matrix,
    probs: Matrix,
    target: Matrix | None = None,
    *,
    add: bool = False,
    coeff: float = 1.0,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:
    """Gradient of the cross-entropy with respect to the inputs of the softmax.

    Parameters
    ----------
    labels : (numOut, numCases) float32
    probs : (numCases, numOut) float32, column-major
    target : like `probs`; needed if `add`

    Returns
    -------
    ndarray, shaped like `probs`

    Notes
    -----
    Specification: pool-norm 7.4 (the form of 2012, right for labels that do not sum to 1).
    """
    return call(
        "computeCrossEntSoftmaxGrad",
        [row("labels", labels), col("probs", probs)],
        [col("target", target)],
        {"add": add, "coeff": coeff},
        generation=generation,
        device=device,
    )


def _like(array: object) -> Callable[[str, Matrix | None], Operand]:
    """The kind of operand for matrices stored as `array` is."""
    turned = isinstance(array, np.ndarray) and array.flags.f_contiguous and not array.flags.c_contiguous
    return col if turned else row


def computeEltwiseMaxGrad(
    actGrad: Matrix,
    input: Matrix,
    output: Matrix,
    target: Matrix | None = None,
    *,
    add: bool = False,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:
    """Gradient through an element-wise maximum: an input that equals the output gets all of it.

    Parameters
    ----------
    actGrad, input, output : float32 matrices of one shape and storage order
    target : the same; needed if `add`

    Returns
    -------
    ndarray, shaped like `actGrad`

    Notes
    -----
    Specification: pool-norm 7.6.
    """
    operand = _like(actGrad)
    return call(
        "computeEltwiseMaxGrad",
        [operand("actGrad", actGrad), operand("input", input), operand("output", output)],
        [operand("target", target)],
        {"add": add},
        generation=generation,
        device=device,
    )


def neuron(
    inputs: Matrix,
    actsGrad: Matrix,
    outputs: Matrix | None = None,
    target: Matrix | None = None,
    *,
    type: str | int,
    a: float = 1.0,
    b: float = 1.0,
    add: bool = False,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:
    """A neuron, forward and backward.

    Parameters
    ----------
    inputs, actsGrad : float32 matrices of one shape and storage order
    target : the same; needed if `add`
    type : str or int
        Name or code: `NEURONS`.
    a, b : float
        Parameters of brelu, tanh, linear, drelu and log.

    Returns
    -------
    outputs, target : ndarray, shaped like `inputs`
        f(inputs), and actsGrad * f' (plus the old target if `add`).

    Notes
    -----
    Specification: pool-norm 8. softrelu of generation 2011 takes its derivative at the output, as it did.
    """
    if isinstance(type, int) and not 0 <= type < len(NEURONS):
        raise Refused("neuron: unknown code", f"0 to {len(NEURONS) - 1}", type)
    operand = _like(inputs)
    return call_all(
        "neuron",
        [operand("inputs", inputs), operand("actsGrad", actsGrad)],
        [operand("outputs", outputs), operand("target", target)],
        {"a": a, "b": b, "add": add},
        words={"type": NEURONS[type] if isinstance(type, int) else type},
        generation=generation,
        device=device,
    )
