"""The tables of `rosetta bench`: seconds; what of the machine's peak they use; a model of the GTX 580; 2012."""

from . import bench, peaks
from .table import ratio, ratio_name
from .work_counts import Work, count

MODEL = "model, not a measurement: the least time on one GTX 580"


def lines(options, repeat=5):
    """All tables of a bench as text.

    Parameters
    ----------
    options : run.Options
    repeat : int
        Timed steps of each engine.
    """
    found = bench.measure(options, repeat)
    yield from seconds_table(found)
    yield ""
    yield from work_table(found)
    yield ""
    yield from comparison_with_2012(found)


def seconds_table(found):
    """A line for each layer and pass, then the sums, the copies apart, and images per second."""
    names, options = found.options.engines, found.options
    yield (f"{options.net}, batch {options.batch}, {found.repeat} steps each, interleaved: "
           "median seconds (quartile distance)")  # fmt: skip
    if len(names) == 2:
        yield (f"{ratio_name(names)}: seconds of the first over those of the second; - where one is below a "
               "millisecond, or they differ by less than they spread")  # fmt: skip
    yield f"{'layer':14} {'pass':8} " + " ".join(f"{name:>22}" for name in names) + f" {ratio_name(names)}".rstrip()
    for layer, step in found.steps():
        yield f"{layer:14} {step:8} " + _cells(names, [found.timings.get((layer, step, name)) for name in names])
    for step in (*bench.PASSES, "all"):
        yield f"{'total':14} {step:8} " + _cells(names, [found.total(name, step) for name in names])
    if found.copies:
        yield f"{'host-device':14} {'copies':8} " + _cells(names, [found.copies.get(name) for name in names])
    rates = [found.images_per_second(name) for name in names]
    yield f"{'images/s':14} {'':8} " + " ".join(f"{rate:22.1f}" for rate in rates)


def work_table(found):
    """GFLOP and MiB that each layer and pass needs at least, and what each engine makes of them per second."""
    names = found.options.engines
    for name in names:
        if name in found.peaks:
            yield f"peak of {name}: {found.peaks[name]}"
    yield "GFLOP/s and GB/s of the work that the formulas need (share of the peak of the card)"
    yield (f"{'layer':14} {'pass':8} {'GFLOP':>9} {'MiB':>9} " + " ".join(f"{name:>28}" for name in names)
           + f" {'2012 model':>10}")  # fmt: skip
    for layer, step, work in counted(found):
        yield _work_line(layer, step, work, [_seconds(found, layer, step, name) for name in names], found)
    for step in (*bench.PASSES, "all"):
        yield _work_line("total", step, total_work(found, step), [found.total(n, step).seconds for n in names], found)
    yield f"2012 {MODEL}, in milliseconds: work / peak, {peaks.GTX_580}"


def comparison_with_2012(found):
    """Images per second of a full step beside those of 2012 and of the model."""
    low, high = peaks.images_per_second_of_2012()
    for name in found.options.engines:
        yield f"{name:22} {found.images_per_second(name):10.1f} images/s"
    if found.network.name == "alexnet":
        yield f"{'2012, two GTX 580':22} {f'{low:.0f}-{high:.0f}':>10} images/s, from {_derivation()}"
    yield f"{'one GTX 580':22} {found.options.batch / model_seconds(found):10.1f} images/s at most; {MODEL}"


def counted(found):
    """(layer, pass, Work) of every timed pass."""
    graph = found.network.graph
    batch = found.options.batch
    return [(layer, step, count(graph, graph.layers[layer], step, batch)) for layer, step in found.steps()]


def total_work(found, step="all"):
    """The work of a pass over all layers."""
    return sum((work for _, own, work in counted(found) if step in (own, "all")), Work(0, 0))


def model_seconds(found):
    """The least seconds of a full step on a GTX 580: sum over the layers of the longer of computing and moving."""
    return sum(work.seconds(peaks.GTX_580) for _, _, work in counted(found))


def _work_line(layer, step, work, seconds, found):
    cells = [_rate(work, s, found.peaks.get(name)) for name, s in zip(found.options.engines, seconds, strict=True)]
    own = [w for name, s, w in counted(found) if layer in (name, "total") and step in (s, "all")]
    model = sum(w.seconds(peaks.GTX_580) for w in own)
    return (f"{layer:14} {step:8} {work.operations / 1e9:9.3f} {work.bytes / 2**20:9.1f} " + " ".join(cells)
            + f" {1e3 * model:10.3f}")  # fmt: skip


def _rate(work, seconds, peak):
    """GFLOP/s and GB/s of one engine, with their shares of its peak where that is known."""
    if not seconds:
        return f"{'-':>28}"
    rates = work.operations / seconds, work.bytes / seconds
    shares = ["", ""] if peak is None else [f" ({rates[0] / peak.flops:4.0%})", f" ({rates[1] / peak.bandwidth:4.0%})"]
    cells = zip(rates, shares, (14, 13), strict=True)
    return " ".join(f"{f'{rate / 1e9:.1f}{share}':>{width}}" for rate, share, width in cells)


def _seconds(found, layer, step, name):
    timing = found.timings.get((layer, step, name))
    return timing and timing.seconds


def _derivation():
    images, epochs = peaks.IMAGES_PER_EPOCH, peaks.EPOCHS
    return f"{epochs} epochs of {images / 1e6:.1f} million images in {peaks.DAYS[0]} to {peaks.DAYS[1]} days"


def _cells(names, timings):
    """Seconds of each engine, and of two their `table.ratio`; none that the spread could have made."""
    cells = [f"{'-':>22}" if t is None else f"{t.seconds:11.6f} ({t.spread:8.6f})" for t in timings]
    seconds = {name: t.seconds for name, t in zip(names, timings, strict=True) if t}
    found = ratio(seconds, noise=sum(t.spread for t in timings if t))
    last = ("-" if found is None else f"{found:.2f}").rjust(len(ratio_name(names))) if ratio_name(names) else ""
    return " ".join([*cells, last]).rstrip()
