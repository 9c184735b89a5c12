"""Every layer type, neuron and cost at once: the reference as an engine, and the port, against the reference."""

import pytest

from alexnet_rosetta.harness import stream
from alexnet_rosetta.harness.run import Options, prepare, rows


def zoo(engine, **options):
    return prepare(Options("zoo", engines=(engine,), batch=8, **options))


@pytest.mark.parametrize("engine", ["reference", "port"])
@pytest.mark.parametrize("input", ["random", "exact"])
@pytest.mark.parametrize("chunk", [stream.CHUNK_BYTES, 1])
def test_no_tensor_is_different(monkeypatch, engine, input, chunk):
    monkeypatch.setattr(stream, "CHUNK_BYTES", chunk)
    for row in rows(zoo(engine, input=input), "isolated"):
        assert row.findings[engine].status in ("identical", "equivalent"), (row.layer, row.step, row.tensor)


@pytest.mark.parametrize("engine", ["reference", "port"])
def test_all_differences_of_engines_that_feed_themselves_are_inherited(engine):
    for row in rows(zoo(engine, input="random"), "propagated"):
        assert set(row.origin.values()) <= {"inherited"}, (row.layer, row.step, row.tensor)
