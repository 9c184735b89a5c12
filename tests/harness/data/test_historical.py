"""Checkpoints of 2011, 2012 and 2014 are read, written and converted; nothing in them is run."""

import io
import json
import os
import pickle

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save

from alexnet_rosetta.harness.data import historical, pickles
from alexnet_rosetta.harness.data.checkpoints import convert
from alexnet_rosetta.harness.data.checkpoints import load as read
from alexnet_rosetta.harness.data.historical import Checkpoint
from alexnet_rosetta.harness.data.pickles import Instance, Name
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network.load import load, plain, texts
from alexnet_rosetta.harness.values import parameters


@pytest.fixture(scope="module")
def zoo():
    """Every layer type with weights, and shared and sparse ones."""
    network = load("zoo")
    values = parameters.make(network, 5)
    tensors = {f"{layer}.{tensor}": array for layer, tensor, array in parameters.owned(network, values)}
    outputs = [[{"logreg1": [2.5, 0.9, 0.5]}, 100], [{"logreg1": [2.25, 0.8, 0.25]}, 90]]
    options = {"mini": 128, "train_batch_range": [1, 2, 3], "dp_type": "cifar", "color_noise": 0.1, "test_only": False}
    return Checkpoint(tensors, 3, 7, [plain(layer) for layer in network.layers], options, outputs, outputs[1:])


def bare(layers):
    return [
        {key: value for key, value in layer.items() if key not in historical.DERIVED | {"filterConns"}}
        for layer in layers
    ]


def same(one, other, exact=True):
    assert set(one.tensors) == set(other.tensors)
    for name, array in one.tensors.items():
        assert np.array_equal(array, other.tensors[name]), name
    assert (one.epoch, one.batch, one.options) == (other.epoch, other.batch, other.options)
    assert (one.train_outputs, one.test_outputs) == (other.train_outputs, other.test_outputs)
    key = lambda layer: layer["name"]  # noqa: E731
    assert json.dumps(sorted(bare(one.layers), key=key)) == json.dumps(sorted(bare(other.layers), key=key))


def test_what_is_written_is_read(zoo, tmp_path):
    (tmp_path / "3.7").write_bytes(historical.to_bytes(zoo))
    same(read(tmp_path / "3.7"), zoo)
    same(read(tmp_path), zoo)


def test_shared_matrices_are_one_array(zoo, tmp_path):
    """As the original expects: the same object in the lists of the layers that share."""
    layers = pickles.loads(historical.to_bytes(zoo))["model_state"]["layers"]
    shared = [
        (layer, i, source)
        for layer in zoo.layers
        for i, source in enumerate(layer.get("weightSourceLayers", ()))
        if source
    ]
    assert shared
    for layer, i, source in shared:
        at = layer["weightSourceMatrixIndices"][i]
        assert layers[layer["name"]]["weights"][i] is layers[source]["weights"][at]
        assert layers[layer["name"]]["weightsInc"][i] is layers[source]["weightsInc"][at]
    fc = layers["fc2"]
    assert fc["inputLayers"] == [layers[name] for name in fc["inputs"]] or \
        all(a is layers[b] for a, b in zip(fc["inputLayers"], fc["inputs"], strict=True))  # fmt: skip


def test_python_2_finds_byte_strings(zoo):
    """The original looks for str of Python 2, and its own option classes."""

    class Options(pickle.Unpickler):
        def find_class(self, module, name):
            if module.startswith("numpy"):
                return super().find_class(module, name)
            assert module == "options"
            assert name in ("OptionsParser", "Option") or name.endswith("OptionParser")
            return type(name, (), {})

    found = Options(io.BytesIO(historical.to_bytes(zoo)), encoding="bytes").load()
    assert set(found) == {b"model_state", b"op"}
    assert found[b"model_state"][b"train_outputs"][0] == ({b"logreg1": [2.5, 0.9, 0.5]}, 100)


def layer(name, kind, inputs=(), **more):
    return {"name": name, "type": kind, "inputs": list(inputs), "outputs": 4, **more}


def weights(**more):
    return {"weights": [np.ones((2, 4), np.float32).T.copy().T], "weightsInc": [np.zeros((2, 4), np.float32)],
            "biases": np.ones((1, 4), np.float64), "biasesInc": np.zeros((1, 4), np.float32)} | more  # fmt: skip


def written(tmp_path, layers, name="1.2", module="options", **state):
    state = {"epoch": 1, "batchnum": 2, "train_outputs": [], "test_outputs": [], "layers": layers} | state
    option = Instance(Name(module, "Option"), {"value": 17, "parser": Name(module, "IntegerOptionParser")})
    top = {"model_state": state, "op": Instance(Name(module, "OptionsParser"), {"options": {"num_epochs": option}})}
    (tmp_path / name).write_bytes(pickles.dumps(top))
    return tmp_path / name


