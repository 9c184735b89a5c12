"""Engines with one known fault, to see whether a comparison finds it.

A fault is a layer that was given wrong values, or a layer some of whose results are wrong. Wrong results are made from
the engine's own correct ones: the same layer on other operands, with other values, or changed afterwards. All goes
through the verbs of a session, so any engine can be given any fault.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ..networks import parameter_shapes

FORWARD = ("acts", "cost")


@dataclass(frozen=True)
class Mutation:
    """What is wrong with an engine.

    Attributes
    ----------
    layer : str
        Where it is wrong.
    keys : callable or None
        ``keys(spec)`` is a dict of the layer's values that the engine gets wrong.
    results : Mapping of str to Mapping of str to callable
        By pass and tensor (``acts_grad`` being the sum over several consumers), ``wrong(layer, tensor)`` computes what
        is delivered in place of the right result, from a `CorrectLayer`.
    """

    layer: str
    keys: Callable | None = None
    results: Mapping = field(default_factory=dict)


class Mutant:
    """An engine with a fault, registered nowhere, for isolated mode.

    Parameters
    ----------
    engine : Engine
        The correct one.
    mutation : Mutation
    """

    def __init__(self, engine, mutation):
        self.engine, self.mutation = engine, mutation
        self.name = f"{engine.name}+fault"

    def probe(self):
        """As the correct engine."""
        return self.engine.probe()

    def open(self, network, threads):
        """A session of the engine, with the fault in it."""
        if self.mutation.keys:
            network = misread(network, self.mutation.layer, self.mutation.keys)
        layer = CorrectLayer(self.engine, network, threads, self.mutation.layer)
        return MutantSession(layer, self.mutation.results) if self.mutation.results else layer.session


class CorrectLayer:
    """A layer of a correct engine, to compute with.

    Attributes
    ----------
    session : Session
    spec : LayerSpec
    inputs : list of ndarray
    mask, acts_grad : ndarray or None
    parts : list
        What the running verb was given last.
    """

    def __init__(self, engine, network, threads, name):
        self.session = engine.open(network, threads)
        self.spec = network.spec[name]
        self.inputs, self.mask, self.acts_grad, self.parts = [], None, None, []
        self._origin = engine, network, threads

    def read(self, tensor):
        """A copy of a tensor."""
        return self.session.read(self.spec.name, tensor).copy()

    def compute(self, tensor, *, inputs=None, mask=None, weights=None, acts_grad=None):
        """A tensor as the layer computes it forward or backward, on the given operands or else its own.

        Parameters and momentum buffers are afterwards what they were before.
        """
        name = self.spec.name
        before = {tensor: self.read(tensor) for tensor in self._parameters()}
        for i, array in enumerate(weights or []):
            self.session.write(name, f"weights[{i}]", array)
        inputs = inputs or self.inputs
        self.session.forward(name, inputs, self.mask if mask is None else mask)
        if tensor not in FORWARD:
            self.session.backward(name, self.acts_grad if acts_grad is None else acts_grad)
        found = self.read(tensor)
        for parameter, array in before.items():
            self.session.write(name, parameter, array)
        return found

    def other(self, **keys):
        """The layer with other values, otherwise the same: a CorrectLayer of a session of its own."""
        engine, network, threads = self._origin
        twin = CorrectLayer(engine, misread(network, self.spec.name, lambda _: keys), threads, self.spec.name)
        for tensor in self._parameters():
            twin.session.write(self.spec.name, tensor, self.read(tensor))
        twin.inputs, twin.mask, twin.acts_grad = self.inputs, self.mask, self.acts_grad
        return twin

    def _parameters(self):
        own = list(parameter_shapes(self.spec))
        return own + [tensor.replace("weights", "weights_inc").replace("biases", "biases_inc") for tensor in own]


class MutantSession:
    """A session that delivers some wrong results of one layer, and is correct otherwise."""

    def __init__(self, layer, results):
        self._layer, self._results = layer, results
        self._session, self._delivered = layer.session, {}
        self.seconds = self._session.seconds

    def write(self, layer, tensor, array):
        """Set a parameter tensor."""
        self._delivered.pop((layer, tensor), None)
        self._session.write(layer, tensor, array)

    def read(self, layer, tensor):
        """A tensor, perhaps a wrong one."""
        wrong = self._delivered.get((layer, tensor))
        return self._session.read(layer, tensor) if wrong is None else wrong

    def forward(self, layer, inputs=None, mask=None):
        """One layer forward."""
        own = self._layer
        if layer == own.spec.name:
            own.inputs, own.mask = inputs, mask
            self._compute("forward")
        self._session.forward(layer, inputs, mask)

    def backward(self, layer, acts_grad=None):
        """One layer backward."""
        own = self._layer
        if layer == own.spec.name and "backward" in self._results:
            own.acts_grad = acts_grad
            self._compute("backward")
            self._session.forward(layer, own.inputs, own.mask)
        self._session.backward(layer, acts_grad)

    def sum_grad(self, layer, parts):
        """The gradient of an output that several layers read."""
        own = self._layer
        if layer == own.spec.name and "acts_grad" in self._results.get("backward", {}):
            own.parts = parts
            return self._results["backward"]["acts_grad"](own, "acts_grad")
        return self._session.sum_grad(layer, parts)

    def update(self, layer, progress=0.0):
        """One weight update of a layer."""
        if layer == self._layer.spec.name:
            self._compute("update")
        self._session.update(layer, progress)

    def release(self, layer):
        """Free what the layer holds but its parameters."""
        self._session.release(layer)

    def _compute(self, step):
        """What the layer will deliver; its correct step comes after it, and restores what this leaves behind."""
        name = self._layer.spec.name
        for tensor, wrong in self._results.get(step, {}).items():
            if tensor != "acts_grad":
                self._delivered[name, tensor] = wrong(self._layer, tensor)


def misread(network, name, keys):
    """The network with other values for one layer: those of the dict ``keys(spec)``."""
    layers = tuple(
        replace(layer, keys=MappingProxyType({**layer.keys, **keys(layer)})) if layer.name == name else layer
        for layer in network.layers
    )
    return replace(network, spec=replace(network.spec, layers=layers))
