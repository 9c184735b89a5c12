"""Sum, maximum and concatenation of several inputs; dropout."""

import numpy as np
import pytest
from op_checks import assert_within, same_bits

from alexnet_rosetta.port import combine, dropout


def draw(count, dtype=np.float32, shape=(6, 5), seed=0):
    """Multiples of 1/2 from -2 to 2: sums are exact, ties are common."""
    return list((np.random.default_rng(seed).integers(-4, 5, (count, *shape)) / 2).astype(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sum(dtype):
    inputs, coeffs = draw(3, dtype), (0.3, -1.7, 2.0)
    exact = [np.float64(x) * c for x, c in zip(inputs, coeffs, strict=True)]
    assert_within(combine.eltsum_forward(inputs, coeffs), sum(exact), 6, np.abs(exact).sum(axis=0))
    assert same_bits(combine.eltsum_forward(inputs), sum(inputs))
    for gradient, coeff in zip(combine.eltsum_backward(inputs[0], coeffs), coeffs, strict=True):
        assert same_bits(gradient, inputs[0] * dtype(coeff))


def test_maximum_gives_every_tied_input_the_whole_gradient():
    inputs, grads = draw(3), draw(1, seed=1)[0]
    acts = combine.eltmax_forward(inputs)
    assert same_bits(acts, np.maximum.reduce(inputs))
    gradients = combine.eltmax_backward(inputs, acts, grads)
    for x, gradient in zip(inputs, gradients, strict=True):
        assert same_bits(gradient, grads * (x == acts))
    assert ((np.array(inputs) == acts).sum(axis=0) > 1).any()
    assert combine.eltmax_forward([np.float32([np.nan, 1]), np.float32([1, np.nan])]).tolist()[1] == 1  # a > b ? a : b


def test_concatenation_and_its_slices():
    inputs = [a[:rows] for a, rows in zip(draw(3), (1, 4, 2), strict=True)]
    acts = combine.concat_forward(inputs)
    assert same_bits(acts, np.vstack(inputs))
    slices = combine.concat_backward(acts, [1, 4, 2])
    assert all(same_bits(a, b) for a, b in zip(slices, inputs, strict=True))


def test_dropout_scales_at_test_time_only():
    x, mask = draw(1)[0], (np.arange(30).reshape(6, 5) % 3 > 0).astype(np.float32)
    for function in (dropout.dropout_forward, dropout.dropout_backward):
        assert same_bits(function(x, 0.7, mask), x * mask)
        assert same_bits(function(x, 0.7), x * np.float32(0.7))


@pytest.mark.parametrize("join", [combine.eltsum_forward, combine.eltmax_forward, combine.concat_forward])
def test_one_input_is_enough_and_others_must_match_the_first(join):
    x, y = draw(2)
    assert same_bits(join([x]), x)
    for others in ([y.astype(np.float64)], [y.astype(np.float64), y]):
        with pytest.raises(ValueError, match=r"inputs\[1\] has the wrong dtype"):
            join([x, *others])


def test_of_two_zeros_the_first_is_the_maximum():
    zeros = np.float32([0.0, -0.0])
    assert same_bits(combine.eltmax_forward([zeros, -zeros]), zeros)


def test_bad_arguments_are_refused():
    a, b = draw(2)
    for call in (
        lambda: combine.eltsum_forward([a, b[1:]]),
        lambda: combine.eltsum_forward([a, b], [1.0]),
        lambda: combine.eltmax_forward([]),
        lambda: combine.eltmax_forward([a, b.astype(float)]),
        lambda: combine.eltmax_backward([a, b], a, b[1:]),
        lambda: combine.concat_forward([a, b[:, 1:]]),
        lambda: combine.concat_backward(a, [1, 2]),
        lambda: dropout.dropout_forward(a, 0.5, b[1:]),
        lambda: dropout.dropout_forward(a.astype(int), 0.5),
    ):
        with pytest.raises(ValueError, match="hint"):
            call()
