import csv
import json

import numpy as np
import pytest

from alexnet_rosetta.harness import record
from alexnet_rosetta.harness.errors import BadInput, RecordError
from alexnet_rosetta.harness.table import Row
from alexnet_rosetta.harness.verdicts import Finding, Worst

ABOUT = {"status": "complete", "options": {"passes": ("forward",)}, "number": np.float32(0.5)}


def some_rows():
    odd = Finding("different", 6, float("inf"), Worst((1, 2), float("nan"), 1.5, 0.0), 7, 1, 1)
    good = Finding("equivalent", 6, 0.25, Worst((0, 0), 1.0, 1.0, 0.1))
    return [
        Row(
            "conv1", "conv", "forward", "acts", (2, 3), {"port": good, "other": odd}, {"port = other": 1}, {"port": 0.5}
        ),
        Row("fc1", "fc", "backward", "biases_grad", (1, 3), {"port": Finding("missing", reason="none")}),
    ]


def test_what_is_written_is_read_back(tmp_path):
    arrays = {"filters.conv1": np.arange(6, dtype=np.float32).reshape(2, 3)}
    folder = record.Writer(tmp_path / "deep" / "run").finish(ABOUT, some_rows(), arrays)
    found = record.read(folder)
    assert found.about["format"] == record.FORMAT
    assert found.about["options"] == {"passes": ["forward"]}
    assert found.about["number"] == 0.5
    assert repr(found.rows) == repr(some_rows())  # NaN is not equal to itself
    assert np.array_equal(found.arrays["filters.conv1"], arrays["filters.conv1"])


def test_a_record_made_before_still_opens(tmp_path):
    """Findings once had a count of elements "ordered", and none of wrong signs."""
    folder = record.Writer(tmp_path / "run").finish(ABOUT, some_rows(), {})
    whole = json.loads((folder / "record.json").read_text())
    for row in whole["rows"]:
        for found in row["findings"].values():
            found["ordered"] = 0
            del found["signs"]
    (folder / "record.json").write_text(json.dumps(whole))
    assert repr(record.read(folder).rows) == repr(some_rows())


def test_json_is_strict_and_csv_has_a_line_for_each_engine(tmp_path):
    folder = record.Writer(tmp_path / "run").finish(ABOUT, some_rows(), {})
    json.loads((folder / "record.json").read_text(), parse_constant=pytest.fail)
    lines = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert [(line["layer"], line["engine"], line["verdict"]) for line in lines] == [
        ("conv1", "port", "equivalent"),
        ("conv1", "other", "different"),
        ("fc1", "port", "missing"),
    ]
    assert lines[1]["worst_index"] == "1 2"


def test_nothing_appears_before_the_end(tmp_path):
    writer = record.Writer(tmp_path / "run")
    writer.keep("conv1.forward.acts.port", np.zeros(3, np.float32))
    assert not (tmp_path / "run").exists()
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_kept_tensors_are_plain_npy(tmp_path):
    writer = record.Writer(tmp_path / "run")
    writer.keep("conv1.forward.acts.port", np.arange(3, dtype=np.float32))
    folder = writer.finish(ABOUT, [], {})
    assert np.load(folder / "tensors" / "conv1.forward.acts.port.npy", allow_pickle=False).tolist() == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_earlier_record_is_replaced_whole(tmp_path):
    first = record.Writer(tmp_path / "run")
    first.keep("old", np.zeros(1))
    first.finish(ABOUT, [], {})
    record.Writer(tmp_path / "run").finish(ABOUT, some_rows(), {})
    assert not (tmp_path / "run" / "tensors").exists()
    assert len(record.read(tmp_path / "run").rows) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match=r"exists and is no record.*hint"):
        record.Writer(tmp_path)
    with pytest.raises(BadInput, match=r"exists and is no record"):
        record.Writer(tmp_path / "thesis.tex")


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot be written.*hint"):
        record.Writer(tmp_path / "file" / "run")


def test_an_empty_folder_may_be_used(tmp_path):
    (tmp_path / "run").mkdir()
    assert record.read(record.Writer(tmp_path / "run").finish(ABOUT, [], {})).rows == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "no comparison record"),
        ('{"format": "alexnet-rosetta record", "version": 99}', "another version"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "record.json").write_text(content)
        np.savez(tmp_path / "arrays.npz")
    with pytest.raises(RecordError, match=message):
        record.read(tmp_path)
