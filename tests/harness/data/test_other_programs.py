"""Weights of other programs: there and back bit for bit, onnxruntime and torch inside the bound, no file is run."""

import re
import struct
from zipfile import ZipFile

import numpy as np
import pytest

from alexnet_rosetta.harness import reference
from alexnet_rosetta.harness.data import others
from alexnet_rosetta.harness.data.checkpoints import convert, packed
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.judging.verdict import judge
from alexnet_rosetta.harness.network.load import from_texts, load, parameter_shapes, texts
from alexnet_rosetta.harness.network.net import Net
from alexnet_rosetta.harness.values import parameters

AGREE = {"identical", "equivalent"}


def small(folder, towers):
    """An AlexNet with few maps, of two towers or of one: 5 convolutions, 3 fc layers, norm, pool, dropout."""
    net, below, width, dims = Net(35 * 35 * 3, 1), ["data"], 3, 8 if towers else 16
    for stage, (size, stride, padding) in enumerate([(5, 2, 0), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 1, 1)], 1):
        own = [f"conv{stage}{tower}" for tower in towers or [""]]
        for k, name in enumerate(own):
            reads = below if stage in (1, 3) else below[k : k + 1]
            keys = {"channels": width, "filters": dims, "filterSize": size, "stride": stride, "padding": padding}
            listed = {key: ",".join([str(value)] * len(reads)) for key, value in {**keys, "initW": 0.3}.items()}
            net.add(name, "conv", ",".join(reads), neuron="relu", sharedBiases=1, **listed)
        below, width = own, dims
        if stage in (1, 2, 5):
            for name in own:
                if stage < 3:
                    net.add(
                        f"n{name}", "cmrnorm", name, {"scale": 0.5, "pow": 0.75, "minDiv": 2}, channels=dims, size=5
                    )
                net.add(
                    f"p{name}", "pool", f"n{name}" if stage < 3 else name, pool="max", channels=dims, sizeX=3, stride=2
                )
            below = [f"p{name}" for name in own]
    for stage, outputs in ((6, 24), (7, 24), (8, 10)):
        own = [f"fc{stage}{tower}" for tower in towers] if towers and stage < 8 else [f"fc{stage}"]
        for name in own:
            initial = ",".join(["0.2"] * len(below))
            net.add(
                name, "fc", ",".join(below), outputs=outputs, initW=initial, **({"neuron": "relu"} if stage < 8 else {})
            )
            if stage < 8:
                net.add(f"h{name}", "hs", name, {"enable": "true"}, keep=0.5)
        below = [f"h{name}" for name in own]
    net.softmax_cost("fc8")
    for name, keys in net.layers.items():
        if keys["type"] in ("conv", "fc"):
            n = len(keys["inputs"].split(","))
            net.params[name] = {"epsW": ",".join(["0.01"] * n), "wc": ",".join(["0"] * n), "epsB": 0.02, "momB": 0.9,
                                "momW": ",".join(["0.9"] * n)}  # fmt: skip
    net.params.setdefault("logprob", {})["coeff"] = 1
    for path, text in zip(("net.cfg", "net-params.cfg"), net.files(), strict=True):
        (folder / path).write_text(text)
    return load(str(folder / "net.cfg"))


@pytest.fixture(params=["ab", ""], ids=["two towers", "one tower"])
def net(request, tmp_path):
    return small(tmp_path, request.param)


@pytest.fixture
def weights(net, tmp_path):
    values, random = parameters.make(net, 3), np.random.default_rng(4)
    tensors = {f"{layer.name}.{tensor}": values[layer.name][tensor]
               for layer in net.layers for tensor in parameter_shapes(layer)}  # fmt: skip
    for name, array in tensors.items():
        if name.endswith("biases"):
            array[...] = random.standard_normal(array.shape)
    np.savez(tmp_path / "w.npz", **tensors)
    return tensors


def convert_with(net, source, target, **more):
    return convert(source, target, str(net.definition), **more)


def same(path, weights):
    with np.load(path) as found:
        assert set(found) == set(weights)
        assert all(np.array_equal(found[name], array) for name, array in weights.items())


@pytest.mark.parametrize(("name", "package"), [("w.safetensors", "safetensors"), ("w.pt", "torch"), ("w.onnx", "onnx")])
def test_there_and_back_bit_for_bit(net, weights, tmp_path, name, package):
    pytest.importorskip(package)
    layout = "torch" if name.endswith(".safetensors") else "2012"
    there = convert_with(net, tmp_path / "w.npz", tmp_path / name, layout=layout)
    same(convert_with(net, there, tmp_path / "back.npz"), weights)


def test_two_towers_are_a_layer_with_two_groups_elsewhere(tmp_path):
    found = others.stages(small(tmp_path, "ab"))
    assert [stage.name for stage in found] == others.TORCHVISION
    assert [stage.groups for stage in found] == [1, 2, 1, 2, 2, 1, 1, 1]


