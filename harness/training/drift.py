"""`rosetta drift`: is the trajectory of an engine one that correct engines take?

The centre is the port in float64, from the same weights, batches and random numbers. Any other run is described by its
distances from the centre after each update: of the cost, of every parameter, as a share of how far the parameter has
moved, and of every momentum buffer. The *ensemble* are runs that are right by definition: all builds of the legacy
engine and the port, on one thread and on two, from inputs that are moved by one unit in the last place. A distance has
a limit: in logarithms, the largest of the ensemble and once more what lies between that and the median. A run that
passes a limit is outside. An engine is judged by three runs and is outside if two of them are, in the manner of
PyCECT's test of climate models. How often that is wrong is measured on further runs, which had no part in the limits.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from threadpoolctl import threadpool_limits

from .. import files
from ..data import open_data, views
from ..data.batches import need
from ..engines.legacy import EntryPoints, LegacyCpu
from ..engines.port import Port
from ..engines.protocol import Engine
from ..errors import BadInput
from ..network.load import LayerSpec, Network, altered, parameter_shapes
from ..reporting.report import charts, filled
from ..values.noise import generator
from .learner import Learner, initial
from .run import Settings, fitting, network_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = 3
Minibatch = tuple[np.ndarray, np.ndarray]
Bend = Callable[[Sequence[Minibatch]], list[Minibatch]]
FLOOR = 2.0**-30
"""The smallest distance that counts."""


@dataclass(frozen=True)
class Outcome:
    """What is said of an engine, or of a fault."""

    name: str
    outside: int  # how many of its `RUNS` runs are outside
    first: tuple[int, str] | None  # the first update after which one of them was, from 1, and in what
    distances: np.ndarray  # ndarray, (runs, updates, quantities). Logarithms to the base 2.

    @property
    def member(self) -> bool:
        """Whether the engine is inside."""
        return self.outside < 2

    def told(self) -> dict[str, Any]:
        """The same as JSON has it, without the distances."""
        return {"name": self.name, "member": self.member, "outside": self.outside, "first": self.first}

    def __str__(self) -> str:
        where = f", first after update {self.first[0]}, in {self.first[1]}" if self.first else ""
        return f"{self.name}: {'inside' if self.member else 'OUTSIDE'} ({self.outside} of {RUNS} runs outside{where})"


def passed(outcomes: Sequence[Outcome], bent: Sequence[Outcome]) -> bool:
    """Whether all engines are inside, and all faults outside."""
    return all(each.member for each in outcomes) and not any(each.member for each in bent)


@dataclass
class Drift:
    """An ensemble, and what it is good for.

    `settings.updates` minibatches are run; seed, data and network as in a training. `size` is the runs of the ensemble,
    `held_out` those that measure how often a correct engine is called outside. `limits`, (updates, `quantities`), are
    logarithms to the base 2; `ensemble` and `held` are (runs, updates, quantities).
    """

    settings: Settings
    size: int = 60
    held_out: int = 30

    def __post_init__(self) -> None:
        self.network, self.updates = network_of(self.settings), self.settings.updates or 0
        values = sum(
            rows * columns for layer in self.network.layers for rows, columns in parameter_shapes(layer).values()
        )
        need(32 * values * (self.updates + 2), f"{self.updates} updates of {self.network.name}")
        self.batches = self._minibatches()
        self.start = initial(self.network, self.settings.seed)
        with threadpool_limits(2):
            self.centre = list(self._states(Port(np.float64), self.network, self.batches))
            self.quantities = ["cost", *(f"{layer} {tensor}" for layer, tensor in self.centre[0][1])]
            correct = self._correct()
            self.ensemble = np.stack([self.run(*correct[k % len(correct)], k) for k in range(self.size)])
            highest = self.ensemble.max(axis=0)
            self.limits = highest + (highest - np.median(self.ensemble, axis=0))
            own = [self.run(*correct[k % len(correct)], 1000 + k) for k in range(self.held_out)]
        self.held = np.array(own).reshape(-1, *self.limits.shape)

    @property
    def false_positives(self) -> tuple[int, int, int]:
        """(held-out runs outside, triples of them that would be called outside, triples)."""
        count, runs = int((self.held > self.limits).any(axis=(1, 2)).sum()), len(self.held)
        return count, comb(count, 2) * (runs - count) + comb(count, 3), comb(runs, 3)

    def judge(self, name: str, engine: Engine, network: Network | None = None, bend: Bend | None = None) -> Outcome:
        """The Outcome of three runs of an engine called `name`.

        `network` is another one than that of the ensemble, a faulty one; `bend` changes the minibatches: (data, labels)
        for each update.
        """
        with threadpool_limits(2):
            found = np.stack([self.run(engine, 2, 2000 + k, network, bend) for k in range(RUNS)])
        over = found > self.limits
        updates = np.flatnonzero(over.any(axis=(0, 2)))
        first = None
        if updates.size:
            excess = (found - self.limits)[:, updates[0]].max(axis=0)
            first = int(updates[0]) + 1, self.quantities[int(excess.argmax())]
        return Outcome(name, int(over.any(axis=(1, 2)).sum()), first, found)

    def run(
        self, engine: Engine, threads: int, moved: int, network: Network | None = None, bend: Bend | None = None
    ) -> np.ndarray:
        """Distances of a run from the centre, (updates, quantities), logarithms; ``moved`` names the moved inputs."""
        random = generator(self.settings.seed, "moved", moved)
        infinite = np.array([np.inf, -np.inf], np.float32)
        batches = [(np.nextafter(data, infinite[random.integers(0, 2, data.shape)]), labels)
                   for data, labels in self.batches]  # fmt: skip
        batches = bend(batches) if bend else batches
        states, found = self._states(engine, network or self.network, batches, threads), []
        begin = self.start
        for (cost, tensors), (own_cost, own) in zip(self.centre, states, strict=True):
            line = [abs(own_cost - cost) / max(abs(cost), 1e-30)]
            for (layer, tensor), array in tensors.items():
                scale = array if "_inc" in tensor else array - begin[layer][tensor]
                line.append(
                    float(np.linalg.norm(own[layer, tensor] - array)) / max(float(np.linalg.norm(scale)), 1e-30)
                )
            found.append(line)
        distances = np.array(found)
        return np.log2(np.clip(np.where(np.isfinite(distances), distances, 2.0**99), FLOOR, 2.0**99))

    def _states(
        self, engine: Engine, network: Network, batches: Sequence[Minibatch], threads: int = 1
    ) -> Iterator[tuple[float, dict[tuple[str, str], np.ndarray]]]:
        """Yield (cost, {(layer, tensor): float64 copy}) after each update."""
        learner = Learner(network, engine, threads, self.settings.seed, self.start)
        for step, (data, labels) in enumerate(batches):
            costs = learner.train(data, labels, step, step / len(batches))
            kept = {(layer, name): array.astype(np.float64) for layer, own in learner.values().items()
                    for name, array in own.items() if name.startswith(("weights", "biases"))}  # fmt: skip
            yield float(sum(values[0] for values in costs.values())), kept

    def _minibatches(self) -> list[Minibatch]:
        """The (data, labels) of each update, as a training sees them."""
        settings, data, epoch = self.settings, open_data(self.settings.data), 0
        found: list[Minibatch] = []
        side = fitting(self.network, data)
        while len(found) < self.updates:
            epoch += 1
            for number in data.train:
                random = generator(settings.seed, "views", epoch, number)
                seen = views.for_training(data, data.read(number), random, side, mirror=settings.mirror)
                whole = seen.labels.shape[1] // settings.batch
                if not whole:
                    raise BadInput(
                        f"{data.source}, batch {number}: fewer cases than a minibatch", hint="a smaller --batch"
                    )
                for k in range(min(whole, self.updates - len(found))):
                    part = slice(k * settings.batch, (k + 1) * settings.batch)
                    found.append((np.ascontiguousarray(seen.data[:, part]), np.ascontiguousarray(seen.labels[:, part])))
        return found

    @staticmethod
    def _correct() -> list[tuple[Engine, int]]:
        """(engine, threads) of the variants that are right by definition."""
        builds = [LegacyCpu(isa) for isa in EntryPoints.modules()]
        return [(engine, threads) for engine in (Port(), *builds) for threads in (1, 2)]

    @property
    def carrier(self) -> Engine:
        """The engine that faults are planted in."""
        return Port()

    def write(self, folder: str | Path, outcomes: Sequence[Outcome], bent: Sequence[Outcome] = ()) -> None:
        """Write ``drift.json``, the chart of the engines ``drift.svg``, and the page ``drift.html`` into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        outside, triples, count = self.false_positives
        told = {
            "settings": asdict(self.settings),
            "held_out": {"runs": len(self.held), "outside": outside, "triples": count, "false_alarms": triples},
            "engines": [each.told() for each in outcomes],
            "faults": [each.told() for each in bent],
            "quantities": self.quantities,
            "limits": self.limits.tolist(),
        }  # fmt: skip
        files.write(folder / "drift.json", json.dumps(told).encode())
        chart = self.chart(outcomes)
        files.write(folder / "drift.svg", chart.replace("currentColor", "#444").encode())
        page = filled(
            "drift.html", Path(__file__).parent, title=f"{self.network.name}: a path of correct engines?", runs=RUNS,
            chart=Markup(charts.labelled(chart, "; ".join(map(str, outcomes)))), quantities=len(self.quantities),
            settings=self.settings, outcomes=list(outcomes), bent=list(bent), good=passed(outcomes, bent),
            held=len(self.held), outside=outside, triples=triples, count=count,
        )  # fmt: skip
        files.write(folder / "drift.html", page.encode("utf-8", "backslashreplace"))

    def chart(self, outcomes: Sequence[Outcome] = ()) -> str:
        """The envelope, and what was judged, as SVG: of each run the largest distance."""
        colours = dict(zip((each.name for each in outcomes), charts.COLOURS * 9, strict=False))
        updates = np.arange(1, len(self.limits) + 1)

        def draw(figure: "Figure") -> None:
            axes = figure.subplots(1, 2, sharey=True)
            weights = [k for k, name in enumerate(self.quantities) if "weights[" in name or "weights_inc[" in name]
            for ax, which, title in ((axes[0], [0], "cost"), (axes[1], weights, "weights and momentum: the farthest")):
                own = self.ensemble[:, :, which].max(axis=2)
                ax.fill_between(updates, own.min(axis=0), own.max(axis=0), color="#8888", label="ensemble", lw=0)
                ax.plot(updates, self.limits[:, which].max(axis=1), color="#d62728", ls="--", label="limit")
                for each in outcomes:
                    for k, line in enumerate(each.distances[:, :, which].max(axis=2)):
                        ax.plot(updates, line, color=colours[each.name], lw=1, label=None if k else each.name)
                ax.set(title=title, xlabel="updates", xticks=updates[:: -(-len(updates) // 12)])
                ax.grid(color="#88888844", lw=0.5)
            axes[0].set_ylabel("log2 of the relative distance from float64")
            axes[0].legend(fontsize=8)

        return charts.svg(draw, "drift", (10, 4))


def faults(network: Network) -> list[tuple[str, Network, Bend | None]]:
    """(name, network, bend) of faults of a solver and of what feeds it, as far as the network has a place for them."""

    def keys(
        change: Callable[[LayerSpec], dict[str, Any]], only: Callable[[LayerSpec], bool] = lambda layer: True
    ) -> Network:
        """The network with changed values of the layers that learn."""
        own = [layer for layer in network.layers if "epsW" in layer.keys and only(layer)]
        return altered(network, {layer.name: change(layer) for layer in own})

    def times(key: str, factor: float) -> Callable[[LayerSpec], dict[str, Any]]:
        def change(layer: LayerSpec) -> dict[str, Any]:
            value = layer[key]
            return {key: tuple(factor * x for x in value) if isinstance(value, tuple | list) else factor * value}

        return change

    learning = [layer for layer in network.layers if "epsW" in layer.keys]
    last = learning[-1].name
    decays = any(any(layer["wc"]) for layer in learning)
    steps = {"type": "exp", "params": {"tgtFactor": 2.0, "noiseStdev": 0.0}}
    found = [
        ("momentum 0.99 of what it should be", keys(times("momW", 0.99)), None),
        ("no momentum", keys(times("momW", 0.0)), None),
        ("momentum of the biases 0.99", keys(times("momB", 0.99)), None),
        ("no momentum of the biases", keys(times("momB", 0.0)), None),
        ("momentum of the last layer 0.99", keys(times("momW", 0.99), lambda layer: layer.name == last), None),
        ("rates 1.01", keys(times("epsW", 1.01)), None),
        ("rate of the last layer 1.01", keys(times("epsW", 1.01), lambda layer: layer.name == last), None),
        ("bias rate 1.01", keys(times("epsB", 1.01)), None),
        ("bias rate that of the weights", keys(lambda layer: {"epsB": layer["epsW"][0]}), None),
        ("another schedule of the weights", keys(lambda layer: {"schedW": steps}), None),
        ("another schedule of the biases", keys(lambda layer: {"schedB": steps}), None),
        ("gradients divided by one case more", keys(times("epsW", 127 / 128)), None),
        ("an image dropped", network, _of_each(lambda data, labels: (_changed(data, 0, 0), labels))),
        (
            "a label wrong",
            network,
            _of_each(lambda data, labels: (data, _changed(labels, 0, 1 - min(labels[0, 0], 1)))),
        ),
        (
            "an image twice",
            network,
            _of_each(lambda data, labels: (_changed(data, 1, data[:, 0]), _changed(labels, 1, labels[:, 0]))),
        ),
        (
            "an image mirrored up and down",
            network,
            _of_each(lambda data, labels: (_changed(data, 0, data[::-1, 0]), labels)),
        ),
        ("two minibatches exchanged", network, lambda batches: [batches[1], batches[0], *batches[2:]]),
        ("inputs 1.001", network, _of_each(lambda data, labels: (data * np.float32(1.001), labels))),
        ("the second minibatch seen twice", network, lambda batches: [*batches[:2], batches[1], *batches[3:]]),
    ]
    if decays:
        found += [("no decay", keys(times("wc", 0.0)), None), ("decay doubled", keys(times("wc", 2.0)), None)]
    drops = [layer.name for layer in network.layers if layer.type == "hs"]
    if drops:
        found.append(("dropout switched off", altered(network, {name: {"enable": False} for name in drops}), None))
    return found


def _of_each(change: Callable[[np.ndarray, np.ndarray], Minibatch]) -> Bend:
    return lambda batches: [change(data, labels) for data, labels in batches]


def _changed(matrix: np.ndarray, case: int, values: Any) -> np.ndarray:
    matrix = matrix.copy()
    matrix[:, case] = values
    return matrix
