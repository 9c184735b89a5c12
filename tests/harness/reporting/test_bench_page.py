"""The page of a bench, made of what the bench stored."""

import json
import re

import pytest
from click.testing import CliRunner
from whole_page import assert_whole

from alexnet_rosetta.harness.bench import measure, tables
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.engines.peaks import Peak
from alexnet_rosetta.harness.errors import RecordError
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.reporting.report import bench
from alexnet_rosetta.harness.running.prepare import Options

ENGINES = {"old": 4.0, "new": 1.0, "other": 2.0}
"""How slow, in units of what the roof allows."""
PEAK = Peak("a machine", 1e12, 1e11)


@pytest.fixture
def about():
    """A stored bench of AlexNet with times that follow from the work of each step."""
    network = networks.load("alexnet")
    steps = [(layer.name, "forward") for layer in network.layers if layer.type != "data"]
    steps += [(layer.name, step) for step in ("backward", "update") for layer in network.graph.backward_order()
              if step == "backward" or "weightShapes" in layer.keys]  # fmt: skip
    options = Options("alexnet", engines=tuple(ENGINES), batch=128, threads=2)
    found = measure.Measurement(options, network, 7, {}, {}, dict.fromkeys(ENGINES, PEAK))
    found.timings.update({(*key, name): measure.Timing(1.0, 0.0) for key in steps for name in ENGINES})
    for layer, step, work in tables.counted(found):
        for name, factor in ENGINES.items():
            found.timings[layer, step, name] = measure.Timing(factor * work.seconds(PEAK), 1e-5)
    for key in [*steps, *(("total", step) for step in (*measure.PASSES, "all"))]:
        found.ratios.update({(*key, "old"): (1.9, 2.1), (*key, "new"): (0.4, 0.6)})
    return json.loads(tables.as_json(found))


