"""The modern port: its own network object, driven one layer at a time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import Unsupported
from ..network.load import LayerSpec, Network
from ..network.solver import schedule
from ..network.tensors import address
from .protocol import Arithmetic, Engine, Session


def by_winograd(layer: LayerSpec, i: int, algorithm: str) -> bool:
    """Whether the port convolves input ``i`` of a layer by Winograd's algorithm, forward and for the images."""
    from alexnet_rosetta.port.conv import by_winograd

    own = {"K": layer["filterChannels"][i], "S": layer["filterSize"][i], "F": layer["filters"], "M": layer["modulesX"]}
    padding, stride, groups = (layer[key][i] for key in ("padding", "stride", "groups"))
    return by_winograd({**own, "padding": -padding, "stride": stride, "groups": groups}, algorithm)


class Port(Engine):
    """The engine ``port``.

    ``dtype``: float32; float64 where something is to be measured against it.
    """

    name = "port"
    device = "cpu"

    def __init__(self, dtype: DTypeLike = np.float32) -> None:
        self.dtype = dtype

    def probe(self) -> tuple[bool, str]:
        """Available where the extension modules were built."""
        try:
            import alexnet_rosetta.port.network  # noqa: F401
        except ImportError as error:
            return False, f"not built ({error}); run 'pip install -e .' or 'make build'"
        return True, "NumPy and BLAS, float32"

    def quirks(self) -> Mapping[str, bool]:
        from alexnet_rosetta.port.quirks import DEFAULTS

        return dict(DEFAULTS)

    def arithmetic(self) -> Arithmetic:
        """The order of the port's own loops; whether the version that runs here has fused multiply-adds.

        Of 1000 sums -1 + s x², each rounded once or twice, a quarter tells.
        """
        from alexnet_rosetta.port.norm import cmrnorm_forward

        x = np.random.default_rng(0).random((1, 1, 1, 1000), np.float32)
        _, sums = cmrnorm_forward(x, size=1, scale=1.25, power=1.0, min_div=-1.0)
        return Arithmetic("port", bool((sums != np.float32(1.25) * (x * x) - 1).any()))

    def open(self, network: Network, threads: int) -> Session:
        """A session; the port's threads are set for the whole process."""
        from alexnet_rosetta.port.network import Network
        from alexnet_rosetta.port.threads import set_threads

        set_threads(threads)
        more = {"update_every": network.update_every, "minibatch": network.minibatch, "quantise": network.quantise}
        algorithm = network.port_algorithm
        return PortSession(_translated(Network, network.spec, self.dtype, **more, algorithm=algorithm))


class PortLayers:
    """The port's layers in float64, one at a time, for checks of gradients.

    ``network``: all learning rates positive.
    """

    def __init__(self, network: Network) -> None:
        from alexnet_rosetta.port.network import Network

        self.layers = Network(network.spec, np.float64).layers

    def forward(
        self,
        name: str,
        inputs: Sequence[np.ndarray],
        params: Mapping[str, Any] | None = None,
        connections: Mapping[str, np.ndarray] | None = None,
        mask: np.ndarray | None = None,
    ) -> np.ndarray:
        """The output of a layer (of a cost its numbers) in a gradient-checking pass, of float64 inputs.

        `params` has ``weights``, a list, and ``biases``; `connections` has ``filterConns[i]``. `mask` is what is
        random; a layer that is given a mask is in a training pass.
        """
        layer = self.layers[name]
        for key, channels in (connections or {}).items():
            layer.connect(address(key)[1], channels)
        if params and params["biases"] is not None:
            layer.biases = params["biases"]
            for i, array in enumerate(params["weights"]):
                layer.weights[i] = array
        _translated(layer.forward, inputs, "gc" if mask is None else "train", mask)
        return layer.acts if layer.cost is None else layer.cost

    def backward(self, name: str, acts_grad: np.ndarray | None, wanted: Sequence[bool]) -> dict[str, np.ndarray]:
        """Gradients by tensor (``inputs[i]``, ``weights[i]``, ``biases``), sums over the cases."""
        layer = self.layers[name]
        grads = _translated(layer.backward, acts_grad, wanted)
        found = {f"inputs[{i}]": grad for i, grad in enumerate(grads) if grad is not None}
        if hasattr(layer, "weights"):
            once = {id(parameter): i for i, parameter in reversed([*enumerate(layer.parameters)])}
            found |= {f"weights[{i}]": layer.weights_grad[i] for i in once.values()}
            found["biases"] = layer.biases_grad
        return found


