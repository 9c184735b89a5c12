import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_nets import Faulty

from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.study import layer as study

PORT = Path(__file__).parents[3] / "port"


class Launching(ReferenceSession):
    """Writes a launch record for each step."""

    def __init__(self, network):
        super().__init__(network)
        self.log = []

    def record_launches(self):
        self.log.clear()

    def launches(self):
        return self.log

    def _note(self, layer, step):
        self.log.append(
            {"layer": layer, "pass": step, "kernel": "someKernel<4, true>", "grid": (3, 2), "block": (32, 4, 1),
             "shared_bytes": 96, "args": [], "seconds": 0.5, "rule": "N mod 128 == 0"}
        )  # fmt: skip

    def forward(self, layer, inputs=None, mask=None):
        super().forward(layer, inputs, mask)
        self._note(layer, "forward")

    def backward(self, layer, acts_grad=None, progress=0.0):
        super().backward(layer, acts_grad, progress)
        self._note(layer, "backward")

    def update(self, layer, progress=0.0):
        super().update(layer, progress)
        self._note(layer, "update")


@pytest.fixture
def legacy(monkeypatch):
    monkeypatch.setattr(engines, "available", lambda names: [Faulty(Launching)])


def test_a_launch_is_explained(legacy):
    result = CliRunner().invoke(cli.cli, ["study", "tiny", "conv2b", "--batch", "4"])
    assert result.exit_code == 0
    assert "\\n" not in result.output
    for word in (
        "conv2b: conv, 1024 inputs, 2048 outputs, 4 cases",
        "forward: ",
        "backward: ",
        "update: ",
        "someKernel",
        "template  4, true",
        "grid 3x2, block 32x4x1, 96 bytes shared",
        "because   N mod 128 == 0",
        "conv_forward           port/conv.py:",
        "seconds are of this machine's",
    ):
        assert word in result.output


@pytest.mark.parametrize("name", [x.name for x in networks.load("tiny").layers if x.type != "data"])
def test_every_layer_can_be_studied(legacy, name):
    assert any("forward" in line for line in study.lines("tiny", name, batch=4))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pool1", ["host      convLocalPool legacy/host/pool.cpp:", "port      pool.max_pool_forward\n",
                   "port      pool.max_pool_backward\n", "subsX is size"]),
        ("pool2", ["port      pool.avg_pool_forward\n", "port      pool.avg_pool_backward\n"]),
        ("fc1", ["host      addProduct legacy/", "port      linear.fc_backward_inputs, linear.fc_backward_weights"]),
        ("conv2b", ["host      weightActs legacy/host/weight_acts.cpp:", "paddingStart is padding"]),
    ],
)  # fmt: skip
def test_a_launch_has_its_host_function_and_the_port_s_function(name, words):
    text = "\n".join(study.lines("tiny", name, batch=16))
    for word in words:
        assert word in text
    assert "maxabs" not in text


def test_a_product_of_the_library_has_no_grid_and_no_source():
    text = "\n".join(study.lines("tiny", "fc1", batch=4))
    assert re.search(r"  sgemm\(.*\)\n    because ", text)
    assert not re.search(r"source +$", text, re.M)


def functions(net, name):
    network = networks.load(net)
    return study.port_functions(network, network.graph.layers[name])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("pool1", {"max_pool_forward", "max_pool_backward"}),
        ("pool2", {"avg_pool_forward", "avg_pool_backward"}),
        ("hs1", {"dropout_forward", "dropout_backward"}),
        ("probs", {"softmax_forward", "softmax_logreg_backward", "label_positions"}),
        ("logprob", {"logreg_cost", "label_positions", "rank_errors"}),
        ("fc1", {"fc_forward", "fc_backward_inputs", "fc_backward_weights", "fc_backward_biases", "rate", "update",
                 "bound_norms"}),
    ],
)  # fmt: skip
def test_only_the_functions_that_a_layer_uses(name, wanted):
    assert set(functions("tiny", name)) == wanted


@pytest.mark.parametrize("name", [x.name for x in networks.load("zoo").layers if x.type != "data"])
def test_the_place_of_a_function_is_its_definition(name):
    found = functions("zoo", name)
    assert found
    for function, place in found.items():
        file, line = place.removeprefix("port/").split(":")
        assert (PORT / file).read_text().splitlines()[int(line) - 1].startswith((f"def {function}(", "@"))


def test_the_table_has_every_layer_and_pass_with_its_kernels():
    result = CliRunner().invoke(cli.cli, ["study", "tiny", "--batch", "16"])
    assert result.exit_code == 0, result.output
    head, _, *body, last = result.output.splitlines()
    assert "16 cases; seconds are of this machine's" in head
    assert "rosetta study tiny LAYER" in last
    network = networks.load("tiny")
    steps = [line.split()[:2] for line in body if line[0] != " "]
    assert [name for name, step in steps if step == "forward"] == [x.name for x in network.layers if x.type != "data"]
    assert [name for name, step in steps if step == "backward"] == [x.name for x in network.graph.backward_order()]
    (conv,) = [line for line in body if line.startswith("conv2b ") and " forward " in line]
    assert re.search(r" \d+\.\d{4}  filterActs_YxX_sparse<", conv)
    assert any(line.strip().startswith("kColVectorOp<") for line in body)
    (fc10,) = [line for line in body if line.startswith("fc10 ") and " forward " in line]
    assert "  2 x sgemm(" in fc10


def test_the_source_of_a_kernel_is_its_definition():
    """A comment above mentions kLocalRandomPool, too."""
    file, line = study._find("legacy", "*.cuh", study.WORD.format("KERNEL kLocalRandomPool")).split(":")
    found = Path(study.__file__).parents[2].joinpath(file).read_text().splitlines()[int(line) - 1]
    assert found.startswith("KERNEL kLocalRandomPool(")


@pytest.mark.parametrize("name", ["conv9", "data"])
def test_an_unknown_layer_names_the_others(legacy, name):
    with pytest.raises(BadInput, match=r"layers: conv1, "):
        list(study.lines("tiny", name))


def test_the_passes_that_are_shown_can_be_chosen(legacy):
    result = CliRunner().invoke(cli.cli, ["study", "tiny", "conv2b", "--batch", "4", "--pass", "update,forward"])
    assert [line.split(":")[0] for line in result.output.splitlines() if "GFLOP" in line] == ["forward", "update"]


def test_a_table_of_one_pass():
    result = CliRunner().invoke(cli.cli, ["study", "tiny", "--batch", "16", "--pass", "update"])
    _, _, *body, _ = result.output.splitlines()
    assert {line.split()[1] for line in body if line[0] != " "} == {"update"}


def test_an_unknown_pass_is_bad_input():
    result = CliRunner().invoke(cli.cli, ["study", "tiny", "--pass", "sideways"])
    assert result.exit_code == 2
    assert "sideways" in result.stderr
    assert "forward or backward or update" in result.stderr
