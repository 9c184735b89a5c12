"""`rosetta check bound`: a search for inputs where a correct engine uses most of what rounding is allowed.

An attack draws everything that a layer reads (inputs, weights, gradients of outputs) from one family of numbers: equal
terms, alternating signs, few bits, many magnitudes, zeros, numbers next to the smallest. The search starts from named
attacks, then varies the parameters of whatever used most of the bound of each type of layer and pass, and keeps what
uses more. Every element of every tensor that is judged is a trial.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from .. import engines
from ..engines.protocol import Engine
from ..engines.wrapped import AsMeant
from ..errors import NothingCompared, Unsupported
from ..network.tensors import is_parameter
from ..reference import facts
from ..running.prepare import rows
from ..running.workload import Workload
from ..values.noise import generator
from .faults.catalogue import FAULTS
from .faults.examine import scene
from .kit import bare_workload, with_inputs

LARGE = (("tiny", 128), ("cifar", 64))
"""Networks with long sums beside the scenes of the fault catalogue, and their cases."""
ENGINES = ("legacy-cpu", "port")


@dataclass(frozen=True)
class Attack:
    """A family of numbers."""

    name: str
    scale: float = 0.0  # binary logarithm of the typical magnitude
    spread: float = 0.5  # standard deviation of that logarithm: 0 for magnitudes that are alike
    negative: float = 0.5  # share of negative numbers; above 1, signs alternate from row to row
    zeros: float = 0.0  # share of zeros
    bits: float = 23.0  # bits of a mantissa; 23 for all of them
    equal: float = 0.0  # share of numbers that are the same one

    @property
    def conspires(self) -> bool:
        """Whether most terms of a sum are the same number: then their roundings go one way (docs/verdict.md)."""
        return self.equal > 0.5

    def draw(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Numbers of the family, float32."""
        x = np.exp2(np.clip(self.scale + self.spread * random.standard_normal(shape), -140, 30))
        x = np.where(random.random(shape) < self.equal, np.exp2(self.scale) * (1 + random.random()), x)
        unit = np.exp2(np.floor(np.log2(x)) - np.round(self.bits))
        x = np.round(x / unit) * unit
        signs = np.where(random.random(shape) < self.negative, -1.0, 1.0)
        if self.negative > 1:
            signs = np.broadcast_to((1.0 - 2 * (np.arange(shape[0]) % 2)).reshape(-1, *[1] * (len(shape) - 1)), shape)
        return np.where(random.random(shape) < self.zeros, 0.0, signs * x).astype(np.float32)

    def varied(self, random: np.random.Generator, step: float) -> "Attack":
        """A neighbour; a step of 1 goes anywhere."""
        reach = {"scale": 20.0, "spread": 4.0, "negative": 0.6, "zeros": 0.5, "bits": 12.0, "equal": 0.6}
        moved = {key: getattr(self, key) + step * size * random.standard_normal() for key, size in reach.items()}
        limits = {"scale": (-130, 20), "spread": (0, 12), "negative": (0, 1.2), "zeros": (0, 0.98),
                  "bits": (0, 23), "equal": (0, 1)}  # fmt: skip
        clipped: dict[str, Any] = {key: float(np.clip(value, *limits[key])) for key, value in moved.items()}
        return replace(self, **clipped)


ATTACKS = (
    Attack("ordinary"),
    Attack("equal terms", negative=0, equal=1, spread=0),
    Attack("equal terms of any sign", equal=1, spread=0),
    Attack("alternating signs", negative=1.1, spread=0.01),
    Attack("cancelling", negative=1.1, equal=0.98, spread=0.001),
    Attack("positive", negative=0),
    Attack("few bits", bits=2, negative=0),
    Attack("many magnitudes", spread=8),
    Attack("positive, many magnitudes", spread=8, negative=0),
    Attack("sparse", zeros=0.95),
    Attack("large", scale=12),
    Attack("small", scale=-40),
    Attack("next to the smallest", scale=-126, spread=2),
)


@dataclass
class Attacked(Workload):
    """A workload whose layers read what an attack draws, probabilities and labels aside."""

    attack: Attack = ATTACKS[0]
    seed: int = 0

    def acts(self, layer: Any, reference: np.ndarray) -> np.ndarray:
        """Numbers of the attack in place of the reference's output; probabilities stay, costs take their logarithm."""
        graph = self.network.graph
        readers = [facts(graph.layers[name]) for name, i in graph.consumers[layer.name] if i == 1]
        if layer.type == "softmax" or any(reader.fused_labels for reader in readers):
            return reference
        return self.attack.draw(generator(self.seed, "attack", layer.name, "acts"), reference.shape)

    def acts_grad(self, layer: Any, reference: np.ndarray) -> np.ndarray:
        """Numbers of the attack in place of the reference's gradient."""
        return self.attack.draw(generator(self.seed, "attack", layer.name, "acts_grad"), reference.shape)


