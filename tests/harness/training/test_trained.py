"""What is asked of a stored network: tests of several views, answers, outputs, pages; and damaged checkpoints."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save
from small_data import CASES, CLASSES, LEARNS, NAMES, SIDE, settings, train, write_data
from small_nets import write_net
from strict_engine import Strict

from alexnet_rosetta.harness.data import checkpoints, open_data, views
from alexnet_rosetta.harness.engines.port import Port
from alexnet_rosetta.harness.errors import BadInput, RosettaError
from alexnet_rosetta.harness.network.load import from_texts, layer_files, load, plain, shipped
from alexnet_rosetta.harness.training.learner import Learner
from alexnet_rosetta.harness.training.run import answers
from alexnet_rosetta.harness.training.show import Page
from alexnet_rosetta.harness.training.trained import Trained
from alexnet_rosetta.harness.values.noise import generator
from alexnet_rosetta.legacy import cudaconv, use_isa


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with data, a training, and the same as the program of 2012 would have stored it."""
    folder = tmp_path_factory.mktemp("trained")
    net, data = write_net(folder, *LEARNS), write_data(folder / "data")
    train(settings(net, data, test_freq=1), folder / "out")
    checkpoints.convert(folder / "out", folder / "ConvNet__2012-09-19_23.29.04")
    random = generator(0, "a picture").integers(0, 256, (SIDE, 2 * SIDE, 3), np.uint8)
    Image.fromarray(random).save(folder / "wide.png")
    return folder


@pytest.fixture(scope="module")
def trained(home):
    return Trained(home / "out", threads=1)


@pytest.fixture(scope="module")
def of_2012(home):
    return Trained(home / "ConvNet__2012-09-19_23.29.04", threads=1)


# --- Several views -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [Strict(), Port()], ids=lambda engine: engine.name)
@pytest.mark.parametrize("count", [9, 10])
def test_a_test_of_several_views_is_of_the_average_of_single_views(trained, engine, count):
    """Bit for bit: the views are added in their order, the sum scaled by 1/count; in the strict build the cost too.

    Of one case a minibatch, so that the cost is that of the case: the log of its averaged probability.
    """
    network = replace(trained.network, minibatch=1)
    values = trained.checkpoint.values_for(network)
    both, single = (Learner(network, engine, 1, 0, values) for _ in range(2))
    data, cases = trained.data, 0
    for _, first, probabilities, costs, labels in answers(both, data, [3], 1, count):
        seen = views.for_test(
            data, replace(data.read(3), pixels=data.read(3).pixels[:, [first]], labels=labels), 8, count
        )
        total = np.zeros((CLASSES, 1), np.float32)
        for view in np.split(seen.data, count, axis=1):
            single.forward(view, labels, "test")
            total += single.acts("probs")
        average = total * np.float32(1 / count)
        assert probabilities.tobytes() == average.tobytes()
        if engine.name == "strict":
            with use_isa("strict"):
                logs, right = cudaconv.computeLogregCost(labels, average)
            assert costs["logprob"].tolist() == [-float(logs[0, 0]), 1 - float(right[0, 0]), costs["logprob"][2]]
        cases += 1
    assert cases == CASES


def test_the_numbers_of_a_test(trained):
    costs, cases, counts = trained.test(count=10)
    assert (cases, counts.sum()) == (CASES, CASES)
    assert costs["logprob"][1] == pytest.approx(1 - np.trace(counts) / CASES)
    one, _, same = trained.test()
    assert one != costs
    assert trained.test("3")[0] == one
    assert np.array_equal(trained.test(batch=7)[2], same)
    assert trained.test("1-2")[1] == 2 * CASES


# --- Historical checkpoints ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", shipped())
def test_layer_files_of_a_checkpoint_say_what_the_layers_say(net, tmp_path):
    """But for rates of schedules, devices, rounding between devices, and what a detached neuron came from."""
    layers = json.loads(json.dumps([plain(layer) for layer in load(net).layers]))
    back = from_texts(net, *layer_files(layers, tmp_path), tmp_path)
    told = {"schedW", "schedB", "gpu", "quantF", "quantB", "src_layer", "neuron"}
    for layer, found in zip(layers, map(plain, back.layers), strict=True):
        own = told - {"neuron"} if layer["type"] == "neuron" else told
        assert {key: value for key, value in layer.items() if key not in own} == {
            key: value for key, value in json.loads(json.dumps(found)).items() if key not in own
        }


