"""PyTorch as a witness: the same layers by its functional operations, with its autograd, on the CPU or a CUDA card.

Its tensors are NCHW (in memory NHWC with the channels-last engine) and stay so from layer to layer; they are
turned into historical matrices only where somebody reads them. What PyTorch does otherwise than 2012 is refused, layer
by layer, but for ties in max pooling, which it gives to one pixel, and the slope of abs at 0.
"""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from ..errors import Unsupported
from ..network.load import Network
from ..network.tensors import address
from ..reference.half_precision import added
from ..reference.views import VIEWS
from .card import card_peak
from .peaks import Peak
from .protocol import Engine, Session
from .torch_layers import layer_of


class Torch(Engine):
    """The engine ``torch``: contiguous NCHW tensors."""

    name = "torch"
    ignored_quirks = ("gradient-ascent", "wball-times-size", "wcnorm-over-count")  # values it never reads
    device = "cpu"
    channels_last = False

    def probe(self) -> tuple[bool, str]:
        """Available where torch is installed (extra ``witness``)."""
        try:
            import torch
        except ImportError:
            return False, "not installed; pip install -e '.[witness]' in the source tree"
        if self.device == "cuda" and not torch.cuda.is_available():
            return False, f"PyTorch {torch.__version__} {_why_no_card(torch)}"
        place = torch.cuda.get_device_name() if self.device == "cuda" else "the CPU"
        return True, f"PyTorch {torch.__version__} on {place}, {'NHWC' if self.channels_last else 'NCHW'} in memory"

    def open(self, network: Network, threads: int) -> Session:
        """A session; the number of threads is set for the whole process."""
        import torch

        torch.set_num_threads(threads)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return TorchSession(network, layout, self.device)


class TorchChannelsLast(Torch):
    """The engine ``torch-channels-last``: images NHWC in memory."""

    name = "torch-channels-last"
    channels_last = True


class TorchGpu(Torch):
    """The engine ``torch-gpu``: contiguous NCHW tensors on a CUDA card, products in single precision."""

    name = "torch-gpu"
    device = "cuda"

    def peak(self) -> Peak | None:
        """What the card can do at most; None where PyCUDA does not say."""
        return card_peak()

    def open(self, network: Network, threads: int) -> Session:
        """A session without TF32, which keeps 10 bits of each factor."""
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        return super().open(network, threads)


class WallClock:
    """Seconds of the processor."""

    def mark(self) -> Any:
        """Now."""
        return perf_counter()

    def between(self, start: Any, stop: Any) -> float:
        """Seconds between two marks."""
        return stop - start


class CardClock:
    """Seconds of the card, which runs behind the program: marks are events in its stream."""

    def mark(self) -> Any:
        """An event after all that was asked of the card so far."""
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, start: Any, stop: Any) -> float:
        """Seconds between two events; waits for the second."""
        stop.synchronize()
        return start.elapsed_time(stop) / 1e3


