"""The layers of the PyTorch witness: one small class for each type, tensors images-first."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import Unsupported
from ..network.load import LayerSpec
from ..network.solver import has_noise, rate, solver_constants, super_eps
from ..network.tensors import gradient, increment, parameter


class Layer:
    """A layer without parameters; subclasses give ``compute(inputs, mask)``.

    `progress` is the share of the training that is done, `passes` the backward passes since an update, of which there
    are `every`; their gradients are divided by `cases`, in all, or by those of the pass if each has its update.
    """

    progress, every, passes, cases = 0.0, 1, 0, 0

    def __init__(self, spec: LayerSpec, memory_format: Any, device: str = "cpu") -> None:
        self.spec, self.memory_format, self.device = spec, memory_format, device
        self.params: dict[str, Any] = {}
        self.grads: dict[str, Any] = {}
        self.incs: dict[str, Any] = {}
        self._inputs: Any = None
        self._output: Any = None

    def native(self, array: np.ndarray, i: int = 0) -> Any:
        """A (rows, N) matrix as an (N, rows) tensor."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(array.T, dtype=np.float32)).to(self.device)

    def native_grad(self, array: np.ndarray) -> Any:
        """A gradient with respect to the output, shaped like the output."""
        return self.native(array).reshape(self._output.shape)

    def images(self, tensor: Any, channels: int) -> Any:
        """A tensor of any shape as (N, channels, S, S) in this session's memory format."""
        side = math.isqrt(tensor[0].numel() // channels)
        return tensor.reshape(len(tensor), channels, side, side).contiguous(memory_format=self.memory_format)

    def compute(self, inputs: Sequence[Any], mask: Any) -> Any:
        """The output of given tensors."""
        raise NotImplementedError

    def to_native(self, name: str, value: Any) -> Any:
        """A parameter as PyTorch likes it."""
        raise NotImplementedError

    def from_native(self, name: str, value: Any) -> Any:
        """Back."""
        raise NotImplementedError

    def forward(self, inputs: Sequence[Any], mask: Any = None) -> Any:
        """The output; remembers what the backward pass needs."""
        self._inputs = [x.detach().requires_grad_() for x in inputs]
        self._output = self.compute(self._inputs, mask)
        return self._output.detach()

    def backward(self, grad: Any, wanted: Sequence[int]) -> Any:
        """Gradients of the wanted inputs; those of the parameters are kept."""
        import torch

        names = list(self.params)
        leaves = [self._inputs[i] for i in wanted] + [self.params[name] for name in names]
        if not leaves:
            return []
        found = torch.autograd.grad(self._output, leaves, grad.reshape(self._output.shape), retain_graph=self.every > 1)
        for name, grad_of_sum in zip(names, found[len(wanted) :], strict=True):
            self.learn(name, grad_of_sum / (self.cases if self.every > 1 else len(self._output)))
        self.passes = (self.passes + 1) % self.every
        return found[: len(wanted)]

    def learn(self, name: str, gradient: Any) -> None:
        """Keep the gradient of a parameter, added to those of earlier passes since an update."""
        self.grads[name] = self.grads[name] + gradient if self.passes else gradient

    def release(self) -> None:
        """Forget the forward state."""
        self._inputs = self._output = None

    def write(self, tensor: str, array: np.ndarray) -> None:
        """Set a parameter tensor from a historical matrix."""
        import torch

        store, name = self._address(tensor)
        value = torch.from_numpy(np.array(array, np.float32, order="C")).to(self.device)
        value = self.to_native(name, value)
        store[name] = value.requires_grad_() if store is self.params else value

    def read(self, tensor: str) -> np.ndarray:
        """A parameter tensor as a historical matrix."""
        store, name = self._address(tensor)
        return self.from_native(name, store[name].detach()).cpu().numpy()

    def _address(self, tensor: str) -> tuple[dict[str, Any], str]:
        name = parameter(tensor)
        for companion, store in ((gradient, self.grads), (increment, self.incs)):
            if tensor == companion(name):
                return store, name
        return self.params, tensor


class Absent(Layer):
    """A layer that this engine does not have: whatever it is asked for is refused, but to take parameters."""

    device = "cpu"

    def __init__(self, spec: LayerSpec, reason: str) -> None:
        self.spec, self.reason = spec, reason

    def write(self, tensor: str, array: np.ndarray) -> None:
        pass

    def release(self) -> None:
        pass

    def _refuse(self, *args: Any, **more: Any) -> Any:
        raise Unsupported(self.reason)

    native = native_grad = forward = backward = backward_fused = read = update = _refuse
    labels = property(_refuse)


class Weighted(Layer):
    """A layer with weights and biases and the historical update rule (network-and-solver 8.2)."""

    def rates(self, name: str) -> tuple[float, float, float]:
        """(ε, μ, λ) of a parameter."""
        eps, found = rate(self.spec, name, self.progress), solver_constants(self.spec, name)
        return eps, found["mom"], found["wc"]

    def update(self) -> None:
        """Δ ← μΔ + εG − λεW, W ← W + Δ; frozen at rates not above zero."""
        import torch

        if any(bound > 0 for key in ("wballNormed", "wcNormMax") for bound in self.spec.get(key, ())):
            raise Unsupported(f"layer {self.spec.name}: torch engine does not bound the norm of weights")
        with torch.no_grad():
            for name, weights in self.params.items():
                eps, mom, decay = self.rates(name)
                if eps > 0:
                    inc = self.incs[name]
                    if name in self.grads:
                        inc.mul_(mom).add_(self.grads[name], alpha=eps)
                    if decay > 0:
                        inc.add_(weights, alpha=-decay * eps)
                    weights.add_(inc)


class Fc(Weighted):
    """Fully connected: weights (outputs, numInputs) as PyTorch likes them."""

    def to_native(self, name: str, value: Any) -> Any:
        """(numInputs, outputs) → (outputs, numInputs)."""
        return value.T.contiguous() if name != "biases" else value.reshape(-1)

    def from_native(self, name: str, value: Any) -> Any:
        return value.T if name != "biases" else value.reshape(1, -1)

    def compute(self, inputs: Sequence[Any], mask: Any) -> Any:
        """Σ W x + b."""
        from torch.nn.functional import linear

        total = linear(inputs[0].flatten(1), self.params["weights[0]"], self.params["biases"])
        for i, x in enumerate(inputs[1:], 1):
            total = total + linear(x.flatten(1), self.params[f"weights[{i}]"])
        return total

    def learn(self, name: str, gradient: Any) -> None:
        """Weights learn directly: Δ ← μΔ + εG."""
        eps, mom, _ = self.rates(name)
        if name == "biases":
            super().learn(name, gradient)
        elif eps > 0:
            self.incs[name].mul_(1 if self.passes else mom).add_(gradient, alpha=eps)


class Conv(Weighted):
    """Convolution with the historical geometry: padding at the far side is whatever the last module needs."""

    def __init__(self, spec: LayerSpec, memory_format: Any, device: str = "cpu") -> None:
        super().__init__(spec, memory_format, device)
        if not spec["sharedBiases"] or any(spec["randSparse"]):
            raise Unsupported(f"layer {spec.name}: torch engine has no unshared biases or sparse connectivity")

    def to_native(self, name: str, value: Any) -> Any:
        """(K S S, F) → (F, K, S, S)."""
        if name == "biases":
            return value.reshape(-1)
        i = int(name[8:-1])
        side = self.spec["filterSize"][i]
        value = value.T.reshape(self.spec["filters"], -1, side, side)
        return value.contiguous(memory_format=self.memory_format)

    def from_native(self, name: str, value: Any) -> Any:
        return value.reshape(-1, 1) if name == "biases" else value.reshape(len(value), -1).T

    def compute(self, inputs: Sequence[Any], mask: Any) -> Any:
        """Σ over the inputs of their convolutions."""
        total = None
        for i, x in enumerate(inputs):
            part = self._convolve(i, x, self.params["biases"] if i == 0 else None)
            total = part if total is None else total + part
        return total

    def _convolve(self, i: int, x: Any, biases: Any) -> Any:
        from torch.nn.functional import conv2d, pad

        spec, near = self.spec, -self.spec["padding"][i]
        size, stride, channels = spec["filterSize"][i], spec["stride"][i], spec["channels"][i]
        far = (spec["modulesX"] - 1) * stride + size - near - spec["imgSize"][i]
        x = self.images(x, channels)
        if far != near:
            x, near = pad(x, (near, far, near, far)), 0
        return conv2d(x, self.params[f"weights[{i}]"], biases, stride, near, groups=spec["groups"][i])


class Pool(Layer):
    """Max and average pooling with clipped windows."""

    def compute(self, inputs: Sequence[Any], mask: Any) -> Any:
        """PyTorch's own pooling with ceil_mode; windows must start at pixel 0."""
        from torch.nn import functional

        spec = self.spec
        if spec["start"] != 0 or spec["pool"] not in ("max", "avg"):
            raise Unsupported(f"layer {spec.name}: torch engine pools max and avg from pixel 0 only")
        x = self.images(inputs[0], spec["channels"])
        if spec["pool"] == "max":
            return functional.max_pool2d(x, spec["sizeX"], spec["stride"], ceil_mode=True)
        return functional.avg_pool2d(x, spec["sizeX"], spec["stride"], ceil_mode=True, count_include_pad=False)


class ResponseNorm(Layer):
    """Response normalisation across channels; PyTorch divides alpha by the window size itself."""

    def compute(self, inputs: Sequence[Any], mask: Any) -> Any:
        """x (k + α Σ x²)^−β."""
        from torch.nn.functional import local_response_norm

        spec = self.spec
        if spec["blocked"] or spec["size"] % 2 == 0:
            raise Unsupported(f"layer {spec.name}: torch engine has neither blocked nor even windows")
        x = self.images(inputs[0], spec["channels"])
        return local_response_norm(x, spec["size"], spec["scale"] * spec["size"], spec["pow"], spec["minDiv"])


class Neuron(Layer):
    """ReLU, logistic, tanh, abs, square, sqrt, identity."""

    def compute(self, inputs: Sequence[Any], mask: Any) -> Any:
        """The nonlinearity, elementwise."""
        import torch

        x, kind, given = inputs[0], self.spec["neuron"]["type"], self.spec["neuron"]["params"]
        simple = {"relu": torch.relu, "logistic": torch.sigmoid, "abs": torch.abs, "square": torch.square,
                  "sqrt": torch.sqrt, "ident": torch.clone}  # fmt: skip
        if kind == "tanh":
            return given["a"] * torch.tanh(given["b"] * x)
        if kind not in simple:
            raise Unsupported(f"layer {self.spec.name}: torch engine has no neuron {kind}")
        return simple[kind](x)


class Dropout(Layer):
    """A mask without rescaling."""

    def compute(self, inputs: Sequence[Any], mask: Any) -> Any:
        """Mask times x, or keep times x."""
        return inputs[0] * (self.spec["keep"] if mask is None else mask.reshape(inputs[0].shape))


class Softmax(Layer):
    """Softmax over the units of a case."""

    def compute(self, inputs: Sequence[Any], mask: Any) -> Any:
        """exp(x − max) / Σ."""
        return inputs[0].flatten(1).softmax(1)

    def backward_fused(self, labels: Any) -> list[Any]:
        """[j = label] − p; the coefficient of the cost is 1."""
        grad = -self._output.detach()
        grad[range(len(grad)), labels] += 1
        return [grad]


class Concat(Layer):
    """Units of the inputs one after another."""

    def compute(self, inputs: Sequence[Any], mask: Any) -> Any:
        """Concatenation."""
        import torch

        return torch.cat([x.flatten(1) for x in inputs], 1)


class EltSum(Layer):
    """Weighted sum."""

    def compute(self, inputs: Sequence[Any], mask: Any) -> Any:
        """Σ cᵢ xᵢ."""
        return sum(c * x.flatten(1) for c, x in zip(self.spec["coeffs"], inputs, strict=True))


class Logreg(Layer):
    """The cost: minus log-likelihood, top-1 and top-k errors."""

    labels: Any = None

    def backward(self, grad: Any, wanted: Sequence[int]) -> Any:
        """Refused: the softmax below does the work of both."""
        raise Unsupported(f"layer {self.spec.name}: torch engine has no such cost but on its own softmax")

    def forward(self, inputs: Sequence[Any], mask: Any = None) -> Any:
        """Three sums over the cases; ties are not shared."""
        import torch

        self.labels = inputs[0].reshape(-1).long()
        probabilities = inputs[1].flatten(1)
        picked = probabilities[range(len(self.labels)), self.labels]
        rank = (probabilities > picked[:, None]).sum(1)
        errors = [(rank >= k).sum() for k in (1, self.spec["topk"])]
        self._cost = torch.stack([-picked.double().log().sum(), *(e.double() for e in errors)])
        return self._cost

    def read(self, tensor: str) -> np.ndarray:
        """``cost``."""
        if tensor != "cost":
            raise KeyError(tensor)
        return self._cost.cpu().numpy()


LAYERS: dict[str, type[Layer]] = {
    "data": Layer, "conv": Conv, "fc": Fc, "pool": Pool, "cmrnorm": ResponseNorm, "neuron": Neuron, "hs": Dropout,
    "softmax": Softmax, "concat": Concat, "eltsum": EltSum, "cost.logreg": Logreg,
}  # fmt: skip


def layer_of(spec: LayerSpec, memory_format: Any, device: str, shares: bool) -> Layer:
    """The layer of a specification, or one that refuses all and says why.

    ``shares``: whether it has a matrix in common with another layer.
    """
    try:
        if lacking := _lacking(spec, shares):
            raise Unsupported(f"layer {spec.name}: torch engine has no {lacking}")
        return LAYERS[spec.type](spec, memory_format, device)
    except Unsupported as error:
        return Absent(spec, str(error))


def _lacking(spec: LayerSpec, shares: bool) -> str:
    """What a layer asks for that no class of this module has; "" if there is nothing."""
    if spec.type not in LAYERS:
        return spec.type
    if shares:
        return "weights in common"
    if super_eps(spec) > 0:
        return "superEps"
    if has_noise(spec):
        return "noise in learning rates"
    return "coefficient of a cost" if spec.type == "cost.logreg" and spec["coeff"] != 1 else ""
