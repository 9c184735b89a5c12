"""A run of the exact tier: every layer is fed numbers so coarse that float32 rounds nothing (see `exact`)."""

from dataclasses import dataclass, replace
from math import log2
from typing import Any

import numpy as np

from ..errors import BadInput
from ..judging.finding import INEXACT
from ..judging.row import Row
from ..network.load import LayerSpec, Network, altered
from ..network.solver import rate
from ..network.tensors import address, is_parameter, parameter
from ..reference import Bounded, facts
from ..values import exact
from ..values.noise import generator
from ..values.parameters import Values, share
from .workload import Workload


@dataclass
class ExactWorkload(Workload):
    """Values of a run in which inputs, weights, biases and output gradients of each layer are drawn as k/8.

    A tensor that has to be exact and is not *identical* is different, however close it may be.
    """

    seed: int = 0

    def acts(self, layer: LayerSpec, reference: np.ndarray) -> np.ndarray:
        """Random eighths in place of the reference's output; probabilities stay, since costs take their logarithm."""
        graph = self.network.graph
        readers = (facts(graph.layers[name]) for name, i in graph.consumers[layer.name] if i == 1)
        if layer.type == "softmax" or any(reader.fused_labels for reader in readers):
            return reference
        return self._draw(layer, "acts", reference.shape)

    def acts_grad(self, layer: LayerSpec, reference: np.ndarray) -> np.ndarray:
        """Random eighths in place of the reference's gradient, so that float32 is exact."""
        return self._draw(layer, "acts_grad", reference.shape)

    def inspect(self, layer: LayerSpec, tensor: str, bounded: Bounded) -> None:
        """Assert that float32 holds every partial sum of a tensor that has to be exact."""
        if exact.must_be_identical(layer.to_dict(), tensor):
            exact.assert_exact(bounded, f"{layer.name} {tensor}", self._unit(layer, tensor))

    def adjust(self, row: Row) -> Row:
        """Turn `equivalent` into `different` where the tier asks for the same bits."""
        if exact.must_be_identical(self.network.spec[row.layer].to_dict(), row.tensor):
            row.exact = True
            row.findings = {
                name: replace(found, status="different", reason="the exact tier asks for the same bits")
                if found.status in INEXACT
                else found
                for name, found in row.findings.items()
            }
        return row

    def _draw(self, layer: LayerSpec, what: str, shape: tuple[int, ...]) -> np.ndarray:
        return exact.draw(generator(self.seed, "exact", layer.name, what), shape)

    def _unit(self, layer: LayerSpec, tensor: str) -> float:
        """What all partial sums are multiples of: products of eighths, divided by the number of cases, times ε."""
        if address(tensor)[0] == "weights_inc":
            return exact.UNIT / self.batch * rate(layer, parameter(tensor), self.network.progress)
        return exact.UNIT / self.batch if is_parameter(tensor) else exact.UNIT


def exact_network(network: Network) -> Network:
    """The network with learning rates rounded to powers of two, momentum 1/2 and no weight decay."""
    return altered(network, {layer.name: _exact_keys(layer) for layer in network.layers})


def exact_values(network: Network, values: Values, seed: int) -> Values:
    """Parameters and momentum buffers as draws of the tier; integers stay."""

    def drawn(layer: str, tensor: str, array: np.ndarray) -> np.ndarray:
        return exact.draw(generator(seed, "exact", layer, tensor), array.shape) if array.dtype.kind == "f" else array

    found = {layer: {name: drawn(layer, name, x) for name, x in own.items()} for layer, own in values.items()}
    return share(network, found)


def check_batch(batch: int) -> None:
    """Refuse a number of cases that is no power of two: dividing by it would round."""
    if batch & (batch - 1):
        raise BadInput(
            f"--input exact needs a batch that is a power of two, not {batch}",
            hint=f"try --batch {1 << batch.bit_length() - 1}",
        )


def _exact_keys(layer: LayerSpec) -> dict[str, Any]:
    keys = dict(layer.keys)
    constant = {"type": "default", "params": {}}
    if "epsB" in keys:
        keys |= {"epsB": _power_of_two(keys["epsB"]), "momB": 0.5, "schedB": constant}
        rates = keys["epsW"]
        keys |= {"epsW": [_power_of_two(eps) for eps in rates], "momW": [0.5] * len(rates), "wc": [0.0] * len(rates)}
        keys["schedW"] = constant
    return keys


def _power_of_two(x: float) -> float:
    return 2.0 ** round(log2(x)) if x > 0 else x
