"""The fuzzers of archives and records for some seconds each, what they found, and that they find what is there."""

import html
import io
import json
import os
import zipfile
from contextlib import nullcontext
from html.parser import HTMLParser

import numpy as np
import pytest

from alexnet_rosetta.harness import machine
from alexnet_rosetta.harness.reporting import record, report
from alexnet_rosetta.harness.values.archive import Archive

from . import archives, records, runner

SECONDS = os.environ.get("FUZZ_SECONDS", 5)


@pytest.mark.slow
@pytest.mark.parametrize("fuzzer", ["archives", "records"])
def test_nothing_is_found(fuzzer):
    status, printed = runner.command(fuzzer, "--seconds", SECONDS, "--seed", 0)
    assert status == 0, printed


def test_an_error_that_is_not_documented_is_found(monkeypatch):
    monkeypatch.setattr(Archive, "_reading", lambda self: nullcontext())
    assert "BadZipFile" in runner.run(archives.trial, seed=1, count=100, most=1).findings[0]
    for module in (record, report):
        monkeypatch.setattr(module, "reading", lambda folder: nullcontext())
    with pytest.raises(KeyError):
        records.check("record.json", b'{"format": "alexnet-rosetta record", "version": 1}', False)


def test_memory_that_a_file_takes_is_found(monkeypatch):
    """A reader that unpacks everything before it looks at the names."""
    real = Archive.__init__

    def greedy(self, path, hint):
        real(self, path, hint)
        self.load(self.headers, 2**40)

    monkeypatch.setattr(Archive, "__init__", greedy)
    with pytest.raises(AssertionError, match="bytes of memory"):
        archives.check("input", archives.zeros("unwanted", 300))


@pytest.mark.parametrize("markup", records.MARKUP)
def test_markup_is_found(monkeypatch, markup):
    about = json.loads(records.sound()["record.json"])
    about["rows"][0]["layer"] = markup
    data = json.dumps(about).encode()
    assert records.check("record.json", data, True) == "accepted"
    monkeypatch.setattr(records.Tags, "feed", lambda self, text: HTMLParser.feed(self, html.unescape(text)))
    with pytest.raises(AssertionError, match="markup"):
        records.check("record.json", data, False)


def with_header(text):
    """An archive with the input `data` behind a header of one's own."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.npy", archives.header(text, rest=bytes(100)))
    return file.getvalue()


FOUND = {
    "cut": lambda data: data[:500],
    "no data": lambda data: b"",
    "a bit": lambda data: data[:300] + bytes([data[300] ^ 4]) + data[301:],
    "no npz": lambda data: archives.npy(np.zeros(3)),
    "python 2": lambda data: with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (192, 4L)}"),
    "10^18": lambda data: with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**18,)}"),
    "deep": lambda data: with_header("(" * 9000),
}


@pytest.mark.filterwarnings("ignore:Reading .* required additional header parsing")
@pytest.mark.parametrize("role", ["input", "weights", "record"])
@pytest.mark.parametrize("damage", FOUND)
def test_damaged_archives_are_refused(role, damage):
    file = io.BytesIO()
    np.savez(file, **archives.sound(role))
    assert archives.check(role, file.getvalue()) == "accepted"
    assert archives.check(role, FOUND[damage](file.getvalue())) == "refused"


@pytest.mark.parametrize("role", ["input", "weights", "record"])
def test_bombs_are_refused_before_they_are_unpacked(role):
    wanted = next(iter(archives.sound(role)))
    assert archives.check(role, archives.zeros(wanted, 300)) == "refused"


def test_what_a_record_does_not_show_is_not_unpacked():
    assert archives.check("record", archives.zeros("unwanted", 300)) == "accepted"


def test_the_peak_of_memory_is_measured():
    machine.reset_peak_memory()
    before = machine.peak_memory()
    block = np.ones(2 * archives.TAKEN, np.uint8)
    assert machine.peak_memory() - before > archives.TAKEN
    del block
