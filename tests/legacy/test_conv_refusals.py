"""Convolution calls that make no sense are refused before any memory is touched, and the message says why."""

import numpy as np
import pytest

from alexnet_rosetta.legacy import Refused, cudaconv

FORWARD = {"imgSizeY": 4, "numModulesY": 4, "numModulesX": 4, "paddingStart": -1, "moduleStride": 1, "numImgColors": 4,
           "numGroups": 1}  # fmt: skip
SPARSE = {**FORWARD, "numImgColors": 8, "numFilterColors": 4, "numGroups": 4}
IMAGE = {"imgSizeY": 4, "imgSizeX": 4, "numModulesY": 4, "paddingStart": -1, "moduleStride": 1, "numImgColors": 8,
         "numFilterColors": 4, "numGroups": 4}  # fmt: skip
TABLE = np.arange(16, dtype=np.int32).reshape(4, 4) % 8


def zeros(rows, cols):
    return np.zeros((rows, cols), np.float32)


def forward(images=None, filters=None, **changes):
    images = zeros(64, 2) if images is None else images
    return cudaconv.convFilterActs(images, zeros(36, 16) if filters is None else filters, **{**FORWARD, **changes})


def sparse(table, **changes):
    return cudaconv.convFilterActsSparse(zeros(128, 2), zeros(36, 64), colorIndices=table, **{**SPARSE, **changes})


def image_gradient(table, hid_acts=None, filters=None, **changes):
    hid_acts = zeros(1024, 2) if hid_acts is None else hid_acts
    filters = zeros(36, 64) if filters is None else filters
    return cudaconv.convImgActsSparse(hid_acts, filters, colorIndices=table, **{**IMAGE, **changes})


def test_the_calls_that_are_varied_here_are_good():
    assert forward().shape == (256, 2)
    assert sparse(TABLE).shape == (1024, 2)
    assert image_gradient(TABLE).shape == (256, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numImgColors": 0}, "numImgColors must be positive"),
        ({"numGroups": 0}, "numGroups must be positive"),
        ({"imgSizeY": 0}, "imgSizeY must be positive"),
        ({"moduleStride": 0}, "moduleStride must be positive"),
        ({"numModulesX": -4}, "numModulesX must be positive"),
        ({"numModulesY": 2.5}, "not an integer"),
        ({"imgSizeY": 2**40}, "not an integer of 32 bits"),
        ({"imgSizeY": float("nan")}, "not a finite number"),
        ({"numModulesY": 2**20, "numModulesX": 2**20}, "too many elements"),
        ({"paddingStart": 1}, "paddingStart must not be positive"),
        ({"paddingStart": -(2**31) + 1}, "do not reach"),
        ({"paddingStart": -(2**30), "numModulesX": 2**29, "numModulesY": 2**29, "moduleStride": 3}, "too far"),
        ({"moduleStride": 4}, "gaps between modules"),
        ({"images": zeros(64, 0)}, "number of images must be positive"),
        ({"images": zeros(60, 2)}, "images has the wrong shape"),
        ({"filters": zeros(35, 16)}, "filters have the wrong shape"),
        ({"filters": zeros(36, 0)}, "number of filters"),
        ({"generation": 2014}, "no such kernels"),
    ],
)
def test_forward(change, message):
    with pytest.raises(Refused, match=message):
        forward(**change)


def test_more_elements_than_offsets_can_tell_apart():
    wide = np.lib.stride_tricks.as_strided(zeros(1, 1), (64, 2), (2**28, 4))  # rows 2^26 floats apart
    with pytest.raises(Refused, match="images is too large"):
        forward(images=wide)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE[:2], "wrong shape"),
        (TABLE + 1, "names a channel that is not there"),
        (TABLE - 1, "names a channel that is not there"),
        (TABLE.astype(float), "wrong type"),
    ],
)
@pytest.mark.parametrize("entry", [sparse, image_gradient])
def test_tables(entry, table, message):
    with pytest.raises(Refused, match=message):
        entry(table)


def test_image_gradient_wants_every_channel_once_per_sample():
    table = TABLE.copy()
    table[0, 0] = 1
    sparse(table)
    with pytest.raises(Refused, match="not made of permutations"):
        image_gradient(table)


def test_sparse_image_gradient_of_images_with_more_regions_one_way():
    """The historical kernel counts ceil(imgSizeX / 4) squared regions; with 8 channels per filter another one runs."""
    tall = {"imgSizeY": 8, "imgSizeX": 4, "numModulesY": 8}
    with pytest.raises(Refused, match="image is not square"):
        image_gradient(TABLE, hid_acts=zeros(64 * 32, 2), **tall)
    eight = {"filters": zeros(72, 64), "numFilterColors": 8, "numGroups": 2}
    result = image_gradient(TABLE.reshape(2, 8), hid_acts=zeros(64 * 32, 2), **eight, **tall)
    assert result.shape == (2 * 8 * 32, 2)


def test_weight_gradient():
    images, hid_acts = zeros(64, 2), zeros(256, 2)
    good = {**FORWARD, "filterSize": 3}
    assert cudaconv.convWeightActs(images, hid_acts, **good, partialSum=4).shape == (4 * 36, 16)
    for change, message in [({"partialSum": 3}, "partialSum"), ({"partialSum": -4}, "partialSum"),
                            ({"filterSize": 0}, "filterSize must be positive"),
                            ({"numImgColors": 2, "numGroups": 2}, "number of filters")]:  # fmt: skip
        with pytest.raises(Refused, match=message):
            cudaconv.convWeightActs(images, hid_acts, **{**good, **change})
    with pytest.raises(Refused, match="unknown overload"):
        cudaconv.convWeightActsSparse(
            images, hid_acts, colorIndices=TABLE, overload="tiny", **{**SPARSE, "filterSize": 3}
        )
