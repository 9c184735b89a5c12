"""The loop of 2012: order, progress, tests, checkpoints; stopping and going on."""

import json
import resource
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
from small_data import CASES, LEARNS, settings, train, write_data
from small_nets import write_net

from alexnet_rosetta.harness.data import checkpoints, open_data, views
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network.load import load
from alexnet_rosetta.harness.training.learner import initial, smooth
from alexnet_rosetta.harness.training.log import read
from alexnet_rosetta.harness.training.run import Diverged, Settings, Training, settings_of
from alexnet_rosetta.harness.values.noise import Tape, generator
from alexnet_rosetta.port import Network

DEFINITION, PARAMS = LEARNS
PARAMS_WITH_SCHEDULE = PARAMS.replace("[conv1]\n", "[conv1]\nschedW=dexp[tgtFactor=10,noiseStdev=0,numSteps=3]\n")


@pytest.fixture
def asked(tmp_path):
    """Settings of a short training."""
    net = write_net(tmp_path, DEFINITION, PARAMS_WITH_SCHEDULE)
    return settings(net, write_data(tmp_path / "data"))


def tensors(training):
    return [learner.values() for learner in training.learners]


def assert_same_bits(one, other):
    for own, others in zip(one, other, strict=True):
        for layer, values in own.items():
            for name, array in values.items():
                assert array.tobytes() == others[layer][name].tobytes(), (layer, name)


def test_a_training_is_the_protocol_of_2012_written_out(asked, tmp_path):
    """Batches in ascending order, minibatches in theirs, progress constant in a batch: the same bits by hand."""
    assert "dexp" in PARAMS_WITH_SCHEDULE
    training, events = train(asked, tmp_path / "out")
    net, data = load(asked.net), open_data(asked.data)
    network = Network(net.spec)
    for layer, values in initial(net, 0).items():
        for name, array in values.items():
            one, _, i = name.partition("[")
            owner = network.layers[layer]
            setattr(owner, one, array.copy()) if not i else getattr(owner, one).__setitem__(int(i[:-1]), array.copy())
    step, costs = 0, []
    for epoch in (1, 2, 3):
        for place, number in enumerate((1, 2)):
            seen = views.for_training(data, data.read(number), generator(0, "views", epoch, number), 8, mirror=False)
            total, progress = 0.0, ((epoch - 1) * 2 + place) / 6
            for first in range(0, CASES, 16):
                part = slice(first, min(first + 16, CASES))
                given = {"data": seen.data[:, part], "labels": seen.labels[:, part]}
                mask = Tape(0).mask(net.graph.layers["drop1"], seen.labels[:, part].shape[1], "train", step)
                total += network.forward(given, "train", {"drop1": mask})["logprob"][0]
                network.backward(progress)
                network.update(progress)
                step += 1
            costs.append(total / CASES)
    assert [event["costs"]["logprob"][0] for event in events if event["kind"] == "train"] == costs
    for layer, values in tensors(training)[0].items():
        for name, array in values.items():
            one, _, i = name.partition("[")
            found = getattr(network.layers[layer], one)
            np.testing.assert_array_equal(array, found[int(i[:-1])] if i else found)


