"""The class: every chapter has a right answer, wrong ones, hints, and a variant for each of 25 students."""

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness import comparison, engines, lab
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.lab import variant
from alexnet_rosetta.harness.lab.chapter import STATE

STUDENTS = range(1, 26)


def rosetta(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def said(number, answer, folder):
    ended = rosetta("lab", "answer", number, " ".join(map(str, answer)), "--out", folder)
    return ended.exit_code, ended.output


def wrong_answers(found):
    """Three of them: each part another one, or the last part another one thrice."""
    for shift in (1, 2, 3):
        parts = list(found.answer)
        at = shift % len(parts)
        known = list(found.parts.values())[at]
        parts[at] = known[(known.index(parts[at]) + shift) % len(known)] if known else parts[at] + shift
        yield tuple(parts)


@pytest.mark.parametrize("number", lab.CHAPTERS)
def test_the_right_answer_is_accepted_and_three_others_are_not(number, tmp_path):
    chapter = lab.start(number, 5, tmp_path / "lab")
    others = [one for one in dict.fromkeys(wrong_answers(chapter.variant)) if one != chapter.variant.answer]
    assert len(others) == 3
    for other in others:
        code, output = said(number, other, tmp_path / "lab")
        assert code == 1
        assert "Hint: " in output
        assert "Right," not in output
    code, output = said(number, chapter.variant.answer, tmp_path / "lab")
    assert code == 0
    assert "Right, at attempt 4" in output
    assert len(json.loads((tmp_path / "lab" / STATE).read_text())["answers"]) == 4


@pytest.mark.parametrize("number", lab.CHAPTERS)
def test_25_students_get_25_variants(number):
    found = [lab.load(number, seed).variant for seed in STUDENTS]
    told = {(one.net, str(one.values), one.answer, str([(k, f.name) for k, f in one.faults.items()])) for one in found}
    assert len(told) == 25
    assert lab.load(number, 7).variant.answer == found[6].answer


@pytest.mark.parametrize("number", lab.CHAPTERS)
def test_every_text_fits_every_variant(number):
    for seed in STUDENTS:
        chapter = lab.load(number, seed)
        assert set(chapter.variant.mistakes) == set(chapter.texts["mistakes"])
        texts = [chapter.texts["question"], chapter.texts["after"], *chapter.texts["hints"]]
        for text in [*texts, *chapter.texts["mistakes"].values()]:
            assert "{" not in chapter.filled(text)
        assert len(chapter.texts["hints"]) >= 3
        assert 15 <= chapter.texts["minutes"] <= 20
        for _, _, python in chapter.steps:
            compile(python, "cell", "exec")


def test_hints_know_the_usual_mistakes_and_say_what_is_right_so_far(tmp_path):
    chapter = lab.start(1, 3, tmp_path / "lab")
    code, output = said(1, chapter.variant.mistakes["floor"], tmp_path / "lab")
    assert (code, "You rounded down" in output) == (1, True)
    modules, beyond, _ = chapter.variant.answer
    _, output = said(1, (modules, beyond, 1), tmp_path / "lab")
    assert "Right so far: modules per side, columns beyond." in output
    assert chapter.texts["hints"][1].split("{")[0] in output


def test_the_crossing_is_what_the_graph_says():
    for seed in STUDENTS:
        found = lab.load(3, seed).variant
        layers = variant.loaded(found.net).graph.layers
        card = {name: int(name in ("conv1b", "conv2b", "conv3b", "pool1b", "pool2b", "pool3b")) for name in layers}
        ways = {
            (source, card[name])
            for name, layer in layers.items()
            for source in layer.inputs
            if layers[source].type != "data" and card[source] != card[name]
        }
        assert found.answer == (sum(layers[source].outputs for source, _ in ways) * found.values["batch"],)


def test_windows_by_hand():
    for seed in STUDENTS:
        found = lab.load(1, seed).variant
        size, span, stride, padding = (found.values[name] for name in ("size", "span", "stride", "padding"))
        starts = [-padding]
        while starts[-1] + span < size + padding:
            starts.append(starts[-1] + stride)
        pools = 1
        while 2 * (pools - 1) + 3 < len(starts):
            pools += 1
        assert found.answer == (len(starts), starts[-1] + span - size, pools)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_hidden_fault_shows_where_the_key_says(seed, tmp_path, monkeypatch):
    chapter = lab.start(4, seed, tmp_path)
    monkeypatch.chdir(tmp_path)
    found = comparison.compare("net.cfg", engines=["mystery.py", "port"], input="random", batch=6, threads=1)
    failed = found.rows.query("engine == 'mystery' and verdict == 'different'")
    layer, step, count = chapter.variant.answer
    assert set(failed.layer) == {layer}
    assert failed["pass"].iloc[0] == step
    assert len(failed) == count
    assert set(found.rows.query("engine == 'port'").verdict) <= {"identical", "equivalent"}


@pytest.mark.parametrize("seed", [1, 2])
def test_of_five_engines_one_is_wrong_and_all_differ(seed, tmp_path, monkeypatch):
    chapter = lab.start(6, seed, tmp_path)
    monkeypatch.chdir(tmp_path)
    names = [f"{letter}.py" for letter in variant.LETTERS]
    options = {"input": "random", "batch": 6, "threads": 1, "passes": ("forward",)}
    found = comparison.compare("net.cfg", engines=names, **options)
    letter, layer, _ = chapter.variant.answer
    failed = found.rows.query("verdict == 'different'")
    assert list(zip(failed.engine, failed.layer, strict=True)) == [(letter, layer)]
    (row,) = [row for row in found.table if row.layer == layer and row.tensor == "acts"]
    assert all(row.bitwise.values())


@pytest.mark.slow
@pytest.mark.parametrize("number", lab.CHAPTERS)
def test_the_notebook_s_cells_run(number, tmp_path):
    """Its commands in a shell and its Python, one after the other, as a student would have them run."""
    lab.start(number, 2, tmp_path)
    cells = json.loads((tmp_path / "notebook.ipynb").read_text())["cells"]
    codes = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    assert "lab answer" in codes[-1]
    inside = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    python = []
    for code in codes[:-1]:
        if code.startswith("!"):
            ended = subprocess.run(["bash", "-c", code.replace("!", "")], cwd=tmp_path, env=inside, capture_output=True)
            assert ended.returncode in (0, 1), ended.stderr.decode()
        else:
            python.append(code)
    if python:
        subprocess.run([sys.executable, "-c", "\n".join(python)], cwd=tmp_path, check=True)
        assert len(pandas.read_csv(tmp_path / "run" / "results.csv"))


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)


