"""The family of AlexNets: the table is that of the files, a variation changes one thing, controls change nothing."""

import csv
import io
import re

import numpy as np
import pytest
from click.testing import CliRunner
from small_nets import write_net

from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network.load import from_texts, load, texts
from alexnet_rosetta.harness.training import family
from alexnet_rosetta.harness.values import parameters

VARIATIONS = family.TOLD["variations"]
MEMBERS = list(family.TOLD["members"])
CHANGED = {  # beside alexnet, or beside its base
    "norm: k 1 in the place of 2": {"norm"},
    "norm: alpha over the window": {"norm"},
    "no norm": {"norm"},
    "norm after pooling": {"block 1", "block 2"},
    "block 1: norm, pool, then relu": {"block 1", "block 2", "block 5", "norm", "initial weights"},
    "block 2: a norm over pixels too": {"norm"},
    "227 px of picture, no zeros": {"picture"},
    "224 px with 2 px before them": {"picture"},
    "one tower: norm over all maps": {"towers", "initial weights", "initial biases", "dropout scales"},
    "one tower, zeros between halves": {"towers", "weights and biases", "conv2", "conv4", "conv5", "initial weights",
                                        "initial biases", "dropout scales"},
    "dropout / keep, weights x keep": set(),
    "dropout / keep, weights as is": set(),
    "initial weights of conv3-5 x 3": {"initial weights"},
    "initial biases .1 for 1": {"initial biases"},
}  # fmt: skip


def test_the_table_is_what_the_sources_say():
    """Facts of the networks, written down here once more."""
    rows, same = family.differences()
    table = {row[0]: row[1:] for row in rows}
    assert table["towers"] == ["2", "2", "1", "1", "1"]
    assert table["weights and biases"] == ["60,965,224", "60,965,224", "61,100,840", "60,965,224", "61,100,840"]
    assert table["conv1"] == ["96, 11/4+0", "96, 11/4+0", "64, 11/4+0", "96, 11/4+0", "64, 11/4+0"]
    assert [text.partition(",")[2] for text in table["conv2"]] == [" 5/1+2, 2 groups"] * 2 + [
        " 5/1+2", " 5/1+2, 2 groups", " 5/1+2"]  # fmt: skip
    assert table["block 1"] == ["relu, norm, pool", "norm, pool, relu", "norm, pool, relu", "relu, norm, pool",
                                "relu, pool"]  # fmt: skip
    assert table["block 2"][1] == "relu, norm, rnorm, pool"
    assert table["norm"][3] == "5 maps, alpha 2e-05, beta 0.75, k 1"
    assert table["norm"][4] == "none"
    assert table["initial biases"][2:4] == ["0 1 0 1 1 1 1 -7", "0 0.1 0 0.1 0.1 0.1 0.1 0"]
    assert table["dropout after"][4] == "pool5, relu6"
    assert same == {"conv3": "384, 3/1+1", "fc6 to fc8": "4096 4096 1000"}
    assert all(member["source"] for member in family.TOLD["members"].values())


@pytest.mark.parametrize("what", CHANGED)
def test_a_variation_changes_one_thing(what):
    """Whatever else differs stands with weights that come from alexnet, or is the other half of a base."""
    change = VARIATIONS[what]
    before = family.properties(family.varied(VARIATIONS.get(change.get("base"), {})))
    after = family.properties(family.varied(change))
    assert {name for name in before if before[name] != after[name]} == CHANGED[what]


def test_variations_are_as_members_have_it():
    """What is said to be so in a member stands in its own layer file."""
    of = {name: family.properties(load(name)) for name in MEMBERS}
    now = {what: family.properties(family.varied(change)) for what, change in VARIATIONS.items()}
    assert now["norm: k 1 in the place of 2"]["norm"].endswith("k 1")
    assert of["caffe"]["norm"].endswith("k 1")
    assert all("alpha 2e-05" in each["norm"] for each in (now["norm: alpha over the window"], of["release"],
                                                          of["convnet2"], of["caffe"]))  # fmt: skip
    for name in ("release", "convnet2"):
        assert now["block 1: norm, pool, then relu"]["block 1"] == of[name]["block 1"]
    assert now["227 px of picture, no zeros"]["picture"] == of["caffe"]["picture"]
    assert now["initial weights of conv3-5 x 3"]["initial weights"] == of["release"]["initial weights"]
    assert now["initial biases .1 for 1"]["initial biases"] == of["caffe"]["initial biases"]
    for name in ("release", "caffe"):
        assert now[f"all of {name}, these weights"] == of[name]
    known = [name for change in VARIATIONS.values() for name in change.get("as", "").split(", ")]
    assert {*known} == {"", *MEMBERS} - {"alexnet"}


