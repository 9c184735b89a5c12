import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import asdict
from itertools import combinations
from math import inf, prod

import numpy as np
import pytest
from click.testing import CliRunner
from small_nets import BentFilter, Faulty, write_net
from whole_page import assert_whole

from alexnet_rosetta.harness import comparison as api
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.cli import terminal
from alexnet_rosetta.harness.errors import BadInput, RecordError
from alexnet_rosetta.harness.judging import places
from alexnet_rosetta.harness.judging.finding import Finding
from alexnet_rosetta.harness.judging.row import Row
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.reporting import record
from alexnet_rosetta.harness.reporting.report import charts, drawing, images, page, words, write
from alexnet_rosetta.harness.running.prepare import Options


@pytest.fixture
def folder(tmp_path, monkeypatch):
    from alexnet_rosetta.harness import engines

    real = engines.find
    monkeypatch.setattr(engines, "find", lambda name: Faulty(BentFilter) if name == "bent" else real(name))
    found = api.compare(
        write_net(tmp_path), engines=["reference", "bent"], batch=4, mode="propagated", out=tmp_path / "run"
    )
    return found.record


def test_the_page_is_whole_offline_and_says_it_all(folder):
    text = (folder / "report.html").read_text()
    parser = assert_whole(text, [address for _, address in page.addresses()])
    words = " ".join(parser.text)
    for word in (
        "How to read this",
        "Where it comes from",
        "astronaut",
        "inherited",
        "SHA-256",
        "the first to differ is",
    ):
        assert word in words + text
    assert len(re.findall(r'<svg [^>]*role="img" aria-label="[^"]{40}', text)) == text.count("<svg") == 6
    assert "mathdefault" not in text  # ticks of logarithmic axes are numbers
    assert "title=" not in text  # tooltips reach neither keyboard nor paper


def test_names_from_files_cannot_become_markup(tmp_path):
    found = api.compare(write_net(tmp_path), engines=["reference"], batch=4, out=tmp_path / "run")
    broken = record.read(found.record)
    broken.rows[0].layer = "<script>alert(1)</script>"
    broken.about["network"]["name"] = "<b>bold</b>"
    text = page.render(broken)
    assert "<script>alert" not in text
    assert "<b>bold" not in text


def test_the_page_says_what_is_compared(tmp_path):
    weights = tmp_path / "w.npz"
    found = api.compare("tiny", engines=["reference", "port"], batch=4, input="random", passes=("forward",), seed=7,
                        quirks=("port:norm-undo-add-inverted=on",), out=tmp_path / "run")  # fmt: skip
    told = record.read(found.record)
    text = page.render(told)
    assert "port is its modern Python port" in text
    assert "Weights are random" in text
    assert "The engine of 2012 is no copy" not in text  # nothing of it took part
    told.about["options"]["weights"] = str(weights)
    told.about["engines"] = {"legacy-cpu": "isa v4", "mine": "of my own"}
    words_about = " ".join(words.about_the_run(told.about))
    assert "legacy-cpu is the C++ and CUDA engine of 2012" in words_about
    assert "The engine of 2012 is no copy" in words_about
    assert "mine is an engine of another package" in words_about
    assert f"Weights come from {weights}" in words_about


@pytest.mark.parametrize(
    "options",
    [
        Options("tiny"),
        Options("my net.cfg", params="p.cfg", weights="w.npz", engines=("reference", "port"), input="random", batch=4,
                seed=3, mode="propagated", passes=("forward",), threads=1, quirks=("a=on", "port:b=off"),
                rules=("sched", "salvage"), progress=0.5),
        Options("tiny", update_every=2, quantise=True, allow=("unsupported", "inconclusive")),
    ],
    ids=["plain", "many", "rest"],
)  # fmt: skip
def test_the_command_has_the_options_of_the_run(options, monkeypatch):
    given = []
    monkeypatch.setattr(terminal, "run_compare", lambda found, *_: given.append(found) or api.Comparison([]))
    _, *arguments = shlex.split(words.command(asdict(options)))
    CliRunner().invoke(cli.cli, arguments, catch_exceptions=False)
    assert given == [options]


def test_the_kernel_of_each_step_stands_in_its_line(tmp_path):
    pytest.importorskip("alexnet_rosetta.legacy")
    found = api.compare("tiny", engines=["legacy-cpu"], batch=32, input="random", threads=1, out=tmp_path / "run")
    kernels = record.read(found.record).about["kernels"]["legacy-cpu"]
    assert kernels["conv2b"]["forward"][0].startswith("filterActs_YxX_sparse<")
    text = found.report.read_text()
    (line,) = re.findall(r"<td>conv2b</td><td>forward</td>.*?</tr>", text.split("<table")[1], re.DOTALL)
    assert kernels["conv2b"]["forward"][0].replace("<", "&lt;").replace(">", "&gt;") in line


def test_a_record_of_before_has_a_report_too(tmp_path):
    told = record.read(api.compare(write_net(tmp_path), engines=["reference"], batch=4, out=tmp_path / "run").record)
    for layer in told.about["network"]["layers"]:
        del layer["variant"]
    assert "<b>37</b> tensors agree" in page.render(told)
    for layer in told.about["network"]["layers"]:
        del layer["shape"], layer["gpu"]
    for name in ("kernels", "note"):
        del told.about[name]
    told.about["environment"].pop("commit", None)
    text = page.render(told)
    assert "<b>37</b> tensors agree" in text
    assert "The network</h2>" not in text


