"""The fuzzer of entry points for some seconds, and that it can fail.

What it found is in tests/legacy/test_hostile_calls.py. It runs in a process of its own: a fork of one whose OpenMP has
threads would run on one.
"""

import re

import numpy as np
import pytest

from . import entry_points, runner

SECONDS = 8


def test_bent_calls():
    status, printed = runner.command("entry_points", "--seconds", SECONDS, "--seed", 0)
    assert status == 0, printed
    for outcome in ("accepted", "refused"):
        assert int(re.search(rf"(\d+) {outcome}", printed)[1]) > 10


def writes(array):
    """Spoils an argument."""
    array[...] = 7


def reads_beyond(array):
    """A result of what lies behind an argument."""
    return np.lib.stride_tricks.as_strided(array, (1, 2), (4, array.nbytes)).copy()


@pytest.mark.skipif(runner.sanitized(), reason="the sanitizer itself would end it")
@pytest.mark.parametrize(("wrong", "found"), [(writes, "was written to"), (reads_beyond, "lies around")])
def test_the_fuzzer_finds_what_is_wrong(monkeypatch, wrong, found):
    def call(entry, arrays, keys):
        first = next((a for a in arrays.values() if isinstance(a, np.ndarray) and a.size and a.flags.writeable), None)
        result = None if first is None or first.dtype != np.float32 else wrong(first)
        return np.zeros(1) if result is None else result

    monkeypatch.setattr(entry_points, "call", call)
    assert found in runner.run(entry_points.trial, seed=0, count=50).findings[0]
