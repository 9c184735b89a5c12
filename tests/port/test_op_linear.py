"""Fully connected layers against the float64 product, in both memory orders of the weights."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from op_checks import assert_same_bits_on_any_number_of_threads, assert_within, same_bits

from alexnet_rosetta.port import linear


def operands(sizes, dtype, order, seed=0):
    """inputs (I, N), weights (I, O), biases (1, O), grads (O, N)."""
    rng = np.random.default_rng(seed)
    num_inputs, num_outputs, images = sizes
    shapes = (num_inputs, images), (num_inputs, num_outputs), (1, num_outputs), (num_outputs, images)
    x, w, b, g = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    return x, np.asarray(w, order=order), b, g


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=40)
@given(sizes=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9)), seed=st.integers(0, 2**32 - 1))
@example(sizes=(300, 270, 5), seed=0)  # several blocks of work
@example(sizes=(1, 7, 3), seed=0)
@example(sizes=(7, 1, 3), seed=0)
def test_all_passes_match_the_formula(dtype, order, sizes, seed):
    x, w, b, g = operands(sizes, dtype, order, seed)
    fx, fw, fb, fg = (a.astype(float) for a in (x, w, b, g))
    num_inputs, num_outputs, images = sizes
    acts = linear.fc_forward(x, w, b)
    assert_within(acts, fw.T @ fx + fb.T, num_inputs + 1, abs(fw).T @ abs(fx) + abs(fb).T)
    assert_within(linear.fc_backward_inputs(g, w), fw @ fg, num_outputs, abs(fw) @ abs(fg))
    assert_within(linear.fc_backward_biases(g), fg.sum(1)[None], images, abs(fg).sum(1)[None])
    out = w.copy(order="K")
    assert linear.fc_backward_weights(x, g, out, 0.9, 0.01) is out
    size = 0.9 * abs(fw) + 0.01 * (abs(fx) @ abs(fg).T)
    assert_within(out, 0.9 * fw + 0.01 * (fx @ fg.T), images + 3, size)


@pytest.mark.parametrize("order", ["C", "F"])
def test_accumulation_and_scales(order):
    """Products of small integers are exact: same bits."""
    x, w, b, g = (np.asarray(np.round(2 * a), order=order) for a in operands((20, 30, 4), np.float32, order))
    product = linear.fc_forward(x, w, None)
    out = np.ascontiguousarray(g).copy()
    assert linear.fc_forward(x, w, b, out=out, accumulate=True) is out
    assert same_bits(out, g + product + b.T)
    out[:] = np.nan
    assert same_bits(linear.fc_forward(x, w, b, out=out), product + b.T)
    fresh = np.full_like(w, np.nan)
    assert same_bits(linear.fc_backward_weights(x, g, fresh), x @ g.T)  # scale_out 0 reads nothing
    assert same_bits(linear.fc_backward_weights(x, g, fresh, 1, 2), 3 * (x @ g.T))


def test_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
    x, w, b, g = operands((700, 500, 33), np.float32, "C")

    def run():
        dw = linear.fc_backward_weights(x, g, np.zeros_like(w))
        return linear.fc_forward(x, w, b), linear.fc_backward_inputs(g, w), dw

    assert_same_bits_on_any_number_of_threads(run, monkeypatch)


def test_bad_arguments_are_refused():
    x, w, b, g = operands((6, 5, 4), np.float32, "C")
    for call, words in (
        (lambda: linear.fc_forward(x, w.T.copy(), b), "transposed"),
        (lambda: linear.fc_forward(x, w[:, ::2], b), "memory order"),
        (lambda: linear.fc_forward(x, w, b.T), "biases has the wrong shape"),
        (lambda: linear.fc_forward(x, w.astype(float), b), "wrong dtype"),
        (lambda: linear.fc_forward(x, w, b, accumulate=True), "accumulate without out"),
        (lambda: linear.fc_forward(x, w, b, out=np.asfortranarray(g)), "not contiguous"),
        (lambda: linear.fc_backward_inputs(g[1:], w), "grads has the wrong shape"),
        (lambda: linear.fc_backward_weights(x, g, w[:, 1:].copy()), "out has the wrong shape"),
        (lambda: linear.fc_backward_weights(x, g[:, 1:], w), "grads has the wrong shape"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
