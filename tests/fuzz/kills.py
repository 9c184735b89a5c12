"""Kills `rosetta compare` at random moments: what was finished must be reportable, and nothing foreign be touched.

    python -m tests.fuzz.kills --count 100 --seed 1

Each trial runs a comparison of zoo or cifar, with or without an earlier record in its place, among files of others, and
ends it with SIGKILL, SIGTERM or SIGINT: every other one at a moment drawn from a whole run's time, the others some
hundredths of a second after a row drawn from those of the run. Then

* every row that was printed is in the record that ``rosetta report`` makes a page of, or in the one it names;
* an earlier record is there as it was, under its name or that with its date;
* files of others have their bytes;
* after another run that is not killed, nothing but records and the files of others is there.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROSETTA = [sys.executable, "-m", "alexnet_rosetta.harness"]
NETS = {"zoo": ("--batch", "2"), "cifar": ("--batch", "4"), "tiny": ("--batch", "1", "--passes", "forward")}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FOREIGN = ("thesis.txt", ".run.thesis", ".run.5.part/thesis.txt", "run.5/record.json")
NAMES = re.compile(r"run(-\d{4}-\d\d-\d\d-\d{6}(-\d+)?)?")
INSIDE = {"record.json", "rows.jsonl", "arrays.npz", "results.csv", "results.parquet", "report.html"}
STARTING = "Fatal Python error: init_import_site"
"""What Python says of an interrupt before the first line of any program."""
STATES = ("=", "~", "!", "*", "?", "-")


@dataclass(frozen=True)
class Moment:
    """When a run is ended: so many seconds after it was started, or after it has printed a row."""

    seconds: float
    row: int | None = None

    def wait(self, process, printed):
        """Wait for the moment, or for the end of the run."""
        while self.row is not None and process.poll() is None and finished(printed.read_text()) <= self.row:
            time.sleep(0.01)
        time.sleep(self.seconds)

    def __str__(self):
        return f"at {self.seconds:.2f} s" if self.row is None else f"{self.seconds:.2f} s after row {self.row}"


def compare(net, folder, **how):
    """Start a comparison into ``folder/run``."""
    command = [*ROSETTA, "compare", net, *NETS[net], "--input", "random", "--threads", "1", "--out", "run"]
    return subprocess.Popen(command, cwd=folder, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}, **how)


def finished(printed):
    """Rows that were printed whole."""
    return sum(line.startswith(tuple(f"{mark} " for mark in STATES)) for line in printed.splitlines()[3:])


def report(folder, record):
    """(rows, status) of what ``rosetta report`` makes a page of, and what it says."""
    done = subprocess.run([*ROSETTA, "report", str(record)], cwd=folder, capture_output=True, text=True, check=False)
    assert "internal error" not in done.stderr, done.stderr
    if done.returncode:
        return (0, "nothing was finished"), done.stderr
    home = Path(folder, record)
    assert (home / "report.html").stat().st_size > 10_000
    if (home / "record.json").exists():
        about = json.loads((home / "record.json").read_text())
        return (len(about["rows"]), about["status"]), done.stdout
    lines = (home / "rows.jsonl").read_bytes().split(b"\n")[:-1]
    assert "The run was interrupted" in (home / "report.html").read_text()
    return (len(lines) - 1, "interrupted"), done.stdout


def trial(rng, whole, templates):
    """One kill; returns a word for what was left."""
    net, number, earlier = rng.choice(list(whole)), rng.choice(SIGNALS), rng.random() < 0.5
    seconds, rows = whole[net]
    moment = (
        Moment(rng.uniform(0, 1.05) * seconds) if rng.random() < 0.5 else Moment(rng.random() / 20, rng.randrange(rows))
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in FOREIGN:
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text("years of work")
        if earlier:
            shutil.copytree(templates[net], folder / "run")
        with open(folder / "printed", "w") as out, open(folder / "said", "w") as err:
            process = compare(net, folder, stdout=out, stderr=err)
            moment.wait(process, folder / "printed")
            process.send_signal(number)
            process.wait(60)
        printed, wrong = finished((folder / "printed").read_text()), (folder / "said").read_text()
        told = f"{net} {number.name} {moment}, earlier {earlier}, code {process.returncode}, {printed} rows"
        assert process.returncode in (-number, -signal.SIGINT, 0, 1, 130), f"{told}: {wrong}"
        assert "Traceback" not in wrong or STARTING in wrong, f"{told}: {wrong}"
        (rows, what), said = report(folder, "run")
        later = re.search(r"'rosetta report (\S+)'", said)
        if later:
            (rows, _), _ = report(folder, later[1])
            what = "beside the earlier record"
        elif earlier and (_facts(folder / "run") == _facts(templates[net])):
            rows, what = 0, "nothing was finished"
        assert rows >= printed, f"{told}: only {rows} are reported ({what})"
        again = compare("tiny", folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert again.wait() in (0, 1), told
        names = {path.name for path in folder.iterdir()} - {"printed", "said"}
        records = {name for name in names if NAMES.fullmatch(name)}
        assert names - records == {path.split("/")[0] for path in FOREIGN}, f"{told}: {names}"
        assert all((folder / path).read_text() == "years of work" for path in FOREIGN), told
        inside = {path.name for name in records for path in (folder / name).iterdir()}
        assert inside <= INSIDE, f"{told}: {inside}"
        assert not earlier or _facts(templates[net]) in map(_facts, map(folder.joinpath, records)), f"{told}: lost"
    return f"{number.name}: {what}"


def _facts(record):
    """The bytes of what a record says."""
    return next((path.read_bytes() for name in ("record.json", "rows.jsonl") if (path := record / name).exists()), b"")


def main():
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell in the background ignored it
    outcomes, wrong = Counter(), []
    with tempfile.TemporaryDirectory() as name:
        templates, whole = {}, {}
        for net in ("zoo", "cifar"):
            home = Path(name, net)
            home.mkdir()
            begin = time.perf_counter()
            compare(net, home, stdout=subprocess.DEVNULL).wait()
            rows = len(json.loads((home / "run" / "record.json").read_text())["rows"])
            whole[net], templates[net] = (time.perf_counter() - begin, rows), home / "run"
        for i in range(given.count):
            try:
                what = trial(random.Random(f"{given.seed} {i}"), whole, templates)
                outcomes[what] += 1
                print(f"kill {i}: {what}", flush=True)
            except AssertionError as error:
                wrong.append(f"kill {i}: {error}")
                print(wrong[-1], flush=True)
    for what, number in sorted(outcomes.items()):
        print(f"{number:4} {what}")
    print(f"{given.count} kills, {len(wrong)} findings")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
