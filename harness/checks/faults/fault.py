"""What a fault of the catalogue is, and the words in which it is written down.

A wrong result is a function ``wrong(layer, tensor)`` of a `CorrectLayer`; the helpers below make one from a change to
what goes into the layer or to what comes out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ...network.load import LayerSpec
from ...network.net import Net, sections
from .planted import CorrectLayer, Mutation

Wrong = Callable[[CorrectLayer, str], np.ndarray]
"""What a layer delivers in place of a tensor."""
Change = Callable[[CorrectLayer, np.ndarray], np.ndarray]
Keys = Callable[[LayerSpec], dict[str, Any]]
Given = Callable[[LayerSpec, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Fault:
    """Something that a person porting the engine gets wrong, and where a comparison has to report it."""

    name: str
    story: str  # what went wrong, in one line
    scene: str  # the network it is run on: a layer-definition and a layer-parameter file in one text
    mutation: Mutation
    places: frozenset[tuple[str, ...]]  # the layer, pass and tensor of every row that must fail
    status: str = "different"  # the verdict there
    input: str = "random"  # ``random``, or ``exact`` for values with many ties and zeros
    progress: float = 0.0  # the share of the training that is done
    update_every: int = 1  # backward passes per update

    @property
    def scene_arguments(self) -> tuple[str, str, float, int]:
        """The arguments of `examine.scene` but for the seed."""
        return self.scene, self.input, self.progress, self.update_every


def misread(name: str, story: str, scene: str, layer: str, keys: Keys, shows: str, **rest: Any) -> Fault:
    """A Fault of a layer that was given wrong values: ``keys(spec)`` is a dict of them.

    `shows` is ``pass tensor``, several parted by commas; ``layer pass tensor`` where it shows at another layer. The
    other parameters are fields of `Fault`.
    """
    return Fault(name, story, scene, Mutation(layer, keys), _places(layer, shows), **rest)


def misgiven(
    name: str, story: str, scene: str, layer: str, written: Mapping[str, Given], shows: str, **rest: Any
) -> Fault:
    """A Fault of a layer that was given wrong arrays; parameters as `misread`.

    `written` has, by tensor, ``changed(spec, array)``, what arrives in place of the array.
    """
    return Fault(name, story, scene, Mutation(layer, written=written), _places(layer, shows), **rest)


def miscomputed(
    name: str,
    story: str,
    scene: str,
    layer: str,
    *,
    acts: Wrong | None = None,
    cost: Wrong | None = None,
    grad: Wrong | None = None,
    backward: Mapping[str, Wrong] = MappingProxyType({}),
    update: Mapping[str, Wrong] = MappingProxyType({}),
    **rest: Any,
) -> Fault:
    """A Fault of a layer some of whose results are wrong.

    ``wrong(layer, tensor)`` is what is delivered in place of the outputs (`acts`), of the `cost`, of the gradient of
    input 0 (`grad`), and by name in place of other tensors of the `backward` pass and the `update`.
    """
    forward = {"acts": acts, "cost": cost}
    steps: dict[str, Mapping[str, Wrong | None]]
    steps = {"forward": forward, "backward": {GRADIENT: grad, **backward}, "update": update}
    found = {step: {tensor: wrong for tensor, wrong in own.items() if wrong} for step, own in steps.items()}
    results = {step: own for step, own in found.items() if own}
    places = frozenset((layer, step, tensor) for step, wrong in results.items() for tensor in wrong)
    return Fault(name, story, scene, Mutation(layer, results=results), places, **rest)


def _places(layer: str, shows: str) -> frozenset[tuple[str, ...]]:
    words = [place.split() for place in shows.split(",")]
    return frozenset((layer, *place) if len(place) == 2 else tuple(place) for place in words)


BOTH = "forward acts, backward inputs_grad[0]"
GRADIENT = "inputs_grad[0]"


# Wrong results


def on_input(change: Change, i: int = 0) -> Wrong:
    """The right result for ``change(layer, inputs[i])``."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        inputs = list(layer.inputs)
        inputs[i] = np.ascontiguousarray(change(layer, inputs[i]))
        return layer.compute(tensor, inputs=inputs)

    return wrong