def body_of(text, section):
    """The words of a section, without its tags."""
    (own,) = re.findall(rf'<section id="{section}".*?</section>', text, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<svg.*?</svg>|<[^>]*>", " ", own, flags=re.DOTALL))


def test_the_page_is_whole_and_says_who_is_faster(about):
    text = bench.page(about).decode()
    words = " ".join(assert_whole(text).text)
    least = sum(max(one["operations"] / 1e12, one["bytes"] / 1e11) for one in about["layers"])
    takes = ", ".join(f"{name} {1e3 * factor * least:,.0f} ms" for name, factor in ENGINES.items())
    assert f"A step takes {takes}. Beside other: old slower (1.90 to 2.10 of its time), new faster (0.40 to" in words
    assert "rosetta bench alexnet --batch 128 --repeat 7 --engines old,new,other --threads 2" in words
    totals = body_of(text, "totals")
    assert re.search(r" all 532 .* 25 % .* 100 % .* 50 % 2.00 1.90–2.10 slower 0.50 0.40–0.60 faster ", totals)
    rows = body_of(text, "steps")
    assert rows.count("conv2a backward") == rows.count("fc6b update") == 1
    assert f"new: on the roof all steps together would take {1e3 * least:,.0f} ms, and they take" in words
    charts = re.findall(r'<svg [^>]*role="img" aria-label="([^"]{40,})"', text)
    assert len(charts) == text.count("<svg") == 4
    assert charts[0].startswith("milliseconds of the forward pass: conv1a old ")
    assert "smaller old" in charts[0]
    assert charts[3].startswith(f"roofline: {3 * len(about['layers'])} marks of {len(about['layers'])} steps")


def test_labels_of_the_roofline_lie_apart_and_inside():
    """Of steps with the same work one has a label; what does not fit has none."""

    def mark(layer, k, x, y):
        return ({"layer": layer, "pass": "forward", "work": (int(100 * x), 100), "seconds": {"a": y}}, k, x, y)

    far = [mark("one", 0, 1, 1), mark("two", 0, 1, 2), mark("three", 0, 100, 1)]
    names = [text for *_, text in bench._labels(far, [], (0.1, 1000), (0.1, 1000))]
    assert sorted(names) == ["three forward", "two forward"]
    crowd = [mark(f"layer{k}", 0, 1 + k / 100, 1 + k / 100) for k in range(50)]
    places = list(bench._labels(crowd, [(1e12, 5e10)], (0.1, 1000), (0.1, 1000)))
    assert 1 <= len(places) < 20
    assert all(0.1 < x < 1000 and 0.1 < y < 1000 for x, y, _ in places)


def test_names_from_a_file_are_text(about):
    del about["layers"][8:]
    stored = json.dumps(about).replace("pool1a", "<b>conv\\u001b$2$").replace('"new"', '"<i>new"')
    text = bench.page(json.loads(stored)).decode()
    assert_whole(text)
    assert "<b>conv" not in text
    assert "<i>new" not in text
    assert "\x1b" not in text
    assert r"&lt;b&gt;conv\x1b$2$" in text


def test_a_bench_of_one_engine_without_a_peak_has_a_page(about):
    del about["layers"][8:]
    about |= {"options": about["options"] | {"engines": ["new"]}, "peaks": {}, "total_ratio_95": {}}
    for one in about["layers"]:
        one |= {"seconds": {"new": one["seconds"]["new"]}, "ratio_95": {}}
    text = bench.page(about).decode()
    assert_whole(text)
    assert 'id="roofline"' not in text
    assert "Beside" not in text


def test_a_bench_of_the_first_version_has_a_page(about):
    """Its intervals were those of the first of two engines, without a name, and of steps alone."""
    del about["layers"][8:]
    about |= {"version": 1, "options": about["options"] | {"engines": ["old", "new"]}}
    del about["total_ratio_95"]
    for one in about["layers"]:
        one["ratio_95"] = [1.5, 1.7]
        for key in ("seconds", "spread"):
            del one[key]["other"]
    text = bench.page(about).decode()
    assert "slower" not in body_of(text, "totals").partition(" all ")[2]
    assert "1.50–1.70 slower" in body_of(text, "steps")


@pytest.mark.parametrize(
    ("bend", "words"),
    [
        (lambda about: about | {"format": "alexnet-rosetta record"}, "no bench of this program"),
        (lambda about: about | {"version": 3}, "no bench of this program"),
        (lambda about: {k: v for k, v in about.items() if k != "layers"}, "KeyError: 'layers'"),
        (lambda about: about | {"layers": [about["layers"][0] | {"seconds": {"old": "nan"}}]}, "are no times"),
        (lambda about: about | {"layers": [about["layers"][0] | {"pass": "<script>"}]}, "cannot be read as a record"),
        (lambda about: [], "AttributeError"),
    ],
)
def test_a_file_that_is_no_bench_is_refused_in_one_line(about, tmp_path, bend, words):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(bend(about)))
    with pytest.raises(RecordError, match=words):
        bench.rendered(path)
    result = CliRunner().invoke(cli.cli, ["report", str(path)])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert [one.name for one in tmp_path.iterdir()] == ["bench.json"]


def test_a_stored_bench_becomes_a_page_beside_it(about, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    del about["layers"][8:]
    (tmp_path / "b.json").write_text(json.dumps(about))
    result = CliRunner().invoke(cli.cli, ["report", "b.json"])
    assert (result.exit_code, result.output) == (0, "report: b.html\n")
    assert (tmp_path / "b.html").read_bytes() == bench.page(about)
    (tmp_path / "b.html").write_text("mine")
    assert CliRunner().invoke(cli.cli, ["report", "b.json"]).exit_code == 2
    assert (tmp_path / "b.html").read_text() == "mine"
    assert CliRunner().invoke(cli.cli, ["report", "b.json", "--out", "-"]).output.startswith("<!DOCTYPE html>")
    for more in (["--format", "junit"], ["--fail-on", "none"]):
        result = CliRunner().invoke(cli.cli, ["report", "b.json", *more])
        assert (result.exit_code, "no record with verdicts" in result.stderr) == (2, True)


def test_a_bench_writes_its_page_and_overwrites_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["bench", "tiny", "--engines", "reference", "--batch", "4", "--repeat", "1", "--threads", "1"]
    result = CliRunner().invoke(cli.cli, [*command, "--html", "page.html"])
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "page page.html")
    assert_whole((tmp_path / "page.html").read_text())
    monkeypatch.setattr(measure, "measure", lambda *_: pytest.fail("it ran"))
    for name, words in (("page.html", "exists"), ("page.json", "stored as .html"), ("no/page.html", "no folder no")):
        result = CliRunner().invoke(cli.cli, [*command, "--html", name])
        assert (result.exit_code, words in result.stderr) == (2, True)
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]
