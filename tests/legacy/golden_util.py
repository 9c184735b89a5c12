"""Recorded outputs of the historical kernels (tests/golden): calling them, comparing with them.

What the files are: tests/golden/PROVENANCE.md.
"""

import json
from pathlib import Path

import numpy as np
from alexnet_rosetta.legacy import _call, cudaconv, isa, launch_log

GOLDEN = Path(__file__).parents[1] / "golden"
U = 2.0**-24
GENERATIONS = {"alexnet": 2012, "cc2": 2014}


def modules():
    """Names of the instruction sets to test: strict, and the best of this build if it is another."""
    strict, best = isa.load("strict"), isa.load()
    return ["strict"] if best is strict else ["strict", best.build_info()["isa"]]


def use(monkeypatch, name):
    """Run entry points on the module of an instruction set for the rest of a test."""
    module = isa.load(name)
    monkeypatch.setattr(_call, "_module", lambda: module)


def cases(stem):
    """(arrays, description) of every case of a file; arrays by name, `in_...` and `out_...`."""
    with np.load(GOLDEN / f"{stem}.npz", allow_pickle=False) as data:
        arrays = dict(data.items())
    for k, case in enumerate(json.loads(str(arrays["meta"]))["cases"]):
        prefix = f"{k}/"
        yield {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}, case


def operand(array, description):
    """An input as the original stored it: column-major where it was, a view where its rows were strided."""
    if description.get("trans"):
        return np.asfortranarray(array)
    if description.get("stride"):
        rows, cols = array.shape
        wide = np.full((rows, description["stride"]), np.nan, np.float32)
        wide[:, :cols] = array
        return wide[:, :cols]
    return array


def run(stem, arrays, case):
    """Call the entry point of a case; ({output name: array}, launch records)."""
    entry, _, option = case["entry"].partition(":")
    words = {} if not option else {"pooler": option} if "Pool" in entry else {"overload": option}
    given = {name: operand(arrays[f"in_{name}"], d) for name, d in case["inputs"].items() if not d.get("unset")}
    generation = GENERATIONS.get(stem.rpartition("_")[2], 2011)
    with launch_log() as log:
        results = getattr(cudaconv, entry)(**given, **case["scalars"], **words, generation=generation)
    results = results if isinstance(results, tuple) else (results,)
    return dict(zip(case["outputs"], results, strict=True)), log


def launches(log):
    """Launch records as the files have them: without the matrix primitives, which were not recorded."""
    primitives = ("unary::", "binary::", "ternary::", "agg::")
    return [(r["kernel"], r["grid"], r["block"], r["shared_bytes"]) for r in log
            if not any(word in r["kernel"] for word in primitives)]


def recorded_launches(case):
    """The launches of a case."""
    return [(r["kernel"], tuple(r["grid"]), tuple(r["block"]), r["shared_bytes"]) for r in case["launches"]]


def same_bits(actual, expected):
    """Element by element: the same bits, with +0 = -0 and any NaN = any NaN."""
    return (actual == expected) | (np.isnan(actual) & np.isnan(expected))


def within(actual, recorded, terms, magnitude):
    """Element by element: within twice 8 sqrt(terms) u magnitude of the recorded value; non-finite alike."""
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(actual.astype(float) - recorded) <= 2 * 8 * np.sqrt(terms) * U * magnitude
    return np.where(np.isfinite(recorded), near, same_bits(actual, recorded))
