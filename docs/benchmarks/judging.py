"""Bytes of an engine's data that are judged per second on one core: prints a line for each kind of tensor."""

import time

import numpy as np

from alexnet_rosetta.harness.judging.verdict import Verdict
from alexnet_rosetta.harness.reference import Bounded

KINDS = {"convolution, batch 128": (40000, 128), "convolution, batch 16": (40000, 16), "fc weights": (9216, 1024)}


def seconds(reference, actual):
    """CPU seconds of one judgement, the least of five."""
    found = []
    for _ in range(5):
        verdict, begin = Verdict(actual.shape), time.process_time()
        verdict.add(reference, actual)
        found.append(time.process_time() - begin)
    return min(found)


def report(kind, reference, actual):
    taken = seconds(reference, actual)
    print(f"{kind:24} {actual.nbytes / taken / 1e9:5.2f} GB/s, {taken / actual.size * 1e9:5.2f} ns an element")


random = np.random.default_rng(0)
for kind, shape in KINDS.items():
    value = random.standard_normal(shape)
    actual = (value * (1 + 1e-7 * random.standard_normal(shape))).astype(np.float32)
    bounded = Bounded(value, 3 * np.abs(value).astype(np.float32), random.integers(1, 100, (shape[0], 1)))
    report(kind, bounded, np.asfortranarray(actual) if kind == "fc weights" else actual)
report("a copy", Bounded(actual.copy()), actual)
