"""The ends of random networks: softmax and cost above all that nobody has read, and costs beside them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .net_builder import Builder, Tensor

CLASSES = (2, 5, 10, 17)
BOUNDED = {"neuron": "tanh[4,0.25]"}
"""For logits of probabilities whose logarithm is taken, or that something is divided by: 0 would make it infinite."""


def main(b: Builder) -> None:
    """The last full connection over all that nobody has read, softmax and cost; sometimes a second pair above.

    Sometimes the classes are the leaves of a tree.
    """
    classes = b.pick(CLASSES)
    unread = [tensor for tensor in b.tensors if not tensor.read] or [b.pick(b.tensors)]
    while True:
        last, beside = b.chance(0.75), b.chance(0.1)
        top = _top(b, unread, classes, BOUNDED if beside or not last else {})
        probs = b.add("softmax", [top], (classes, 1, False), attach=False)
        if beside:
            _another_reader(b, probs)
        b.section("cost.logreg", [b.labels, probs.name], coeff=_coeff(b), topk=b.integer(1, min(5, classes)))
        if last:
            return
        unread = [probs]


def _top(b: Builder, inputs: Sequence[Tensor], classes: int, more: Mapping[str, Any]) -> Tensor:
    keys = b.learning([tensor.units for tensor in inputs]) | {"epsB": 0.02}
    if b.chance(0.8):
        return b.add("fc", inputs, (classes, 1, False), attach=False, outputs=classes, **keys, **more)
    units = b.integer(129, 160) if b.chance(0.2) else b.integer(4, 24)
    below = b.add("fc", inputs, (units, 1, False), outputs=units, **keys)
    keys = b.learning([units], ()) | {"tree": _tree(b, classes)}
    return b.add("treefc", [below], (classes, 1, False), attach=False, **keys, **more)


def _tree(b: Builder, classes: int) -> str:
    """A class tree as its key says it: pairs and triples of nodes, until one is left."""
    nodes, count, inner = list(range(classes)), classes, []
    while len(nodes) > 1:
        below = [nodes.pop(b.integer(0, len(nodes) - 1)) for _ in range(min(len(nodes), b.integer(2, 3)))]
        inner.append(" ".join(map(str, below)))
        nodes.append(count)
        count += 1
    return ", ".join(inner)


def _coeff(b: Builder) -> float:
    return b.pick((1, 0.5, 0.25))


# Costs beside it


def squares(b: Builder) -> None:
    """Σ x²."""
    _cost(b, "cost.sum2", [_learned(b)], coeff=b.pick((0.02, 0.001)))


def gated_squares(b: Builder) -> None:
    """Σ q x², with gates that are learned or not; sometimes of a single value."""
    values = _head(b, 1) if b.chance(0.3) else _learned(b)
    gate = _head(b, 1) if b.chance(0.5) else _data(b, 1)
    _cost(b, "cost.gsum2", [gate, values], coeff=b.pick((0.02, 0.001)))


def tica(b: Builder) -> None:
    """Topographic components, on images in 16s of channels."""
    wide = [tensor for tensor in b.tensors if tensor.image and tensor.channels % 16 == 0 and tensor.size > 2]
    source = b.tensor(lambda tensor: tensor.learned and tensor in wide)
    if source is not None:
        _cost(b, "cost.tica", [source], coeff=0.01, channels=source.channels, sizeX=b.integer(1, min(5, source.size)))


def sets(b: Builder) -> None:
    """Sets of classes, with energies of their own."""
    classes = b.integer(4, 17)
    energies = _head(b, classes, BOUNDED)
    keys = {"setSize": b.integer(1, classes - 1), "threads": b.integer(1, 3)}
    _cost(b, "cost.msm", [Tensor(b.labels, 1), energies], coeff=_coeff(b), **keys)


def distribution(b: Builder) -> None:
    """Cross entropy of a softmax with a distribution."""
    classes = b.pick(CLASSES)
    probs = b.add("softmax", [_head(b, classes, BOUNDED)], (classes, 1, False), attach=False)
    if b.chance(0.4):
        _another_reader(b, probs)
    _cost(b, "cost.crossent", [_data(b, classes), probs], coeff=_coeff(b))


def targets(b: Builder) -> None:
    """Cross entropy, or the logarithm of squares, of a logistic neuron with targets."""
    units = b.integer(2, 12)
    values = b.add("neuron", [_head(b, units, BOUNDED)], (units, 1, False), attach=False, neuron="logistic")
    values.positive = True
    if b.chance(0.4):
        _another_reader(b, values)
    _cost(b, b.pick(("cost.crossent2", "cost.rflickr")), [_data(b, units), values], coeff=_coeff(b))


def _head(b: Builder, units: int, more: Mapping[str, Any] = MappingProxyType({})) -> Tensor:
    source = _learned(b)
    return b.add("fc", [source], (units, 1, False), attach=False, outputs=units, **b.learning([source.units]), **more)


def _another_reader(b: Builder, tensor: Tensor) -> None:
    """A second cost of what one cost reads: then that one's gradient is not one with that of the neuron below."""
    _cost(b, "cost.sum2", [tensor], coeff=b.pick((0.02, 0.001)))


def _learned(b: Builder) -> Tensor:
    return b.tensor(lambda tensor: tensor.learned)


def _data(b: Builder, units: int) -> Tensor:
    """What a cost reads beside its values."""
    return Tensor(b.section("data", [], dataIdx=len(b.net.layers), dims=units), units, learned=False)


def _cost(b: Builder, kind: str, inputs: Sequence[Tensor], **keys: Any) -> None:
    b.section(kind, [tensor.name for tensor in inputs], **keys)
    for tensor in inputs:
        tensor.read = True
