"""What every switch of the ledger does: in the position of the reference an engine agrees with it, in the other one it
does not, and the comparison says which quirk it is."""

import numpy as np
import pytest
from click.testing import CliRunner
from quirk_nets import CASES
from small_nets import write_net

from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.comparison import compare
from alexnet_rosetta.harness.judging.finding import Finding
from alexnet_rosetta.harness.judging.verdict import judge
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.quirks import LEDGER
from alexnet_rosetta.harness.quirks.values import touched
from alexnet_rosetta.harness.reference import Bounded
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows

ENGINES = {"legacy-cpu": "legacy", "port": "port"}
LARGER = {("rate-in-momentum", f"{name}_inc{i}"): 100 for name, i in (("weights", "[0]"), ("biases", ""))}
"""By how much the terms of a sum are larger where a switch is turned: one over the learning rate of the networks."""


def test_every_quirk_that_a_layer_can_show_has_a_case():
    assert {name.partition(",")[0] for name in CASES} == {name for name, quirk in LEDGER.items() if quirk.layers}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_the_switch_makes_the_difference(tmp_path, case, engine):
    name = case.partition(",")[0]
    quirk = LEDGER[name]
    if getattr(quirk, ENGINES[engine]) is None:
        pytest.skip("no such switch")
    net = write_net(tmp_path, *CASES[case].files())
    others = [f"{other}=off" for other, q in LEDGER.items() if q.kind == "defect" and q.layers]
    with_reference = [*others, f"{name}={'on' if quirk.meant else 'off'}"]
    against = [*others, f"{name}={'off' if quirk.meant else 'on'}"]

    found = compare(net, engines=[engine], input="random", batch=16, quirks=with_reference)
    assert found.exit_code == 0, found.sentence
    assert not any(row.quirk for row in found.table)

    found = compare(net, engines=[engine], input="random", batch=16, quirks=against)
    assert found.exit_code == 1
    failed = [row for row in found.table if row.findings[engine].fails]
    assert {row.quirk.get(engine) for row in failed} == {(name,)}, [(r.layer, r.tensor, r.quirk) for r in failed]


@pytest.mark.parametrize("case", CASES)
def test_both_engines_mean_the_same_by_a_switch(tmp_path, case):
    """In the position of which the reference has no formula the engines are held against each other, in its bound.

    Where the other formula gives larger values, or computes what the reference copies, those are the magnitude.
    """
    name = case.partition(",")[0]
    net = write_net(tmp_path, *CASES[case].files())
    others = [f"{other}=off" for other, quirk in LEDGER.items() if quirk.kind == "defect" and quirk.layers]
    against = [*others, f"{name}={'off' if LEDGER[name].meant else 'on'}"]
    work = prepare(Options(net, engines=tuple(ENGINES), input="random", batch=16, quirks=tuple(against)))
    kept, latest = {}, {}

    def keep(stream):
        bounded = latest.pop((stream.layer.name, stream.tensor))
        kept[stream.layer.name, stream.step, stream.tensor] = bounded, *stream.found.values()

    work.inspect = lambda layer, tensor, bounded: latest.setdefault((layer.name, tensor), bounded)
    work.on_tensor = keep
    changed = [row for row in rows(work, "isolated") if any(found.fails for found in row.findings.values())]
    assert changed
    for row in changed:
        bounded, legacy, port = kept[row.layer, row.step, row.tensor]
        if isinstance(legacy, Finding):
            assert legacy == port
            continue
        magnitude = np.maximum(bounded.magnitude * LARGER.get((name, row.tensor), 1), abs(legacy))
        terms = np.maximum(bounded.terms, 4)
        found = judge(Bounded(legacy.astype(np.float64), magnitude, terms), port.astype(np.float32))
        assert found.agrees, (row.layer, row.tensor, found)


@pytest.mark.parametrize("case", CASES)
def test_a_network_that_shows_a_quirk_is_touched_by_the_switch(tmp_path, case):
    network = networks.load(write_net(tmp_path, *CASES[case].files()))
    assert touched(network, case.partition(",")[0])


def test_switches_that_touch_nothing():
    """Its layers are relu, max pooling over windows that fit, and normalisation after them; nothing is shared."""
    alexnet = networks.load("alexnet")
    for name in ("norm-before-relu", "pool-ceil", "avg-pool-clipped-area", "softrelu-cut", "dropout-disabled-scales",
                 "shared-fc-overwrites", "wball-times-size", "conv-oversample-overwrites"):  # fmt: skip
        assert not touched(alexnet, name), name
    assert touched(alexnet, "max-ties-full") == ["pool1a", "pool1b", "pool2a", "pool2b", "pool5a", "pool5b"]


@pytest.mark.parametrize("quirk", ["port:softrelu-cut=off", "norm-before-relu=off"])
def test_a_switch_that_touches_nothing_is_said(tmp_path, quirk):
    options = Options(write_net(tmp_path), engines=("port",), input="random", batch=4, quirks=(quirk, "bias-rate=off"))
    found = [note for note in prepare(options).network.spec.warnings if "--quirk" in str(note)]
    assert list(map(str, found)) == [f"--quirk {quirk} touches no layer of small"]


def test_the_list_of_what_touches_a_network():
    lines = CliRunner().invoke(cli, ["list", "quirks", "--net", "alexnet"]).output.splitlines()
    assert lines[0].endswith(f" of {len(LEDGER)} quirks touch alexnet")
    at = next(i for i, line in enumerate(lines) if line.startswith("  conv-ceil-geometry "))
    assert lines[at + 1].split() == ["conv1a,", "conv1b"]
    assert not any("softrelu" in line for line in lines)


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_stand_where_the_ledger_says(engine):
    from alexnet_rosetta.harness.engines import find
    from alexnet_rosetta.harness.quirks.settings import switches

    assert switches(find(engine)) == {
        name: getattr(quirk, ENGINES[engine])
        for name, quirk in LEDGER.items()
        if getattr(quirk, ENGINES[engine]) is not None
    }