def test_a_checkpoint_of_2012_gives_the_same_numbers(home, trained, of_2012):
    """Layers, weights and options come from the pickle, mean and names from the data that an option names."""
    one, other = trained.test(count=10), of_2012.test(count=10)
    assert one[:2] == other[:2]
    assert np.array_equal(one[2], other[2])
    assert of_2012.names == trained.names == tuple(NAMES)
    assert of_2012.learner.name == "port"
    said = [dict(each.predict([home / "wide.png"])) for each in (trained, of_2012)]
    assert said[0][home / "wide.png"].tobytes() == said[1][home / "wide.png"].tobytes()
    _, _, counts = Trained(home / "ConvNet__2012-09-19_23.29.04", engine="legacy-cpu", threads=1).test()
    assert np.array_equal(counts, trained.test()[2])


def test_a_checkpoint_of_2012_has_curves(trained, of_2012):
    """Tests lie as far apart as the option testing_freq says."""
    log = of_2012.checkpoint.about["log"]
    ours = trained.checkpoint.about["log"]
    for kind in ("train", "test"):
        found, wanted = ([event for event in events if event["kind"] == kind] for events in (log, ours))
        for name in ("costs", "step", "cases"):
            assert [event[name] for event in found] == [event[name] for event in wanted]
    assert of_2012.checkpoint.about["state"]["step"] == trained.checkpoint.about["state"]["step"]


def test_a_checkpoint_that_does_not_say_what_it_needs(home, tmp_path):
    moved = checkpoints.load(home / "ConvNet__2012-09-19_23.29.04")
    (tmp_path / "1.2").write_bytes(checkpoints.historical.to_bytes(replace(moved, options={})))
    with pytest.raises(BadInput, match=r"1\.2 does not say on what pictures .*; hint: --data PATH"):
        Trained(tmp_path / "1.2")
    assert Trained(tmp_path / "1.2", home / "data", threads=1).test()[1] == CASES
    weights = checkpoints.convert(home / "out", tmp_path / "weights.npz")
    with pytest.raises(BadInput, match=r"weights\.npz does not say of what network"):
        Trained(weights)


def bent(layers, name, **keys):
    return [layer | keys if layer["name"] == name else layer for layer in layers]


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("conv1", {"filters": "many"}, r"layer conv1 lacks what a layer of type conv has \(TypeError"),
        ("conv1", {"groups": [0]}, r"layer conv1 lacks .*ZeroDivisionError"),
        ("conv1", {"outputs": 7}, r"layer conv1 contradicts itself \(expected outputs 1024, actual 7\)"),
        ("pool1", {"sizeX": 99}, r"\[pool1\] sizeX: is out of range"),
        ("pool1", {"type": "cmpool"}, r"\[pool1\] type: .*cmpool"),
        ("fc2", {"initW": None}, r"\[fc2\] initW: is missing"),
        ("fc1", {"outputs": 1 << 40}, r"\[fc1\] outputs: cannot be read"),
        ("data", {"outputs": 3 * 81}, r"conv1|fc1"),
    ],
)
def test_layers_of_2012_that_make_no_network(home, tmp_path, name, keys, message):
    found = checkpoints.load(home / "ConvNet__2012-09-19_23.29.04")
    (tmp_path / "1.2").write_bytes(
        checkpoints.historical.to_bytes(replace(found, layers=bent(found.layers, name, **keys)))
    )
    with pytest.raises(RosettaError, match=message) as error:
        Trained(tmp_path / "1.2", threads=1)
    assert str(tmp_path / "1.2") in str(error.value)


# --- Answers, outputs, pages ---------------------------------------------------------------------------------------