def attacked(work: Workload, attack: Attack, seed: int, engine: Engine) -> Attacked:
    """A workload with everything drawn anew."""
    fed = with_inputs(work, lambda name, array: attack.draw(generator(seed, "attack", name), array.shape))
    drawn: dict[int, np.ndarray] = {}  # what layers share is one array
    for layer, own in work.values.items():
        for name, array in own.items():
            if is_parameter(name) and id(array) not in drawn:
                drawn[id(array)] = attack.draw(generator(seed, "attack", layer, name), array.shape)
    values = {
        layer: {name: drawn.get(id(array), array) for name, array in own.items()} for layer, own in work.values.items()
    }
    return Attacked(work.network, [engine], fed.inputs, values, work.tape, work.passes,
                    work.threads, attack=attack, seed=seed)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What used most of the bound of a type of layer in a pass."""

    share: float
    attack: Attack
    seed: int
    subject: int
    place: str


@dataclass
class Search:
    """The state of a search."""

    subjects: list[Workload]
    seed: int
    trials: int = 0  # elements judged
    # by layer type, pass, and whether the attack conspires
    worst: dict[tuple[str, str, bool], Found] = field(default_factory=dict)

    def try_out(self, subject: int, attack: Attack, seed: int) -> None:
        """Run both engines on a subject under an attack."""
        for engine in (AsMeant(engines.find(name)) for name in ENGINES):
            for step, share, elements, place in _shares(attacked(self.subjects[subject], attack, seed, engine)):
                self.trials += elements
                key = (*step, attack.conspires)
                if share > self.worst.get(key, Found(0, attack, 0, 0, "")).share:
                    self.worst[key] = Found(share, attack, seed, subject, f"{place} of {engine.name}")


def _shares(work: Attacked) -> Iterator[tuple[tuple[str, str], float, int, str]]:
    """Layer type and pass, share, number of elements and place of each finite tensor."""
    try:
        with np.errstate(all="ignore"):  # what is not finite is left out
            for row in rows(work, "isolated"):
                for found in row.counted().values():
                    if found.elements and not found.nonfinite:
                        layer = work.network.spec[row.layer]
                        yield (layer.type, row.step), found.share, found.elements, f"{row.layer} {row.tensor}"
    except (NothingCompared, Unsupported):
        return


def check_bound(echo: Callable[[str], None], trials: int = 10**7, seed: int = 0, nets: Sequence[Any] = LARGE) -> int:
    """Run the search.

    The parameters are the options of ``rosetta check bound``, and networks with their cases beside the scenes.

    Returns 0 if no correct engine left the bound but where terms are equal, else 1.
    """
    subjects = [scene(*arguments, seed) for arguments in dict.fromkeys(one.scene_arguments for one in FAULTS)
                if arguments[1] == "random"]  # fmt: skip
    for net, batch in nets:
        subjects.append(bare_workload(net, input="random", batch=batch, seed=seed))
    search, random = Search(subjects, seed), generator(seed, "search")
    for attack in ATTACKS:
        for subject in range(len(subjects)):
            search.try_out(subject, attack, seed)
    step = 1.0
    while search.trials < trials:
        for key in sorted(search.worst):
            best = search.worst[key]
            search.try_out(best.subject, best.attack.varied(random, step), int(random.integers(2**31)))
        step = max(0.02, 0.7 * step)
    return _tell(search, echo)


def _tell(search: Search, echo: Callable[[str], None]) -> int:
    echo(f"{search.trials:,} elements judged; what used most of the bound:")
    echo(f"{'layer':16}{'pass':10}{'terms':9}{'share':>7}  where, and with which numbers")
    for (kind, step, equal), found in sorted(search.worst.items(), key=lambda item: -item[1].share):
        settings = ", ".join(f"{k} {v:.3g}" for k, v in asdict(found.attack).items() if k != "name")
        terms = "equal" if equal else "any"
        echo(f"{kind:16}{step:10}{terms:9}{found.share:7.2f}  {found.place}; from {found.attack.name!r}: {settings}")
    for equal, terms in ((False, "any terms"), (True, "equal terms")):
        shares = [found.share for key, found in search.worst.items() if key[2] == equal]
        outside = sum(share > 1 for share in shares)
        echo(f"{terms}: {outside} of {len(shares)} left the bound, the worst used {max(shares, default=0):.2f} of it")
    return int(any(found.share > 1 for key, found in search.worst.items() if not key[2]))
