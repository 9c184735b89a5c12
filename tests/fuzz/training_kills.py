"""Ends `rosetta train` at random moments: what goes on must end in the bits of a training that nobody ended.

    python -m tests.fuzz.training_kills --engine port --count 20 --seed 1

Each trial starts a training of photos with a checkpoint after every data batch, and ends the process with a signal, by
default SIGKILL: in one of two trials at a moment drawn from a whole training's time, else some hundredths of a second
after a line drawn from those of the training, since checkpoints and curves are written there. ``--resume`` is then
called until the training is done; in one of three trials the first of these calls is ended too. Then

* every checkpoint in the folder can be read, whatever the moment;
* the last checkpoint has the weights, momentum, state and log of the uninterrupted training, bit for bit, but for
  seconds;
* no draft of a file is left.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from alexnet_rosetta.harness.data import checkpoints

ROSETTA = [sys.executable, "-m", "alexnet_rosetta.harness", "train"]
ASKED = ("photos", "--batch", "32", "--train-range", "1-2", "--updates", "320", "--test-freq", "1", "--threads", "1")


def start(folder, *words):
    """Start a training; its lines go to ``folder/printed`` and ``folder/said``."""
    with open(folder / "printed", "w") as out, open(folder / "said", "w") as err:
        return subprocess.Popen([*ROSETTA, *map(str, words)], cwd=folder, stdout=out, stderr=err,
                                env=os.environ | {"PYTHONUNBUFFERED": "1"})  # fmt: skip


def finish(folder, *words):
    """Run a training to its end; returns its exit code."""
    return start(folder, *words).wait()


def outcome(run):
    """What the last checkpoints of a folder say, by engine: tensors as bytes, and all that is no time."""
    found = {}
    for engine in run.glob("*/"):
        stored = checkpoints.load(checkpoints.names(engine)[-1])
        state = {name: value for name, value in stored.about["state"].items() if name != "seconds"}
        log = [{name: value for name, value in event.items() if name != "seconds"} for event in stored.about["log"]]
        bits = {name: (array.shape, array.tobytes()) for name, array in stored.tensors.items()}
        found[engine.name] = stored.path.name, bits, state, log
    assert found, f"no checkpoints in {run}"
    return found


def end(process, number, folder, seconds, lines):
    """Send a signal after so many seconds, counted from when so many lines are printed; returns the exit code."""
    while process.poll() is None and (folder / "printed").read_bytes().count(b"\n") < lines:
        time.sleep(0.005)
    time.sleep(seconds)
    process.send_signal(number)
    return process.wait(60)


def moments(rng, seconds, lines):
    """One moment, or two, each as (seconds, number of lines printed before these seconds are counted)."""
    for _ in range(rng.choice((1, 1, 2))):
        yield (rng.uniform(0, seconds), 0) if rng.random() < 0.5 else (rng.random() / 10, rng.randrange(lines))


def trial(asked, whole, moments, number=signal.SIGKILL):
    """End a training at some moments, and let it go on after each.

    Parameters
    ----------
    asked : sequence of str
        What is trained, as the command takes it.
    whole : dict
        The `outcome` of the training that was not ended.
    moments : iterable of (float, int)
    number : Signals

    Returns
    -------
    str
        After how many minibatches the training went on at last, in words.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, told = Path(name), []
        run, words = folder / "run", (*asked, "--out", "run")
        for seconds, lines in moments:
            code = end(start(folder, *words), number, folder, seconds, lines)
            told.append(f"{number.name} {seconds:.3f} s after line {lines}, code {code}")
            said = (folder / "said").read_text()
            assert code in (-number, 0) or (number != signal.SIGKILL and code == 130), f"{told}: {said}"
            assert "Traceback" not in said or "init_import_site" in said, f"{told}: {said}"
            for path in (path for engine in run.glob("*/") for path in checkpoints.names(engine)):
                checkpoints.load(path)
            words = ("--resume", "run") if (run / "run.json").exists() else words
        code = finish(folder, *words)
        assert code == 0, f"{told}, then {code}: {(folder / 'said').read_text()}"
        assert outcome(run) == whole, f"{told}: other bits"
        left = [path for path in run.rglob(".*") if path.name.endswith((".part", ".old"))]
        assert not left, f"{told}: {left} is left"
        went_on = [line for line in (folder / "printed").read_text().splitlines() if line.startswith("goes on after")]
    return went_on[0] if went_on else "began anew"


def reference(folder, asked):
    """(outcome, seconds, lines) of a training that nobody ends."""
    begin = time.perf_counter()
    assert finish(folder, *asked, "--out", "run") == 0, (folder / "said").read_text()
    seconds = time.perf_counter() - begin
    return outcome(folder / "run"), seconds, (folder / "printed").read_bytes().count(b"\n")


def main():
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="port")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--signal", default="SIGKILL", choices=("SIGKILL", "SIGTERM", "SIGINT"))
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell in the background ignored it
    asked, number = (*ASKED, "--engine", given.engine), signal.Signals[given.signal]
    outcomes, wrong = Counter(), 0
    with tempfile.TemporaryDirectory() as name:
        whole, *size = reference(Path(name), asked)
        for i in range(given.count):
            try:
                what = trial(asked, whole, moments(random.Random(f"{given.seed} {i}"), *size), number)
                outcomes[what] += 1
                print(f"{given.engine} {i}: the same bits; {what}", flush=True)
            except AssertionError as error:
                wrong += 1
                print(f"{given.engine} {i}: {error}", flush=True)
    print(f"{given.engine}, {given.signal}: {given.count - wrong} of {given.count} end in the same bits; "
          + json.dumps(outcomes))  # fmt: skip
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