class TorchSession(Session):
    """One network in PyTorch, a layer at a time.

    ``device``: ``cpu`` or ``cuda``; on a card the seconds are those between two events of its stream, and copies from
    the host are counted apart.
    """

    def __init__(self, network: Network, memory_format: Any, device: str = "cpu") -> None:
        self.graph, self.memory_format = network.graph, memory_format
        self.clock: Any = CardClock() if device == "cuda" else WallClock()
        self._copies: dict[tuple[str, str], list[Any]] = {}
        self.layers: dict[str, Any] = {
            name: layer_of(spec, memory_format, device, shares=name in self.graph.sharing())
            for name, spec in self.graph.layers.items()
        }
        for own in self.layers.values():
            own.every, own.cases = network.update_every, network.update_every * (network.minibatch or 0)
        self._acts: dict[str, Any] = {}
        self._acts_grad: dict[str, dict[int | None, Any]] = {}  # by the device on which it is summed, None: the own one
        self._inputs_grad: dict[str, Any] = {}
        self._seconds: dict[tuple[str, str], Any] = {}
        self._isolated: set[str] = set()
        self._pass_type = "train"

    def set_pass_type(self, pass_type: str) -> None:
        self._pass_type = pass_type

    def write(self, layer: str, tensor: str, array: np.ndarray) -> None:
        self.layers[layer].write(tensor, array)

    def read(self, layer: str, tensor: str) -> np.ndarray:
        name, i = address(tensor)
        if name == "acts_grad":
            return added({device: matrix(own) for device, own in self._acts_grad[layer].items()})
        held = {"acts": self._acts, "inputs_grad": self._inputs_grad}.get(name)
        if held is None:
            return self.layers[layer].read(tensor)
        return matrix(held[layer] if i is None else held[layer][i])

    def forward(self, layer: str, inputs: Sequence[np.ndarray] | None = None, mask: np.ndarray | None = None) -> None:
        spec, own = self.graph.layers[layer], self.layers[layer]
        self._acts_grad.pop(layer, None)
        self._copies.pop((layer, "forward"), None)
        if spec.type == "cost.logreg" and self._pass_type in VIEWS:
            raise Unsupported(f"layer {layer}: torch engine averages no views")
        if spec.type == "data":
            self._acts[layer] = self._native(own, (inputs or [])[0])
            return
        self._isolated.discard(layer)
        if inputs is None:
            inputs = [half(self._acts[source]) if self.graph.crosses(source, layer, "quantF") else self._acts[source]
                      for source in spec.inputs]  # fmt: skip
        else:
            self._isolated.add(layer)
            inputs = [self._native(own, array, i) for i, array in enumerate(inputs)]
        noise = None if mask is None else self._native(own, mask)
        start = self.clock.mark()
        self._acts[layer] = own.forward(inputs, noise)
        self._seconds[layer, "forward"] = start, self.clock.mark()

    def _native(self, own: Any, array: np.ndarray, i: int = 0) -> Any:
        start = self.clock.mark()
        tensor = own.native(array, i)
        if own.device != "cpu":
            self._copies.setdefault((own.spec.name, "forward"), []).append((start, self.clock.mark()))
        return tensor

    def backward(self, layer: str, acts_grad: np.ndarray | None = None, progress: float = 0.0) -> None:
        spec, own = self.graph.layers[layer], self.layers[layer]
        wanted = self.graph.wanted_inputs(spec)
        own.progress = progress
        grad = self._received(layer) if acts_grad is None else own.native_grad(acts_grad)
        labels = self.layers[self.graph.fused[layer]].labels if layer in self.graph.fused else None
        start = self.clock.mark()
        grads = own.backward(grad, wanted) if labels is None else own.backward_fused(labels)
        self._inputs_grad[layer] = dict(zip(wanted, grads, strict=True))
        if layer not in self._isolated:
            for i, contribution in self._inputs_grad[layer].items():
                sums = self._acts_grad.setdefault(spec.inputs[i], {})
                add(sums, self.graph.sends_from(spec.inputs[i], layer), contribution)
        self._seconds[layer, "backward"] = start, self.clock.mark()

    def _received(self, layer: str) -> Any:
        """The sum of what other layers have sent for the output of a layer; None before the first."""
        sums = dict(self._acts_grad.get(layer, {}))
        total = sums.pop(None, None)
        for own in sums.values():
            total = half(own) if total is None else total + half(own)
        return total

    def sum_grad(self, layer: str, parts: Sequence[tuple[str, int, np.ndarray]]) -> np.ndarray:
        """The contributions of several consumers, added in order."""
        for consumer, i, _ in parts:
            if i not in self._inputs_grad.get(consumer, {}):
                raise Unsupported(f"layer {consumer}, which reads {layer}, sends it no gradient in the torch engine")
        sums: dict[int | None, np.ndarray] = {}
        for consumer, i, _ in parts:
            add(sums, self.graph.sends_from(layer, consumer), matrix(self._inputs_grad[consumer][i]))
        return added(sums)

    def update(self, layer: str, progress: float = 0.0) -> None:
        """One weight update at the rates of that point of the training."""
        start = self.clock.mark()
        self.layers[layer].progress = progress
        self.layers[layer].update()
        self._seconds[layer, "update"] = start, self.clock.mark()

    def seconds(self, layer: str, step: str) -> float:
        return self.clock.between(*self._seconds[layer, step])

    def copy_seconds(self, layer: str, step: str) -> float:
        """Seconds of the copies from the host to the card in that step; 0 on the CPU."""
        return sum(self.clock.between(*pair) for pair in self._copies.get((layer, step), ()))

    def release(self, layer: str) -> None:
        self.layers[layer].release()
        for held in (self._acts, self._acts_grad, self._inputs_grad):
            held.pop(layer, None)


def matrix(tensor: Any) -> np.ndarray:
    """A native tensor (images first) as a historical matrix (outputs, N); a cost as it is."""
    return np.ascontiguousarray(tensor.detach().reshape(tensor.shape[0], -1).cpu().numpy().T)


def half(tensor: Any) -> Any:
    """What another device sees of a tensor: rounded to half precision."""
    return tensor.half().float()


def add(sums: dict[int | None, Any], device: int | None, part: Any) -> None:
    """Add a gradient to the sum of its device."""
    sums[device] = sums[device] + part if device in sums else part


def _why_no_card(torch: Any) -> str:
    built = torch.version.cuda
    return f"is built for CUDA {built} but finds no card" if built else "is built without CUDA"
