"""Normalisation entry points of `alexnet_rosetta.legacy.cudaconv`.

Forward functions return (denoms, target), backward functions (target, acts), all shaped like the first argument; in
generation 2014 functions across maps return target alone. ``scaleTargets`` and ``scaleOutput`` are those of pooling.
"""

from typing import Any

from ._call import Matrix, invoke_all
from .device import Device

__all__ = [
    "convContrastNorm",
    "convContrastNormCrossMap",
    "convContrastNormUndo",
    "convResponseNorm",
    "convResponseNormCrossMap",
    "convResponseNormCrossMapUndo",
    "convResponseNormUndo",
]


def convResponseNorm(
    images: Matrix, denoms: Matrix | None = None, target: Matrix | None = None,
    *, numFilters: int, sizeX: int, addScale: float, powScale: float, minDiv: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:  # fmt: skip
    """Response normalisation within each map: images * D**-powScale, D = minDiv + addScale * window sum of squares.

    Specification: pool-norm 2.2.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32; numFilters at most 8 or a multiple of 16
    sizeX : int
        Side of the window, which starts sizeX // 2 before the pixel.
    addScale : float
        scale / sizeX**2 of the configuration language.
    minDiv : float
        1 before generation 2014.
    """
    return invoke_all("convResponseNorm", locals(), "images", "denoms target")


def convContrastNorm(
    images: Matrix, meanDiffs: Matrix, denoms: Matrix | None = None, target: Matrix | None = None,
    *, numFilters: int, sizeX: int, addScale: float, powScale: float, minDiv: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:  # fmt: skip
    """Contrast normalisation: `convResponseNorm` with the squares taken of `meanDiffs` (pool-norm 2.2, 2.3).

    Parameters
    ----------
    images, meanDiffs : (numFilters * imgSize**2, numImages) float32
        `meanDiffs` are the images less their local means. The images themselves are normalised.
    """
    return invoke_all("convContrastNorm", locals(), "images meanDiffs", "denoms target")


def convResponseNormUndo(
    outGrads: Matrix, denoms: Matrix, inputs: Matrix, acts: Matrix, target: Matrix | None = None,
    *, numFilters: int, sizeX: int, addScale: float, powScale: float, scaleTargets: float = 0.0,
    scaleOutput: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> tuple[Matrix, ...]:  # fmt: skip
    """Backward pass of `convResponseNorm` (pool-norm 2.4).

    With windows of 6 or more the original passed its accumulate flag inverted: (0, 1) computes
    0 * target + gradient, everything else stores the bare gradient. Kept. acts comes back as
    -2 * addScale * powScale * outGrads * acts / denoms, which the original left in it.

    Parameters
    ----------
    outGrads, denoms, inputs, acts : (numFilters * imgSize**2, numImages) float32; numFilters a multiple of 16
    target : like `outGrads`, optional
    """
    return invoke_all("convResponseNormUndo", locals(), "outGrads denoms inputs", "target acts")


def convContrastNormUndo(
    outGrads: Matrix, denoms: Matrix, meanDiffs: Matrix, acts: Matrix, target: Matrix | None = None,
    *, numFilters: int, sizeX: int, addScale: float, powScale: float, scaleTargets: float = 0.0,
    scaleOutput: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> tuple[Matrix, ...]:  # fmt: skip
    """Backward pass of `convContrastNorm`: `convResponseNormUndo` with `meanDiffs` for the inputs (pool-norm 2.4).

    Approximate, as it was: the derivative of the local mean is left out.
    """
    return invoke_all("convContrastNormUndo", locals(), "outGrads denoms meanDiffs", "target acts")


def convResponseNormCrossMap(
    images: Matrix, denoms: Matrix | None = None, target: Matrix | None = None,
    *, numFilters: int, sizeF: int, addScale: float, powScale: float, minDiv: float = 1.0, blocked: bool = False,
    generation: int = 2012, device: str | Device = "cpu",
) -> Matrix | tuple[Matrix, ...]:  # fmt: skip
    """Response normalisation across maps: images * D**-powScale, D = minDiv + addScale * squares over sizeF maps.

    Specification: pool-norm 2.5.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32; numFilters a multiple of 16
    sizeF : int
        Number of maps, from sizeF // 2 below on; with `blocked`, disjoint groups of sizeF.
    addScale : float
        scale / sizeF of the configuration language.
    minDiv : float
        1 in generation 2011.
    """
    return _of_generation("convResponseNormCrossMap", locals(), "images", "denoms target")


def convContrastNormCrossMap(
    images: Matrix, meanDiffs: Matrix, denoms: Matrix | None = None, target: Matrix | None = None,
    *, numFilters: int, sizeF: int, addScale: float, powScale: float, minDiv: float = 1.0, blocked: bool = False,
    generation: int = 2012, device: str | Device = "cpu",
) -> Matrix | tuple[Matrix, ...]:  # fmt: skip
    """`convResponseNormCrossMap` with the squares taken of `meanDiffs`, shaped like `images` (pool-norm 2.5)."""
    return _of_generation("convContrastNormCrossMap", locals(), "images meanDiffs", "denoms target")


def convResponseNormCrossMapUndo(
    outGrads: Matrix, denoms: Matrix | None = None, inputs: Matrix | None = None, acts: Matrix | None = None,
    target: Matrix | None = None,
    *, numFilters: int, sizeF: int, addScale: float, powScale: float, minDiv: float = 1.0, blocked: bool = False,
    scaleTargets: float = 0.0, scaleOutput: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix | tuple[Matrix, ...]:  # fmt: skip
    """Backward pass of `convResponseNormCrossMap` (pool-norm 2.6).

    acts comes back as from `convResponseNormUndo`; generation 2014 leaves acts alone.

    Parameters
    ----------
    outGrads, denoms, inputs, acts : (numFilters * imgSize**2, numImages) float32
        Generation 2014 takes no `denoms` (pass by name): it recomputes them, which is what `minDiv` is for.
    target : like `outGrads`, optional
    """
    given, last = locals(), "acts" if generation == 2014 else "denoms"
    return _of_generation("convResponseNormCrossMapUndo", given, f"outGrads inputs {last}", "target acts")


def _of_generation(entry: str, given: dict[str, Any], inputs: str, targets: str) -> Matrix | tuple[Matrix, ...]:
    """Run an entry point that knows no denominators in generation 2014; its only target, or all of them."""
    if given["generation"] == 2014:
        del given["denoms"]
        targets = "target"
    results = invoke_all(entry, given, inputs, targets)
    return results if len(results) > 1 else results[0]
