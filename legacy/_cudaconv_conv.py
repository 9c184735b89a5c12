"""Convolution and locally connected entry points of `alexnet_rosetta.legacy.cudaconv`.

Shapes, rows x columns, last axis fastest; M = numModulesY * numModulesX modules (output positions), S = filterSize:

========  ====================================================================================
images    (numImgColors, imgSizeY, imgSizeX) x numImages
filters   conv: (numFilterColors, S, S) x numFilters; local: one such set per module, first axis
hidActs   (numFilters, numModulesY, numModulesX) x numImages, outputs or their gradient
========  ====================================================================================

numFilterColors is numImgColors / numGroups, or given where a table decides: `colorIndices`, int32 of shape
(numGroups, numFilterColors), holds the image channel that each filter channel of a group reads. A module's window
starts at paddingStart + module * moduleStride (paddingStart = -padding); pixels outside the image are zero. With
scaleTargets = 0 the result is scaleOutput * sums and `targets` is not read; else it is
scaleTargets * targets + scaleOutput * sums and `targets` must have its shape.

Every function returns the array written to `targets` and raises `Refused` where the original asserted.
Specification: conv-kernels 2.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ._call import Matrix, call, integer, row, short
from .device import Device
from .errors import Refused

__all__ = ["convFilterActs", "convFilterActsSparse", "convImgActs", "convImgActsSparse", "convWeightActs",
           "convWeightActsSparse", "localFilterActs", "localFilterActsSparse", "localImgActs", "localImgActsSparse",
           "localWeightActs", "localWeightActsSparse"]  # fmt: skip


def convFilterActs(
    images: Matrix, filters: Matrix, targets: Matrix | None = None,
    *, imgSizeY: int, numModulesY: int, numModulesX: int, paddingStart: int, moduleStride: int, numImgColors: int,
    numGroups: int, scaleTargets: float = 0.0, scaleOutput: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Forward pass of a convolutional layer (conv-kernels 2.1, 3.1, 3.2, 4.2).

    Parameters
    ----------
    images : (numImgColors * imgSizeY * imgSizeX, numImages) float32; rows may be strided
    filters : (numImgColors / numGroups * filterSize**2, numFilters) float32
        numFilters is a multiple of 16 per group; channels are 1, 2, 3 or even, even per filter where there are groups.
    targets : (numFilters * numModulesY * numModulesX, numImages) float32, optional

    Returns
    -------
    ndarray
        The outputs, shaped like `targets`.
    """
    return _run("convFilterActs", locals())


