"""The estimate of memory: held against what jobs took, which docs/reliability.md tells."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from alexnet_rosetta.harness import machine
from alexnet_rosetta.harness.bench import measure
from alexnet_rosetta.harness.checks.grads import check_grads
from alexnet_rosetta.harness.errors import TooLarge
from alexnet_rosetta.harness.network.load import load
from alexnet_rosetta.harness.running import memory
from alexnet_rosetta.harness.running.prepare import Options, prepare
from alexnet_rosetta.harness.training.run import Settings, Training

PAGE = (Path(__file__).parents[3] / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\w+), (\d+) \| ([\w, -]+) \| ([a-z, ]+) \| (\d+\.\d+) \| (\d+\.\d+) \|$", PAGE, re.MULTILINE)
LARGE, GIB = 2.0, 2**30
TWO = ("legacy-cpu", "port")


def needed(name, batch, engines=TWO, mode="isolated", **more):
    return memory.memory_needed(load(name), batch, engines, mode, **more)


@pytest.mark.parametrize("row", ROWS, ids=[" ".join(row[:4]) for row in ROWS])
def test_the_estimate_is_never_too_low_and_of_large_jobs_little_too_high(row):
    """Of every job on the page; what the job took was measured, the estimate is made here."""
    name, batch, engines, how, said, taken = row
    mode = "alone" if how == "bench" else "propagated" if how == "propagated mode" else "isolated"
    more = {"passes": ("forward",)} if how == "forward" else {}
    estimate = needed(name, int(batch), engines.split(", "), mode, **more) / GIB
    assert float(said) == round(estimate, 2)
    assert float(taken) <= estimate
    if float(taken) > LARGE:
        assert estimate <= 1.25 * float(taken)


def test_the_page_has_jobs_of_every_kind():
    assert {row[3] for row in ROWS} == {"isolated mode", "propagated mode", "forward", "bench"}
    assert sum(float(row[5]) > LARGE for row in ROWS) >= 6


def test_a_comparison_takes_no_more(tmp_path):
    program = f"""
import sys
from alexnet_rosetta.harness import machine
from alexnet_rosetta.harness.cli.commands import cli
words = "compare zoo --batch 32 --input random --threads 2 --out".split()
try:
    cli([*words, {str(tmp_path / "run")!r}])
finally:
    print("peak", machine.peak_memory())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 0.5 * needed("zoo", 32) < int(done.stdout.split("peak ")[1]) <= needed("zoo", 32)


def test_the_estimate_grows_with_all_that_takes_memory():
    small = needed("tiny", 8, ["port"])
    assert needed("tiny", 16, ["port"]) > small
    assert needed("tiny", 8) > small
    assert needed("tiny", 8, ["port"], "propagated") > small
    assert needed("tiny", 8, ["torch"]) > needed("tiny", 8, ["of another package"]) > small
    assert needed("alexnet", 8, passes=("forward",)) < needed("alexnet", 8)


def test_whoever_takes_memory_asks_first(monkeypatch, tmp_path):
    """A comparison, a bench, a training and a check of gradients."""
    work = prepare(Options("tiny", batch=2, input="random"))
    monkeypatch.setattr(machine, "available_memory", lambda: 100 * 2**20)
    for job in (
        lambda: prepare(Options("tiny", batch=2)),
        lambda: measure.measure(Options("tiny", batch=2), work=work),
        lambda: Training(Settings("photos"), tmp_path / "run"),
        lambda: check_grads(print, "tiny"),
    ):
        with pytest.raises(TooLarge, match="GiB are free"):
            job()
    assert not (tmp_path / "run").exists()


def test_a_system_that_says_nothing_refuses_nothing(monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: None)
    memory.check_memory(load("tiny"), 10**6, 10**18)
