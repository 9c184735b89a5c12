"""`rosetta check gpu` on the real device code, over the driver that is none (tests/legacy/fake_gpu.py)."""

from pathlib import Path

import pytest
from fake_gpu import FakeGpu

from alexnet_rosetta.harness.checks import gpu as gpu_check
from alexnet_rosetta.harness.checks.gpu import kernels, page
from alexnet_rosetta.harness.checks.gpu.evidence import read
from alexnet_rosetta.harness.checks.gpu.job import Settings
from alexnet_rosetta.harness.engines.card import Card
from alexnet_rosetta.harness.engines.legacy import LegacyGpu
from alexnet_rosetta.legacy import gpu

GOLDEN = Path(__file__).parents[2] / "golden"
EVIDENCE = Path(__file__).parents[3] / "docs" / "evidence"
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
    return Settings(folder, {"cifar": 4, "zoo": 4}, {"tiny": 4}, steps=4, repeat=1, bench="cifar")


def test_the_parts_pass_and_the_evidence_names_the_card(card, small, tmp_path):
    said, parts = [], ["kernels", "golden", "exact", "cifar", "zoo", "steps", "bench"]
    code = gpu_check.check_gpu(tmp_path / "evidence.json", said.append, parts, settings=small)
    assert code == 0, said
    assert card.driver.launched
    found = read(tmp_path / "evidence.json")
    assert found["card"]["name"] == "NVIDIA H100 80GB HBM3"
    numbers = {name: part["numbers"] for name, part in found["parts"].items()}
    assert all(set(counts) == {"bits of legacy-cpu"} for counts in numbers["golden"]["bits"].values())
    assert numbers["cifar"]["engines"] == ["legacy-gpu", "legacy-cpu", "port"]
    assert numbers["cifar"]["tensors_with_equal_bits"]["legacy-gpu = legacy-cpu"] > 0
    quirks = {name: {quirk for row in numbers["zoo"]["rows"] for quirk in row["quirks"].get(name, ())}
              for name in numbers["zoo"]["engines"]}  # fmt: skip
    assert quirks["legacy-gpu"] == quirks["legacy-cpu"] != set()
    assert quirks["port"] == set()
    assert "no difference is unexplained" in numbers["zoo"]["sentence"]
    assert len(set(numbers["steps"]["memory_bytes"].values())) == 1
    assert numbers["bench"]["copy_seconds"]["legacy-gpu"] > 0
    assert numbers["bench"]["peaks"]["legacy-gpu"]["flops"] == 2 * 132 * 128 * 1.98e9
    check_page(found, numbers)


def check_page(found, numbers):
    """The page of an evidence file says what the file says."""
    assert kernels.outdated(found, threads=1) == []
    text = "\n".join(page.page(found))
    assert text.startswith("## NVIDIA H100 80GB HBM3\n")
    assert "older" not in text
    counts = numbers["golden"]["bits"]["convFilterActs"]
    assert f"| `convFilterActs` | {counts['bits of legacy-cpu']} | 0 |  |" in text
    assert f"| legacy-gpu | {numbers['bench']['images_per_second']['legacy-gpu']:,.1f} |" in text
    first = numbers["bench"]["layers"][0]
    share = first["operations"] / first["seconds"]["legacy-gpu"] / numbers["bench"]["peaks"]["legacy-gpu"]["flops"]
    assert f"| conv1 | forward | {first['seconds']['legacy-gpu'] * 1e3:.3f} | {share:.1%} |" in text
    # Another build says what has changed, and nothing of the file can write the page.
    numbers["kernels"]["kernels"] = [name for name in numbers["kernels"]["kernels"] if "filterActs" not in name]
    numbers["kernels"]["launches"]["cifar 4"]["hash"] = "another"
    found["build"]["kernels"] = "0" * 16
    found["card"]["name"] = "a <b>card</b>"
    numbers["golden"]["exceptions"] = [{"entry": "convFilterActs", "kernels": ["k<1, 2>"], "elements": 1, "of": 2,
                                        "largest": "inf", "functions": ["fast|Exp"]}]  # fmt: skip
    changed = kernels.outdated(found, threads=1)
    assert [sentence.split(" ")[0] for sentence in changed][:2] == ["the", "a"]
    assert any(sentence.endswith("was not compiled then") for sentence in changed)
    text = "\n".join(page.page(found, changed))
    assert "**The evidence is older than this build.**" in text
    assert "<b>" not in text
    assert "`k<1, 2>`: 1 of 2 elements, at most inf; approximate on a GPU: fast\\|Exp |" in text


@pytest.mark.parametrize("path", sorted(EVIDENCE.glob("*.json")) or [None], ids=lambda path: path and path.stem)
def test_the_evidence_of_a_card_is_of_this_build(path):
    """Every file in docs/evidence: all parts passed, and the launches are today's; older kernels are said."""
    if path is None:
        pytest.skip("docs/evidence has no file of a card")
    found = read(path)
    assert {name: part["status"] for name, part in found["parts"].items()} == dict.fromkeys(gpu_check.PARTS, "passed")
    changed = kernels.outdated(found, threads=2)
    if found["build"]["kernels"] != kernels.kernel_sources()[:16]:
        pytest.skip(f"{path.name} is older than the kernels, check the card again: {'; '.join(changed)}")
    assert changed == []
