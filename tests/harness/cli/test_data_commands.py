"""``rosetta data`` and ``rosetta convert`` on the command line."""

import numpy as np
from click.testing import CliRunner

from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.data import historical, open_data, pickles
from alexnet_rosetta.harness.network.load import load, plain
from alexnet_rosetta.harness.values import parameters


def rosetta(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_what_is_made_is_shown_and_read(tmp_path, monkeypatch):
    monkeypatch.setattr("alexnet_rosetta.harness.data.sources.PICTURES", 30)
    done = rosetta("data", "make", "--from", "photos", "--size", 8, "--out", tmp_path / "out")
    assert (done.exit_code, done.output) == (0, f"{tmp_path / 'out'}: batches 1-6 and batches.meta\n")
    assert np.array_equal(open_data(tmp_path / "out").read(6).pixels, open_data("photos", 8).read(6).pixels)
    shown = rosetta("data", "info", tmp_path / "out").output
    first = "train    batches 1-5; the first has 30 cases"
    for text in ("historical batches", "3 x 8 x 8", "6: astronaut, chelsea", first, "test     batches 6"):
        assert text in shown
    again = rosetta("data", "make", "--from", "photos", "--out", tmp_path / "out")
    assert (again.exit_code, "is not empty" in again.output) == (2, True)


def test_names_from_files_are_escaped(tmp_path):
    (tmp_path / "batches.meta").write_bytes(pickles.dumps({"num_vis": 4, "label_names": ["\x1b[2J", "\u202e"]}))
    (tmp_path / "data_batch_1").write_bytes(pickles.dumps({"data": np.zeros((4, 1), np.uint8), "labels": [1]}))
    done = rosetta("data", "info", tmp_path)
    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert "\u202e" not in done.output


def test_a_hostile_folder_ends_in_one_line(tmp_path):
    (tmp_path / "batches.meta").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    done = rosetta("data", "info", tmp_path)
    assert done.exit_code == 2
    assert done.output.count("\n") == 1
    assert f"{tmp_path / 'batches.meta'}: the pickle wants os.system" in done.output


def test_convert(tmp_path):
    network = load("cifar")
    tensors = {f"{a}.{b}": c for a, b, c in parameters.owned(network, parameters.make(network, 1))}
    found = historical.Checkpoint(tensors, 4, 2, [plain(layer) for layer in network.layers])
    (tmp_path / "4.2").write_bytes(historical.to_bytes(found))
    done = rosetta("convert", tmp_path / "4.2", tmp_path / "w.npz")
    assert (done.exit_code, done.output) == (0, f"{tmp_path / 'w.npz'}: written\n")
    with np.load(tmp_path / "w.npz") as file:
        assert set(file) == {name for name in tensors if "_inc" not in name}
    done = rosetta("convert", tmp_path / "w.npz", tmp_path / "old", "--net", "cifar")
    assert done.output == f"{tmp_path / 'old' / '0.0'}: written\n"
    again = historical.read(tmp_path / "old" / "0.0")
    assert all(np.array_equal(again.tensors[name], array) for name, array in tensors.items() if "_inc" not in name)
