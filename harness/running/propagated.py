"""Propagated mode: each engine feeds itself, and every difference is traced to where it began."""

from collections.abc import Iterator

from ..judging.finding import DIFFERS
from ..judging.row import Row
from ..network.graph import Graph
from .own_values import OwnFeed
from .sweep import Sweep
from .workload import Workload


def propagated_rows(work: Workload) -> Iterator[Row]:
    """Yield the rows of an isolated sweep, then those of a sweep in which each engine feeds itself.

    In the second part a tensor outside the bound is ``inherited`` if it is what the layer's formula gives from the
    engine's own operands: a legitimate consequence of rounding further down (one flipped ReLU or pooling maximum moves
    later values by far more than any bound), and no failure. It is ``local`` if the layer also fails from the
    reference's tensors, and ``unexplained`` if it does not, but fails from its own.
    """
    failed = {}
    for row in Sweep(work).rows():
        for name, found in row.findings.items():
            if found.fails:
                failed[row.layer, row.step, row.tensor, name] = row.quirk.get(name, ())
        yield row
    sweep = OwnFeed(work)
    for row in sweep.rows():
        row.mode = "propagated"
        own = isolated_counterparts(sweep.graph, row)
        for name, found in row.findings.items():
            if found.status in DIFFERS:
                local = [failed[*key, name] for key in own if (*key, name) in failed]
                outside = "unexplained" if row.own.get(name, 0) > 1 else "inherited"
                row.origin[name] = "local" if local else outside
                if local and all(local):
                    row.quirk[name] = tuple(dict.fromkeys(quirk for quirks in local for quirk in quirks))
        wrong = {key[0] for key in own for name in row.findings if (*key, name) in failed}
        row.sent_by = tuple(name for name in row.sent_by if name in wrong) or row.sent_by
        yield row


def isolated_counterparts(graph: Graph, row: Row) -> list[tuple[str, str, str]]:
    """The isolated tensors, as (layer, pass, tensor), that a propagated row must be held against.

    The gradient of a layer's output is in isolated mode what its consumers send down, and their sum.
    """
    if row.tensor != "acts_grad":
        return [(row.layer, row.step, row.tensor)]
    sent = [(consumer, row.step, f"inputs_grad[{i}]") for consumer, i in graph.contributions(row.layer)]
    return [*sent, (row.layer, row.step, row.tensor)]
