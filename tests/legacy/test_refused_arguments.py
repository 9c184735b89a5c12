"""Arguments and layers that make no sense, one at a time: refused before a kernel is launched, with words why."""

from functools import partial
from inspect import signature

import legacy_networks as nets
import numpy as np
import pytest
import toy_calls
from toy_calls import values

from alexnet_rosetta.legacy import Network, Refused, _call

N = 4
CALLS = {
    "groups do not divide the channels": (("convFilterActs", "colour"), {"numGroups": 2}),
    ": sizeF": (("convResponseNormCrossMap", ""), {"sizeF": 17}),
    "convContrastNormCrossMap: sizeF": (("convContrastNormCrossMap", ""), {"sizeF": 0}),
    ": powScale": (("convResponseNormCrossMapUndo", "2014"), {"powScale": 0}),
    ": minDiv": (("convResponseNorm", ""), {"minDiv": 2.0}),
    "gradients have the wrong shape": (("convLocalAvgUndo", ""), {"avgGrads": values(145, N)}),
    "images have the wrong shape": (("convPoolCrossMap", ""), {"images": values(36, N), "imgSize": 5}),
    "startF": (("convPoolCrossMap", ""), {"startF": 1}),
    "gaps between windows": (("convPoolCrossMap", ""), {"stride": 5}),
    "do not reach the last map": (("convPoolCrossMap", ""), {"numOutputs": 5}),
    "convPoolCrossMap: pooler": (("convPoolCrossMap", ""), {"pooler": "Avg"}),
    "convCrossMapMaxPoolUndo: windows": (("convCrossMapMaxPoolUndo", ""), {"stride": 5}),
    "CrossMapMaxPoolUndo: windows": (("convCrossMapMaxPoolUndo", ""), {"startF": 1}),
    "convCrossMapMaxPoolUndo: wrong shape": (
        ("convCrossMapMaxPoolUndo", ""), {"images": values(36, N), "imgSize": 5}),
    "convTICA: sizeX": (("convTICA", ""), {"sizeX": 6}),
    "convTICAGrad: sizeX": (("convTICAGrad", ""), {"sizeX": 0}),
    "convTICA: number of maps": (("convTICA", ""), {"images": values(8 * 36, N), "numFilters": 8}),
    "neuron nrelu: generation": (("neuron", ""), {"type": "nrelu", "generation": 2011}),
    "neuron log: generation": (("neuron", ""), {"type": "log", "a": 1.0}),
    "probs is empty": (("computeCrossEntCost", ""), {"probs": values(5, 0), "labels": values(5, 0)}),
    "a label is no class": (("computeLogregCost", ""), {"labels": np.full((1, N), 5, np.float32)}),
    "MultiSoftmaxCost: a label is no class": (
        ("computeMultiSoftmaxCost", ""), {"labels": np.full((1, N), -1, np.float32)}),
    "setSize is no size of a set": (("computeMultiSoftmaxCost", ""), {"setSize": 0}),
    "tgtSize must be positive": (("convResizeBilinear", ""), {"tgtSize": 0}),
    "convCrop: tgtSize must be positive": (("convCrop", ""), {"tgtSize": 0}),
    "imgSize": (("convResizeBilinear", ""), {"images": values(3, N), "imgSize": 1}),
    "convCrop: window": (("convCrop", ""), {"startX": 3}),
    "Crop: window": (("convCrop", ""), {"startY": -1}),
    "ReflectHorizontal: channels": (("convReflectHorizontal", ""), {"images": values(4 * 36, N)}),
}  # fmt: skip


@pytest.mark.parametrize("message", CALLS)
def test_calls(message):
    case, change = CALLS[message]
    call = toy_calls.CALLS[case](N)
    given = dict(zip(signature(call.func).parameters, call.args, strict=False)) | call.keywords
    with pytest.raises(Refused, match=message):
        call.func(**given | change)


def primitive(name, *inputs, target=None, **scalars):
    return partial(_call.call, f"NVMatrix::{name}", list(inputs), [target or _call.row("target", None)], scalars)


