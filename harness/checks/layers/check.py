"""The run over a folder of layer files: one pair after the other, each freed before the next."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import isqrt
from pathlib import Path
from time import perf_counter
from typing import Any

from ... import machine
from ...comparison import execute
from ...errors import BadInput, NothingCompared, TooLarge, Unsupported
from ...judging.finding import summarise
from ...judging.row import Row, decisive, total_seconds
from ...network import cost_inputs
from ...network.load import Network, load
from ...reporting import lines
from ...running.prepare import Options, workload
from . import pairs
from .outcome import PairResult, sentence, table, worst_code
from .pairs import DefinitionPair

SHOWN = 5
INITIALISERS = ("initWFunc", "initBFunc", "initCFunc")


def check_layers(
    folder: str | Path,
    echo: Callable[[str], None],
    options: Options,
    only: Sequence[str] = (),
    load_only: bool = False,
    out: Path | str | None = None,
) -> int:
    """Check every pair of a folder.

    The parameters are those of ``rosetta check layers``: the options say with what each pair is run.

    Returns 0: all pairs agree; 1: a value or tensor differs; 2: a file was refused or is too large for this machine; 3:
    something could not be compared, or nothing was.
    """
    found, alone = pairs.find(folder, only)
    echo(f"{len(found)} pairs of layer files in {folder}")
    outcomes = []
    for k, pair in enumerate(found, 1):
        echo(f"{k}/{len(found)} {pair.name}")
        outcomes.append(_check(pair, echo, options, load_only, out))
        gc.collect()
        if outcomes[-1].status == "interrupted":
            break
    for path in alone:
        echo(f"{path.relative_to(folder)}: no layer-definition file goes with these parameters")
    for line in table(outcomes) if outcomes else ():
        echo(line)
    echo(sentence(outcomes, load_only))
    return worst_code(outcomes)


def _check(
    pair: DefinitionPair, echo: Callable[[str], None], options: Options, load_only: bool, out: Path | str | None
) -> PairResult:
    """The PairResult of a pair."""
    begin, outcome = perf_counter(), PairResult(pair.name)
    machine.reset_peak_memory()
    network = _load(pair, outcome, echo, options.rules)
    if network is not None:
        _compare_derived(pair, network, outcome, echo)
        if not load_only and pair.params is None:
            echo("  not compared: no layer-parameter file goes with this definition")
            outcome.at_least("not compared")
        elif not load_only:
            _run(network, outcome, echo, options, out and Path(out) / _slug(pair.name))
    outcome.seconds, outcome.memory = perf_counter() - begin, machine.peak_memory()
    return outcome


def _load(
    pair: DefinitionPair, outcome: PairResult, echo: Callable[[str], None], rules: Sequence[str]
) -> Network | None:
    """The Network of a pair; None if a file was refused, and the reason printed."""
    try:
        network = load(str(pair.definition), str(pair.params) if pair.params else None, pair.data, rules)
    except ValueError as error:
        if not hasattr(error, "hint"):
            raise
        echo(f"  refused: {error}")
        outcome.at_least("refused")
        return None
    spec = network.spec
    outcome.layers = len(spec.layers)
    kinds = Counter(layer.type for layer in spec.layers)
    echo(f"  {len(spec.layers)} layers, {spec.parameter_count:,} parameters: {', '.join(map(_times, kinds.items()))}")
    for line in _accepted(spec):
        echo(f"  {line}")
    return network


def _times(item: tuple[str, int]) -> str:
    return f"{item[1]} {item[0]}" if item[1] > 1 else item[0]


def _accepted(spec: Any) -> Iterator[str]:
    """What the parser of 2012 would have refused, a line for each rule; and what it would have run as a program."""
    places: dict[str, list[Any]] = {}
    for place in spec.tolerances:
        places.setdefault(place.rule, []).append(place)
    for rule, found in places.items():
        first = found[0]
        value = "" if first.value is None else f" = {first.value}"
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        yield f"accepted as {rule!r} at [{first.layer}] {first.key}{value}{more}: {first.meaning}"
    drawn = [layer.name for layer in spec.layers if any(layer.get(key) for key in INITIALISERS)]
    if drawn:
        yield f"weights of {len(drawn)} layers are drawn: their initialiser reads an earlier checkpoint"


def _compare_derived(pair: DefinitionPair, network: Network, outcome: PairResult, echo: Callable[[str], None]) -> None:
    if pair.layers is None:
        outcome.recorded = "no record"
        return
    wrong = list(pairs.complaints(network, pair.layers))
    total = pairs.count(pair.layers)
    outcome.recorded = f"{total} = record" if not wrong else f"{len(wrong)} wrong"
    echo(f"  {total - len(wrong)} of {total} derived values are as recorded")
    for line in wrong[:SHOWN]:
        echo(f"  ! {line}")
    if wrong:
        outcome.at_least("different")


def _run(
    network: Network, outcome: PairResult, echo: Callable[[str], None], options: Options, out: Path | str | None
) -> None:
    """Build and run a network in all engines, judge every tensor."""
    printer = _Printer(echo)
    params = str(network.params) if network.params else None
    options = replace(options, net=str(network.definition), params=params, input=_kind(network))
    try:
        found = execute(options, out, on_row=printer.row, work=workload(network, options))
    except (TooLarge, MemoryError) as error:
        outcome.at_least("too large")
        echo(f"  too large: {error or 'the memory of this machine was not enough'}")
    except (BadInput, Unsupported, NothingCompared) as error:
        outcome.at_least("not compared")
        echo(f"  not compared: {error}")
    else:
        printer.flush()
        outcome.rows = found.table
        outcome.judge(options.allow)
        if found.status == "interrupted":
            outcome.status = "interrupted"
        if found.note:
            echo(f"  note: {found.note}")
        echo(f"  {summarise(decisive(found.table))}")


def _kind(network: Network) -> str:
    """Photographs where every data layer that no cost reads takes square pictures in colour, else normal numbers."""
    images = [x.outputs for x in network.layers if x.type == "data" and x.name not in cost_inputs.kinds(network.graph)]
    return "photos" if all(outputs == 3 * isqrt(outputs // 3) ** 2 for outputs in images) else "random"


class _Printer:
    """A line for each pass of a network, and more for each tensor that fails or was not compared."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        self.echo, self._told = echo, lines.Told()
        self.rows: list[Row] = []

    def row(self, row: Row) -> None:
        """Take a row."""
        if self.rows and self.rows[-1].step != row.step:
            self.flush()
        self.rows.append(row)
        for line in self._told.news(row):
            self.echo(f"  ! {row.layer} {row.step} {row.tensor}:{line}")

    def flush(self) -> None:
        """Print the pass that is over."""
        if self.rows:
            times = "".join(f", {engine} {value:.1f} s" for engine, value in total_seconds(self.rows).items())
            self.echo(f"  {self.rows[0].step}: {len(self.rows)} tensors{times}")
        self.rows = []


def _slug(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-._" else "_" for char in name)
