"""Packages: what is in one, that every change of one is noticed, and that the run can be done again."""

import json
import os
import random
import shutil
from hashlib import sha256

import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness import compare
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network.load import SHIPPED
from alexnet_rosetta.harness.publishing import pack as packs
from alexnet_rosetta.harness.publishing import verify


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The record of a comparison of a layer file of somebody's own."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("tiny.cfg", "tiny-params.cfg"):
        shutil.copy(SHIPPED / name, folder / name)
    compare(str(folder / "tiny.cfg"), batch=2, threads=1, out=folder / "record")
    return folder / "record"


@pytest.fixture(scope="module")
def published(run):
    packs.publish(run, run.parent / "pack", authors=("Ada <b>L.</b>",))
    return run.parent / "pack"


@pytest.fixture
def pack(published, tmp_path):
    return shutil.copytree(published, tmp_path / "pack")


def rosetta(*words):
    found = CliRunner().invoke(cli, [str(word) for word in words])
    return found.exit_code, found.output


def sealed_anew(pack):
    (pack / packs.MANIFEST).write_bytes(packs.manifest_of(pack))


def test_somebody_else_verifies(run, pack):
    """The layer file that the run read is gone, and the package is elsewhere."""
    shutil.move(run.parent / "tiny.cfg", run.parent / "gone.cfg")
    try:
        seal = sha256((pack / packs.MANIFEST).read_bytes()).hexdigest()
        code, output = rosetta("verify", pack, "--seal", seal, "--seed", 1)
    finally:
        shutil.move(run.parent / "gone.cfg", run.parent / "tiny.cfg")
    assert code == 0, output
    tensors = output.count("same figures")
    verdicts = f"{tensors} of {tensors} verdicts are those of the record, {tensors} in every figure."
    assert output.splitlines()[-1] == f"3 of 20 layers were run again: {verdicts}"
    assert tensors > 3


def test_every_one_of_100_changes_is_noticed(pack):
    """Half of them change a byte of some file, half a value somewhere in record or metadata."""
    chance = random.Random(7)
    paths = sorted(path for path in pack.rglob("*") if path.is_file())
    assert verify.sealed(pack).complaints == []
    for k in range(100):
        path = chance.choice(paths if k % 2 else [pack / "record" / "record.json", pack / packs.METADATA])
        before = path.read_bytes()
        path.write_bytes(another_byte(before, chance) if k % 2 else another_field(before, chance))
        found = verify.sealed(pack).complaints
        assert found == [f"{path.relative_to(pack)} changed"] or path.name == packs.MANIFEST
        assert found
        path.write_bytes(before)
    assert verify.sealed(pack).complaints == []


def another_byte(data, chance):
    k = chance.randrange(len(data))
    return data[:k] + bytes([data[k] ^ (1 << chance.randrange(8))]) + data[k + 1 :]


def another_field(data, chance):
    whole = json.loads(data)
    places = [(holder, key) for holder, key in walk(whole) if not isinstance(holder[key], dict | list)]
    holder, key = chance.choice(places)
    holder[key] = f"{holder[key]}1" if isinstance(holder[key], str) else not holder[key]
    return json.dumps(whole, indent=1).encode()


def walk(value):
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from walk(value[key])


@pytest.mark.parametrize("change", ["added", "removed", "link", "seal"])
def test_other_changes_are_noticed(pack, change):
    if change == "added":
        (pack / "record" / "more.txt").write_text("")
    elif change == "removed":
        (pack / "article.md").unlink()
    elif change == "link":
        os.symlink(pack / "article.md", pack / "other.md")
    code, output = rosetta("verify", pack, *(["--seal", "0" * 64] if change == "seal" else []))
    assert code == (2 if change == "link" else 1)
    told = {"added": "more.txt was added", "removed": "article.md is missing", "link": "neither a file nor a folder"}
    assert told.get(change, "the seal is") in output


def test_a_record_that_was_made_up_is_noticed_by_running_again(pack):
    """Whoever changes a verdict can make the hashes anew; the layers do not."""
    path = pack / "record" / "record.json"
    whole = json.loads(path.read_text())
    for row in whole["rows"]:
        row["findings"]["port"]["status"] = "different"
    path.write_text(json.dumps(whole))
    sealed_anew(pack)
    code, output = rosetta("verify", pack, "--layers", 1, "--seed", 3)
    assert code == 1
    assert "recorded different, other figures" in output


def test_other_inputs_are_noticed(pack):
    path = pack / "record" / "record.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    sealed_anew(pack)
    code, output = rosetta("verify", pack)
    assert (code, "not those of the record" in output) == (1, True)


def test_an_engine_that_is_missing_is_said(pack, monkeypatch):
    probe = verify.probe
    monkeypatch.setattr(verify, "probe", lambda name: (None, "no compiler") if name == "port" else probe(name))
    code, output = rosetta("verify", pack, "--layers", 1)
    assert code == 3
    assert "- port cannot run here: no compiler" in output
    assert " port " not in output.partition("again")[2]


