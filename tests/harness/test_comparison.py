import re
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from small_nets import write_net

from alexnet_rosetta import harness
from alexnet_rosetta.harness import comparison as api
from alexnet_rosetta.harness import machine
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.judging.finding import Finding
from alexnet_rosetta.harness.judging.row import Row
from alexnet_rosetta.harness.running import prepare as run


def test_every_option_of_a_comparison_is_named():
    assert all(option.name in harness.compare.__doc__ for option in fields(run.Options))


def test_compare_gives_frames(tmp_path):
    found = harness.compare(write_net(tmp_path), engines=["reference"], input="random", batch=4)
    assert found.exit_code == 0
    assert found.record is None
    assert len(found.rows) == 37
    assert set(found.rows["engine"]) == {"reference"}
    assert {"layer", "pass", "tensor", "verdict", "share", "ulps", "seconds"} <= set(found.rows.columns)
    assert (found.layers["seconds reference"] >= 0).all()
    assert found.sentence.startswith("37 of 37 tensors agree")


def test_compare_writes_a_record_with_its_report(tmp_path):
    found = harness.compare(write_net(tmp_path), engines=["reference"], batch=4, out=tmp_path / "run", seed=3)
    record = harness.read_record(found.record)
    assert found.report.read_text().startswith("<!DOCTYPE html>")
    assert record.about["options"]["seed"] == 3
    assert record.about["environment"]["threads"] == machine.processors()
    assert set(record.about["inputs"]["sha256"]) == {"data", "labels"}
    assert record.arrays["pictures"].shape == (4, 8, 8, 3)
    assert {"filters.conv1", "filters_grad.conv1"} <= set(record.arrays)
    assert np.unpackbits(record.arrays["mask.drop1.train.0"], axis=1).shape == (12, 8)
    assert [row.to_dict() for row in record.rows] == [row.to_dict() for row in found.table]


def test_a_text_is_one_name(tmp_path):
    found = harness.compare(write_net(tmp_path), engines="reference", passes="forward", input="random", batch=4)
    assert found.exit_code == 0
    assert {row.step for row in found.table} == {"forward"}
    with pytest.raises(BadInput, match="no engine is called 'legacy-cpu,port'"):
        harness.compare("tiny", engines="legacy-cpu,port")


@pytest.mark.parametrize(
    "given",
    [
        *({"net": None}, {"batch": "4"}, {"batch": True}, {"seed": 1.5}, {"input": np.zeros(3)}, {"quantise": "no"}),
        *({"passes": "forward"}, {"engines": (1, 2)}, {"progress": "0.5"}, {"params": 7}),
    ],
)
def test_options_of_the_wrong_kind_are_named(given):
    (name,) = given
    with pytest.raises(BadInput, match=f"{name} is of the wrong kind .expected .*, actual "):
        run.Options(**{"net": "tiny"} | given)


def test_paths_and_numbers_of_numpy_are_options(tmp_path):
    assert run.Options(tmp_path / "x.cfg", batch=np.int64(4), progress=np.float32(0.5)).batch == 4
    assert run.Options("tiny", passes=["forward"]) == run.Options("tiny", passes=("forward",))


def test_options_are_checked():
    with pytest.raises(BadInput, match="there is no seed -1"):
        run.Options("tiny", seed=-1)
    with pytest.raises(BadInput, match="mode"):
        harness.compare("tiny", mode="sideways")
    with pytest.raises(BadInput, match="batch"):
        harness.compare("tiny", batch=0)
    with pytest.raises(TypeError):
        harness.compare("tiny", bacth=4)


def test_every_option_is_documented():
    assert re.findall(r"^    (\w+) : ", run.Options.__doc__, re.MULTILINE) == [x.name for x in fields(run.Options)]


def test_first_filters_are_those_that_look_at_colours():
    from alexnet_rosetta.harness.network import load as networks

    assert [layer.name for layer in api.first_filters(networks.load("alexnet"))] == ["conv1a", "conv1b"]


def test_importing_the_harness_loads_nothing_heavy():
    heavy = ("pandas", "matplotlib", "torch", "pycuda", "rich", "PIL", "alexnet_rosetta.port", "alexnet_rosetta.legacy")
    for module in ("", ".cli.commands", ".comparison", ".running.prepare"):
        code = f"import sys, alexnet_rosetta.harness{module}; print([m for m in {heavy} if m in sys.modules])"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_prompt_shows_the_sentence(tmp_path):
    found = harness.compare(write_net(tmp_path), engines=["reference"], input="random", batch=4)
    assert repr(found) == found.sentence


def test_a_notebook_shows_sentence_numbers_and_layers(tmp_path):
    found = harness.compare(write_net(tmp_path), engines=["reference"], input="random", batch=4)
    found.table[0].layer = "<script>"
    text = found._repr_html_()
    assert f"<b>{found.sentence}</b>" in text
    assert "<li><b>37</b> tensors agree</li>" in text
    assert text.count("<tr class=") == len(found.layers)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("room", ["harness", "legacy", "port"])
def test_dir_shows_what_is_loaded_on_first_use(room):
    code = f"from alexnet_rosetta import {room} as room; print({{*room.__all__}} - {{*dir(room)}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="comparisons"):
        harness.comparisons  # noqa: B018


def test_a_layer_is_a_frame_of_its_lines(tmp_path):
    found = harness.compare(write_net(tmp_path), engines=["reference"], batch=4, input="random", passes=["forward"])
    frame = found.layer("fc1")
    assert frame[["layer", "tensor", "engine"]].values.tolist() == [["fc1", "acts", "reference"]]
    assert "<table" in frame._repr_html_()
    with pytest.raises(BadInput, match="the run has no layer 'fc9'"):
        found.layer("fc9")


def test_charts_are_figures(tmp_path):
    found = harness.compare(
        write_net(tmp_path), engines=["reference", "port"], batch=4, input="random", mode="propagated"
    )
    for what, axis in (
        ("errors", "share of the bound used (bottom line: 0; top: 1000 or more)"),
        ("distribution", "share of all elements"),
        ("drift", "relative distance ‖x − r‖ / ‖r‖"),
    ):
        (axes,) = found.figure(what).axes
        assert axes.get_ylabel() == axis
    assert found.figure("time").axes[0].get_xlabel() == "seconds"
    with pytest.raises(BadInput, match="there is no chart 'pie'"):
        found.figure("pie")
    isolated = replace(found, table=[row for row in found.table if row.mode == "isolated"])
    with pytest.raises(BadInput, match="nothing for the chart drift"):
        isolated.figure("drift")


def test_a_row_shows_itself_with_names_escaped():
    row = Row("a<b", "fc", "forward", "acts", (2, 1), {"x&y": Finding("identical", elements=2)})
    assert row._repr_html_().startswith("<table><caption>isolated: a&lt;b forward acts</caption>")
    assert "<td>x&amp;y</td><td>identical</td><td>0.0</td>" in row._repr_html_()
