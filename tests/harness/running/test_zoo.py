"""Every layer type, neuron and cost at once: engines, the reference as one of them, against the reference."""

import numpy as np
import pytest

from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.engines.wrapped import AsMeant
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.reference import chunks
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows
from alexnet_rosetta.port.config import grammar
from alexnet_rosetta.port.config.layer_types import LAYER_TYPES

MANY = 96
"""Cases with which a row of patches is more than one piece."""


def zoo(engine, **options):
    return prepare(Options("zoo", engines=(engine,), **{"batch": 8, **options}))


def test_it_has_everything_that_the_port_knows():
    layers = networks.load("zoo").layers
    assert {layer.type for layer in layers} == set(LAYER_TYPES)
    assert {layer["neuron"]["type"] for layer in layers if layer.type == "neuron"} == set(grammar.NEURONS)
    pools = next(key.one_of for key in LAYER_TYPES["pool"].keys if key.name == "pool")
    assert {layer["pool"] for layer in layers if layer.type == "pool"} == set(pools)
    schedules = {layer[key]["type"] for layer in layers for key in ("schedW", "schedB") if key in layer.keys}
    assert schedules == set(grammar.SCHEDULES)
    assert {layer["blocked"] for layer in layers if layer.type == "cmrnorm"} == {False, True}
    for key in ("groups", "randSparse", "weightSource", "wball", "wcNormMax", "overSample"):
        assert len({value for layer in layers for value in layer.get(key, ())}) > 1, key
    for key in ("superEps", "enable", "pow"):
        assert len({layer[key] for layer in layers if key in layer.keys}) > 1, key


def test_what_it_has_is_at_work():
    """Sizes at which code takes its other branch, constraints that bind some filters, pictures that are resized."""
    work = zoo("reference")
    layers = work.network.graph.layers
    assert sum(layers["treefc1"]["numInputs"]) > 128
    assert not {layer["pow"] for layer in layers.values() if "pow" in layer.keys} <= {0.5, 0.75, 1}
    assert layers["conv2"]["channels"][0] // layers["conv2"]["groups"][0] < 16  # image gradients by patches
    assert layers["conv2"]["modulesX"] * MANY > 512  # in several pieces
    for name, i, bound in (("fc1", 0, "wballNormed"), ("local1", 0, "wballNormed"), ("conv2", 1, "wcNormMax")):
        layer, weights = layers[name], work.values[name][f"weights[{i}]"].astype(np.float64)
        weights = weights.reshape(layer["modules"] if name == "local1" else 1, -1, weights.shape[1])
        weights -= weights.mean(1, keepdims=True) if bound == "wcNormMax" else 0
        sizes = np.linalg.norm(weights, axis=1) / (weights.shape[1] if bound == "wcNormMax" else 1)
        assert 0.1 < (sizes > layer[bound][i]).mean() < 0.9, name
    session, pictures = work.open_sessions()["reference"], work.inputs.data["data"]
    session.forward("rescaled1", [pictures], work.mask(layers["rescaled1"]))
    assert not np.isin(session.read("rescaled1", "acts"), pictures).all()  # a crop would hold the same numbers
    graph = zoo("reference", quantise=True).network.graph
    for quantiser in ("quantF", "quantB"):
        crossing = {x for x, readers in graph.consumers.items() for y, _ in readers if graph.crosses(x, y, quantiser)}
        assert crossing == {"conv2_neuron", "local1_neuron"}


@pytest.mark.parametrize("engine", ["reference", "port"])
@pytest.mark.parametrize("input", ["random", "exact"])
@pytest.mark.parametrize("chunk", [chunks.CHUNK_BYTES, 1])
def test_no_tensor_is_different(monkeypatch, engine, input, chunk):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", chunk)
    for row in rows(zoo(engine, input=input), "isolated"):
        assert row.findings[engine].status in ("identical", "equivalent"), (row.layer, row.step, row.tensor)


@pytest.mark.parametrize("engine", engines.DEFAULT)
@pytest.mark.parametrize("options", [{"progress": 0.37, "update_every": 3}, {"quantise": True}, {"batch": MANY}])
def test_nor_is_one_at_another_setting(engine, options):
    work = zoo(engine, input="random", **options)
    work.engines = [AsMeant(engines.find(engine))]
    for row in rows(work, "isolated"):
        assert row.findings[engine].status in ("identical", "equivalent"), (row.layer, row.step, row.tensor)


@pytest.mark.parametrize("engine", ["reference", "port"])
def test_all_differences_of_engines_that_feed_themselves_are_inherited(engine):
    for row in rows(zoo(engine, input="random"), "propagated"):
        assert set(row.origin.values()) <= {"inherited"}, (row.layer, row.step, row.tensor)
