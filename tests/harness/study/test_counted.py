"""`rosetta study NET LAYER --counted`."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.study import counted

DOCS = Path(__file__).parents[3] / "docs"


def rosetta(*words):
    return CliRunner().invoke(cli.cli, ["study", *words])


def cached(monkeypatch, folder):
    monkeypatch.setenv("ROSETTA_CACHE", str(folder))


def test_the_kernels_of_a_layer_are_counted(monkeypatch, tmp_path):
    """Its neuron reads and writes every number once; the second time what was built is there."""
    cached(monkeypatch, tmp_path)
    words = ("tiny", "conv1_neuron", "--counted", "--batch", "32", "--blocks", "0", "--pass", "forward")
    result = rosetta(*words)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    found = {
        line.split()[0]: line.split()[1:3] for line in lines if line.split()[:1] and line.split()[0].startswith("sm_")
    }
    touched = re.search(r"words +([\d,]+) +([\d,]+)", result.output)
    assert touched[1] == touched[2]
    assert found == {rule: [touched[1], touched[2]] for rule in ("sm_13", "sm_20", "sm_35")}
    assert "reads 1.0 and writes 1.0 words of global memory, at most 1 and 1" in result.output
    assert "0 races" in result.output
    (built,) = tmp_path.glob("counted-*.so")
    before = built.stat().st_mtime_ns
    assert rosetta(*words).output == result.output
    assert [path.stat().st_mtime_ns for path in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tiny", "--counted"], "--counted needs a LAYER"),
        (["tiny", "nolayer", "--counted"], "tiny has no layer 'nolayer' to study"),
        (["tiny", "conv1", "--play", "p.html", "--html", "site"], "--play and --html write two things"),
        (["tiny", "conv1", "--play", "p.html", "--counted"], "--play and --counted write two things"),
    ],
)
def test_what_cannot_be_counted_is_said_in_a_line(words, said):
    result = rosetta(*words)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("compiler", ["no-such-g++", ""])
def test_no_compiler_is_said_in_a_line(compiler, monkeypatch, tmp_path):
    cached(monkeypatch, tmp_path / "cache")
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = rosetta("tiny", "conv1", "--counted")
    error = result.output
    assert result.exit_code == 2
    assert error.count("\n") == 1
    actual = compiler or "none on PATH"
    for word in ("kernels cannot be counted", "expected a C++ compiler", f"actual {actual}", "hint: install g++"):
        assert word in error
    assert not (tmp_path / "cache").exists()


def test_a_library_of_another_user_is_not_loaded(monkeypatch, tmp_path):
    """What stands in its place is a link: a build replaces it."""
    cached(monkeypatch, tmp_path)
    words = ("tiny", "conv1_neuron", "--counted", "--batch", "4", "--pass", "forward")
    assert rosetta(*words).exit_code == 0
    (built,) = tmp_path.glob("counted-*.so")
    other = tmp_path / "other"
    built.rename(other)
    built.symlink_to(other)
    assert rosetta(*words).exit_code == 0
    assert not built.is_symlink()


@pytest.mark.slow
def test_the_figures_of_the_guide(monkeypatch, tmp_path):
    """Every command of the table is run; every number beside it is in what the command prints."""
    cached(monkeypatch, tmp_path)
    rows = re.findall(r"\| `rosetta study ([^`]+)` \| ([^|]+) \|", (DOCS / "counted-kernels.md").read_text())
    assert len(rows) == 4
    for command, told in rows:
        printed = set(re.findall(r"[\d,]{5,}", rosetta(*command.split()).output))
        figures = re.findall(r"\d[\d,]{4,}", told)
        assert figures
        assert set(figures) <= printed, command


def played(page):
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A cache that tests share."""
    return tmp_path_factory.mktemp("cache")


def test_a_block_is_played(built, monkeypatch, tmp_path):
    """Tiles fill with what the threads write, products grow, and the outputs are the products."""
    cached(monkeypatch, built)
    out = tmp_path / "conv1.html"
    result = rosetta("tiny", "conv1", "--play", str(out), "--batch", "16", "--pass", "forward")
    assert result.exit_code == 0, result.output
    page = out.read_text()
    assert len(page) < 3e6
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    convolution, bias = played(page)
    areas = {area["name"]: area for area in convolution["areas"]}
    assert (areas["shFilters"]["rows"], areas["shImages"]["columns"]) == (12, 32)
    first, *_, last = convolution["phases"]
    assert first["ends"].startswith("filter_acts.cuh:")
    written = {one["area"]: one for one in first["touched"] if one["write"]}
    assert len(written[areas["shFilters"]["number"]]["holds"]) == 12 * 16
    assert all(value == 0 for value in first["keeps"]["0"])
    assert any(value for phase in convolution["phases"][1:-1] for value in phase["keeps"]["0"])
    (outputs,) = last["touched"]
    assert outputs["area"] == areas["targets"]["number"]
    assert outputs["write"]
    assert len(outputs["threads"]) == 4 * 16
    assert [outputs["holds"][str(place)] for place in outputs["threads"]["0"]] == convolution["phases"][-2]["keeps"][
        "0"
    ]
    assert page.count("<tr><td") == len(convolution["phases"]) + len(bias["phases"])


def test_a_page_of_large_kernels_says_what_is_left_out(built, monkeypatch, tmp_path):
    cached(monkeypatch, built)
    monkeypatch.setattr(counted, "TRACE", 60_000)
    counted.play(tmp_path / "page.html", "tiny", "conv1", batch=16, passes=["forward"])
    page = (tmp_path / "page.html").read_text()
    assert "phases are left out" in page
    phases = played(page)[0]["phases"]
    assert phases[-1]["number"] > len(phases)


def test_counts_stand_on_the_page_of_the_layer(tmp_path):
    result = CliRunner().invoke(
        cli.cli, ["study", "tiny", "tanh1", "--batch", "32", "--counted", "--html", str(tmp_path / "site")]
    )
    assert result.exit_code == 0, result.output
    text = (tmp_path / "site" / "layer-00-tanh1.html").read_text()
    assert text.count("words of global memory, at most") == 2
    refused = CliRunner().invoke(cli.cli, ["study", "tiny", "--counted", "--html", str(tmp_path / "other")])
    assert (refused.exit_code, (tmp_path / "other").exists()) == (2, False)
    assert "--counted needs a LAYER" in refused.stderr
