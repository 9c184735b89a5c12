"""`rosetta check rules`: what rules of acceptance say of correct variations, and of bugs.

The networks are the scenes of the fault catalogue and random ones, at several scales of the input, so every type of
layer and every pass is there. A correct variation is a tensor of a build, a thread count or an order of images; a bug
is a fault of the catalogue, planted in one engine, and a rule notices the fault if it refuses one of the tensors at
which the fault has to show.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import engines
from ...engines.legacy import EntryPoints, LegacyCpu
from ...engines.protocol import Engine, Session
from ...engines.wrapped import AsMeant, WrappedEngine, WrappedSession
from ...errors import BadInput, NothingCompared, Unsupported
from ...files import write
from ...judging.verdict import bitwise_equal
from ...network.load import Network
from ...reference import Bounded
from ...running.workload import Workload
from ..faults.catalogue import FAULTS
from ..faults.examine import scene, workload
from ..faults.fault import Fault
from ..faults.planted import Mutant
from ..faults.random_nets import random_net
from ..kit import Look, watch, with_inputs
from .published import OURS, RULES, EngineTensor

SCALES = (0.01, 1.0, 100.0)
FACTORS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 32, 128)
"""Constants in place of the 8 of our rule."""
EXACT = "float64, rounded once"
PARTNER = {"legacy-cpu": "port", "port": "legacy-cpu"}


@dataclass
class Tally:
    """What one rule said."""

    # correct, bugs: scores of correct tensors, and of bugs (of the tensor that each shows most clearly in)
    correct: list[float] = field(default_factory=list)
    bugs: list[float] = field(default_factory=list)
    alarms: Counter[str] = field(default_factory=Counter)  # by layer type, correct tensors that were refused
    missed: list[str] = field(default_factory=list)  # bugs that were accepted

    def rates(self, constant: float = 1.0) -> tuple[float, float]:
        """Shares of false alarms and of misses, were the constant of the rule so many times as large."""
        return (
            float(np.mean(np.array(self.correct) > constant)) if self.correct else 0.0,
            float(np.mean(np.array(self.bugs) <= constant)) if self.bugs else 0.0,
        )


def check_rules(echo: Callable[[str], None], nets: int = 40, seed: int = 0, chart: Path | None = None) -> int:
    """Run the check with the options of ``rosetta check rules``.

    Returns 0 if our rule refused no correct tensor and missed at most one bug in a hundred, else 1.
    """
    if nets < 0:
        raise BadInput("the number of random networks is negative", expected="0 or more", actual=nets)
    tallies = {name: Tally() for name in RULES}
    able = {name: AsMeant(engines.find(name)) for name in PARTNER}
    for work in _workloads(nets, seed):
        _correct(work, tallies)
    for fault in FAULTS:
        for work, scale in _scaled(scene(*fault.scene_arguments, seed), fault.input):
            for name, engine in able.items():
                _planted(fault, work, scale, engine, able[PARTNER[name]], tallies)
    for line in table(tallies):
        echo(line)
    if chart is not None:
        draw(tallies, chart)
    alarms, misses = tallies[OURS].rates()
    return int(alarms > 0 or misses > 0.01)


def _workloads(nets: int, seed: int) -> Iterator[Workload]:
    for arguments in dict.fromkeys(fault.scene_arguments for fault in FAULTS):
        yield from (work for work, _ in _scaled(scene(*arguments, seed), arguments[1]))
    for own in range(seed, seed + nets):
        net = random_net(own)
        yield from (work for work, _ in _scaled(workload(net.text, input="random", seed=own, **net.options), "random"))


def _scaled(work: Workload, kind: str) -> Iterator[tuple[Workload, float]]:
    """A workload at several scales of what is no label; exact input has one."""
    for scale in SCALES if kind == "random" else (1.0,):
        yield with_inputs(work, partial(_times, np.float32(scale))), scale


def _times(factor: np.float32, name: str, array: np.ndarray) -> np.ndarray:
    return array * factor


def variations() -> list[Engine]:
    """Correct engines that round or add up otherwise."""
    port = AsMeant(engines.find("port"))
    builds = {isa: AsMeant(LegacyCpu(isa)) for isa in EntryPoints.modules()}
    best = list(builds.values())[-1]
    return [
        *(Variation(engine, isa) for isa, engine in builds.items()),
        Variation(best, "two threads", threads=2),
        Variation(best, "images turned", turned=True),
        Variation(port, "port"),
        Variation(port, "port, two threads", threads=2),
        Variation(port, "port, images turned", turned=True),
    ]


def _correct(work: Workload, tallies: dict[str, Tally]) -> None:
    """Enter every tensor of every correct variation, where float32 can hold it."""

    def look(comparison: Any, bounded: Bounded) -> None:
        found = {name: array for name, array in comparison.found.items() if isinstance(array, np.ndarray)}
        found[EXACT] = bounded.value.astype(np.float32)
        if not all(np.isfinite(array).all() for array in found.values()):
            return
        for name, array in found.items():
            case = _case(array, bounded, next(other for key, other in found.items() if key != name))
            for rule, score in _scores(case):
                tallies[rule].correct.append(score)
                tallies[rule].alarms[comparison.layer.type] += score > 1

    _run(work, variations(), look)


def _planted(
    fault: Fault, work: Workload, scale: float, engine: Engine, peer: Engine, tallies: dict[str, Tally]
) -> None:
    """Enter a fault in an engine, if it changes a bit: the highest score among the tensors that it has to show in."""
    mutant, top = Mutant(engine, fault.mutation), dict.fromkeys(RULES, -1.0)

    def look(comparison: Any, bounded: Bounded) -> None:
        if (comparison.layer.name, comparison.step, comparison.tensor) not in fault.places:
            return
        found, right, other = (comparison.found.get(one.name) for one in (mutant, engine, peer))
        arrays = (found, right, other)
        if not all(isinstance(array, np.ndarray) for array in arrays) or bitwise_equal(found, right):
            return
        if np.isfinite(right).all() and np.isfinite(other).all() and np.isfinite(bounded.value).all():
            for rule, score in _scores(_case(found, bounded, other)):
                top[rule] = max(top[rule], score)

    if not _run(work, [mutant, engine, peer], look) or max(top.values()) < 0:
        return
    for rule, score in top.items():
        tallies[rule].bugs.append(score)
        if score <= 1:
            tallies[rule].missed.append(f"{fault.name} in {engine.name}, input × {scale:g}")


def _run(work: Workload, subjects: Sequence[Engine], look: Look) -> bool:
    """Run engines on a workload; False where none can."""
    try:
        with np.errstate(all="ignore"):  # large inputs overflow; what is not finite is left out
            watch(work, subjects, look)
    except (NothingCompared, Unsupported):
        return False
    return True


def _case(found: np.ndarray, bounded: Bounded, peer: np.ndarray) -> EngineTensor:
    parts = (found, bounded.value, bounded.magnitude, bounded.terms, peer)
    return EngineTensor(*(np.asarray(part, np.float64) for part in parts))


def _scores(case: EngineTensor) -> Iterator[tuple[str, float]]:
    if not case.r.size:
        return
    with np.errstate(all="ignore"):
        for name, (_, score) in RULES.items():
            found = score(case)
            yield name, found if found == found else np.inf


def table(tallies: dict[str, Tally]) -> list[str]:
    """The lines that the check prints: a line for each rule, the best first."""
    ours = tallies[OURS]
    lines = [
        f"{len(ours.correct):,} tensors of correct variations, {len(ours.bugs):,} bugs, {len(RULES)} rules",
        f"    {'rule':24}{'false alarms':>14}{'misses':>10}  source",
    ]
    for place, name in enumerate(_ranked(tallies), 1):
        alarms, misses = tallies[name].rates()
        lines.append(f"{place:3} {name:24}{alarms:14.2%}{misses:10.2%}  {RULES[name][0]}")
    lines += ["", f"    {'8 √n u M with':24}{'false alarms':>14}{'misses':>10}"]
    for factor in FACTORS:
        alarms, misses = ours.rates(factor / 8)
        lines.append(f"    {factor:<24}{alarms:14.2%}{misses:10.2%}")
    lines.append(f"the worst correct tensor used {max(ours.correct):.2f} of the bound")
    lines += [f"missed by {OURS}: {one}" for one in ours.missed]
    return lines


def _ranked(tallies: dict[str, Tally]) -> list[str]:
    return sorted(RULES, key=lambda name: sum(tallies[name].rates()))


def draw(tallies: dict[str, Tally], path: Path) -> None:
    """Draw each rule's misses over its false alarms, by its number in the table, and ours with other constants."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    curve = [tallies[OURS].rates(factor / 8) for factor in FACTORS]
    axes.plot(
        *zip(*curve, strict=True), "-", color="#c0392b", linewidth=1, label="8 √n u M with 1 to 128 in place of 8"
    )
    for place, name in enumerate(_ranked(tallies), 1):
        point, mine = tallies[name].rates(), name == OURS
        axes.plot(*point, "o", color="#c0392b" if mine else "#5a6b7b", markersize=9 if mine else 5)
        axes.annotate(str(place), point, xytext=(5, 4 + 7 * (place % 3)), textcoords="offset points", fontsize=8)
    axes.set(xlabel="false alarms", ylabel="misses")
    for axis, scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        scale("symlog", linthresh=1e-3, linscale=0.5)
        axis.set_major_formatter(lambda share, _: f"{share:.1%}")
    axes.legend(frameon=False)
    data = BytesIO()
    figure.savefig(data, format=path.suffix[1:])
    write(path, data.getvalue())


