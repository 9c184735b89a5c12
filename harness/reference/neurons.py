"""Neurons: element-wise functions Y = f(X), and their gradients dX = V f'(X), written with Y where history did.

Error model: what only selects or copies (relu, brelu, abs, ident) must match bit for bit.  The others count their
roundings n, and take for M the result times the condition of the *formula that engines use*:

    e^x           relative error 1 + |x|       (the argument is scaled by log2 e in float32)
    s = 1/(1+e^-x)  absolute error s (1 + (1-s)|x|)
    tanh          is computed as 2 s(2x) - 1, which cancels near 0: absolute error 1 + 2 s (1 + (1-s)|2x|)

Source: network-and-solver 6.5; pool-norm 8.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .bounded import ROUNDOFF, Bounded, scaled_copy
from .layer import Arrays, Draw, Formula, Layer, LayerSpec, normals


class Neuron(Layer):
    """A `neuron` layer.  `nrelu` takes the recorded normals as `mask`."""

    noisy = False

    def __init__(self, spec: Mapping[str, Any]) -> None:
        neuron = spec["neuron"]
        # An engine holds its parameters in float32, and compares with them (brelu).
        self.params = {name: np.float64(np.float32(value)) for name, value in neuron["params"].items()}
        self.function, self.gradient = TYPES[neuron["type"]]

    def forward(self, inputs: Arrays, params: object = None, *, mask: np.ndarray | None = None, **_: object) -> Bounded:
        """Outputs like the input."""
        return self.function(*self._operands(inputs[0], mask), **self.params)

    def inputs_grad(
        self,
        i: int,
        inputs: Arrays,
        acts_grad: np.ndarray,
        params: object = None,
        *,
        mask: np.ndarray | None = None,
        targets: np.ndarray | None = None,
        coeff: float = 1.0,
        **_: object,
    ) -> Bounded:
        """Gradient of the input.

        With `targets`, like the outputs, that of a logistic neuron and cost.crossent2 together (acts_grad unused).
        """
        if targets is not None:
            return d_logistic_crossent2(targets, coeff, inputs[0])
        return self.gradient(acts_grad, *self._operands(inputs[0], mask), **self.params)

    def _operands(self, x: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray | None, ...]:
        return (x, mask) if self.noisy else (x,)


class LogisticNeuron(Neuron):
    """A `neuron` layer of type logistic, whose outputs a cost can take for probabilities."""

    fuses_with = ("cost.crossent2",)


class NoisyNeuron(Neuron):
    """A `neuron` layer of type nrelu; `mask` holds the normals."""

    noisy = True
    approximates = "the noise counts as a constant, though it grows with the input (network-and-solver 6.5 and 10)"

    @staticmethod
    def noise(spec: Mapping[str, Any] | LayerSpec, pass_type: str) -> Draw:
        """A normal for each output."""
        return normals

    def stand_in(self, inputs: Arrays, mask: np.ndarray) -> Formula:
        """Outputs of nrelu, relu(relu(x) + n), with the noise n of these inputs, as a function of inputs."""
        noise = np.maximum(inputs[0], 0) * mask

        def outputs(inputs: Arrays) -> Bounded:
            y = np.maximum(inputs[0], 0)
            return Bounded(np.maximum(y + noise, 0), y + np.abs(noise), 2)

        return outputs


# Copies and selections.


def relu(x: np.ndarray) -> Bounded:
    return Bounded(np.where(x < 0, np.float32(0), x))


def d_relu(v: np.ndarray, x: np.ndarray) -> Bounded:
    return Bounded(v * (x > 0))


def brelu(x: np.ndarray, a: float) -> Bounded:
    return Bounded(np.where(x < 0, np.float32(0), np.where(x > a, np.float32(a), x)))


def d_brelu(v: np.ndarray, x: np.ndarray, a: float) -> Bounded:
    return Bounded(v * ((x > 0) & (x < a)))


def absolute(x: np.ndarray) -> Bounded:
    return Bounded(np.abs(x))


def d_absolute(v: np.ndarray, x: np.ndarray) -> Bounded:
    return Bounded(np.where(x > 0, v, -v))


# Arithmetic.


def nrelu(x: np.ndarray, normals: np.ndarray) -> Bounded:
    y = np.where(x < 0, 0, np.asarray(x, np.float64))
    return Bounded(np.maximum(y + y * normals, 0), y * (1 + np.abs(normals)), 2)


def d_nrelu(v: np.ndarray, x: np.ndarray, normals: np.ndarray) -> Bounded:
    return Bounded(v * (nrelu(x, normals).value > 0))


def logistic(x: np.ndarray) -> Bounded:
    s, error = _logistic(x)
    return Bounded(s, error, 4)


def d_logistic(v: np.ndarray, x: np.ndarray) -> Bounded:
    s, error = _logistic(x)
    return Bounded(v * s * (1 - s), np.abs(v) * error, 8)


def d_logistic_crossent2(targets: np.ndarray, coeff: float, x: np.ndarray) -> Bounded:
    s, error = _logistic(x)
    return Bounded(coeff * (targets - s), abs(coeff) * (np.abs(targets) + error), 6)


def tanh(x: np.ndarray, a: float, b: float) -> Bounded:
    t, error = _tanh(b * x)
    return Bounded(a * t, np.abs(a) * error, 6)


def d_tanh(v: np.ndarray, x: np.ndarray, a: float, b: float) -> Bounded:
    t, error = _tanh(b * x)
    return Bounded(v * a * b * (1 - t * t), np.abs(v * a * b) * (1 + 2 * np.abs(t) * error), 8)


def drelu(x: np.ndarray, a: float) -> Bounded:
    t, error = _tanh(x / a)
    return Bounded(x - a * t, np.abs(x) + np.abs(a) * error, 8)


def d_drelu(v: np.ndarray, x: np.ndarray, a: float) -> Bounded:
    t, error = _tanh(x / a)
    second_order = 8 * ROUNDOFF * np.sqrt(8) * error * error  # all there is where t = 0
    return Bounded(v * t * t, np.abs(v) * (t * t + 2 * np.abs(t) * error + second_order), 8)


def softrelu(x: np.ndarray) -> Bounded:
    x = np.asarray(x, np.float64)
    s, _ = _logistic(x)
    y = np.logaddexp(0, x)
    return Bounded(np.where(x > 4, x, y), np.where(x > 4, 0, y + 1 + s * (1 + np.abs(x))), 4)


def d_softrelu(v: np.ndarray, x: np.ndarray) -> Bounded:
    s, error = _logistic(x)
    return Bounded(np.where(x > 4, v, v * s), np.where(x > 4, 0, np.abs(v) * (s + error)), 6)


def square(x: np.ndarray) -> Bounded:
    y = np.square(x, dtype=np.float64)
    return Bounded(y, y, 1)


def d_square(v: np.ndarray, x: np.ndarray) -> Bounded:
    value = 2 * np.multiply(v, x, dtype=np.float64)
    return Bounded(value, np.abs(value), 2)


def sqrt(x: np.ndarray) -> Bounded:
    with np.errstate(invalid="ignore"):
        y = np.sqrt(x, dtype=np.float64)
    return Bounded(y, y, 1)


def d_sqrt(v: np.ndarray, x: np.ndarray) -> Bounded:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = v / (2 * np.sqrt(x, dtype=np.float64))
    return Bounded(value, np.abs(value), 3)


def linear(x: np.ndarray, a: float, b: float) -> Bounded:
    return Bounded(a * x + b, np.abs(a * x) + np.abs(b), 2)


def d_linear(v: np.ndarray, x: np.ndarray, a: float, b: float) -> Bounded:
    return scaled_copy(v, a)


def _logistic(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """s = 1 / (1 + e^-x) and the size of its error."""
    x = np.asarray(x, np.float64)
    small = np.exp(-np.abs(x))  # cannot overflow
    s = np.where(x < 0, small, 1) / (1 + small)
    complement = np.where(x < 0, 1, small) / (1 + small)
    return s, s * (1 + complement * np.abs(x))


def _tanh(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """tanh x and the size of its error when computed as 2 s(2x) - 1."""
    x = np.asarray(x, np.float64)
    _, error = _logistic(2 * x)
    return np.tanh(x), 1 + 2 * error


TYPES: dict[str, tuple[Callable[..., Bounded], Callable[..., Bounded]]] = {
    "ident": (Bounded, lambda v, x: Bounded(v)),
    "relu": (relu, d_relu),
    "nrelu": (nrelu, d_nrelu),
    "brelu": (brelu, d_brelu),
    "abs": (absolute, d_absolute),
    "logistic": (logistic, d_logistic),
    "tanh": (tanh, d_tanh),
    "drelu": (drelu, d_drelu),
    "softrelu": (softrelu, d_softrelu),
    "square": (square, d_square),
    "sqrt": (sqrt, d_sqrt),
    "linear": (linear, d_linear),
}
