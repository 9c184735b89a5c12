import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import example_rows
import numpy as np
import pytest
from example_rows import ABOUT, some_rows

from alexnet_rosetta.harness import files
from alexnet_rosetta.harness.errors import BadInput, RecordError
from alexnet_rosetta.harness.reporting import record


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
    """Findings once had a count of elements "ordered", and none of wrong signs; rows had no axes."""
    folder = record.Writer(tmp_path / "run").finish(ABOUT, some_rows(), {})
    whole = json.loads((folder / "record.json").read_text())
    for row in whole["rows"]:
        del row["axes"], row["exact"]
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
    assert lines[1]["worst_at"] == "row 1, column 2"


def test_nothing_appears_before_the_end(tmp_path):
    writer = record.Writer(tmp_path / "run")
    writer.keep("conv1", "forward", "acts", "port", np.zeros(3, np.float32))
    assert not (tmp_path / "run").exists()
    writer.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layer", ["conv1", "../../../trav", "/elsewhere/abs", "a/b", "..", "n" * 300, "nul\0", "ü\n"])
def test_kept_tensors_are_numbered_whatever_their_layer_is_called(tmp_path, layer):
    writer = record.Writer(tmp_path / "run")
    for whose in ("reference", "port"):
        writer.keep(layer, "forward", "acts", whose, np.arange(3, dtype=np.float32))
    folder = writer.finish(ABOUT, [], {})
    index = [json.loads(line) for line in (folder / "tensors" / "index.jsonl").read_text().splitlines()]
    assert index[1] == {"file": "00001.npy", "layer": layer, "pass": "forward", "tensor": "acts", "of": "port"}
    assert np.load(folder / "tensors" / index[1]["file"], allow_pickle=False).tolist() == [0, 1, 2]
    assert tree(tmp_path) == [
        "run", "run/arrays.npz", "run/record.json", "run/results.csv", "run/tensors", "run/tensors/00000.npy",
        "run/tensors/00001.npy", "run/tensors/index.jsonl"
    ]  # fmt: skip


def test_an_earlier_record_is_kept_under_its_date(tmp_path):
    first = record.Writer(tmp_path / "run")
    first.keep("old", "forward", "acts", "port", np.zeros(1))
    first.finish(ABOUT, [], {})
    assert first.earlier is None
    os.utime(tmp_path / "run" / "record.json", (1348999200, 1348999200))
    for name in ("run-2012-09-30-100000", "run-2012-09-30-100000-2"):
        writer = record.Writer(tmp_path / "run")
        writer.finish(ABOUT, some_rows(), {})
        assert writer.earlier == tmp_path / name
        assert not (tmp_path / "run" / "tensors").exists()
        assert len(record.read(tmp_path / "run").rows) == 2
        os.utime(tmp_path / "run" / "record.json", (1348999200, 1348999200))
    assert (tmp_path / "run-2012-09-30-100000" / "tensors" / "00000.npy").is_file()
    assert [len(record.read(path).rows) for path in sorted(tmp_path.iterdir())] == [2, 0, 2]