def test_the_crate_names_every_file_and_the_article_is_filled(published):
    graph = {one["@id"]: one for one in json.loads((published / packs.METADATA).read_text())["@graph"]}
    files = {path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file()}
    described = {part["@id"] for part in graph["./"]["hasPart"]}
    assert described == files - {packs.MANIFEST, packs.METADATA}
    for name in described:
        assert graph[name]["sha256"] == sha256((published / name).read_bytes()).hexdigest()
    assert graph["#run"]["name"].startswith("rosetta compare ")
    assert {one["@id"] for one in graph["#run"]["object"]} == {packs.DEFINITION, packs.PARAMETERS}
    article = (published / "article.md").read_text()
    assert article.startswith("# legacy-cpu and port on tiny, layer by layer\n\nAda &lt;b&gt;L.&lt;/b&gt;, 20")
    assert "tensors agree" in article
    assert "{{" not in article


def test_an_input_and_weights_of_files_go_along(run, tmp_path):
    import numpy as np

    from alexnet_rosetta.harness.network.load import load
    from alexnet_rosetta.harness.values import inputs

    net = str(run.parent / "tiny.cfg")
    np.savez(tmp_path / "in.npz", **inputs.make(load(net), "random", 2, 5).data)
    compare(net, batch=2, threads=1, engines="port", input=str(tmp_path / "in.npz"), out=tmp_path / "record")
    packs.publish(tmp_path / "record", tmp_path / "pack")
    (tmp_path / "in.npz").unlink()
    assert (tmp_path / "pack" / "values" / "input.npz").is_file()
    code, output = rosetta("verify", tmp_path / "pack", "--layers", 1)
    assert code == 0, output
    with pytest.raises(BadInput, match="is not there"):
        packs.publish(tmp_path / "record", tmp_path / "again")


@pytest.mark.parametrize("wrong", ["exists", "changed", "interrupted", "engine", "no record", "no package"])
def test_bad_input_is_one_line_and_leaves_nothing(run, tmp_path, wrong):
    record, out, words = shutil.copytree(run, tmp_path / "record"), tmp_path / "pack", ["publish"]
    whole = json.loads((record / "record.json").read_text())
    if wrong == "exists":
        out.mkdir()
    elif wrong == "changed":
        whole["network"]["files"][0]["sha256"] = "0" * 64
    elif wrong == "interrupted":
        whole["status"] = "interrupted"
    elif wrong == "engine":
        whole["options"]["engines"] = ["mine.py"]
    elif wrong == "no record":
        shutil.rmtree(record)
    (record / "record.json").write_text(json.dumps(whole)) if record.exists() else None
    before = sorted(tmp_path.rglob("*"))
    if wrong == "no package":
        code, output = rosetta("verify", record)
    else:
        code, output = rosetta(*words, record, "--out", out)
    assert code == 2
    assert len(output.splitlines()) == 1, output
    assert output.startswith("rosetta: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("options", [{}, {"engines": 5}, None])
def test_a_record_that_somebody_bent_is_refused_in_one_line(run, tmp_path, options):
    bent = shutil.copytree(run, tmp_path / "bent")
    about = json.loads((bent / "record.json").read_text())
    (bent / "record.json").write_text(json.dumps(about | {"options": options}))
    code, output = rosetta("publish", bent, "--out", tmp_path / "pack")
    assert (code, output.count("\n")) == (2, 1)
    assert "internal error" not in output
    assert not (tmp_path / "pack").exists()


def test_nothing_in_a_package_is_run(pack, monkeypatch):
    """Neither a program that the record names as an engine, nor one that it found by a path."""
    (pack / "network" / "mine.py").write_text("raise SystemExit('run')")
    about = json.loads((pack / "record" / "record.json").read_text())
    about["options"]["engines"] = ["port", f"{pack}/network/mine.py"]
    (pack / "record" / "record.json").write_text(json.dumps(about))
    sealed_anew(pack)
    code, output = rosetta("verify", pack)
    assert (code, "names a program as an engine, which is not run" in output) == (2, True), output


@pytest.mark.parametrize("value", [3, None, [3], {"a": 1}, "../../etc/passwd"])
@pytest.mark.parametrize("name", ["engines", "input", "weights", "batch"])
def test_a_package_whose_options_somebody_bent_is_refused_in_one_line(pack, name, value):
    if (name, value) == ("weights", None):
        value = 1.5
    about = json.loads((pack / "record" / "record.json").read_text())
    about["options"][name] = value
    (pack / "record" / "record.json").write_text(json.dumps(about))
    sealed_anew(pack)
    code, output = rosetta("verify", pack, "--layers", 1)
    assert code in (1, 2), output
    assert "internal error" not in output


def test_where_no_engine_runs_nothing_is_confirmed(pack, monkeypatch):
    monkeypatch.setattr(verify, "probe", lambda name: (None, "not built here"))
    code, output = rosetta("verify", pack)
    assert code == 3
    silent = [f"- {name} cannot run here: not built here" for name in ("legacy-cpu", "port")]
    assert output.splitlines()[-3:] == [*silent, "No layer was run again."]


@pytest.mark.parametrize("licence", ["MIT License", "", "../x", "MIT\n", "<b>"])
def test_a_licence_is_an_identifier(run, tmp_path, licence):
    code, output = rosetta("publish", run, "--out", tmp_path / "new", "--licence", licence)
    assert (code, "no SPDX identifier" in output) == (2, True)
    assert not (tmp_path / "new").exists()
