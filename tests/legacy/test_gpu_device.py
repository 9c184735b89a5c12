"""The GPU device without a GPU: everything but CUDA itself, on memory that the host cannot touch."""

from pathlib import Path

import pytest
from fake_gpu import FakeGpu

from alexnet_rosetta.harness.golden import files
from alexnet_rosetta.legacy import Refused, cudaconv, launch_log

GOLDEN = Path(__file__).parents[1] / "golden"


def outcome(case, device):
    """Bits of the outputs and the launches, or the refusal."""
    try:
        with launch_log() as log:
            outputs = getattr(cudaconv, case.entry)(**case.arguments(), device=device)
    except Refused as refusal:
        return str(refusal)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [array.tobytes() for array in outputs], [{**record, "seconds": None} for record in log]


@pytest.mark.parametrize("path", files.paths(GOLDEN), ids=lambda path: path.stem)
def test_recorded_cases_are_the_same_bit_for_bit(path):
    device = FakeGpu(debug=True)
    for case in files.read(path):
        assert outcome(case, device) == outcome(case, "cpu")
        device.forget_launches()
    assert not device.memory.live()
