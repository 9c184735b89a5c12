"""Pooling entry points of `alexnet_rosetta.legacy.cudaconv`."""

from ._call import call, row

__all__ = [
    "convCrossMapMaxPoolUndo",
    "convLocalAvgUndo",
    "convLocalMaxUndo",
    "convLocalPool",
    "convLocalRandomPool",
    "convPoolCrossMap",
]


def convLocalPool(
    images, target=None, *, numFilters, subsX, startX, strideX, outputsX, pooler="Max", generation=2012, device="cpu"
):
    """Pool square windows of each map.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32
    target : ignored but for its shape, which must fit or be free to change
    subsX, startX, strideX, outputsX : int
        Side of a window, start of the first (may be negative), step, outputs per side. Windows are clipped.
    pooler : {"Max", "MaxAbs", "Avg", "Sum"}
        Averages divide by the clipped window; "Sum" belongs to generation 2014.

    Returns
    -------
    ndarray of shape (numFilters * outputsX**2, numImages)

    Notes
    -----
    Specification: pool-norm 1.1.
    """
    return call(
        "convLocalPool",
        [row("images", images)],
        [row("target", target)],
        {"numFilters": numFilters, "subsX": subsX, "startX": startX, "strideX": strideX, "outputsX": outputsX},
        words={"pooler": pooler},
        generation=generation,
        device=device,
    )


def convLocalRandomPool(
    images, uniforms, target=None, *, numFilters, subsX, startX, strideX, outputsX, generation=2012, device="cpu"
):
    """Take a random pixel of each window, in proportion to its value where that is positive.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32
    uniforms : (numFilters * outputsX**2, numImages) float32
        In [0, 1). With the pixels in scan order, the choice is the last positive one that starts, at the sum of the
        positive pixels before it, at or below uniform * (sum of all); where none is positive, all are equally likely.
    subsX, startX, strideX, outputsX : int
        As in `convLocalPool`.

    Returns
    -------
    ndarray, shaped like `uniforms`

    Notes
    -----
    The kernel of 2012 is lost, with it the law and the source of its random numbers: both are this project's. Its
    gradient is `convLocalMaxUndo`. Specification: pool-norm 1.4.
    """
    return call(
        "convLocalRandomPool",
        [row("images", images), row("uniforms", uniforms)],
        [row("target", target)],
        {"numFilters": numFilters, "subsX": subsX, "startX": startX, "strideX": strideX, "outputsX": outputsX},
        generation=generation,
        device=device,
    )


def convLocalMaxUndo(
    images,
    maxGrads,
    maxActs,
    target=None,
    *,
    subsX,
    startX,
    strideX,
    outputsX,
    scaleTargets=0.0,
    scaleOutput=1.0,
    generation=2012,
    device="cpu",
):
    """Backward pass of max pooling: every pixel equal to a window's maximum gets that window's gradient.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32, numFilters a multiple of 16
    maxGrads, maxActs : (numFilters * outputsX**2, numImages) float32
    target : like `images`, optional
        The result is scaleTargets * target + scaleOutput * gradient; only (0, 1) does not read it.

    Returns
    -------
    ndarray, shaped like `images`

    Notes
    -----
    Specification: pool-norm 1.2.
    """
    return call(
        "convLocalMaxUndo",
        [row("images", images), row("maxGrads", maxGrads), row("maxActs", maxActs)],
        [row("target", target)],
        {
            "subsX": subsX,
            "startX": startX,
            "strideX": strideX,
            "outputsX": outputsX,
            "scaleTargets": scaleTargets,
            "scaleOutput": scaleOutput,
        },
        generation=generation,
        device=device,
    )


def convLocalAvgUndo(
    avgGrads,
    target=None,
    *,
    subsX,
    startX,
    strideX,
    outputsX,
    imgSize,
    sum=False,
    scaleTargets=0.0,
    scaleOutput=1.0,
    generation=2012,
    device="cpu",
):
    """Backward pass of average pooling (or sum pooling, generation 2014).

    Parameters
    ----------
    avgGrads : (numFilters * outputsX**2, numImages) float32, numFilters a multiple of 16
    target : (numFilters * imgSize**2, numImages) float32, optional
        As in `convLocalMaxUndo`.

    Returns
    -------
    ndarray of shape (numFilters * imgSize**2, numImages)

    Notes
    -----
    Specification: pool-norm 1.3.
    """
    return call(
        "convLocalAvgUndo",
        [row("avgGrads", avgGrads)],
        [row("target", target)],
        {
            "subsX": subsX,
            "startX": startX,
            "strideX": strideX,
            "outputsX": outputsX,
            "imgSize": imgSize,
            "sum": sum,
            "scaleTargets": scaleTargets,
            "scaleOutput": scaleOutput,
        },
        generation=generation,
        device=device,
    )


def convPoolCrossMap(
    images, target=None, *, startF, poolSize, numOutputs, stride, imgSize, pooler="Max", generation=2014, device="cpu"
):
    """Max pooling across maps: output o takes maps startF + o * stride ... + poolSize, clipped.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32

    Returns
    -------
    ndarray of shape (numOutputs * imgSize**2, numImages)

    Notes
    -----
    Specification: pool-norm 1.5 (generation 2014 only).
    """
    return call(
        "convPoolCrossMap",
        [row("images", images)],
        [row("target", target)],
        {"startF": startF, "poolSize": poolSize, "numOutputs": numOutputs, "stride": stride, "imgSize": imgSize},
        words={"pooler": pooler},
        generation=generation,
        device=device,
    )


def convCrossMapMaxPoolUndo(
    images,
    maxGrads,
    maxActs,
    target=None,
    *,
    imgSize,
    startF,
    poolSize,
    stride,
    scaleTargets=0.0,
    scaleOutputs=1.0,
    generation=2014,
    device="cpu",
):
    """Backward pass of max pooling across maps.

    With stride > 1 the last stride-1 maps of the first window get no gradient from it, and with
    ``scaleTargets=0`` the result is not scaled: both as in the original.

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32
    maxGrads, maxActs : (numOutputs * imgSize**2, numImages) float32
    target : like `images`, optional

    Returns
    -------
    ndarray, shaped like `images`

    Notes
    -----
    Specification: pool-norm 1.5, H5 repaired, H6 kept.
    """
    return call(
        "convCrossMapMaxPoolUndo",
        [row("images", images), row("maxGrads", maxGrads), row("maxActs", maxActs)],
        [row("target", target)],
        {
            "imgSize": imgSize,
            "startF": startF,
            "poolSize": poolSize,
            "stride": stride,
            "scaleTargets": scaleTargets,
            "scaleOutputs": scaleOutputs,
        },
        generation=generation,
        device=device,
    )