def test_the_answer_to_a_picture_is_that_to_its_scaled_centre(home, trained, tmp_path):
    """A stored picture of the data set gives what a test gives; a wide one is that of its centre."""
    batch = trained.data.read(3)
    square = batch.pixels[:, 5].reshape(3, SIDE, SIDE).transpose(1, 2, 0)
    Image.fromarray(square).save(tmp_path / "case.png")
    Image.fromarray(np.pad(square, ((0, 0), (SIDE, SIDE), (0, 0)))).save(tmp_path / "wide.png")
    said = dict(trained.predict([tmp_path / "case.png", tmp_path / "wide.png"]))
    *_, (_, _, probabilities, _, _) = (x for x in answers(trained.learner, trained.data, [3], 1) if x[1] == 5)
    assert said[tmp_path / "case.png"].tobytes() == probabilities[:, 0].tobytes()
    assert np.array_equal(said[tmp_path / "wide.png"], said[tmp_path / "case.png"])


@pytest.mark.parametrize("kind", ["trained", "of_2012"])
def test_features_are_batches_of_2012(request, kind, tmp_path):
    """Read back by the reader of batches, and as npz: a row a case, labels, in the order of the data."""
    network = request.getfixturevalue(kind)
    paths = list(network.write_features("fc1", tmp_path / "out", "2-3"))
    assert [path.name for path in paths] == ["data_batch_2", "data_batch_2.npz", "data_batch_3", "data_batch_3.npz",
                                             "batches.meta"]  # fmt: skip
    for number in (2, 3):
        steps = answers(network.learner, network.data, [number], 16)
        pairs = [(network.learner.acts("fc1").T.copy(), labels) for *_, labels in steps]
        outputs, labels = np.concatenate([own for own, _ in pairs]), np.hstack([own for _, own in pairs])
        held = checkpoints.historical.pickles.load(tmp_path / "out" / f"data_batch_{number}")
        with np.load(tmp_path / "out" / f"data_batch_{number}.npz") as npz:
            for found in (held, npz):
                assert found["data"].dtype == np.float32
                assert np.array_equal(found["data"], outputs)
                assert np.array_equal(found["labels"], labels)
    meta = checkpoints.historical.pickles.load(tmp_path / "out" / "batches.meta")
    assert (meta["num_vis"], meta["source_model"]) == (12, str(network.checkpoint.path))


@pytest.mark.parametrize("kind", ["trained", "of_2012"])
def test_a_page_shows_all_that_was_learned(request, kind, tmp_path):
    page = Page(request.getfixturevalue(kind))
    file = page.write(tmp_path / "show")
    text = file.read_text()
    assert page.notes == []
    for part in ("Cost and error", "Filters", "conv1, input data: 16 filters of 3 channels", "Confusion",
                 "of 40 cases have another best answer", "gradient of conv1", "acts-pool1.png", "kind 3"):  # fmt: skip
        assert part in text or part in page.files, part
    assert not re.search(r"(?:src|href)=.(?!data:|#)", text)
    names = {path.name for path in file.parent.iterdir()}
    assert {"curves.svg", "filters-conv1-0.png", "confusion.svg", "predictions.svg"} <= names


def test_a_page_without_its_data_says_so(home, tmp_path):
    shutil.copytree(home / "out", tmp_path / "out")
    page = Page(Trained(tmp_path / "out", data=str(tmp_path / "gone"), threads=1))
    assert page.facts["filters"]
    assert page.facts["curves"]
    assert page.notes[0].startswith("no answers and no outputs of layers: there is no folder")


# --- Damaged checkpoints -------------------------------------------------------------------------------------------


