"""Every layer type, neuron and cost at once: the reference as an engine, and the port, against the reference."""

import pytest

from alexnet_rosetta.harness import networks, stream
from alexnet_rosetta.harness.run import Options, prepare, rows
from alexnet_rosetta.port import grammar
from alexnet_rosetta.port.layer_types import LAYER_TYPES


def zoo(engine, **options):
    return prepare(Options("zoo", engines=(engine,), batch=8, **options))


def test_it_has_everything_that_the_port_knows():
    layers = networks.load("zoo").layers
    assert {layer.type for layer in layers} == set(LAYER_TYPES)
    assert {layer["neuron"]["type"] for layer in layers if layer.type == "neuron"} == set(grammar.NEURONS)
    pools = next(key.one_of for key in LAYER_TYPES["pool"].keys if key.name == "pool")
    assert {layer["pool"] for layer in layers if layer.type == "pool"} == set(pools)
    schedules = {layer[key]["type"] for layer in layers for key in ("schedW", "schedB") if key in layer.keys}
    assert schedules == set(grammar.SCHEDULES)
    assert {layer["blocked"] for layer in layers if layer.type == "cmrnorm"} == {False, True}
    for key in ("groups", "randSparse", "weightSource", "wball", "wcNormMax"):
        assert len({value for layer in layers for value in layer.get(key, ())}) > 1, key


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
