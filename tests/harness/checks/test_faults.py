"""The check of faults: that it finds what there is, fails where nothing shows, and leaves correct engines alone."""

import itertools
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.checks.faults import catalogue, check, examine, random_nets
from alexnet_rosetta.harness.checks.faults.fault import miscomputed, on_result
from alexnet_rosetta.harness.checks.faults.planted import Mutation
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.engines.protocol import Engine
from alexnet_rosetta.harness.engines.wrapped import AsMeant
from alexnet_rosetta.harness.errors import Unsupported
from alexnet_rosetta.harness.judging.finding import Finding
from alexnet_rosetta.harness.running import prepare as run
from alexnet_rosetta.port.config import grammar
from alexnet_rosetta.port.config.layer_types import LAYER_TYPES

FAULTS = {fault.name: fault for fault in catalogue.FAULTS}
OF_EVERY_KIND = (
    "conv-padding", "conv-floor", "conv-lost-image", "gradient-overwritten", "fc-rate", "bias-rate", "momentum-order",
    "pool-ties", "norm-mirror", "norm-k", "tiny-gradient", "dropout-no-mask", "eltmax-ties", "softmax-label",
    "cost-coefficient",
)  # fmt: skip

WAYS = ("quantF", "quantB")
IDENTITY = replace(FAULTS["norm-k"], name="nothing", mutation=Mutation("norm1", keys=lambda spec: {}))


@pytest.fixture
def port(monkeypatch):
    """The check of the port alone."""
    monkeypatch.setattr(check, "ENGINES", ("port",))
    return engines.find("port")


def rosetta(*args):
    return CliRunner().invoke(cli, ["check", "faults", *map(str, args)])


def test_names_are_unique_and_stories_fit_on_a_line():
    assert len(FAULTS) == len(catalogue.FAULTS)
    assert all(len(fault.story) <= 80 and fault.places for fault in catalogue.FAULTS)


@pytest.mark.parametrize("name", OF_EVERY_KIND)
def test_faults_are_found_where_they_are(port, name):
    outcome = examine.examine(FAULTS[name], port, seed=0)
    assert outcome.ok
    assert FAULTS[name].places <= set(outcome.found)


@pytest.mark.parametrize(
    "name", ["tree-path", "sparse-group", "rand-max", "cnorm-constant", "super-mean", "passes-momentum"]
)
def test_faults_are_found_in_the_engine_of_2012(name):
    """Without its own defects; some of these faults are among them."""
    assert examine.examine(FAULTS[name], AsMeant(engines.find("legacy-cpu")), seed=0).ok


@pytest.mark.parametrize("engine", engines.DEFAULT)
def test_no_fault_is_explained_by_a_quirk(engine):
    """Some of them are what a quirk does; but the switches of the engine stand as the reference does."""
    for name in (*OF_EVERY_KIND, "sparse-group", "rand-max", "cnorm-constant", "super-mean"):
        fault = FAULTS[name]
        mutant = examine.Mutant(AsMeant(engines.find(engine)), fault.mutation)
        work = replace(examine.scene(*fault.scene_arguments, 0), engines=[mutant], explains=True)
        found = list(run.rows(work, "isolated"))
        assert any(row.findings[mutant.name].fails for row in found), name
        assert not any(row.quirk for row in found), name


def test_any_engine_can_be_faulty():
    assert examine.examine(FAULTS["conv-flipped"], engines.find("reference"), seed=0).ok


@pytest.mark.slow
def test_the_whole_catalogue_is_found_with_another_seed(port):
    assert [fault.name for fault in catalogue.FAULTS if not examine.examine(fault, port, seed=1).ok] == []


def test_a_fault_that_changes_nothing_fails_the_check(port, monkeypatch):
    monkeypatch.setattr(check, "FAULTS", (FAULTS["norm-k"], IDENTITY))
    result = rosetta("--nets", 0)
    assert result.exit_code == 1
    assert "port: 1 of 2 faults" in result.output
    monkeypatch.setattr(check, "FAULTS", (FAULTS["norm-k"],))
    assert rosetta("--nets", 0).exit_code == 0


def test_a_fault_that_also_shows_elsewhere_fails(port):
    fault = FAULTS["fc-rate"]
    outcome = examine.examine(replace(fault, places=fault.places - {("fc1", "update", "weights[0]")}), port, seed=0)
    assert outcome.elsewhere == {("fc1", "update", "weights[0]")}
    assert not outcome.ok


def test_a_fault_with_another_verdict_fails(port):
    assert not examine.examine(replace(FAULTS["conv-floor"], status="different"), port, seed=0).ok


def test_an_engine_that_refuses_a_fault_was_not_run(monkeypatch):
    class Picky(Engine):
        name = "picky"

        def probe(self):
            return True, "there"

        def open(self, network, threads):
            raise Unsupported("not with this k")

    outcome = examine.examine(FAULTS["norm-k"], Picky(), seed=0)
    assert outcome.reason == "refused: not with this k"
    lines = []
    check._tell(outcome, lines.append)
    assert lines[0].startswith("-")
    assert check._summary("picky", [outcome], lines.append) == 3
    found = [outcome, replace(outcome, reason="", found=dict.fromkeys(outcome.fault.places, Finding("different")))]
    assert check._summary("picky", found, lines.append) == 3
    assert lines[-1].endswith("1 of 1 faults reported at the right layer and pass, and nowhere else; 1 were refused.")
    assert check._summary("picky", found, lines.append, allow=("unsupported",)) == 0
    assert check._summary("picky", [replace(outcome, reason="")], lines.append, allow=("unsupported",)) == 1


