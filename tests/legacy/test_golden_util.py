"""Pooling, normalisation, costs and neurons against recorded outputs of the historical kernels."""

import golden_util as golden
import numpy as np
import pytest
from alexnet_rosetta.legacy import Refused
from bounds_util import bounds

POOL = ["convLocalPool_Max", "convLocalPool_MaxAbs", "convLocalPool_Avg", "convLocalPool_Avg_cc2",
        "convLocalPool_Sum_cc2", "convLocalMaxUndo", "convLocalAvgUndo", "convLocalAvgUndo_cc2", "convPoolCrossMap_Max_cc2",
        "convCrossMapMaxPoolUndo_cc2"]
NORM = ["convResponseNorm", "convResponseNorm_cc2", "convContrastNorm", "convResponseNormUndo",
        "convResponseNormUndo_cc2", "convContrastNormUndo", "convResponseNormCrossMap",
        "convResponseNormCrossMap_cc2", "convContrastNormCrossMap",
        "convContrastNormCrossMap_cc2", "convResponseNormCrossMapUndo",
        "convResponseNormCrossMapUndo_cc2"]
COST = ["computeLogregCost", "computeLogregCost_alexnet", "computeMultiSoftmaxCost_alexnet",
        "computeCrossEntCost_alexnet", "computeLogregGrad", "computeLogregGrad_alexnet", "computeCrossEntGrad_alexnet",
        "computeSoftmaxGrad", "computeSoftmaxGrad_alexnet", "computeLogregSoftmaxGrad", "computeLogregSoftmaxGrad_alexnet",
        "computeCrossEntSoftmaxGrad_alexnet", "computeEltwiseMaxGrad", "computeEltwiseMaxGrad_alexnet"]
NEURON = ["neuron", "neuron_alexnet"]

# Neurons and outputs that an exponential, logarithm or power goes into; all else is add, multiply, divide, compare.
TRANSCENDENTAL_NEURONS = {"softrelu", "logistic", "tanh", "drelu"}


def must_be_identical(stem, case, output):
    """Whether the strict build must have the recorded bits."""
    if stem in NORM:
        return output == "denoms" or (output == "acts" and "Undo" in stem)
    return output != "labelLogProbs" and case.get("neuron") not in TRANSCENDENTAL_NEURONS


@pytest.mark.parametrize("module", golden.modules())
@pytest.mark.parametrize("stem", [*POOL, *NORM, *COST, *NEURON])
def test_recorded_outputs(stem, module, monkeypatch):
    golden.use(monkeypatch, module)
    for k, (arrays, case) in enumerate(golden.cases(stem)):
        if case.get("rejected_by_assert"):
            with pytest.raises(Refused):
                golden.run(stem, arrays, case)
            continue
        outputs, log = golden.run(stem, arrays, case)
        assert golden.launches(log) == golden.recorded_launches(case), f"case {k}"
        allowed = bounds(arrays, case)
        for name, actual in outputs.items():
            recorded = arrays[f"out_{name}"]
            assert actual.shape == recorded.shape, f"case {k}: {name}"
            if module == "strict" and must_be_identical(stem, case, name):
                good = golden.same_bits(actual, recorded)
            else:
                good = golden.within(actual, recorded, *allowed[name])
            assert good.all(), f"case {k}: {name}: {np.argwhere(~good)[:3].tolist()} of {actual.shape}"


def test_every_recorded_file_of_these_entries_is_tested():
    entries = {stem.split("_")[0] for stem in [*POOL, *NORM, *COST, *NEURON]}
    files = {path.stem for path in golden.GOLDEN.glob("*.npz") if path.stem.split("_")[0] in entries}
    assert files == {*POOL, *NORM, *COST, *NEURON}