def test_shapes_of_pictures_and_of_values():
    network = networks.load("alexnet")
    found = places.shapes(network.layers)
    assert found["data"] == (3, 224, 224)
    assert found["labels"] == (1,)
    assert found["conv1a"] == found["conv1a_neuron"] == (48, 55, 55)
    assert found["pool1b"] == (48, 27, 27)
    assert found["fc1000"] == (1000,)
    assert all(prod(shape) == layer.outputs for shape, layer in zip(found.values(), network.layers, strict=True))


def test_the_drawing_has_every_layer_once_and_no_box_upon_another(tmp_path):
    for name in networks.shipped():
        network = networks.load(name)
        layers = places.described(network.layers)
        boxes, home = drawing._boxes(layers)
        assert sorted(layer["name"] for box in boxes for layer in box.layers) == sorted(home)
        svg = drawing.network(layers)
        corners = [tuple(map(int, found)) for found in re.findall(
            r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', svg)]  # fmt: skip
        assert len(corners) == len(boxes)
        for (x, y, w, h), (x2, y2, w2, h2) in combinations(corners, 2):
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_names_in_the_drawing_are_escaped():
    svg = drawing.network([{"name": "<b>", "type": "data", "inputs": (), "shape": (1,)},
                           {"name": '"a', "type": "fc", "inputs": ("<b>",), "shape": (2,)}])  # fmt: skip
    assert "<b>" not in svg
    assert '"a' not in svg


def test_other_bits_are_no_share_of_a_bound():
    found = {"a": Finding("different", share=inf), "b": Finding("different", share=4.113)}
    row = Row("conv1", "conv", "forward", "acts", (2, 3), findings=found)
    text = charts.shares_in_figures([row], ["a", "b"])
    assert "a has other bits where the same were asked for, in conv1 forward acts" in text
    assert "b used at most 4.11 of a bound, in conv1 forward acts" in text


def test_a_name_is_no_formula_for_the_charts(tmp_path):
    found = record.read(api.compare(write_net(tmp_path), engines=["reference"], batch=4, out=tmp_path / "run").record)
    for row in found.rows:
        row.layer = r"[$\nosuchmacro{$]"
    assert page.render(found).count(r"[$\nosuchmacro{$]</text>") == 2


def test_a_report_that_cannot_be_finished_leaves_the_earlier_one(folder):
    before = (folder / "report.html").read_bytes()
    program = f"""
import resource, signal
from alexnet_rosetta.harness.reporting.report import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
write({str(folder)!r})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "report.html cannot be written: File too large" in done.stderr
    assert (folder / "report.html").read_bytes() == before
    assert not list(folder.glob(".*"))


def test_a_report_may_go_into_a_pipe(folder, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with open(tmp_path / "read", "wb") as read, subprocess.Popen(["cat", pipe], stdout=read):
        write(folder, pipe)
    assert (tmp_path / "read").read_bytes() == (folder / "report.html").read_bytes()
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    "damage",
    [{"rows": [3]}, {"engines": 3}, {"inputs": {}}, {"created": "now"}, {"costs": None}, {"sentence": "\ud800"}],
)
def test_a_damaged_record_is_named(folder, damage):
    about = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps(about | damage))
    if "sentence" in damage:
        write(folder)
        assert r"\ud800" in (folder / "report.html").read_text()
        return
    with pytest.raises(RecordError, match=re.escape(str(folder))):
        write(folder)


def test_a_cost_may_be_infinite(tmp_path):
    found = record.read(api.compare(write_net(tmp_path), engines=["reference"], batch=4, out=tmp_path / "run").record)
    (name,) = found.about["costs"]
    found.about["costs"][name] = ["inf", 4.0, 2.0]
    assert f"Cost {name}: inf per case" in page.render(found)


def test_a_file_that_cannot_be_written(folder):
    with pytest.raises(BadInput, match=r"cannot be written.*--out"):
        write(folder, folder / "record.json" / "x.html")


def test_filters_are_stretched_and_framed():
    filters = np.zeros((3 * 2 * 2, 5), np.float32)
    filters[0, 0] = 1
    assert images.filter_grid(filters).startswith("data:image/png;base64,")
    assert len(images.thumbnails(np.zeros((2, 8, 8, 3), np.uint8))) == 2


def test_the_decision_ledger_stands_in_a_propagated_report_alone(folder, tmp_path):
    text = (folder / "report.html").read_text(encoding="utf-8")
    (section,) = re.findall(r'<section id="ledger".*?</section>', text, re.DOTALL)
    lines = [re.findall(r"<td[^>]*>(.*?)</td>", line) for line in re.findall(r"<tr class.*?</tr>", section, re.DOTALL)]
    assert [[*line[:5], line[-1]] for line in lines] == [
        ["conv1", "forward", "", "", "", "BentFilter: acts"],
        ["conv1_neuron", "forward", "4,096", "signs", "0", "0"],
        ["pool1", "forward", "1,024", "winners", "0", "0"],
        ["logprob", "forward", "8", "answers", "0", "0"],
    ]
    assert 'href="#ledger"' in text
    net = write_net(tmp_path, name="other")
    found = api.compare(net, engines=["reference"], batch=4, input="random", out=tmp_path / "isolated")
    assert '"ledger"' not in found.report.read_text(encoding="utf-8")