def test_an_engine_that_is_not_there_was_not_checked(monkeypatch):
    monkeypatch.setattr(engines.find("legacy-cpu").__class__, "probe", lambda self: (False, "not built"))
    assert rosetta("--only", "norm-k", "--nets", 0).exit_code == 3
    assert rosetta("--only", "norm-k", "--nets", 0, "--allow", "unavailable").exit_code == 0


def test_what_a_wrong_result_does_to_the_engine_is_undone(port):
    """A layer computed on the side leaves weights, increments and forward state as they were."""
    fault = miscomputed(
        "harmless", "", FAULTS["fc-order"].scene, "fc1",
        acts=on_result(lambda layer, acts: acts),
        backward={name: on_result(lambda layer, x: x) for name in ("inputs_grad[0]", "weights_inc[0]", "biases_grad")},
    )  # fmt: skip
    work = examine.scene(*fault.scene_arguments, 0)
    harmless = examine.judged(work, examine.Mutant(port, fault.mutation))
    assert harmless == examine.judged(work, port)


def test_unknown_names_are_refused_with_a_hint(port):
    result = rosetta("--only", "norm-alfa")
    assert result.exit_code == 2
    assert "norm-alpha" in result.stderr


def test_random_networks_agree(port):
    result = rosetta("--only", "norm-k", "--nets", 6, "--seed", 40)
    assert result.exit_code == 0
    assert "6 random networks without a fault" in result.output


def test_a_wrong_engine_fails_the_random_networks(port, monkeypatch, tmp_path):
    class Bent(type(port)):
        def open(self, network, threads):
            session = super().open(network, threads)
            read = session.read

            def bent(layer, tensor):
                found = read(layer, tensor)
                return np.nextafter(found, np.float32(np.inf)) * np.float32(1.01) if tensor == "acts" else found

            session.read = bent
            return session

    lines = []
    assert check._random_nets(1, [Bent()], 3, tmp_path, lines.append) == 1
    assert (tmp_path / "net-3.cfg").is_file()
    assert any("rosetta compare" in line for line in lines)


def test_random_networks_are_drawn_from_their_seed():
    assert random_nets.random_net(5) == random_nets.random_net(5)
    assert random_nets.random_net(5) != random_nets.random_net(6)


def test_random_networks_have_everything_and_suit_the_historical_kernels():
    """All types of layers, neurons, pools and schedules, sharing, sparse inputs, constraints, two devices, sizes."""
    found = defaultdict(set)
    for seed in range(150):
        net = random_nets.random_net(seed)
        network = examine.workload(net.text, input="random", seed=seed, **net.options).network
        assert not [warning for warning in network.spec.warnings if "historical kernels" in warning]
        found["batch"].add(net.options["batch"])
        found["readers"].add(max(len(pairs) for pairs in network.graph.consumers.values()))
        for layer in network.layers:
            found["types"].add(layer.type)
            for key in ("groups", "weightSource", "randSparse", "wball", "wcNormMax", "overSample"):
                found[key].update(layer.get(key, ()))
            for key in ("pow", "superEps", "enable"):
                found[key].add(layer.get(key))
            fused = layer.name in network.graph.fused.values()
            found["fused"].add((layer.type, fused))
            found["crosses"].update(
                (way, network.graph.crosses(source, layer.name, way)) for source in layer.inputs for way in WAYS
            )
            found["large trees"].add(layer.type == "treefc" and layer["numInputs"][0] > 128)
            found["single values"].add(layer.type == "cost.gsum2" and layer["numInputs"] == (1, 1))
            if layer.type == "neuron":
                found["neurons"].add(layer["neuron"]["type"])
            found["schedules"].update(layer[key]["type"] for key in ("schedW", "schedB") if layer.get(key))
            found["pools"].add(layer.get("pool"))
    assert found["types"] == set(LAYER_TYPES)
    assert found["neurons"] == set(grammar.NEURONS)
    assert found["pools"] - {None} == {"max", "maxabs", "avg", "rand"}
    assert found["schedules"] == set(grammar.SCHEDULES)
    assert found["groups"] == {1, 2, 4}
    assert all(len(found[key]) > 1 for key in ("weightSource", "randSparse", "wball", "wcNormMax"))
    assert max(found["readers"]) > 2
    assert 96 in found["batch"]
    assert 0.6 in found["pow"]
    assert {1, 2} <= found["overSample"]
    assert all(len(found[key]) > 1 for key in ("superEps", "enable", "large trees", "single values"))
    both = itertools.product(("cost.logreg", "cost.crossent", "cost.crossent2"), (False, True))
    assert set(both) <= found["fused"]
    assert found["crosses"] == set(itertools.product(WAYS, (False, True)))


def test_faults_are_in_every_type_of_layer_at_least_two():
    """And in every neuron and kind of pooling; data layers compute nothing."""
    counts = Counter()
    for fault in catalogue.FAULTS:
        layer = examine.scene(*fault.scene_arguments, 0).network.spec[fault.mutation.layer]
        counts[layer.type] += 1
        counts[layer["neuron"]["type"] if layer.type == "neuron" else layer.get("pool", "")] += 1
    wanted = {*LAYER_TYPES, *grammar.NEURONS, "max", "maxabs", "avg", "rand"} - {"data"}
    assert {name for name in wanted if counts[name] < 2} == set()
