"""`rosetta check power`: the map against changes that are really made."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.checks import kit, power
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.judging.verdict import judge
from alexnet_rosetta.harness.network.load import load
from alexnet_rosetta.harness.reference import Bounded
from alexnet_rosetta.harness.values import inputs

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def printed():
    result = CliRunner().invoke(cli.cli, ["check", "power", "tiny", "--batch", "4"])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def constant(printed, key, layer):
    (line,) = (line.split() for line in printed if line[2:].split()[:2] == [key, layer])
    return line[line.index(layer) + 1 :]


def test_tensors(printed):
    (acts,) = (line.split() for line in printed if line.split()[:3] == ["conv1", "forward", "acts"])
    whole, half, most = (float(text) for text in acts[3:6])
    assert 1e-7 < whole < half < most < 1
    (relu,) = (line for line in printed if line.split()[:3] == ["conv1_neuron", "forward", "acts"])
    assert "a bit" in relu
    assert relu.rstrip().endswith("%")
    assert printed[-2].startswith("91 tensors: a relative change of all elements is noticed from")


def test_what_the_guide_shows_is_the_whole_map():
    lines = (DOCS / "evidence" / "power-alexnet.txt").read_text().splitlines()
    places = {tuple(line[2:].split()[:3]) for line in lines}
    network = load("alexnet", None)
    assert {
        (layer.name, "forward", "acts") for layer in network.layers if layer.type != "data" and layer.outputs
    } <= places
    assert lines[-1].startswith("0 tensors without power")


def test_constants(printed):
    assert constant(printed, "momW", "conv1")[:2] == ["0.9", "±"]
    assert float(constant(printed, "scale", "rnorm1")[2]) <= 1e-3
    assert "probs" in constant(printed, "coeff", "logprob")  # the cost goes backward in one step with its softmax
    assert constant(printed, "keep", "hs1") == ["0.5", "never"]  # a training pass is given its mask
    assert not any(line[2:].startswith("initW") for line in printed)


def test_a_constant_whose_least_change_is_noticed(printed):
    """One tenth of the change that the map names is not noticed up or down."""
    least = float(constant(printed, "pow", "rnorm1")[2])
    work = kit.bare_workload("tiny", input="probing", batch=4)
    port = power.AsMeant(power.engines.find("port"))
    assert all(power._failing(work, port, "pow", ["rnorm1"], 1 + sign * least) for sign in (1, -1))
    assert not all(power._failing(work, port, "pow", ["rnorm1"], 1 + sign * least / 10) for sign in (1, -1))


def test_a_finding_knows_what_it_would_notice():
    values = np.float64([[4.0, -0.5, 0.0]])
    reference = Bounded(values, 1.0, 4)
    found = judge(reference, values.astype(np.float32))
    bound = 16 * 2.0**-24
    assert found.notices == pytest.approx(bound / 4, rel=1e-6)
    for share, status in ((1.6, "different"), (0.5, "equivalent")):
        moved = (values * (1 + share * found.notices)).astype(np.float32)
        assert judge(reference, moved).status == status
    assert judge(Bounded(np.zeros((1, 3))), np.zeros((1, 3), np.float32)).notices is None
    assert judge(Bounded(np.float32([[1, 2]])), np.float32([[1, 2]])).notices == 0


def test_a_tensor_without_power_is_weak():
    assert power.Power("a", "forward", "acts", None, (), 1.0).weak
    assert power.Power("a", "forward", "acts", 0.6, (0.7, 0.8), 0.0).weak
    assert not power.Power("a", "forward", "acts", 0.0, (0.0, 0.0), 0.0).weak
    assert power.Power("a", "forward", "acts", None, (), 1.0).line().startswith("? a")


def test_probing_input():
    """Pixels' size, ties, both edges, and no case like another or like its mirror image."""
    x = inputs.make(load("tiny", None), "probing", 16, 0).data["data"]
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (-128, 127)
    assert 0.05 < np.mean(x[1:] == x[:-1]) < 0.2
    assert len(np.unique(x, axis=1).T) == 16
    assert not any(np.array_equal(case, case[::-1]) for case in x.T)
    assert np.array_equal(x, inputs.make(load("tiny", None), "probing", 16, 0).data["data"])