def test_the_shipped_nets_have_the_shapes_of_theirs():
    """Widths and groups in facts of Caffe's and torchvision's nets."""
    shapes = {name: [(stage.outputs, stage.rows // stage.groups // stage.pixels) for stage in others.stages(load(name))]
              for name in ("alexnet", "torchvision", "release", "caffe", "convnet2")}  # fmt: skip
    assert shapes["release"] == shapes["caffe"] == shapes["alexnet"]
    assert shapes["convnet2"] == shapes["torchvision"]
    assert shapes["alexnet"] == [(96, 3), (256, 48), (384, 256), (384, 192), (256, 192), (4096, 9216), (4096, 4096),
                                 (1000, 4096)]  # fmt: skip
    assert shapes["torchvision"] == [(64, 3), (192, 64), (384, 192), (256, 384), (256, 256), (4096, 9216), (4096, 4096),
                                     (1000, 4096)]  # fmt: skip


@pytest.mark.parametrize("name", ["release", "caffe", "convnet2"])
def test_weights_of_the_family_go_there_and_back(name):
    """Also where the second tower lists its own inputs first, as in the release."""
    given = texts(load(name))
    given["definition"] = re.sub(
        "outputs=(2048|4096)", lambda found: f"outputs={int(found[1]) // 64}", given["definition"]
    )
    network = from_texts(**given, path=load(name).definition)
    given = {name: (np.arange(ones.size) % (8191 - k)).astype(np.float32).reshape(ones.shape)
             for k, (name, ones) in enumerate(_ones(network).items())}  # fmt: skip
    back = others.from_state_dict(network, others.to_state_dict(network, given), network.definition)
    assert all(np.array_equal(back[name], array) for name, array in given.items())


def test_a_grouped_state_dict_runs_in_a_wider_net(tmp_path):
    """Weights with groups fit a net of one tower: zeros stand between the groups. Not the other way round."""
    (tmp_path / "one").mkdir()
    two, one = small(tmp_path, "ab"), small(tmp_path / "one", "")
    sizes = {stage.name: 24 for stage in others.stages(one) if stage.layers[0].type == "fc"}
    given = {name: array for name, array in others.to_state_dict(two, _ones(two)).items()
             if name.rpartition(".")[0] not in sizes}  # fmt: skip
    dense = others.to_state_dict(one, _ones(one))
    found = others.from_state_dict(one, dense | given, tmp_path)
    assert np.count_nonzero(found["conv2.weights[0]"]) == 16 * 9 * 16 / 2
    wide = {**others.to_state_dict(two, _ones(two)), "features.3.weight": dense["features.3.weight"]}
    with pytest.raises(BadInput, match="does not connect"):
        others.from_state_dict(two, wide, tmp_path)


def _ones(net):
    return {f"{layer.name}.{tensor}": np.ones(shape, np.float32) for layer in net.layers
            for tensor, shape in parameter_shapes(layer).items()}  # fmt: skip


def activations(net, weights, data, given=None):
    """(outputs by layer, references by layer): each layer on the given outputs of those below, else on its own."""
    acts, expected = {"data": data}, {}
    for layer in net.layers:
        if layer.type == "data" or layer.type.startswith("cost."):
            continue
        params = {"weights": [weights[f"{layer.name}.weights[{i}]"] for i in range(len(layer.get("weightShapes", ())))],
                  "biases": weights.get(f"{layer.name}.biases")}  # fmt: skip
        below = [(given or acts)[name] for name in layer.inputs]
        expected[layer.name] = reference.op(layer.to_dict()).forward(below, params, mask=None, pass_type="test")
        acts[layer.name] = np.asarray(expected[layer.name].value, np.float32)
    return acts, expected


def test_onnxruntime_computes_every_layer_inside_the_bound(net, weights, tmp_path):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model = onnx.load(convert_with(net, tmp_path / "w.npz", tmp_path / "w.onnx"))
    names = [layer.name for layer in net.layers if layer.type != "data" and not layer.type.startswith("cost.")]
    shown = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names]
    del model.graph.output[:]
    model.graph.output.extend(shown)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    data = np.random.default_rng(0).standard_normal((4, 3, 35, 35), np.float32)
    found = dict(zip(names, session.run(names, {"data": data}), strict=True))
    given = {name: np.ascontiguousarray(array.reshape(4, -1).T) for name, array in {"data": data, **found}.items()}
    _, expected = activations(net, weights, given["data"], given)
    assert len(expected) > 15
    found = {name: judge(bounded, given[name]).status for name, bounded in expected.items()}
    assert set(found.values()) <= AGREE, found


def test_torch_computes_the_stages_inside_the_bound(net, weights, tmp_path):
    """Each layer of the state_dict, with its groups, on what the layers of 2012 below give."""
    torch = pytest.importorskip("torch")
    state = torch.load(convert_with(net, tmp_path / "w.npz", tmp_path / "w.pt"), weights_only=True)
    data = np.random.default_rng(0).standard_normal((3 * 35 * 35, 4), np.float32)
    acts, expected = activations(net, weights, data)
    for stage in others.stages(net):
        sources = [name for layer in stage.layers for name in layer.inputs]
        below = np.concatenate([acts[name] for name in dict.fromkeys(sources)])
        x = torch.from_numpy(np.ascontiguousarray(below.T / np.float32(stage.blocks[0][5])))  # torch scales in training
        weight, bias = state[f"{stage.name}.weight"], state[f"{stage.name}.bias"]
        layer = stage.layers[0]
        if layer.type == "conv":
            side = layer["imgSize"][0]
            images = x.reshape(4, -1, side, side)
            padding = -layer["padding"][0]
            y = torch.conv2d(images, weight, bias, layer["stride"][0], padding, groups=stage.groups)
        else:
            y = torch.nn.functional.linear(x, weight, bias)
        parts = np.split(y.reshape(4, -1).numpy().T, len(stage.layers))
        for one, part in zip(stage.layers, parts, strict=True):
            assert judge(expected[one.name], np.ascontiguousarray(part)).status in AGREE, one.name


# --- Files of torch.save, read without torch and without running anything ---------------------------------------------


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def whole(*numbers):
    return b"(" + b"".join(b"J" + struct.pack("<i", number) for number in numbers) + b"t"


def tensor(key, count, shape, strides, offset=0):
    """Instructions for a tensor, as ``torch.save`` writes them."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + whole(count)[1:-1] + b"tQ"
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + whole(offset)[1:-1] + whole(*shape) + whole(*strides)
            + b"\x89ccollections\nOrderedDict\n)RtR")  # fmt: skip


def saved(path, arrays=None, program=b"", storages=None):
    """A file as of ``torch.save``."""
    body, members = b"", {}
    for k, (name, array) in enumerate((arrays or {}).items()):
        strides = [step // 4 for step in array.strides]
        body += text(name) + tensor(str(k), array.size, array.shape, strides)
        members[str(k)] = array.tobytes()
    with ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", program or b"\x80\x02ccollections\nOrderedDict\n)R(" + body + b"u.")
        for key, raw in {**members, **(storages or {})}.items():
            archive.writestr(f"net/data/{key}", raw)
    return path


def test_a_state_dict_made_without_torch_is_read(net, weights, tmp_path):
    state = others.to_state_dict(net, weights)
    same(convert_with(net, saved(tmp_path / "w.pth", state), tmp_path / "back.npz"), weights)


@pytest.mark.parametrize(
    ("program", "told"),
    [
        (b"\x80\x02cos\nsystem\n(X\x04\0\0\0truet R.", r"os\.system, which may be a program"),
        (b"\x80\x02}(" + text("a.weight") + tensor("0", 4, (3, 3), (3, 1)) + b"u.", "outside its storage"),
        (b"\x80\x02}(" + text("a.weight") + tensor("0", 9, (3, 3), (3, 1)) + b"u.", "another size than it says"),
        (b"\x80\x02}(" + text("a.weight") + tensor("0", 4, (2,), (4,)) + b"u.", "outside its storage"),
        (b"\x80\x02}(" + text("a.weight") + tensor("7", 4, (2,), (1,)) + b"u.", "no item named"),
        (b"\x80\x02]", "cannot be read"),
        (b"\x80\x02].", "holds no state_dict"),
    ],
)
def test_what_a_file_must_not_hold(tmp_path, program, told):
    net, path = small(tmp_path, ""), saved(tmp_path / "w.pt", program=program, storages={"0": bytes(16)})
    with pytest.raises(BadInput, match=told):
        convert_with(net, path, tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_mistakes_are_named(tmp_path):
    net = small(tmp_path, "")
    state = others.to_state_dict(net, _ones(net))
    for change, told in (
        ({"features.0.weight": np.ones((16, 3, 7, 7), np.float32)}, "features.0 does not fit conv1"),
        ({"bn.running_mean": np.ones(3, np.float32)}, "bn.weight is missing"),
        ({"more.weight": np.ones((3, 3), np.float32), "more.bias": np.ones(3, np.float32)}, "of another network"),
    ):
        path = tmp_path / "w.safetensors"
        path.write_bytes(packed({**state, **change}, {}))
        with pytest.raises(BadInput, match=told):
            convert_with(net, path, tmp_path / "out.npz")
    with pytest.raises(BadInput, match=r"hint: --net NET"):
        convert(path, tmp_path / "out.npz")
    (tmp_path / "w.onnx").write_bytes(b"no model")
    pytest.importorskip("onnx")
    with pytest.raises(BadInput, match="cannot be read as an ONNX model"):
        convert_with(net, tmp_path / "w.onnx", tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()
