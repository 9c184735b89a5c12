"""What is checked one at a time: a layer with its inputs and parameters, at a point where its formula has a derivative.

A *unit* is a layer, or a layer and the cost that goes backward in one step with it. Its gradient is checked at inputs
like those it sees in the network: float64 outputs of the reference, moved a little towards uniform random numbers,
because there rectified units and pooling windows tie (zeros below a maximum), and a tie has no derivative. Positive
numbers stay positive and probabilities stay below 1. Weights are normal with variance 1 / (numbers they meet), so that
no layer is dead or saturated whatever the file's initW is; every learning rate is positive, or history would compute no
gradient.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...network.graph import Graph, is_cost, reads_constants
from ...network.load import LayerSpec, Network, altered, parameter_shapes, plain
from ...network.tensors import index
from ...reference import op
from ...reference.layer import Formula
from ...values import inputs, parameters
from ...values.noise import Tape, generator

TOWARDS_UNIFORM = 0.2
BIAS = 0.1
"""Standard deviation of the biases."""


@dataclass(frozen=True)
class Unit:
    """A layer at a point."""

    layer: LayerSpec
    cost: LayerSpec | None  # the cost it is fused with
    labels: np.ndarray | None  # what that cost compares with
    # float64: ``inputs[i]``, ``weights[i]``, ``biases``; matrices that are shared are the same array
    values: dict[str, np.ndarray]
    connections: dict[str, np.ndarray]  # ``filterConns[i]``, integers
    mask: np.ndarray | None  # what is random in the layer

    @property
    def inputs(self) -> list[np.ndarray]:
        """The values of the inputs, in order."""
        return [self.values[f"inputs[{i}]"] for i in range(len(self.layer.inputs))]

    @property
    def params(self) -> dict[str, Any]:
        """The parameters as the reference takes them."""
        count = len(self.layer.get("weightShapes", ()))
        return {"weights": [self.values[f"weights[{i}]"] for i in range(count)], "biases": self.values.get("biases")}

    def plain(self) -> dict[str, Any]:
        """The layer as a plain dict, with its connections."""
        return plain(self.layer, self.connections)

    def stand_in(self) -> Formula:
        """The outputs, as a function of inputs, that the gradient is of where `Layer.approximates` says so."""
        return op(self.plain()).stand_in(self.inputs, self.mask)

    @property
    def priced(self) -> LayerSpec | None:
        """The layer whose cost is the unit's only output, if there is one."""
        return self.layer if is_cost(self.layer) else self.cost

    def constant(self, i: int) -> bool:
        """True for the labels or targets of a cost, which get no gradient."""
        return reads_constants(self.layer, i)

    def collected(self, gradients: Mapping[str, Any]) -> dict[str, Any]:
        """Gradients by use as gradients by array: a matrix that is used twice has the sum, under its first name."""
        first: dict[int, str] = {}
        found: dict[str, Any] = {}
        for name, array in self.values.items():
            if name in gradients:
                own = first.setdefault(id(array), name)
                found[own] = found[own] + gradients[name] if own in found else gradients[name]
        return found

    def moved(self, tensor: str, array: np.ndarray) -> "Unit":
        """The unit with another array in all its uses."""
        uses = [name for name, used in self.values.items() if used is self.values[tensor]]
        return replace(self, values=self.values | dict.fromkeys(uses, array))


def learning_network(network: Network) -> Network:
    """The network with every learning rate 1, and nothing else in the solver."""
    return altered(network, {layer.name: _learning_keys(layer) for layer in network.layers})


def values(network: Network, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Weights, biases and connections for a check of gradients, float64."""
    drawn = parameters.make(network, seed)
    for name, tensors in drawn.items():
        layer = network.graph.layers[name]
        for tensor in parameter_shapes(layer):
            random = generator(seed, "gradients", name, tensor)
            scale = BIAS if index(tensor) is None else layer["weightsPerFilter"][index(tensor)] ** -0.5
            tensors[tensor] = scale * random.standard_normal(tensors[tensor].shape)
    return parameters.share(network, drawn)


def units(network: Network, batch: int, seed: int) -> Iterator[Unit]:
    """Yield the Unit of every layer that has inputs, in topological order; a fused cost belongs to its partner.

    ``batch``: number of cases.
    """
    graph, own, tape = network.graph, values(network, seed), Tape(seed)
    acts = {name: array.astype(np.float64) for name, array in inputs.make(network, "random", batch, seed).data.items()}
    for layer in network.layers:
        if layer.type == "data":
            continue
        unit = _unit(graph, layer, acts, own.get(layer.name, {}), tape.mask(layer, batch), seed)
        if layer.name not in graph.fused.values():
            yield unit
        if not is_cost(layer):
            at = [acts[source] for source in layer.inputs]
            acts[layer.name] = op(unit.plain()).forward(at, unit.params, mask=unit.mask).value.astype(np.float64)


def _unit(
    graph: Graph,
    layer: LayerSpec,
    acts: Mapping[str, np.ndarray],
    own: Mapping[str, np.ndarray],
    mask: np.ndarray | None,
    seed: int,
) -> Unit:
    given = {}
    for i, source in enumerate(layer.inputs):
        random = generator(seed, "point", layer.name, i)
        given[f"inputs[{i}]"] = acts[source] if reads_constants(layer, i) else _generic(acts[source], random)
    cost = graph.layers[graph.fused[layer.name]] if layer.name in graph.fused else None
    return Unit(
        layer,
        cost,
        acts[cost.inputs[0]] if cost else None,
        given | {tensor: own[tensor] for tensor in parameter_shapes(layer)},
        {name: array for name, array in own.items() if name.startswith("filterConns")},
        mask,
    )


def _generic(x: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = np.sqrt(np.mean(np.square(x))) or 1.0
    return (1 - TOWARDS_UNIFORM) * x + TOWARDS_UNIFORM * size * random.random(x.shape)


def _learning_keys(layer: LayerSpec) -> dict[str, Any]:
    keys, constant = dict(layer.keys), {"type": "default", "params": {}}
    if "epsB" in keys:
        count = len(keys["epsW"])
        keys |= {"epsB": 1.0, "momB": 0.0, "epsW": (1.0,) * count, "momW": (0.0,) * count, "wc": (0.0,) * count}
        keys |= {"schedW": constant, "schedB": constant, "superEps": 0.0}
    return keys
