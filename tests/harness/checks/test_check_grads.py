"""`rosetta check grads`: right gradients pass, wrong ones do not, and what cannot be said is not said."""

import re
from dataclasses import replace
from math import isinf

import numpy as np
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.checks import kit
from alexnet_rosetta.harness.checks.grads import check, historical, units
from alexnet_rosetta.harness.checks.grads.difference import Check
from alexnet_rosetta.harness.checks.grads.subjects import Formulas, Port
from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.errors import Unsupported
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.reference import facts

IN_FLOAT64 = ("reference", "port")


def network(name):
    return units.learning_network(networks.load(name))


def unit_of(name, layer):
    return next(unit for unit in units.units(network(name), 4, 0) if unit.layer.name == layer)


@pytest.mark.parametrize("name", ["tiny", "cifar"])
def test_all_gradients_agree(name):
    found = list(check.gradient_rows(network(name), IN_FLOAT64, 4, 0, 1))
    assert {one.status for one in found} == {"agrees"}
    assert all(one.allowed < 1e-7 for one in found)  # the gates would notice an error of that size


def test_every_layer_of_the_zoo():
    found = list(check.gradient_rows(network("zoo"), IN_FLOAT64, 4, 0, 1))
    by_design = {one.layer for one in found if one.status == "by design"}
    without = {one.type for one in found if one.status == "no gradient"}
    assert {one.status for one in found} == {"agrees", "by design", "no gradient"}
    assert by_design == {"conv3_neuron", "tica1"}
    assert without == {"rscale", "rgb2yuv", "rgb2lab", "resize"}
    assert kit.exit_code(one.status for one in found) == 0
    chapters = re.compile(r"\((config-format|network-and-solver) \d")
    assert all(chapters.search(one.note) for one in found if one.status != "agrees")


class Bent:
    """A subject with one element of one gradient off by a part in ten thousand."""

    def __init__(self, subject, tensor):
        self.subject, self.tensor, self.outputs = subject, tensor, subject.outputs

    def gradients(self, unit, above):
        found = dict(self.subject.gradients(unit, above))
        bent = found[self.tensor] = found[self.tensor].copy()
        place = np.unravel_index(np.abs(bent).argmax(), bent.shape)
        bent[place] *= 1.0001
        return found


@pytest.mark.parametrize("subject", [Formulas, Port])
@pytest.mark.parametrize(
    ("name", "layer", "tensor"),
    [
        ("tiny", "conv1", "inputs[0]"),
        ("tiny", "conv1", "weights[0]"),
        ("tiny", "conv1", "biases"),
        ("tiny", "conv1_neuron", "inputs[0]"),
        ("tiny", "rnorm1", "inputs[0]"),
        ("tiny", "pool1", "inputs[0]"),
        ("tiny", "fc10", "weights[1]"),
        ("tiny", "probs", "inputs[0]"),
        ("zoo", "tica1", "inputs[0]"),
        ("zoo", "conv3_neuron", "inputs[0]"),
    ],
)
def test_a_wrong_derivative_is_found(subject, name, layer, tensor):
    unit, net = unit_of(name, layer), network(name)
    more = {"stand_in": unit.stand_in()} if facts(unit.layer).approximates else {}
    assert Check(subject(net), unit, 0, **more).slope(tensor).status == "agrees"
    found = Check(Bent(subject(net), tensor), unit, 0, **more).slope(tensor)
    assert found.status == "different"


def test_no_verdict_on_a_kink():
    unit = unit_of("tiny", "conv1_neuron")
    on_the_kink = unit.moved("inputs[0]", np.zeros_like(unit.inputs[0]))
    found = Check(Formulas(None), on_the_kink, 0).slope("inputs[0]")
    assert (found.status, found.reason) == ("inconclusive", "no step without a kink on the way")


