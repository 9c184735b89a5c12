"""`rosetta verify`: a package byte by byte against its hashes, then three random layers of its run again."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from ..engines import is_program, probe
from ..errors import BadInput, RecordError
from ..judging.finding import Finding
from ..judging.row import Row
from ..reporting.record import Record, read
from ..running.prepare import Options, prepare
from ..running.workload import Workload
from ..study.explain import evaluated, judge_alone, run_alone
from .pack import DEFINITION, MANIFEST, PARAMETERS, RECORD, file_options, manifest_of

LAYERS = 3
"""Layers that are run again."""
TOLD = 10
"""Files that are named where they are not as published."""


class Repeated(NamedTuple):
    """A tensor of an engine, run again: what the record says, and what was found now."""

    name: str
    recorded: Finding
    found: Finding

    @property
    def confirmed(self) -> bool:
        """Whether the verdict is the same, of a reference that is the same up to the bounds of the elements."""
        verdict = self.recorded.status == self.found.status or (self.recorded.agrees and self.found.agrees)
        off = abs(self.recorded.reference_norm - self.found.reference_norm)
        return verdict and off <= max(self.recorded.bound_norm, self.found.bound_norm)

    @property
    def same(self) -> bool:
        """Whether every figure is the same."""
        return repr(self.recorded) == repr(self.found) and self.recorded.histogram == self.found.histogram


@dataclass(frozen=True)
class Seal:
    """What the bytes of a package say: its seal, and a complaint for each file that is not as published."""

    digest: str
    files: int
    complaints: list[str]


def sealed(pack: Path) -> Seal:
    """Compare every byte of a package with its manifest, and the manifest with what it would be.

    BadInput if the folder is no package.
    """
    path = pack / MANIFEST
    if not path.is_file():
        raise BadInput(f"{pack} is no package: no {MANIFEST} in it", hint="give a folder that 'rosetta publish' wrote")
    stated, actual = path.read_bytes(), manifest_of(pack)
    before, now = (
        {name: digest for digest, _, name in (line.partition(b"  ") for line in text.splitlines())}
        for text in (stated, actual)
    )
    complaints = []
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            what = "changed" if name in before and name in now else "is missing" if name in before else "was added"
            complaints.append(f"{name.decode('utf-8', 'backslashreplace')} {what}")
    if stated != actual and not complaints:
        complaints.append(f"{MANIFEST} changed")
    return Seal(sha256(stated).hexdigest(), len(now), complaints)


def verify(
    pack: str | Path, echo: Callable[[str], object], seal: str = "", layers: int = LAYERS, seed: int | None = None
) -> int:
    """Check a package: 0, all is as published; 1, a byte or a verdict is not; 3, something could not be run here.

    `echo` takes the lines that it prints; `seal` is what the authors say the package's seal is; `layers` is how many
    layers are run again, and `seed` that of their choice, by default another one each time. Raises BadInput,
    RecordError: it is no package; it needs more memory than there is.
    """
    pack = Path(pack)
    found = sealed(pack)
    for complaint in found.complaints[:TOLD]:
        echo(f"✗ {complaint}")
    if seal and seal != found.digest:
        echo(f"✗ the seal is {found.digest}, and not {seal}")
    if found.complaints or (seal and seal != found.digest):
        echo(f"{pack} is not as published: {len(found.complaints)} of {found.files} files differ.")
        return 1
    echo(f"✓ every byte of {found.files} files is as published; seal {found.digest}")
    record = read(pack / RECORD)
    work, missing = _workload(pack, record)
    for name, reason in missing.items():
        echo(f"- {name} cannot run here: {reason}")
    if not work:
        echo("No layer was run again.")
        return 3
    if work.inputs.hashes() != record.about["inputs"]["sha256"]:
        echo("✗ the inputs that the options give are not those of the record")
        return 1
    rows = [row for row in record.rows if row.mode == "isolated" and row.findings]
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    names = sorted({row.layer for row in rows})
    chosen = random.Random(seed).sample(names, min(layers, len(names)))
    echo(f"again: {', '.join(chosen)} (--seed {seed})")
    repeated = []
    for one in again(work, {(row.layer, row.step, row.tensor): row for row in rows if row.layer in chosen}):
        repeated.append(one)
        words = "same figures" if one.same else f"{one.found.status}, recorded {one.recorded.status}, other figures"
        echo(f"{'✓' if one.confirmed else '✗'} {one.name}: {words}")
    good, same = sum(one.confirmed for one in repeated), sum(one.same for one in repeated)
    echo(f"{len(chosen)} of {len(names)} layers were run again: {good} of {len(repeated)} verdicts are those of the "
         f"record, {same} in every figure.")  # fmt: skip
    return 1 if good < len(repeated) else 3 if missing or not repeated else 0


def again(work: Workload, rows: dict[tuple[str, str, str], Row]) -> Iterator[Repeated]:
    """Run the steps of some rows again: the reference as far as they need it, each engine in these steps alone."""
    left = set(rows)
    with threadpool_limits(work.threads):
        for _, comparison in evaluated(work):
            subject, place = comparison.subject, (comparison.layer.name, comparison.step, comparison.tensor)
            if place in left:
                left.discard(place)
                found, _ = run_alone(work, subject)
                now = judge_alone(subject, found, subject.step.bounded(subject.name)).findings()
                for name in now.keys() & rows[place].findings.keys():
                    yield Repeated(rows[place].name(name), rows[place].findings[name], now[name])
                if not left:
                    return


def _workload(pack: Path, record: Record) -> tuple[Workload | None, dict[str, str]]:
    """The values of the run from the files of the package, with the engines that can run here; why others cannot."""
    known = {field.name for field in fields(Options)}
    saved: dict[str, Any] = {name: value for name, value in record.about["options"].items() if name in known}
    try:
        engines, files = Options(**saved).engines, file_options(saved)
    except (TypeError, LookupError, BadInput) as error:
        raise RecordError(f"the options in {pack} cannot be used: {error}") from error
    if own := [name for name in engines if is_program(name)]:
        raise RecordError(f"{pack} names a program as an engine, which is not run", actual=own[0])
    reasons = {name: probe(name) for name in engines}
    missing = {name: reason for name, (engine, reason) in reasons.items() if engine is None}
    saved |= {key: str(pack / name) for key, name in files.items()}
    saved |= {"net": str(pack / DEFINITION), "params": str(pack / PARAMETERS), "engines": [*reasons.keys() - missing]}
    if not (pack / PARAMETERS).exists():
        saved["params"] = None
    if not saved["engines"]:
        return None, missing
    return prepare(Options(**saved)), missing
