"""What the harness has to know of a layer type beside its formulas; a type says so in its class, where it differs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from .bounded import Bounded

Arrays = Sequence[np.ndarray]
Params = Mapping[str, Any]
"""The parameters of a layer: ``weights``, a matrix for each input, and ``biases``."""
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
Formula = Callable[[Arrays], Bounded]


class LayerSpec(Protocol):
    """A layer as the reader of layer files gives it (`port.config.LayerSpec`)."""

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: int
    keys: Mapping[str, Any]
    lines: Mapping[str, int]
    tree: Any

    def __getitem__(self, key: str) -> Any: ...

    def __contains__(self, key: str) -> bool: ...

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or the default where the layer type has none."""

    def to_dict(self) -> dict[str, Any]:
        """All values as a new dict of plain ones."""


class Layer:
    """The facts of a layer type that has nothing particular, and the base of all formulas."""

    # What the first input of a cost is, if a data layer holds it (a key of `network.cost_inputs.KINDS`), whether it has
    # a row for each output of the second, and what `inputs_grad` of the layer below calls it, where both go backward in
    # one step.
    labels: str | None = None
    labels_per_class = False
    fused_labels: str | None = None
    fuses_with: tuple[str, ...] = ()  # types of cost that go backward in one step with it, as its only consumer
    exact: tuple[str, ...] = ()  # tensors whose bits the exact tier asks for: eighths that float32 adds unrounded
    gradient_check: tuple[float, float] | None = None  # steps of the historical check, for weights and for biases
    approximates: str | None = None  # what the gradient is of, in words, if not of the outputs; see `stand_in`
    # What the backward pass reads beside the gradient of the output: ``inputs``, ``acts``. Of neurons the keys
    # ``usesInputs`` and ``usesActs`` of the layer say so.
    backward_reads: tuple[str, ...] = ()

    def __init__(self, spec: Mapping[str, Any]) -> None:
        """Take what the formulas need of the layer's values."""

    @staticmethod
    def noise(spec: Mapping[str, Any] | LayerSpec, pass_type: str) -> Draw | None:
        """What is random in a forward pass: ``draw(random, shape)`` from a numpy Generator; None where nothing is."""
        return None

    @staticmethod
    def operations(spec: Mapping[str, Any] | LayerSpec, forward: bool) -> int:
        """Floating-point operations for each output, of a layer without weights."""
        return 1


class Cost(Layer):
    """What all costs have in common."""

    backward_reads = ("inputs",)

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.coeff: float = spec["coeff"]


def uniforms(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in [0, 1)."""
    return random.random(shape, "float32")


def normals(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers."""
    return random.standard_normal(shape, "float32")
