"""The bookkeeping of a session for engines that compute one layer at a time and keep no network of their own."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

import numpy as np

from ..network.load import LayerSpec, Network
from ..reference.half_precision import added, half
from .protocol import Session

PARAMETERS = ("weights", "biases", "filterConns", "schedule_normals")


class StepSession(Session):
    """Named tensors, times and gradient accumulation; a subclass computes."""

    def __init__(self, network: Network) -> None:
        self.graph = network.graph
        self._tensors: dict[str, dict[str, np.ndarray]] = {name: {} for name in self.graph.layers}
        # Gradients of its output, by device.
        self._received: dict[str, dict[int | None, np.ndarray]] = {name: {} for name in self.graph.layers}
        self._seconds: dict[tuple[str, str], float] = {}
        self.pass_type = "train"

    @abstractmethod
    def run_forward(self, layer: LayerSpec, inputs: list[np.ndarray], mask: np.ndarray | None) -> np.ndarray:
        """The outputs of a layer; of a cost layer the cost."""

    @abstractmethod
    def run_backward(
        self, layer: LayerSpec, acts_grad: np.ndarray | None, wanted: Sequence[int], progress: float
    ) -> list[np.ndarray]:
        """The gradients of the inputs with those indices."""

    @abstractmethod
    def run_update(self, layer: LayerSpec, progress: float) -> None:
        """Change the parameters of a layer."""

    def set_pass_type(self, pass_type: str) -> None:
        self.pass_type = pass_type

    def write(self, layer: str, tensor: str, array: np.ndarray) -> None:
        self._tensors[layer][tensor] = array

    def read(self, layer: str, tensor: str) -> np.ndarray:
        if tensor == "acts_grad" and self._received[layer]:
            return added(self._received[layer])
        return self._tensors[layer][tensor]

    def forward(self, layer: str, inputs: Sequence[np.ndarray] | None = None, mask: np.ndarray | None = None) -> None:
        spec, own = self.graph.layers[layer], self._tensors[layer]
        self._received[layer].clear()
        if spec.type == "data":
            own["acts"] = (inputs or [])[0]
            return
        read = [self._seen(source, layer) for source in spec.inputs] if inputs is None else list(inputs)
        with self._timed(layer, "forward"):
            result = self.run_forward(spec, read, mask)
        own["cost" if spec.type.startswith("cost.") else "acts"] = result

    def backward(self, layer: str, acts_grad: np.ndarray | None = None, progress: float = 0.0) -> None:
        spec, own = self.graph.layers[layer], self._tensors[layer]
        wanted = self.graph.wanted_inputs(spec)
        fresh = acts_grad is None
        if fresh and self._received[layer]:
            acts_grad = added(self._received[layer])
        with self._timed(layer, "backward"):
            grads = self.run_backward(spec, acts_grad, wanted, progress)
        for i, grad in zip(wanted, grads, strict=True):
            own[f"inputs_grad[{i}]"] = grad
            if fresh:
                self._add(self._received[spec.inputs[i]], spec.inputs[i], layer, grad)

    def sum_grad(self, layer: str, parts: Sequence[tuple[str, int, np.ndarray]]) -> np.ndarray:
        """The fresh gradients that the consumers left in their backward step, added in order, in float32."""
        sums: dict[int | None, np.ndarray] = {}
        for consumer, i, _ in parts:
            self._add(sums, layer, consumer, self._tensors[consumer][f"inputs_grad[{i}]"])
        return added(sums)

    def update(self, layer: str, progress: float = 0.0) -> None:
        with self._timed(layer, "update"):
            self.run_update(self.graph.layers[layer], progress)

    def seconds(self, layer: str, step: str) -> float:
        return self._seconds[layer, step]

    def release(self, layer: str) -> None:
        own = self._tensors[layer]
        self._received[layer].clear()
        self._tensors[layer] = {name: array for name, array in own.items() if name.startswith(PARAMETERS)}

    def _seen(self, source: str, reader: str) -> np.ndarray:
        acts = self._tensors[source]["acts"]
        return half(acts) if self.graph.crosses(source, reader, "quantF") else acts

    def _add(self, sums: dict[int | None, np.ndarray], source: str, reader: str, grad: np.ndarray) -> None:
        device = self.graph.sends_from(source, reader)
        sums[device] = sums[device] + grad if device in sums else grad

    @contextmanager
    def _timed(self, layer: str, step: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self._seconds[layer, step] = perf_counter() - start
