"""Weights of other programs, in their layout and in that of 2012: state_dict of PyTorch (.pt, .pth, safetensors), ONNX.

A *stage* is what stands side by side: the layers with weights at one depth, a layer or two towers. Elsewhere a stage is
one layer: its filters are those of the towers one after another (O, I, K, K), and where no tower sees another's maps,
the layer has groups. Units that dropout scales by ``keep`` in a test of 2012 are not scaled elsewhere, so that the
weights above them are those of 2012 times ``keep``.
"""

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import BadInput
from ..network.load import LayerSpec, Network, parameter_shapes, sparse_inputs
from . import pickles
from .batches import need

Tensors = dict[str, np.ndarray]
SUFFIXES = (".pt", ".pth", ".onnx")
"""What files of other programs alone are called; a safetensors file may be one as well."""
TORCHVISION = [f"features.{i}" for i in (0, 3, 6, 8, 10)] + [f"classifier.{i}" for i in (1, 4, 6)]
"""The layers with parameters of torchvision's AlexNet, and of any net of five convolutions and three fc layers."""
LETTERS = 200
"""Of the name of a tensor, at most."""
PASSED = ("pool", "cmrnorm", "rnorm", "cnorm", "neuron", "hs", "softmax")
"""Types of layers that leave the order of the channels as it is."""


