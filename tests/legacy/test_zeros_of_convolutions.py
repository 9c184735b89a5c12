"""Zeros, infinities and NaN in convolutions: the CPU leaves out steps in which both tiles of 2012 hold zeros."""

import numpy as np
import pytest

from alexnet_rosetta.legacy import _call, isa, use_isa

TINY, CHANNELS, FILTERS = np.float32(1e-30), 8, 64
each_module = pytest.mark.parametrize("module", isa.available())


def run(entry, first, second, size, side, padding=0):
    """One call of a convolution, image side `side`, filters of `size` x `size` pixels; the outputs."""
    modules = side + 2 * padding - size + 1
    names = {"Filter": ("images", "filters"), "Img": ("hidActs", "filters"), "Weight": ("images", "hidActs")}[entry]
    scalars = {"imgSizeY": side, "imgSizeX": side, "numModulesY": modules, "numModulesX": modules, "numGroups": 1,
               "paddingStart": -padding, "moduleStride": 1, "numImgColors": CHANNELS, "filterSize": size,
               "partialSum": 0, "scaleTargets": 0, "scaleOutput": 1}  # fmt: skip
    operands = [_call.row(name, array) for name, array in zip(names, (first, second), strict=True)]
    return _call.call(f"conv{entry}Acts", operands, [_call.row("targets", None)], scalars)


def filled(rows, cols, value):
    return np.full((rows, cols), value, np.float32)


def underflowing(array):
    """All -0 but for the first row, whose products with TINY are negative and too small for float32."""
    array[:] = -0.0
    array[0] = -TINY
    return array


@each_module
@pytest.mark.parametrize(("size", "zero_steps"), [(2, False), (3, True)])
def test_the_sign_of_zero_after_the_last_pixel_of_a_filter(module, size, zero_steps):
    images = underflowing(filled(CHANNELS * size**2, 32, 0))
    with use_isa(module):
        outputs = run("Filter", images, filled(CHANNELS * size**2, FILTERS, TINY), size, size)
        fused = isa.load(module).build_info()["fma"]
    assert (outputs == 0).all()
    assert (np.signbit(outputs) == (fused and not zero_steps)).all()


@each_module
@pytest.mark.parametrize(("cases", "zero_steps"), [(32, False), (5, True)])
def test_the_sign_of_zero_after_the_last_image(module, cases, zero_steps):
    images = filled(CHANNELS, cases, -0.0)
    images[:, 0] = -TINY
    with use_isa(module):
        outputs = run("Weight", images, filled(FILTERS, cases, TINY), 1, 1)
        fused = isa.load(module).build_info()["fma"]
    assert (outputs == 0).all()
    assert (np.signbit(outputs) == (fused and not zero_steps)).all()


@each_module
@pytest.mark.parametrize("cases", [5, 32, 128])
def test_pixels_outside_the_image_are_multiplied(module, cases):
    filters = filled(CHANNELS * 9, FILTERS, 1)
    filters[0] = np.inf  # the upper left tap of channel 0: 0 * inf where the window hangs over
    with use_isa(module):
        outputs = run("Filter", filled(CHANNELS * 16, cases, 1), filters, 3, 4, padding=1)
    over = np.zeros((4, 4), bool)
    over[0] = over[:, 0] = True
    assert (np.isnan(outputs.reshape(FILTERS, 4, 4, cases)) == over[None, :, :, None]).all()
    assert np.isinf(outputs.reshape(FILTERS, 4, 4, cases)[:, ~over]).all()


@each_module
@pytest.mark.parametrize("cases", [5, 32, 128])
def test_a_gradient_that_is_no_number_meets_pixels_outside(module, cases):
    hid = filled(FILTERS * 16, cases, 1)
    hid[0] = np.inf  # module 0 of filter 0, whose first row and column of pixels lie outside
    with use_isa(module):
        gradient = run("Weight", filled(CHANNELS * 16, cases, 1), hid, 3, 4, padding=1).reshape(CHANNELS, 3, 3, FILTERS)
    assert np.isfinite(gradient[..., 1:]).all()
    assert np.isnan(gradient[:, 0, :, 0]).all()
    assert np.isnan(gradient[:, :, 0, 0]).all()
    assert np.isinf(gradient[:, 1:, 1:, 0]).all()


@each_module
@pytest.mark.parametrize("cases", [5, 32, 128])
def test_what_is_no_number_stays_in_its_image(module, cases):
    hid = filled(FILTERS * 4, cases, 1)
    hid[:, cases - 1] = np.nan
    with use_isa(module):
        gradient = run("Img", hid, filled(CHANNELS * 9, FILTERS, 1), 3, 4)
    assert (np.isnan(gradient) == (np.arange(cases) == cases - 1)).all()