def test_2011_counts_its_layers(tmp_path):
    found = read(written(tmp_path, [layer("data", "data"), layer("fc", "fc", [0], **weights())]))
    assert found.layers[1]["inputs"] == ["data"]
    assert set(found.tensors) == {"fc.weights[0]", "fc.weights_inc[0]", "fc.biases", "fc.biases_inc"}
    assert found.options == {"num_epochs": 17}
    shared = [layer("data", "data"), layer("a", "fc", [0], **weights(initW=[0.1]))]
    b = layer("b", "fc", [1], **weights(initW=[0.1], weightSourceLayerIndices=[1], weightSourceMatrixIndices=[0]))
    b["weights"], b["weightsInc"] = shared[1]["weights"], shared[1]["weightsInc"]
    file = convert(written(tmp_path, [*shared, b]), tmp_path / "of 2012")
    layers = pickles.load(file)["model_state"]["layers"]
    assert layers["b"]["weights"][0] is layers["a"]["weights"][0]
    with pytest.raises(BadInput, match="layers are missing"):
        read(written(tmp_path, [layer("fc", "fc", [0]), layer("data", "data")]))


def test_layers_come_in_an_order_in_which_inputs_are_first(tmp_path):
    """Dicts of Python 2 had any order."""
    layers = {"top": layer("top", "fc", ["mid"]), "mid": layer("mid", "fc", ["data"]), "data": layer("data", "data")}
    assert [one["name"] for one in read(written(tmp_path, layers)).layers] == ["data", "mid", "top"]


def test_2014_stores_sums(tmp_path):
    program = "lambda x: __import__('os').system('x')"
    layers = {"data": layer("data", "data", id=0), "logprob": layer("logprob", "cost.logreg", ["data"], id=1),
              "dce": layer("dce", "cost.dce", ["data"], id=2, outputFilter=program)}  # fmt: skip
    sums = [({"logprob": [250.0, 90.0], "dce": [50.0, 10.0, 8.0, 4.0, 2.0, 0.0, 5.0, 0.0]}, 100)]
    found = read(written(tmp_path, layers, module="python_util.options", train_outputs=sums))
    assert found.train_outputs == [[{"logprob": [2.5, 0.9], "dce": [0.5, 0.1, 0.25, 0.5, float("inf"), 0.0]}, 100]]


def test_the_newest_by_numbers(tmp_path):
    layers = [layer("data", "data")]
    for name in ("9.100", "10.5", "10.05"):
        written(tmp_path, layers, name, epoch=int(name.split(".")[0]), batchnum=int(name.split(".")[1]))
    for name in ("log.txt", "11.2.bak", ".hidden", "tmpabc"):
        (tmp_path / name).write_text("")
    assert (read(tmp_path).epoch, read(tmp_path).batch) == (10, 5)
    (tmp_path / "run").mkdir()
    os.rename(tmp_path / "10.5", tmp_path / "run" / "10.5")
    assert read(tmp_path).epoch == 10  # 10.05
    (tmp_path / "training").mkdir()
    os.rename(tmp_path / "run", tmp_path / "training" / "port")
    assert read(tmp_path / "training").epoch == 10
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BadInput, match="no checkpoints"):
        read(tmp_path / "nothing")


def state(layers, **more):
    return {"model_state": {"layers": layers, **more}}


