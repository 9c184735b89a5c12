"""Pooling entry points of `alexnet_rosetta.legacy.cudaconv`.

Every function returns the array written to `target`. With ``scaleTargets`` and ``scaleOutput`` that is
scaleTargets * target + scaleOutput * gradient; only (0, 1) does not read `target`.
"""

from ._call import Matrix, invoke
from .device import Device

__all__ = [
    "convCrossMapMaxPoolUndo",
    "convLocalAvgUndo",
    "convLocalMaxUndo",
    "convLocalPool",
    "convLocalRandomPool",
    "convPoolCrossMap",
]


def convLocalPool(
    images: Matrix, target: Matrix | None = None,
    *, numFilters: int, subsX: int, startX: int, strideX: int, outputsX: int, pooler: str = "Max",
    generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Pool square windows of each map (pool-norm 1.1).

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32
    target : (numFilters * outputsX**2, numImages), ignored but for its shape, which must fit or be free to change
    subsX, startX, strideX, outputsX : int
        Side of a window, start of the first (may be negative), step, outputs per side. Windows are clipped.
    pooler : {"Max", "MaxAbs", "Avg", "Sum"}
        Averages divide by the clipped window; "Sum" belongs to generation 2014.
    """
    return invoke("convLocalPool", locals(), "images", "target", words="pooler")


def convLocalRandomPool(
    images: Matrix, uniforms: Matrix, target: Matrix | None = None,
    *, numFilters: int, subsX: int, startX: int, strideX: int, outputsX: int, generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Take a random pixel of each window, in proportion to its value where that is positive (pool-norm 1.4).

    The kernel of 2012 is lost, with it the law and the source of its random numbers: both are this project's. Its
    gradient is `convLocalMaxUndo`.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32
    uniforms : (numFilters * outputsX**2, numImages) float32
        In [0, 1). With the pixels in scan order, the choice is the last positive one that starts, at the sum of the
        positive pixels before it, at or below uniform * (sum of all); where none is positive, all are equally likely.
    target : like `uniforms`, optional
    subsX, startX, strideX, outputsX : int
        As in `convLocalPool`.
    """
    return invoke("convLocalRandomPool", locals(), "images uniforms", "target")


def convLocalMaxUndo(
    images: Matrix, maxGrads: Matrix, maxActs: Matrix, target: Matrix | None = None,
    *, subsX: int, startX: int, strideX: int, outputsX: int, scaleTargets: float = 0.0, scaleOutput: float = 1.0,
    generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Backward pass of max pooling: every pixel equal to a window's maximum gets the window's gradient (pool-norm 1.2).

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32, numFilters a multiple of 16
    maxGrads, maxActs : (numFilters * outputsX**2, numImages) float32
    target : like `images`, optional
    """
    return invoke("convLocalMaxUndo", locals(), "images maxGrads maxActs", "target")


def convLocalAvgUndo(
    avgGrads: Matrix, target: Matrix | None = None,
    *, subsX: int, startX: int, strideX: int, outputsX: int, imgSize: int, sum: bool = False, scaleTargets: float = 0.0,
    scaleOutput: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Backward pass of average pooling (or sum pooling, generation 2014) (pool-norm 1.3).

    Parameters
    ----------
    avgGrads : (numFilters * outputsX**2, numImages) float32, numFilters a multiple of 16
    target : (numFilters * imgSize**2, numImages) float32, optional
    """
    return invoke("convLocalAvgUndo", locals(), "avgGrads", "target")


def convPoolCrossMap(
    images: Matrix, target: Matrix | None = None,
    *, startF: int, poolSize: int, numOutputs: int, stride: int, imgSize: int, pooler: str = "Max",
    generation: int = 2014, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Max pooling across maps: output o takes maps startF + o * stride ... + poolSize, clipped (pool-norm 1.5).

    Generation 2014 only.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32
    target : (numOutputs * imgSize**2, numImages) float32, optional
    """
    return invoke("convPoolCrossMap", locals(), "images", "target", words="pooler")


def convCrossMapMaxPoolUndo(
    images: Matrix, maxGrads: Matrix, maxActs: Matrix, target: Matrix | None = None,
    *, imgSize: int, startF: int, poolSize: int, stride: int, scaleTargets: float = 0.0, scaleOutputs: float = 1.0,
    generation: int = 2014, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Backward pass of max pooling across maps (pool-norm 1.5, H5 repaired, H6 kept).

    With stride > 1 the last stride-1 maps of the first window get no gradient from it, and with
    ``scaleTargets=0`` the result is not scaled: both as in the original.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32
    maxGrads, maxActs : (numOutputs * imgSize**2, numImages) float32
    target : like `images`, optional
    """
    return invoke("convCrossMapMaxPoolUndo", locals(), "images maxGrads maxActs", "target")
