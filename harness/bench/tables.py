"""The tables of `rosetta bench`: seconds; what of the machine's peak they use; a model of the GTX 580; 2012."""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from math import floor, log10
from pathlib import Path
from typing import Any

from .. import files, machine
from ..engines import peaks
from ..engines.peaks import Peak
from ..errors import BadInput, writing
from ..judging.row import faster_or_slower, ratio, ratio_name
from .measure import PASSES, Measurement, Timing, refusals
from .work import Work, count

MODEL = "model, not a measurement"


def lines(found: Measurement, full: bool = True) -> Iterator[str]:
    """All tables of a `bench.Measurement` as text; without ``full`` none of what the layers need and use."""
    yield from seconds_table(found)
    yield ""
    if full:
        yield from work_table(found)
        yield ""
    yield from comparison_with_2012(found)
    if not full:
        yield "--full: GFLOP/s and GB/s of each layer, and their shares of what this machine can do"


def seconds_table(found: Measurement) -> Iterator[str]:
    """A line for each layer and pass, then the sums, the copies apart, and images per second."""
    names, options = found.options.engines, found.options
    yield (f"{options.net}, batch {options.batch}, {found.repeat} steps each, interleaved: "
           "median milliseconds (quartile distance)")  # fmt: skip
    if found.note:
        yield f"note: {found.note}"
    for text in refusals(found.broken):
        yield f"not timed: {text}"
    if len(names) == 2:
        yield f"{ratio_name(names)}: time of the first over that of the second; - where one is"
        yield "below a millisecond, or they differ by less than they spread"
    ratios = found.ratios if len(names) == 2 else {}
    if ratios:
        yield "95 % of it: interval of that ratio turn by turn; faster, slower: the first engine, if 1 is outside"
    wide = _widths(found, 18)
    head = " ".join(f"{name:>{wide[name]}}" for name in names)
    limits = "  95 % of it" if ratios else ""
    yield f"{'layer':{wide['']}} {'pass':8} {head} {ratio_name(names)}{limits}".rstrip()
    rows = [(*key, [found.timings.get((*key, name)) for name in names]) for key in found.steps()]
    rows += [("total", step, [found.total(name, step) for name in names]) for step in (*PASSES, "all")]
    if found.copies:
        rows.append(("host-device", "copies", [found.copies.get(name) for name in names]))
    for layer, step, timings in rows:
        limits = _limits(ratios.get((layer, step, names[0])))
        yield f"{layer:{wide['']}} {step:8} {_cells(names, timings, wide)}{limits}"
    rates = " ".join(f"{found.images_per_second(name):{wide[name] - 1}.1f} " for name in names)
    yield f"{'images/s':{wide['']}} {'':8} {rates}"
    if any(t and t.spread > t.seconds for *_, timings in rows for t in timings):
        yield "* the quartiles are further apart than the median is from 0: something else ran on this machine"


