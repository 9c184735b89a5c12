"""`rosetta bench`: how long each engine takes for each layer and pass of a full training step.

Engines run whole steps, each feeding itself, interleaved (one step of each in turn, after warm-up), so that what else
the machine does touches all of them alike. Reported are medians and the spread between the quartiles.
"""

from dataclasses import dataclass
from statistics import median, quantiles

from threadpoolctl import threadpool_limits

from . import run

PASSES = ("forward", "backward", "update")


@dataclass(frozen=True)
class Timing:
    """Seconds of one layer and pass in one engine: median, and distance between the quartiles."""

    seconds: float
    spread: float

    @classmethod
    def of(cls, samples):
        """From the samples of the repetitions."""
        low, _, high = quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else (samples[0],) * 3
        return cls(median(samples), high - low)


def measure(options, repeat=5):
    """Time training steps.

    Parameters
    ----------
    options : run.Options
    repeat : int
        Timed steps for each engine, after one that is not.

    Returns
    -------
    dict of (str, str, str) to Timing
        By (layer, pass, engine), in the order of execution.
    """
    work = run.prepare(options)
    samples = {}
    with threadpool_limits(work.threads):
        sessions = work.open_sessions()
        for turn in range(repeat + 1):
            for name, session in sessions.items():
                for layer, step in training_step(work, session):
                    if turn:
                        samples.setdefault((layer, step, name), []).append(session.seconds(layer, step))
    return {key: Timing.of(values) for key, values in samples.items()}


def training_step(work, session):
    """Run one training step in an engine that feeds itself; yields the (layer, pass) pairs as they are done."""
    graph = work.network.graph
    for layer in work.network.layers:
        if layer.type == "data":
            session.forward(layer.name, [work.inputs.data[layer.name]])
        else:
            session.forward(layer.name, None, work.mask(layer))
            yield layer.name, "forward"
    order = graph.backward_order()
    for layer in order:
        session.backward(layer.name)
        yield layer.name, "backward"
    for layer in order:
        if "weightShapes" in layer.keys:
            session.update(layer.name)
            yield layer.name, "update"


def lines(options, repeat=5):
    """The table as text: a line for each layer and pass, then the sums and images per second."""
    timings = measure(options, repeat)
    names = options.engines
    yield f"{options.net}, batch {options.batch}, {repeat} steps each, interleaved: median seconds (quartile distance)"
    yield f"{'layer':14} {'pass':8} " + " ".join(f"{name:>22}" for name in names) + f" {'ratio':>8}"
    for layer, step in dict.fromkeys(key[:2] for key in timings):
        yield f"{layer:14} {step:8} " + _cells([timings.get((layer, step, name)) for name in names])
    for step in (*PASSES, "all"):
        sums = [_total(timings, name, step) for name in names]
        yield f"{'total':14} {step:8} " + _cells(sums)
    rates = [options.batch / _total(timings, name, "all").seconds for name in names]
    yield f"{'images/s':14} {'':8} " + " ".join(f"{rate:22.1f}" for rate in rates)


def _total(timings, engine, step):
    own = [t for (_, s, name), t in timings.items() if name == engine and step in (s, "all")]
    return Timing(sum(t.seconds for t in own), sum(t.spread for t in own))


def _cells(timings):
    """Seconds of each engine, and the ratio of the last engine but the first: how often the first fits into it."""
    cells = [f"{'-':>22}" if t is None else f"{t.seconds:11.4f} ({t.spread:8.4f})" for t in timings]
    first, last = timings[0], timings[-1]
    ratio = f"{last.seconds / first.seconds:8.2f}" if first and last and first.seconds > 0 else f"{'-':>8}"
    return " ".join(cells) + " " + ratio
