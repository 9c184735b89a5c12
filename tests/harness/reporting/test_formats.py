"""The forms of a report that others read, and the command that every row carries."""

import csv
import io
import json
import re
import shlex
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import jsonschema
import pytest
from click.testing import CliRunner
from example_rows import some_rows
from small_nets import Faulty, NoPooling, write_net

from alexnet_rosetta.harness import comparison as api
from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.judging.finding import FAIL_ON, SEVERITY, Finding
from alexnet_rosetta.harness.judging.row import Row, run_code
from alexnet_rosetta.harness.reporting import formats, record
from alexnet_rosetta.harness.reporting.report import FORMATS, rendered, write
from alexnet_rosetta.harness.running.prepare import Options

SCHEMA = Path(__file__).parents[3] / "docs" / "record.schema.json"
HOSTILE = "a|b`</td>]]>\n\x1b[1m@all #1 ![x](y) =cmd\udcff"


def quiet(monkeypatch):
    """Records without their HTML page, which takes most of the time of a small run."""
    monkeypatch.setattr(api, "report", SimpleNamespace(write=lambda folder: None))


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A record with quirks, sums over consumers and shared weights."""
    with pytest.MonkeyPatch.context() as patch:
        quiet(patch)
        out = tmp_path_factory.mktemp("zoo") / "run"
        return api.compare("zoo", batch=8, threads=1, input="random", out=out).record


def cases(data):
    root = ElementTree.fromstring(data)
    return root, root.findall("testsuite/testcase")


def kind(case):
    return next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")


def validator():
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_schema_describes_records_and_refuses_others(zoo, tmp_path, monkeypatch):
    quiet(monkeypatch)
    fed = api.compare("tiny", batch=4, threads=1, mode="propagated", out=tmp_path / "fed").record
    text = rendered(fed, "json")
    for data in (text, (zoo / "record.json").read_bytes()):
        validator().validate(json.loads(data, parse_constant=pytest.fail))
    whole = json.loads(text)
    assert whole == json.loads((fed / "record.json").read_bytes())
    for change in (
        {"version": 2},
        {"more": 1},
        {"rows": [whole["rows"][0] | {"mode": "x"}]},
        {"rows": [{}]},
        {"engines": []},
    ):
        assert not validator().is_valid(whole | change)
    del whole["rows"][0]["findings"]["port"]["share"]
    assert not validator().is_valid(whole)


def test_the_schema_knows_every_verdict_and_field():
    definitions = json.loads(SCHEMA.read_text(encoding="utf-8"))["$defs"]
    assert definitions["verdict"]["enum"] == list(SEVERITY)
    example = asdict(some_rows()[0])
    assert list(definitions["row"]["properties"]) == list(example)
    assert set(definitions["finding"]["properties"]) == set(example["findings"]["port"])


def test_junit_fails_where_the_exit_code_says_so(zoo):
    rows = record.read(zoo).rows
    for fail_on in ((), ("unexplained",), ("different",), ("none",), ("failed", "unsupported")):
        root, found = cases(formats.junit("zoo", rows, fail_on=fail_on))
        kinds = [kind(case) for case in found]
        assert len(kinds) == sum(len(row.findings) for row in rows) == int(root.get("tests"))
        assert ("failure" in kinds) == (run_code(rows, fail_on=fail_on) == 1)
        assert {name: int(root.get(name)) for name in ("failures", "errors", "skipped")} == {
            "failures": kinds.count("failure"), "errors": kinds.count("error"), "skipped": kinds.count("skipped")
        }  # fmt: skip
        suites = root.findall("testsuite")
        assert sum(int(suite.get("tests")) for suite in suites) == len(found)
        assert len({(case.get("classname"), case.get("name")) for case in found}) == len(found)
    assert kinds.count("skipped") == 11  # what quirks explain, or is inherited, is no pass


def test_what_was_not_compared_is_never_a_pass():
    rows = [Row("conv1", "conv", "forward", "acts", (2, 3), {"a": Finding(status)}) for status in SEVERITY]
    _, found = cases(formats.junit("net", rows))
    assert [kind(case) for case in found] == ["passed"] * 2 + ["error"] * 3 + ["failure"] * 6
    _, found = cases(formats.junit("net", rows, allow=("unsupported",), fail_on=("none",)))
    assert [kind(case) for case in found] == ["passed"] * 2 + ["skipped"] * 9


@pytest.mark.parametrize("status", SEVERITY[2:])
def test_fail_on_decides_which_verdicts_count(status):
    good = Row("conv1", "conv", "forward", "acts", (2, 3), {"a": Finding("identical")})
    row = Row("conv2", "conv", "forward", "acts", (2, 3), {"a": Finding(status)})
    code = 1 if status in SEVERITY[5:] else 3
    assert run_code([good, row]) == run_code([good, row], fail_on=(status,)) == code
    assert run_code([good, row], fail_on=[other for other in SEVERITY[2:] if other != status]) == 0
    assert run_code([good, row], fail_on=("unexplained",)) == (1 if code == 1 else 0)
    assert run_code([row], fail_on=("none",)) == 3  # nothing agrees
    row.quirk = {"a": ("max-ties-full",)}
    assert run_code([good, row], fail_on=("unexplained",)) == 0


def test_markdown_names_what_differs_with_its_commands(zoo):
    found = record.read(zoo)
    text = rendered(zoo, "markdown").decode()
    assert text.startswith("### ❌ zoo: legacy-cpu and port\n")
    against = {row.command for row in found.rows if row.weighs("legacy-cpu")}
    block = re.search(r"```sh\n(.*?)\n```", text, re.DOTALL)[1].splitlines()
    assert set(block) == against
    assert "explained by quirk" not in text
    assert "lab-exponent" in text.split("<details>")[0]
    excused = rendered(zoo, "markdown", ("unexplained",)).decode()
    assert excused.startswith("### ☑️ zoo")
    assert "Exit code 0 with --fail-on unexplained: 10 different." in excused


def test_a_layer_of_which_a_tensor_was_not_compared_is_shown_so():
    good = Row("fc1", "fc", "backward", "acts", (2, 3), {"a": Finding("equivalent", 6, 0.5)})
    other = Row("fc1", "fc", "backward", "biases_grad", (2, 3), {"a": Finding("unsupported", reason="not here")})
    for rows in ([good, other], [other, good]):
        text = formats.markdown("net", rows, allow=("unsupported",)).decode()
        assert "| - | fc1 | backward | unsupported |  | 2 |" in text


def test_markdown_of_a_deep_net_fits_a_comment():
    rows = [Row(f"layer{k}", "conv", "forward", "acts", (2, 3), {"a": Finding("equivalent")}) for k in range(5000)]
    text = formats.markdown("deep", rows).decode()
    assert len(text) < 65_536
    assert re.search(r"\n\d+ more did not fit here\.", text)


def test_names_are_escaped_in_every_form():
    rows = [Row(HOSTILE, "conv", "forward", HOSTILE, (2, 3), {HOSTILE: Finding("failed", reason=HOSTILE)})]
    rows[0].command = shlex.join(["rosetta", "compare", HOSTILE])
    root, (case,) = cases(formats.junit(HOSTILE, rows, facts={HOSTILE: HOSTILE}))
    assert "\\x1b" in case.get("name")
    assert "\x1b" not in ElementTree.tostring(root, encoding="unicode")
    text = formats.markdown(HOSTILE, rows, facts={HOSTILE: HOSTILE}).decode()
    outside = re.sub(r"`{3,}sh.*?`{3,}", "", text, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)\|b|</td>|@all|(?<!&)#1|(?<!\\)`", outside)
    assert "\x1b" not in text
    (line,) = csv.DictReader(io.StringIO(formats.as_csv(rows).decode()))
    assert line["tensor"].startswith("a|b")


def test_every_form_is_written_to_its_place(zoo, tmp_path):
    for name in FORMATS.keys() - {"parquet", "html"}:  # pages are rendered by other tests
        assert write(zoo, tmp_path / name, name).stat().st_size > 1000
    lines = list(csv.DictReader((tmp_path / "csv").read_text().splitlines()))
    assert len(lines) == 416
    assert all(line["command"].startswith("rosetta compare zoo ") for line in lines)


def test_parquet_holds_the_lines_or_says_what_it_needs(zoo, tmp_path):
    try:
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(BadInput, match="needs pyarrow"):
            write(zoo, tmp_path / "rows", "parquet")
        assert list(tmp_path.iterdir()) == []
    else:
        assert parquet.read_table(write(zoo, tmp_path / "rows", "parquet")).num_rows == 416


def test_the_command_report(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    result = run(cli.cli, ["report", str(zoo), "--format", "junit", "--out", "-"])
    assert result.exit_code == 0, result.output
    assert cases(result.stdout_bytes)[0].get("tests") == "416"
    for words, code in ((["different"], 1), (["unexplained", "failed"], 0), (["none"], 0)):
        more = ["--format", "markdown", "--out", "page.md", "--fail-on", ",".join(words)]
        assert run(cli.cli, ["report", str(zoo), *more]).exit_code == code
    Path("page.md").unlink()
    for more in (["--fail-on", "wrong"], ["--format", "markdown", "--out", "nowhere/page.md"]):
        result = run(cli.cli, ["report", str(zoo), *more])
        assert result.exit_code == 2
        assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_banner_of_an_excused_run_is_neither_green_nor_amber(tmp_path, monkeypatch):
    real = engines.find
    monkeypatch.setattr(engines, "find", lambda name: Faulty(NoPooling) if name == "partly" else real(name))
    found = api.compare(write_net(tmp_path), engines=["partly"], batch=4, allow="unsupported", out=tmp_path / "run")
    assert found.exit_code == 0
    page = (found.record / "report.html").read_text(encoding="utf-8")
    assert '<p class="sentence allowed">' in page
    assert "Exit code 0 with --allow unsupported: " in page


def test_unknown_layers_and_verdicts_are_refused():
    with pytest.raises(BadInput, match="did you mean conv2a"):
        api.compare("tiny", engines="reference", batch=2, layers="conv2")
    with pytest.raises(BadInput, match="no verdict 'equal'"):
        Options("tiny", fail_on=("equal",))
    assert set(FAIL_ON) == {*SEVERITY[2:], "unexplained", "none"}


KINDS = {
    "a sum over consumers": ("zoo --input random", lambda row: row.tensor == "acts_grad"),
    "a difference that a quirk explains": ("zoo --input random", lambda row: row.quirk),
    "shared weights": ("zoo --input random", lambda row: row.layer == "conv3" and row.tensor == "weights_grad[0]"),
    "a cost": ("zoo --input random", lambda row: row.tensor == "cost"),
    "an update": ("zoo --input random", lambda row: row.step == "update" and "inc" in row.tensor),
    "own feed": ("tiny --mode propagated", lambda row: row.mode == "propagated" and row.step == "backward"),
    "the exact tier": ("tiny --input exact", lambda row: row.layer == "fc10" and row.exact),
    "views": ("tiny --pass-type views", lambda row: row.step == "view 2" and row.type == "conv"),
    "devices": ("zoo --quantise --input random", lambda row: row.tensor == "acts_grad" and len(row.findings) == 2),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_row_is_made_again_by_its_command(name, tmp_path, monkeypatch, zoo):
    """All rows of such runs were tried once; here is one of each kind."""
    quiet(monkeypatch)
    monkeypatch.chdir(tmp_path)
    run, wanted = KINDS[name]
    if run == "zoo --input random":
        rows = record.read(zoo).rows
    else:
        words = ["compare", *run.split(), "--batch", "4", "--threads", "1", "--out", "whole"]
        assert CliRunner().invoke(cli.cli, words).exit_code in (0, 1)
        rows = record.read("whole").rows
    row = next(filter(wanted, rows))
    program, *words = shlex.split(row.command)
    assert program == "rosetta"
    assert words[words.index("--layers") + 1] == row.layer
    CliRunner().invoke(cli.cli, [*words, "--out", "again"])
    again = record.read("again").rows
    assert {one.layer for one in again} == {row.layer}
    (same,) = [one for one in again if (one.mode, one.step, one.tensor) == (row.mode, row.step, row.tensor)]
    timeless = [asdict(one) | {"seconds": {}, "command": ""} for one in (row, same)]
    assert repr(timeless[0]) == repr(timeless[1])
