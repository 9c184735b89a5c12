"""Half precision between devices, as several GPUs had it (network-and-solver 11.1 and 11.2).

Where the quantiser ``quantF`` of a layer is ``half``, layers on other devices (``gpu``) see its output rounded; where
``quantB`` is, what each other device sends back is summed there and rounded before it is added to the rest.
"""

from collections.abc import Callable, Mapping

import numpy as np

from . import sum_grads
from .bounded import ROUNDOFF, Bounded, within


def half(array: np.ndarray) -> np.ndarray:
    """Rounded to IEEE half precision, to nearest even, as float32; beyond 65504 infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(array, np.float32).astype(np.float16).astype(np.float32)


def half_bounded(bounded: Bounded) -> Bounded:
    """A reference tensor after it crossed: what rounds alike from anywhere inside the bound is exact."""
    value = np.asarray(bounded.value, np.float64)
    reach = 8 * np.sqrt(bounded.terms) * ROUNDOFF * bounded.magnitude
    low, high = half(value - reach), half(value + reach)
    found = half(value)
    with np.errstate(invalid="ignore"):
        distance = np.where(low == high, 0, np.maximum(high - found, found - low))
    return within(found, distance)


def collected(
    sends_from: Callable[[str, str], int | None], name: str, parts: Mapping[tuple[str, int], Bounded]
) -> Bounded:
    """The gradient of a layer's output from those that its consumers send: dict of (consumer, input index) to Bounded.

    Returns the sum of what is sent on the layer's own device, and of what each other device sends after it has crossed.
    """
    sums: dict[int | None, list[Bounded]] = {}
    for (consumer, _), part in parts.items():
        sums.setdefault(sends_from(name, consumer), []).append(part)
    devices = {device: sum_grads(sent) for device, sent in sums.items()}
    return sum_grads([own if device is None else half_bounded(own) for device, own in devices.items()])


def added(sums: Mapping[int | None, np.ndarray]) -> np.ndarray:
    """The same for the sums of an engine that computes in float32: dict of device, None for the own one, to array."""
    crossed = [own if device is None else half(own) for device, own in sorted(sums.items(), key=_own_first)]
    total = crossed[0]
    for more in crossed[1:]:
        total = total + more
    return total


def _own_first(item: tuple[int | None, np.ndarray]) -> int:
    return -1 if item[0] is None else item[0]
