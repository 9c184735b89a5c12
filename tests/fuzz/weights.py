"""Damaged and hostile weights of other programs: state_dicts of PyTorch and ONNX models.

Each is read as weights of a small network: taken, with finite matrices as they should be, or refused with the error of
bad input that names the file; it takes little time and memory, and nothing in it is run, imported or opened.
"""

import io
import struct
import warnings
import zipfile
from contextlib import suppress
from functools import cache
from importlib.util import find_spec

import numpy as np

from alexnet_rosetta.harness.data import others
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network.load import from_texts, parameter_shapes
from alexnet_rosetta.harness.network.net import Net
from alexnet_rosetta.harness.values import parameters

from . import runner
from .archives import bent, contained, folder
from .pickles import moved, spliced

ROLES = ("pt", "onnx") if find_spec("onnx") else ("pt",)
TAKEN, SECONDS, PATIENCE = 256 << 20, 1.0, 20.0


@cache
def network():
    """A convolution of two groups and an fc layer."""
    net = Net(3 * 16, labels=1)
    net.add("conv1", "conv", "data", channels=3, filters=4, filterSize=3, initW=0.1, neuron="relu")
    net.add("conv2", "conv", "conv1", channels=4, groups=2, filters=2, filterSize=2, initW=0.1)
    return from_texts("net", *net.add("fc3", "fc", "conv2", outputs=2, initW=0.1).softmax_cost("fc3").files(), folder())


@cache
def sound():
    """{name: array} of a state_dict that is right."""
    values = parameters.make(network(), 0)
    own = {f"{layer}.{tensor}": array for layer, held in values.items() for tensor, array in held.items()}
    return others.to_state_dict(network(), own)


