"""Neurons: elementwise functions and their gradients. Source: network-and-solver 6.5, pool-norm 8.

Each kind of neuron has two functions, which the two public functions look up. The loops ``relu_*`` of _loops.h do the
work of the rectifier, NumPy does that of the other kinds. A comparison is a factor 0 or 1, so that it does not hide an
infinite or a NaN gradient.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _loops, buffers
from .checks import Array, OperandError, floats, require, shaped
from .threads import VALUE, threads_for


def neuron_forward(kind: str, x: Array, **params: Any) -> Array:
    """Apply a neuron.

    Parameters
    ----------
    kind : str
        ident, relu, nrelu, brelu, abs, logistic, tanh, softrelu, square, sqrt, linear or drelu.
    x : ndarray
        float32 or float64, any shape.
    **params
        ``a`` (brelu: clip at a; drelu: x - a tanh(x/a)), ``a, b`` (tanh: a tanh(b x); linear: a x + b),
        ``normals`` (nrelu: standard normal deviates, shape of x).

    Returns
    -------
    ndarray, shape and dtype of x

    Raises
    ------
    OperandError
        A ValueError: unknown neuron, or its parameters are not the ones above.
    """
    forward, _, names = _lookup(kind)
    params = _checked_params(kind, params, names)
    return forward(floats("neuron_forward: x", x), **params)


def neuron_backward(kind: str, x: Array, y: Array, grads: Array, **params: Any) -> Array:
    """Gradient with respect to the neuron's input, for input and output of `neuron_forward`, and `grads`, that of y.

    The parameters of the neuron are those of `neuron_forward` (nrelu: normals are not needed).
    """
    _, backward, names = _lookup(kind)
    names = tuple(name for name in names if name != "normals")
    params = _checked_params(kind, params, names)
    grads = floats("neuron_backward: grads", grads)
    x = shaped("neuron_backward: x", x, grads.shape, grads, "the shape of grads")
    y = shaped("neuron_backward: y", y, grads.shape, grads, "the shape of grads")
    return backward(x, y, grads, **params)


def _relu(x: Array) -> Array:
    y = buffers.empty_like(x)
    _loops.relu_forward(x.reshape(-1), y.reshape(-1), threads_for(VALUE * x.size))
    return y


def _relu_backward(x: Array, y: Array, grads: Array) -> Array:
    dx = buffers.empty_like(grads)
    _loops.relu_backward(y.reshape(-1), grads.reshape(-1), dx.reshape(-1), threads_for(VALUE * y.size))
    return dx


def _nrelu(x: Array, normals: Array) -> Array:
    """Add noise whose standard deviation is the activation, in every pass type."""
    normals = shaped("neuron_forward: normals", normals, x.shape, x, "one standard normal deviate per value of x")
    y = _relu(x)
    return _relu(y + y * normals)


def _brelu(x: Array, a: float) -> Array:
    return np.where(x < 0, x.dtype.type(0), np.where(x > a, x.dtype.type(a), x))


def _brelu_backward(x: Array, y: Array, grads: Array, a: float) -> Array:
    return grads * ((y > 0) & (y < a))


def _abs_backward(x: Array, y: Array, grads: Array) -> Array:
    """The slope at 0 is -1."""
    return grads * np.where(x > 0, x.dtype.type(1), x.dtype.type(-1))


def _logistic(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def _tanh(x: Array, a: float, b: float) -> Array:
    return a * np.tanh(b * x)


def _tanh_backward(x: Array, y: Array, grads: Array, a: float, b: float) -> Array:
    return grads * (b * (a - y * y / a))


def _softrelu(x: Array) -> Array:
    """log(1 + e^x), but x where x is above 4; the function jumps by 0.018 there."""
    return np.where(x > 4, x, np.log1p(np.exp(np.minimum(x, 4))))


def _uncut(x: Array) -> Array:
    """log(1 + e^x) everywhere."""
    return np.logaddexp(x.dtype.type(0), x)


def _nrelu_of_variance(x: Array, normals: Array) -> Array:
    """The variance of the noise is the activation."""
    normals = shaped("neuron_forward: normals", normals, x.shape, x, "one standard normal deviate per value of x")
    y = _relu(x)
    return _relu(y + np.sqrt(y) * normals)


def _softrelu_backward(x: Array, y: Array, grads: Array) -> Array:
    e = np.exp(np.minimum(x, 4))
    return np.where(x > 4, grads, grads * (e / (1 + e)))


def _sqrt(x: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


def _sqrt_backward(x: Array, y: Array, grads: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return grads / (2 * y)


def _drelu(x: Array, a: float) -> Array:
    return x - a * np.tanh(x / a)


def _drelu_backward(x: Array, y: Array, grads: Array, a: float) -> Array:
    t = np.tanh(x / a)
    return grads * (t * t)


# kind: forward(x, parameters), backward(x, y, grads, parameters but normals), names of the parameters
_NEURONS: dict[str, tuple[Callable[..., Array], Callable[..., Array], tuple[str, ...]]] = {
    "ident": (np.copy, lambda x, y, grads: grads.copy(), ()),
    "relu": (_relu, _relu_backward, ()),
    "nrelu": (_nrelu, _relu_backward, ("normals",)),
    "brelu": (_brelu, _brelu_backward, ("a",)),
    "abs": (np.abs, _abs_backward, ()),
    "logistic": (_logistic, lambda x, y, grads: grads * y * (1 - y), ()),
    "tanh": (_tanh, _tanh_backward, ("a", "b")),
    "softrelu": (_softrelu, _softrelu_backward, ()),
    "square": (np.square, lambda x, y, grads: 2 * x * grads, ()),
    "sqrt": (_sqrt, _sqrt_backward, ()),
    "linear": (lambda x, a, b: a * x + b, lambda x, y, grads, a, b: a * grads, ("a", "b")),
    "drelu": (_drelu, _drelu_backward, ("a",)),
    "abs-flat": (np.abs, lambda x, y, grads: grads * np.sign(x), ()),
    "nrelu-variance": (_nrelu_of_variance, _relu_backward, ("normals",)),
    "softrelu-uncut": (_uncut, lambda x, y, grads: grads * _logistic(x), ()),
}

VARIANTS = {
    "abs": ("abs-slope-at-zero", "abs-flat"),
    "nrelu": ("nrelu-noise-is-activation", "nrelu-variance"),
    "softrelu": ("softrelu-cut", "softrelu-uncut"),
}
"""For a kind with a switch: the switch, and the kind that replaces it while the switch is off."""


def _lookup(kind: str) -> tuple[Callable[..., Array], Callable[..., Array], tuple[str, ...]]:
    hint = "ask for tanh and abs one after the other"
    require(
        kind != "abstanh",
        "neuron abstanh cannot be run",
        "a neuron the 2012 engine had",
        kind,
        f"its parser had a class for abstanh, but never registered it, and no kernel existed; {hint}",
    )
    if kind not in _NEURONS:
        raise OperandError("unknown neuron", ", ".join(_NEURONS), kind, "see the layer file's neuron=")
    return _NEURONS[kind]


def _checked_params(kind: str, params: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The parameters, numbers as Python floats, which do not change the dtype of arrays."""
    hint = "as in the layer file: brelu[a], tanh[a,b], linear[a,b], drelu[a]"
    require(set(params) == set(names), f"neuron {kind}: wrong parameters", names, tuple(params), hint)
    return {name: value if name == "normals" else float(value) for name, value in params.items()}