@dataclass
class Stage:
    """Layers with weights side by side."""

    name: str  # what the layer is called elsewhere
    layers: list[LayerSpec]
    pixels: int = 1  # of a filter; 1 of fc layers
    rows: int = 0  # inputs of the whole stage times ``pixels``
    # where a part of a matrix of 2012, (inputs, outputs), stands in the stage's matrix (outputs, rows)
    blocks: list[tuple[str, str, slice, slice, slice, float]] = field(default_factory=list)

    @property
    def outputs(self) -> int:
        """Filters or units of all layers."""
        return sum(map(_width, self.layers))

    @property
    def groups(self) -> int:
        """Equal groups of outputs that see equal groups of inputs and nothing else; 1 where that is not so."""
        wired = {(block[3].start, block[3].stop, block[4].start, block[4].stop) for block in self.blocks}
        count = len(wired)
        out, rows = self.outputs // count, self.rows // count
        return count if wired == {(k * out, (k + 1) * out, k * rows, (k + 1) * rows) for k in range(count)} else 1

    def to_others(self, tensors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Weights (O, I, K, K) or (outputs, inputs), and biases, of matrices of 2012 by ``layer.tensor``."""
        dense = np.zeros((self.outputs, self.rows), np.float32)
        for layer, tensor, columns, outputs, rows, scale in self.blocks:
            dense[outputs, rows] = tensors[f"{layer}.{tensor}"][:, columns].T * np.float32(scale)
        count = self.groups
        dense = np.concatenate([part[:, k * self.rows // count : (k + 1) * self.rows // count]
                                for k, part in enumerate(np.split(dense, count))])  # fmt: skip
        side = round(self.pixels**0.5)
        weights = dense.reshape(self.outputs, -1, side, side) if self.layers[0].type == "conv" else dense
        return weights, np.concatenate([tensors[f"{layer.name}.biases"].ravel() for layer in self.layers])

    def from_others(self, name: str, weights: np.ndarray, biases: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """(``layer.tensor``, matrix of 2012) of weights and biases of a layer elsewhere.

        Raises BadInput: another shape, or weights where the network has no connection.
        """
        side = round(self.pixels**0.5)
        inner = self.rows // self.pixels
        of_conv = self.layers[0].type == "conv"
        groups = max(1, inner // weights.shape[1]) if weights.ndim > 1 and weights.shape[1] else 1
        right = (self.outputs, inner // groups, side, side) if of_conv else (self.outputs, inner)
        if weights.shape != right or biases.shape != (self.outputs,) or self.outputs % groups or inner % groups:
            what = f"{name} does not fit {' and '.join(layer.name for layer in self.layers)}"
            raise BadInput(what, expected=f"weights {right}, biases ({self.outputs},)",
                           actual=f"{weights.shape}, {biases.shape}", hint="another --net?")  # fmt: skip
        dense = np.zeros((self.outputs, self.rows), np.float32)
        out, rows = self.outputs // groups, self.rows // groups
        for k in range(groups):
            part = slice(k * out, (k + 1) * out)
            dense[part, k * rows : (k + 1) * rows] = weights[part].reshape(out, -1)
        found: Tensors = {}
        for layer in self.layers:
            for tensor, shape in parameter_shapes(layer).items():
                found[f"{layer.name}.{tensor}"] = np.zeros(shape, np.float32)
        at = 0
        for layer in self.layers:
            found[f"{layer.name}.biases"].ravel()[:] = biases[at : at + _width(layer)]
            at += _width(layer)
        for own, tensor, columns, outputs, cut, scale in self.blocks:
            found[f"{own}.{tensor}"][:, columns] = dense[outputs, cut].T / np.float32(scale)
            dense[outputs, cut] = 0
        if dense.any():
            raise BadInput(f"{name} has weights between maps that the network does not connect",
                           hint="a net of one tower, or of other groups")  # fmt: skip
        yield from found.items()


def _width(layer: LayerSpec) -> int:
    return layer["filters"] if layer.type == "conv" else layer.outputs


def _common(names: list[str]) -> str:
    """What names begin with, all of them; else the first."""
    first, last = min(names), max(names)
    same = next((k for k, letter in enumerate(first) if letter != last[k : k + 1]), len(first))
    return first[:same] or names[0]


def stages(network: Network) -> list[Stage]:
    """The stages of a network from the data on.

    Raises BadInput: it has layers with parameters that other programs do not have as such, or that skip a stage.
    """
    graph = network.graph
    depth: dict[str, int] = {}
    sources: dict[str, tuple[list[str], float]] = {}
    found: list[Stage] = [Stage("data", [])]
    for layer in network.layers:
        below = [sources[name] for name in layer.inputs if name in sources]
        if layer.type in ("conv", "fc"):
            depth[layer.name] = 1 + max(depth[names[0]] for names, _ in below)
            sources[layer.name] = [layer.name], 1.0
            while len(found) <= depth[layer.name]:
                found.append(Stage("", []))
            found[depth[layer.name]].layers.append(layer)
        elif layer.type == "data":
            depth[layer.name], sources[layer.name] = 0, ([layer.name], 1.0)
        elif parameter_shapes(layer):
            raise BadInput(f"[{layer.name}] {layer.type}: is not converted to or from other programs",
                           expected="parameters of conv and fc layers alone")  # fmt: skip
        elif layer.type in PASSED and below:
            names, scale = below[0]
            sources[layer.name] = names, scale * (layer["keep"] if layer.type == "hs" else 1.0)
        elif layer.type == "concat" and len({scale for _, scale in below}) == 1:
            sources[layer.name] = [name for names, _ in below for name in names], below[0][1]
    for at, stage in enumerate(found[1:], 1):
        before = [layer.name for layer in found[at - 1].layers]
        widths = [_width(layer) for layer in found[at - 1].layers]
        outputs = 0
        for layer in stage.layers:
            if (
                sparse_inputs(layer)
                or (layer.type == "conv" and not layer["sharedBiases"])
                or any(graph.owner(layer, tensor) != (layer.name, tensor) for tensor in parameter_shapes(layer))
            ):
                raise BadInput(f"[{layer.name}] is not converted to or from other programs",
                               expected="no sparse connections, shared matrices or biases for each place")  # fmt: skip
            pixels = layer["filterSize"][0] ** 2 if layer.type == "conv" else 1
            for i, source in enumerate(layer.inputs):
                groups = layer["groups"][i] if layer.type == "conv" else 1
                rows = parameter_shapes(layer)[f"weights[{i}]"][0] * groups
                names, scale = sources.get(source, ([], 1.0))
                if before and names and set(names) <= set(before):
                    first = before.index(names[0])
                    width, start = sum(widths[first : first + len(names)]), sum(widths[:first])
                    in_order = names == before[first : first + len(names)]
                    whole = rows * sum(widths) // width
                else:
                    in_order, width, start, whole = at == 1 and len(layer.inputs) == 1, 1, 0, rows
                if not in_order or whole != (stage.rows or whole) or pixels != (stage.pixels if stage.rows else pixels):
                    raise BadInput(f"[{layer.name}] reads {source}: such connections are not converted",
                                   expected="layers that read those of the depth below, in their order")  # fmt: skip
                stage.rows, stage.pixels = whole, pixels
                offset = start * (rows // width)
                wide = _width(layer)
                for k in range(groups):
                    own = slice(k * wide // groups, (k + 1) * wide // groups)
                    seen = slice(offset + k * rows // groups, offset + (k + 1) * rows // groups)
                    stage.blocks.append((layer.name, f"weights[{i}]", own,
                                         slice(outputs + own.start, outputs + own.stop), seen, scale))  # fmt: skip
            outputs += _width(layer)
    named = found[1:]
    kinds = [stage.layers[0].type for stage in named]
    for stage, theirs in zip(named, TORCHVISION if kinds == ["conv"] * 5 + ["fc"] * 3 else [""] * 99, strict=False):
        stage.name = theirs or _common([layer.name for layer in stage.layers])
    return named


def to_state_dict(network: Network, tensors: Mapping[str, np.ndarray]) -> Tensors:
    """A state_dict, {"NAME.weight", "NAME.bias"}, of matrices of 2012 by ``layer.tensor``."""
    found: Tensors = {}
    for stage in stages(network):
        found[f"{stage.name}.weight"], found[f"{stage.name}.bias"] = stage.to_others(tensors)
    return found


def from_state_dict(network: Network, given: Mapping[str, np.ndarray], path: Path) -> Tensors:
    """Matrices of 2012 by ``layer.tensor``, of a state_dict.

    Layers are found by the names that `stages` gives; where the file has none of these, convolutions come first, then
    fc layers, each kind in the order of the numbers in the names, and shapes have to fit.
    """
    longest = max(map(len, given), default=0)
    if longest > LETTERS:
        raise BadInput(f"{path} has a name of {longest:,} letters", expected=f"at most {LETTERS}")
    plain = {re.sub(r"^module\.", "", name): array for name, array in given.items()}
    names = sorted({name.rpartition(".")[0] for name in plain})
    for name in names:
        lacking = [f"{name}.{part}" for part in ("weight", "bias") if f"{name}.{part}" not in plain]
        if lacking:
            raise BadInput(f"{path}: {lacking[0]} is missing", expected="weight and bias of every layer")
    odd = sorted(set(plain) - {f"{name}.{part}" for name in names for part in ("weight", "bias")})
    if odd:
        raise BadInput(f"{path}: {odd[0]} is no weight or bias of a convolution or fc layer")
    wanted = stages(network)
    if set(names) != {stage.name for stage in wanted}:
        key = lambda name: (-plain[f"{name}.weight"].ndim, [int(n) for n in re.findall(r"\d+", name)], name)  # noqa: E731
        names.sort(key=key)
    else:
        names = [stage.name for stage in wanted]
    if len(names) != len(wanted):
        raise BadInput(f"{path} is of another network than {network.name}", actual=f"{len(names)} layers with weights",
                       expected=len(wanted), hint="--net NET")  # fmt: skip
    found: Tensors = {}
    for stage, name in zip(wanted, names, strict=True):
        found |= stage.from_others(f"{path}: {name}", plain[f"{name}.weight"], plain[f"{name}.bias"])
    return found


def read(path: Path, network: Network) -> Tensors:
    """Matrices of 2012 by ``layer.tensor``, of a file of another program; nothing in the file is run."""
    need(3 * path.stat().st_size, str(path))
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
        found = _read_onnx(path, network) if path.suffix == ".onnx" else _read_torch(path, network)
    odd = next((name for name, array in found.items() if not np.isfinite(array).all()), None)
    if odd:
        raise BadInput(f"{path}: {odd} holds NaN, an infinity or what float32 cannot hold")
    return found


def _read_torch(path: Path, network: Network) -> Tensors:
    value = pickles.load_torch(path)
    value = value.get("state_dict", value) if isinstance(value, dict) else value
    if not isinstance(value, dict) or not all(isinstance(array, np.ndarray) for array in value.values()):
        raise BadInput(f"{path} holds no state_dict", expected="names and tensors", hint="torch.save(net.state_dict())")
    return from_state_dict(network, {str(name): np.asarray(array, np.float32) for name, array in value.items()}, path)


def write(path: Path, network: Network, tensors: Mapping[str, np.ndarray]) -> None:
    """Write a state_dict (.pt, .pth) or an ONNX model, by its suffix, in one step."""
    lacking = [f"{layer.name}.{tensor}" for layer in network.layers for tensor in parameter_shapes(layer)
               if f"{layer.name}.{tensor}" not in tensors]  # fmt: skip
    if lacking:
        raise BadInput(f"the source has no {lacking[0]}", hint="another --net?")
    if path.suffix == ".onnx":
        files.write(path, _onnx(network, tensors))
        return
    torch = _package("torch", "witness")
    held = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in to_state_dict(network, tensors).items()}, held)
    files.write(path, held.getvalue())


def _package(name: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise BadInput(f"{name} is not installed", hint=f"pip install -e '.[{extra}]' in the source tree") from error


def _read_onnx(path: Path, network: Network) -> Tensors:
    onnx = _package("onnx", "interop")
    try:
        graph = onnx.load(path, load_external_data=False).graph
        held = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
        held = {name: array for name, array in held.items() if array.dtype.kind not in "OSUc"}
        nodes = [(node, {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute})
                 for node in graph.node if node.op_type in ("Conv", "Gemm")]  # fmt: skip
    except Exception as error:  # what a damaged file does to the package is not for us to list
        raise BadInput(f"{path} cannot be read as an ONNX model ({str(error)[:100]})") from error
    own = {f"{layer.name}.{tensor}": shape for layer in network.layers
           for tensor, shape in parameter_shapes(layer).items()}  # fmt: skip
    if set(own) <= set(held) or not set(own).isdisjoint(held):
        return _read_own(path, network, held, own)
    found: Tensors = {}
    for k, (node, facts) in enumerate(nodes):
        if len(node.input) < 3 or not set(node.input[1:3]) <= set(held):
            raise BadInput(f"{path}: {node.op_type} {node.name[:LETTERS]} has no weights and biases of its own")
        weights = held[node.input[1]]
        turned = node.op_type == "Gemm" and not facts.get("transB", 0)
        found[f"{k}.weight"], found[f"{k}.bias"] = weights.T if turned else weights, held[node.input[2]]
    return from_state_dict(network, found, path)


def _read_own(path: Path, network: Network, held: Tensors, own: Mapping[str, tuple[int, int]]) -> Tensors:
    """Matrices of 2012, of a model that this module wrote."""
    for name, shape in own.items():
        array = held.get(name)
        if array is None or array.size != shape[0] * shape[1]:
            raise BadInput(f"{path}: {name} {'is missing' if array is None else 'does not fit'}", expected=shape,
                           actual=None if array is None else array.shape, hint="another --net?")  # fmt: skip
    return {name: np.ascontiguousarray(held[name].reshape(shape[1], shape[0]).T if held[name].ndim == 4
                                       else held[name].reshape(shape), np.float32)
            for name, shape in own.items()}  # fmt: skip


def _onnx(network: Network, tensors: Mapping[str, np.ndarray]) -> bytes:
    """A model with a node for every layer up to the costs: input ``data`` (N, C, S, S), output that of the last."""
    onnx = _package("onnx", "interop")
    make, array = onnx.helper.make_node, onnx.numpy_helper.from_array
    nodes: list[Any] = []
    held: list[Any] = []

    def constant(name: str, value: np.ndarray) -> str:
        held.append(array(np.ascontiguousarray(value, np.float32), name))
        return name

    read_by = [layer for layer in network.layers if layer.type == "conv"]
    inputs, last = [], ""
    for layer in network.layers:
        name, kind, below = layer.name, layer.type, list(layer.inputs)
        if kind == "data":
            shape: list[Any] = ["N", layer.outputs]
            for conv in read_by:
                if name in conv.inputs:
                    i = conv.inputs.index(name)
                    shape = ["N", conv["channels"][i], conv["imgSize"][i], conv["imgSize"][i]]
            if any(name in other.inputs and not other.type.startswith("cost.") for other in network.layers):
                inputs.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
            continue
        if kind.startswith("cost."):
            continue
        last = name
        if kind in ("conv", "fc"):
            parts = []
            for i, source in enumerate(below):
                weights = tensors[f"{name}.weights[{i}]"]
                part = name if len(below) == 1 else f"{name}.sum[{i}]"
                biases = [constant(f"{name}.biases", tensors[f"{name}.biases"].ravel())] if i == 0 else []
                if kind == "conv":
                    size, near, stride = layer["filterSize"][i], -layer["padding"][i], layer["stride"][i]
                    far = (layer["modulesX"] - 1) * stride + size - near - layer["imgSize"][i]
                    given = constant(f"{name}.weights[{i}]", weights.T.reshape(layer["filters"], -1, size, size))
                    nodes.append(make("Conv", [source, given, *biases], [part], kernel_shape=[size, size],
                                      strides=[stride] * 2, pads=[near, near, far, far],
                                      group=layer["groups"][i]))  # fmt: skip
                else:
                    nodes.append(make("Flatten", [source], [f"{name}.flat[{i}]"]))
                    given = constant(f"{name}.weights[{i}]", weights)
                    nodes.append(make("Gemm", [f"{name}.flat[{i}]", given, *biases], [part]))
                parts.append(part)
            if len(parts) > 1:
                nodes.append(make("Sum", parts, [name]))
        elif kind == "pool" and layer["pool"] in ("max", "avg") and layer["start"] == 0:
            far = max(0, (layer["outputsX"] - 1) * layer["stride"] + layer["sizeX"] - layer["imgSize"])
            nodes.append(make("MaxPool" if layer["pool"] == "max" else "AveragePool", below, [name],
                              kernel_shape=[layer["sizeX"]] * 2, strides=[layer["stride"]] * 2,
                              pads=[0, 0, far, far]))  # fmt: skip
        elif kind == "cmrnorm" and not layer["blocked"] and layer["size"] % 2:
            nodes.append(make("LRN", below, [name], size=layer["size"], alpha=layer["scale"] * layer["size"],
                              beta=layer["pow"], bias=float(layer["minDiv"])))  # fmt: skip
        elif kind == "neuron" and layer["neuron"]["type"] in ("relu", "logistic", "abs"):
            op = {"relu": "Relu", "logistic": "Sigmoid", "abs": "Abs"}[layer["neuron"]["type"]]
            nodes.append(make(op, below, [name]))
        elif kind == "hs":
            nodes.append(make("Mul", [below[0], constant(f"{name}.keep", np.array(layer["keep"]))], [name]))
        elif kind == "softmax":
            nodes.append(make("Flatten", below, [f"{name}.flat"]))
            nodes.append(make("Softmax", [f"{name}.flat"], [name], axis=1))
        else:
            raise BadInput(f"[{name}] {kind}: is not converted to ONNX", hint="npz and safetensors hold all layers")
    output = onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, ["N", None])
    graph = onnx.helper.make_graph(nodes, network.name, inputs, [output], held)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
