"""A record in small: what it says about a run, and two rows."""

import numpy as np

from alexnet_rosetta.harness.judging.finding import Finding, Worst
from alexnet_rosetta.harness.judging.row import Row

ABOUT = {"status": "complete", "options": {"passes": ("forward",)}, "number": np.float32(0.5)}


def some_rows():
    """A row of a convolution in two engines, and one that is missing."""
    odd = Finding("different", 6, float("inf"), Worst((1, 2), float("nan"), 1.5, 0.0), 7, 1, 1)
    good = Finding("equivalent", 6, 0.25, Worst((0, 0), 1.0, 1.0, 0.1))
    return [
        Row(
            "conv1", "conv", "forward", "acts", (2, 3), {"port": good, "other": odd}, {"port = other": 1}, {"port": 0.5}
        ),
        Row("fc1", "fc", "backward", "biases_grad", (1, 3), {"port": Finding("missing", reason="none")}),
    ]
