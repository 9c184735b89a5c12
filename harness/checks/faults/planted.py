"""Engines with one known fault, to see whether a comparison finds it.

A fault is a layer that was given wrong values, or a layer some of whose results are wrong. Wrong results are made from
the engine's own correct ones: the same layer on other operands, with other values, or changed afterwards. All goes
through the verbs of a session, so any engine can be given any fault.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...engines.protocol import Engine, Session
from ...engines.wrapped import WrappedEngine, WrappedSession
from ...network.load import LayerSpec, Network, altered, parameter_shapes
from ...network.tensors import increment

FORWARD = ("acts", "cost")
ASIDE = ("filterConns", "schedule_normals")


@dataclass(frozen=True)
class Mutation:
    """What is wrong with an engine."""

    layer: str  # where it is wrong
    # ``keys(spec)`` is a dict of the layer's values that the engine gets wrong
    keys: Callable[[LayerSpec], dict[str, Any]] | None = None
    # by pass and tensor (``acts_grad`` being the sum over several consumers), ``wrong(layer, tensor)`` computes what is
    # delivered in place of the right result, from a `CorrectLayer`
    results: Mapping[str, Mapping[str, "Callable[[CorrectLayer, str], np.ndarray]"]] = field(default_factory=dict)
    # by tensor, ``changed(spec, array)``, what the layer is given in place of an array that is written to it
    written: Mapping[str, Callable[[LayerSpec, np.ndarray], np.ndarray]] = field(default_factory=dict)


class Mutant(WrappedEngine):
    """An engine with a fault, registered nowhere, for isolated mode.

    ``engine``: the correct one.
    """

    def __init__(self, engine: Engine, mutation: Mutation) -> None:
        super().__init__(engine, f"{engine.name}+fault")
        self.mutation = mutation

    def open(self, network: Network, threads: int) -> Any:
        """A session of the engine, with the fault in it."""
        mutation = self.mutation
        if mutation.keys:
            network = altered(network, {mutation.layer: mutation.keys(network.spec[mutation.layer])})
        session = self.engine.open(network, threads)
        if not mutation.results and not mutation.written:
            return session
        return MutantSession(session, CorrectLayer(self.engine, network, threads, session, mutation), mutation)


class CorrectLayer:
    """A layer of a correct engine, to compute with while the session of the engine runs."""

    def __init__(self, engine: Engine, network: Network, threads: int, session: Session, mutation: Mutation) -> None:
        self.session, self.spec = session, network.spec[mutation.layer]
        # what the layer's verbs were given last
        self.inputs: Sequence[np.ndarray] = []
        self.cost_inputs: Sequence[np.ndarray] = []
        self.parts: Sequence[tuple[str, int, np.ndarray]] = []
        self.mask: Any = None
        self.acts_grad: Any = None
        self.progress = 0.0
        # what was written that is no parameter: sparse connections, and normals for the noise of rates
        self.given: dict[str, np.ndarray] = {}
        self._origin = engine, network, threads
        self.cost = network.graph.fused.get(self.spec.name)

    def read(self, tensor: str) -> np.ndarray:
        """A copy of a tensor."""
        return self.session.read(self.spec.name, tensor).copy()

    def compute(
        self,
        tensor: str,
        *,
        keys: dict[str, Any] | None = None,
        inputs: Sequence[np.ndarray] | None = None,
        mask: np.ndarray | None = None,
        weights: Sequence[np.ndarray] = (),
        acts_grad: np.ndarray | None = None,
    ) -> np.ndarray:
        """A tensor that the layer computes forward or backward: a session aside, so that nothing is left behind.

        ``keys``: values that the layer has there in place of its own.
        ``inputs``, ``mask``, ``weights``, ``acts_grad``: operands in place of the layer's own; an empty mask is none.
        """
        name, inputs = self.spec.name, inputs or self.inputs
        engine, network, threads = self._origin
        aside = engine.open(altered(network, {name: keys or {}}), threads)
        for own, array in self.given.items():
            aside.write(name, own, array)
        for parameter in parameter_shapes(self.spec):
            owner, held = network.graph.owner(self.spec, parameter)
            for own in (held, increment(held)):
                aside.write(owner, own, self.session.read(owner, own).copy())
        for i, array in enumerate(weights):
            aside.write(name, f"weights[{i}]", array)
        mask = self.mask if mask is None else mask
        aside.forward(name, inputs, None if mask is None or not mask.size else mask)
        if self.cost and self.cost_inputs:
            aside.forward(self.cost, self.cost_inputs)
        if tensor not in FORWARD:
            aside.backward(name, self.acts_grad if acts_grad is None else acts_grad, self.progress)
        return aside.read(name, tensor).copy()


class MutantSession(WrappedSession):
    """A session that delivers some wrong results of one layer, and is correct otherwise."""

    def __init__(self, session: Session, layer: CorrectLayer, mutation: Mutation) -> None:
        super().__init__(session)
        self._layer = layer
        self._results, self._written = mutation.results, mutation.written
        self._delivered: dict[tuple[str, str], np.ndarray] = {}

    def write(self, layer: str, tensor: str, array: np.ndarray) -> None:
        self._delivered.pop((layer, tensor), None)
        if layer == self._layer.spec.name:
            changed = self._written.get(tensor)
            array = changed(self._layer.spec, array) if changed else array
            if tensor.startswith(ASIDE):
                self._layer.given[tensor] = array
        self._session.write(layer, tensor, array)

    def read(self, layer: str, tensor: str) -> np.ndarray:
        """A tensor, perhaps a wrong one."""
        wrong = self._delivered.get((layer, tensor))
        return self._session.read(layer, tensor) if wrong is None else wrong

    def forward(self, layer: str, inputs: Sequence[np.ndarray] | None = None, mask: np.ndarray | None = None) -> None:
        own = self._layer
        if layer == own.cost:
            own.cost_inputs = inputs or []
        if layer == own.spec.name:
            own.inputs, own.mask = inputs or [], mask
            self._compute("forward")
        self._session.forward(layer, inputs, mask)

    def backward(self, layer: str, acts_grad: np.ndarray | None = None, progress: float = 0.0) -> None:
        if layer == self._layer.spec.name:
            self._layer.acts_grad, self._layer.progress = acts_grad, progress
            self._compute("backward")
        self._session.backward(layer, acts_grad, progress)

    def sum_grad(self, layer: str, parts: Sequence[tuple[str, int, np.ndarray]]) -> np.ndarray:
        wrong = self._results.get("backward", {}).get("acts_grad")
        if layer != self._layer.spec.name or wrong is None:
            return self._session.sum_grad(layer, parts)
        self._layer.parts = parts
        return wrong(self._layer, "acts_grad")

    def update(self, layer: str, progress: float = 0.0) -> None:
        if layer == self._layer.spec.name:
            self._compute("update")
        self._session.update(layer, progress)

    def _compute(self, step: str) -> None:
        """What the layer will deliver in place of the results of its correct step, which comes after it."""
        for tensor, wrong in self._results.get(step, {}).items():
            if tensor != "acts_grad":
                self._delivered[self._layer.spec.name, tensor] = wrong(self._layer, tensor)