RUN = ("no norm", "one tower, zeros between halves", "dropout / keep, weights x keep")


@pytest.fixture
def few(monkeypatch):
    """Some of the variations, and networks without most of the 61 million weights: those of fc6 and fc7."""

    def narrowed(network):
        given = texts(load(network.name))
        smaller = re.sub("outputs=(2048|4096)", lambda found: f"outputs={int(found[1]) // 64}", given["definition"])
        return given | {"definition": smaller}

    monkeypatch.setattr(family, "texts", narrowed)
    monkeypatch.setattr(family, "load", lambda name: from_texts(**narrowed(load(name)), path=load(name).definition))
    monkeypatch.setitem(family.TOLD, "variations", {what: VARIATIONS[what] for what in RUN})


def test_controls_change_nothing_and_others_do(few, tmp_path):
    result = CliRunner().invoke(cli, ["family", "--batch", "1", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 100 + len(str(tmp_path))
    assert "The controls change by rounding alone, " in result.output
    assert "before any training" in result.output
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "effects.csv").read_text())))
    change = {(row["what"], row["stage"]): float(row["largest"]) for row in rows}
    assert change[RUN[0], "conv1"] == 0
    assert change[RUN[0], "block1"] > 0.1
    assert change[RUN[1], "block1"] == change[RUN[1], "conv2"] == 0, "bit for bit"
    assert 0 < change[RUN[1], "fc8"] < family.ROUNDING
    assert change[RUN[2], "fc8"] == 0
    assert change[RUN[2], "dropout7"] == pytest.approx(1)  # twice as much, for weights of half the size
    for name in ("family.md", "family.html"):
        text = (tmp_path / "out" / name).read_text()
        assert all(word in text for word in (*MEMBERS, *RUN, "torch.nn", "before any training"))


def test_a_control_that_changes_something_is_told(few, monkeypatch):
    wrong = {**VARIATIONS["norm: k 1 in the place of 2"], "control": True}
    monkeypatch.setitem(family.TOLD, "variations", {"wrong": wrong})
    result = CliRunner().invoke(cli, ["family", "--batch", "1", "--engine", "legacy-cpu"])
    assert result.exit_code == 1
    assert "Controls that change: wrong" in result.output


def test_the_table_alone_runs_nothing(monkeypatch):
    monkeypatch.setattr(family, "effects", None)
    result = CliRunner().invoke(cli, ["family", "--table"])
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 100


def test_weights_of_a_checkpoint(tmp_path):
    network = load(write_net(tmp_path))
    drawn = parameters.make(network, 3)
    flat = {f"{layer}.{tensor}": array for layer, tensor, array in parameters.owned(network, drawn)
            if "_inc" not in tensor}  # fmt: skip
    np.savez(tmp_path / "w.npz", **flat)
    found = family.weights(network, 0, str(tmp_path / "w.npz"))
    assert all(np.array_equal(found[name.partition(".")[0]][name.partition(".")[2]], array)
               for name, array in flat.items())  # fmt: skip
    assert not np.array_equal(parameters.make(network, 0)["conv1"]["weights[0]"], found["conv1"]["weights[0]"])
    np.savez(tmp_path / "less.npz", **{name: array for name, array in flat.items() if name != "conv1.biases"})
    with pytest.raises(BadInput, match=r"conv1\.biases is missing"):
        family.weights(network, 0, str(tmp_path / "less.npz"))


@pytest.mark.parametrize("args", [("--engine", "no-such"), ("--checkpoint", "no-such.npz"), ("--batch", "0")])
def test_bad_input_is_one_line(args):
    result = CliRunner().invoke(cli, ["family", *args])
    assert result.exit_code == 2
    assert "Traceback" not in result.output