def tree(folder):
    """Every path below a folder, but for what is there only where pyarrow is installed."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix != ".parquet")
    return sorted(paths)


def earlier_record(folder):
    """A record in a folder, with a kept tensor."""
    writer = record.Writer(folder)
    writer.keep("fc", "forward", "acts", "port", np.zeros(1))
    return writer.finish(ABOUT, some_rows(), {})


def a_thesis(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")


def a_record_of_others(tmp_path):
    (tmp_path / "run" / "src").mkdir(parents=True)
    (tmp_path / "run" / "src" / "main.c").write_text("x")
    (tmp_path / "run" / "record.json").write_text('{"my": 1}')


def only_a_record_of_others(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_text('{"my": 1}')


def a_thesis_beside_a_record(tmp_path):
    (earlier_record(tmp_path / "run") / "thesis.txt").write_text("years of work")


def a_thesis_among_the_tensors(tmp_path):
    (earlier_record(tmp_path / "run") / "tensors" / "thesis.npy").write_text("years of work")


def a_link_in_a_record(tmp_path):
    (earlier_record(tmp_path / "run") / "results.csv").unlink()
    (tmp_path / "run" / "results.csv").symlink_to(tmp_path / "elsewhere")


def a_link_to_a_record(tmp_path):
    earlier_record(tmp_path / "real")
    (tmp_path / "run").symlink_to("real")


def a_link_to_nothing(tmp_path):
    (tmp_path / "run").symlink_to("nowhere")


def a_file(tmp_path):
    (tmp_path / "run").write_text("years of work")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (a_thesis, "holds 'thesis.tex'"),
        (a_record_of_others, "holds 'src'"),
        (only_a_record_of_others, "record.json is not ours"),
        (a_thesis_beside_a_record, "holds 'thesis.txt'"),
        (a_thesis_among_the_tensors, "holds 'tensors/thesis.npy'"),
        (a_link_in_a_record, "holds 'results.csv'"),
        (a_link_to_a_record, "is a link"),
        (a_link_to_nothing, "is a link"),
        (a_file, "is no folder"),
    ],
)
def test_what_is_no_record_is_left_alone(tmp_path, make, why):
    make(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(BadInput, match=rf"exists and is no record: .*{why}.*hint"):
        record.Writer(tmp_path / "run")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("inside", [".", "tensors"])
def test_the_working_folder_is_not_replaced(tmp_path, monkeypatch, inside):
    monkeypatch.chdir(earlier_record(tmp_path / "run") / inside)
    with pytest.raises(BadInput, match="is the working folder or holds it"):
        record.Writer(tmp_path / "run")


def test_a_file_that_came_during_the_run_is_left_alone_and_the_rows_too(tmp_path):
    earlier_record(tmp_path / "run")
    writer = record.Writer(tmp_path / "run")
    writer.begin(ABOUT)
    writer.add(some_rows()[0])
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match=r"thesis.txt"):
        writer.finish(ABOUT, some_rows(), {})
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"
    assert "a later run was ended early" in record.recover(tmp_path / "run")


def killed(folder, rows=2):
    """The draft of a process that is gone, with some rows; returns where it is."""
    program = f"""
import os, sys
sys.path.insert(0, {str(Path(example_rows.__file__).parent)!r})
from example_rows import ABOUT, some_rows
from alexnet_rosetta.harness.reporting import record
writer = record.Writer({str(folder)!r})
writer.begin(ABOUT)
for row in some_rows()[:{rows}]:
    writer.add(row)
writer.keep("fc", "forward", "acts", "port", __import__("numpy").zeros(1))
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    (draft,) = folder.parent.glob(f".{folder.name}.*.part")
    return draft


def test_rows_of_a_killed_run_are_read(tmp_path):
    draft = killed(tmp_path / "run")
    with open(draft / "rows.jsonl", "a") as rows:
        rows.write('{"elapsed": 1, "row": {"layer": "cut sho')
    assert "was ended early" in record.recover(tmp_path / "run")
    found = record.read(tmp_path / "run")
    assert found.about["status"] == "interrupted"
    assert found.about["sentence"].startswith("1 of 3 tensors agree")
    assert repr(found.rows) == repr(some_rows())
    assert "was ended early" in record.recover(tmp_path / "run")
    writer = record.Writer(tmp_path / "run")
    writer.finish(ABOUT, [], {})
    assert tree(tmp_path / "run") == ["arrays.npz", "record.json", "results.csv"]
    assert repr(record.read(writer.earlier).rows) == repr(some_rows())
    assert sorted(tmp_path.iterdir()) == [tmp_path / "run", writer.earlier]


