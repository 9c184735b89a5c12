"""Decisions of layers: signs, winners of windows, best classes; where two sets of operands decide differently."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..network.load import LayerSpec
from ..reference.bounded import planes

Arrays = Sequence[np.ndarray]
Decisions = Iterator[tuple[int, np.ndarray, np.ndarray]]
"""How many there are; of those that differ the margins, and what the operands may be off there."""
SIGNS = ("relu", "nrelu", "brelu", "abs")


def decides(layer: LayerSpec) -> bool:
    """Whether a layer takes decisions that are counted: a rectifier, a maximum, the best classes of a cost."""
    if layer.type == "neuron":
        return layer["neuron"]["type"] in SIGNS
    if layer.type == "pool":
        return bool(layer.get("doMax")) or layer["pool"] in ("max", "maxabs")
    return layer.type in ("eltmax", "cost.logreg")


def decided(layer: LayerSpec, op: Any, ours: Arrays, theirs: Arrays, allowed: Arrays) -> dict[str, Any]:
    """Count the decisions that differ between inputs of the reference and of an engine, `allowed` to be so far apart.

    The result says ``what`` is decided; the ``count`` of decisions; how many ``differ``; of those the largest
    ``margin``, as a share of what the operands may be off; and how many lie ``beyond`` that. `op` has the layer's
    formulas.
    """
    what, kinds = {
        "neuron": ("signs", _signs),
        "pool": ("winners", _winners),
        "eltmax": ("winners", _largest),
        "cost.logreg": ("answers", _answers),
    }[layer.type]
    count, shares = 0, [np.zeros(0)]
    for total, margin, reach in kinds(layer, op, ours, theirs, allowed):
        count += total
        margin, reach = np.asarray(margin, np.float64), np.asarray(reach, np.float64)
        shares.append(np.divide(margin, reach, out=np.where(margin > 0, np.inf, 0.0), where=reach > 0))
    share = np.concatenate(shares)
    largest, beyond = float(share.max(initial=0.0)), int(np.count_nonzero(share > 1))
    return {"what": what, "count": int(count), "differ": share.size, "margin": largest, "beyond": beyond}


def _signs(layer: LayerSpec, op: Any, ours: Arrays, theirs: Arrays, allowed: Arrays) -> Decisions:
    (x,), (y,) = ours, theirs
    reach = np.broadcast_to(allowed[0], x.shape)
    limits = [np.float32(0)]
    if layer["neuron"]["type"] == "brelu":
        limits.append(np.float32(layer["neuron"]["params"]["a"]))
    for limit in limits:
        differ = (x > limit) != (y > limit)
        yield x.size, np.abs(x[differ] - limit), reach[differ]


def _winners(layer: LayerSpec, op: Any, ours: Arrays, theirs: Arrays, allowed: Arrays) -> Decisions:
    size = np.abs if layer["pool"] == "maxabs" else np.asarray
    x, y = (op.windows.pad(planes(size(one[0]), op.channels), -np.inf) for one in (ours, theirs))
    reach = op.windows.pad(planes(np.broadcast_to(allowed[0], ours[0].shape), op.channels))
    mine, yours = _winner(op, x), _winner(op, y)
    differ = mine != yours
    margin = _under(op, x, mine)[differ] - _under(op, x, yours)[differ]
    yield mine.size, margin, _under(op, reach, mine)[differ] + _under(op, reach, yours)[differ]


def _winner(op: Any, framed: np.ndarray) -> np.ndarray:
    """Of each window the tap that wins, the first among equals."""
    (_, first), *others = op.windows.taps(framed)
    best, found = first.copy(), np.zeros(first.shape, np.int16)
    for k, (_, pixels) in enumerate(others, 1):
        better = pixels > best
        found[better] = k
        np.copyto(best, pixels, where=better)
    return found


def _under(op: Any, framed: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """The pixels under one tap of each window."""
    found = np.zeros(taps.shape, framed.dtype)
    for k, (_, pixels) in enumerate(op.windows.taps(framed)):
        np.copyto(found, pixels, where=taps == k)
    return found


def _largest(layer: LayerSpec, op: Any, ours: Arrays, theirs: Arrays, allowed: Arrays) -> Decisions:
    yield _first(np.stack(ours), np.stack(theirs), np.stack([np.broadcast_to(a, ours[0].shape) for a in allowed]))


def _first(x: np.ndarray, y: np.ndarray, reach: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Decisions which along the first axis is largest."""
    mine, yours = x.argmax(0), y.argmax(0)
    differ = mine != yours
    at = [np.take_along_axis(array, which[None], 0)[0][differ] for array in (x, reach) for which in (mine, yours)]
    return mine.size, at[0] - at[1], at[2] + at[3]


def _answers(layer: LayerSpec, op: Any, ours: Arrays, theirs: Arrays, allowed: Arrays) -> Decisions:
    """The best class, and whether the label is among the best k."""
    (labels, x), (_, y) = ours, theirs
    reach = np.broadcast_to(allowed[1], x.shape)
    yield _first(x, y, reach)
    k, label = layer["topk"], labels[:1].astype(int)
    if not 0 < k < len(x):
        return
    own, others = [], []
    for values in (x, y):
        rest = values.astype(np.float64)
        own.append(np.take_along_axis(rest, label, 0)[0])
        np.put_along_axis(rest, label, -np.inf, 0)
        others.append(np.partition(rest, len(x) - k, 0)[len(x) - k])  # the k-th of the other classes
    differ = (own[0] >= others[0]) != (own[1] >= others[1])
    widest = np.take_along_axis(reach, label, 0)[0].astype(np.float64) + reach.max(0)
    yield differ.size, np.abs(own[0] - others[0])[differ], widest[differ]
