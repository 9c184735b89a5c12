"""Who feeds whom, and which layers take part in the backward pass (network-and-solver 2)."""

from collections.abc import Sequence

from ..reference import facts
from ..reference.layer import LayerSpec
from .tensors import index


class Graph:
    """Facts about the layer graph that every engine has to agree on.

    The layers stand in definition order, which is a topological order. `quantise`: what goes between devices is rounded
    to half precision where the layers say so.
    """

    def __init__(self, layers: Sequence[LayerSpec], quantise: bool = False) -> None:
        self.quantise = quantise
        self.layers = {layer.name: layer for layer in layers}
        # for each layer the (layer, input index) pairs that read its output
        self.consumers: dict[str, list[tuple[str, int]]] = {name: [] for name in self.layers}
        for layer in layers:
            for i, source in enumerate(layer.inputs):
                self.consumers[source].append((layer.name, i))
        self.wants_gradient: set[str] = set()  # layers that learn, or that lie above one that learns
        for layer in layers:
            if learns(layer) or any(source in self.wants_gradient for source in layer.inputs):
                self.wants_gradient.add(layer.name)
        # layers from which some path leads up to a cost with a non-zero coefficient, other than as its labels
        self.produces: set[str] = set()
        # softmax layers whose only consumer is a cost.logreg or cost.crossent, logistic neurons whose only consumer is
        # a cost.crossent2, and that cost: one backward unit
        self.fused: dict[str, str] = {}
        for layer in reversed(layers):
            above = bool(self.contributions(layer.name))
            if layer.get("coeff", 0) != 0 if is_cost(layer) else layer.type != "data" and above:
                self.produces.add(layer.name)
        for layer in layers:
            match self.consumers[layer.name]:
                case [(reader, 1)] if self.layers[reader].type in facts(layer).fuses_with:
                    self.fused[layer.name] = reader

    def backward_order(self) -> list[LayerSpec]:
        """Layers with backward work, costs first; a fused cost is part of its softmax and not listed."""
        fused_costs = set(self.fused.values())
        return [
            layer
            for name, layer in reversed(self.layers.items())
            if name in self.wants_gradient and name in self.produces and name not in fused_costs
        ]

    def contributions(self, name: str) -> list[tuple[str, int]]:
        """The (consumer, input index) pairs that add to the gradient of a layer's output.

        In the order of a backward pass, the last consumer first. Empty for costs, and for a layer fused with its cost:
        their gradient starts with themselves.
        """
        if name in self.fused:
            return []
        place = {consumer: k for k, (consumer, _) in enumerate(self.consumers[name])}
        return [
            (consumer, i)
            for consumer, i in sorted(self.consumers[name], key=lambda pair: -place[pair[0]])
            if consumer in self.produces and not reads_constants(self.layers[consumer], i)
        ]

    def crosses(self, source: str, reader: str, quantiser: str) -> bool:
        """Whether what goes between two layers is rounded on its way, by ``quantF`` or ``quantB`` of the lower one."""
        below, above = self.layers[source], self.layers[reader]
        rounds = self.quantise and below.type != "data" and below[quantiser]["type"] == "half"
        return rounds and _device(below) != _device(above)

    def sends_from(self, name: str, consumer: str) -> int | None:
        """The device on which a consumer's gradients are summed before they cross, None if that is the layer's own."""
        return _device(self.layers[consumer]) if self.crosses(name, consumer, "quantB") else None

    def wanted_inputs(self, layer: LayerSpec) -> list[int]:
        """Indices of the inputs of a layer that want a gradient."""
        return [
            i
            for i, source in enumerate(layer.inputs)
            if source in self.wants_gradient and not reads_constants(layer, i)
        ]

    def sharing(self) -> set[str]:
        """Names of the layers that have a weight matrix in common with another one: set of str."""
        lent = {layer.name: set(layer.get("weightSourceLayers", ())) - {""} for layer in self.layers.values()}
        return set().union(*lent.values(), (name for name, lenders in lent.items() if lenders))

    def owner(self, layer: LayerSpec, tensor: str) -> tuple[str, str]:
        """The (layer name, tensor) that holds a parameter tensor of a layer: another one where weights are shared."""
        i, sources = index(tensor), layer.get("weightSourceLayers", ())
        if i is None or not any(sources) or not sources[i]:
            return layer.name, tensor
        return self.owner(self.layers[sources[i]], f"weights[{layer['weightSourceMatrixIndices'][i]}]")

    def fused_with_cost(self, name: str) -> tuple[str, str | None, float]:
        """For a layer fused with its cost: (the layer its labels come from, their name, the coefficient)."""
        cost = self.layers[self.fused[name]]
        return cost.inputs[0], facts(cost).fused_labels, cost["coeff"]


def _device(layer: LayerSpec) -> int:
    """Where a layer stood; an inherited -1 counts as 0."""
    return max(layer.get("gpu", 0), 0)


def is_cost(layer: LayerSpec) -> bool:
    """True for the cost.* layer types."""
    return layer.type.startswith("cost.")


def reads_constants(layer: LayerSpec, i: int) -> bool:
    """True for the labels or targets of a cost, which get no gradient; gates do."""
    return i == 0 and facts(layer).labels not in (None, "gates")


def learns(layer: LayerSpec) -> bool:
    """True if the layer has a parameter with a base learning rate above zero."""
    return layer.get("epsB", 0) > 0 or any(rate > 0 for rate in layer.get("epsW", ()))
