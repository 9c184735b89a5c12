"""Runs a faulty engine on the network of its fault, and holds what was reported against what should have been."""

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...engines.protocol import Engine
from ...errors import NothingCompared, Unsupported
from ...judging.finding import Finding
from ...running.prepare import rows
from ...running.workload import Workload
from ..kit import bare_workload
from .fault import Fault
from .planted import Mutant

CASES = {"random": 6, "exact": 8}
"""Cases of a scene: no multiple of any tile; a power of two for exact input."""


@dataclass(frozen=True)
class FaultResult:
    """What came of one fault in one engine."""

    fault: Fault
    engine: str  # the engine that the fault was put into
    # layer, pass and tensor of the rows that failed
    found: dict[tuple[str, str, str], Finding] = field(default_factory=dict)
    reason: str = ""  # why it was not run; empty where it was

    @property
    def elsewhere(self) -> set[tuple[str, str, str]]:
        """Where the fault must not show, and does."""
        return set(self.found) - self.fault.places

    @property
    def ok(self) -> bool:
        """The fault was reported at its places with its status, and nowhere else."""
        found = [self.found[place] for place in self.fault.places if place in self.found]
        right = len(found) == len(self.fault.places) and all(one.status == self.fault.status for one in found)
        return right and not self.elsewhere

    @property
    def share(self) -> float:
        """How far outside the faintest of the right places is, as a share of its bound."""
        return min((self.found[place].share for place in self.fault.places if place in self.found), default=0.0)


def examine(fault: Fault, engine: Engine, seed: int) -> FaultResult:
    """The FaultResult of a fault put into an engine.

    ``engine``: the correct engine.
    ``seed``: of all values.
    """
    work = scene(*fault.scene_arguments, seed)
    try:
        results = judged(work, Mutant(engine, fault.mutation))
    except Unsupported as error:
        return FaultResult(fault, engine.name, reason=f"refused: {error}")
    refused = [finding.reason for finding in results.values() if finding.status == "unsupported"]
    if refused:
        return FaultResult(fault, engine.name, reason=f"refused: {refused[0]}")
    failures = {place: finding for place, finding in results.items() if finding.fails}
    return FaultResult(fault, engine.name, failures)


@cache
def scene(text: str, input: str, progress: float, update_every: int, seed: int) -> Workload:
    """The Workload of a scene, without engines."""
    return workload(text, batch=CASES[input], input=input, progress=progress, update_every=update_every, seed=seed)


def workload(text: str, **options: Any) -> Workload:
    """A Workload, without engines, over a network given as text: both layer files in one.

    ``**options``: see `prepare.Options`.
    """
    with TemporaryDirectory() as folder:
        return bare_workload(str(write(text, Path(folder), "scene")), **options)


def write(text: str, folder: Path, name: str) -> Path:
    """Write a network as its two layer files; the path of the definition."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (f"{name}.cfg", f"{name}-params.cfg"):
        (folder / file).write_text(text, encoding="utf-8")
    return folder / f"{name}.cfg"


def judged(work: Workload, engine: Engine) -> dict[tuple[str, str, str], Finding]:
    """{(layer, pass, tensor): Finding} of an engine on a workload, in isolated mode, but for inherited differences."""
    try:
        found = list(rows(replace(work, engines=[engine]), "isolated"))
    except NothingCompared as error:
        raise (error.__cause__ or error) from None
    return {(row.layer, row.step, row.tensor): finding for row in found for finding in row.counted().values()}