def test_no_slope_says_nothing_but_a_slope_without_a_gradient_is_wrong():
    class Flat(Formulas):
        def outputs(self, unit):
            return np.zeros((unit.layer.outputs, 4))

        def gradients(self, unit, above):
            return {"inputs[0]": np.zeros_like(unit.inputs[0])}

    class Silent(Flat):
        outputs = Formulas.outputs

    unit = unit_of("tiny", "pool2")
    assert Check(Flat(None), unit, 0).slope("inputs[0]").status == "inconclusive"
    found = Check(Silent(None), unit, 0).slope("inputs[0]")
    assert found.status == "different"
    assert isinf(found.error)


def test_gradients_of_another_shape_and_differences_that_are_not_finite():
    class Transposed(Formulas):
        def gradients(self, unit, above):
            return {"inputs[0]": super().gradients(unit, above)["inputs[0]"].T}

    class Broken(Formulas):
        def outputs(self, unit):
            return super().outputs(unit) * np.nan

    unit = unit_of("tiny", "pool2")
    assert "has shape" in Check(Transposed(None), unit, 0).slope("inputs[0]").reason
    assert Check(Broken(None), unit, 0).slope("inputs[0]").reason == "the difference is not finite"


def test_a_matrix_that_is_used_twice_has_one_gradient():
    unit = unit_of("tiny", "fc10")
    same = unit.values["weights[1]"]
    twice = replace(unit, values=unit.values | {"inputs[0]": unit.inputs[1], "weights[0]": same})
    assert list(twice.collected({"weights[0]": 1, "weights[1]": 2})) == ["weights[0]"]
    assert twice.collected({"weights[0]": 1, "weights[1]": 2})["weights[0]"] == 3
    moved = twice.moved("weights[0]", same + 1)
    assert moved.values["weights[1]"] is moved.values["weights[0]"]


@pytest.fixture(scope="module")
def engine_of_2012():
    net = historical.historical_network(network("tiny"))
    return net, historical.Historical(net, 0, 3)


@pytest.mark.parametrize("layer", ["fc10", "fc1", "conv3"])
def test_the_check_of_2012(engine_of_2012, layer):
    net, found = engine_of_2012
    checker = found.checker({})
    for tensor in ("weights[0]", "biases"):
        ratio = checker.ratio(net.spec[layer], tensor, 3)
        assert ratio.status == "agrees"
        assert ratio.error < historical.THRESHOLD


@pytest.mark.parametrize(("layer", "tensor"), [("fc10", "weights[0]"), ("fc10", "biases"), ("conv3", "weights[1]")])
def test_the_check_of_2012_finds_a_wrong_gradient(engine_of_2012, monkeypatch, layer, tensor):
    net, found = engine_of_2012
    checker = found.checker({})
    read = checker.session.read

    def bent(name, what):
        return read(name, what) * np.float32(1.2 if name == layer and what != "cost" else 1)

    monkeypatch.setattr(checker.session, "read", bent)
    assert checker.ratio(net.spec[layer], tensor, 3).status == "different"


def test_the_order_of_2012_and_what_lies_above():
    net = network("zoo")
    names = [layer.name for layer, _ in historical.weighted(net)]
    assert names == sorted(names)
    checker = historical.Historical(historical.historical_network(network("tiny")), 0, 1).checker({})
    above = [layer.name for layer in checker.above(network("tiny").spec["fc10"])]
    assert above == ["fc10", "probs", "logprob"]


def test_an_engine_that_cannot_run_is_a_row(monkeypatch):
    def refuse(*args):
        raise Unsupported("no such layer")

    monkeypatch.setattr(historical, "open_session", refuse)
    (found,) = check.gradient_rows(network("tiny"), (historical.ENGINE,), 4, 0, 1)
    assert (found.status, found.note) == ("unsupported", "no such layer")
    assert kit.exit_code([found.status]) == 3


def test_command():
    result = CliRunner().invoke(cli, ["check", "grads", "tiny", "--engines", "port", "--batch", "2"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "tiny: 22 layers; 2 cases in float64, 2 in float32"
    assert lines[-1].startswith("39 of 39 gradients agree with differences; the closest call, port ")
    result = CliRunner().invoke(cli, ["check", "grads", "tiny", "--engines", "torch"])
    assert result.exit_code == 2
    assert "gradients of 'torch' are not checked" in result.stderr
