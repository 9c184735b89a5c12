"""What operations refuse: sizes at and beyond their limits."""

import numpy as np
import pytest

from alexnet_rosetta.port import checks


@pytest.mark.parametrize("shape", [(0, 2, 2, 1), (1, 0, 0, 1), (1, 2, 2, 0)])
def test_empty_images_are_refused(shape):
    with pytest.raises(checks.OperandError, match="out of range"):
        checks.square("images", np.zeros(shape))


def test_a_channel_has_to_fit_into_32_bits(monkeypatch):
    monkeypatch.setattr(checks, "INT_MAX", 12)
    assert checks.square("images", np.zeros((5, 2, 2, 3))).shape == (5, 2, 2, 3)
    with pytest.raises(checks.OperandError, match="1 to 12 values"):
        checks.square("images", np.zeros((1, 2, 2, 4)))


def geometry(channels=6, filters=4, size=3, padding=0, stride=1, groups=1, modules=None):
    return checks.conv_geometry("op", (channels, 5, 5, 7), filters, size, padding, stride, groups, modules)


def test_the_sizes_of_a_convolution():
    expected = {"K": 3, "S": 2, "F": 4, "I": 5, "M": 3, "N": 7, "padding": 1, "stride": 2, "groups": 2}
    assert geometry(size=2, padding=1, stride=2, groups=2) == expected | {"M": 4}
    assert geometry(size=2, padding=1, stride=2, groups=2, modules=3) == expected
    assert geometry(size=5)["M"] == geometry(size=7, padding=1)["M"] == 1
    assert geometry(size=1)["M"] == 5


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"stride": 0}, "wrong step or padding"),
        ({"padding": -1}, "wrong step or padding"),
        ({"size": 0}, "wrong filter_size"),
        ({"size": 6}, "wrong filter_size"),
        ({"size": 8, "padding": 1}, "wrong filter_size"),
        ({"groups": 0}, "wrong number of groups"),
        ({"groups": 4}, "wrong number of groups"),
        ({"groups": 3}, "wrong number of groups"),
    ],
)
def test_a_convolution_that_is_none(wrong, words):
    with pytest.raises(checks.OperandError, match=words):
        geometry(**wrong)


def test_gradients_have_the_shape_of_the_outputs():
    g = geometry()
    checks.check_modules("grads", np.zeros((4, 3, 3, 7)), g)
    for shape in ((3, 3, 3, 7), (4, 2, 3, 7), (4, 3, 2, 7), (4, 3, 3, 6), (4, 3, 3)):
        with pytest.raises(checks.OperandError, match="grads have the wrong shape"):
            checks.check_modules("grads", np.zeros(shape), g)
