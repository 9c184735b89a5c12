"""A toy call of every entry point, in sizes that reach the tiles, groups and tails of its kernels."""

from collections.abc import Callable
from functools import partial

import numpy as np

from alexnet_rosetta.legacy import cudaconv

SIDE, MAPS = 6, 16  # of square images, pooled and normalised
SMALL = 4  # side of the images of convolutions
WINDOW, PAD = 3, -1  # filters that keep the size of an image
TABLE = np.arange(8, dtype=np.int32).reshape(2, 4)[:, ::-1].copy()  # two groups of four channels
CLASSES = 5


def values(*shape):
    return np.random.default_rng(shape).standard_normal(shape, np.float32)


def classes(cases):
    return (np.arange(cases) % CLASSES).astype(np.float32)[None]


def probabilities(cases, transposed=False):
    array = np.exp(values(CLASSES, cases))
    array /= array.sum(0)
    return np.ascontiguousarray(array).T if transposed else array


def conv(entry, channels, filters, groups, cases, table=None, **more):
    """A convolution or a local layer, in the direction that the name of the entry point says."""
    local, own = entry.startswith("local"), channels // groups
    sizes = {"imgSizeY": SMALL, "numModulesY": SMALL, "paddingStart": PAD, "moduleStride": 1, "numImgColors": channels,
             "numGroups": groups, **more}  # fmt: skip
    if table is not None:
        sizes |= {"colorIndices": table, "numFilterColors": own}
    images, hid = values(channels * SMALL**2, cases), values(filters * SMALL**2, cases)
    weights = values((SMALL**2 if local else 1) * own * WINDOW**2, filters)
    if "Filter" in entry:
        return partial(getattr(cudaconv, entry), images, weights, numModulesX=SMALL, **sizes)
    if "Img" in entry:
        return partial(getattr(cudaconv, entry), hid, weights, imgSizeX=SMALL, **sizes)
    return partial(getattr(cudaconv, entry), images, hid, numModulesX=SMALL, filterSize=WINDOW, **sizes)


def maps(entry, cases, arrays, count=MAPS, **arguments):
    """An entry point over square images: so many arrays of one size."""
    given = [values(count * SIDE**2, cases) for _ in range(arrays)]
    return partial(getattr(cudaconv, entry), *given, **arguments)


NORM = {"numFilters": MAPS, "addScale": 0.1, "powScale": 0.75}
POOL = {"subsX": 3, "startX": 0, "strideX": 2, "outputsX": 3}


def pooled(cases):
    return values(MAPS * 9, cases)


# (entry point, what is particular): a function of the number of cases that makes the call.
CALLS: dict[tuple[str, str], Callable] = {}
for side in ("conv", "local"):
    for verb in ("FilterActs", "ImgActs", "WeightActs"):
        CALLS[f"{side}{verb}", "colour"] = partial(conv, f"{side}{verb}", 3, 32, 1)
        if side == "conv":  # the kernels of local layers are the same
            CALLS[f"{side}{verb}", "groups"] = partial(conv, f"{side}{verb}", 8, 32, 2)
        CALLS[f"{side}{verb}Sparse", "table"] = partial(conv, f"{side}{verb}Sparse", 8, 32, 2, table=TABLE)
CALLS["convImgActs", "many"] = partial(conv, "convImgActs", 8, 16, 1)
CALLS["convImgActsSparse", "many"] = partial(
    conv, "convImgActsSparse", 16, 32, 2, table=np.arange(16, dtype=np.int32).reshape(2, 8))  # fmt: skip
for name, pooler in (("max", "Max"), ("max of magnitudes", "MaxAbs"), ("average", "Avg")):
    CALLS["convLocalPool", name] = lambda n, pooler=pooler: maps(
        "convLocalPool", n, 1, numFilters=MAPS, pooler=pooler, **POOL
    )
CALLS["convLocalPool", "large"] = lambda n: maps(
    "convLocalPool", n, 1, numFilters=MAPS, subsX=6, startX=-2, strideX=1, outputsX=6
)
CALLS["convLocalRandomPool", ""] = lambda n: partial(
    cudaconv.convLocalRandomPool, values(MAPS * SIDE**2, n), abs(pooled(n)) % 1, numFilters=MAPS, **POOL)  # fmt: skip
CALLS["convLocalMaxUndo", ""] = lambda n: partial(
    cudaconv.convLocalMaxUndo, values(MAPS * SIDE**2, n), pooled(n), pooled(n), **POOL)  # fmt: skip
CALLS["convLocalAvgUndo", ""] = lambda n: partial(cudaconv.convLocalAvgUndo, pooled(n), imgSize=SIDE, **POOL)
CALLS["convPoolCrossMap", ""] = lambda n: maps(
    "convPoolCrossMap", n, 1, startF=-1, poolSize=4, numOutputs=6, stride=3, imgSize=SIDE
)
CALLS["convCrossMapMaxPoolUndo", ""] = lambda n: partial(
    cudaconv.convCrossMapMaxPoolUndo, values(MAPS * SIDE**2, n), values(6 * SIDE**2, n), values(6 * SIDE**2, n),
    imgSize=SIDE, startF=-1, poolSize=4, stride=3)  # fmt: skip
for entry, arrays in (
    ("convResponseNorm", 1),
    ("convContrastNorm", 2),
    ("convResponseNormUndo", 4),
    ("convContrastNormUndo", 4),
):
    CALLS[entry, ""] = lambda n, entry=entry, arrays=arrays: maps(entry, n, arrays, sizeX=3, **NORM)
    if "Response" in entry:  # the kernels of contrast normalisation are the same
        CALLS[entry, "large"] = lambda n, entry=entry, arrays=arrays: maps(entry, n, arrays, sizeX=6, **NORM)
