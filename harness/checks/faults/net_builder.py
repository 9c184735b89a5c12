"""What random networks are built with: the tensors there are so far, draws, and the sections of the layer file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ...network.net import Net

T = TypeVar("T")
NEURONS = (
    "relu", "relu", "abs", "logistic", "softrelu", "square", "ident", "tanh[1.5,0.5]", "linear[0.7,-0.3]",
    "brelu[0.8]", "drelu[0.6]", "nrelu",
)  # fmt: skip
POSITIVE = ("logistic", "softrelu")
SCHEDULES = (
    "linear[tgtFactor=10,noiseStdev=0]", "exp[tgtFactor=100,noiseStdev=0.2]",
    "dexp[tgtFactor=100,noiseStdev=0,numSteps=1]", "jdexp[tgtFactor=10,noiseStdev=0.5,numSteps=4]",
)  # fmt: skip
LARGEST_SIDE = 11
MOST_CHANNELS = 64


@dataclass(eq=False)
class Tensor:
    """What a layer puts out: images of ``channels`` maps and side ``size``, or units, which have the size 1."""

    name: str
    channels: int
    size: int = 1
    image: bool = True
    positive: bool = False  # all values are above 0
    learned: bool = True  # there are weights below: layers without a gradient cannot stand above
    squared: bool = False  # there is a square below: another one would lead to numbers that float32 cannot hold
    read: bool = False  # some layer reads it
    device: int = 0  # where the layer stands

    @property
    def units(self) -> int:
        """Values per case."""
        return self.channels * self.size**2

    @property
    def shape(self) -> tuple[int, int, bool]:
        """Channels, side, and whether they are images."""
        return self.channels, self.size, self.image


class Builder:
    """A network that grows."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.net = Net()
        self.labels = ""  # the layer with the classes of the cases
        self.tensors: list[Tensor] = []
        # type, inputs, output, fan-ins and keys of the layers whose weights others may share
        self.weighted: list[tuple[str, Sequence[Tensor], Tensor, Sequence[int], dict[str, Any]]] = []
        self.devices = 1  # on which the layers stand; what crosses may be rounded to half precision

    # Draws

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(self.random.integers(low, high, endpoint=True))

    def chance(self, share: float) -> bool:
        """True with that probability."""
        return self.random.random() < share

    def pick(self, options: Sequence[T]) -> T:
        """One of some."""
        return options[self.integer(0, len(options) - 1)]

    def near(self, value: float, spread: float = 0.1) -> float:
        """About a value, of either side of it."""
        return round(value * self.random.uniform(1 - spread, 1 + spread), 7)

    def tensor(self, suits: Callable[[Tensor], bool] = lambda tensor: True) -> Any:
        """A tensor that suits; rather one that nobody has read; None if there is none."""
        suitable = [tensor for tensor in self.tensors if suits(tensor)]
        unread = [tensor for tensor in suitable if not tensor.read]
        return self.pick(unread if unread and self.chance(0.75) else suitable) if suitable else None

    def neuron(self, inputs: Sequence[Tensor]) -> str:
        """A neuron for what is computed from some tensors."""
        squared = any(tensor.squared for tensor in inputs)
        return self.pick([neuron for neuron in NEURONS if not (squared and neuron == "square")])

    # Sections

    def section(self, kind: str, inputs: Sequence[str], **keys: Any) -> str:
        """Write a section; the name of its layer."""
        name = f"{kind.removeprefix('cost.')}{len(self.net.layers)}"
        if inputs and self.devices > 1:
            keys.setdefault("gpu", self.integer(0, self.devices - 1))
        self.net.add(name, kind, listed(inputs), **keys)
        return name

    def add(
        self, kind: str, inputs: Sequence[Tensor], shape: tuple[int, int, bool], attach: bool = True, **keys: Any
    ) -> Tensor:
        """Write a section, sometimes with a neuron of its own; the Tensor that it puts out, of the given shape."""
        neuron = keys.get("neuron")
        if attach and self.chance(0.35):
            neuron = keys["neuron"] = self.neuron(inputs)
        if inputs and self.devices > 1:
            keys.setdefault("gpu", self.integer(0, self.devices - 1))
            keys |= {key: "half" for key in ("quantF", "quantB") if attach and self.chance(0.4)}
        name = self.section(kind, [tensor.name for tensor in inputs], **keys)
        for tensor in inputs:
            tensor.read = True
        learned = "initW" in keys or any(tensor.learned for tensor in inputs)
        squared = neuron == "square" or any(tensor.squared for tensor in inputs)
        found = Tensor(name, *shape, neuron in POSITIVE, learned, squared, device=keys.get("gpu", 0))
        self.tensors.append(found)
        return found

    def add_weighted(
        self,
        kind: str,
        inputs: Sequence[Tensor],
        shape: tuple[int, int, bool],
        fan_in: Sequence[int],
        limits: Sequence[str] = ("wball",),
        **keys: Any,
    ) -> Tensor:
        """Write a section with weights, and remember what others need to share them."""
        found = self.add(kind, inputs, shape, **keys, **self.learning(fan_in, limits))
        self.weighted.append((kind, inputs, found, fan_in, keys))
        return found

    def learning(self, fan_in: Sequence[int], limits: Sequence[str] = ("wball",)) -> dict[str, Any]:
        """Keys of a layer with weights, with one entry per input for those that have one.

        ``fan_in``: weights per filter of every input.
        ``limits``: constraints that the layer may have; they bind for about half of the filters.
        """
        count = len(fan_in)
        initial = [round(self.random.uniform(0.5, 1.5) * rows**-0.5, 4) for rows in fan_in]
        keys = {
            "initW": listed(initial),
            "initB": self.pick((0, 0.1, 1)),
            "epsW": listed(self.pick((0, 0.01, 0.05)) if self.chance(0.3) else 0.02 for _ in range(count)),
            "epsB": self.pick((0, 0.02, 0.1)),
            "momW": listed(self.pick((0, 0.5, 0.9)) for _ in range(count)),
            "momB": self.pick((0, 0.5, 0.9)),
            "wc": listed(self.pick((0, 0.0005, 0.01)) for _ in range(count)),
        }
        for key in ("schedW", "schedB"):
            if self.chance(0.2):
                keys[key] = self.pick(SCHEDULES)
        if self.chance(0.1):
            keys["superEps"] = self.pick((0.2, 1))
        scales = [self.near(scale * rows**-0.5) for scale, rows in zip(initial, fan_in, strict=True)]
        if "wball" in limits and self.chance(0.15):
            keys["wball"] = listed(scales)
        if "wcNorm" in limits and min(fan_in) > 1 and self.chance(0.15):
            keys |= {"wcNormMin": listed(round(0.95 * a, 7) for a in scales), "wcNormMax": listed(scales)}
        return keys


def listed(values: Iterable[object]) -> str:
    """Values parted by commas."""
    return ",".join(map(str, values))
