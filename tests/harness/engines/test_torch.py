"""PyTorch as a witness: what it has agrees, what it does otherwise is explained, what it lacks is not compared."""

from collections import Counter
from dataclasses import replace

import pytest
from quirk_nets import CASES
from small_nets import write_net

from alexnet_rosetta.harness.comparison import compare

pytest.importorskip("torch")
pytestmark = pytest.mark.witness


@pytest.mark.parametrize(("net", "compared", "lacking"), [("cifar", 50, 0), ("tiny", 77, 14), ("zoo", 79, 129)])
def test_layers_that_it_lacks_stop_nothing(net, compared, lacking):
    found = compare(net, engines=["torch"], input="random", batch=8, threads=1)
    counts = Counter(row.status() for row in found.table)
    assert counts.pop("unsupported", 0) == lacking
    assert sum(counts.values()) == compared
    assert set(counts) <= {"identical", "equivalent", "different"}
    failed = {(row.layer, row.tensor): row.quirk.get("torch") for row in found.table if row.status() == "different"}
    assert failed == ({("pool1", "inputs_grad[0]"): ("max-ties-full",)} if net == "zoo" else {})


def test_beside_two_engines_what_it_lacks_is_named():
    found = compare("zoo", engines=["legacy-cpu", "port", "torch"], batch=4, threads=1, passes=["forward"])
    lacking = {row.layer for row in found.table if row.findings["torch"].status == "unsupported"}
    assert lacking
    assert all(row.lacking() == ["torch"] for row in found.table if row.layer in lacking)
    assert all(row.findings["port"].elements for row in found.table)
    assert f"Not compared: {len(lacking)} of torch (" in found.sentence
    agreeing = replace(found, table=[row for row in found.table if not any(f.fails for f in row.findings.values())])
    assert agreeing.exit_code == 3


@pytest.mark.parametrize("net", ["tiny", "zoo"])
def test_it_stops_at_them_where_it_feeds_itself(net):
    found = compare(net, engines=["torch"], input="random", batch=8, threads=1, mode="propagated")
    feeding = Counter(row.status() for row in found.table if row.mode == "propagated")
    assert feeding["unavailable"] > 0
    assert set(feeding) <= {"identical", "equivalent", "inherited", "unsupported", "unavailable"}


@pytest.mark.parametrize("engine", ["torch", "torch-channels-last"])
def test_ties_that_one_pixel_takes_are_explained(tmp_path, engine):
    net = write_net(tmp_path, *CASES["max-ties-full"].files())
    found = compare(net, engines=[engine], input="random", batch=16, threads=1)
    assert {(row.layer, row.tensor): row.quirk[engine] for row in found.table if row.status() == "different"} == {
        ("top", "inputs_grad[0]"): ("max-ties-full",)
    }
    assert "no difference is unexplained" in found.sentence


@pytest.mark.parametrize("keys", ["wball=0.01", "superEps=1", "schedW=exp[tgtFactor=10,noiseStdev=0.1]"])
def test_rules_of_learning_that_it_lacks_are_not_compared(tmp_path, keys):
    plain = CASES["bias-rate"].files()
    net = write_net(tmp_path, plain[0], plain[1].replace("[fc9]\n", f"[fc9]\n{keys}\n"))
    found = compare(net, engines=["torch"], input="random", batch=16, threads=1)
    assert {row.layer for row in found.table if row.status() == "unsupported"} == {"fc9"}
    assert not any(row.findings["torch"].fails for row in found.table)


def test_parameters_that_do_not_learn_stay(tmp_path):
    plain = CASES["bias-rate"].files()
    net = write_net(tmp_path, plain[0], plain[1].replace("[fc9]\nepsW=0.01", "[fc9]\nepsW=0"))
    found = compare(net, engines=["torch"], input="random", batch=16, threads=1)
    assert found.exit_code == 0, found.sentence
