"""`rosetta study NET LAYER --counted`: what the kernels of a layer do with memory, access by access."""

from ..engines import legacy
from ..network.load import load
from .layer import PASSES, dims, known_layer, run_layer


def lines(net, name, params=None, batch=32, passes=PASSES, blocks=None):
    """The text, line by line.

    Parameters
    ----------
    net, name, params, batch, passes
        As for `layer.lines`.
    blocks : int, optional
        Blocks of a launch that are counted, spread over its grid; all by default.
    """
    network = load(net, params)
    layer = known_layer(network, net, name)
    counted = legacy.count(network, lambda session: run_layer(session, network, layer, batch), blocks)
    yield f"{name}: {layer.type}, {batch} cases; threads run one by one on the CPU, each access to memory counted"
    for launch, found in counted:
        if (launch["layer"], launch["pass"] in passes) == (name, True):
            yield from ("", f"{launch['pass']}: {launch['kernel']}")
            yield from (f"  {line}" for line in told(found))


def told(found):
    """What was counted of a launch (`legacy.counted.Launched`), line by line."""
    c, (x, y, z) = found.counts, found.grid
    each = {kind: f"{c[kind] / c['threadsRun']:.1f}" for kind in ("reads", "writes", "sharedReads", "sharedWrites")}
    yield f"{found.blocks:,} of {x * y * z:,} blocks of {dims(found.block)} threads"
    yield (f"a thread   reads {each['reads']} and writes {each['writes']} words of global memory, at most "
           f"{c['mostReads']:,} and {c['mostWrites']:,}")  # fmt: skip
    yield f"           reads {each['sharedReads']} and writes {each['sharedWrites']} words of shared memory"
    yield "global     bytes          read      written    transactions   to read   to write"
    rows = {"words": (4 * c["wordsRead"], 4 * c["wordsWritten"], "", "")}
    rows["asked for"] = (c["bytesToRead"], c["bytesToWrite"], "", "")
    for rule, moved in found.moved().items():
        rows[f"sm_{rule}"] = (*moved, f"{c[f'reads{rule}']:,}", f"{c[f'writes{rule}']:,}")
    for what, (read, written, *transactions) in rows.items():
        last = "{:>9} {:>10}".format(*transactions)
        yield f"           {what:9} {read:>10,} {written:>12,}    {'':12} {last}".rstrip()
    yield f"shared     {c['sharedRequests']:,} instructions of warps; conflicts of banks make more passes:"
    yield f"           {c['conflicts13']:,} on sm_13, {c['conflicts20']:,} on sm_20 and sm_35"
    yield f"control    {c['barriers']:,} barriers; on {c['divergent']:,} branches threads of a warp disagree"
    yield (f"order      {c['races']:,} races, {c['unwritten']:,} reads of shared words that nobody wrote, "
           f"{c['meetings']:,} words where blocks meet, {c['outside']:,} accesses outside")  # fmt: skip
    for fault in found.faults:
        where = f"{fault.area}[{fault.index}], block {fault.block}, thread {fault.thread}"
        yield f"           {fault.kind}: {where}, last barrier {fault.barrier}"
    if not found.agrees:
        yield "           the counted blocks did not write what the engine writes"
