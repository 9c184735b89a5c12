"""The yardstick: every layer as its textbook formula in float64 NumPy, and beside it how large rounding errors may be.

`op(spec)` gives the formulas of one layer.  All of them take float32 matrices (units, cases), any slice of cases at a
time, and return `Bounded` results:

    forward(inputs, params, *, pass_type="train", mask=None)                        outputs; a cost: sums over the slice
    inputs_grad(i, inputs, acts_grad, params, *, pass_type="train", mask=None)      gradient of input i
    params_grad(inputs, acts_grad, params)                                          sums over the slice, weights layers
    update(param, inc, grad, *, eps, mom, wc)                                       one step of the solver, likewise
    accumulate(inc, grad_sum, *, eps, mom, cases)                                   fc and local: Δ after backward

`params` is {"weights": [...], "biases": ...}.  Gradients are those of minus the cost: training ascends.  Everything
is a pure function of its arguments and may run in several threads.
"""

from . import combine, conv, costs, dropout, linear, neurons, norm, pool, solver
from .bounded import Bounded, sum_grads

__all__ = ["Bounded", "UnsupportedLayer", "accumulate", "limit_norms", "op", "sum_grads", "update"]

accumulate = solver.accumulate
limit_norms = solver.limit_norms
update = solver.update

_LAYERS = {
    "concat": combine.Concat,
    "conv": conv.Conv,
    "cost.logreg": costs.LogregCost,
    "cmrnorm": norm.ResponseNorm,
    "cnorm": norm.ContrastNorm,
    "eltmax": combine.EltMax,
    "eltsum": combine.EltSum,
    "fc": linear.FullyConnected,
    "hs": dropout.Dropout,
    "local": conv.Local,
    "neuron": neurons.Neuron,
    "rnorm": norm.ResponseNorm,
    "softmax": costs.Softmax,
}

_POOLS = {"max": pool.MaxPool, "maxabs": pool.MaxPool, "avg": pool.AveragePool}


class UnsupportedLayer(NotImplementedError):
    """The reference has no formula for this layer."""


def op(spec):
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
    layer = _POOLS.get(_pooler(spec)) if spec["type"] == "pool" else _LAYERS.get(spec["type"])
    if layer is None or (layer is neurons.Neuron and spec["neuron"]["type"] not in neurons.TYPES):
        kind = spec["neuron"]["type"] if layer else spec.get("pool", "")
        raise UnsupportedLayer(f"the reference has no formula for {spec['type']} {kind}".rstrip())
    return layer(spec)


def _pooler(spec):
    """Random pooling is plain max pooling where `doMax` says so."""
    return "max" if spec["pool"] == "rand" and spec.get("doMax") else spec["pool"]