def written(home, folder, change=lambda tensors, about: None, raw=lambda data: data):
    """The newest checkpoint again, with something changed; returns its path."""
    with safe_open(checkpoints.find(home / "out"), "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = json.loads(file.metadata()["rosetta"])
    change(tensors, about)
    (folder / "3.2").write_bytes(raw(save(tensors, {"rosetta": json.dumps(about)})))
    return folder / "3.2"


def forget(part, name):
    def change(tensors, about):
        del (about[part] if part else about)[name]

    return change


def put(name, value):
    def change(tensors, about):
        tensors[name] = value(tensors[name]) if name in tensors else value(None)

    return change


def tell(part, value):
    def change(tensors, about):
        about[part] = value(about[part])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (forget("", "engine"), "engine is missing"),
        (forget("settings", "batch"), r"settings\.batch is missing"),
        (forget("data", "label_names"), r"data\.label_names is missing"),
        (forget("network", "params"), "network is no name and two texts"),
        (tell("log", lambda log: {}), "field log is of the wrong kind"),
        (tell("network", lambda own: own | {"definition": 3}), "network is no name and two texts"),
        (lambda tensors, about: tensors.pop("data.mean"), r"data\.mean is missing"),
        (lambda tensors, about: tensors.pop("conv1.weights_inc[0]"), r"conv1\.weights_inc\[0\] is missing"),
        (put("conv9.biases", lambda _: np.zeros((1, 4), np.float32)), r"conv9\.biases is no part of the network"),
        (put("fc1.biases", lambda old: old.T.copy()), r"fc1\.biases does not fit .*expected finite float32 \(1, 12\)"),
        (put("fc1.biases", lambda old: old.astype(np.float64)), r"fc1\.biases does not fit .*actual float64"),
        (put("fc1.biases", lambda old: old * np.float32(np.nan)), r"fc1\.biases does not fit"),
        (put("data.mean", lambda old: old[1:].copy()), r"mean"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_checkpoint_that_is_damaged_or_of_another_network(home, tmp_path, change, message):
    path = written(home, tmp_path, change)
    with pytest.raises(BadInput, match=message) as error:
        Trained(path, threads=1).test()
    assert str(path) in str(error.value)


@pytest.mark.parametrize("cut", [0, 5, 9, 12, 400, -1])
def test_a_checkpoint_that_is_cut_off(home, tmp_path, cut):
    path = written(home, tmp_path, raw=lambda data: data[:cut])
    with pytest.raises(BadInput, match=r"3\.2"):
        Trained(path)


def test_no_checkpoint(tmp_path):
    with pytest.raises(BadInput, match="there is no checkpoint"):
        Trained(tmp_path / "gone")
    with pytest.raises(BadInput, match="holds no checkpoints"):
        Trained(tmp_path)
    for engine in ("legacy-cpu", "port"):
        (tmp_path / engine).mkdir()
        (tmp_path / engine / "1.2").write_bytes(b"")
    with pytest.raises(BadInput, match=r"holds several checkpoints \(expected one of .*legacy-cpu, .*port\)"):
        Trained(tmp_path)


def test_a_training_does_not_go_on_from_what_is_damaged(home, tmp_path):
    """Nor from a checkpoint of another time or another engine's state."""
    shutil.copytree(home / "out", tmp_path / "out")
    asked = settings(str(home / "small.cfg"), str(home / "data"))
    newest = tmp_path / "out" / "port" / "3.2"
    for change, message in (
        (tell("state", lambda own: own | {"batch": 9}), "no state of this training"),
        (tell("state", lambda own: own | {"sleep": 9}), "no state of this training"),
        (put("fc1.biases", lambda old: old[:, 1:].copy()), r"fc1\.biases does not fit"),
    ):
        written(home, tmp_path, change).replace(newest)
        with pytest.raises(BadInput, match=message) as error:
            train(asked, tmp_path / "out", resume=True)
        assert str(newest) in str(error.value)
    shutil.copy(checkpoints.find(home / "ConvNet__2012-09-19_23.29.04"), newest)
    with pytest.raises(BadInput, match=r"3\.2 is of no training"):
        train(asked, tmp_path / "out", resume=True)
    newest.unlink()
    assert train(asked, tmp_path / "out", resume=True)[0].finished()  # from the one before


def test_data_and_network_that_do_not_fit(home, tmp_path):
    with pytest.raises(BadInput, match=r"does not fit .*expected dims=192"):
        Trained(home / "out", data=write_data(tmp_path / "small", side=6), threads=1).test()
    with pytest.raises(BadInput, match=r"has no layer conv with outputs.*; hint: did you mean conv1\?"):
        next(Trained(home / "out", threads=1).features("conv"))
    assert open_data(home / "data").test == (3,)
