"""What the pages of the guide say is true: their code runs, and their tables have what there is."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import numpy as np
import pytest

from alexnet_rosetta.harness import comparison as api
from alexnet_rosetta.harness import machine
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.judging.finding import Finding
from alexnet_rosetta.harness.judging.row import Row
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.quirks import CONVENTIONS
from alexnet_rosetta.harness.running import prepare as run

PAGES = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_that_is_named_is_there(page):
    root = PAGES.parent
    named = re.findall(
        r"`((?:legacy|port|harness|tests|docs|tools)/[\w./*{},-]*)`", (root / page).read_text(encoding="utf-8")
    )
    assert len(named) > 4
    gone = [name for name in named for one in alternatives(name) if not any(root.glob(one))]
    assert gone == []


def alternatives(name):
    """``a/b.{h,cpp}`` as ``a/b.h`` and ``a/b.cpp``."""
    start, brace, rest = name.partition("{")
    inside, _, end = rest.partition("}")
    return [(start + part + end).rstrip("/") for part in inside.split(",")] if brace else [name.rstrip("/")]


def blocks(page, language):
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def keys(page, heading):
    """The names in the first column of the table under a heading."""
    text = (PAGES / page).read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


PAGES_AND_README = [PAGES.parent / "README.md", *sorted(PAGES.rglob("*.md"))]


def commands(path):
    """Every ``rosetta ...`` of a page: lines of its shell blocks, and those that its cells run."""
    text = path.read_text(encoding="utf-8")
    shell = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)).replace("\\\n", " ")
    lines = [*shell.splitlines(), *re.findall(r'^terminal\(\s*"(.*?)"[,)]', text, re.MULTILINE)]
    return [line.partition("|")[0] for line in lines if re.match(r"rosetta\b", line)]


def parsed(command):
    """Have the command line of `rosetta` take a command, without running it."""
    group, words = cli, shlex.split(command, comments=True)[1:]
    while words and isinstance(group, click.Group):
        group, words = group.commands[words[0]], words[1:]
    if not isinstance(group, click.Group):
        group.make_context(group.name, words)


@pytest.mark.parametrize("path", PAGES_AND_README, ids=lambda path: path.stem)
def test_the_command_line_takes_every_command_of_a_page(path):
    for command in commands(path):
        parsed(command)
        net, layer = [*shlex.split(command, comments=True)[2:4], "", ""][:2]
        if (
            re.match(r"rosetta (study|explain|watch) ", command)
            and net in networks.shipped()
            and re.match(r"\w", layer)
        ):
            assert layer in networks.load(net).graph.layers, command


@pytest.mark.parametrize("path", PAGES_AND_README, ids=lambda path: path.stem)
def test_the_command_line_has_every_option_that_a_sentence_names(path):
    """In sentences and tables a command may be short of its arguments."""
    for command in re.findall(r"`(rosetta [^`\n]+)`", path.read_text(encoding="utf-8")):
        try:
            parsed(command.partition("|")[0].rstrip("\\"))
        except click.UsageError as error:
            if "Missing" not in error.format_message() and "requires an argument" not in error.format_message():
                raise


def test_commands_of_pages_are_found_and_wrong_ones_refused():
    assert sum(len(commands(path)) for path in PAGES_AND_README) > 40
    with pytest.raises(click.UsageError):
        parsed("rosetta compare tiny --no-such-option")
    with pytest.raises(KeyError):
        parsed("rosetta contrast tiny")


def test_every_page_has_its_place_and_every_convention_stands_under_what_is_meant():
    text = (PAGES / "index.md").read_text(encoding="utf-8")
    listed = {name for block in re.findall(r"```{toctree}\n(.*?)```", text, re.DOTALL) for name in block.split()}
    own = {path.stem for path in PAGES.glob("*.md")} - {"index"}
    assert own <= listed
    linked = set(re.findall(r"quirks\.md#([\w-]+)", (PAGES / "not-bugs.md").read_text(encoding="utf-8")))
    assert linked - {"defects"} == {quirk.name for quirk in CONVENTIONS}


@pytest.fixture
def own_engine(tmp_path):
    """The engine of the page, installed as the page says; runs `rosetta`."""
    (tmp_path / "my_engine.py").write_text(blocks("own-engine.md", "python")[0])
    project = tomllib.loads(blocks("own-engine.md", "toml")[0])["project"]
    installed = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    installed.mkdir()
    facts = {"Metadata-Version": "2.1", "Name": project["name"], "Version": project["version"]}
    (installed / "METADATA").write_text("".join(f"{key}: {value}\n" for key, value in facts.items()))
    points = [f"[{group}]\n" + "\n".join(f"{name} = {place}" for name, place in named.items())
              for group, named in project["entry-points"].items()]  # fmt: skip
    (installed / "entry_points.txt").write_text("\n".join(points))
    started = "from alexnet_rosetta.harness.cli.commands import main; main()"
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {started}"
    return lambda arguments: subprocess.run(
        [sys.executable, "-c", code, *shlex.split(arguments)], cwd=tmp_path, capture_output=True, text=True
    )


def test_the_engine_of_the_page_is_found_and_agrees(own_engine):
    assert re.search(r"✓ mine +NumPy .*forward only", own_engine("doctor").stdout)
    (command,) = re.findall(r"rosetta (compare .*)", blocks("own-engine.md", "sh")[0])
    ended = own_engine(f"{command} --threads 1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    sentence = ended.stdout.splitlines()[-1]
    assert re.match(r"(\d+) of \1 tensors agree", sentence)


def test_what_the_engine_of_the_page_lacks_is_not_compared_and_nothing_fails(own_engine):
    ended = own_engine("compare cifar --engines mine --batch 8 --threads 1")
    assert ended.returncode == 3
    assert "this engine has no backward pass" in ended.stdout
    assert "this engine has no update" in ended.stdout
    sentence = ended.stdout.splitlines()[-1]
    assert "not compared" in sentence
    assert "failed" not in sentence


@pytest.mark.parametrize("net", ["zoo --batch 4", "cifar --batch 4 --input exact"])
def test_what_the_engine_of_the_page_has_is_right_on_every_rung_of_its_ladder(own_engine, net):
    """Kinds of neurons and pools that it lacks are unsupported, and no other kind in their place; ties are counted."""
    ended = own_engine(f"compare {net} --engines mine --passes forward --threads 1")
    assert ended.returncode == (3 if "zoo" in net else 0), ended.stdout + ended.stderr
    assert not re.findall(r"^!.*", ended.stdout, re.MULTILINE)


def test_a_mistake_in_the_engine_of_the_page_is_found_where_it_is(own_engine, tmp_path):
    file = tmp_path / "my_engine.py"
    assert file.read_text().count('+ layer["size"]') == 1
    file.write_text(file.read_text().replace('+ layer["size"]', '+ layer["channels"]'))
    ended = own_engine("compare cifar --engines mine --passes forward --batch 8 --threads 1")
    assert ended.returncode == 1
    assert "the first to differ is mine rnorm1 forward acts" in ended.stdout


def test_a_mistake_hides_where_the_page_says_so_and_shows_where_it_says_so(own_engine, tmp_path):
    file = tmp_path / "my_engine.py"
    file.write_text(file.read_text().replace('+ layer["size"]', '+ layer["size"] - 1'))
    assert own_engine("compare cifar --engines mine --passes forward --batch 8 --threads 1").returncode == 0
    ended = own_engine("compare tiny --engines mine --passes forward --batch 8 --threads 1")
    assert (ended.returncode, "first to differ is mine rnorm1" in ended.stdout) == (1, True)
    subprocess.run([sys.executable, "-c", blocks("own-engine.md", "python")[1]], cwd=tmp_path, check=True)
    (tmp_path / "model.toml").write_text(blocks("own-engine.md", "toml")[1])
    assert "likely cause: size 4 in place of 5" in own_engine("judge mine.npz --model model.toml").stdout


def test_the_judge_of_the_page():
    found, printed = {}, []
    found["print"] = lambda *values: printed.append(values)
    for block in blocks("own-arrays.md", "python"):
        exec(compile(block, "own-arrays.md", "exec"), found)
    assert [values[0] for values in printed[:3]] == ["equivalent", "different", "different"]
    assert printed[3][0].startswith("2 of 2 tensors agree")
    assert printed[1][1:] == (1, found["wrong"].worst)
    assert found["wrong"].worst.index == (17, 3)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("record") / "run"
    api.compare("cifar", engines=["port"], batch=4, threads=1, keep=True, mode="propagated", out=folder)
    return folder


def test_every_field_of_the_record_is_on_its_page(record):
    about = json.loads((record / "record.json").read_text(encoding="utf-8"))
    row = about["rows"][0]
    (finding,) = row["findings"].values()
    assert sorted(keys("record.md", "record.json")) == sorted(about)
    assert keys("record.md", "network") == list(about["network"])
    assert sorted(keys("record.md", "environment")) == sorted(about["environment"])
    assert sorted(keys("record.md", "rows")) == sorted(row) == sorted(x.name for x in fields(Row))
    assert sorted(keys("record.md", "findings")) == sorted(finding) == sorted(x.name for x in fields(Finding))
    text = (PAGES / "record.md").read_text(encoding="utf-8")
    inner = [about["inputs"], about["network"]["layers"][0], about["network"]["files"][0], finding["worst"]]
    assert [name for part in inner for name in part if f"`{name}`" not in text] == []
    assert set(about["options"]) == {x.name for x in fields(run.Options)}
    assert set(about["environment"]) == set(machine.environment(1))


def test_every_column_of_the_results_is_on_its_page(record):
    columns = (record / "results.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert sorted(keys("record.md", "results.csv")) == sorted(columns)


def test_every_file_of_the_record_is_on_its_page(record):
    named = {name.strip("/") for name in keys("record.md", "The record")}
    assert {path.name for path in record.iterdir()} <= named
    arrays = set(np.load(record / "arrays.npz").files)
    kinds = {re.sub(r"\..*", "", name) for name in arrays}
    text = (PAGES / "record.md").read_text(encoding="utf-8")
    assert all(f"`{kind}" in text for kind in kinds)


def test_the_reader_of_kept_tensors_on_the_page(record, monkeypatch, capsys):
    (record.parent / "runs").mkdir()
    (record.parent / "runs" / "kept").symlink_to(record)
    monkeypatch.chdir(record.parent)
    (code,) = blocks("record.md", "python")
    exec(compile(code, "record.md", "exec"), {})
    assert sorted({line.split()[0] for line in capsys.readouterr().out.splitlines()}) == ["port", "reference"]
    entry = json.loads((record / "tensors" / "index.jsonl").read_text().splitlines()[0])
    assert [name for name in entry if f"`{name}`" not in (PAGES / "record.md").read_text(encoding="utf-8")] == []
