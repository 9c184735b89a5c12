"""The gradient check of 2012, on the engine of 2012, in float32 (network-and-solver 10).

For every weight matrix and bias: add a step to one element, run the network forward, and compare the rise of the cost,
(C - C0) / (N h), with minus the gradient of a gradient-checking pass, divided by N. A tensor passes if

    ‖numeric - analytic‖ / ‖analytic‖ < 0.02.

Forward differences with such steps are coarse: where rectified units or maxima switch within a step the rule fails for
right gradients too. So three things are ours. A tensor that fails is tried again with half the step, up to `HALVINGS`
times. If it fails with every step, the errors e(h) decide. Rounding of the cost in float32 makes errors of R/h, and R
is seen with the smallest steps. Where R/h is below 2 %, a wrong gradient is as far off with the step h as with 2h;

    ‖e(h)‖ <= ‖e(2h) - e(h)‖ + R/h

says that the size of the step or rounding is all that is seen. One such step, or none with R/h below 2 %, and the
check is inconclusive. And unless told otherwise, a sample of the elements is moved, not all of them. Where the
gradient of all these is 0, the rise is held against 2 % itself, and a rise of 0 is inconclusive.

cost.tica reports another number than what its gradient follows, so its coefficient is taken as 0.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...engines import find
from ...engines.protocol import Session
from ...errors import Unsupported
from ...network.graph import is_cost
from ...network.load import LayerSpec, Network, altered, parameter_shapes
from ...network.solver import has_direct_route
from ...network.tensors import gradient, increment, index
from ...quirks import LEDGER
from ...quirks.settings import open_session, switches
from ...reference import facts
from ...values import inputs
from ...values.noise import Tape, generator
from ...values.parameters import owned
from .row import GradientRow
from .units import values

THRESHOLD = 0.02

HALVINGS = 8
CASES = 2
"""Cases of the minibatch: gradients of many cases average out, the rounding of their cost does not."""


@dataclass(frozen=True)
class Ratio:
    """What was found for one tensor: verdict, relative error, the step it was found with."""

    status: str
    error: float
    step: float


class Checker:
    """A network in a gradient-checking pass: all learning rates are positive, `data` are the minibatch.

    `values` are weights, biases and connections, by layer and tensor.
    """

    def __init__(
        self,
        network: Network,
        session: Session,
        values: dict[str, dict[str, np.ndarray]],
        data: Mapping[str, np.ndarray],
        seed: int,
    ) -> None:
        self.graph, self.session, self.values, self.data, self.seed = network.graph, session, values, data, seed
        session.set_pass_type("gc")
        self.cases = next(iter(data.values())).shape[1]
        self.tape, self.costs = Tape(seed), [layer for layer in network.layers if is_cost(layer)]
        for name, tensor, array in owned(network, values):
            session.write(name, tensor, array)
        self._forward(network.layers)
        self.cost = self._total()
        for layer in self.graph.backward_order():
            session.backward(layer.name)

    def ratio(self, layer: LayerSpec, tensor: str, elements: int) -> Ratio:
        """The Ratio of a tensor, over so many elements; 0: all."""
        direct = has_direct_route(layer, tensor)
        grads = self.session.read(layer.name, (increment if direct else gradient)(tensor))
        where = self._sample(layer, tensor, grads.shape, elements)
        analytic = -np.array([grads[place] for place in where], np.float64) / self.cases
        size, first = np.linalg.norm(analytic) or 1.0, first_step(layer, tensor)
        steps, errors = [first / 2**k for k in range(HALVINGS + 1)], []
        for step in steps:
            errors.append((self._numeric(layer, tensor, where, step) - analytic) / size)
            if np.linalg.norm(errors[-1]) < THRESHOLD:
                status = "agrees" if analytic.any() else "inconclusive"
                return Ratio(status, float(np.linalg.norm(errors[-1])), step)
        best = int(np.argmin(np.linalg.norm(errors, axis=1)))
        return Ratio(_failed(steps, errors), float(np.linalg.norm(errors[best])), steps[best])

    def _numeric(self, layer: LayerSpec, tensor: str, where: Sequence[tuple[int, ...]], step: float) -> np.ndarray:
        """Rises of the cost, per case and step."""
        above, original, found = self.above(layer), self.values[layer.name][tensor], []
        for place in where:
            moved = original.copy()
            moved[place] += np.float32(step)
            self.session.write(layer.name, tensor, moved)
            self._forward(above)
            found.append((self._total() - self.cost) / (self.cases * (moved[place] - np.float64(original[place]))))
        self.session.write(layer.name, tensor, original)
        self._forward(above)
        return np.array(found)

    def _sample(self, layer: LayerSpec, tensor: str, shape: tuple[int, ...], elements: int) -> list[tuple[int, ...]]:
        order = generator(self.seed, "elements", layer.name, tensor).permutation(int(np.prod(shape)))
        return [np.unravel_index(k, shape) for k in (order[:elements] if elements else order)]

    def above(self, layer: LayerSpec) -> list[LayerSpec]:
        """The layer and all that depend on it or use its weights, in order."""
        found = {layer.name}
        for name, other in self.graph.layers.items():
            if found.intersection(other.inputs) or layer.name in other.get("weightSourceLayers", ()):
                found.add(name)
        return [other for name, other in self.graph.layers.items() if name in found]

    def _forward(self, layers: Sequence[LayerSpec]) -> None:
        for layer in layers:
            given = [self.data[layer.name]] if layer.type == "data" else None
            self.session.forward(layer.name, given, self.tape.mask(layer, self.cases, "gc"))

    def _total(self) -> float:
        return sum(layer["coeff"] * float(self.session.read(layer.name, "cost")[0]) for layer in self.costs)


def _failed(steps: Sequence[float], errors: Sequence[np.ndarray]) -> str:
    """``different`` or ``inconclusive``: what errors above the threshold with every step say."""
    rounding = np.linalg.norm(errors[-2] - errors[-1]) * steps[-1]
    telling = [k for k, step in enumerate(steps) if k and rounding / step < THRESHOLD]
    unclear = [
        k
        for k in telling
        if np.linalg.norm(errors[k]) <= np.linalg.norm(errors[k - 1] - errors[k]) + rounding / steps[k]
    ]
    return "different" if telling and not unclear else "inconclusive"


def historical_network(network: Network) -> Network:
    """The network without what the rule of 2012 cannot judge: cost.tica counts nothing."""
    return altered(network, {layer.name: {"coeff": 0.0} for layer in network.layers if layer.type == "cost.tica"})


def first_step(layer: LayerSpec, tensor: str) -> float:
    """The step that 2012 took for a tensor."""
    return (facts(layer).gradient_check or (0.0, 0.0))[index(tensor) is None]


def weighted(network: Network) -> Iterator[tuple[LayerSpec, str]]:
    """(layer, tensor) of all own parameters, layers in alphabetical order, as the engine of 2012 went."""
    graph = network.graph
    taking_part = {layer.name for layer in graph.backward_order()}
    for layer in sorted(network.layers, key=lambda layer: layer.name):
        for tensor in parameter_shapes(layer):
            if layer.name in taking_part and graph.owner(layer, tensor) == (layer.name, tensor):
                yield layer, tensor


ENGINE = "legacy-cpu"
REDRAWS = 2


class Historical:
    """The historical check of a network.

    ``network``: all learning rates positive; of `historical.historical_network`.
    ``elements``: how many elements of each tensor are moved; 0: all.
    """

    def __init__(self, network: Network, seed: int, elements: int) -> None:
        self.network, self.seed, self.elements = network, seed, elements
        self.engine = find(ENGINE)
        self._others: list[Checker] | None = None
        self.data = inputs.make(network, "random", CASES, seed).data
        self.values = {
            layer: {
                name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in tensors.items()
            }
            for layer, tensors in values(network, seed).items()
        }

    def rows(self) -> Iterator[GradientRow]:
        """Yield the row of every weight matrix and bias; one row with the reason if the engine cannot run."""
        able, reason = self.engine.probe()
        try:
            if not able:
                raise Unsupported(reason)
            checker = self.checker({})
            for layer, tensor in weighted(self.network):
                yield self._row(checker, layer, tensor)
        except Unsupported as error:
            yield GradientRow(ENGINE, "", "", "", "unsupported", note=str(error))

    def _row(self, checker: Checker, layer: LayerSpec, tensor: str) -> GradientRow:
        ratio = checker.ratio(layer, tensor, self.elements)
        elsewhere = self._elsewhere(layer, tensor) if ratio.status != "agrees" else None
        ratio = elsewhere or ratio
        status, note, step = ratio.status, "", first_step(layer, tensor)
        above = checker.above(layer)
        approximate = [other.name for other in above if other.type == "neuron" and facts(other).approximates]
        if elsewhere:
            note = "with other values; with the first ones kinks or rounding hide it"
        elif status == "agrees" and ratio.step != step:
            note = f"the step of 2012, {step}, is too coarse here"
        elif status != "agrees" and approximate:
            status, note = "by design", f"lies below {', '.join(approximate)}"
        elif status == "different":
            status, note = self._explanation(layer, tensor, above)
        return GradientRow(ENGINE, layer.name, layer.type, tensor, status, ratio.error, THRESHOLD, ratio.step, note)

    def _elsewhere(self, layer: LayerSpec, tensor: str) -> Ratio | None:
        """The Ratio with other values and another minibatch, if there the gradient agrees: a wrong one never does."""
        if self._others is None:
            seeds = [self.seed + k for k in range(1, 1 + REDRAWS)]
            self._others = [Historical(self.network, seed, self.elements).checker({}) for seed in seeds]
        found = (other.ratio(layer, tensor, self.elements) for other in self._others)
        return next((ratio for ratio in found if ratio.status == "agrees"), None)

    def _explanation(self, layer: LayerSpec, tensor: str, above: Sequence[LayerSpec]) -> tuple[str, str]:
        """Status and note of a gradient that differs: do the defects that touch the layers above explain it?

        One of them does if the gradient agrees without it, all of them together if it takes that.
        """
        types = {other.type for other in above}
        defects = [name for name, on in switches(self.engine).items() if on and LEDGER[name].kind == "defect"]
        names = [name for name in defects if not types.isdisjoint(LEDGER[name].layers)]
        status = "different"
        for together in [*([name] for name in names), names] if names else []:
            status = self.checker(dict.fromkeys(together, False)).ratio(layer, tensor, self.elements).status
            if status == "agrees":
                return "explained", f"by quirk {' with '.join(together)}"
        return status, f"without {', '.join(names)}" if status == "inconclusive" else ""

    def checker(self, settings: Mapping[str, bool]) -> Checker:
        """A `historical.Checker` of a fresh session, with these positions of quirks."""
        session = open_session(self.engine, self.network, 1, settings)
        return Checker(self.network, session, self.values, self.data, self.seed)
