"""Networks: the layer graph and the passes over it (network-and-solver specification, section 2).

The objective is minus the weighted sum of the costs. All gradients are gradients of the objective, and weights move
along them.
"""

import numpy as np

from .ini import ConfigError
from .layers import make_layer


class Graph:
    """Who feeds whom, and who takes part in the backward pass.

    Parameters
    ----------
    layers : sequence of config.LayerSpec
        In an order in which inputs come first.

    Attributes
    ----------
    consumers : dict of str to list of (str, int)
        The (layer, input index) pairs that read a layer.
    wants_gradient : set of str
        Layers that learn, and all layers above one that learns.
    produces : set of str
        Layers from which a path leads up to a cost whose coefficient is not 0.
    fused : dict of str to str
        A softmax whose only consumer is a cost.logreg, and that cost.
    """

    def __init__(self, layers):
        self.consumers = {spec.name: [] for spec in layers}
        for spec in layers:
            for i, source in enumerate(spec.inputs):
                self.consumers[source].append((spec.name, i))
        self.wants_gradient = set()
        for spec in layers:
            if spec["gradConsumer"] or not self.wants_gradient.isdisjoint(spec.inputs):
                self.wants_gradient.add(spec.name)
        self.produces = set()
        for spec in reversed(layers):
            above = not self.produces.isdisjoint(name for name, _ in self.consumers[spec.name])
            if spec.get("coeff", 0) != 0 if spec.type.startswith("cost.") else above and spec.type != "data":
                self.produces.add(spec.name)
        types = {spec.name: spec.type for spec in layers}
        self.fused = {
            name: readers[0][0]
            for name, readers in self.consumers.items()
            if types[name] == "softmax" and [types[reader] for reader, _ in readers] == ["cost.logreg"]
        }

    def contributions(self, name):
        """How many contributions the gradient of a layer's output is the sum of."""
        return sum(reader in self.produces for reader, _ in self.consumers[name])


class Network:
    """A network that runs.

    Parameters
    ----------
    spec : config.NetworkSpec
    dtype : numpy dtype
        float32, or float64 (gradient checks).
    seed : int
        Of the dropout masks and schedule noise that are not given from outside.

    Attributes
    ----------
    layers : dict of str to Layer
        In definition order.
    graph : Graph

    Raises
    ------
    config.ConfigError
        The spec has no parameters.
    layers.UnsupportedLayer
        The port has no operation for a layer; a ConfigError and a NotImplementedError.
    """

    def __init__(self, spec, dtype=np.float32, seed=0):
        if not spec.has_params:
            raise ConfigError("the network has no parameters", hint="give load_network the layer-parameter file too")
        self.spec, self.graph = spec, Graph(spec.layers)
        rng = np.random.default_rng(seed)
        self.layers = {layer.name: make_layer(layer, dtype, rng) for layer in spec}
        for softmax, cost in self.graph.fused.items():
            self.layers[softmax].fused_cost = self.layers[cost]

    def initialise(self, rng, ignore_functions=False):
        """Draw all weights in definition order: N(0, initW²), biases initB, Δ = 0.

        Parameters
        ----------
        rng : numpy.random.Generator
        ignore_functions : bool
            Do so also for layers whose weights should come from an earlier checkpoint (``initWFunc``, ``initBFunc``).

        Raises
        ------
        config.ConfigError
            A layer wants its weights from a checkpoint.
        """
        for layer in self.layers.values():
            if hasattr(layer, "initialise"):
                named = [key for key in ("initWFunc", "initBFunc") if layer.spec[key]]
                if named and not ignore_functions:
                    hint = "initialise(rng, ignore_functions=True) draws them instead"
                    raise layer.spec.error("its weights come from an earlier checkpoint", key=named[0], hint=hint)
                layer.initialise(rng)

    def forward(self, data, pass_type="train", masks=None):
        """One forward pass.

        Parameters
        ----------
        data : dict of str to ndarray, (units, N)
            A matrix for every data layer.
        pass_type : str
            ``train``, ``test`` or ``gc``.
        masks : dict of str to ndarray, optional
            Dropout masks by layer; those missing are drawn.

        Returns
        -------
        dict of str to ndarray
            The numbers every cost layer reports, float64 sums over the images.
        """
        for name, layer in self.layers.items():
            if layer.spec.type == "data":
                if name not in data:
                    raise ValueError(f"no values for the data layer {name}; hint: forward({{{name!r}: array, ...}})")
                layer.feed(data[name])
            else:
                self.forward_layer(name, pass_type, (masks or {}).get(name))
        return {name: layer.cost for name, layer in self.layers.items() if layer.cost is not None}

    def forward_layer(self, name, pass_type="train", mask=None):
        """Run one layer forward from the outputs of the layers below."""
        layer = self.layers[name]
        return layer.forward([self.layers[source].acts for source in layer.spec.inputs], pass_type, mask)

    def backward(self, progress=0.0):
        """The backward pass, costs first.

        Parameters
        ----------
        progress : float
            Share of the training that is done, for the rates of the direct route.
        """
        for layer in self.layers.values():
            layer.acts_grad = None
        fused_costs = set(self.graph.fused.values())
        for name in reversed(self.layers):
            if name in self.graph.produces and name in self.graph.wants_gradient and name not in fused_costs:
                self.backward_layer(name, progress)

    def backward_layer(self, name, progress=0.0):
        """Run one layer backward from its own ``acts_grad`` and add to that of the layers below: first writes."""
        layer = self.layers[name]
        found = layer.backward(layer.acts_grad, self.wanted(name), progress)
        for source, grads in zip(layer.spec.inputs, found, strict=True):
            if grads is not None:
                self.layers[source].acts_grad = _add(self.layers[source].acts_grad, grads)

    def wanted(self, name):
        """Which inputs of a layer want a gradient."""
        return [source in self.graph.wants_gradient for source in self.layers[name].spec.inputs]

    def sum_grad(self, parts):
        """The gradient of an output read by several layers, as `backward` accumulates it.

        Parameters
        ----------
        parts : list of (str, int, ndarray)
            Consumer, which of its inputs, and the gradient of the consumer's output.

        Returns
        -------
        ndarray, (units, N)
        """
        total = None
        for name, i, acts_grad in parts:
            layer = self.layers[name]
            only = [k == i for k in range(len(layer.spec.inputs))]
            acts_grad = None if acts_grad is None else np.ascontiguousarray(acts_grad, layer.dtype)
            total = _add(total, layer.inputs_grad(acts_grad, only)[i])
        return total

    def update(self, progress=0.0, normal=None):
        """One update of every parameter that learns; arguments as `Layer.update`."""
        for name, layer in self.layers.items():
            if name in self.graph.produces:
                layer.update(progress, normal)

    def seconds(self, name, step):
        """Wall seconds of the last ``forward``, ``backward`` or ``update`` of a layer."""
        return self.layers[name].seconds[step]

    @property
    def total_cost(self):
        """Sum of coefficient times first number over the cost layers, for all images of the last forward pass."""
        priced = [layer for layer in self.layers.values() if layer.cost is not None]
        return sum(layer.spec["coeff"] * layer.cost[0] for layer in priced)


def _add(total, grads):
    """total + grads; `grads` itself where there is no total yet."""
    if total is None:
        return grads
    total += grads
    return total
