"""From a run with a planted fault to a small folder that shows the fault alone."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_nets import write_net

from alexnet_rosetta.harness.checks.faults.catalogue import FAULTS
from alexnet_rosetta.harness.checks.faults.examine import CASES, write
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows
from alexnet_rosetta.harness.study.bisect import LARGEST, bisect

ENGINE = """
from alexnet_rosetta.harness.checks.faults.catalogue import FAULTS
from alexnet_rosetta.harness.checks.faults.planted import Mutant, Mutation
from alexnet_rosetta.harness.engines import find
from alexnet_rosetta.harness.engines.wrapped import AsMeant

MUTATION = next(one for one in FAULTS if one.name == "{name}").mutation


class Planted(Mutant):
    def __init__(self):
        super().__init__(AsMeant(find("{engine}")), MUTATION)
"""
FIXED = "\nMUTATION = Mutation(MUTATION.layer)\n"
CHOSEN = {
    "conv-lost-slab": "port",
    "sharing-momentum-twice": "legacy-cpu",
}
"""A gradient, and a sum over layers that share their weights."""


def planted(folder, name, engine):
    """(rows, options) of a run of the fault's scene, in which the fault shows."""
    fault = next(one for one in FAULTS if one.name == name)
    net = write(fault.scene, folder / "net", "scene")
    (folder / "planted.py").write_text(ENGINE.format(name=name, engine=engine))
    more = {"input": fault.input, "progress": fault.progress, "update_every": fault.update_every}
    options = Options(str(net), engines=(str(folder / "planted.py"),), threads=1, batch=CASES[fault.input], **more)
    return list(rows(prepare(options), "isolated")), options, fault.places


def again(folder):
    """The exit code of the folder's script, run elsewhere."""
    ran = subprocess.run([sys.executable, folder / "again.py"], capture_output=True, text=True, cwd="/", check=False)
    assert ran.stderr == ""
    return ran.returncode


def shown_alone(tmp_path, name, engine):
    table, options, places = planted(tmp_path, name, engine)
    said = []
    folder = bisect(table, options, tmp_path / "fault", said.append)
    assert tuple(said[0].partition(": ")[2].split()[1:4]) in places
    elsewhere = shutil.move(folder, tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "net")
    (tmp_path / "planted.py").unlink()
    assert sum(path.stat().st_size for path in elsewhere.iterdir()) <= LARGEST
    assert again(elsewhere) == 1
    engine_there = elsewhere / "planted.py"
    engine_there.write_text(engine_there.read_text().replace("\n\nclass", f"{FIXED}\n\nclass"))
    assert again(elsewhere) == 0
    return said


@pytest.mark.parametrize("name", CHOSEN)
def test_a_planted_fault_is_shown_by_its_folder_alone(tmp_path, name):
    said = shown_alone(tmp_path, name, CHOSEN[name])
    assert "images: 1 of 6, " in said[2]
    counts = [
        int(count) for line in said for count in re.findall(r"(\d+) of \d+ (?:channels|pixels|rows|columns)", line)
    ]
    assert len(counts) >= 4
    assert max(counts) <= 2
    if name == "conv-lost-slab":
        assert any(line.startswith("first partial sum at fault: step ") for line in said)


def test_the_command_reads_a_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, options, _ = planted(tmp_path, "pool-start", "port")
    run = ["compare", options.net, "--engines", "planted.py", "--input", "random", "--batch", "6", "--threads", "1"]
    assert CliRunner().invoke(cli.cli, [*run, "--out", "run"]).exit_code == 1
    result = CliRunner().invoke(cli.cli, ["bisect", "run"])
    assert result.exit_code == 0, result.output
    assert {path.name for path in Path("run-fault").iterdir()} == {
        "about.txt", "again.py", "case.npz", "planted.py", "scene.cfg", "scene-params.cfg"
    }  # fmt: skip
    with np.load("run-fault/case.npz", allow_pickle=False) as case:
        assert all(name.endswith((".shape", ".at", ".kept")) for name in case.files)
    record = Path("run", "record.json")
    shutil.copytree("run", "bent")
    Path("bent", "record.json").write_text(record.read_text().replace('"net": ', '"nets": '))
    assert "bent cannot be read as a record" in CliRunner().invoke(cli.cli, ["bisect", "bent"]).stderr
    before = sorted(tmp_path.iterdir())
    for out in ([], ["--out", "nowhere/fault"]):
        result = CliRunner().invoke(cli.cli, ["bisect", "run", *out])
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_what_a_quirk_explains_comes_after_all_others(tmp_path):
    table, options, places = planted(tmp_path, "pool-start", "port")
    early = next(row for row in table if row.step == "forward" and row.status() not in ("different",))
    early.findings = {name: replace(found, status="different") for name, found in early.findings.items()}
    early.quirk = dict.fromkeys(early.findings, ("lab-exponent",))
    said = []
    bisect(table, options, tmp_path / "fault", said.append)
    assert tuple(said[0].partition(": ")[2].split()[1:4]) in places


def test_a_run_without_a_fault_and_a_fault_that_is_gone_are_refused(tmp_path):
    table, options, _ = planted(tmp_path, "pool-start", "port")
    good = Options(write_net(tmp_path), engines=("reference",), input="random", batch=4)
    with pytest.raises(BadInput, match="no tensor of the run fails"):
        bisect(list(rows(prepare(good), "isolated")), good, tmp_path / "fault", print)
    engine = tmp_path / "planted.py"
    engine.write_text(engine.read_text().replace("\n\nclass", f"{FIXED}\n\nclass"))
    with pytest.raises(BadInput, match="does not fail any more"):
        bisect(table, options, tmp_path / "fault", print)
    assert not (tmp_path / "fault").exists()
