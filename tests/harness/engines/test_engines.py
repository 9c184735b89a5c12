import sys
from types import SimpleNamespace

import numpy as np
import pytest
from small_nets import DEFINITION, BentFilter, Faulty, write_net

from alexnet_rosetta import harness
from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.engines.legacy import LegacyCpu
from alexnet_rosetta.harness.engines.protocol import Engine, Session
from alexnet_rosetta.harness.errors import BadInput, EngineUnavailable, NothingCompared, Unsupported
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.values import parameters


def opened(name, folder):
    """A session over the small network, with parameters."""
    network = networks.load(write_net(folder))
    session = engines.find(name).open(network, 1)
    for layer, tensors in parameters.make(network, 0).items():
        for tensor, array in tensors.items():
            session.write(layer, tensor, array)
    return network, session


@pytest.mark.parametrize("name", ["port", "reference"])
def test_built_in_engines_keep_the_protocol(tmp_path, name):
    engine = engines.find(name)
    assert isinstance(engine, Engine)
    assert engine.name == name
    assert engine.probe()[0]
    _, session = opened(name, tmp_path)
    assert isinstance(session, Session)


@pytest.mark.parametrize("name", ["port", "reference"])
def test_the_verbs_of_a_session(tmp_path, name):
    _, session = opened(name, tmp_path)
    random = np.random.default_rng(0)
    x = random.standard_normal((16 * 4 * 4, 8)).astype(np.float32)
    session.forward("fc1", [x])
    assert session.read("fc1", "acts").shape == (12, 8)
    before = session.read("fc1", "weights_inc[0]").copy()
    session.backward("fc1", random.standard_normal((12, 8)).astype(np.float32))
    assert session.read("fc1", "inputs_grad[0]").shape == x.shape
    assert session.read("fc1", "biases_grad").shape == (1, 12)
    assert not np.array_equal(before, session.read("fc1", "weights_inc[0]"))
    weights = session.read("fc1", "weights[0]").copy()
    session.update("fc1")
    assert not np.array_equal(weights, session.read("fc1", "weights[0]"))
    assert all(session.seconds("fc1", step) > 0 for step in ("forward", "backward", "update"))
    session.release("fc1")
    assert session.read("fc1", "weights[0]").shape == (256, 12)
    for tensor in ("acts", "inputs_grad[0]", "nonsense"):
        with pytest.raises(KeyError):
            session.read("fc1", tensor)


def test_values_written_are_copies_for_the_port(tmp_path):
    _, session = opened("port", tmp_path)
    values = np.ones((12, 1), np.float32).T.copy()
    session.write("fc1", "biases", values)
    session.read("fc1", "biases")[:] = 7
    assert (values == 1).all()


@pytest.mark.parametrize("name", ["port", "reference"])
def test_gradients_of_several_consumers_add_up(tmp_path, name):
    _, session = opened(name, tmp_path)
    random = np.random.default_rng(1)
    draw = lambda rows: random.standard_normal((rows, 8)).astype(np.float32)  # noqa: E731
    mask = np.ones((12, 8), bool)
    session.forward("drop1", [draw(12)], mask)
    session.forward("fc2", [draw(12), draw(12)])
    to_drop, to_fc2 = draw(12), draw(10)
    session.backward("fc2", to_fc2)
    session.backward("drop1", to_drop)
    found = session.sum_grad("fc1", [("drop1", 0, to_drop), ("fc2", 1, to_fc2)])
    assert np.array_equal(found, to_drop + session.read("fc2", "inputs_grad[1]"))
    assert np.array_equal(session.read("drop1", "inputs_grad[0]"), to_drop)


@pytest.mark.parametrize(
    "options", [{"input": "photos"}, {"input": "exact"}, {"mode": "propagated", "input": "random"}]
)
@pytest.mark.parametrize("net", ["tiny", "cifar"])
def test_the_port_agrees_with_the_reference(net, options):
    found = harness.compare(net, engines=["port"], batch=8, **options)
    assert found.exit_code == 0
    assert {row.status() for row in found.table} <= {"identical", "equivalent", "inherited"}


def test_other_packages_may_register_engines(monkeypatch):
    point = SimpleNamespace(name="mine", load=lambda: lambda: Faulty(BentFilter))
    monkeypatch.setattr(engines, "entry_points", lambda group: [point] if group == "rosetta.engines" else [])
    assert engines.registered() == [*engines.BUILT_IN, "mine"]
    assert engines.find("mine").session is BentFilter
    with pytest.raises(BadInput, match=r"no engine is called 'cuda'.*mine"):
        engines.find("cuda")


def test_what_an_engine_or_a_session_lacks_is_said(monkeypatch, tmp_path):
    class Bare:
        name = "bare"

        def probe(self):
            return True, "there"

        def open(self, network, threads):
            return object()

    class Derived(Bare, Engine):
        pass

    found = iter([Bare, Derived])
    point = SimpleNamespace(name="bare", load=lambda: next(found))
    monkeypatch.setattr(engines, "entry_points", lambda group: [point])
    reason = (
        "it lacks ignored_quirks, device, quirks, peak, arithmetic, missing: derive it from engines.protocol.Engine"
    )
    assert engines.probe("bare") == (None, reason)
    with pytest.raises(NothingCompared, match=r"bare: its session lacks write, read, .*: derive it from .*Session"):
        harness.compare(write_net(tmp_path), engines=["bare"], input="random", batch=4)


def test_an_engine_that_is_not_built_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "alexnet_rosetta.legacy.network", None)
    available, reason = LegacyCpu().probe()
    assert not available
    assert "not built" in reason
    with pytest.raises(EngineUnavailable, match=r"legacy-cpu is unavailable: not built.*hint"):
        engines.available(["legacy-cpu"])


def test_what_the_legacy_engine_refuses_is_unsupported(tmp_path):
    definition = DEFINITION.replace("filters=16", "filters=12").replace("channels=16", "channels=12")
    session = LegacyCpu().open(networks.load(write_net(tmp_path, definition)), threads=1)
    session.forward("data", [np.ones((192, 4), np.float32)])
    with pytest.raises(Unsupported, match=r"number of filters \(expected a multiple of 16 .*actual 12\)"):
        session.forward("conv1")


COMPARED = {"tiny": (20, 43, 28), "cifar": (14, 20, 16), "zoo": (61, 95, 52), "alexnet": (45, 92, 74)}
"""Rows of the shipped networks: forward, backward, update."""


@pytest.mark.parametrize(
    ("net", "passes"),
    [
        *((net, ("forward", "backward", "update")) for net in ("tiny", "cifar", "zoo")),
        pytest.param("alexnet", ("forward",), marks=pytest.mark.slow),
    ],
)
def test_shipped_engines_refuse_nothing_in_shipped_networks(net, passes):
    found = harness.compare(net, engines=engines.DEFAULT, input="random", batch=2, passes=passes)
    for engine in engines.DEFAULT:
        judged = [(row, row.findings[engine].status) for row in found.table]
        compared = [row for row, status in judged if status in ("identical", "equivalent", "different")]
        assert [sum(row.step == step for row in compared) for step in passes] == list(COMPARED[net][: len(passes)])
        assert len(compared) == len(found.table)
