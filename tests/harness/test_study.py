import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_nets import Faulty

from alexnet_rosetta.harness import cli, engines, networks, study
from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.errors import BadInput

PORT = Path(__file__).parents[2] / "port"


class Launching(ReferenceSession):
    """Writes a launch record for each step."""

    def __init__(self, network):
        super().__init__(network)
        self.log = []

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


@pytest.mark.parametrize("function", [(file, name) for file, names in study.PORT.values() for name in names])
def test_the_functions_of_the_port_exist(function):
    file, name = function
    assert re.search(rf"^def {name}\(", (PORT / file).read_text(), re.MULTILINE)


def test_a_launch_is_explained(legacy):
    result = CliRunner().invoke(cli.cli, ["study", "tiny", "conv2b", "--batch", "4"])
    assert result.exit_code == 0
    for word in (
        "conv2b: conv, 1024 inputs, 2048 outputs, 4 cases",
        "forward: ",
        "backward: ",
        "update: ",
        "someKernel",
        "template  4, true",
        "grid 3x2, block 32x4x1, 96 bytes shared",
        "because   N mod 128 == 0",
        "conv_forward  port/conv.py:",
    ):
        assert word in result.output


@pytest.mark.parametrize("name", [x.name for x in networks.load("tiny").layers if x.type != "data"])
def test_every_layer_can_be_studied(legacy, name):
    assert any("forward" in line for line in study.lines("tiny", name, batch=4))


def test_the_port_has_a_place_for_every_layer_type():
    assert set(study.PORT) == {layer.type for layer in networks.load("zoo").layers} - {"data"}


def test_the_source_of_a_kernel_is_its_definition():
    """A comment above mentions kLocalRandomPool, too."""
    file, line = study._find("legacy", "*.cuh", study.WORD.format("KERNEL kLocalRandomPool")).split(":")
    found = Path(study.__file__).parents[1].joinpath(file).read_text().splitlines()[int(line) - 1]
    assert found.startswith("KERNEL kLocalRandomPool(")


@pytest.mark.parametrize("name", ["conv9", "data"])
def test_an_unknown_layer_names_the_others(legacy, name):
    with pytest.raises(BadInput, match=r"hint: layers: conv1, "):
        list(study.lines("tiny", name))