def work_table(found: Measurement) -> Iterator[str]:
    """GFLOP and MiB that each layer and pass needs at least, and what each engine makes of them per second."""
    names, wide = found.options.engines, _widths(found, 28 if found.peaks else 15)
    for name in names:
        if name in found.peaks:
            yield f"peak of {name}: {found.peaks[name]}"
    grown = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in found.memory.items() if size > 0)
    yield f"memory of a step, parameters apart: {grown or 'unknown here'}"
    shares = " (share of the peak)" if found.peaks else ""
    yield f"GFLOP and MiB that the formulas need at least, and GFLOP/s and GB/s of each engine{shares}"
    engines = " ".join(f"{name:>{wide[name]}}" for name in names)
    halves = [(wide[name] // 2, wide[name] - wide[name] // 2 - 1) for name in names]
    units = " ".join(f"{'GFLOP/s':>{left}} {'GB/s':>{right}}" for left, right in halves)
    yield f"{'':{wide['']}} {'':8} {'':>6} {'':>6} {engines} {'2012':>7}"
    yield f"{'layer':{wide['']}} {'pass':8} {'GFLOP':>6} {'MiB':>6} {units} {'ms':>7}"
    for layer, step, work in counted(found):
        own = {name: timing.seconds for name, timing in _timed(found, layer, step)}
        yield _work_line(layer, step, work, [own.get(name) for name in names], found, wide)
    for step in (*PASSES, "all"):
        seconds = [found.total(name, step).seconds for name in names]
        yield _work_line("total", step, total_work(found, step), seconds, found, wide)
    yield f"2012: {MODEL}: work / peak of a {peaks.GTX_580}"


def comparison_with_2012(found: Measurement) -> Iterator[str]:
    """Images per second of a full step beside those of 2012 and of the model."""
    low, high = peaks.images_per_second_of_2012()
    for name in found.options.engines:
        yield f"{name:22} {found.images_per_second(name):10.1f} images/s"
    if found.network.name == "alexnet":
        yield f"{'2012, two GTX 580':22} {f'{low:.0f}-{high:.0f}':>10} images/s, from {_derivation()}"
    yield f"{'one GTX 580':22} {found.options.batch / model_seconds(found):10.1f} images/s at most: {MODEL}"


def plain(found: Measurement) -> list[dict[str, Any]]:
    """A plain dictionary for each layer and pass."""
    return [
        {"layer": layer, "pass": step, "operations": work.operations, "bytes": work.bytes,
         "model_seconds_gtx_580": work.seconds(peaks.GTX_580),
         "seconds": {name: timing.seconds for name, timing in _timed(found, layer, step)},
         "ratio_95": _ratios(found, layer, step),
         "spread": {name: timing.spread for name, timing in _timed(found, layer, step)}}
        for layer, step, work in counted(found)
    ]  # fmt: skip


def _ratios(found: Measurement, layer: str, step: str) -> dict[str, tuple[float, float]]:
    """The intervals of `Measurement.ratios` of a step, by engine."""
    return {name: found.ratios[layer, step, name] for name in found.options.engines
            if (layer, step, name) in found.ratios}  # fmt: skip


def check_file(path: Path, option: str = "--out", kinds: Iterable[str] = ()) -> None:
    """Refuse a file that could not be written, or would be overwritten, before anything is measured."""
    kinds = kinds or WRITERS
    if path.suffix not in kinds:
        raise BadInput(f"{path}: a bench is stored as {' or '.join(kinds)}",
                       hint=", ".join(f"{option} NAME{kind}" for kind in kinds))  # fmt: skip
    if path.exists():
        raise BadInput(f"{path} exists, and is not overwritten", hint=f"{option} takes the name of a new file")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {path.parent}", hint=f"{option} takes a file in a folder that is there")
    if not os.access(path.absolute().parent, os.W_OK):
        raise BadInput(f"{path} cannot be written: the folder takes no files", hint=f"choose another file: {option}")


def write(path: Path, found: Measurement) -> None:
    """Store a `bench.Measurement` as the file's name says: JSON with all about the run, CSV with a line a timing."""
    with writing(path, "choose another file with --out"):
        files.write(path, WRITERS[path.suffix](found).encode())


def as_json(found: Measurement) -> str:
    """All about the run: what `reporting.report.bench` makes a page of."""
    threads = found.options.threads or machine.processors()
    names = found.options.engines
    about = {
        "format": "alexnet-rosetta bench",
        "version": 2,  # 1 had ``ratio_95`` of two engines only, without their names
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": asdict(found.options),
        "repeat": found.repeat,
        "note": found.note,
        "not_timed": refusals(found.broken),
        "environment": machine.environment(threads),
        "layers": plain(found),
        "total_ratio_95": {step: _ratios(found, "total", step) for step in (*PASSES, "all")},
        "memory": found.memory,
        "copy_seconds": {name: copies.seconds for name, copies in found.copies.items()},
        "peaks": {name: asdict(peak) for name, peak in found.peaks.items()},
        "images_per_second": {name: found.images_per_second(name) for name in names},
    }
    return json.dumps(about, indent=1, ensure_ascii=False) + "\n"


def _csv(found: Measurement) -> str:
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["layer", "pass", "engine", "seconds", "spread", "operations", "bytes", "model_seconds_gtx_580"])
    for row in plain(found):
        work = [row[key] for key in ("operations", "bytes", "model_seconds_gtx_580")]
        for name, seconds in row["seconds"].items():
            lines.writerow([row["layer"], row["pass"], name, seconds, row["spread"][name], *work])
    return text.getvalue()


WRITERS = {".json": as_json, ".csv": _csv}


def _timed(found: Measurement, layer: str, step: str) -> list[tuple[str, Timing]]:
    names = found.options.engines
    return [(name, found.timings[layer, step, name]) for name in names if (layer, step, name) in found.timings]


def _widths(found: Measurement, least: int) -> dict[str, int]:
    """Columns of the names of layers, and of each engine."""
    layers = max((len(layer) for layer, _ in found.steps()), default=0)
    return {"": max(layers, len("host-device"))} | {name: max(least, len(name)) for name in found.options.engines}


def counted(found: Measurement) -> list[tuple[str, str, Work]]:
    """(layer, pass, Work) of every timed pass."""
    graph = found.network.graph
    batch = found.options.batch
    return [(layer, step, count(graph, graph.layers[layer], step, batch)) for layer, step in found.steps()]


def total_work(found: Measurement, step: str = "all") -> Work:
    """The work of a pass over all layers."""
    return sum((work for _, own, work in counted(found) if step in (own, "all")), Work(0, 0))


def model_seconds(found: Measurement) -> float:
    """The least seconds of a full step on a GTX 580: sum over the layers of the longer of computing and moving."""
    return sum(work.seconds(peaks.GTX_580) for _, _, work in counted(found))


def _work_line(
    layer: str, step: str, work: Work, seconds: Sequence[float | None], found: Measurement, wide: Mapping[str, int]
) -> str:
    names = found.options.engines
    cells = [_rate(work, s, found.peaks.get(name), wide[name]) for name, s in zip(names, seconds, strict=True)]
    own = [w for name, s, w in counted(found) if layer in (name, "total") and step in (s, "all")]
    model = sum(w.seconds(peaks.GTX_580) for w in own)
    return (f"{layer:{wide['']}} {step:8} {_digits(work.operations / 1e9):>6} {_digits(work.bytes / 2**20):>6} "
            + " ".join(cells) + f" {_digits(1e3 * model):>7}")  # fmt: skip


def _rate(work: Work, seconds: float | None, peak: Peak | None, width: int) -> str:
    """GFLOP/s and GB/s of one engine, with their shares of its peak where that is known."""
    if not seconds:
        return f"{'-':>{width}}"
    rates = work.operations / seconds, work.bytes / seconds
    shares = ["", ""] if peak is None else [f" ({rates[0] / peak.flops:4.0%})", f" ({rates[1] / peak.bandwidth:4.0%})"]
    cells = zip(rates, shares, (width // 2, width - width // 2 - 1), strict=True)
    return " ".join(f"{f'{rate / 1e9:.1f}{share}':>{width}}" for rate, share, width in cells)


def _digits(number: float, digits: int = 3) -> str:
    """A number with so many digits that count, at most three of them behind the point, and no exponent."""
    place = floor(log10(number)) if number > 0 else 0
    return f"{number:.{min(3, max(0, digits - 1 - place))}f}"


def _derivation() -> str:
    images, epochs = peaks.IMAGES_PER_EPOCH, peaks.EPOCHS
    return f"{epochs} epochs of {images / 1e6:.1f} million images in {peaks.DAYS[0]} to {peaks.DAYS[1]} days"


def _cells(names: Sequence[str], timings: Sequence[Timing | None], wide: Mapping[str, int]) -> str:
    """Times of each engine, and of two their `table.ratio`; none that the spread could have made."""
    cells = [f"{_milliseconds(t):>{wide[name]}}" for name, t in zip(names, timings, strict=True)]
    seconds = {name: t.seconds for name, t in zip(names, timings, strict=True) if t}
    found = ratio(seconds, noise=sum(t.spread for t in timings if t))
    last = ("-" if found is None else f"{found:.2f}").rjust(len(ratio_name(names))) if ratio_name(names) else ""
    return " ".join([*cells, last]).rstrip()


def _limits(ratio: tuple[float, float] | None) -> str:
    """The interval of a ratio, and in a word what follows from it for the first engine; "" of None."""
    return "" if ratio is None else f"  {ratio[0]:.2f}-{ratio[1]:.2f} {faster_or_slower(*ratio)}"


def _milliseconds(timing: Timing | None) -> str:
    """Median and quartile distance, with a mark where the distance is larger."""
    if timing is None:
        return "-"
    noisy = "*" if timing.spread > timing.seconds else " "
    return f"{_digits(1e3 * timing.seconds)} ({_digits(1e3 * timing.spread, 2)}){noisy}"
