"""The layer graph: who feeds whom, who learns (network-and-solver 2 and 7)."""

from collections.abc import Sequence

from .config import LayerSpec


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
        A softmax whose only consumer is a cost.logreg or cost.crossent, or a logistic neuron whose only consumer is a
        cost.crossent2, and that cost.
    """

    def __init__(self, layers: Sequence[LayerSpec]) -> None:
        self.consumers: dict[str, list[tuple[str, int]]] = {spec.name: [] for spec in layers}
        for spec in layers:
            for i, source in enumerate(spec.inputs):
                self.consumers[source].append((spec.name, i))
        self.wants_gradient: set[str] = set()
        for spec in layers:
            if spec["gradConsumer"] or not self.wants_gradient.isdisjoint(spec.inputs):
                self.wants_gradient.add(spec.name)
        self.produces: set[str] = set()
        for spec in reversed(layers):
            above = not self.produces.isdisjoint(name for name, _ in self.consumers[spec.name])
            if spec.get("coeff", 0) != 0 if spec.type.startswith("cost.") else above and spec.type != "data":
                self.produces.add(spec.name)
        self.fused: dict[str, str] = {}
        specs = {spec.name: spec for spec in layers}
        for spec in layers:
            readers = self.consumers[spec.name]
            if len(readers) == 1 and readers[0][1] == 1 and specs[readers[0][0]].type in _partners(spec):
                self.fused[spec.name] = readers[0][0]

    def contributions(self, name: str) -> int:
        """How many contributions the gradient of a layer's output is the sum of."""
        return sum(reader in self.produces for reader, _ in self.consumers[name])


def _partners(spec: LayerSpec) -> tuple[str, ...]:
    """The types of cost that go backward in one step with the layer if they are its only consumer."""
    if spec.type == "softmax":
        return ("cost.logreg", "cost.crossent")
    return ("cost.crossent2",) if spec.type == "neuron" and spec["neuron"]["type"] == "logistic" else ()
