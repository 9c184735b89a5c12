"""The layer graph: which layer reads which, and which layers learn (network-and-solver 2 and 7)."""

from collections.abc import Sequence

from .config import LayerSpec


class Graph:
    """Which layer reads which, and which take part in the backward pass; each layer stands after its inputs."""

    def __init__(self, layers: Sequence[LayerSpec]) -> None:
        # the (layer, input index) pairs that read a layer
        self.consumers: dict[str, list[tuple[str, int]]] = {spec.name: [] for spec in layers}
        for spec in layers:
            for i, source in enumerate(spec.inputs):
                self.consumers[source].append((spec.name, i))
        self.wants_gradient: set[str] = set()  # layers that learn, and all layers above one that learns
        for spec in layers:
            if spec["gradConsumer"] or not self.wants_gradient.isdisjoint(spec.inputs):
                self.wants_gradient.add(spec.name)
        self.produces: set[str] = set()  # layers from which a path leads up to a cost whose coefficient is not 0
        for spec in reversed(layers):
            above = not self.produces.isdisjoint(name for name, _ in self.consumers[spec.name])
            if spec.get("coeff", 0) != 0 if spec.type.startswith("cost.") else above and spec.type != "data":
                self.produces.add(spec.name)
        # for each layer that goes backward in one step with its cost, the name of the cost: a softmax whose only
        # consumer is a cost.logreg or cost.crossent, a logistic neuron whose only consumer is a cost.crossent2
        self.fused: dict[str, str] = {}
        specs = {spec.name: spec for spec in layers}
        for spec in layers:
            readers = self.consumers[spec.name]
            if len(readers) == 1 and readers[0][1] == 1 and specs[readers[0][0]].type in _partners(spec):
                self.fused[spec.name] = readers[0][0]

    def contributions(self, name: str) -> int:
        """The number of contributions that add up to the gradient of a layer's output."""
        return sum(reader in self.produces for reader, _ in self.consumers[name])


def _partners(spec: LayerSpec) -> tuple[str, ...]:
    """The types of cost that go backward in one step with the layer, if the cost is the only consumer."""
    if spec.type == "softmax":
        return ("cost.logreg", "cost.crossent")
    return ("cost.crossent2",) if spec.type == "neuron" and spec["neuron"]["type"] == "logistic" else ()