Array = NDArray[Any]


class Variation(WrappedEngine):
    """An engine that runs on so many threads, with the images of each batch turned round if asked for.

    ``engine``: a correct one.
    ``turned``: whether images run from the last to the first: sums over images are added in the other order.
    """

    def __init__(self, engine: Engine, name: str, threads: int = 1, turned: bool = False) -> None:
        super().__init__(engine, name)
        self.threads, self.turned = threads, turned

    def open(self, network: Network, threads: int) -> Any:
        session = self.engine.open(network, self.threads)
        return _Turned(session) if self.turned else session


class _Turned(WrappedSession):
    """Hands everything on, images last to first, and back."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._cases = 0

    def _turn(self, array: Array | None) -> Any:
        """Matrices with a column for each case; all else has no images."""
        turns = array is not None and array.ndim == 2 and array.shape[1] == self._cases
        return np.ascontiguousarray(array[:, ::-1]) if array is not None and turns else array

    def read(self, layer: str, tensor: str) -> Array:
        array = self._session.read(layer, tensor)
        return self._turn(array) if tensor.startswith(("acts", "inputs_grad")) else array

    def forward(self, layer: str, inputs: Sequence[Array] | None = None, mask: Array | None = None) -> None:
        if inputs:
            self._cases = inputs[0].shape[1]
            inputs = [self._turn(array) for array in inputs]
        self._session.forward(layer, inputs, self._turn(mask))

    def backward(self, layer: str, acts_grad: Array | None = None, progress: float = 0.0) -> None:
        self._session.backward(layer, self._turn(acts_grad), progress)

    def sum_grad(self, layer: str, parts: Sequence[tuple[str, int, Array]]) -> Array:
        return self._turn(self._session.sum_grad(layer, [(*where, self._turn(part)) for *where, part in parts]))
