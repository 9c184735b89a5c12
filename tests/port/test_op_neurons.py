"""Neurons against their formulas in float64, at their special points, and against central differences."""

import numpy as np
import pytest
from op_checks import assert_gradient, assert_same_bits_on_any_number_of_threads, assert_within, same_bits

from alexnet_rosetta.port.neurons import neuron_backward, neuron_forward


def logistic(x):
    return 1 / (1 + np.exp(-x))


# kind: parameters, f(x), f'(x), and how large the terms of f and f' are, rounding of the inner argument included
FORMULAS = {
    "ident": ({}, lambda x: x, np.ones_like, np.abs, np.ones_like),
    "relu": ({}, lambda x: np.maximum(x, 0), lambda x: x > 0, np.abs, np.ones_like),
    "brelu": (dict(a=1.5), lambda x: np.clip(x, 0, 1.5), lambda x: (x > 0) & (x < 1.5), np.abs, np.ones_like),
    "abs": ({}, np.abs, np.sign, np.abs, np.ones_like),
    "logistic": ({}, logistic, lambda x: logistic(x) * logistic(-x), lambda x: 1 + np.abs(x), lambda x: 1 + np.abs(x)),
    "tanh": (dict(a=1.7, b=0.6), lambda x: 1.7 * np.tanh(0.6 * x), lambda x: 1.02 * (1 - np.tanh(0.6 * x) ** 2),
             lambda x: 1.7 * (1 + np.abs(x)), lambda x: 1.02 * (2 + np.abs(x))),
    "softrelu": ({}, lambda x: np.where(x > 4, x, np.log1p(np.exp(x))), lambda x: np.where(x > 4, 1, logistic(x)),
                 lambda x: 1 + np.abs(x), lambda x: 1 + np.abs(x)),
    "square": ({}, np.square, lambda x: 2 * x, np.square, lambda x: 2 * np.abs(x)),
    "sqrt": ({}, np.sqrt, lambda x: 0.5 / np.sqrt(x), np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "linear": (dict(a=-0.7, b=0.3), lambda x: -0.7 * x + 0.3, lambda x: np.full_like(x, -0.7),
               lambda x: 0.7 * np.abs(x) + 0.3, lambda x: np.full_like(x, 0.7)),
    "drelu": (dict(a=1.3), lambda x: x - 1.3 * np.tanh(x / 1.3), lambda x: np.tanh(x / 1.3) ** 2,
              lambda x: 1.3 + np.abs(x), lambda x: 1 + np.abs(x)),
}  # fmt: skip
OPERATIONS = 8  # at most, exp and tanh counted as one each


def inputs(kind, dtype):
    """Values away from the kinks at 0, 1.5 and 4, on both sides of each; positive ones for the square root."""
    x = np.random.default_rng(4).uniform(-6, 6, (31, 17)).astype(dtype)
    for kink in (0, 1.5, 4):
        x[np.abs(x - kink) < 0.05] += 0.1
    return np.abs(x) if kind == "sqrt" else x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", FORMULAS)
def test_both_passes_match_the_formula(kind, dtype):
    params, f, slope, size, slope_size = FORMULAS[kind]
    x = inputs(kind, dtype)
    grads = np.random.default_rng(5).standard_normal(x.shape).astype(dtype)
    y = neuron_forward(kind, x, **params)
    dx = neuron_backward(kind, x, y, grads, **params)
    exact = x.astype(float)
    assert y.dtype == dx.dtype == dtype
    assert_within(y, f(exact), OPERATIONS, size(exact))
    assert_within(dx, grads * slope(exact), OPERATIONS, np.abs(grads) * slope_size(exact))


@pytest.mark.parametrize("kind", FORMULAS)
def test_central_differences(kind):
    params = FORMULAS[kind][0]
    rng = np.random.default_rng(6)
    x = inputs(kind, np.float64)[:4, :5]
    grads = rng.standard_normal(x.shape)
    gradient = neuron_backward(kind, x, neuron_forward(kind, x, **params), grads, **params)
    step = 0.05 / 4  # no direction reaches a kink
    assert_gradient(lambda v: (neuron_forward(kind, x + step * np.tanh(v), **params) * grads).sum(),
                    np.zeros_like(x), step * gradient, rng)  # fmt: skip


def at(kind, x, grads=1.0, **params):
    """(y, dx) of one float32 value."""
    x = np.array([x], np.float32)
    y = neuron_forward(kind, x, **params)
    return y[0], neuron_backward(kind, x, y, np.array([grads], np.float32), **params)[0]


def test_special_points():
    assert np.isnan(at("relu", np.nan)[0])
    assert np.signbit(at("relu", -0.0)[0])
    assert at("relu", 0.0)[1] == 0
    assert at("abs", 0.0) == (0, -1)
    assert at("brelu", 1.5, a=1.5) == (1.5, 0)
    assert at("brelu", 0.0, a=1.5) == (0, 0)
    assert at("softrelu", 4.0)[0] == np.float32(np.log1p(np.exp(4.0)))
    assert at("softrelu", 4.0)[1] < 1
    assert np.signbit(at("brelu", -0.0, a=1.5)[0])
    above = np.nextafter(np.float32(4), np.float32(5))
    assert at("softrelu", above) == (above, 1)
    assert at("softrelu", 200.0) == (200, 1)
    assert at("logistic", -200.0) == (0, 0)
    assert np.isinf(at("sqrt", 0.0)[1])
    assert np.isnan(at("relu", -1.0, grads=np.inf)[1])  # factors of 0 do not mask


def test_noisy_relu():
    x = np.array([-1, 0, 2, 2, 2], np.float32)
    y = neuron_forward("nrelu", x, normals=np.array([3, 3, 0.5, -1, -2], np.float32))
    assert y.tolist() == [0, 0, 3, 0, 0]
    assert neuron_backward("nrelu", x, y, np.full_like(x, 2)).tolist() == [0, 0, 2, 0, 0]


def test_relu_of_many_values_on_any_number_of_threads(monkeypatch):
    x = np.random.default_rng(7).standard_normal(100_003).astype(np.float32)

    def run():
        y = neuron_forward("relu", x)
        assert same_bits(y, np.where(x < 0, np.float32(0), x))
        return y, neuron_backward("relu", x, y, x)

    assert_same_bits_on_any_number_of_threads(run, monkeypatch)


def test_numbers_of_any_kind_leave_the_dtype_alone():
    y = neuron_forward("linear", np.ones(3, np.float32), a=np.float64(2), b=1)
    assert same_bits(y, np.full(3, 3, np.float32))


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        ("abstanh", dict(a=1, b=1), "never registered"),
        ("relux", {}, "unknown neuron"),
        ("tanh", dict(a=1), "wrong parameters"),
        ("relu", dict(a=1), "wrong parameters"),
        ("nrelu", {}, "wrong parameters"),
    ],
)
def test_bad_arguments_are_refused(kind, params, words):
    with pytest.raises(ValueError, match=words):
        neuron_forward(kind, np.zeros(3, np.float32), **params)
