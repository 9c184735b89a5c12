"""PyTorch as a witness: what it has agrees, what it does otherwise is explained, what it lacks is not compared."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from quirk_nets import CASES
from small_nets import RATES, write_net

from alexnet_rosetta.harness.cli import commands
from alexnet_rosetta.harness.comparison import compare
from alexnet_rosetta.harness.network.net import Net
from alexnet_rosetta.harness.running.prepare import Options, prepare

pytest.importorskip("torch")
pytestmark = pytest.mark.witness
BOTH_HALF = {"quantF": "half", "quantB": "half"}
SLOWER = {"schedW": "exp[tgtFactor=10,noiseStdev=0]", "schedB": "linear[tgtFactor=10,noiseStdev=0]"}


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


TOWERS = (
    Net(12, labels=1)
    .add("low", "fc", "data", BOTH_HALF | SLOWER | RATES, outputs=16, initW=1, gpu=0, neuron="logistic")
    .add("near", "fc", "low", BOTH_HALF | RATES, outputs=5, initW=0.3, gpu=0)
    .add("far", "fc", "low", BOTH_HALF | SLOWER | RATES, outputs=5, initW=0.3, gpu=1)
    .add("further", "fc", "low", BOTH_HALF | RATES, outputs=5, initW=0.3, gpu=1)
    .add("together", "eltsum", "near,far,further", gpu=0)
    .softmax_cost("together", coeff=1, topk=1)
    .files()
)


@pytest.mark.parametrize(
    ("point", "mode"),
    [
        ({"progress": 0.5}, "isolated"),
        ({"progress": 0.5}, "propagated"),
        ({"update_every": 3}, "isolated"),
        ({"quantise": True}, "isolated"),
        ({"quantise": True}, "propagated"),
    ],
)
def test_it_goes_to_every_point_of_a_training(tmp_path, point, mode):
    """Schedules, gradients of several passes and half precision between devices, each of which changes values."""
    net = write_net(tmp_path, *TOWERS)
    found = compare(net, engines=["torch"], input="random", batch=8, threads=1, mode=mode, **point)
    assert found.exit_code == 0, found.sentence
    assert {row.status() for row in found.table} <= {"identical", "equivalent", "inherited"}


@pytest.mark.parametrize(
    ("net", "options"), [("photos", {"progress": 0.4, "update_every": 3}), ("cifar", {"update_every": 2})]
)
def test_shipped_networks_learn_as_the_reference_says(net, options):
    found = compare(net, engines=["torch"], input="random", batch=8, threads=1, **options)
    assert found.exit_code == 0, found.sentence


def test_an_update_alone_has_the_rate_of_its_moment(tmp_path):
    """Without a backward pass before: the rate falls to a tenth."""
    session = prepare(Options(write_net(tmp_path, *TOWERS), engines=("torch",))).open_sessions()["torch"]
    found = []
    for progress in (0.0, 1.0):
        for tensor in ("weights[0]", "weights_inc[0]", "biases", "biases_inc", "biases_grad"):
            shape = (12, 16) if "weights" in tensor else (1, 16)
            session.write("low", tensor, np.full(shape, tensor == "biases_grad", np.float32))
        session.update("low", progress)
        found.append(session.read("low", "biases_inc")[0, 0])
    np.testing.assert_array_equal(found, np.float32([RATES["epsB"], RATES["epsB"] / 10]))


def test_a_training_collects_gradients(tmp_path):
    words = "train photos --engine torch --batch 50 --update-every 2 --updates 1 --threads 1 --out {}"
    result = CliRunner().invoke(commands.cli, words.format(tmp_path / "run").split())
    assert result.exit_code == 0, result.output
    assert "at the end torch: cost" in result.output


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
