"""Whose gradients are checked, the reference and the port in float64, and how exact float64 can be."""

from typing import Any

import numpy as np

from ...engines.port import PortLayers
from ...network.load import Network
from ...reference import Bounded, facts, op
from .units import Unit

TO_DOUBLE = 2.0**-29
"""From a rounding error in float32 to one in float64."""


class Formulas:
    """The reference, which evaluates in float64 what it is given in float64."""

    name = "reference"

    def __init__(self, network: Network) -> None:
        """Nothing to prepare."""

    def outputs(self, unit: Unit) -> np.ndarray:
        """The outputs of a unit; of a cost, or a unit with one, (1,): minus the coefficient times its first number."""
        return _forward(unit)[0]

    def gradients(self, unit: Unit, above: np.ndarray | None) -> dict[str, np.ndarray]:
        """Gradients of ``sum(above * outputs)`` by tensor; ``above`` is None for a unit with a cost."""
        return {tensor: found.value for tensor, found in _backward(unit, above).items()}


class Port:
    """The port, its layers and parameters in float64."""

    name = "port"

    def __init__(self, network: Network) -> None:
        self.layers = PortLayers(network)

    def outputs(self, unit: Unit) -> np.ndarray:
        """As `Formulas.outputs`."""
        found = self.layers.forward(unit.layer.name, unit.inputs, unit.params, unit.connections, unit.mask)
        if unit.cost is not None:
            found = self.layers.forward(unit.cost.name, [np.asarray(unit.labels), found])
        return found if unit.priced is None else -unit.priced["coeff"] * found[:1]

    def gradients(self, unit: Unit, above: np.ndarray | None) -> dict[str, np.ndarray]:
        """As `Formulas.gradients`."""
        self.outputs(unit)
        found = self.layers.backward(unit.layer.name, above, [not unit.constant(i) for i in range(len(unit.inputs))])
        return unit.collected(found)


Subject = Formulas | Port


def forward_error(unit: Unit) -> np.ndarray:
    """How far float64 may be from the outputs of a unit, like those."""
    return _forward(unit)[1]


def gradient_errors(unit: Unit, above: np.ndarray | None) -> dict[str, np.ndarray]:
    """How far float64 may be from the gradients of a unit, by tensor."""
    return {tensor: double_error(found) for tensor, found in _backward(unit, above).items()}


def branches(unit: Unit) -> list[np.ndarray]:
    """Which side of a kink or jump each number is on: arrays that stay the same while no side changes.

    The gradient of a layer that selects (rectified units, maxima) is constant between its kinks, so the gradient from
    ones will do. A softrelu jumps at 4.
    """
    kind = unit.layer["neuron"]["type"] if unit.layer.type == "neuron" else unit.layer.type
    if kind == "softrelu":
        return [unit.inputs[0] > 4]
    if kind not in ("relu", "nrelu", "brelu", "abs", "pool", "eltmax"):
        return []
    ones = np.ones((unit.layer.outputs, unit.inputs[0].shape[1]))
    return [found.value for found in _backward(unit, ones).values()]


def _forward(unit: Unit) -> tuple[np.ndarray, np.ndarray]:
    """(outputs, rounding errors), see `Formulas.outputs`."""
    found = op(unit.plain()).forward(unit.inputs, unit.params, mask=unit.mask)
    carried: Any = 0.0
    if unit.cost is not None:
        read, cost = [unit.labels, found.value], op(unit.cost.to_dict())
        carried = np.linalg.norm(cost.inputs_grad(1, read).value * double_error(found))
        found = cost.forward(read)
    if unit.priced is None:
        return found.value, double_error(found)
    coeff = unit.priced["coeff"]
    return -coeff * found.value[:1], abs(coeff) * double_error(found)[:1] + carried


def _backward(unit: Unit, above: np.ndarray | None) -> dict[str, Bounded]:
    formulas, fused = op(unit.plain()), {}
    found: dict[str, Bounded] = {}
    if unit.cost is not None:
        fused = {facts(unit.cost).fused_labels or "": unit.labels, "coeff": unit.cost["coeff"]}
    if "biases" in unit.values:
        found = formulas.params_grad(unit.inputs, above, unit.params)
    for i in range(len(unit.inputs)):
        if not unit.constant(i):
            grads = formulas.inputs_grad(i, unit.inputs, above, unit.params, mask=unit.mask, **fused)
            found[f"inputs[{i}]"] = grads
    return unit.collected(found)


def double_error(bounded: Bounded) -> np.ndarray:
    """How far float64 may be from a Bounded, like its value."""
    return TO_DOUBLE * np.broadcast_to(bounded.bound(), np.shape(bounded.value))