class PortSession(Session):
    """A session of the port."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self._own_feed: set[str] = set()
        self._pass_type = "train"
        self._inputs_grad: dict[str, Any] = {}
        self._normals: dict[str, np.ndarray] = {}
        specs = [layer.spec for layer in network.layers.values()]
        borrowing = {spec.name: set(spec.get("weightSourceLayers", ())) - {""} for spec in specs}
        self._sharing = set().union(*borrowing.values(), *({name} for name, lenders in borrowing.items() if lenders))

    def write(self, layer: str, tensor: str, array: np.ndarray) -> None:
        """Set a parameter tensor; the port gets a copy, because it updates in place."""
        owner, (name, i) = self.network.layers[layer], address(tensor)
        if name == "schedule_normals":
            self._normals[layer] = array
        elif name == "filterConns":
            owner.connect(i, array)
        elif i is None:
            setattr(owner, name, np.array(array, self.network.dtype))
        else:
            getattr(owner, name)[i] = np.array(array, self.network.dtype)

    def read(self, layer: str, tensor: str) -> np.ndarray:
        name, i = address(tensor)
        own = self.network.layers[layer]
        if name == "acts_grad":
            found = self.network.received(layer)
        else:
            found = self._inputs_grad[layer] if name == "inputs_grad" else getattr(own, name, None)
        if i is not None and found is not None:
            found = found[i]
        if found is None:
            raise KeyError(tensor)
        return found

    def set_pass_type(self, pass_type: str) -> None:
        self._pass_type = pass_type

    def set_quirk(self, name: str, on: bool) -> None:
        self.network.set_quirk(name, on)

    def forward(self, layer: str, inputs: Sequence[np.ndarray] | None = None, mask: np.ndarray | None = None) -> None:
        owner = self.network.layers[layer]
        if owner.spec.type == "data":
            owner.feed((inputs or [])[0])
        elif inputs is None:
            self._own_feed.add(layer)
            _translated(self.network.forward_layer, layer, self._pass_type, mask)
        else:
            self._own_feed.discard(layer)
            _translated(owner.forward, inputs, self._pass_type, mask)

    def backward(self, layer: str, acts_grad: np.ndarray | None = None, progress: float = 0.0) -> None:
        owner = self.network.layers[layer]
        normal = self._replayed(owner, [(i, 0) for i in range(len(owner.spec.inputs)) if self._adds_directly(owner, i)])
        if layer in self._own_feed:
            _translated(self.network.backward_layer, layer, progress, normal)
        else:
            collects = layer in self._sharing or self.network.update_every > 1
            wanted, arguments = self.network.wanted(layer), {"normal": normal, "accumulate": collects}
            self._inputs_grad[layer] = _translated(owner.backward, acts_grad, wanted, progress, **arguments)

    def sum_grad(self, layer: str, parts: Sequence[tuple[str, int, np.ndarray]]) -> np.ndarray:
        return _translated(self.network.sum_grad, parts)

    def update(self, layer: str, progress: float = 0.0) -> None:
        owner = self.network.layers[layer]
        uses = []
        for i, decay in enumerate(owner.spec.get("wc", ())):
            if owner.owned[i] and owner.parameters[i].base > 0:
                uses += [] if owner.parameters[i].direct else [(i, 0)]
                uses += [(i, 1)] if decay > 0 else []
        owner.update(progress, self._replayed(owner, [*uses, (-1, 0)]))

    def seconds(self, layer: str, step: str) -> float:
        return self.network.seconds(layer, step)

    def release(self, layer: str) -> None:
        from alexnet_rosetta.port import buffers

        self.network.layers[layer].release()
        self._inputs_grad.pop(layer, None)
        buffers.clear()  # no layer takes memory of just these sizes again

    def drop(self, layer: str, tensor: str) -> None:
        """Free the output of a layer with weights that was given its inputs: no later step reads that one."""
        from alexnet_rosetta.port.weight_layers import Weighted

        if tensor == "acts" and layer not in self._own_feed and isinstance(self.network.layers[layer], Weighted):
            self.network.layers[layer].acts = None

    def _adds_directly(self, owner: Any, i: int) -> bool:
        """Whether a backward pass changes Δ of input i, and so uses its learning rate."""
        return hasattr(owner, "parameters") and owner.learns(i) and owner.parameters[i].direct

    def _replayed(self, owner: Any, uses: Sequence[tuple[int, int]]) -> Callable[[], float] | None:
        """A callable that returns the recorded normals for these (tensor, use), in the order of the port's calls."""
        if owner.spec.name not in self._normals:
            return None
        normals, spec = self._normals[owner.spec.name], owner.spec
        schedules = {0: schedule(spec, "weights[0]"), -1: schedule(spec, "biases")}
        noisy = {i for i, found in schedules.items() if found["params"].get("noiseStdev", 0) > 0}
        recorded = iter([float(normals[i, use]) for i, use in uses if min(i, 0) in noisy])
        return lambda: next(recorded)


def _translated(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return call(*args, **kwargs)
    except NotImplementedError as error:
        raise Unsupported(str(error)) from error
