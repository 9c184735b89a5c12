"""`rosetta bench`: how long each engine takes for each layer and pass of a full training step.

Engines run whole steps, each feeding itself, interleaved (one step of each in turn, after warm-up), so that what else
the machine does touches all of them alike. Reported are medians and the spread between the quartiles. An engine on a
graphics card times its kernels with the card's events; copies between host and card are counted apart.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import comb
from statistics import median, quantiles

import numpy as np
from threadpoolctl import threadpool_limits

from .. import machine
from ..engines.card import Processor, processor_peak
from ..engines.peaks import Peak
from ..engines.protocol import Session
from ..errors import NothingCompared
from ..judging.finding import Finding, finding_of
from ..network.load import Network
from ..running.memory import check_memory, memory_needed
from ..running.prepare import Options, prepare, step_count
from ..running.workload import Workload

PASSES = ("forward", "backward", "update")
MOSTLY = 0.95
"""Share of zeros of an output from which on the times of the layers that read it say little."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one layer and pass in one engine: median, and distance between the quartiles."""

    seconds: float
    spread: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Timing":
        """From the samples of the repetitions."""
        low, _, high = quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else (samples[0],) * 3
        return cls(median(samples), high - low)


def interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the median that order alone gives, whatever the distribution: (low, high).

    The k-th smallest and the k-th largest sample, with the largest k for which that is certain enough; None of fewer
    than six samples.
    """
    count, missed, k = len(samples), 0.0, 0
    while (missed := missed + 2 * comb(count, k) / 2**count) <= 0.05:
        k += 1
    ordered = sorted(samples)
    return (ordered[k - 1], ordered[-k]) if k else None


@dataclass(frozen=True)
class Measurement:
    """What a bench measured."""

    options: Options
    network: Network
    repeat: int  # timed steps of each engine
    timings: dict[tuple[str, str, str], Timing]  # by (layer, pass, engine), in the order of execution
    # by engine that has them: seconds of all copies between host and card in a step, not part of ``timings``
    copies: dict[str, Timing]
    peaks: dict[str, Peak]  # by engine whose machine says what it can do at most
    note: str = ""  # why the times say little, if they do (`machine.Watch.note`)
    # by engine that could not run a step to its end, why; it is not among the engines of ``options``
    broken: dict[str, Finding] = field(default_factory=dict)
    # by (layer, pass, engine), and ``total`` for all layers: the `interval` of the engine's seconds over those of the
    # last engine in the same turn; empty where there were too few turns, or one engine
    ratios: dict[tuple[str, str, str], tuple[float, float]] = field(default_factory=dict)
    # each timed second of those, without what the calling thread waited for a processor (`machine.waited`)
    samples: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    # by engine: bytes by which its first step made the process grow, its parameters apart
    memory: dict[str, int] = field(default_factory=dict)

    def total(self, engine: str, step: str = "all") -> Timing:
        """Sum over the layers of a pass, or of all passes."""
        own = [t for (_, s, name), t in self.timings.items() if name == engine and step in (s, "all")]
        return Timing(sum(t.seconds for t in own), sum(t.spread for t in own))

    def steps(self) -> list[tuple[str, str]]:
        """The (layer, pass) pairs in the order of execution."""
        return list(dict.fromkeys(key[:2] for key in self.timings))

    def images_per_second(self, engine: str) -> float:
        """Cases of a full step by the seconds in its layers, copies apart."""
        return self.options.batch / self.total(engine).seconds


def measure(
    options: Options,
    repeat: int = 5,
    done: Callable[[int, str], object] = lambda total, what: None,
    work: Workload | None = None,
) -> Measurement:
    """Time training steps, `repeat` of them for each engine after one that is not timed.

    `work` is the workload of the options, where there is one already. `done` is called after every layer and pass with
    how many there will be, and what it was. Raises NothingCompared: no engine could run a step to its end.
    """
    work = work or prepare(options)
    check_memory(work.network, work.batch, memory_needed(work.network, work.batch, options.engines, "alone"))
    total = step_count(work, "isolated") * len(work.engines) * (repeat + 1)
    samples: dict[tuple[str, str, str], list[float]] = {}
    at_work: dict[tuple[str, str, str], list[float]] = {}
    copies: dict[str, list[float]] = {}
    watch = machine.Watch(work.threads)
    broken: dict[str, Finding] = {}
    zeros: dict[str, float] = {}
    memory: dict[str, int] = {}
    with threadpool_limits(work.threads):
        known = {engine.name: engine.peak() for engine in work.engines}
        known |= {e.name: processor_peak(work.threads) for e in work.engines if e.device == "cpu" and not known[e.name]}
        peaks = {name: peak for name, peak in known.items() if peak}
        sessions = work.open_sessions(broken)
        for turn in range(repeat + 1):
            for name, session in sessions.items():
                if not turn:
                    machine.give_freed_memory_back()
                timed, before, held = [], machine.waited(), Processor().memory_taken()
                try:
                    for key in training_step(work, session) if name not in broken else ():
                        timed.append((key, session.seconds(*key), machine.waited() - before))
                        done(total, f"{f'step {turn}' if turn else 'warm-up'} {name} {key[1]} {key[0]}")
                        if not turn and key[1] == "forward" and work.network.graph.consumers[key[0]]:
                            zeros[key[0]] = float(np.mean(session.read(key[0], "acts") == 0))
                        before = machine.waited()
                except Exception as error:
                    after = f"after {' '.join(timed[-1][0])}" if timed else "first step"
                    broken[name] = finding_of(error, after)
                memory.setdefault(name, Processor().memory_taken() - held)
                if turn and name not in broken:
                    for key, seconds, waited in timed:
                        samples.setdefault((*key, name), []).append(seconds)
                        at_work.setdefault((*key, name), []).extend([seconds - waited] * (waited < seconds))
                    copies.setdefault(name, []).append(copy_seconds(work, session, [key for key, *_ in timed]))
    whole = tuple(name for name in options.engines if name not in broken)
    if not whole:
        raise NothingCompared("no engine was timed: " + "; ".join(refusals(broken)))
    samples = {key: values for key, values in samples.items() if key[2] in whole}
    options = replace(options, engines=whole)
    ratios = _ratios(samples, whole)
    timings = {key: Timing.of(values) for key, values in samples.items()}
    dull = ", ".join(f"{name} ({share:.0%})" for name, share in zeros.items() if share >= MOSTLY)
    note = "; ".join(filter(None, (watch.note(), dull and f"outputs that are mostly zeros, so that times of what reads "
                                                          f"them say little: {dull}")))  # fmt: skip
    return Measurement(options, work.network, repeat, timings,
                       {name: Timing.of(values) for name, values in copies.items() if any(values)}, peaks,
                       note, broken, ratios, at_work, {name: memory[name] for name in whole})  # fmt: skip


def _ratios(
    samples: dict[tuple[str, str, str], list[float]], engines: Sequence[str]
) -> dict[tuple[str, str, str], tuple[float, float]]:
    """`Measurement.ratios` of the samples."""
    totals: dict[tuple[str, str, str], list[float]] = {}
    for (_, step, name), values in samples.items():
        for part in (step, "all"):
            key = ("total", part, name)
            totals[key] = [a + b for a, b in zip(totals.get(key, [0.0] * len(values)), values, strict=True)]
    found, samples = {}, samples | totals
    for layer, step, name in samples:
        pairs = list(zip(samples[layer, step, name], samples[layer, step, engines[-1]], strict=True))
        if name != engines[-1] and all(last > 0 for _, last in pairs):
            found[layer, step, name] = interval([seconds / last for seconds, last in pairs])
    return {key: limits for key, limits in found.items() if limits}


def refusals(broken: Mapping[str, Finding]) -> list[str]:
    """In words, engines that could not run a step to its end, and why."""
    return [f"{name}: {found.status}: {found.reason}" for name, found in broken.items()]


def copy_seconds(work: Workload, session: Session, steps: list[tuple[str, str]]) -> float:
    """Seconds that a session spent on copies between host and card in a training step; 0 if it makes none."""
    data = [(layer.name, "forward") for layer in work.network.layers if layer.type == "data"]
    return sum(session.copy_seconds(*key) for key in data + steps)


def training_step(work: Workload, session: Session) -> Iterator[tuple[str, str]]:
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