def on_weights(change: Change) -> Wrong:
    """The right result for ``change(layer, weights)``, at every input."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        count = len(layer.spec["weightShapes"])
        return layer.compute(tensor, weights=[change(layer, layer.read(f"weights[{i}]")) for i in range(count)])

    return wrong


def on_grad(change: Change) -> Wrong:
    """The right result for ``change(layer, acts_grad)``."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        return layer.compute(tensor, acts_grad=np.ascontiguousarray(change(layer, layer.acts_grad)))

    return wrong


def on_result(change: Change) -> Wrong:
    """``change(layer, result)``."""
    return lambda layer, tensor: np.ascontiguousarray(change(layer, layer.compute(tensor)))


def to_half(layer: CorrectLayer, x: np.ndarray) -> np.ndarray:
    """Rounded to half precision."""
    return x.astype(np.float16).astype(np.float32)


def passed_on(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The gradient as it came."""
    return layer.acts_grad.copy()


def alone(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """What the layer alone makes, or one pass."""
    return layer.compute(tensor)


def only_direct(layer: CorrectLayer, tensor: str) -> np.ndarray:
    """The gradient of a normalisation with its denominators taken for constants."""
    return layer.acts_grad * layer.compute("acts") / layer.inputs[0]


def window_turned(turn: Callable[[np.ndarray], np.ndarray]) -> Wrong:
    """The result of even windows that reach further to the other side; ``turn`` turns images, (channels, S, S, N)."""

    def wrong(layer: CorrectLayer, tensor: str) -> np.ndarray:
        def turned(x: np.ndarray) -> np.ndarray:
            return flat(turn(planes(x, layer.spec["channels"])))

        grad = None if layer.acts_grad is None else turned(layer.acts_grad)
        return turned(layer.compute(tensor, inputs=[turned(layer.inputs[0])], acts_grad=grad))

    return wrong


def both(wrong: Wrong) -> dict[str, Any]:
    """Wrong in the same way forward and backward."""
    return {"acts": wrong, "grad": wrong}


# Shapes


def planes(x: np.ndarray, channels: int) -> np.ndarray:
    """(channels * S * S, N) as (channels, S, S, N)."""
    side = round((len(x) // channels) ** 0.5)
    return x.reshape(channels, side, side, -1)


def flat(x: np.ndarray) -> np.ndarray:
    """The reverse of `planes`."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1])


def box(x: Any, size: int) -> np.ndarray:
    """Sums of (C, S, S, N) over clipped windows that reach further up than down."""
    for axis in (1, 2):
        framed = np.pad(x, [(size // 2, size) if k == axis else (0, 0) for k in range(4)])
        x = sum(framed.take(range(k, k + x.shape[axis]), axis) for k in range(size))
    return x


def solver_step(layer: CorrectLayer) -> tuple[Any, ...]:
    """W, Δ and G of the first weights of a layer, and their ε, μ and λ."""
    arrays = (layer.read(name) for name in ("weights[0]", "weights_inc[0]", "weights_grad[0]"))
    return *arrays, *(np.float32(layer.spec[key][0]) for key in ("epsW", "momW", "wc"))


def cases(layer: CorrectLayer) -> np.float32:
    """Number of cases N, as float32."""
    return np.float32(layer.inputs[0].shape[1])


# Networks

COEFF = 0.5
"""The weight of every cost."""


def scene(net: Net, last: str) -> str:
    """A network as the text of both its layer files: some layers, and the ends that all networks have.

    Rates, momenta, decay and initial values are large and unequal, so that no term vanishes beside another.

    ``net``: the layers between; a network of one's own, which gets the ends above.
    ``last``: the layers that go into the ten outputs below the softmax, parted by commas.
    """
    net.add("top", "fc", last, outputs=10).softmax_cost("top")
    return sections(_COMMON | net.layers)


_COMMON = {
    "DEFAULT": {
        "epsW": 0.02, "epsB": 0.05, "momW": 0.9, "momB": 0.8, "wc": 0.01, "initW": 0.3, "initB": 0.2, "coeff": COEFF,
        "topk": 2, "enable": "true",
    },
    "labels": {"type": "data", "dataIdx": 1, "dims": 1},
}  # fmt: skip