BAD = {
    "no checkpoint": ([], "is no checkpoint"),
    "no layers": ({"model_state": {}, "op": None}, "layers are missing"),
    "layers of another kind": (state(3), "layers is of the wrong kind"),
    "a layer of another kind": (state([3]), "layer 0 has no name"),
    "a name that leads elsewhere": (state([layer("../a", "fc")]), "layer 0 has no name"),
    "a name for terminals": (state([layer("\x1b[2J", "fc")]), "layer 0 has no name"),
    "twice": (state([layer("a", "data")] * 2), "layer a is there twice"),
    "a circle": (state({"a": layer("a", "fc", "b"), "b": layer("b", "fc", "a")}), "in a circle"),
    "an input that is not there": (state({"a": layer("a", "fc", "b")}), "layers are missing"),
    "weights of another kind": (state([layer("a", "fc", weights=[3])]), r"a.weights\[0\] is no matrix"),
    "weights in a column": (state([layer("a", "fc", biases=np.ones(3))]), "a.biases is no matrix"),
    "another value": (state([layer("a", "fc", x=Name("options", "Option"))]), "layer a holds a Name"),
    "costs": (state([layer("a", "data")], train_outputs=[3]), r"train_outputs\[0\] is no pair"),
    "no cases": (state([layer("a", "data")], test_outputs=[({}, 0)]), r"test_outputs\[0\]"),
    "an epoch of text": (state([layer("a", "data")], epoch="x"), "epoch is of the wrong kind"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_named(tmp_path, name):
    top, said = BAD[name]
    (tmp_path / "1.2").write_bytes(pickles.dumps(top))
    with pytest.raises(BadInput, match=said) as error:
        read(tmp_path)
    assert str(tmp_path / "1.2") in str(error.value)


def test_what_refers_to_itself_ends(tmp_path):
    """A list in itself, and forty lists of two of the one before: 2^40 values."""
    for data in (b"]q\x00h\x00a", b"]" + b"q\x000]h\x00ah\x00a" * 40):
        middle = b"(U\x04nameU\x01aU\x04typeU\x04dataU\x01x" + data + b"u"
        top = b"\x80\x02}(U\x0bmodel_state}(U\x06layers](}" + middle + b"eu" + b"u."
        (tmp_path / "1.2").write_bytes(top)
        with pytest.raises(BadInput, match="too much, or too deep"):
            read(tmp_path)


# --- Conversion ----------------------------------------------------------------------------------------------------


def test_there_and_back_again(zoo, tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "3.7").write_bytes(historical.to_bytes(zoo))
    one = convert(tmp_path / "old", tmp_path / "a.safetensors")
    back = convert(one, tmp_path / "new")
    assert back == tmp_path / "new" / "3.7"
    same(read(back), zoo)


def test_weights_for_a_comparison(zoo, tmp_path):
    (tmp_path / "3.7").write_bytes(historical.to_bytes(zoo))
    file = convert(tmp_path / "3.7", tmp_path / "w.npz")
    values = parameters.make(load("zoo"), 0, file)
    expected = parameters.make(load("zoo"), 5)
    assert all(np.array_equal(values["fc2"][f"weights[{i}]"], expected["fc2"][f"weights[{i}]"]) for i in (0, 1))


def test_weights_alone_want_a_network(zoo, tmp_path):
    (tmp_path / "3.7").write_bytes(historical.to_bytes(zoo))
    file = convert(tmp_path / "3.7", tmp_path / "w.npz")
    with pytest.raises(BadInput, match="does not say of what network"):
        convert(file, tmp_path / "out")
    with pytest.raises(BadInput, match=r"w\.npz: .* this is a checkpoint of another network"):
        convert(file, tmp_path / "out", "cifar")
    assert not (tmp_path / "out").exists()
    found = read(convert(file, tmp_path / "out", "zoo"))
    assert np.array_equal(found.tensors["fc2.weights[1]"], zoo.tensors["fc2.weights[1]"])
    assert not found.tensors["fc2.weights_inc[1]"].any()
    assert np.array_equal(found.tensors["conv1.weights[0]"], zoo.tensors["conv1.weights[0]"])


def test_checkpoints_of_a_training_keep_what_they_say(tmp_path):
    network = load("cifar")
    tensors = {f"{a}.{b}": c for a, b, c in parameters.owned(network, parameters.make(network, 1))}
    event = {"kind": "train", "costs": {"logprob": [2.5, 0.9]}, "cases": 100}
    settings = {"batch": 64, "epochs": 9, "seed": 0, "data": "photos", "test_freq": 4}
    about = {"engine": "port", "state": {}, "settings": settings, "network": texts(network), "log": [event]}
    about = json.dumps(about | {"data": {"shape": [3, 32, 32], "label_names": []}})
    (tmp_path / "2.3").write_bytes(save({**tensors, "data.mean": np.ones(3072, np.float32)}, {"rosetta": about}))
    with safe_open(convert(tmp_path, tmp_path / "a.safetensors"), "np") as file:
        assert file.metadata() == {"rosetta": about}
        assert "data.mean" in file.keys()  # noqa: SIM118
    found = read(convert(tmp_path, tmp_path / "old"))
    assert (found.epoch, found.batch) == (2, 3)
    assert found.train_outputs == [[{"logprob": [2.5, 0.9]}, 100]]
    assert found.options == {"minibatch_size": 64, "num_epochs": 9, "data_path": "photos", "testing_freq": 4}
    assert all(np.array_equal(found.tensors[name], array) for name, array in tensors.items())


@pytest.mark.parametrize(
    "data",
    [
        b'\x00\x00\x00\x00\x00\x00\x00\x00{"',
        b'\xff\xff\xff\xff\xff\xff\xff\x7f{"a',
        save({"a": np.ones(3)})[:-1],
        save({}, {"historical": "["}),
        save({}, {"historical": "[]"}),
        save({}, {"historical": '{"layers": 3}'}),
        save({}, {"historical": '{"epoch": 1, "train_outputs": [1]}'}),
        save({}, {"rosetta": "{}"}),
        save({}, {"rosetta": "[" * 100_000}),
    ],
)
def test_damaged_safetensors(tmp_path, data):
    (tmp_path / "1.2").write_bytes(data)
    with pytest.raises(BadInput, match=r"1\.2"):
        convert(tmp_path / "1.2", tmp_path / "w.npz")


def test_a_checkpoint_without_a_tensor(zoo, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(save({"fc1.biases": np.zeros((1, 147), np.float32)}))
    with pytest.raises(BadInput, match=r"a\.safetensors: conv1\.biases is missing"):
        convert(tmp_path / "a.safetensors", tmp_path / "out", "zoo")
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="there is no checkpoint"):
        convert(tmp_path / "a", tmp_path / "b.npz")
