"""Random small networks that every engine can run: valid layer files over all layer types, drawn from a seed.

A network grows layer by layer; a layer reads tensors that nobody has read yet, or, less often, any tensor there is, so
that some have several readers. What nobody has read in the end goes into the last full connection, below a softmax and
its cost; some have other costs beside it.
"""

from dataclasses import dataclass
from typing import Any

from ...values.noise import generator
from . import random_costs as costs
from . import random_layers as layers
from .net_builder import LARGEST_SIDE, Builder

KINDS = (
    *(layers.conv,) * 4, *(layers.pool,) * 3, *(layers.norm,) * 2, *(layers.join,) * 2, *(layers.neuron,) * 2,
    layers.local, layers.sparse, layers.shared, layers.fc, layers.dropout, layers.nailbed, layers.blur, layers.href,
)  # fmt: skip
BELOW = (*(layers.resize, layers.colours) * 2, layers.href, layers.blur, layers.nailbed)
COSTS = (costs.squares, costs.gated_squares, costs.tica, costs.sets, costs.distribution, costs.targets)
MANY_CASES = 0.05
"""Share of networks with so many cases that a row of the port's patches can be more than one piece."""


@dataclass(frozen=True)
class RandomNet:
    """A network: its layer-definition and layer-parameter file in one text, and how it is run."""

    text: str
    # number of cases (``batch``), ``progress`` of the training, passes per update (``update_every``), and whether what
    # crosses between devices is rounded (``quantise``)
    options: dict[str, Any]


def random_net(seed: int) -> RandomNet:
    """The RandomNet of a seed."""
    random = generator(seed, "random network")
    b = Builder(random)
    b.devices = 2 if b.chance(0.2) else 1
    text, batch = _network(b), b.pick((1, 2, 3, 5, 7, 9, 12, 31, 33))
    if b.chance(MANY_CASES):
        batch = 96
    progress = round(random.uniform(0.01, 0.99), 3) if b.chance(0.5) else 0.0
    options = {"batch": batch, "progress": progress, "update_every": b.pick((1, 1, 1, 2, 3))}
    return RandomNet(text, options | {"quantise": b.devices > 1})


def _network(b: Builder) -> str:
    """The text of a whole network."""
    channels, size = b.pick((1, 2, 3, 3, 3, 4, 8)), b.integer(4, LARGEST_SIDE)
    data = b.add("data", [], (channels, size, True), attach=False, dataIdx=0, dims=channels * size**2)
    b.labels = b.section("data", [], dataIdx=1, dims=1)
    for _ in range(b.integer(0, 2) if data.size > 4 else 0):
        b.pick(BELOW)(b)
    layers.conv(b)
    for _ in range(b.integer(2, 7)):
        b.pick(KINDS)(b)
    layers.fc(b)
    for _ in range(b.pick((0, 0, 1, 2))):
        b.pick(COSTS)(b)
    costs.main(b)
    return b.net.files()[0]
