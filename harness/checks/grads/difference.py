"""One directional derivative, once from a gradient and once from a central difference, and how far they may be apart.

Let f be a weighted sum of a unit's outputs (of a cost: its objective), g the gradient that is checked, v a random
direction. With e(h) = (f(x + hv) - f(x - hv)) / 2h - <g, v> a right gradient has

    e(h) = c h² + r(h),     |r(h)| <= R(h) = (rounding of f) / h + rounding of <g, v>,

where the rounding of f and g in float64 comes from the reference's error model. Then |e(h) - e(h/2)| is three times
what is left of the truncation in e(h/2), up to rounding, and the gate for |e(h/2)| is

    |e(h) - e(h/2)| + R(h/2).

A wrong gradient shifts e(h) and e(h/2) alike and does not widen its own gate. The step is a power of two: the first
one, coming down, at which no number crosses a kink and truncation is no longer the larger part of the gate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from ...reference import Bounded
from ...values.noise import generator
from .subjects import Subject, branches, double_error, forward_error, gradient_errors
from .units import Unit

STEPS = [2.0**-k for k in range(6, 34, 3)]
DIRECTIONS = 5
"""How many directions are tried for one along which a kink is far enough."""

LOOSE = 0.1
"""A gate that is a larger share of the slope than this would accept anything."""

ROUNDOFF = 2.0**-53


@dataclass(frozen=True)
class Slope:
    """What was found along one direction."""

    error: float = inf  # |e|, divided by the size that a slope has along a random direction, ‖g∘v‖
    allowed: float = inf  # the gate, divided likewise
    step: float = 0.0  # h/2
    reason: str = ""  # why nothing could be said

    @property
    def status(self) -> str:
        """``agrees``, ``different`` or ``inconclusive``."""
        if self.reason or not self.allowed <= LOOSE:
            return "inconclusive"
        return "agrees" if self.error <= self.allowed else "different"


class Check:
    """The gradients of one unit, as a subject computes them.

    ``stand_in``: ``stand_in(inputs)`` gives the Bounded outputs that the gradients are of, if not those of the subject.
    """

    def __init__(
        self, subject: Subject, unit: Unit, seed: int, stand_in: Callable[[Sequence[np.ndarray]], Bounded] | None = None
    ) -> None:
        self.unit, self.seed = unit, seed
        self.outputs = (lambda near: stand_in(near.inputs).value) if stand_in else subject.outputs
        shape = unit.layer.outputs, unit.inputs[0].shape[1]
        priced = unit.priced is not None
        self.above = None if priced else self._random("above").standard_normal(shape)
        self.weights = np.ones(1) if priced else self.above
        self.gradients = subject.gradients(unit, self.above)
        self.errors = gradient_errors(unit, self.above)
        errors = double_error(stand_in(unit.inputs)) if stand_in else forward_error(unit)
        self.noise = sqrt(2) * _norm(self.weights * errors)
        self.sides = branches(unit)

    def slope(self, tensor: str) -> Slope:
        """The Slope along a random direction of one tensor."""
        x, grad = self.unit.values[tensor], self.gradients[tensor]
        if grad.shape != x.shape:
            return Slope(reason=f"the gradient has shape {grad.shape}, the tensor {x.shape}")
        size = sqrt(np.mean(np.square(x))) or 1.0
        for k in range(DIRECTIONS):
            direction = size * self._random("direction", tensor, k).standard_normal(x.shape)
            found = self._along(tensor, direction)
            if not found.reason:
                return found
        return found

    def _along(self, tensor: str, direction: np.ndarray) -> Slope:
        scale = _norm(self.gradients[tensor] * direction)
        best, wide = Slope(reason="no step without a kink on the way"), None
        for h in STEPS:
            narrow = self._error(tensor, direction, h)
            if narrow is None:
                wide = None
                continue
            error, rounding = narrow
            if not np.isfinite(error):
                return Slope(reason="the difference is not finite")
            if wide is not None:
                truncation = abs(error - wide)
                found = _relative(abs(error), truncation + rounding, scale, h)
                best = min(best, found, key=lambda one: (bool(one.reason), one.allowed))
                if truncation <= rounding:
                    break
            wide = error
        return best

    def _error(self, tensor: str, direction: np.ndarray, h: float) -> tuple[float, float] | None:
        """(e(h), R(h)), None if a number crosses a kink."""
        x = self.unit.values[tensor]
        ends = x + h * direction, x - h * direction
        plus, minus = (self.unit.moved(tensor, end) for end in ends)
        if not (self._same_side(plus) and self._same_side(minus)):
            return None
        rises = self.weights * (self.outputs(plus) - self.outputs(minus))
        step = (ends[0] - ends[1]) / (2 * h)  # the direction, as far as float64 could follow it
        falls = self.gradients[tensor] * step
        rounding = self.noise + _of_sum(rises)
        return np.sum(rises) / (2 * h) - np.sum(falls), (
            rounding / (2 * h) + _norm(step * self.errors[tensor]) + _of_sum(falls)
        )

    def _same_side(self, unit: Unit) -> bool:
        return all(np.array_equal(a, b) for a, b in zip(self.sides, branches(unit), strict=True))

    def _random(self, *key: str | int) -> np.random.Generator:
        return generator(self.seed, "gradients", self.unit.layer.name, *key)


def _relative(error: float, allowed: float, scale: float, step: float) -> Slope:
    if scale == 0:  # nothing flows here: any difference is wrong, and none says nothing
        return Slope(inf if error > allowed else 0.0, 0.0 if error > allowed else inf, step)
    return Slope(error / scale, allowed / scale, step)


def _norm(x: np.ndarray) -> float:
    return float(np.sqrt(np.sum(np.square(x))))


def _of_sum(terms: np.ndarray) -> float:
    """How far rounding may take a sum in float64 (docs/verdict.md)."""
    return 8 * sqrt(np.size(terms)) * ROUNDOFF * float(np.sum(np.abs(terms)))
