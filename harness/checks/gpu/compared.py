"""The parts ``exact``, ``alexnet``, ``cifar``, ``zoo``: whole networks, every tensor of every layer and pass judged.

A tensor that differs because the engine has a quirk of 2012, as some of the zoo do, is as it should be: the switches
are tried on the card, too, and the quirk is named.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

from ...comparison import execute
from ...judging.finding import UNDECIDED
from ...judging.row import Row, sentence
from ...running.prepare import Options
from .job import Job
from .target import WITNESSES


def exact(job: Job) -> str:
    """The exact tier: values for which nothing may round."""
    sentences = []
    for net, batch in job.settings.exact.items():
        found = job.numbers[net] = {}
        compare_net(job, found, net, batch, "exact")
        sentences.append(f"{net}: {found['sentence']}")
    return " ".join(sentences)


def comparison(net: str) -> Callable[[Job], str]:
    """The part that compares a network, isolated, all passes."""

    def compared(job: Job) -> str:
        compare_net(job, job.numbers, net, job.settings.batches[net], pictures())
        return job.numbers["sentence"]

    return compared


def pictures() -> str:
    """``photos`` where the photographs are installed, else ``random``."""
    return "photos" if find_spec("skimage") and find_spec("PIL") else "random"


def compare_net(job: Job, found: dict[str, Any], net: str, batch: int, kind: str) -> None:
    """Compare the engine with the witnesses; what is found goes into ``found`` row by row."""
    engines = job.target.engines(*WITNESSES)
    found |= {"engines": engines, "batch": batch, "input": kind, "rows": []}
    rows = []

    def on_row(row: Row) -> None:
        rows.append(row)
        found["rows"].append(flat(row))
        found.update(summary(rows, engines))
        job.check_time()

    options = Options(net, engines=engines, input=kind, batch=batch, threads=job.threads)
    execute(options, on_row=on_row)
    if not rows:
        job.problems.append(f"{net}: nothing was compared")
    job.problems.extend(f"{net}: {row.name(engine)} is {finding.status}" for row in rows
                        for engine, finding in row.findings.items()
                        if row.weighs(engine, fail_on=(*UNDECIDED, "unexplained")))  # fmt: skip


def flat(row: Row) -> dict[str, Any]:
    """A row as the evidence keeps it."""
    findings = {name: [found.status, found.share] for name, found in row.findings.items()}
    return {"layer": row.layer, "pass": row.step, "tensor": row.tensor, "verdicts": findings, "quirks": row.quirk,
            "bits_that_differ": row.bitwise}  # fmt: skip


def summary(rows: Sequence[Row], engines: Sequence[str]) -> dict[str, Any]:
    """Counts of verdicts, closest calls and tensors with equal bits so far."""
    verdicts = {name: Counter(row.findings[name].status for row in rows if name in row.findings) for name in engines}
    closest = {name: max((row.findings[name].share for row in rows if name in row.findings), default=0.0)
               for name in engines}  # fmt: skip
    pairs = dict.fromkeys(pair for row in rows for pair in row.bitwise)
    equal = Counter(pair for row in rows for pair, differing in row.bitwise.items() if not differing)
    return {"sentence": sentence(rows), "verdicts": verdicts, "largest_share_of_the_bound": closest,
            "tensors": len(rows), "tensors_with_equal_bits": {pair: equal[pair] for pair in pairs}}  # fmt: skip
