"""Normalisation entry points of `alexnet_rosetta.legacy.cudaconv`."""

from ._call import Matrix, call_all, one_or_all, row
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
    images: Matrix,
    denoms: Matrix | None = None,
    target: Matrix | None = None,
    *,
    numFilters: int,
    sizeX: int,
    addScale: float,
    powScale: float,
    minDiv: float = 1.0,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:
    """Response normalisation within each map: images * D**-powScale, D = minDiv + addScale * window sum of squares.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32; numFilters at most 8 or a multiple of 16
    sizeX : int
        Side of the window, which starts sizeX // 2 before the pixel.
    addScale : float
        scale / sizeX**2 of the configuration language.
    minDiv : float
        1 before generation 2014.

    Returns
    -------
    denoms, target : ndarray, shaped like `images`

    Notes
    -----
    Specification: pool-norm 2.2.
    """
    return call_all(
        "convResponseNorm",
        [row("images", images)],
        [row("denoms", denoms), row("target", target)],
        {"numFilters": numFilters, "sizeX": sizeX, "addScale": addScale, "powScale": powScale, "minDiv": minDiv},
        generation=generation,
        device=device,
    )


def convContrastNorm(
    images: Matrix,
    meanDiffs: Matrix,
    denoms: Matrix | None = None,
    target: Matrix | None = None,
    *,
    numFilters: int,
    sizeX: int,
    addScale: float,
    powScale: float,
    minDiv: float = 1.0,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:
    """Contrast normalisation: `convResponseNorm` with the squares taken of `meanDiffs`.

    Parameters
    ----------
    images, meanDiffs : (numFilters * imgSize**2, numImages) float32
        `meanDiffs` are the images less their local means. The images themselves are normalised.

    Returns
    -------
    denoms, target : ndarray, shaped like `images`

    Notes
    -----
    Specification: pool-norm 2.2, 2.3.
    """
    return call_all(
        "convContrastNorm",
        [row("images", images), row("meanDiffs", meanDiffs)],
        [row("denoms", denoms), row("target", target)],
        {"numFilters": numFilters, "sizeX": sizeX, "addScale": addScale, "powScale": powScale, "minDiv": minDiv},
        generation=generation,
        device=device,
    )


def _undo_scalars(
    numFilters: int, sizeX: int, addScale: float, powScale: float, scaleTargets: float, scaleOutput: float
) -> dict[str, float]:
    return {
        "numFilters": numFilters,
        "sizeX": sizeX,
        "addScale": addScale,
        "powScale": powScale,
        "scaleTargets": scaleTargets,
        "scaleOutput": scaleOutput,
    }


def convResponseNormUndo(
    outGrads: Matrix,
    denoms: Matrix,
    inputs: Matrix,
    acts: Matrix,
    target: Matrix | None = None,
    *,
    numFilters: int,
    sizeX: int,
    addScale: float,
    powScale: float,
    scaleTargets: float = 0.0,
    scaleOutput: float = 1.0,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:
    """Backward pass of `convResponseNorm`.

    With windows of 6 or more the original passed its accumulate flag inverted: (0, 1) computes
    0 * target + gradient, everything else stores the bare gradient. Kept.

    Parameters
    ----------
    outGrads, denoms, inputs, acts : (numFilters * imgSize**2, numImages) float32; numFilters a multiple of 16
    target : like `outGrads`, optional
        As in `convLocalMaxUndo`.

    Returns
    -------
    target, acts : ndarray, shaped like `outGrads`
        acts comes back as -2 * addScale * powScale * outGrads * acts / denoms, which the original left in it.

    Notes
    -----
    Specification: pool-norm 2.4.
    """
    return call_all(
        "convResponseNormUndo",
        [row("outGrads", outGrads), row("denoms", denoms), row("inputs", inputs)],
        [row("target", target), row("acts", acts)],
        _undo_scalars(numFilters, sizeX, addScale, powScale, scaleTargets, scaleOutput),
        generation=generation,
        device=device,
    )


def convContrastNormUndo(
    outGrads: Matrix,
    denoms: Matrix,
    meanDiffs: Matrix,
    acts: Matrix,
    target: Matrix | None = None,
    *,
    numFilters: int,
    sizeX: int,
    addScale: float,
    powScale: float,
    scaleTargets: float = 0.0,
    scaleOutput: float = 1.0,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> tuple[Matrix, ...]:
    """Backward pass of `convContrastNorm`: `convResponseNormUndo` with `meanDiffs` for the inputs.

    Approximate, as it was: the derivative of the local mean is left out.

    Parameters
    ----------
    outGrads, denoms, meanDiffs, acts, target
        As in `convResponseNormUndo`.

    Returns
    -------
    target, acts : ndarray, shaped like `outGrads`

    Notes
    -----
    Specification: pool-norm 2.4.
    """
    return call_all(
        "convContrastNormUndo",
        [row("outGrads", outGrads), row("denoms", denoms), row("meanDiffs", meanDiffs)],
        [row("target", target), row("acts", acts)],
        _undo_scalars(numFilters, sizeX, addScale, powScale, scaleTargets, scaleOutput),
        generation=generation,
        device=device,
    )


def convResponseNormCrossMap(
    images: Matrix,
    denoms: Matrix | None = None,
    target: Matrix | None = None,
    *,
    numFilters: int,
    sizeF: int,
    addScale: float,
    powScale: float,
    minDiv: float = 1.0,
    blocked: bool = False,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix | tuple[Matrix, ...]:
    """Response normalisation across maps: images * D**-powScale, D = minDiv + addScale * squares over sizeF maps.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32; numFilters a multiple of 16
    sizeF : int
        Number of maps, from sizeF // 2 below on; with `blocked`, disjoint groups of sizeF.
    addScale : float
        scale / sizeF of the configuration language.
    minDiv : float
        1 in generation 2011.

    Returns
    -------
    denoms, target : ndarray, shaped like `images`
        In generation 2014 target alone.

    Notes
    -----
    Specification: pool-norm 2.5.
    """
    outputs = [row("target", target)] if generation == 2014 else [row("denoms", denoms), row("target", target)]
    return one_or_all(
        call_all(
            "convResponseNormCrossMap",
            [row("images", images)],
            outputs,
            {
                "numFilters": numFilters,
                "sizeF": sizeF,
                "addScale": addScale,
                "powScale": powScale,
                "minDiv": minDiv,
                "blocked": blocked,
            },
            generation=generation,
            device=device,
        )
    )


def convContrastNormCrossMap(
    images: Matrix,
    meanDiffs: Matrix,
    denoms: Matrix | None = None,
    target: Matrix | None = None,
    *,
    numFilters: int,
    sizeF: int,
    addScale: float,
    powScale: float,
    minDiv: float = 1.0,
    blocked: bool = False,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix | tuple[Matrix, ...]:
    """`convResponseNormCrossMap` with the squares taken of `meanDiffs`.

    Parameters
    ----------
    images, meanDiffs : (numFilters * imgSize**2, numImages) float32

    Returns
    -------
    denoms, target : ndarray, shaped like `images`
        In generation 2014 target alone.

    Notes
    -----
    Specification: pool-norm 2.5.
    """
    outputs = [row("target", target)] if generation == 2014 else [row("denoms", denoms), row("target", target)]
    return one_or_all(
        call_all(
            "convContrastNormCrossMap",
            [row("images", images), row("meanDiffs", meanDiffs)],
            outputs,
            {
                "numFilters": numFilters,
                "sizeF": sizeF,
                "addScale": addScale,
                "powScale": powScale,
                "minDiv": minDiv,
                "blocked": blocked,
            },
            generation=generation,
            device=device,
        )
    )


def convResponseNormCrossMapUndo(
    outGrads: Matrix,
    denoms: Matrix | None = None,
    inputs: Matrix | None = None,
    acts: Matrix | None = None,
    target: Matrix | None = None,
    *,
    numFilters: int,
    sizeF: int,
    addScale: float,
    powScale: float,
    minDiv: float = 1.0,
    blocked: bool = False,
    scaleTargets: float = 0.0,
    scaleOutput: float = 1.0,
    generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix | tuple[Matrix, ...]:
    """Backward pass of `convResponseNormCrossMap`.

    Parameters
    ----------
    outGrads, denoms, inputs, acts : (numFilters * imgSize**2, numImages) float32
        Generation 2014 takes no `denoms` (pass by name): it recomputes them, which is what `minDiv` is for.
    target : like `outGrads`, optional
        As in `convLocalMaxUndo`.

    Returns
    -------
    target, acts : ndarray, shaped like `outGrads`
        acts as in `convResponseNormUndo`. Generation 2014 leaves acts alone and returns target alone.

    Notes
    -----
    Specification: pool-norm 2.6.
    """
    scalars = {
        "numFilters": numFilters,
        "sizeF": sizeF,
        "addScale": addScale,
        "powScale": powScale,
        "minDiv": minDiv,
        "blocked": blocked,
        "scaleTargets": scaleTargets,
        "scaleOutput": scaleOutput,
    }
    given = [row("outGrads", outGrads), row("inputs", inputs)]
    if generation == 2014:
        given, outputs = [*given, row("acts", acts)], [row("target", target)]
    else:
        given, outputs = [*given, row("denoms", denoms)], [row("target", target), row("acts", acts)]
    return one_or_all(
        call_all("convResponseNormCrossMapUndo", given, outputs, scalars, generation=generation, device=device)
    )
