"""Engines that hand out something else than they computed, and are named for it."""

import pytest
from click.testing import CliRunner

from alexnet_rosetta.harness.cli.commands import cli
from alexnet_rosetta.harness.engines import BUILT_IN

HONEST = """
import numpy as np
from alexnet_rosetta.harness.engines.port import Port
from alexnet_rosetta.harness.errors import Unsupported

class Planted(Port):
    name = "planted"
    def open(self, network, threads):
        session = super().open(network, threads)
        plant(session)
        return session

"""
PLANTS = {
    "none": "def plant(session): pass",
    "one buffer": """
def plant(session):
    read, buffer = session.read, np.zeros(10**6, np.float32)
    def from_buffer(layer, tensor):
        x = read(layer, tensor)
        if tensor != "acts": return x
        held = buffer[:x.size].reshape(x.shape)
        held[:] = x
        return held
    session.read = from_buffer
""",
    "changes": """
def plant(session):
    read, forward, held = session.read, session.forward, []
    def kept(layer, tensor):
        held.append(np.array(read(layer, tensor)))
        return held[-1]
    def later(layer, *a, **k):
        forward(layer, *a, **k)
        if layer == "pool1" and held: held[0][0] += 1
    session.read, session.forward = kept, later
""",
    "read again": """
def plant(session):
    read, times = session.read, []
    def other(layer, tensor):
        times.append((layer, tensor))
        x = read(layer, tensor)
        return x + np.float32(times.count((layer, tensor)) > 1) if layer == "pool1" else x
    session.read = other
""",
    "being read": """
def plant(session):
    read, forward, seen = session.read, session.forward, set()
    def noting(layer, tensor):
        seen.add(layer)
        return read(layer, tensor)
    def forgetful(layer, inputs=None, mask=None):
        forward(layer, inputs, mask)
        if layer == "pool1" and "conv1" not in seen: read("pool1", "acts")[:] = 0
    session.read, session.forward = noting, forgetful
""",
    "random": """
def plant(session):
    read, noise = session.read, np.float32(np.random.random())
    session.read = lambda layer, tensor: read(layer, tensor) + noise if layer == "pool1" else read(layer, tensor)
""",
    "no backward": """
def plant(session):
    def none(*a, **k): raise Unsupported("no gradients")
    session.backward = none
""",
    "lacking": """
def plant(session):
    def none(*a, **k): raise Unsupported("nothing at all")
    session.forward = none
""",
}
SAID = {
    "none": "are handed out as they were computed",
    "one buffer": "acts lies in one buffer with ",
    "changes": "data acts changed after it had been handed over",
    "read again": "pool1 acts is another one when it is read again",
    "being read": "pool1 acts depends on being read",
    "random": "pool1 acts is another one in a second run",
    "no backward": "- the backward pass ends early, nothing behind that step is read: no gradients\n16 of 16 tensors",
    "lacking": "no tensor of cifar was read",
}


@pytest.mark.parametrize("plant", PLANTS)
def test_engines_that_hand_out_something_else_are_named(tmp_path, plant):
    (tmp_path / "planted.py").write_text(HONEST + PLANTS[plant])
    found = CliRunner().invoke(cli, ["check", "capture", str(tmp_path / "planted.py"), "cifar", "--batch", "2"])
    assert SAID[plant] in found.output
    assert found.exit_code == {"none": 0, "lacking": 3, "no backward": 3}.get(plant, 1), found.output


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name in ("legacy-cpu", "port", "reference")])
def test_our_own_engines_do_not(name):
    found = CliRunner().invoke(cli, ["check", "capture", name, "tiny"])
    assert found.exit_code == 0, found.output
