"""The engine legacy-gpu under the harness's commands, on a GPU that is none."""

import numpy as np
import pytest
from click.testing import CliRunner
from fake_gpu import FakeGpu

from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.legacy import gpu


@pytest.fixture
def rosetta(monkeypatch):
    """Runs a command with a fake GPU in the machine."""
    monkeypatch.setattr(gpu, "probe", lambda: (True, "a fake"))
    monkeypatch.setattr(gpu, "open_device", lambda debug=None: FakeGpu(debug=True))
    return lambda *args: CliRunner().invoke(cli.cli, list(args))


@pytest.mark.parametrize("mode", ["isolated", "propagated"])
def test_compare(rosetta, tmp_path, mode):
    result = rosetta("compare", "tiny", "--engines", "legacy-gpu,legacy-cpu", "--batch", "4", "--input", "random",
                     "--passes", "forward,backward,update", "--mode", mode, "--out", str(tmp_path / "run"))  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "different" not in result.output.splitlines()[-1]


def test_bench(rosetta):
    result = rosetta("bench", "tiny", "--engines", "legacy-gpu,legacy-cpu", "--batch", "4", "--repeat", "1")
    assert result.exit_code == 0, result.output
    assert "legacy-gpu" in result.output


def test_doctor_and_list(rosetta):
    for command in ("doctor", "list"):
        assert "legacy-gpu" in rosetta(command).output
    assert "a fake" in rosetta("doctor").output


def test_a_session_tells_seconds_copies_and_launches(rosetta):
    network = networks.load("tiny")
    session = engines.find("legacy-gpu").open(network, 1)
    session.record_launches()
    name = next(layer.name for layer in network.layers if layer.type == "data")
    outputs = next(layer.outputs for layer in network.layers if layer.name == name)
    session.forward(name, [np.ones((outputs, 2), np.float32)])
    assert session.copy_seconds(name, "forward") > 0
    assert session.seconds(name, "forward") == 0
    assert session.launches() == []
