"""What every switch of the ledger does: in the position of the reference an engine agrees with it, in the other one it
does not, and the comparison says which quirk it is."""

import pytest
from quirk_nets import CASES
from small_nets import write_net

from alexnet_rosetta.harness.api import compare
from alexnet_rosetta.harness.quirks import LEDGER

ENGINES = {"legacy-cpu": "legacy", "port": "port"}


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


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_stand_where_the_ledger_says(engine):
    from alexnet_rosetta.harness.engines import find
    from alexnet_rosetta.harness.quirks.settings import switches

    assert switches(find(engine)) == {
        name: getattr(quirk, ENGINES[engine])
        for name, quirk in LEDGER.items()
        if getattr(quirk, ENGINES[engine]) is not None
    }
