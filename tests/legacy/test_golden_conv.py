"""What the recorded convolution cases serve beside `rosetta check golden` (tests/harness/checks/test_golden.py)."""

from pathlib import Path

import numpy as np
import pytest

from alexnet_rosetta.harness.checks.golden import check, files, ordered
from alexnet_rosetta.harness.engines.legacy import EntryPoints
from alexnet_rosetta.legacy import Refused, cudaconv

GOLDEN = Path(__file__).parents[1] / "golden"
ENTRIES = [f"{layer}{what}Acts{table}" for layer in ("conv", "local") for what in ("Filter", "Img", "Weight")
           for table in ("", "Sparse")]  # fmt: skip


def recorded(entry):
    return files.read(GOLDEN / f"{entry}.npz")


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if "Weight" in entry])
def test_ordered_sums_are_those_of_the_recording(entry):
    """The NumPy expectation itself: rounded products give the recording, fused ones the recording with contraction."""
    for case in recorded(entry):
        if case.refused or "short" in case.about["entry"] or not ordered.rounds_products(case):
            continue
        assert check.same_bits(ordered.weight_gradient(case, fused=False), case.arrays["out_targets"]).all()
        if "out_targets" in case.fused:
            assert check.same_bits(ordered.weight_gradient(case, fused=True), case.fused["out_targets"]).all()


@pytest.mark.parametrize("entry", ENTRIES)
def test_number_of_threads_does_not_matter(entry, monkeypatch):
    def blocks(case):
        return np.prod(case.about["launches"][0]["grid"]) if case.about["launches"] else 0

    case, results = max(recorded(entry), key=blocks), []
    for threads in ("1", "3"):
        monkeypatch.setenv("ROSETTA_THREADS", threads)
        results.append(EntryPoints("strict").call(case.entry, case.arguments()).outputs[0].tobytes())
    assert blocks(case) > 3
    assert results[0] == results[1]


@pytest.mark.parametrize("entry", ["convWeightActsSparse", "localWeightActsSparse"])
def test_short_overload_needs_a_target(entry):
    case = next(case for case in recorded(entry) if "short" in case.about["entry"])
    with pytest.raises(Refused, match="targets has the wrong shape"):
        getattr(cudaconv, entry)(**{**case.arguments(), "targets": None})
