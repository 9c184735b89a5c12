"""What is there and what works: `rosetta list` and `rosetta doctor`."""

import re
from collections.abc import Iterator
from itertools import takewhile

from .. import engines, machine
from ..network.load import SHIPPED, load, shipped
from ..quirks import LEDGER
from ..values.inputs import KINDS
from ..values.photographs import PHOTOGRAPHS


def listing() -> Iterator[str]:
    """Lines about networks, engines and inputs."""
    yield f"networks    NAME.cfg and NAME-params.cfg in {SHIPPED}"
    for name in shipped():
        spec = load(name).spec
        yield f"  {name:<10}{len(spec.layers):>4} layers {spec.parameter_count:>12,} parameters   {_comment(name)}"
    yield "engines"
    for name in engines.registered():
        engine, reason = engines.probe(name)
        yield f"  {name:<20}{'available' if engine else 'unavailable':<13}{reason}"
    yield f"inputs      {', '.join(KINDS)}, or an npz file with an array for each data layer"
    yield f"photographs {', '.join(PHOTOGRAPHS)}"
    yield f"quirks      {len(LEDGER)} with a switch: 'rosetta list quirks'"


def diagnosis() -> Iterator[str]:
    """Lines about the machine and each engine."""
    facts = machine.environment(machine.processors())
    memory = f"{facts['memory'] / 2**30:.1f} GiB" if facts["memory"] else "unknown"
    yield f"processor   {facts['processor']} ({facts['instructions'] or facts['architecture']})"
    yield f"threads     {facts['threads']}"
    yield f"memory      {memory}"
    yield f"system      {facts['system']}, Python {facts['python']}"
    yield f"packages    {', '.join(f'{name} {found}' for name, found in facts['packages'].items())}"
    yield f"commit      {facts['commit'] or 'unknown'}"
    for name in engines.registered():
        engine, reason = engines.probe(name)
        yield f"{'✓' if engine else '✗'} {name:<20}{reason}"
        if engine is None:
            yield from (f"{'':22}{line}" for line in _also_missing(name, reason))


def _also_missing(name: str, reason: str) -> list[str]:
    """What else an engine lacks, a line for each thing; most say it all in their reason."""
    try:
        return [line for line in engines.find(name).missing() if line != reason]
    except Exception:
        return []


def _comment(name: str) -> str:
    """The first words of the comment that a shipped network starts with."""
    lines = (SHIPPED / f"{name}.cfg").read_text(encoding="utf-8").splitlines()
    comment = " ".join(line.lstrip("#; ") for line in takewhile(lambda line: line[:1] in ("#", ";"), lines))
    return re.split(r"[.:](?:\s|$)", comment)[0]
