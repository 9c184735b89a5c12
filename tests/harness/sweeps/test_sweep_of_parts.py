"""Parts of sweeps where they run, and a sweep on workers of Dask, all of which are killed once."""

import gc
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network.load import SHIPPED
from alexnet_rosetta.harness.sweeps import page, part, run, spec

COMPARE = "[compare]\ninputs = 'random'\nbatches = 2\n"


def parts(tmp_path, text):
    (tmp_path / "sweep.toml").write_text(text)
    return spec.read(tmp_path / "sweep.toml")[1]


@pytest.mark.parametrize(
    ("text", "status", "sentence"),
    [
        (COMPARE + "networks = 'random:1'", "agrees", "70 of 70 tensors agree"),
        (COMPARE + "networks = 'random:0'", "explained", "Explained by quirks"),
        (COMPARE + "networks = 'tiny'\nengines = 'legacy-gpu'", "unavailable", "engine legacy-gpu is unavailable"),
        (COMPARE + "networks = 'tiny'\ninstructions = 'v9'", "unavailable", "instruction set v9"),
        (COMPARE + "networks = 'odd.cfg'", "refused", "odd"),
        ("[check.faults]\nparts = 500", "agrees", "legacy-cpu: 1 of 1 faults"),
        (f"[check.layers]\nfolder = '{SHIPPED}'\nonly = 'tiny'\nbatches = 2", "agrees", "1 of 1 pairs agree"),
        ("[check.grads]\nnetworks = 'random:1'\nengines = 'reference'", "agrees", "gradients agree"),
    ],
)
def test_a_part_says_what_became_of_it(tmp_path, text, status, sentence):
    (tmp_path / "odd.cfg").write_text("[odd]\ntype=odd\n")
    found = part.run(parts(tmp_path, text)[0])
    assert (found.status, sentence in found.sentence) == (status, True), found.sentence
    assert {"record.json", "output.txt"} & found.files.keys() or status in ("refused", "unavailable")


@pytest.mark.parametrize(("code", "status"), [(0, "agrees"), (1, "different"), (3, "not compared")])
def test_mutants_run_in_a_process_of_their_own(tmp_path, monkeypatch, code, status):
    def ran(command, **_):
        assert command[2:5] == ["alexnet_rosetta.harness", "check", "mutants"]
        named = [after for word, after in pairwise(command) if word == "--only"]
        return SimpleNamespace(stdout="\n".join(named), stderr="\n7 of 8 were noticed", returncode=code)

    monkeypatch.setattr(part.subprocess, "run", ran)
    one = parts(tmp_path, "[check.mutants]\nparts = 5")[2]
    found = part.run(one)
    assert (found.status, found.sentence) == (status, "7 of 8 were noticed")
    assert found.files["output.txt"].decode().split()[: len(one.names)] == list(one.names)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_worker_started_by_hand_takes_pages_once_for_all_arrays_of_a_part(tmp_path):
    """As ``dask worker`` starts: the C library gives every array back. What a part takes is given back after it."""
    program = """
import ctypes, resource, sys
from pathlib import Path
from alexnet_rosetta.harness import machine
from alexnet_rosetta.harness.sweeps import part, spec

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: a system has huge pages, or none

def measure():
    part.run(one)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    part.run(one)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    print(faults, machine._field("/proc/self/status", "VmRSS", ":").split()[0])

one = spec.read(Path(sys.argv[1]))[1][0]
keep, machine.keep_freed_memory = machine.keep_freed_memory, lambda: None
measure()
machine.keep_freed_memory = keep
measure()
"""
    (tmp_path / "sweep.toml").write_text("[compare]\nnetworks = 'cifar'\ninputs = 'random'\nbatches = 32\n")
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "sweep.toml"], capture_output=True, text=True,
                          check=True, env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"})  # fmt: skip
    many, least, few, left = map(int, done.stdout.split())
    assert 5 * few < many
    assert left < least + 2**15  # KiB


@pytest.mark.parametrize("address", ["nobody", "tcp://", "foo://127.0.0.1:1"])
def test_an_address_that_is_none_is_refused_at_once(tmp_path, address):
    """In one line: a client that could not begin waited 40 seconds for its own end, and printed a traceback."""
    pytest.importorskip("distributed", reason="dask.distributed is not installed: make sweep")
    (tmp_path / "sweep.toml").write_text("[compare]\nnetworks = 'tiny'\n")
    words = ["sweep", str(tmp_path / "sweep.toml"), "--scheduler", address, "--out", str(tmp_path / "out")]
    begin = time.monotonic()
    found = CliRunner().invoke(cli, words)
    gc.collect()
    assert (found.exit_code, f"no workers at {address}: " in found.output) == (2, True), found.output
    assert time.monotonic() - begin < 10
    assert not (tmp_path / "out").exists()


