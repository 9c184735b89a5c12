"""How many parts a second a sweep runs, beside as many plain processes that have half of the parts each, in turn.

    python docs/benchmarks/sweep.py docs/benchmarks/sweep.toml --workers 2 --turns 3

A plain process has imported the program before its time begins, takes every second part (of two), runs them one after
the other on one thread, and stores nothing. The sweep's seconds are counted from its first submission to the last
result that is stored; to start the workers and to write the page takes some seconds more, whatever the number of parts.
Needs the extra ``sweep``.
"""

import argparse
import multiprocessing
import os
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

from alexnet_rosetta.harness.sweeps import part, run, spec


def alone(parts, barrier):
    """Run parts, from when all processes are ready."""
    part.run(parts[0])
    barrier.wait()
    for one in parts:
        part.run(one)
    barrier.wait()


def side_by_side(parts, workers):
    """Seconds that plain processes need."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers + 1)
    processes = [context.Process(target=alone, args=(parts[k::workers], barrier)) for k in range(workers)]
    for process in processes:
        process.start()
    barrier.wait()
    began = perf_counter()
    barrier.wait()
    took = perf_counter() - began
    for process in processes:
        process.join()
    return took


def swept(parts, workers):
    """(seconds from the first submission to the last stored result, seconds with the start of the workers)."""
    with TemporaryDirectory() as folder:
        began = perf_counter()
        with run.cluster(None, workers, None) as (client, slots, limit):
            client.gather(client.map(part.run, parts[:1] * workers, pure=False))  # what a worker imports
            ready = perf_counter()
            run.run(parts, Path(folder), client, slots, limit, lambda result: None)
            return perf_counter() - ready, perf_counter() - began


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("spec", type=Path)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--turns", type=int, default=3)
    asked = options.parse_args()
    _, parts = spec.read(asked.spec)
    ratios = []
    for turn in range(asked.turns):
        plain, (own, all_) = side_by_side(parts, asked.workers), swept(parts, asked.workers)
        ratios.append(plain / own)
        print(f"turn {turn + 1}: {len(parts)} parts, {asked.workers} plain processes {plain:.1f} s, sweep {own:.1f} s "
              f"({all_:.1f} s with its start): {plain / own:.2f} of the parts a second", flush=True)  # fmt: skip
    print(f"median {median(ratios):.2f}")


if __name__ == "__main__":
    main()