@pytest.mark.parametrize("noted", ["", '{"format": "alexnet-ros'])
def test_a_run_that_was_killed_before_it_began_has_nothing_to_report(tmp_path, noted):
    draft = killed(tmp_path / "run", rows=0)
    (draft / "rows.jsonl").write_text(noted)
    with pytest.raises(RecordError, match="ended before it had finished anything; hint: run the comparison again"):
        record.recover(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(RecordError, match="ended before it had finished anything"):
        record.read(draft)
    record.Writer(tmp_path / "run").discard()
    assert not list(tmp_path.iterdir())


def test_an_earlier_record_is_not_lost_to_a_killed_run(tmp_path):
    earlier_record(tmp_path / "run")
    draft = killed(tmp_path / "run", rows=1)
    assert str(draft) in record.recover(tmp_path / "run")
    assert len(record.read(tmp_path / "run").rows) == 2
    assert len(record.read(draft).rows) == 1
    earlier_record(tmp_path / "run")
    assert len(list(tmp_path.iterdir())) == 2
    assert record.recover(tmp_path / "run") == ""


def test_drafts_of_the_living_and_of_strangers_stay(tmp_path):
    living = record.Writer(tmp_path / "run")
    strange = tmp_path / f".run.{2**30}.part"
    strange.mkdir()
    (strange / "thesis.txt").write_text("years of work")
    before = tree(tmp_path)
    with pytest.raises(BadInput, match="cannot be written"):
        record.Writer(tmp_path / "run")  # of the same process, which has one draft for a folder
    assert tree(tmp_path) == before
    with pytest.raises(RecordError, match="is being written"):
        record.recover(tmp_path / "run")
    living.discard()
    assert tree(tmp_path) == [strange.name, f"{strange.name}/thesis.txt"]


@pytest.mark.parametrize("can", [True, False])
def test_a_replacement_that_was_cut_short_leaves_a_record(tmp_path, monkeypatch, can):
    """At every step of `place`, the name has a record or the next call brings one back."""
    if not can:
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    real, seen = os.rename, []

    def rename(source, target):
        seen.append((tmp_path / "run" / "record.json").exists())
        real(source, target)
        seen.append((tmp_path / "run" / "record.json").exists())

    earlier_record(tmp_path / "run")
    monkeypatch.setattr(os, "rename", rename)
    earlier_record(tmp_path / "run")
    assert [len(record.read(path).rows) for path in tmp_path.iterdir()] == [2, 2]
    if can:
        assert all(seen)
    monkeypatch.setattr(os, "rename", real)
    os.rename(tmp_path / "run", tmp_path / f".run.{2**30}.old")
    record.Writer(tmp_path / "run").discard()
    assert tree(tmp_path)[0] == "run"
    assert len(record.read(tmp_path / "run").rows) == 2


@pytest.mark.parametrize("kind", ["part", "old"])
def test_an_earlier_record_that_was_not_put_by_is_put_by(tmp_path, kind):
    """The process died when the new record had its name, and the earlier one not yet that with the date."""
    os.rename(earlier_record(tmp_path / "run"), tmp_path / f".run.{2**30}.{kind}")
    earlier_record(tmp_path / "run")
    assert [bool(re.fullmatch(r"run(-[-0-9]+)?", path.name)) for path in tmp_path.iterdir()] == [True, True]
    assert all(len(record.read(path).rows) == 2 for path in tmp_path.iterdir())


def test_a_disk_too_full_for_tensors_keeps_the_record(tmp_path, monkeypatch):
    writer = record.Writer(tmp_path / "run")
    real, calls = np.save, []

    def save(*args, **kwargs):
        calls.append(args)
        if len(calls) > 1:
            raise OSError("2048 requested and 2016 written")
        real(*args, **kwargs)

    monkeypatch.setattr(np, "save", save)
    for whose in ("reference", "port", "other"):
        writer.keep("fc", "forward", "acts", whose, np.zeros(3))
    assert writer.problem == "whole tensors were not kept: 2048 requested and 2016 written"
    assert len(calls) == 2
    assert not (writer.finish(ABOUT, some_rows(), {}) / "tensors").exists()


def test_no_cell_is_a_formula(tmp_path):
    row = some_rows()[0]
    row.layer = "=cmd|'/C calc'!A0"
    folder = record.Writer(tmp_path / "run").finish(ABOUT, [row], {})
    line = next(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert line["layer"] == "'=cmd|'/C calc'!A0"


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
        (None, "no file record.json"),
        ("{", "cannot be read"),
        ("[" * 200_000, "RecursionError"),
        ('{"format": "alexnet-rosetta record", "version": true, "rows": []}', "another version"),
        ('{"format": "alexnet-rosetta record", "version": 1}', "KeyError: 'rows'"),
        ('{"format": "alexnet-rosetta record", "version": 1, "rows": [3]}', "cannot be read"),
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