GAPPED = values(5, 8)[:, :7]
WHOLE = GAPPED.copy()
OTHERS = {
    "sparse connectivity needs groups": toy_calls.conv(
        "convFilterActsSparse", 4, 32, 1, N, table=toy_calls.TABLE[:1] % 4),
    "connectivity table": toy_calls.conv("convFilterActsSparse", 6, 64, 4, N, table=np.zeros((4, 1), np.int32)),
    "sum: the matrix must be contiguous": primitive("sumAll", _call.row("a", GAPPED)),
    "reduction: the matrix must be contiguous": primitive("sum", _call.row("a", GAPPED), axis=0),
    "dot product": primitive("dotProduct", _call.row("a", GAPPED), _call.row("b", WHOLE)),
    "dot product: operands": primitive("dotProduct", _call.row("a", WHOLE), _call.row("b", GAPPED)),
    "product: operands": primitive("dotProduct", _call.row("a", WHOLE), _call.col("b", np.asfortranarray(WHOLE))),
    "matrix product: target": primitive(
        "addProduct", _call.row("a", WHOLE), _call.row("b", WHOLE.T.copy()), scaleThis=1, scaleAB=1,
        target=_call.row("target", values(5, 5))),
    "storage order": partial(
        _call.call, "computeEltwiseMaxGrad",
        [_call.row("actGrad", WHOLE), _call.col("input", np.asfortranarray(WHOLE)), _call.row("output", WHOLE)],
        [_call.row("target", None)], {"add": 0}),
}  # fmt: skip


@pytest.mark.parametrize("message", OTHERS)
def test_other_calls(message):
    with pytest.raises(Refused, match=message):
        OTHERS[message]()


def pooling(**keys):
    sizes = {"channels": 1, "sizeX": 2, "start": 0, "stride": 2, "outputsX": 2, "imgSize": 4, "pool": "max"}
    return {"name": "pool", "type": "pool", "inputs": ["x"], "outputs": 4} | sizes | keys


def scaling(**keys):
    sizes = {"channels": 1, "imgSize": 4, "tgtSize": 3, "maxScale": 1.5}
    return {"name": "scale", "type": "rscale", "inputs": ["x"], "outputs": 9} | sizes | keys


def convolving(**keys):
    return nets.conv("conv", {"x": (1, 4, 3, 1, 0, 1)}, 16) | keys


X = nets.data("x", 16)
LAYERS = {
    "two layers of this name": [X, X],
    "partialSum does not divide": [X, convolving(partialSum=3)],
    "outputs is no filters x modules": [X, convolving(outputs=63)],
    "no filters or no modules": [X, convolving(filters=0)],
    "wrong labels": [X, nets.data("y", 2), nets.cost("y", "x")],
    "wrong number of inputs": [X, {"name": "cost", "type": "cost.logreg", "inputs": ["x"], "outputs": 0, "coeff": 1.0}],
    "not one value per case": [
        X,
        {"name": "cost", "type": "cost.gsum2", "inputs": ["x", "x"], "outputs": 0, "coeff": 1.0},
    ],
    "class tree does not fit": [X, nets.treefc("tree", "x", 16, [[], [], [0, 1]], weightShapes=[[16, 4]])],
    "class tree is no tree": [X, nets.treefc("tree", "x", 16, [[], [], []], outputs=2)],
    "unknown pooling": [X, pooling(pool="mean")],
    "sizes and scale": [X, scaling(tgtSize=5, outputs=25)],
    "sizes and": [X, scaling(maxScale=0.9)],
    "too many weightSourceLayers": [X, nets.fc("fc", ["x"], [16], 4, weightSourceLayers=["", "x"])],
    "no such layer above": [X, nets.fc("fc", ["x"], [16], 4, weightSourceLayers=["x"], weightSourceMatrixIndices=[0])],
}


@pytest.mark.parametrize("message", LAYERS)
def test_layers(message):
    with pytest.raises(Refused, match=message):
        Network(LAYERS[message])


def test_steps():
    net = Network([X, nets.fc("fc", ["x"], [16], 4), scaling()])
    net.forward("x", [values(16, N)])
    steps = {
        "wrong number of matrices": lambda: net.forward("x", [values(16, N)] * 2),
        "the data has the wrong shape": lambda: net.forward("x", [values(15, N)]),
        "data has the wrong shape": lambda: net.forward("x", [values(16, 0)]),
        "missing or of the wrong shape": lambda: net.forward("scale", [values(16, N)], values(3, 1)),
        r"numbers in \[0, 1\)": lambda: net.forward("scale", [values(16, N)], np.ones((4, 1), np.float32)),
        "gets no gradient": lambda: net.sum_grad("x", [("fc", 0, values(4, N))]),
    }
    for message, step in steps.items():
        with pytest.raises(Refused, match=message):
            step()