CALLS["convResponseNorm", "few maps"] = lambda n: maps(
    "convResponseNorm", n, 1, count=3, sizeX=3, **{**NORM, "numFilters": 3}
)
for entry, arrays in (
    ("convResponseNormCrossMap", 1),
    ("convContrastNormCrossMap", 2),
    ("convResponseNormCrossMapUndo", 4),
):
    CALLS[entry, ""] = lambda n, entry=entry, arrays=arrays: maps(entry, n, arrays, sizeF=5, **NORM)
CALLS["convResponseNormCrossMapUndo", "2014"] = lambda n: partial(
    cudaconv.convResponseNormCrossMapUndo, values(MAPS * SIDE**2, n), inputs=values(MAPS * SIDE**2, n) + 9,
    acts=values(MAPS * SIDE**2, n) + 9, sizeF=5, generation=2014, **NORM)  # fmt: skip
CALLS["computeLogregCost", ""] = lambda n: partial(cudaconv.computeLogregCost, classes(n), probabilities(n))
CALLS["computeMultiSoftmaxCost", ""] = lambda n: partial(
    cudaconv.computeMultiSoftmaxCost, classes(n), probabilities(n), probabilities(n), setSize=2)  # fmt: skip
CALLS["computeMultiSoftmaxCost", "energies"] = lambda n: partial(
    cudaconv.computeMultiSoftmaxCost, classes(n), probabilities(n), values(CLASSES, n), setSize=2,
    useEnergies=True)  # fmt: skip
CALLS["computeCrossEntCost", ""] = lambda n: partial(cudaconv.computeCrossEntCost, probabilities(n), probabilities(n))
CALLS["computeLogregGrad", ""] = lambda n: partial(cudaconv.computeLogregGrad, classes(n), probabilities(n))
CALLS["computeLogregGrad", "added"] = lambda n: partial(
    cudaconv.computeLogregGrad, classes(n), probabilities(n), values(CLASSES, n), add=True)  # fmt: skip
CALLS["computeLogregSoftmaxGrad", ""] = lambda n: partial(
    cudaconv.computeLogregSoftmaxGrad, classes(n), probabilities(n, True))  # fmt: skip
CALLS["computeSoftmaxGrad", ""] = lambda n: partial(
    cudaconv.computeSoftmaxGrad, probabilities(n, True), values(CLASSES, n).T
)
CALLS["computeCrossEntGrad", ""] = lambda n: partial(cudaconv.computeCrossEntGrad, probabilities(n), probabilities(n))
CALLS["computeCrossEntSoftmaxGrad", ""] = lambda n: partial(
    cudaconv.computeCrossEntSoftmaxGrad, probabilities(n), probabilities(n, True))  # fmt: skip
CALLS["computeEltwiseMaxGrad", ""] = lambda n: partial(cudaconv.computeEltwiseMaxGrad, *3 * [values(CLASSES, n)])
CALLS["neuron", ""] = lambda n: partial(cudaconv.neuron, values(CLASSES, n), values(CLASSES, n), type="logistic")
CALLS["convBedOfNails", ""] = lambda n: maps(
    "convBedOfNails", n, 1, numChannels=MAPS, imgSize=SIDE, startX=0, strideX=2
)
CALLS["convBedOfNailsUndo", ""] = lambda n: partial(
    cudaconv.convBedOfNailsUndo, pooled(n), numChannels=MAPS, imgSize=SIDE, startX=0, strideX=2)  # fmt: skip
CALLS["convCrop", ""] = lambda n: maps("convCrop", n, 1, count=3, imgSize=SIDE, tgtSize=4, startY=1, startX=2)
CALLS["convResizeBilinear", ""] = lambda n: maps(
    "convResizeBilinear", n, 1, count=3, imgSize=SIDE, tgtSize=5, scale=1.2
)
CALLS["convGaussianBlur", ""] = lambda n: partial(
    cudaconv.convGaussianBlur, values(3 * SIDE**2, n), values(1, 5), horiz=True, numChannels=3)  # fmt: skip
CALLS["convRGBToYUV", ""] = lambda n: maps("convRGBToYUV", n, 1, count=3)
CALLS["convRGBToLAB", ""] = lambda n: maps("convRGBToLAB", n, 1, count=3)
CALLS["convReflectHorizontal", ""] = lambda n: maps("convReflectHorizontal", n, 1, count=3, imgSize=SIDE)
CALLS["convQuantizeHalf", ""] = lambda n: partial(cudaconv.convQuantizeHalf, values(3, n))
CALLS["convDequantizeHalf", ""] = lambda n: partial(
    cudaconv.convDequantizeHalf, values(1, 3 * n // 2), numElements=3 * n
)
CALLS["convTICA", ""] = lambda n: maps("convTICA", n, 1, numFilters=MAPS, sizeX=3)
CALLS["convTICAGrad", ""] = lambda n: maps("convTICAGrad", n, 2, numFilters=MAPS, sizeX=3)
CALLS["normalizeLocalWeights", ""] = lambda n: partial(
    cudaconv.normalizeLocalWeights, values(4 * 27, 32), numModules=4, norm=1.0
)


def call(case, cases, device):
    """Run one of `CALLS` on so many cases."""
    return CALLS[case](cases)(device=device)
