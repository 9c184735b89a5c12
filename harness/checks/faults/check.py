"""`rosetta check faults`: every fault of the catalogue in every engine, then random networks without a fault."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

import click

from ... import engines
from ...engines.protocol import Engine
from ...engines.wrapped import AsMeant
from ...errors import BadInput, EngineUnavailable, Unsupported, meant
from ...judging.finding import Finding, exit_code, summarise
from ...judging.row import decisive
from ...running.prepare import rows
from ...running.steps import PASSES
from ..kit import LEFT_OUT, RIGHT, WRONG
from .catalogue import FAULTS
from .examine import FaultResult, examine, judged, scene, workload, write
from .fault import Fault
from .random_nets import random_net

ENGINES = ("port", "legacy-cpu")
COLUMNS = "  {:10} {:24} {:62} {:7} {:10} {}"
HEADER = ("engine", "fault", "shows at", "found", "verdict", "times what rounding allows, at least")


def check_faults(
    echo: Callable[[str], None],
    only: Sequence[str] = (),
    nets: int = 200,
    seed: int = 0,
    allow: Sequence[str] = (),
    out: Path = Path("runs", "faults"),
) -> int:
    """Run the check; the parameters are the options of ``rosetta check faults``, and `echo` prints a line.

    `out` is where the layer files of a random network go if something in it differs.

    The exit code is 0 if every fault was reported at its place and nowhere else, and no random network had a
    difference; 1 if not so; 3 if an engine, a fault or a tensor was left out. Raises BadInput: no fault has that name;
    EngineUnavailable: the port cannot run here.
    """
    faults, able = _chosen(only), _able(echo)
    codes = [_without_faults(faults, able, seed, echo)]
    if len(able) < len(ENGINES) and "unavailable" not in allow:
        codes.append(3)
    echo(" " + COLUMNS.format(*HEADER))
    outcomes = []
    for fault in faults:
        for engine in able:
            outcomes.append(examine(fault, engine, seed))
            _tell(outcomes[-1], echo)
    for engine in able:
        codes.append(_summary(engine.name, [one for one in outcomes if one.engine == engine.name], echo, allow))
    codes.append(_random_nets(nets, able, seed, out, echo, allow))
    return 1 if 1 in codes else max(codes)


def _chosen(names: Sequence[str]) -> list[Fault]:
    known = {fault.name: fault for fault in FAULTS}
    for name in names:
        if name not in known:
            raise BadInput(f"no fault is called {name!r}", hint=meant(name, known, f"there are {len(known)} faults"))
    return [known[name] for name in names] if names else list(FAULTS)


def _able(echo: Callable[[str], None]) -> list[Engine]:
    """The engines that can run, without historical defects; a note on those that cannot."""
    able: list[Engine] = []
    for engine in map(engines.find, ENGINES):
        works, reason = engine.probe()
        if works:
            able.append(AsMeant(engine))
        elif engine.name == ENGINES[0]:
            raise EngineUnavailable(f"engine {engine.name} is unavailable: {reason}", hint="see 'rosetta doctor'")
        else:
            echo(f"{engine.name} is not run: {reason}")
    return able


# Faults


def _tell(outcome: FaultResult, echo: Callable[[str], None]) -> None:
    """Print the line of an outcome, and more where it is not what it should be."""
    fault, found = outcome.fault, outcome.found
    there = [found[place] for place in fault.places if place in found]
    cells = [outcome.engine, fault.name, spelled(fault.places)]
    if outcome.reason:
        echo(LEFT_OUT + COLUMNS.format(*cells, "not run", "", outcome.reason))
        return
    statuses, reasons = ({getattr(one, name) for one in there} - {""} for name in ("status", "reason"))
    cells += [f"{len(there)} of {len(fault.places)}", ", ".join(sorted(statuses))]
    echo((RIGHT if outcome.ok else WRONG) + COLUMNS.format(*cells, ", ".join(reasons) or _times(outcome.share)))
    if not outcome.ok:
        echo(f"    {fault.story}; should be {fault.status}")
        for place in sorted(outcome.elsewhere):
            echo(f"    it also shows where it must not: {' '.join(place)} is {found[place].status}")


def _summary(
    engine: str, outcomes: Sequence[FaultResult], echo: Callable[[str], None], allow: Sequence[str] = ()
) -> int:
    """Print how many faults of an engine were reported as they should be; the exit code for that."""
    ran = [outcome for outcome in outcomes if not outcome.reason]
    right = sum(outcome.ok for outcome in ran)
    refused = f"; {len(outcomes) - len(ran)} were refused" if len(ran) < len(outcomes) else ""
    echo(f"{engine}: {right} of {len(ran)} faults reported at the right layer and pass, and nowhere else{refused}.")
    if right < len(ran):
        return 1
    return 3 if not ran or (refused and "unsupported" not in allow) else 0


def spelled(places: Iterable[tuple[str, ...]]) -> str:
    """Places in words: ``conv2 forward acts, backward inputs_grad[0] weights_grad[0]``."""
    words: list[str] = []
    last = "", ""
    for layer, step, tensor in sorted(places, key=lambda place: (place[0], PASSES.index(place[1]), place[2])):
        if (layer, step) != last:
            words.append(step if layer == last[0] else f"{layer} {step}")
        words[-1] += f" {tensor}"
        last = layer, step
    return ", ".join(words)


def _times(share: float) -> str:
    return "any difference" if share == inf else f"{share:,.0f}" if share < 1e9 else f"{share:.1e}"


def _without_faults(faults: Sequence[Fault], able: list[Engine], seed: int, echo: Callable[[str], None]) -> int:
    """0 if the correct engines agree on the networks of the faults that they can run, else 1; prints where not."""
    code = 0
    for arguments in dict.fromkeys(fault.scene_arguments for fault in faults):
        for engine in able:
            try:
                results = judged(scene(*arguments, seed), engine)
            except Unsupported:
                continue  # the faults themselves say so
            for place, finding in results.items():
                if not finding.agrees and finding.status != "unsupported":
                    where = f"{engine.name} without a fault: {' '.join(place)}"
                    echo(f"{WRONG} {where} is {finding.status} {finding.reason}")
                    code = 1
    return code


# Random networks


def _random_nets(
    count: int, able: list[Engine], seed: int, out: Path, echo: Callable[[str], None], allow: Sequence[str] = ()
) -> int:
    """Run the random networks; the exit code for what was found."""
    if not count:
        return 0
    findings = []
    with click.progressbar(range(seed, seed + count), label="random networks", file=sys.stderr) as seeds:
        for own in seeds:
            findings += _random_net(own, able, out, echo)
    refused = Counter(finding.reason for _, finding in findings if finding.status == "unsupported")
    for reason, times in refused.items():
        echo(f"- {times} tensors not compared: {reason}")
    echo(f"{count} random networks without a fault, {len(findings)} tensors: {summarise(findings)}")
    return exit_code((finding for _, finding in findings), allow)


def _random_net(seed: int, able: list[Engine], out: Path, echo: Callable[[str], None]) -> list[tuple[str, Finding]]:
    """(name, Finding) of every tensor and engine of one random network; its files are written if something differs."""
    net = random_net(seed)
    work = replace(workload(net.text, input="random", seed=seed, **net.options), engines=able)
    found = decisive(rows(work, "isolated"))
    failed = [f"{name} is {finding.status}" for name, finding in found if finding.fails]
    if failed:
        path = write(net.text, Path(out), f"net-{seed}")
        options = [f"--{name.replace('_', '-')} {value}" for name, value in net.options.items() if name != "quantise"]
        options += ["--quantise"] if net.options["quantise"] else []
        again = f"rosetta compare {path} --input random --seed {seed} {' '.join(options)}"
        echo(f"{WRONG} net {seed}: {len(failed)} tensors fail, first {failed[0]}; again: {again}")
    return [(f"net {seed} {name}", finding) for name, finding in found]
