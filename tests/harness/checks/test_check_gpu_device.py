"""`rosetta check gpu` on the real device code, over the driver that is none (tests/legacy/fake_gpu.py)."""

from pathlib import Path

import pytest
from fake_gpu import FakeGpu

from alexnet_rosetta.harness.checks import gpu as gpu_check
from alexnet_rosetta.harness.checks.gpu.evidence import read
from alexnet_rosetta.harness.checks.gpu.job import Settings
from alexnet_rosetta.harness.engines.card import Card
from alexnet_rosetta.harness.engines.legacy import LegacyGpu
from alexnet_rosetta.legacy import gpu

GOLDEN = Path(__file__).parents[2] / "golden"
H100 = {"name": "NVIDIA H100 80GB HBM3", "compute_capability": [9, 0], "multiprocessors": 132, "clock_khz": 1_980_000,
        "memory_clock_khz": 2_619_000, "bus_bits": 5120, "memory_bytes": 85_000_000_000, "driver": "580.159.04",
        "cuda": "13.0"}  # fmt: skip


@pytest.fixture
def card(monkeypatch):
    """A card that nothing but its name is real of."""
    shared = FakeGpu()

    def open_device(debug=None):
        device = FakeGpu()
        device.driver, device.memory = shared.driver, shared.memory
        return device

    monkeypatch.setattr(gpu, "open_device", open_device)
    monkeypatch.setattr(LegacyGpu, "probe", lambda self: (True, "a card that is none"))
    monkeypatch.setattr(Card, "facts", lambda self: dict(H100))
    monkeypatch.setattr(Card, "memory_taken", lambda self: shared.driver.allocated)
    return shared


@pytest.fixture
def small(tmp_path):
    folder = tmp_path / "golden"
    (folder / "fma").mkdir(parents=True)
    for name in ("convFilterActs.npz", "fma/convFilterActs.npz", "convLocalPool_Max.npz"):
        (folder / name).write_bytes((GOLDEN / name).read_bytes())
    return Settings(folder, {"cifar": 4}, {"tiny": 4}, steps=4, repeat=1, bench="cifar")


def test_the_parts_pass_and_the_evidence_names_the_card(card, small, tmp_path):
    said, parts = [], ["kernels", "golden", "exact", "cifar", "steps", "bench"]
    code = gpu_check.check_gpu(tmp_path / "evidence.json", said.append, parts, settings=small)
    assert code == 0, said
    assert card.driver.launched
    found = read(tmp_path / "evidence.json")
    assert found["card"]["name"] == "NVIDIA H100 80GB HBM3"
    numbers = {name: part["numbers"] for name, part in found["parts"].items()}
    assert set(numbers["golden"]["convolutions"]) == {"bits of legacy-cpu"}
    assert numbers["cifar"]["engines"] == ["legacy-gpu", "legacy-cpu", "port"]
    assert numbers["cifar"]["tensors_with_equal_bits"]["legacy-gpu = legacy-cpu"] > 0
    assert len(set(numbers["steps"]["memory_bytes"].values())) == 1
    assert numbers["bench"]["copy_seconds"]["legacy-gpu"] > 0
    assert numbers["bench"]["peaks"]["legacy-gpu"]["flops"] == 2 * 132 * 128 * 1.98e9
