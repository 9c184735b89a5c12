"""Edits a kernel, or a file of the port, while `rosetta watch` looks at a layer: how long until there is a verdict?

    python -m tests.fuzz.watch_edits --engine legacy-cpu --edits 20
    python -m tests.fuzz.watch_edits --engine port --edits 20

Every other edit doubles what the layer hands out, and the next one takes that back, in other words each time, so that
no cache of a compiler knows them. Each verdict has to be that of the file as it was saved last. Exit code 0: all
verdicts are right, and in time: a kernel 15 s each, the port 2 s at the median. The file is put back whatever
ends the trial; nobody else may edit or build the tree meanwhile.
"""

import argparse
import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
EDITS = {
    "legacy-cpu": (
        "legacy/kernels/filter_acts.cuh",
        "scaleOutputs);\n    }\n}",
        "(%d - %d) * scaleOutputs);\n    }\n}",
    ),
    "port": ("port/conv.py", "    return out\n", "    out *= %d - %d\n    return out\n"),
}
"""By engine: a file, the first place in it, and what it becomes: times the difference of two numbers."""
LIMIT = {"legacy-cpu": (max, 15.0), "port": (median, 2.0)}
PATIENCE = 600.0


def trial(engine: str, net: str, layer: str, batch: int, edits: int) -> list[float]:
    """Seconds from saving to the verdict, of each edit; an AssertionError where a verdict is not that of the file."""
    name, right, edited = EDITS[engine]
    path = ROOT / name
    before = path.read_text(encoding="utf-8")
    assert right in before, f"{name} has changed: this trial does not know where to edit"
    command = [sys.executable, "-m", "alexnet_rosetta.harness", "watch", net, layer, "--engines", engine, "--batch",
               str(batch), "--threads", "1", "--times", str(edits + 1)]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line.rstrip()) for line in process.stdout], daemon=True).start()
    found = []
    try:
        said = until(lines, r" backward ")
        for k in range(edits + 1):  # the last one, which does not count, puts right what is built from the file
            factor, number = 2 - k % 2, int(time.time()) % 10**6 + k
            text = before.replace(right, edited % (number + factor, number), 1) if k < edits else before
            path.write_text(text, encoding="utf-8")
            said = until(lines, r"s after it was saved$|^!.*(error|built|ended)")
            found.append(float(said[-1].partition(" ")[0]) if said[-1][:1] != "!" else float("nan"))
            differs = any(re.match(r"! .*forward.*acts", line) for line in said)
            print(f"edit {k + 1}: {found[-1]:.1f} s, {'different' if differs else 'agrees'}", flush=True)
            assert differs == (k % 2 == 0 and k < edits), "\n".join(said)
    finally:
        path.write_text(before, encoding="utf-8")
        process.kill()
        process.wait()
    return found[:-1]


def until(lines: queue.Queue, pattern: str) -> list[str]:
    """Lines up to the first one in which the pattern is found."""
    said = []
    while not said or not re.search(pattern, said[-1]):
        said.append(lines.get(timeout=PATIENCE))
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="legacy-cpu", choices=EDITS)
    parser.add_argument("--net", default="alexnet")
    parser.add_argument("--layer", default="conv2a")
    parser.add_argument("--batch", default=32, type=int)
    parser.add_argument("--edits", default=20, type=int)
    given = parser.parse_args()
    found = trial(**vars(given))
    middle, limit = LIMIT[given.engine]
    print(f"{len(found)} edits: median {median(found):.1f} s, largest {max(found):.1f} s; at most {limit:g} s wanted")
    return 0 if middle(found) <= limit else 1


if __name__ == "__main__":
    sys.exit(main())