def test_what_happens_when(asked, tmp_path):
    _, events = train(replace(asked, test_freq=4), tmp_path / "out")
    kinds = [(event["kind"], event.get("epoch"), event.get("batch")) for event in events]
    test, saved = ("test", 2, 2), ("saved", None, None)
    assert kinds == [("train", 1, 1), ("train", 1, 2), ("train", 2, 1), ("train", 2, 2), test, saved,
                     ("train", 3, 1), ("train", 3, 2), ("test", 3, 2), saved]  # fmt: skip
    assert [event["progress"] for event in events if event["kind"] == "train"] == [k / 6 for k in range(6)]
    lines = (tmp_path / "out" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [event for event in events if event["kind"] != "saved"]
    assert [path.name for path in checkpoints.names(tmp_path / "out" / "port")] == ["2.2", "3.2"]


def test_updates_and_ranges(asked, tmp_path):
    training, events = train(
        replace(asked, updates=2, update_every=3, train_range="2", test_range="1-3"), tmp_path / "out"
    )
    assert training.state.step == 6
    assert [(event["batch"], event["progress"]) for event in events if event["kind"] == "train"] == [(2, 0.0), (2, 0.5)]
    assert [event["cases"] for event in events if event["kind"] == "test"] == [120, 120]


def test_two_engines_begin_alike_and_stay_close(asked, tmp_path):
    training, events = train(replace(asked, engine="both"), tmp_path / "out")
    assert training.engines == ("legacy-cpu", "port")
    costs = {
        name: [event["costs"]["logprob"] for event in events if event.get("engine") == name]
        for name in training.engines
    }
    assert costs["port"][0] != costs["port"][-1]
    np.testing.assert_allclose(costs["port"], costs["legacy-cpu"], rtol=1e-3)
    assert (tmp_path / "out" / "legacy-cpu" / "3.2").is_file()


@pytest.mark.parametrize("stop_at", [1, 3, 7])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(asked, tmp_path, stop_at):
    """Stopped inside a data batch or at the end of one; both engines."""
    asked = replace(asked, engine="both", mirror=True)
    whole, _ = train(asked, tmp_path / "whole")
    stopped, _ = train(asked, tmp_path / "parts", stop_at=stop_at)
    assert stopped.state.step == stop_at
    resumed, _ = train(settings_of(tmp_path / "parts"), tmp_path / "parts", resume=True)
    assert_same_bits(tensors(whole), tensors(resumed))
    without = [{**event, "seconds": 0} for event in resumed.log.events]
    assert without == [{**event, "seconds": 0} for event in whole.log.events]


def test_what_came_after_the_last_checkpoint_is_done_again(asked, tmp_path):
    """As after kill -9: the log is longer than the checkpoint, and its last line is cut off."""
    whole, _ = train(asked, tmp_path / "whole")
    train(asked, tmp_path / "killed", stop_at=9)
    with open(tmp_path / "killed" / "log.jsonl", "a") as file:
        file.write(json.dumps({"kind": "train", "engine": "port", "step": 12, "costs": {}}) + '\n{"kind": "tr')
    resumed, _ = train(settings_of(tmp_path / "killed"), tmp_path / "killed", resume=True)
    assert_same_bits(tensors(whole), tensors(resumed))
    assert len(resumed.log.events) == len(whole.log.events)


def test_the_newest_checkpoint_that_both_engines_have(asked, tmp_path):
    asked = replace(asked, engine="both", test_freq=1)
    whole, _ = train(asked, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (tmp_path / "cut" / "port" / "3.2").unlink()  # killed between the two
    resumed, _ = train(settings_of(tmp_path / "cut"), tmp_path / "cut", resume=True)
    assert_same_bits(tensors(whole), tensors(resumed))


def test_an_earlier_training_keeps_another_name(asked, tmp_path):
    train(asked, tmp_path / "out")
    train(replace(asked, updates=1), tmp_path / "out")
    (earlier,) = tmp_path.glob("out.*")
    assert checkpoints.names(earlier / "port")[-1].name == "3.2"


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_a_cost_that_is_no_number_ends_it_and_is_not_stored(asked, tmp_path):
    net = write_net(tmp_path, DEFINITION, PARAMS.replace("epsW=0.000001", "epsW=1e20"), "hot")
    with pytest.raises(Diverged, match=r"the cost 'logprob' is no number any more in epoch 1") as caught:
        train(replace(asked, net=net), tmp_path / "out")
    assert caught.value.exit_code == 1
    assert not (tmp_path / "out" / "port").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_range": "4"}, r"--train-range: .* has no such batches \(expected numbers from 1 to 3, actual 4\)"),
        ({"test_range": "3-2"}, r"--test-range: .* has no such batches"),
        ({"train_range": "x"}, r"--train-range takes a range \(expected A-B or one number, actual 'x'\)"),
        ({"update_every": 2}, r"batch 1: no whole number of updates"),
        ({"engine": "nobody"}, r"no engine is called 'nobody'"),
        (
            {"net": "cifar"},
            r"does not fit .*cifar.cfg \(expected dims=3072 in the layer data, actual pictures of 3 x 10 x 10",
        ),
        ({"data": "nowhere"}, r"there is no folder 'nowhere' of data"),
    ],
)
def test_what_cannot_be_trained(asked, tmp_path, change, message):
    with pytest.raises(BadInput, match=message):
        train(replace(asked, **change), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*/*"))


def test_more_classes_than_outputs(asked, tmp_path):
    data = write_data(tmp_path / "many", classes=10)
    net = write_net(tmp_path, DEFINITION.replace("outputs=10", "outputs=5"), PARAMS, "few")
    with pytest.raises(BadInput, match=r"has more classes than .*few.cfg \(expected at most 5, actual 10\)"):
        Training(replace(asked, net=net, data=data), tmp_path / "out")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"batch": "x"}, "batch is of the wrong kind"),
        ({"net": 3}, "net is of the wrong kind"),
        ({"seed": None}, "seed is of the wrong kind"),
        ({"epochs": 1e300}, "epochs is of the wrong kind"),
        ({"batch": -5}, "no batch of -5"),
        ({"updates": 0}, "no updates of 0"),
        ({"colour_noise": float("nan")}, "no such seed, or colour noise"),
        ({"what": 1}, "no readable run.json"),
    ],
)
def test_settings_that_somebody_bent_are_refused(asked, tmp_path, changed, said):
    """People edit the file; what was wrong in it was found by whoever used a value first, or never."""
    (tmp_path / "run.json").write_text(json.dumps(asdict(asked) | changed))
    with pytest.raises(BadInput, match=f"holds no training: .*{said}"):
        settings_of(tmp_path)


def test_nothing_to_go_on_with(asked, tmp_path):
    with pytest.raises(BadInput, match="holds no training"):
        settings_of(tmp_path)
    train(asked, tmp_path / "out", stop_at=1)
    with pytest.raises(BadInput, match="has no checkpoint of legacy-cpu"):
        Training(replace(asked, engine="legacy-cpu"), tmp_path / "out", resume=True)
    train(replace(asked, engine="both"), tmp_path / "out", stop_at=1)
    (tmp_path / "out" / "port" / "1.1").rename(tmp_path / "out" / "port" / "1.2")
    with pytest.raises(BadInput, match="has no checkpoint of legacy-cpu and port"):
        Training(replace(asked, engine="both"), tmp_path / "out", resume=True)


def test_a_training_that_was_ended_before_its_first_checkpoint_begins_anew(asked, tmp_path):
    """Before any, and between those of two engines."""
    asked = replace(asked, engine="both")
    whole, _ = train(asked, tmp_path / "whole")
    train(asked, tmp_path / "out", stop_at=1)
    (tmp_path / "out" / "port" / "1.1").unlink()
    resumed, _ = train(asked, tmp_path / "out", resume=True)
    assert_same_bits(tensors(whole), tensors(resumed))


@pytest.mark.parametrize(
    ("room", "where"), [(10, "run.json cannot be written|out cannot be written"), (700, "log.jsonl cannot be written"),
                        (5000, "the checkpoint cannot be written: File too large")])  # fmt: skip
def test_a_full_disk_leaves_the_last_checkpoint_to_go_on_from(asked, tmp_path, room, where):
    """A limit on the size of files stands for the disk: too little for the settings, the log, the second checkpoint."""
    asked = replace(asked, test_freq=1)
    whole, _ = train(asked, tmp_path / "whole")
    train(asked, tmp_path / "out", stop_at=3)
    stored = {path: path.read_bytes() for path in checkpoints.names(tmp_path / "out" / "port")}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        with pytest.raises(BadInput, match=where):
            train(asked, tmp_path / "out", resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {path: path.read_bytes() for path in checkpoints.names(tmp_path / "out" / "port")} == stored
    assert not [path for path in (tmp_path / "out").rglob(".*")]
    resumed, _ = train(settings_of(tmp_path / "out"), tmp_path / "out", resume=True)
    assert_same_bits(tensors(whole), tensors(resumed))
    assert len(read(tmp_path / "out")) == len(whole.log.events)


def test_more_epochs_than_were_asked_for_at_first(asked, tmp_path):
    train(replace(asked, epochs=1), tmp_path / "out")
    more = settings_of(tmp_path / "out", epochs=2, threads=None)
    assert more == replace(asked, epochs=2)
    _, events = train(more, tmp_path / "out", resume=True)
    assert [event["epoch"] for event in events if event["kind"] == "train"] == [2, 2]


def test_smooth_filters_are_told_from_noise():
    """A wave across the filter has all its energy at one low frequency, a checkerboard none, noise its share."""
    x = np.arange(7)
    wave = np.cos(2 * np.pi * x / 7)[:, None] + np.ones(7)
    noise = generator(0, "noise").standard_normal((3 * 49, 64), np.float32)
    assert smooth(np.tile(wave.reshape(49, 1), (3, 1)), 3) == (pytest.approx(1), 9 / 49)
    assert smooth(np.outer(np.cos(6 * np.pi * x / 7), np.ones(7)).reshape(49, 1), 1)[0] == pytest.approx(0)
    assert smooth(noise, 3)[0] == pytest.approx(9 / 49, abs=3 * np.sqrt(2 / noise.size))


def test_the_filters_of_photos_are_no_noise_any_more(tmp_path, monkeypatch):
    """After 24 minibatches of crops of the shipped photographs; the log says so."""
    monkeypatch.setattr("alexnet_rosetta.harness.data.sources.PICTURES", 512)
    _, events = train(Settings("photos", updates=24, batch=64, threads=1), tmp_path / "out")
    shares = [event["smooth"]["conv1"][0] for event in events if event["kind"] == "test"]
    noise = smooth(initial(load("photos"), 0)["conv1"]["weights[0]"], 3)[0]
    assert noise < 0.25 < 0.5 < shares[-1]
    assert json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[-1])["smooth"]["conv1"][0] == shares[-1]
