"""Propagated mode: each engine feeds itself, and every difference is traced to where it began."""

from ..judging.finding import DIFFERS
from .sweep import Sweep


def propagated_rows(work):
    """Yield the rows of an isolated sweep, then those of a sweep in which each engine feeds itself.

    In the second part a tensor outside the bound is ``local`` if the layer also fails from the reference's own
    tensors, else ``inherited``: a legitimate consequence of rounding further down (one flipped ReLU or pooling maximum
    moves later values by far more than any bound). Inherited differences are no failures.
    """
    failed = {}
    for row in Sweep(work).rows():
        for name, found in row.findings.items():
            if found.fails:
                failed[row.layer, row.step, row.tensor, name] = row.quirk.get(name, ())
        yield row
    sweep = Sweep(work, own_feed=True)
    for row in sweep.rows():
        row.mode = "propagated"
        own = isolated_counterparts(sweep.graph, row)
        for name, found in row.findings.items():
            if found.status in DIFFERS:
                local = [failed[*key, name] for key in own if (*key, name) in failed]
                row.origin[name] = "local" if local else "inherited"
                if local and all(local):
                    row.quirk[name] = tuple(dict.fromkeys(quirk for quirks in local for quirk in quirks))
        yield row


def isolated_counterparts(graph, row):
    """The isolated tensors, as (layer, pass, tensor), that a propagated row must be held against.

    The gradient of a layer's output is in isolated mode what its consumers send down, and their sum.
    """
    if row.tensor != "acts_grad":
        return [(row.layer, row.step, row.tensor)]
    sent = [(consumer, row.step, f"inputs_grad[{i}]") for consumer, i in graph.contributions(row.layer)]
    return [*sent, (row.layer, row.step, row.tensor)]