def test_a_sheet_has_room_for_every_part_and_escapes(tmp_path):
    chapter = lab.start(5, 4, tmp_path)
    text = (tmp_path / "sheet.html").read_text()
    assert chapter.texts["title"] in text
    assert all(f"<b>{part}</b>" in text for part in chapter.variant.parts)
    assert "&#34;" in text or "&quot;" in text
    assert not {"script", "link", "img"} & set(Tags(text).found)
    assert Tags(text).found.count("li") == len(chapter.texts["steps"])


def test_bad_input(tmp_path):
    folder = tmp_path / "lab"
    lab.start(1, 0, folder)
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    for arguments, words in {
        ("start", 7, "--out", tmp_path / "x"): "the class has no chapter 7",
        ("start", 1, "--out", folder): "is there already",
        ("answer", 1, "8 5", "--out", folder): "too few or too many parts (expected modules per side, ",
        ("answer", 1, "8 5 many", "--out", folder): "'many' is no number",
        ("answer", 1, f"8 5 {'9' * 5000}", "--out", folder): "9' is no number",
        ("answer", 2, "8 5", "--out", folder): "is of chapter 1",
        ("answer", 1, "8 5 4", "--out", tmp_path): "no folder of the class",
    }.items():
        ended = rosetta("lab", *arguments)
        assert (ended.exit_code, words in ended.output) == (2, True), ended.output
        assert len(ended.output.splitlines()) == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == kept
    assert not (tmp_path / "x").exists()
    lab.start(4, 0, tmp_path / "four")
    assert "no 'nothing'" in rosetta("lab", "answer", 4, "nothing forward 2", "--out", tmp_path / "four").output


def test_the_key_has_a_line_for_each_student_and_chapter():
    lines = rosetta("lab", "key", "--seed", 1, "--students", 3).output.splitlines()
    assert len(lines) == 3 * len(lab.CHAPTERS)
    assert lines[0].startswith("seed 1, chapter 1: modules per side ")
    assert len(rosetta("lab", "key", 4, "--seed", 1, "--students", 25).output.splitlines()) == 25


def test_an_engine_in_a_file(tmp_path):
    path = tmp_path / "mine.py"
    with pytest.raises(BadInput, match=r"no file .*mine\.py"):
        engines.find(str(path))
    path.write_text("from alexnet_rosetta.harness.engines.port import Port\n\nclass Mine(Port):\n    name = 'mine'\n")
    assert engines.find(str(path)).name == "mine"
    twice = tmp_path / "twice.py"
    twice.write_text(path.read_text() + "\nclass Second(Port):\n    pass\n")
    with pytest.raises(BadInput, match="has 2 engines"):
        engines.find(str(twice))
    with pytest.raises(BadInput, match="the same name"):
        engines.available([str(path), str(path)])
    twice.write_text("1 / 0\n")
    assert "ZeroDivisionError" in engines.probe(str(twice))[1]
