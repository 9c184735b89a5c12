"""What all fuzzers share: numbered trials in a child process, which may crash or hang without ending the run.

A fuzzer is a module with a function ``trial(rng)`` that draws one case, tries the case, and returns a short word for
the documented outcome ("accepted", "refused"); an exception that leaves the function is a finding. Its last lines are

    if __name__ == "__main__":
        runner.main(trial)

Trial i of a seed draws the same case each time: ``--seed S --first i --count 1`` repeats the trial alone.
"""

import argparse
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count as numbers
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
LAST_WORDS = 20  # seconds from an interrupt to the kill


@dataclass
class Result:
    """Outcomes by name, and a text for every finding."""

    outcomes: Counter = field(default_factory=Counter)
    findings: list = field(default_factory=list)


def sanitized():
    """Whether this process runs under the address sanitizer, which needs address space without a limit."""
    return "libasan" in os.environ.get("LD_PRELOAD", "")


@contextmanager
def noted(tell):
    """Add to an exception what ``tell()`` says of the case."""
    try:
        yield
    except Exception as error:
        error.add_note(tell())
        raise


def run(trial, *, seed, count=None, seconds=None, first=0, patience=20.0, memory=None, interruptible=False, most=20):
    """Run trials until `count` of them are done, `seconds` have passed or `most` of them were findings.

    Parameters
    ----------
    trial : callable
        Takes a numpy Generator, returns the name of the outcome.
    patience : float
        Seconds after which a trial gets SIGINT. A finding, unless the trials are `interruptible`: then it is a finding
        only if the trial does not end within seconds as "interrupted".
    memory : int, optional
        Bytes of address space that the child may have; no limit under the address sanitizer.

    Returns
    -------
    Result
    """
    result, end = Result(), None if count is None else first + count
    deadline = None if seconds is None else time.monotonic() + seconds
    while first != end and len(result.findings) < most and (deadline is None or time.monotonic() < deadline):
        first = _batch(trial, result, seed, first, end, deadline, patience, memory, interruptible)
    return result


def main(trial, **options):
    """The command line of a fuzzer: exit status 1 and a text for each finding, or 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    seconds = 60.0 if given.count is None and given.seconds is None else given.seconds
    result = run(trial, seed=given.seed, count=given.count, seconds=seconds, first=given.first, **options)
    counts = ", ".join(f"{number} {name}" for name, number in sorted(result.outcomes.items()))
    print(f"{sum(result.outcomes.values())} trials: {counts}; {len(result.findings)} findings")
    for finding in result.findings[:20]:
        print(f"\n{finding}")
    sys.exit(bool(result.findings))


def command(fuzzer, *options):
    """Run a fuzzer of this folder by its command line, from a test: (exit status, what it printed)."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.fuzz.{fuzzer}", *map(str, options)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout


def _batch(trial, result, seed, first, end, deadline, patience, memory, interruptible):
    """Trials from `first` on in one child, until it dies or all are done; returns the next number."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _child(trial, seed, first, end, deadline, memory, writing)
    os.close(writing)
    late, rest = False, b""
    while True:
        ready, _, _ = select.select([reading], [], [], LAST_WORDS if late else patience)
        if not ready:
            os.kill(child, signal.SIGKILL if late else signal.SIGINT)
            late = True
            continue
        read = os.read(reading, 65536)
        if not read:
            break
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            outcome, _, detail = line.decode().partition(" ")
            result.outcomes[outcome] += 1
            if outcome == "finding" or (late and not interruptible):
                what = detail.replace("\0", "\n") or f"{outcome}, but slow"
                result.findings.append(f"trial {first} of seed {seed}: {what}")
            late, first = False, first + 1
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    if status:
        result.outcomes["died"] += 1
        how = f"signal {signal.Signals(status & 127).name}" if status & 127 else f"exit status {status >> 8}"
        result.findings.append(f"trial {first} of seed {seed}: {'hangs: ' if late else ''}{how}")
        first += 1
    return first


def _child(trial, seed, first, end, deadline, memory, writing):
    """One line per trial into the pipe; never returns."""
    busy = False

    def interrupt(*_):
        if busy:
            raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGINT, interrupt)  # also where a shell in the background ignored it
        if memory is not None and not sanitized():
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        for i in numbers(first):
            if i == end or (deadline is not None and time.monotonic() > deadline):
                os._exit(0)
            try:
                busy = True
                line = trial(np.random.default_rng([seed, i]))
                busy = False
            except KeyboardInterrupt:
                line = "interrupted"
            except BaseException:
                line = "finding " + traceback.format_exc().replace("\n", "\0")
            busy = False
            os.write(writing, (line + "\n").encode(errors="backslashreplace"))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
