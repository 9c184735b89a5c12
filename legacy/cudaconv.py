"""Every historical entry point, under its historical name and parameter names.

Matrices are 2-D float32 arrays in the historical layout: the last axis of the described layout is
fastest. ``targets=None`` starts from zeros; inputs are never modified; what the original wrote into its
target arguments is returned. ``generation`` chooses where the generations of the code differ: 2011
(cuda-convnet), 2012 (the AlexNet release, the default) or 2014 (cuda-convnet2).

Every function raises `alexnet_rosetta.legacy.Refused` where the original would have failed an assertion.
"""

from . import _cudaconv_cost, _cudaconv_images, _cudaconv_util
from ._call import call, row
from ._cudaconv_cost import *  # noqa: F403
from ._cudaconv_images import *  # noqa: F403
from ._cudaconv_util import *  # noqa: F403

__all__ = ["convFilterActs", *_cudaconv_util.__all__, *_cudaconv_cost.__all__, *_cudaconv_images.__all__]


def convFilterActs(images, filters, targets=None, *, imgSizeY, numModulesY, numModulesX, paddingStart, moduleStride,
                   numImgColors, numGroups, scaleTargets=0.0, scaleOutput=1.0, generation=2012, device="cpu"):
    """Forward pass of a convolutional layer.

    Parameters
    ----------
    images : (numImgColors * imgSizeY * imgSizeX, numImages) float32; rows may be strided
    filters : (numImgColors / numGroups * filterSize**2, numFilters) float32
    targets : (numFilters * numModulesY * numModulesX, numImages) float32, optional
        Needed where `scaleTargets` is not 0: the result is scaleTargets * targets + scaleOutput * sums.

    Returns
    -------
    ndarray
        The outputs, shaped like `targets`.

    Notes
    -----
    Specification: conv-kernels 2.1, 3.1, 3.2, 4.2.
    """
    return call("convFilterActs", [row("images", images), row("filters", filters)], [row("targets", targets)],
                {"imgSizeY": imgSizeY, "numModulesY": numModulesY, "numModulesX": numModulesX,
                 "paddingStart": paddingStart, "moduleStride": moduleStride, "numImgColors": numImgColors,
                 "numGroups": numGroups, "scaleTargets": scaleTargets, "scaleOutput": scaleOutput},
                generation=generation, device=device)
