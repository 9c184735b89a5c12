"""Networks: the passes over the layers (network-and-solver 2, 8 and 11).

The objective is minus the weighted sum of the costs. All gradients are gradients of the objective, and weights move
along the gradients.
"""

from collections.abc import Iterable, Mapping
from weakref import finalize

import numpy as np
from numpy.typing import DTypeLike

from . import buffers
from .checks import Array
from .config import ConfigError, LayerSpec, NetworkSpec
from .conv_layers import Conv, Filtered
from .graph import Graph
from .layer import PASS_TYPES, Layer, Normal
from .layers import LAYERS, Data
from .quirks import positions
from .weight_layers import Weighted


class Network:
    """A network that runs.

    Parameters
    ----------
    spec : config.NetworkSpec
    dtype : numpy dtype
        float32, or float64 (gradient checks).
    seed : int or numpy.random.Generator
        Seed of the noise that no caller gives, and of sparse connections.
    quantise : bool
        Round as several devices did. ``quantF=half`` of a layer: layers on another device (``gpu``) read its output
        rounded to IEEE half precision. ``quantB=half``: each other device sums its gradients for the layer, and sends
        the sum rounded to half precision.
    update_every : int
        Backward passes per update of the weights (``wupdate_freq``).
    minibatch : int, optional
        Nominal number of images per pass, required if `update_every` is not 1: gradients are then divided by
        `update_every` times `minibatch`, after smaller passes too.
    quirks : mapping of str to bool, optional
        Positions of switches that differ from `quirks.DEFAULTS`.
    algorithm : str
        Of convolution layers: ``auto``, ``direct`` or ``winograd`` (see conv.py).

    Attributes
    ----------
    layers : dict of str to Layer
        In definition order.
    graph : Graph
    passes : int
        Backward passes so far.
    quirks : dict of str to bool
        Positions of all switches; change them with `set_quirk`.

    Raises
    ------
    config.ConfigError
        The spec has no parameters.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        dtype: DTypeLike = np.float32,
        seed: int | np.random.Generator = 0,
        *,
        quantise: bool = False,
        update_every: int = 1,
        minibatch: int | None = None,
        quirks: Mapping[str, bool] | None = None,
        algorithm: str = "direct",
    ) -> None:
        if not spec.has_params:
            raise ConfigError("the network has no parameters", hint="give load_network the layer-parameter file too")
        if update_every < 1 or (update_every > 1 and not minibatch):
            raise ValueError("update_every: expected 1, or more and the nominal size of a pass; hint: minibatch=...")
        self.spec, self.graph, self.dtype = spec, Graph(spec.layers), np.dtype(dtype)
        self.quantise, self.update_every, self.minibatch = quantise, update_every, minibatch
        self.passes, self.quirks = 0, positions(quirks)
        self.rng = np.random.default_rng(seed)
        self.layers = {layer.name: LAYERS[layer.type](layer, dtype, self.rng) for layer in spec}
        self.weighted = [layer for layer in self.layers.values() if isinstance(layer, Weighted)]
        for top, cost in self.graph.fused.items():
            self.layers[top].fused_cost = self.layers[cost]
        named = {layer.spec.name: layer for layer in self.weighted}
        for layer in self.weighted:
            self._share(layer, named)
            layer.cases = update_every * minibatch if minibatch and update_every > 1 else None
        for each in self.layers.values():
            each.quirks = self.quirks
            if isinstance(each, Conv):
                each.algorithm = algorithm
            if each.spec.type == "rscale" and isinstance(below := self.layers[each.spec.inputs[0]], Data):
                below.rows.add(each.spec.outputs)  # views come at their final size
        finalize(self, buffers.clear)
        self._rounded: dict[str, Array] = {}
        self._sent: dict[str, dict[int, Array]] = {}

    def set_quirk(self, name: str, on: bool) -> None:
        """Turn a switch; ValueError if there is none of that name."""
        self.quirks.update(positions({**self.quirks, name: on}))

    def _share(self, layer: Weighted, named: Mapping[str, Weighted]) -> None:
        """Give a layer the matrices and sparse connections that it shares; `named`: the layers with weights by name."""
        sources = zip(layer.spec["weightSourceLayers"], layer.spec["weightSourceMatrixIndices"], strict=True)
        for i, (name, index) in enumerate(sources):
            if name:
                source = named[name]
                layer.share(i, source.parameters[index])
                if isinstance(layer, Filtered) and isinstance(source, Filtered):
                    layer.filter_conns[i] = source.filter_conns[index]

    def initialise(self, rng: np.random.Generator, ignore_functions: bool = False) -> None:
        """Draw all weights in definition order: N(0, initW²), biases initB, Δ = 0.

        Parameters
        ----------
        rng : numpy.random.Generator
        ignore_functions : bool
            Also draw the weights of layers that want them from an earlier checkpoint (``initWFunc``, ``initBFunc``,
            ``initCFunc``).

        Raises
        ------
        config.ConfigError
            A layer wants its weights from a checkpoint.
        """
        for layer in self.weighted:
            named = [key for key in ("initWFunc", "initBFunc", "initCFunc") if layer.spec.get(key)]
            if named and not ignore_functions:
                hint = "set layer.weights, or let initialise(rng, ignore_functions=True) draw them"
                raise layer.spec.error("its weights come from an earlier checkpoint", key=named[0], hint=hint)
            layer.initialise(rng)

    def forward(
        self, data: Mapping[str, Array], pass_type: str = "train", noise: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """One forward pass.

        Parameters
        ----------
        data : dict of str to ndarray, (units, N)
            A matrix for every data layer.
        pass_type : str
            One of layer.PASS_TYPES: ``train``, ``test``, ``gc``, ``features``, or a view (`forward_views`).
        noise : dict of str to ndarray, optional
            Dropout masks and other noise by layer, see `Layer.forward`; the network draws the noise that is missing.

        Returns
        -------
        dict of str to ndarray
            The numbers that each cost layer reports, float64 sums over the images.
        """
        if pass_type not in PASS_TYPES:
            raise ValueError(f"forward: expected a pass type of {PASS_TYPES}, actual {pass_type!r}")
        for name, layer in self.layers.items():
            if isinstance(layer, Data):
                if name not in data:
                    raise ValueError(f"no values for the data layer {name}; hint: forward({{{name!r}: array, ...}})")
                layer.feed(data[name])
            else:
                self.forward_layer(name, pass_type, (noise or {}).get(name))
        return {name: layer.cost for name, layer in self.layers.items() if layer.cost is not None}

    def forward_views(
        self, views: Iterable[Mapping[str, Array]], noise: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Test several views of the same images: cost.logreg averages their probabilities.

        Parameters
        ----------
        views : sequence of dict
            `data` of `forward` for each view, at least one.
        noise : dict of str to ndarray, optional
            As in `forward`, for every view.

        Returns
        -------
        dict of str to ndarray
            As `forward`; costs without views report the numbers of the last view.
        """
        views = list(views)
        middle = ["middle_view"] * (len(views) - 2)
        passes = ["first_view", *middle, "last_view"] if len(views) > 1 else ["test"]
        return [self.forward(view, kind, noise) for view, kind in zip(views, passes, strict=True)][-1]

    def forward_layer(self, name: str, pass_type: str = "train", noise: Array | None = None) -> Array | None:
        """Run one layer forward from the outputs of the layers below."""
        layer = self.layers[name]
        if self.update_every == 1:
            layer.forget_gradients()  # of a pass that no update followed
        found = layer.forward([self._seen(source, name) for source in layer.spec.inputs], pass_type, noise)
        self._rounded.pop(name, None)
        self._sent.pop(name, None)
        return found

    def backward(self, progress: float = 0.0, normal: Normal | None = None) -> None:
        """The backward pass, costs first.

        Parameters
        ----------
        progress : float
            Share of the training that is done, for the rates of the direct route.
        normal : callable, optional
            Draws the normals of noisy schedules; by default from the network's generator.
        """
        checking = any(layer.pass_type == "gc" for layer in self.layers.values())
        self._sent.clear()
        for layer in self.layers.values():
            layer.acts_grad = None
            if checking or self.passes % self.update_every == 0:
                layer.forget_gradients()
        for name in reversed(self.layers):
            if self._has_gradient(name):
                self.backward_layer(name, progress, normal)
        self.passes += not checking

    def _has_gradient(self, name: str) -> bool:
        """Whether a layer takes part in the backward pass; the layers above it have run."""
        graph = self.graph
        if name not in graph.produces or name not in graph.wants_gradient or name in graph.fused.values():
            return False
        begins = self.layers[name].cost is not None or name in graph.fused
        return begins or self.layers[name].acts_grad is not None or name in self._sent

    def backward_layer(self, name: str, progress: float = 0.0, normal: Normal | None = None) -> None:
        """Run one layer backward from its ``acts_grad``, and add its gradients to the ``acts_grad`` of its inputs."""
        layer = self.layers[name]
        total = self.received(name)
        self._sent.pop(name, None)
        found = layer.backward(total, self.wanted(name), progress, normal, accumulate=True)
        for i, (source, grads) in enumerate(zip(layer.spec.inputs, found, strict=True)):
            if grads is None:
                continue
            if self._remote(source, name, "quantB"):
                sent, device = self._sent.setdefault(source, {}), _device(layer.spec)
                sent[device] = _added(layer, i, sent.get(device), grads)
            else:
                self.layers[source].acts_grad = _added(layer, i, self.layers[source].acts_grad, grads)

    def received(self, name: str) -> Array | None:
        """The sum of the gradients that layers above have sent so far for a layer's output; None before the first."""
        total = self.layers[name].acts_grad
        for part in self._sent.get(name, {}).values():
            total = half(part) if total is None else total + half(part)
        return total

    def _remote(self, source: str, reader: str, quantiser: str) -> bool:
        """Whether values between two layers are rounded to half precision, as quantiser `quantiser` says."""
        below, above = self.layers[source].spec, self.layers[reader].spec
        rounds = self.quantise and below.type != "data" and below[quantiser]["type"] == "half"
        return rounds and _device(below) != _device(above)

    def _seen(self, source: str, reader: str) -> Array:
        """The output of layer `source` as layer `reader` reads it."""
        acts = self.layers[source].acts
        if acts is None:
            raise ValueError(f"{reader}: expected an output of {source}, actual none; hint: run {source} forward first")
        if not self._remote(source, reader, "quantF"):
            return acts
        if source not in self._rounded:
            self._rounded[source] = half(acts)
        return self._rounded[source]

    def wanted(self, name: str) -> list[bool]:
        """For each input of a layer, whether the input wants a gradient."""
        return [source in self.graph.wants_gradient for source in self.layers[name].spec.inputs]

    def sum_grad(self, parts: Iterable[tuple[str, int, Array | None]]) -> Array | None:
        """The gradient of an output read by several layers, as `backward` accumulates it.

        Parameters
        ----------
        parts : list of (str, int, ndarray)
            Name of a consumer, number of the consumer's input, gradient of the consumer's output.

        Returns
        -------
        ndarray, (units, N), or None
            None if no consumer passes a gradient on.
        """
        total: Array | None = None
        sent: dict[int, Array] = {}
        for name, i, acts_grad in parts:
            layer = self.layers[name]
            only = [k == i for k in range(len(layer.spec.inputs))]
            acts_grad = None if acts_grad is None else np.ascontiguousarray(acts_grad, layer.dtype)
            grads = layer.inputs_grad(acts_grad, only)[i]
            if grads is None:
                continue
            if self._remote(layer.spec.inputs[i], name, "quantB"):
                sent[_device(layer.spec)] = _added(layer, i, sent.get(_device(layer.spec)), grads)
            else:
                total = _added(layer, i, total, grads)
        for part in sent.values():
            total = _add(total, half(part))
        return total

    def update(self, progress: float = 0.0, normal: Normal | None = None) -> bool:
        """One step of each parameter that learns, if an update is due; arguments as in `Layer.update`.

        Returns
        -------
        bool
            Whether an update was due: with ``update_every`` > 1 only after that many backward passes.
        """
        if self.passes % self.update_every:
            return False
        for name, layer in self.layers.items():
            if name in self.graph.produces:
                layer.update(progress, normal)
        for layer in self.weighted:
            if layer.spec.name not in self.graph.produces and layer.collected():
                layer.update_weights(progress, normal)  # weights that a layer with a cost above it shares
        return True

    def seconds(self, name: str, step: str) -> float:
        """Wall seconds of the last ``forward``, ``backward`` or ``update`` of a layer."""
        return self.layers[name].seconds[step]

    @property
    def total_cost(self) -> float:
        """Sum of coefficient times first number over the cost layers, for all images of the last forward pass."""
        priced = [(layer.spec["coeff"], layer.cost) for layer in self.layers.values() if layer.cost is not None]
        return float(sum(coeff * cost[0] for coeff, cost in priced))


def half(array: Array) -> Array:
    """The array rounded to IEEE half precision, to nearest even, infinite beyond 65504 (network-and-solver 11.2)."""
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(array.dtype)


def _device(spec: LayerSpec) -> int:
    """The device of a layer; an inherited -1 counts as device 0."""
    return int(max(spec["gpu"], 0))


def _added(layer: Layer, i: int, total: Array | None, grads: Array) -> Array:
    """Add a layer's gradient of input i to the running total; the first gradient becomes the total."""
    return grads if total is None else layer.add_grad(i, total, grads)


def _add(total: Array | None, grads: Array) -> Array:
    """Add `grads` to the running total, in place; the first array becomes the total."""
    if total is None:
        return grads
    total += grads
    return total
