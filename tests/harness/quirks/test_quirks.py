"""The ledger of quirks, its switches in the engines, and the attribution of differences to them."""

from pathlib import Path

import numpy as np
import pytest
from small_nets import DEFINITION, PARAMS, workload, write_net

from alexnet_rosetta.harness.comparison import compare
from alexnet_rosetta.harness.engines import find as find_engine
from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.errors import BadInput, Unsupported
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.quirks import LEDGER, listing
from alexnet_rosetta.harness.quirks.settings import parse, switches
from alexnet_rosetta.harness.quirks.values import REWRITES, touched
from alexnet_rosetta.harness.reporting import record
from alexnet_rosetta.harness.running.sweep import Sweep

DOCS = Path(__file__).parents[3] / "docs" / "quirks.md"
COVERED = {"norm-before-relu", "pool-ceil"}  # switches that work on arrays, not on the values of a layer


def test_every_entry_says_what_it_has_to():
    for name, quirk in LEDGER.items():
        assert name == name.lower()
        assert " " not in name
        assert quirk.kind in ("defect", "convention")
        assert quirk.text.endswith(".")
        assert quirk.source
        assert not quirk.title.endswith(".")
        assert quirk.legacy is not None or quirk.port is not None


def test_the_switches_of_the_port_are_those_of_the_ledger():
    own = {name: q.port for name, q in LEDGER.items() if q.port is not None and not q.values}
    assert find_engine("port").quirks() == own


def test_the_port_stands_where_the_reference_stands():
    assert all(on == LEDGER[name].meant for name, on in switches(find_engine("port")).items())


def test_every_switch_on_values_has_a_rule():
    assert {name for name, quirk in LEDGER.items() if quirk.values} == {*REWRITES, *COVERED}


def test_the_page_of_the_guide_is_the_ledger():
    assert DOCS.read_text(encoding="utf-8") == "\n".join(listing.page()) + "\n"


def test_the_listing_names_everything():
    text = "\n".join(listing.lines())
    assert all(f"  {name}   [" in text for name in LEDGER)


@pytest.mark.parametrize("text", ["nonsense", "pool-ceil", "pool-ceil=maybe", "torch:pool-ceil=off", "no-such=on"])
def test_nonsense_is_refused(text):
    with pytest.raises(BadInput, match="quirk"):
        parse([text], [find_engine("port")])


def test_the_hint_is_about_what_is_wrong():
    with pytest.raises(BadInput, match="hint: name=on, name=off"):
        parse(["port:pool-ceil=maybe"], [find_engine("port")])
    with pytest.raises(BadInput, match="hint: did you mean port"):
        parse(["prt:pool-ceil=on"], [find_engine("port")])


def test_a_quirk_of_single_rows_touches_no_other_layer():
    assert touched(networks.load("alexnet"), "one-row-vectors") == []
    assert touched(networks.load("zoo"), "one-row-vectors") == []


def test_an_engine_without_the_switch_is_refused():
    with pytest.raises(Unsupported, match="engine reference has no switch for the quirk href-overwrites"):
        parse(["href-overwrites=on"], [find_engine("reference")])
    with pytest.raises(Unsupported, match="blur-last-tap"):
        parse(["port:blur-last-tap=on"], [find_engine("port")])
    with pytest.raises(Unsupported, match="engine torch has no switch for the quirk gradient-ascent"):
        parse(["gradient-ascent=off"], [find_engine("torch")])


def test_settings_are_for_all_engines_or_for_one():
    engines = [find_engine("port"), find_engine("reference")]
    found = parse(["lrn-k-from-file=off", "port:lrn-k-from-file=on", "port:crossent2-sign=on"], engines)
    assert found == {
        "port": {"lrn-k-from-file": True, "crossent2-sign": True},
        "reference": {"lrn-k-from-file": False},
    }


def small(folder, *quirks, engine="port", **options):
    return compare(write_net(folder), engines=[engine], input="random", batch=8, quirks=quirks, **options)


def test_a_difference_is_explained_everywhere(tmp_path, capsys):
    found = small(tmp_path, "gradient-ascent=off", out=tmp_path / "run")
    failed = {(row.layer, row.tensor): row for row in found.table if row.findings["port"].fails}
    assert list(failed) == [("probs", "inputs_grad[0]")]
    row = failed["probs", "inputs_grad[0]"]
    assert row.quirk == {"port": ("gradient-ascent",)}
    assert row.explained()
    assert found.exit_code == 1
    assert "Explained by quirks: 1 of 1 differences (gradient-ascent); no difference is unexplained." in found.sentence
    kept = record.read(found.record)
    assert kept.about["quirks"]["port"]["gradient-ascent"] is False
    assert kept.about["options"]["quirks"] == ["gradient-ascent=off"]
    assert [again.quirk for again in kept.rows if again.quirk] == [{"port": ("gradient-ascent",)}]
    assert "explained by quirk gradient-ascent" in found.report.read_text(encoding="utf-8")


