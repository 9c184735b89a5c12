"""Response normalisation a few pixels at a time: the same bits."""

import numpy as np
import pytest

from alexnet_rosetta.harness.reference import norm


@pytest.mark.parametrize("blocked", [False, True])
def test_bands_of_pixels_change_no_bit(monkeypatch, blocked):
    spec = {"type": "cmrnorm", "channels": 6, "size": 5, "scale": 0.1, "pow": 0.75, "minDiv": 2.0, "blocked": blocked}
    x, v = np.random.default_rng(0).standard_normal((2, 6 * 49, 7), np.float32)
    op = norm.ResponseNorm(spec)
    whole = op.forward([x[:, :5]]), op.inputs_grad(0, [x[:, :5]], v[:, :5])
    monkeypatch.setattr(norm, "_BAND", 60)  # two pixels of five images
    for one, other in zip(whole, (op.forward([x[:, :5]]), op.inputs_grad(0, [x[:, :5]], v[:, :5])), strict=True):
        assert np.array_equal(one.value, other.value)
        assert np.array_equal(one.magnitude, other.magnitude)
