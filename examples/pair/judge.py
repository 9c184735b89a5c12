"""Judges two pairs that are no network, writes a report and JUnit XML into ./verdict, and ends with the exit code."""

import sys

import numpy as np

from alexnet_rosetta.testing import compare_functions
from harness import heat, transform

random = np.random.default_rng(0)
grid = random.random((200, 300), np.float32)
signal = (random.standard_normal((8, 1024)) + 1j * random.standard_normal((8, 1024))).astype(np.complex64)

found = compare_functions(
    heat.old, heat.new, [grid, 0.2], reference=heat.new, model=heat.model, name="heat", axes=("y", "x")
)
found.table += compare_functions(
    transform.old, transform.new, [signal], reference=transform.new, model=transform.model, name="transform"
).table
for row in found.table:
    for (
        who,
        finding,
    ) in row.findings.items():  # share: of the bound that was used; reason: what differs, and a likely cause
        print(f"{row.layer} {who}: {finding.status}, {finding.share:.2g} of what rounding allows", finding.reason)
found.write("verdict", "a stencil and a transform", "python judge.py")
print(found.sentence)
sys.exit(found.exit_code)