def test_two_quirks_at_once_are_both_named(tmp_path):
    found = small(tmp_path, "decay-in-momentum=off", "bias-rate=off")
    causes = {(row.layer, row.tensor): row.quirk["port"] for row in found.table if row.quirk}
    assert causes["conv1", "biases"] == ("bias-rate",)
    assert causes["conv1", "weights_inc[0]"] == ("decay-in-momentum",)
    assert found.exit_code == 1
    assert "no difference is unexplained" in found.sentence


def test_only_together(tmp_path):
    found = small(tmp_path, "decay-in-momentum=off", "rate-in-momentum=off", passes=["update"])
    causes = {(row.layer, row.tensor): row.quirk.get("port") for row in found.table}
    assert set(causes["conv1", "weights_inc[0]"]) == {"decay-in-momentum", "rate-in-momentum"}
    assert causes["conv1", "biases_inc"] == ("rate-in-momentum",)


def test_a_fault_is_explained_by_no_quirk(tmp_path):
    class Wrong(ReferenceSession):
        def run_forward(self, layer, inputs, mask):
            found = super().run_forward(layer, inputs, mask)
            return found * np.float32(1.5) if layer.type in ("conv", "pool") else found

    work = workload(tmp_path, Wrong)
    work.explains = True
    failed = [row for row in Sweep(work).rows() if row.findings["Wrong"].fails]
    assert {row.layer for row in failed} == {"conv1", "pool1"}
    assert not any(row.quirk for row in failed)


def test_an_engine_that_descends_looks_like_one_of_another_convention(tmp_path):
    """It is given costs to be ascended, as the reference is: a wrong sign is a fault, whatever it looks like."""

    class Cost(ReferenceSession):
        def run_backward(self, layer, acts_grad, wanted, progress):
            grads = super().run_backward(layer, acts_grad, wanted, progress)
            return [-grad for grad in grads] if layer.name == "probs" else grads

    work = workload(tmp_path, Cost)
    work.explains = True
    (row,) = (row for row in Sweep(work).rows() if row.findings["Cost"].fails)
    assert (row.quirk, row.resembles) == ({}, {"Cost": ("gradient-ascent",)})
    assert not row.explained()


def test_nothing_is_opened_while_nothing_differs(tmp_path):
    opened = []

    class Counting(ReferenceSession):
        def __init__(self, network):
            super().__init__(network)
            opened.append(self)

    work = workload(tmp_path, Counting)
    work.explains = True
    assert not any(row.quirk for row in Sweep(work).rows())
    assert len(opened) == 1


def test_local_differences_keep_their_explanation_where_engines_feed_themselves(tmp_path):
    found = small(tmp_path, "gradient-ascent=off", mode="propagated")
    rows = [row for row in found.table if row.mode == "propagated" and "local" in row.origin.values()]
    assert rows
    assert all(row.quirk == {"port": ("gradient-ascent",)} for row in rows)
    assert "no difference is unexplained" in found.sentence


CEIL = DEFINITION.replace("stride=2", "stride=3"), PARAMS  # 8 pixels, windows of 3 every 3: 3 or 2 outputs


def test_rounding_down_changes_the_shape(tmp_path):
    found = compare(write_net(tmp_path, *CEIL), engines=["port"], input="random", batch=4, quirks=["pool-ceil=off"])
    row = next(row for row in found.table if row.layer == "pool1")
    assert row.findings["port"].status == "shape"
    assert "2 x 2 outputs" in row.findings["port"].reason
    assert row.quirk == {"port": ("pool-ceil",)}
    with pytest.raises(BadInput, match="--mode isolated"):
        compare(write_net(tmp_path), engines=["port"], mode="propagated", quirks=["pool-ceil=off"])


def test_windows_that_fit_do_not_change(tmp_path):
    exact = DEFINITION.replace("sizeX=3\nstride=2", "sizeX=2\nstride=2")
    found = compare(write_net(tmp_path, exact), engines=["port"], input="random", batch=4, quirks=["pool-ceil=off"])
    assert found.exit_code == 0
