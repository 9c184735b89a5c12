"""The fuzzer of pickles for some seconds, and that it finds what is there."""

import os
import pickle
import shutil

import numpy as np
import pytest

from alexnet_rosetta.harness.data import pickles as reader

from . import pickles, runner


@pytest.mark.slow
def test_nothing_is_found():
    status, printed = runner.command("pickles", "--seconds", os.environ.get("FUZZ_SECONDS", 5), "--seed", 0)
    assert status == 0, printed


@pytest.mark.parametrize("role", ["data", "checkpoint"])
def test_sound_files_are_accepted(role):
    names = ("batches.meta", "data_batch_1") if role == "data" else ("1.2",)
    for files in pickles.sound()[role]:
        assert pickles.check(role, dict(zip(names, files, strict=False))) == "accepted"


class Mine:
    def __reduce__(self):
        return os.mkdir, (pickles.canary(),)


def test_what_runs_is_found(monkeypatch):
    """With the reader of the standard library."""
    pickles.warm()
    monkeypatch.setattr(reader, "loads", lambda data: pickle.loads(data, encoding="latin1"))
    with pytest.raises(AssertionError, match="something in the file was run"):
        pickles.check("checkpoint", {"1.2": pickle.dumps(Mine(), 2)})
    assert os.path.isdir(pickles.canary())
    os.rmdir(pickles.canary())
    assert runner.run(pickles.trial, seed=1, count=100, most=3).findings
    shutil.rmtree(pickles.folder())  # the child made a canary there too
    for made in (pickles.folder, pickles.warm, pickles.sound):
        made.cache_clear()


def test_memory_is_found(monkeypatch):
    real = reader.loads
    monkeypatch.setattr(reader, "loads", lambda data: (np.ones(2 * pickles.TAKEN, np.uint8), real(data))[1])
    with pytest.raises(AssertionError, match="bytes of memory"):
        pickles.check("checkpoint", {"1.2": pickles.sound()["checkpoint"][0][0]})
