"""`rosetta check power`: the smallest change that a comparison of a network would notice, tensor by tensor.

Two questions. Of a tensor: by how much must all elements, or one element, be off? That follows from the bounds. Of a
constant (a learning rate, a power, a coefficient): by how much must it be off? That is tried: the constant is moved by
10⁻¹, 10⁻² … in the engine, in all layers that have it at once, since in isolated mode no layer sees another's mistake.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import engines
from ..engines.protocol import Engine, Session
from ..engines.wrapped import AsMeant, WrappedEngine
from ..judging.row import Row
from ..network.load import Network, altered
from ..reference import Bounded
from ..running.prepare import rows
from ..running.workload import Workload
from ..values.inputs import PROBING
from .kit import bare_workload, watch

POWERS = range(1, 8)
DRAWN = ("initW", "initB")
"""Constants that no layer reads: the values are drawn before."""
SETTINGS = {"wballNormed": "wball"}
"""Constants that are derived, and what they are derived from."""
QUANTILES = (0.5, 0.99)


@dataclass(frozen=True)
class Power:
    """What would be noticed in one tensor."""

    layer: str
    step: str
    tensor: str
    whole: float | None  # the smallest relative change of all elements that leaves the bound; None where all are zero
    one: tuple[float, ...]  # so for one element, of half and of 99 in 100 of those that are not zero
    zeros: float  # share of zeros

    @property
    def weak(self) -> bool:
        """Whether nothing, or less than a change by half, would be noticed."""
        return self.whole is None or self.whole > 0.5

    def line(self) -> str:
        """A line of the map."""
        whole = "nothing" if self.whole is None else "a bit" if self.whole == 0 else f"{self.whole:.1e}"
        ones = "".join(f"{'a bit' if share == 0 else f'{share:.1e}':>10}" for share in self.one) or f"{'':20}"
        place = f"{'?' if self.weak else ' '} {self.layer:16}{self.step:10}{self.tensor:18}"
        return f"{place}{whole:>10}{ones}{self.zeros:9.1%}"


def _power(comparison: Any, bounded: Bounded) -> Power:
    """What would be noticed in the tensor of a finished comparison."""
    value = bounded.value.ravel()
    some = value != 0
    share = bounded.bound().ravel()[some] / np.abs(value[some])
    one = tuple(float(np.quantile(share, part)) for part in QUANTILES) if share.size else ()
    whole = float(share.min()) if share.size else None
    layer, step, tensor = comparison.layer.name, comparison.step, comparison.tensor
    return Power(layer, step, tensor, whole, one, 1 - float(some.mean()) if some.size else 1.0)


class _Moved(WrappedEngine):
    """An engine with constants of its layers moved."""

    def __init__(self, engine: Engine, changes: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(engine)
        self.changes = changes

    def open(self, network: Network, threads: int) -> Session:
        """A session on the changed network."""
        return self.engine.open(altered(network, self.changes), threads)


def check_power(
    echo: Callable[[str], None],
    net: str,
    params: str | None = None,
    input_: str = PROBING,
    batch: int = 8,
    seed: int = 0,
    engine: str = "port",
) -> int:
    """Write the power map of a network.

    The parameters are those of ``rosetta check power``.

    Returns 0; 3 if some tensor has no power.
    """
    subject = AsMeant(engines.find(engine))
    work = bare_workload(net, params=params, input=input_, batch=batch, seed=seed)
    found: list[Power] = []
    watch(work, [subject], lambda comparison, bounded: found.append(_power(comparison, bounded)))
    echo(f"{'':46}{'':>10}{'one element of':>20}")
    echo(f"  {'layer':16}{'pass':10}{'tensor':18}{'all':>10}{'half':>10}{'99 %':>10}{'zero':>9}")
    for power in found:
        echo(power.line())
    echo("")
    echo(f"  {'constant':14}{'layer':16}{'value':>12}{'noticed':>10}  first in")
    blind = 0
    for key in constants(work.network):
        for layer, value, least, place in _noticed(work, subject, key):
            blind += least is None
            echo(f"{'?' if least is None else ' '} {key:14}{layer:16}{value:12.6g}{_told(least):>10}  {place}")
    wholes = [power.whole for power in found if power.whole]
    weak = sum(power.weak for power in found)
    echo(
        f"{len(found)} tensors: a relative change of all elements is noticed from {np.median(wholes):.0e} on "
        f"in the median, {max(wholes):.0e} in the worst"
    )
    echo(f"{weak} tensors without power, {blind} constants that nothing notices")
    return 3 if weak else 0


def _told(least: float | None) -> str:
    return "never" if least is None else f"± {least:.0e}"


def constants(network: Network) -> list[str]:
    """Names of the constants that layers of a network have."""
    found = dict.fromkeys(key for layer in network.layers for key, _ in _numbers(layer.to_dict()))
    return [key for key in found if key not in DRAWN]


def _numbers(layer: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Keys of a layer that hold real numbers, and the first that is not 0 of each; those of a neuron with a dot."""
    for key, value in layer.items():
        if key == "neuron" and isinstance(value, Mapping):
            inner = value.get("params", {})
            yield from (
                (f"neuron.{name}", number) for name, number in inner.items() if isinstance(number, float) and number
            )
        listed = [value] if isinstance(value, float) else value if isinstance(value, (list, tuple)) else []
        for number in listed:
            if isinstance(number, float) and number and key not in SETTINGS.values():
                yield key, number
                break


def _scaled(layer: Mapping[str, Any], key: str, factor: float) -> dict[str, Any]:
    """The change of a layer that multiplies a constant."""
    if key.startswith("neuron."):
        neuron, name = layer["neuron"], key.removeprefix("neuron.")
        return {"neuron": {**neuron, "params": {**neuron["params"], name: neuron["params"][name] * factor}}}
    value = layer[key]
    return {key: value * factor if isinstance(value, float) else type(value)(number * factor for number in value)}


def _noticed(work: Workload, engine: Engine, key: str) -> Iterator[tuple[str, float, float | None, str]]:
    """Of each layer that has a constant: its value, the least change noticed up and down, and where it shows."""
    having = {layer.name: dict(_numbers(layer.to_dict())) for layer in work.network.layers}
    values = {name: own[key] for name, own in having.items() if key in own}
    least: dict[str, tuple[float | None, str]] = dict.fromkeys(values, (None, ""))
    left = list(values)
    for power in POWERS:
        up, down = (_failing(work, engine, key, left, 1 + sign * 10.0**-power) for sign in (1, -1))
        left = [name for name in left if name in up and name in down]
        least |= {name: (10.0**-power, up[name]) for name in left}
        if not left:
            break
    yield from ((name, value, *least[name]) for name, value in values.items())


def _failing(work: Workload, engine: Engine, key: str, layers: Sequence[str], factor: float) -> dict[str, str]:
    """{layer: pass and tensor} of the first row that fails in each layer whose constant is multiplied."""
    changes = {name: _scaled(work.network.spec[name].to_dict(), key, factor) for name in layers}
    found: dict[str, str] = {}
    for row in rows(replace(work, engines=[_Moved(engine, changes)]), "isolated"):
        owner = row.layer if row.layer in changes else work.network.graph.fused.get(row.layer, "")
        if owner in changes and _fails(row):
            found.setdefault(owner, f"{row.step} {row.tensor}" + (f" of {row.layer}" if owner != row.layer else ""))
    return found


def _fails(row: Row) -> bool:
    return any(finding.fails for finding in row.counted().values())