def localFilterActs(
    images: Matrix, filters: Matrix, targets: Matrix | None = None,
    *, imgSizeY: int, numModulesY: int, numModulesX: int, paddingStart: int, moduleStride: int, numImgColors: int,
    numGroups: int, scaleTargets: float = 0.0, scaleOutput: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Forward pass of a locally connected layer: `convFilterActs` with a filter set per module."""
    return _run("localFilterActs", locals())


def convFilterActsSparse(
    images: Matrix, filters: Matrix, targets: Matrix | None = None,
    *, colorIndices: npt.NDArray[np.int32], imgSizeY: int, numModulesY: int, numModulesX: int, paddingStart: int,
    moduleStride: int, numImgColors: int, numFilterColors: int, numGroups: int, scaleTargets: float = 0.0,
    scaleOutput: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Forward pass of a convolutional layer connected by a table (conv-kernels 2.2, 3.3, 4.3).

    At least 2 groups; an even number of channels per filter.
    """
    return _run("convFilterActsSparse", locals())


def localFilterActsSparse(
    images: Matrix, filters: Matrix, targets: Matrix | None = None,
    *, colorIndices: npt.NDArray[np.int32], imgSizeY: int, numModulesY: int, numModulesX: int, paddingStart: int,
    moduleStride: int, numImgColors: int, numFilterColors: int, numGroups: int, scaleTargets: float = 0.0,
    scaleOutput: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Forward pass of a locally connected layer connected by a table: `convFilterActsSparse`, filters per module."""
    return _run("localFilterActsSparse", locals())


def convImgActs(
    hidActs: Matrix, filters: Matrix, targets: Matrix | None = None,
    *, imgSizeY: int, imgSizeX: int, numModulesY: int, paddingStart: int, moduleStride: int, numImgColors: int,
    numGroups: int, scaleTargets: float = 0.0, scaleOutput: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Gradient of a convolutional layer with respect to its images (conv-kernels 2.3, 3.4-3.7, 4.4).

    Parameters
    ----------
    hidActs : (numFilters * numModulesY * numModulesX, numImages) float32
        Gradient with respect to the outputs.
    filters : (numImgColors / numGroups * filterSize**2, numFilters) float32
        Channels are 1, 2, 3 or even, a multiple of 4 per filter where there are groups.
    targets : (numImgColors * imgSizeY * imgSizeX, numImages) float32, optional

    Returns
    -------
    ndarray
        The gradient, shaped like `targets`.
    """
    return _run("convImgActs", locals())


def localImgActs(
    hidActs: Matrix, filters: Matrix, targets: Matrix | None = None,
    *, imgSizeY: int, imgSizeX: int, numModulesY: int, paddingStart: int, moduleStride: int, numImgColors: int,
    numGroups: int, scaleTargets: float = 0.0, scaleOutput: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Gradient of a locally connected layer with respect to its images: `convImgActs` with a filter set per module."""
    return _run("localImgActs", locals())


def convImgActsSparse(
    hidActs: Matrix, filters: Matrix, targets: Matrix | None = None,
    *, colorIndices: npt.NDArray[np.int32], imgSizeY: int, imgSizeX: int, numModulesY: int, paddingStart: int,
    moduleStride: int, numImgColors: int, numFilterColors: int, numGroups: int, scaleTargets: float = 0.0,
    scaleOutput: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Image gradient of a convolutional layer connected by a table (conv-kernels 2.4, 3.8, 3.9, 4.5).

    Every channel feeds O = numGroups * numFilterColors / numImgColors groups, and the result has a leading axis O
    for the caller to sum over. The table must consist of O permutations of the channels: a channel listed twice in one
    would be written by two threads. At least 2 groups; channels per filter even and at least 4.
    """
    return _run("convImgActsSparse", locals(), permutations=True)


def localImgActsSparse(
    hidActs: Matrix, filters: Matrix, targets: Matrix | None = None,
    *, colorIndices: npt.NDArray[np.int32], imgSizeY: int, imgSizeX: int, numModulesY: int, paddingStart: int,
    moduleStride: int, numImgColors: int, numFilterColors: int, numGroups: int, scaleTargets: float = 0.0,
    scaleOutput: float = 1.0, generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Image gradient of a locally connected layer connected by a table: `convImgActsSparse`, filters per module."""
    return _run("localImgActsSparse", locals(), permutations=True)


def convWeightActs(
    images: Matrix, hidActs: Matrix, targets: Matrix | None = None,
    *, imgSizeY: int, numModulesY: int, numModulesX: int, filterSize: int, paddingStart: int, moduleStride: int,
    numImgColors: int, numGroups: int, partialSum: int = 0, scaleTargets: float = 0.0, scaleOutput: float = 1.0,
    generation: int = 2012, device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Gradient of a convolutional layer with respect to its filters (conv-kernels 2.5, 3.10, 3.11, 4.6).

    Parameters
    ----------
    images : (numImgColors * imgSizeY * imgSizeX, numImages) float32; rows may be strided
        Channels are 1, 2, 3 or a multiple of 4, per filter where there are groups.
    hidActs : (numFilters * numModulesY * numModulesX, numImages) float32
        Gradient with respect to the outputs.
    targets : (M / partialSum * numImgColors / numGroups * filterSize**2, numFilters) float32, optional
    partialSum : int
        Modules summed into one slab, a divisor of their number M, 0 for all: the result has a leading axis
        M / partialSum for the caller to sum over.

    Returns
    -------
    ndarray
        The gradient, shaped like `targets`.
    """
    return _run("convWeightActs", locals())


def localWeightActs(
    images: Matrix, hidActs: Matrix, targets: Matrix | None = None,
    *, imgSizeY: int, numModulesY: int, numModulesX: int, filterSize: int, paddingStart: int, moduleStride: int,
    numImgColors: int, numGroups: int, scaleTargets: float = 0.0, scaleOutput: float = 1.0, generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Filter gradient of a locally connected layer: `convWeightActs` with partialSum 1, a slab per module."""
    return _run("localWeightActs", locals())


def convWeightActsSparse(
    images: Matrix, hidActs: Matrix, targets: Matrix | None = None,
    *, colorIndices: npt.NDArray[np.int32], imgSizeY: int, numModulesY: int, numModulesX: int, filterSize: int,
    paddingStart: int, moduleStride: int, numImgColors: int, numFilterColors: int, numGroups: int, partialSum: int = 0,
    scaleTargets: float = 0.0, scaleOutput: float = 1.0, overload: str = "long", generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Filter gradient of a convolutional layer connected by a table (conv-kernels 2.7, 3.12, 4.7).

    At least 2 groups; channels per filter a multiple of 4. ``overload="short"`` is the overload without partialSum
    and scales, which passes them on as (0, 1, 0): `targets` is needed and comes back unchanged (conv-kernels 7.8).
    """
    return _run("convWeightActsSparse", locals())


def localWeightActsSparse(
    images: Matrix, hidActs: Matrix, targets: Matrix | None = None,
    *, colorIndices: npt.NDArray[np.int32], imgSizeY: int, numModulesY: int, numModulesX: int, filterSize: int,
    paddingStart: int, moduleStride: int, numImgColors: int, numFilterColors: int, numGroups: int,
    scaleTargets: float = 0.0, scaleOutput: float = 1.0, overload: str = "long", generation: int = 2012,
    device: str | Device = "cpu",
) -> Matrix:  # fmt: skip
    """Filter gradient of a locally connected layer connected by a table: `convWeightActsSparse` with partialSum 1."""
    return _run("localWeightActsSparse", locals())


def _run(entry: str, arguments: dict[str, Any], permutations: bool = False) -> Matrix:
    """Call an entry point with the arguments of its Python function."""
    generation, device = arguments.pop("generation"), arguments.pop("device")
    if generation == 2014:
        raise Refused(f"{entry}: no such kernels", "generation 2011 or 2012, which share them", generation)
    inputs = [row(name, arguments.pop(name)) for name in ("images", "hidActs", "filters") if name in arguments]
    targets = [row("targets", arguments.pop("targets"))]
    words = {"overload": arguments.pop("overload")} if "overload" in arguments else None
    if words and words["overload"] not in ("long", "short"):
        raise Refused(f"{entry}: unknown overload", '"long" or "short"', repr(words["overload"]))
    tables = []
    if "colorIndices" in arguments:
        tables.append(("colorIndices", _table(entry, arguments.pop("colorIndices"), permutations, **arguments)))
    return call(entry, inputs, targets, arguments, tables=tables, words=words, generation=generation, device=device)


def _table(
    entry: str, table: Any, permutations: bool, *, numImgColors: int, numFilterColors: int, numGroups: int, **_: Any
) -> npt.NDArray[np.int32]:
    """A connectivity table whose entries are channels; with `permutations`, each of them once per sample."""
    sizes = {"numImgColors": numImgColors, "numFilterColors": numFilterColors, "numGroups": numGroups}
    numImgColors, numFilterColors, numGroups = (integer(f"{entry}: {name}", size) for name, size in sizes.items())
    if not isinstance(table, np.ndarray) or table.dtype != np.int32:
        actual = table.dtype if isinstance(table, np.ndarray) else type(table).__name__
        raise Refused(f"{entry}: colorIndices has the wrong type", "int32 array", actual)
    if table.shape != (numGroups, numFilterColors):
        raise Refused(f"{entry}: colorIndices has the wrong shape", (numGroups, numFilterColors), table.shape)
    if table.size and not 0 <= table.min() <= table.max() < numImgColors:
        what, there = f"{entry}: colorIndices names a channel that is not there", f"0 .. {numImgColors - 1}"
        raise Refused(what, there, f"{table.min()} .. {table.max()}")
    if permutations and table.size and numImgColors > 0 and table.size % numImgColors == 0:
        samples = np.sort(table.reshape(-1, numImgColors), axis=1)
        if not (samples == np.arange(numImgColors)).all():
            right = f"every {numImgColors} entries name every channel once"
            raise Refused(f"{entry}: colorIndices is not made of permutations", right, short(table.tolist()))
    return np.require(table, requirements=("C", "A"))
