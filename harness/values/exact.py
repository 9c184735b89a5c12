"""The exact tier: inputs so coarse that float32 makes no rounding error, in whatever order it adds.

Every number drawn is k/8 with |k| <= 6.  Products are multiples of 1/64, and so is every partial sum; as long as the
sum of absolute values stays below 2**24 units, float32 holds all of them exactly.  Two engines then differ only if one
of them computes something else.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import BadInput
from ..network.tensors import address
from ..reference import Bounded, facts

UNIT = 1 / 64
LARGEST = 6


def draw(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Multiples of 1/8 from -6/8 to 6/8, float32, from a numpy Generator."""
    return generator.integers(-LARGEST, LARGEST, shape, np.int8, endpoint=True).astype(np.float32) / np.float32(8)


def assert_exact(bounded: Bounded, what: str = "", unit: float = UNIT) -> None:
    """Refuse a result whose partial sums float32 might not hold.

    The magnitude of `bounded`, the reference's result, is the sum of absolute values; all partial sums are multiples of
    `unit`. `what` is a name, for the message. Raises BadInput: M exceeds 2**24 units somewhere.
    """
    largest = float(np.max(bounded.magnitude, initial=0.0)) / unit
    if not largest <= 2**24:
        raise BadInput(
            f"exact tier: sums of {what or 'this layer'} do not fit into 24 bits",
            expected=f"at most {2**24} units of {unit:g}",
            actual=f"{largest:.4g}",
            hint="take fewer cases",
        )


def must_be_identical(spec: Mapping[str, Any], tensor: str) -> bool:
    """Whether the exact tier requires `identical` for a tensor of a layer: not for steps divided by a root (superEps).

    ``spec``: the layer.
    ``tensor``: "acts", "inputs_grad[0]", "weights_inc[1]", ...
    """
    name = address(tensor)[0]
    rounds = name == "weights_inc" and spec.get("superEps", 0) > 0
    return not rounds and name in facts(spec).exact
