"""The yardstick: every layer as its textbook formula in float64 NumPy, and beside it how large rounding errors may be.

`op(spec)` gives the formulas of one layer.  All of them take float32 matrices (units, cases), any slice of cases at a
time, and return `Bounded` results::

    forward(inputs, params, *, pass_type="train", mask=None)                        outputs; a cost: sums over the slice
    inputs_grad(i, inputs, acts_grad, params, *, pass_type="train", mask=None)      gradient of input i
    params_grad(inputs, acts_grad, params)                                          sums over the slice, weights layers
    update(param, inc, grad, *, eps, mom, wc)                                       one step of the solver, likewise
    accumulate(inc, grad_sum, *, eps, mom, cases)                                   fc and local: Δ after backward

`params` is {"weights": [...], "biases": ...}; `mask` holds what was drawn: dropout masks, normals of nrelu, uniforms
of random pooling, the rescaling of rscale.  Gradients are those of minus the cost: training ascends.  Where a layer
and the cost above it go backward in one step, `inputs_grad` takes the cost's coefficient and its labels or targets.
Everything is a pure function of its arguments and may run in several threads.
"""

from collections.abc import Mapping
from typing import Any

from . import combine, conv, costs, dropout, image_ops, linear, msm, neurons, norm, pool, solver, squares, tree
from .bounded import Bounded, sum_grads
from .layer import Layer, LayerSpec

__all__ = [
    "Bounded",
    "UnsupportedLayer",
    "accumulate",
    "facts",
    "limit_contrast",
    "limit_norms",
    "op",
    "scheduled",
    "spread_step",
    "sum_grads",
    "update",
]

accumulate = solver.accumulate
limit_contrast = solver.limit_contrast
limit_norms = solver.limit_norms
scheduled = solver.scheduled
spread_step = solver.spread_step
update = solver.update

_LAYERS: dict[str, type[Layer]] = {
    "blur": image_ops.Blur,
    "cmrnorm": norm.ResponseNorm,
    "cnorm": norm.ContrastNorm,
    "concat": combine.Concat,
    "conv": conv.Conv,
    "cost.crossent": costs.CrossEntropyCost,
    "cost.crossent2": costs.BinaryCrossEntropyCost,
    "cost.gsum2": squares.GatedSquaresCost,
    "cost.logreg": costs.LogregCost,
    "cost.msm": msm.MultiSoftmaxCost,
    "cost.rflickr": squares.FlickrCost,
    "cost.sum2": squares.SquaresCost,
    "cost.tica": squares.TicaCost,
    "eltmax": combine.EltMax,
    "eltsum": combine.EltSum,
    "fc": linear.FullyConnected,
    "href": image_ops.Reflection,
    "hs": dropout.Dropout,
    "local": conv.Local,
    "nailbed": image_ops.NailBed,
    "neuron": neurons.Neuron,
    "resize": image_ops.Resize,
    "rgb2lab": image_ops.RgbToLab,
    "rgb2yuv": image_ops.RgbToYuv,
    "rnorm": norm.ResponseNorm,
    "rscale": image_ops.RandomScale,
    "softmax": costs.Softmax,
    "treefc": tree.TreeFullyConnected,
}

_POOLS: dict[str, type[Layer]] = {
    "max": pool.MaxPool,
    "maxabs": pool.MaxAbsPool,
    "avg": pool.AveragePool,
    "rand": pool.RandomPool,
}
_NEURONS: dict[str, type[Layer]] = {"logistic": neurons.LogisticNeuron, "nrelu": neurons.NoisyNeuron}


class UnsupportedLayer(NotImplementedError):
    """The reference has no formula for this layer."""


def op(spec: Mapping[str, Any]) -> Any:
    """The formulas of a layer.

    Parameters
    ----------
    spec : dict
        The layer with the keys of the historical parser: padding negated, `filters` the total over groups,
        normalisation `scale` already divided by the window.

    Raises
    ------
    UnsupportedLayer
        If there is no formula for this type of layer, pool or neuron.
    """
    layer = facts(spec)
    if layer is Layer or (spec["type"] == "neuron" and spec["neuron"]["type"] not in neurons.TYPES):
        kind = spec["neuron"]["type"] if spec["type"] == "neuron" else spec.get("pool", "")
        raise UnsupportedLayer(f"the reference has no formula for {spec['type']} {kind}".rstrip())
    return layer(spec)


def facts(spec: Mapping[str, Any] | LayerSpec) -> type[Layer]:
    """The class of a layer, which says what `layer.Layer` lists; of data layers and unknown types that one.

    Parameters
    ----------
    spec : dict or LayerSpec
        With the key ``type``, of a pool ``pool``. Random pooling is plain max pooling where ``doMax`` says so.
    """
    kind = spec.get("type", "") if isinstance(spec, Mapping) else spec.type
    if kind == "neuron":
        return _NEURONS.get(spec.get("neuron", {}).get("type", ""), neurons.Neuron)
    if kind != "pool":
        return _LAYERS.get(kind, Layer)
    is_max = spec.get("pool", "") == "rand" and spec.get("doMax")
    return _POOLS.get("max" if is_max else spec.get("pool", ""), Layer)
