"""The filter gradient in the order of its kernels, in NumPy: modules ascending, then images ascending (conv-kernels 6).

An independent expectation for modules that fuse a*b + c: the recording left most of the weight kernels unfused (see
tests/golden/PROVENANCE.md). Unfused it gives the recording, fused the files in ``fma/`` where these are complete.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .files import Case


def accumulate(total: np.ndarray, a: Any, b: np.ndarray, fused: bool) -> np.ndarray:
    """`total` + a*b in float32, the product rounded or not."""
    if fused:  # exact in float64: 48 bits; then one rounding to 24
        return (a.astype(float) * b + total).astype(np.float32)
    return total + a * b


def windows(images: np.ndarray, case: Mapping[str, Any], module: int) -> np.ndarray:
    """The window of a module: (channels, filter pixels, images), zero outside the image."""
    s, size, width = case["scalars"], case["scalars"]["filterSize"], case["imgSizeX"]
    images = images.reshape(s["numImgColors"], s["imgSizeY"], width, -1)
    top, left = (s["paddingStart"] + m * s["moduleStride"] for m in divmod(module, s["numModulesX"]))
    window = np.zeros((len(images), size * size, images.shape[-1]), np.float32)
    for q in range(size * size):
        y, x = top + q // size, left + q % size
        if 0 <= y < s["imgSizeY"] and 0 <= x < width:
            window[:, q] = images[:, y, x]
    return window


def rounds_products(case: Case) -> bool:
    """Whether a product of activities rounds: most recorded inputs are multiples of 1/4, and their products exact."""
    return any((4 * case.arrays[name] % 1).any() for name in ("in_images", "in_hidActs"))


def weight_gradient(case: Case, fused: bool) -> np.ndarray:
    """What a weight acts entry point returns for a recorded `files.Case`."""
    arrays, s = case.arrays, case.about["scalars"]
    groups, modules = s["numGroups"], s["numModulesY"] * s["numModulesX"]
    colors = s.get("numFilterColors", s["numImgColors"] // groups)
    table = arrays.get("in_colorIndices", np.arange(groups * colors).reshape(groups, colors))
    hid_acts = arrays["in_hidActs"].reshape(groups, -1, modules, arrays["in_hidActs"].shape[1])
    per_slab = modules if s.get("partialSum", 1) == 0 else s.get("partialSum", 1)
    sums = np.zeros((modules // per_slab, colors, s["filterSize"] ** 2, groups, hid_acts.shape[1]), np.float32)
    for module in range(modules):
        window = windows(arrays["in_images"], case.about, module)[table]  # group, channel, pixel, image
        slab = sums[module // per_slab]
        for image in range(window.shape[-1]):
            a = window[..., image].transpose(1, 2, 0)[..., None]
            slab[:] = accumulate(slab, a, hid_acts[:, :, module, image], fused)
    scaled = np.float32(s["scaleOutput"]) * sums.reshape(len(sums) * colors * s["filterSize"] ** 2, -1)
    if s["scaleTargets"] == 0:
        return scaled
    return accumulate(scaled, np.float32(s["scaleTargets"]), arrays["in_targets"], fused)