def test_a_record_names_the_layer_file_in_the_folder_of_the_sweep(tmp_path):
    (one,) = parts(tmp_path, COMPARE + "networks = 'random:1'\ninstructions = 'strict'")
    found = part.run(one)
    about = json.loads(found.files["record.json"])
    assert about["options"]["net"] == one.home
    assert about["engines"]["legacy-cpu"].startswith("isa strict")
    assert part.memory(one) > 2**19


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The folder of a sweep of six parts on two workers, both of which were killed on the way, and its parts."""
    pytest.importorskip("distributed", reason="dask.distributed is not installed: make sweep")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: make sweep")
    folder = tmp_path_factory.mktemp("sweep")
    own = parts(folder, COMPARE + "networks = ['random:0-1', 'tiny']\nseeds = [0, 1]")
    told = []
    with run.cluster(None, 2, None) as (client, slots, limit):
        victims = list(client.run(os.getpid).values())

        def tell(result):
            told.append(result.part.key)
            if victims:
                os.kill(victims.pop(), signal.SIGKILL)

        run.run(own, folder / "out", client, slots, limit, tell)
    assert sorted(told) == sorted(one.key for one in own)
    return folder, own


def test_nothing_is_lost_and_nothing_is_there_twice(swept):
    folder, own = swept
    frame = run.table(folder / "out", own)
    assert set(frame["part"]) == {one.key for one in own} == run.finished(folder / "out")
    assert not frame.duplicated(["part", "layer", "pass", "tensor", "engine"]).any()
    assert sorted(path.name for path in (folder / "out" / "records").iterdir()) == sorted(one.key for one in own)
    result = part.run(own[0])  # a single thread gives the same bits wherever it runs
    rows = frame[frame["part"] == own[0].key]
    assert list(rows["share"]) == [line["share"] for line in result.lines]
    assert list(rows["verdict"]) == [line["verdict"] for line in result.lines]


def test_others_read_the_folder_as_one_table(swept):
    import pandas

    folder, own = swept
    assert pandas.read_parquet(folder / "out" / "results")["part"].nunique() == len(own)


def test_what_is_finished_is_not_repeated_and_the_page_shows_all(swept):
    folder, own = swept
    results = folder / "out" / "results"
    gone, kept = results / f"{own[0].key}.parquet", results / f"{own[1].key}.parquet"
    gone.unlink()
    before = kept.stat().st_mtime_ns
    words = ["sweep", folder / "sweep.toml", "--resume", folder / "out", "--workers", 1]
    found = CliRunner().invoke(cli, list(map(str, words)))
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    assert lines[0].startswith("sweep: 6 parts, 5 of them finished before")
    assert lines[1].startswith("6/6 explained: compare random:0")
    assert lines[-1] == "4 of 6 parts agree, 2 explained."
    assert gone.exists()
    assert kept.stat().st_mtime_ns == before
    html = (folder / "out" / "index.html").read_text()
    assert html.index('id="failures"') < html.index('id="matrix"') < html.index('id="parts"')
    assert all(one.key in html for one in own)


def test_more_than_the_cluster_has_is_too_large_until_there_is_more(swept, tmp_path):
    own = parts(tmp_path, COMPARE + "networks = 'random:1'\nthreads = 3")
    told = []
    with run.cluster(None, 1, None) as (client, _, _):
        run.run(own, tmp_path / "out", client, 2, 2**30, told.append)
    assert (told[0].status, told[0].sentence) == ("too large", "takes 3 threads and 0.0 GiB of 2 threads and 1.0 GiB")
    words = ["sweep", tmp_path / "sweep.toml", "--resume", tmp_path / "out", "--workers", 3]
    found = CliRunner().invoke(cli, list(map(str, words)))
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[-1] == "1 of 1 parts agree."


def test_what_comes_from_files_is_no_markup(swept):
    folder, own = swept
    frame = run.table(folder / "out", own)
    frame["network"], frame["status"] = "<script>x</script>\x1b", "different"
    html = page.render("<i>", frame, Counter(different=6), 7, {"<b>": "<u>"})
    assert "<script>x" not in html
    assert "\x1b" not in html
    assert "0 of 7 parts agree, 6 different" in html
    assert "<u>" not in html
    assert "<i>" not in html


@pytest.mark.parametrize("wrong", ["spec", "exists", "resume", "both"])
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, wrong):
    (tmp_path / "sweep.toml").write_text(COMPARE + "networks = 'tiny'")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    words = {
        "spec": [tmp_path / "none.toml", "--out", tmp_path / "out"],
        "exists": [tmp_path / "sweep.toml", "--out", tmp_path / "full"],
        "resume": [tmp_path / "sweep.toml", "--resume", tmp_path / "none"],
        "both": [tmp_path / "sweep.toml", "--resume", tmp_path / "full", "--out", tmp_path / "out"],
    }[wrong]
    before = sorted(tmp_path.rglob("*"))
    found = CliRunner().invoke(cli, ["sweep", *map(str, words)])
    assert (found.exit_code, len(found.output.splitlines())) == (2, 1), found.output
    assert sorted(tmp_path.rglob("*")) == before


def test_results_that_are_damaged_are_named(swept, tmp_path):
    _, own = swept
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / f"{own[0].key}.parquet").write_bytes(b"PAR1")
    with pytest.raises(BadInput, match="cannot be read"):
        run.table(tmp_path, own)


def test_counts_give_a_sentence_and_an_exit_code():
    assert run.sentence(Counter(agrees=3), 3) == "3 of 3 parts agree."
    some = Counter({"agrees": 1, "failed": 1, "unavailable": 2})
    assert run.sentence(some, 5) == "1 of 5 parts agree, 1 failed, 2 unavailable, 1 not run."
    others = [status for status in run.CODES if status != "agrees"]
    assert [run.exit_code(Counter(["agrees", status]), 2) for status in others] == [1, 1, 2, 2, 3, 3, 0]
    assert [run.exit_code(Counter(["agrees"]), total) for total in (1, 2)] == [0, 3]
