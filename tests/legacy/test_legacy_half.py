"""Half precision: convQuantizeHalf and convDequantizeHalf against NumPy's float16, bit for bit."""

import numpy as np
import pytest

from alexnet_rosetta.legacy import Refused, cudaconv, launch_log

EVERY = np.arange(2**16, dtype=np.uint16).view(np.float16)


def packed(values):
    """float16 values, two in the place of a float."""
    padded = np.append(values.ravel(), np.zeros(values.size % 2, np.float16))
    return padded.view(np.float32)[None]


def floats():
    """Numbers around every half and every tie, and anything else."""
    halves = EVERY[np.isfinite(EVERY)].astype(np.float32)
    ties = (halves[:-1] + halves[1:]) / 2
    exact = np.concatenate([halves, ties])
    rng = np.random.default_rng(0)
    any_bits = rng.integers(0, 2**32, 100_000, np.uint32).view(np.float32)
    near = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    special = np.array([65504, 65519.996, 65520, 1e30, np.inf, -np.inf, 0, -0.0, 2**-24, 2**-25, 1e-40], np.float32)
    values = np.concatenate([exact, *near, any_bits[~np.isnan(any_bits)], special])
    return values[: values.size // 2 * 2].reshape(2, -1)


def test_rounding_is_to_nearest_even():
    values = floats()
    with np.errstate(over="ignore"):
        expected = packed(values.astype(np.float16))
    assert cudaconv.convQuantizeHalf(values).tobytes() == expected.tobytes()


def test_every_half_comes_back():
    found = cudaconv.convDequantizeHalf(packed(EVERY), numElements=EVERY.size)[0]
    expected = EVERY.astype(np.float32)
    nan = np.isnan(expected)
    assert np.isnan(found[nan]).all()
    assert found[~nan].tobytes() == expected[~nan].tobytes()


def test_nan_stays_nan():
    values = np.array([[np.nan, 1.0], [2.0, -np.nan]], np.float32)
    found = cudaconv.convDequantizeHalf(cudaconv.convQuantizeHalf(values), numElements=4)
    np.testing.assert_array_equal(np.isnan(found[0]), [True, False, False, True])
    np.testing.assert_array_equal(found[0, 1:3], [1, 2])


@pytest.mark.parametrize("elements", [1, 2, 255, 256, 257])
def test_odd_numbers_scales_and_launches(elements):
    rng = np.random.default_rng(elements)
    values, target = (rng.integers(-8, 9, (1, elements)).astype(np.float32) / 4 for _ in range(2))
    with launch_log() as log:
        pairs = cudaconv.convQuantizeHalf(values)
        found = cudaconv.convDequantizeHalf(pairs, target, numElements=elements, scaleTarget=2, scaleOutput=0.5)
    assert pairs.shape == (1, (elements + 1) // 2)
    np.testing.assert_array_equal(found, 2 * target + values / 2)
    blocks = [-(-pairs.shape[1] // 128), -(-elements // 128)]
    assert [(r["kernel"], r["grid"], r["block"]) for r in log] == [
        ("kQuantizeHalf<128>", (blocks[0], 1, 1), (128, 1, 1)),
        ("kDequantizeHalf<128>", (blocks[1], 1, 1), (128, 1, 1)),
    ]
    assert all(r["rule"] for r in log)


def test_refused_sizes():
    pairs = np.zeros((1, 2), np.float32)
    with pytest.raises(Refused, match="quantized has the wrong size"):
        cudaconv.convDequantizeHalf(pairs, numElements=5)
    with pytest.raises(Refused, match="target has the wrong size"):
        cudaconv.convDequantizeHalf(pairs, np.zeros((1, 3), np.float32), numElements=4, scaleTarget=1)
