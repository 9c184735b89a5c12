"""Two changes to a finished model: convolutions made local, shared weights made private (config-format 14).

`localised` and `unshared` change a specification; `conv_to_local` and `unshare_weights` change a network with its
parameters. The new model computes the same function as the old model.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from .checks import Array
from .config import LayerSpec, NetworkSpec
from .config.grammar import read_weight_source
from .config.ini import ConfigError
from .conv_layers import Filtered
from .network import Network
from .parameters import Parameter


def conv_to_local(network: Network, names: Iterable[str]) -> Network:
    """A new network whose convolutions `names` are local layers.

    Each module gets a copy of the filters; each output gets a copy of the bias, if there was one bias per filter. Δ of
    copied parameters starts at 0. Convolutions that share weights with a named layer become local too.

    Raises config.ConfigError: a name is no conv layer, or the layer shares weights with a layer of another number of
    modules.
    """
    return _rebuilt(network, localised(network.spec, names))


def unshare_weights(network: Network, entries: Iterable[str]) -> Network:
    """A new network with private copies of some shared weight matrices; Δ of the copies starts at 0.

    An entry is ``layer[i]`` for the matrix of input i, ``layer`` for all shared matrices of a layer. Raises
    config.ConfigError: an entry names no shared matrix.
    """
    return _rebuilt(network, unshared(network.spec, entries))


def localised(spec: NetworkSpec, names: Iterable[str]) -> NetworkSpec:
    """`conv_to_local` for a config.NetworkSpec."""
    chosen, links = set(), {layer.name: {*layer.get("weightSourceLayers", ())} - {""} for layer in spec}
    waiting = [_layer(spec, name).name for name in names]
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            waiting += [*links[name], *(other for other, sources in links.items() if name in sources)]
    for name in sorted(chosen):
        layer = _layer(spec, name)
        if layer.type != "conv":
            raise layer.error("only convolutions become local layers", actual=layer.type)
        for source in links[name]:
            if spec[source]["modules"] != layer["modules"]:
                what = f"its filters are those of {source}, which has another number of modules"
                raise layer.error(what, key="weightSource", hint="unshare them first")
    return replace(spec, layers=tuple(_local(layer) if layer.name in chosen else layer for layer in spec))


def unshared(spec: NetworkSpec, entries: Iterable[str]) -> NetworkSpec:
    """`unshare_weights` for a config.NetworkSpec."""
    for entry in entries:
        try:
            name, index = read_weight_source(entry)
        except ValueError as error:
            raise ConfigError("is no weight matrix", expected=str(error), actual=entry) from None
        layer = _layer(spec, name)
        shared = [i for i, source in enumerate(layer.get("weightSourceLayers", ())) if source]
        wanted = [index] if "[" in entry else shared
        if not wanted or not {*wanted} <= {*shared}:
            raise layer.error("has no such shared weights", key="weightSource", expected=f"of {shared}", actual=entry)
        private = _private(layer, wanted)
        spec = replace(spec, layers=tuple(private if other is layer else other for other in spec))
    return spec


def _layer(spec: NetworkSpec, name: str) -> LayerSpec:
    try:
        return spec[name]
    except KeyError:
        raise ConfigError("there is no such layer", layer=name) from None


def _with_keys(layer: LayerSpec, **changes: Any) -> LayerSpec:
    keys = MappingProxyType({**layer.keys, **changes})
    return replace(layer, type=keys["type"], keys=keys)


def _local(layer: LayerSpec) -> LayerSpec:
    """The local layer that a convolution becomes."""
    modules = layer["modules"]
    shapes = tuple((modules * rows, columns) for rows, columns in layer["weightShapes"])
    return _with_keys(layer, type="local", weightShapes=shapes, biasShape=(modules * layer["filters"], 1))


def _private(layer: LayerSpec, wanted: Sequence[int]) -> LayerSpec:
    """The layer with own matrices for the inputs `wanted`."""
    fresh = {"weightSource": "", "weightSourceLayers": "", "weightSourceMatrixIndices": -1}
    changes = {
        key: tuple(empty if i in wanted else value for i, value in enumerate(layer[key]))
        for key, empty in fresh.items()
    }
    return _with_keys(layer, **changes)


def _rebuilt(network: Network, spec: NetworkSpec) -> Network:
    """A network for `spec` with the parameters of `network`."""
    options = {key: getattr(network, key) for key in ("quantise", "update_every", "minibatch")}
    twin = Network(spec, network.dtype, network.rng, **options)
    before = {layer.spec.name: layer for layer in network.weighted}
    for layer in twin.weighted:
        old = before[layer.spec.name]
        for i, parameter in enumerate(layer.parameters):
            if layer.owned[i]:
                same = old.owned[i] and layer.spec.type == old.spec.type
                _take(parameter, old.parameters[i], same, lambda values, times: np.tile(values, (times, 1)))
        _take(layer.bias, old.bias, True, lambda values, times: np.repeat(values, times, axis=0))
        if isinstance(layer, Filtered) and isinstance(old, Filtered):
            layer.filter_conns = list(old.filter_conns)
    return twin


def _take(parameter: Parameter, old: Parameter, same: bool, spread: Callable[[Array, int], Array]) -> None:
    """Copy the values of an old parameter, spread over the modules if need be; unspread ones with Δ if `same`."""
    times = len(parameter.values) // len(old.values)
    parameter.values[...] = spread(old.values, times)
    if times == 1 and same:
        parameter.inc[...] = old.inc
        parameter.mean, parameter.square = (None if a is None else a.copy() for a in (old.mean, old.square))
