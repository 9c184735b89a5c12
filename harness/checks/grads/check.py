"""The run: every tensor of every layer, in the reference and in the port, and the historical check of the engine."""

from collections.abc import Callable, Iterator, Sequence

from threadpoolctl import threadpool_limits

from ...errors import BadInput, meant
from ...network.load import Network, load
from ...reference import facts
from ...running.memory import check_memory, memory_needed
from ..kit import exit_code
from . import historical
from .difference import Check
from .row import HEADER, GradientRow, sentence
from .subjects import Formulas, Port, Subject
from .units import Unit, learning_network, units

SUBJECTS: dict[str, type[Formulas] | type[Port]] = {subject.name: subject for subject in (Formulas, Port)}
NO_GRADIENT = "passes none on, and may stand below all weights only (config-format 6)"
ENGINES = (*SUBJECTS, historical.ENGINE)


def check_grads(
    echo: Callable[[str], None],
    net: str,
    params: str | None = None,
    engines: Sequence[str] = ENGINES,
    batch: int = 4,
    seed: int = 0,
    elements: int = 8,
    allow: Sequence[str] = (),
) -> int:
    """Check the gradients of a network, with the options of ``rosetta check grads``.

    Returns 0: all gradients agree, are approximate by design or explained by a quirk; 1: one is wrong; 3: one was not
    decided.
    """
    unknown = [name for name in engines if name not in ENGINES]
    if unknown or not engines:
        hint = meant(", ".join(unknown), ENGINES, f"engines: {', '.join(ENGINES)}")
        raise BadInput(f"gradients of {', '.join(unknown)!r} are not checked", hint=hint)
    network = learning_network(load(net, params))
    more = 40 * network.spec.parameter_count  # in float64, and once more what is moved
    check_memory(network, batch, memory_needed(network, 2 * batch, engines, "isolated") + more)
    echo(f"{network.name}: {len(network.layers)} layers; {batch} cases in float64, {historical.CASES} in float32")
    echo(HEADER)
    found = []
    with threadpool_limits(1):
        for row in gradient_rows(network, engines, batch, seed, elements):
            found.append(row)
            echo(row.line())
    echo(sentence(found))
    return exit_code((row.status for row in found), allow)


def gradient_rows(
    network: Network, engines: Sequence[str], batch: int, seed: int, elements: int
) -> Iterator[GradientRow]:
    """Yield the row of every tensor of every layer, for each engine."""
    subjects = [SUBJECTS[name](network) for name in engines if name in SUBJECTS]
    if subjects:
        for unit in units(network, batch, seed):
            for subject in subjects:
                yield from _in_float64(subject, unit, seed)
    if historical.ENGINE in engines:
        yield from historical.Historical(historical.historical_network(network), seed, elements).rows()


def _in_float64(subject: Subject, unit: Unit, seed: int) -> Iterator[GradientRow]:
    layer = unit.layer
    kind = layer.type if unit.cost is None else f"{layer.type} + {unit.cost.type}"
    if not hasattr(facts(layer), "inputs_grad"):
        yield GradientRow(subject.name, layer.name, kind, "", "no gradient", note=NO_GRADIENT)
        return
    approximates = facts(layer).approximates
    check = Check(subject, unit, seed, unit.stand_in() if approximates else None)
    for tensor in check.gradients:
        slope = check.slope(tensor)
        status, note = slope.status, slope.reason
        if approximates and status == "agrees":
            status, note = "by design", approximates
        yield GradientRow(subject.name, layer.name, kind, tensor, status, slope.error, slope.allowed, slope.step, note)
