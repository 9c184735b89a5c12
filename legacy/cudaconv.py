"""Every historical entry point, under its historical name and parameter names.

Matrices are 2-D float32 arrays in the historical layout: the last axis of the described layout is
fastest. ``targets=None`` starts from zeros; inputs are never modified; what the original wrote into its
target arguments is returned. ``generation`` chooses where the generations of the code differ: 2011
(cuda-convnet), 2012 (the AlexNet release, the default) or 2014 (cuda-convnet2).

Every function raises `alexnet_rosetta.legacy.Refused` where the original would have failed an assertion.
"""

from . import _cudaconv_conv, _cudaconv_cost, _cudaconv_images, _cudaconv_norm, _cudaconv_pool
from ._cudaconv_conv import *  # noqa: F403
from ._cudaconv_cost import *  # noqa: F403
from ._cudaconv_images import *  # noqa: F403
from ._cudaconv_norm import *  # noqa: F403
from ._cudaconv_pool import *  # noqa: F403

FAMILIES = (_cudaconv_conv, _cudaconv_pool, _cudaconv_norm, _cudaconv_cost, _cudaconv_images)
__all__ = [name for family in FAMILIES for name in family.__all__]
