"""`rosetta study NET LAYER --counted`, `--play`: what the kernels of a layer do with memory, access by access."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

from markupsafe import Markup

from .. import files
from ..engines import legacy
from ..network.load import LayerSpec, load
from ..reporting import report
from ..running.steps import PASSES
from .layer import dims, known_layer, run_layer
from .page import HERE, rendered

ROW = 64  # cells of an array of one row that stand side by side
TRACE, PAGE = 500_000, 2_000_000  # bytes of the trace of a kernel, and of all of a page


def lines(
    net: str,
    name: str,
    params: str | None = None,
    batch: int = 32,
    passes: Sequence[str] = PASSES,
    blocks: int | None = None,
) -> Iterator[str]:
    """The text, line by line.

    ``net``, ``name``, ``params``, ``batch``, ``passes``: as for `layer.lines`.
    ``blocks``: blocks of a launch that are counted, spread over its grid; all by default.
    """
    layer, counted = _counted(net, name, params, batch, passes, blocks)
    yield f"{name}: {layer.type}, {batch} cases; threads run one by one on the CPU, each access to memory counted"
    for launch, found in counted:
        yield from ("", f"{launch['pass']}: {launch['kernel']}")
        yield from (f"  {line}" for line in told(found))


def by_kernel(
    net: str, name: str, params: str | None, batch: int, passes: Sequence[str], blocks: int | None
) -> dict[str, dict[str, str]]:
    """The same for a study page: by kernel string, {what was counted: the text}."""
    _, counted = _counted(net, name, params, batch, passes, blocks)
    return {
        launch["kernel"]: {f"{found.blocks:,} blocks of threads one by one": "\n".join(told(found))}
        for launch, found in counted
    }


def _counted(
    net: str, name: str, params: str | None, batch: int, passes: Sequence[str], blocks: int | None
) -> tuple[LayerSpec, list[tuple[Mapping[str, Any], Any]]]:
    network = load(net, params)
    layer = known_layer(network, net, name)
    counted = legacy.count(network, lambda session: run_layer(session, network, layer, batch), blocks)
    return layer, [(x, found) for x, found in counted if x["layer"] == name and x["pass"] in passes]


def play(
    out: Path, net: str, name: str, params: str | None = None, batch: int = 32, passes: Sequence[str] = PASSES
) -> None:
    """Write a page that plays the first block of every kernel of a layer; arguments as for `lines`."""
    network = load(net, params)
    layer = known_layer(network, net, name)
    run = partial(run_layer, network=network, layer=layer, batch=batch)
    counted = legacy.count(network, run, 1, trace=TRACE)
    chosen: dict[tuple[str, str], Any] = {}
    for launch, found in counted:
        if (launch["layer"], launch["pass"] in passes) == (name, True):
            chosen.setdefault((launch["pass"], found.kernel), found)
    launches, left = [], PAGE
    for (step, kernel), found in chosen.items():
        one = played(found) | {"step": step, "kernel": kernel}
        left -= len(found.trace)
        if left >= 0:
            launches.append(one)
    sheets = (report.HERE / "style.css", HERE / "style.css", HERE / "player.css")
    style = "".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    script = (HERE / "player.js").read_text(encoding="utf-8")
    facts = {"net": net, "layer": name, "cases": batch, "launches": launches}
    files.write(out, rendered("player.html", style=Markup(style), script=Markup(script), **facts))


def played(found: Any) -> dict[str, Any]:
    """The trace of a launch as the page wants it."""
    areas, left_out = [], 0
    phases: list[dict[str, Any]] = []
    touched: dict[tuple[int, bool], dict[int, list[int]]] = {}
    holds: dict[int, dict[int, float | None]] = {}
    keeps: dict[int, list[float | None]] = {}
    for kind, *words in (line.split(" ") for line in found.trace.splitlines()):
        if kind in ("global", "shared"):
            number, label, *shape = words
            rows, columns = map(int, shape or (0, 0))
            if rows == 1 and columns > ROW:
                rows, columns = -(-columns // ROW), ROW
            areas.append(
                {"number": int(number), "name": label, "shared": kind == "shared", "rows": rows, "columns": columns}
            )
        elif kind in ("read", "write"):
            area, thread, *places = map(int, words)
            touched.setdefault((area, kind == "write"), {})[thread] = places
        elif kind == "holds":
            holds[int(words[0])] = dict(zip(map(int, words[1::2]), map(_number, words[2::2]), strict=True))
        elif kind == "keeps":
            keeps[int(words[0])] = [*map(_number, words[1:])]
        elif kind == "left":
            left_out += 1
        else:
            names = {area["number"]: area["name"] for area in areas}
            sums = {write: ", ".join(f"{sum(map(len, threads.values()))} words of {names[area]}"
                                     for (area, wrote), threads in touched.items() if wrote == write)
                    for write in (False, True)}  # fmt: skip
            steps = [f"{verb} {sums[write]}" for verb, write in (("read", False), ("write", True)) if sums[write]]
            moves = [{"area": area, "write": write, "threads": threads, "holds": holds.get(area, {}) if write else {}}
                     for (area, write), threads in touched.items()]  # fmt: skip
            phases.append({
                "number": len(phases) + left_out + 1, "ends": ":".join(words) if len(words) == 2 else "",
                "read": sums[False], "written": sums[True], "text": "; ".join(steps) or "do nothing with memory",
                "keeps": keeps, "touched": moves,
            })  # fmt: skip
            touched, holds, keeps = {}, {}, {}
    data = {"block": found.block[:2], "areas": areas, "phases": phases}
    return {"grid": dims(found.grid), "size": dims(found.block), "phases": phases, "left_out": left_out, "data": data}


def _number(text: str) -> float | None:
    """A number of the trace; None where the kernel left none (not a number, infinite)."""
    value = float(text)
    return value if isfinite(value) else None


def told(found: Any) -> Iterator[str]:
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
