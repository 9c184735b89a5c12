"""Image, weight-norm and half-precision entry points of `alexnet_rosetta.legacy.cudaconv`.

Every function returns the array written to its target, which is needed where its old values are scaled by a number that
is not 0.
"""

from ._call import Matrix, invoke
from .device import Device

__all__ = ["convBedOfNails", "convBedOfNailsUndo", "convCrop", "convDequantizeHalf", "convGaussianBlur",
           "convQuantizeHalf", "convRGBToLAB", "convRGBToYUV", "convReflectHorizontal", "convResizeBilinear",
           "convTICA", "convTICAGrad", "normalizeLocalWeights"]  # fmt: skip


def convGaussianBlur(
    images: Matrix, filter: Matrix, target: Matrix | None = None,
    *, horiz: bool, numChannels: int, scaleTargets: float = 0.0, scaleOutputs: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """One direction of a separable blur, zero outside the image (pool-norm 3.1).

    Parameters
    ----------
    images : (numChannels * imgSize**2, numImages) float32; rows may be strided
    filter : (1, 2 * radius + 1) float32, radius 1 to 4
        Symmetric: the last tap is never read.
    target : like `images`
    horiz : bool
        Along rows; else along columns.
    """
    return invoke("convGaussianBlur", locals(), "images filter", "target")


def convBedOfNails(
    images: Matrix, target: Matrix | None = None,
    *, numChannels: int, imgSize: int, startX: int, strideX: int, scaleTargets: float = 0.0, scaleOutput: float = 1.0,
    generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Take every strideX-th pixel of every strideX-th row (pool-norm 3.2).

    Parameters
    ----------
    images : (numChannels * imgSize**2, numImages) float32
    target : (numChannels * ceil(imgSize / strideX)**2, numImages)
    startX, strideX : int
        First pixel and step on both axes; all samples must be inside the image.
    """
    return invoke("convBedOfNails", locals(), "images", "target")


def convBedOfNailsUndo(
    actsGrad: Matrix, target: Matrix | None = None,
    *, numChannels: int, imgSize: int, startX: int, strideX: int, scaleTargets: float = 0.0, scaleOutput: float = 1.0,
    generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Backward pass of `convBedOfNails`: zero everywhere but at the samples (pool-norm 3.2, H7).

    Parameters
    ----------
    actsGrad : (numChannels * ceil(imgSize / strideX)**2, numImages) float32
    scaleTargets : float
        0: the original refused everything else.
    target : (numChannels * imgSize**2, numImages), optional
    """
    return invoke("convBedOfNailsUndo", locals(), "actsGrad", "target")


def convResizeBilinear(
    images: Matrix, target: Matrix | None = None,
    *, imgSize: int, tgtSize: int, scale: float, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Resize about the centre; target pixel t reads position t * scale + (imgSize - tgtSize * scale) / 2.

    Specification: pool-norm 3.3.

    Parameters
    ----------
    images : (channels * imgSize**2, numImages) float32; rows may be strided
    scale : float
        More than 1 shrinks. Positions stop at imgSize - 1.01.
    target : (channels * tgtSize**2, numImages), optional
    """
    return invoke("convResizeBilinear", locals(), "images", "target")


def convCrop(
    imgs: Matrix, target: Matrix | None = None,
    *, imgSize: int, tgtSize: int, startY: int, startX: int, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Copy a tgtSize x tgtSize window (pool-norm 3.4).

    Parameters
    ----------
    imgs : (channels * imgSize**2, numImages) float32; rows may be strided
    target : (channels * tgtSize**2, numImages), optional
    """
    return invoke("convCrop", locals(), "imgs", "target")


def convRGBToYUV(
    images: Matrix, target: Matrix | None = None,
    *, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Colour space YUV (pool-norm 3.5).

    Parameters
    ----------
    images : (3 * imgSize**2, numImages) float32; rows may be strided
    target : like `images`, optional
    """
    return invoke("convRGBToYUV", locals(), "images", "target")


def convRGBToLAB(
    images: Matrix, target: Matrix | None = None,
    *, center: bool = False, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Colour space LAB, as the original had it: exponent 0.3333, white at X = Y = Z = 1 (pool-norm 3.6).

    Parameters
    ----------
    images : (3 * imgSize**2, numImages) float32 in [0, 1]; rows may be strided
    center : bool
        Subtract 50 from L.
    target : like `images`, optional
    """
    return invoke("convRGBToLAB", locals(), "images", "target")


def convReflectHorizontal(
    images: Matrix, targets: Matrix | None = None,
    *, imgSize: int, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Mirror each image left to right (pool-norm 3.7).

    Parameters
    ----------
    images : (channels * imgSize**2, numImages) float32, 1 to 3 channels
    targets : like `images`, optional
    """
    return invoke("convReflectHorizontal", locals(), "images", "targets")


def convTICA(
    images: Matrix, target: Matrix | None = None,
    *, numFilters: int, sizeX: int, scaleTarget: float = 0.0, scaleOutput: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Reciprocal of 0.001 plus the root of each window's sum of squares (pool-norm 5).

    Parameters
    ----------
    images : (numFilters * imgSize**2, numImages) float32; numFilters a multiple of 16
    target : like `images`
    sizeX : int
        Side of the window, 1 to 5; it starts sizeX // 2 before the pixel.
    """
    return invoke("convTICA", locals(), "images", "target")


def convTICAGrad(
    images: Matrix, ticas: Matrix, target: Matrix | None = None,
    *, numFilters: int, sizeX: int, scaleTarget: float = 0.0, scaleOutput: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Gradient that goes with `convTICA`: minus the image times the window sum of `ticas` (pool-norm 5, H9).

    Where `scaleTarget` is not 0 the root of the window sum is taken, as it was.

    Parameters
    ----------
    images, ticas : (numFilters * imgSize**2, numImages) float32
    target : like `images`
    """
    return invoke("convTICAGrad", locals(), "images ticas", "target")


def normalizeLocalWeights(
    weights: Matrix,
    *, numModules: int, norm: float, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Shrink every filter of every module whose norm is greater than `norm` to it (pool-norm 4.1; H2 is repaired).

    Parameters
    ----------
    weights : (numModules * weightsPerFilter, numFilters) float32, numFilters a multiple of 16
    """
    return invoke("normalizeLocalWeights", locals(), "", "weights")


def convQuantizeHalf(
    src: Matrix, tgt: Matrix | None = None,
    *, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Round to IEEE half precision, to nearest even; beyond 65504 infinite (pool-norm 6).

    Two numbers stand in the place of one, row by row, the first in the lower half; the bits of `src` as float16. The
    kernel of 2012 is lost: packing and rounding are this project's.

    Parameters
    ----------
    src : (rows, cols) float32
    tgt : (1, ceil(rows * cols / 2)), optional
    """
    given = locals()
    given["target"] = given.pop("tgt")
    return invoke("convQuantizeHalf", given, "src", "target")


def convDequantizeHalf(
    quantized: Matrix, tgt: Matrix | None = None,
    *, numElements: int, scaleTarget: float = 0.0, scaleOutput: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """What `convQuantizeHalf` packed, as single precision (pool-norm 6).

    Parameters
    ----------
    quantized : (1, ceil(numElements / 2)) float32
    tgt : numElements values, by default (1, numElements)
        The result is scaleTarget * tgt + scaleOutput * numbers; with scaleTarget 0 `tgt` is not read.
    """
    given = locals()
    given["target"] = given.pop("tgt")
    return invoke("convDequantizeHalf", given, "quantized", "target")