def tensor(key, kind, count, offset, shape, strides):
    """The instructions of a pickle for a tensor in a storage."""
    text = lambda letters: b"X" + struct.pack("<I", len(letters)) + letters.encode()  # noqa: E731
    numbers = lambda many: b"(" + b"".join(b"J" + struct.pack("<i", n) for n in many) + b"t"  # noqa: E731
    held = text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + b"J" + struct.pack("<i", count)
    more = b"J" + struct.pack("<i", offset) + numbers(shape) + numbers(strides) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n((" + held + b"tQ" + more + b"tR"


def state_dict(rng, arrays, change=lambda rng, data: data, wild=False):
    """The file of a state_dict; ``change`` bends its pickle, ``wild`` what tensors say of themselves."""
    out, file = b"\x80\x02}(", io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for k, (name, array) in enumerate(arrays.items()):
            said = [str(k), "FloatStorage", array.size, 0, array.shape,
                    [int(step // array.itemsize) for step in array.strides]]  # fmt: skip
            if wild and rng.integers(3) == 0:
                at = int(rng.integers(6))
                odd = [-1, 0, 1, 7, 1 << 30]
                said[at] = [str(rng.choice(["0", "1", "9", "../0", "x"])), str(rng.choice([*others.pickles.STORAGES])),
                            int(rng.choice(odd)), int(rng.choice(odd)), rng.choice(odd, int(rng.integers(6))).tolist(),
                            rng.choice(odd, int(rng.integers(6))).tolist()][at]  # fmt: skip
            out += b"X" + struct.pack("<I", len(name.encode())) + name.encode() + tensor(*said)
            archive.writestr(f"net/data/{k}", np.ascontiguousarray(array).tobytes())
        archive.writestr("net/data.pkl", change(rng, out + b"u."))
        archive.writestr("net/byteorder", "little")
    return file.getvalue()


def strange(rng):
    """Arrays by name of which some have another name, shape, type or value than they should."""
    found = {}
    for name, array in sound().items():
        way = int(rng.integers(16))
        digits = "9" * int(rng.choice([1, 5000]))
        others_ = [name + "x", "module." + name, f"{digits}.weight", f"{digits}.bias", "x" * 5000 + ".bias"]
        name = others_[way] if way < len(others_) else name
        if way in (5, 6):
            array = np.ones(rng.integers(0, 9, int(rng.integers(6))), np.float32)
        if way == 7:
            array = array.astype(rng.choice(["<f8", "<f2", "<i4", "|b1", "<i8"]))
        if way == 8:
            array = array * np.float64(rng.choice([np.nan, np.inf, 1e300, 0]))
        if way == 9:
            array = array.T
        if way != 10:
            found[name] = array
    return found


def model(rng, arrays):
    """The bytes of an ONNX model with these initializers, and nodes that read some of them."""
    import onnx

    names, nodes, random = list(arrays), [], lambda many: many[int(rng.integers(len(many)))]
    odd = {name: random([array.astype(np.complex64), np.full(array.shape, "1", object), array.astype(np.float16)])
           for name, array in arrays.items() if rng.integers(20) == 0}  # fmt: skip
    held = [onnx.numpy_helper.from_array(np.array(array), name) for name, array in (arrays | odd).items()]
    if rng.integers(2):  # as this project writes it
        values = parameters.make(network(), 0)
        for layer, own in values.items():
            for name, array in own.items():
                array = array if rng.integers(8) else np.ones(rng.integers(0, 9, int(rng.integers(6))))
                held += [onnx.numpy_helper.from_array(array.copy(), f"{layer}.{name}")] if rng.integers(20) else []
    for k in range(0, len(names) - 1, 2):
        inputs = (
            ["x", *names[k : k + 2]] if rng.integers(8) else [random([*names, "x"]) for _ in range(rng.integers(5))]
        )
        op = ("Conv" if "conv" in names[k] else "Gemm") if rng.integers(8) else random(["Conv", "Gemm", "Relu", ""])
        facts = {"transB": random([0, 1, 1.5, "a", [1, 2]])} if rng.integers(2) else {"transB": 1}
        nodes.append(onnx.helper.make_node(op, inputs, [f"y{k}"], **facts if op == "Gemm" else {}))
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "net", [], [], held)).SerializeToString()


def draw(rng):
    """(role, bytes of a file)."""
    role, way = ROLES[int(rng.integers(len(ROLES)))], int(rng.integers(6))
    with np.errstate(all="ignore"):
        arrays = strange(rng) if way in (0, 1, 5) else sound()
    if role == "onnx":
        data = model(rng, arrays)
        return role, data if way < 3 else bent(rng, data)
    if way in (1, 2):
        return role, state_dict(rng, {name: np.float32(array) for name, array in arrays.items()}, wild=True)
    if way in (3, 4):
        return role, state_dict(rng, arrays, [bent, spliced, moved][int(rng.integers(3))])
    data = state_dict(rng, {name: np.float32(array) for name, array in arrays.items()})
    return role, bent(rng, data) if way == 5 else data


def check(role, data):
    """Read bytes as a file; returns the outcome, asserts what must hold."""
    path = folder() / f"weights.{role}"
    path.write_bytes(data)
    warm()
    outcome, found = contained(lambda: others.read(path, network()), path, SECONDS, TAKEN)
    if found is not None:
        shapes = {f"{layer.name}.{tensor}": shape for layer in network().layers
                  for tensor, shape in parameter_shapes(layer).items()}  # fmt: skip
        assert {name: array.shape for name, array in found.items()} == shapes
        assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in found.values())
    return outcome


@cache
def warm():
    """Have everything imported that sound and damaged files take."""
    rng = np.random.default_rng(0)
    for role in ROLES:
        for data in (b"PK\3\4", model(rng, sound()) if role == "onnx" else state_dict(rng, sound())):
            path = folder() / f"warm.{role}"
            path.write_bytes(data)
            with suppress(BadInput):
                others.read(path, network())


def trial(rng):
    """One file."""
    warnings.simplefilter("ignore")
    role, data = draw(rng)
    with runner.noted(lambda: f"{role}, {data[:3000]!r}"):
        return check(role, data)


if __name__ == "__main__":
    runner.main(trial, patience=PATIENCE)
