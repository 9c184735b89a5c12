"""Who feeds whom, and which layers take part in the backward pass (network specification, section 2)."""


class Graph:
    """Facts about the layer graph that every engine has to agree on.

    Parameters
    ----------
    layers : sequence of LayerSpec
        In definition order, which is a topological order.

    Attributes
    ----------
    layers : dict of str to LayerSpec
    consumers : dict of str to list of (str, int)
        For each layer the (layer, input index) pairs that read its output.
    wants_gradient : set of str
        Layers that learn, or that lie above one that learns.
    produces : set of str
        Layers from which some path leads up to a cost with a non-zero coefficient.
    fused : dict of str to str
        Softmax layers whose only consumer is a cost.logreg, and that cost: one backward unit.
    """

    def __init__(self, layers):
        self.layers = {layer.name: layer for layer in layers}
        self.consumers = {name: [] for name in self.layers}
        for layer in layers:
            for i, source in enumerate(layer.inputs):
                self.consumers[source].append((layer.name, i))
        self.wants_gradient = set()
        for layer in layers:
            if learns(layer) or any(source in self.wants_gradient for source in layer.inputs):
                self.wants_gradient.add(layer.name)
        self.produces = set()
        for layer in reversed(layers):
            above = any(name in self.produces for name, _ in self.consumers[layer.name])
            if layer.get("coeff", 0) != 0 if is_cost(layer) else layer.type != "data" and above:
                self.produces.add(layer.name)
        self.fused = {
            layer.name: self.consumers[layer.name][0][0]
            for layer in layers
            if layer.type == "softmax"
            and [self.layers[c].type for c, _ in self.consumers[layer.name]] == ["cost.logreg"]
        }

    def backward_order(self):
        """Layers with backward work, costs first; a fused cost is part of its softmax and not listed."""
        fused_costs = set(self.fused.values())
        return [
            layer
            for name, layer in reversed(self.layers.items())
            if name in self.wants_gradient and name in self.produces and name not in fused_costs
        ]

    def contributions(self, name):
        """The (consumer, input index) pairs that add to the gradient of a layer's output, in definition order.

        Empty for costs, and for a softmax fused with its cost: their gradient starts with themselves.
        """
        if name in self.fused:
            return []
        return [(consumer, i) for consumer, i in self.consumers[name] if consumer in self.produces]

    def wanted_inputs(self, layer):
        """Indices of the inputs of a layer that want a gradient."""
        return [i for i, source in enumerate(layer.inputs) if source in self.wants_gradient]

    def label_layers(self):
        """Data layers that are read only as the first input of a cost: class labels."""
        return [
            name
            for name, layer in self.layers.items()
            if layer.type == "data"
            and self.consumers[name]
            and all(i == 0 and is_cost(self.layers[c]) for c, i in self.consumers[name])
        ]


def is_cost(layer):
    """True for the cost.* layer types."""
    return layer.type.startswith("cost.")


def learns(layer):
    """True if the layer has a parameter with a base learning rate above zero."""
    return layer.get("epsB", 0) > 0 or any(rate > 0 for rate in layer.get("epsW", ()))
