"""Small networks for the tests of whole networks."""

from pathlib import Path

import numpy as np
import pytest

from alexnet_rosetta import harness
from alexnet_rosetta.port import Network, load_network, set_threads

NETS = Path(harness.__file__).parent / "network" / "shipped"
RATES = "epsW=.5\nepsB=.25\nmomW=.5\nmomB=.5\nwc=.25\n"
CHAIN = """
[data]
type=data
dataIdx=0
dims=12
[labels]
type=data
dataIdx=1
[low]
type=fc
inputs=data
outputs=8
initW=.5
neuron=tanh[1,1]
[top]
type=fc
inputs=low
outputs=4
initW=.5
[probs]
type=softmax
inputs=top
[cost]
type=cost.logreg
inputs=labels,probs
"""
CHAIN_PARAMS = f"[low]\n{RATES}[top]\n{RATES}[cost]\ncoeff=1\n"


@pytest.fixture(autouse=True)
def one_thread():
    """Toy layers gain nothing from threads, and lose much where other programs hold the processors."""
    set_threads(1)
    yield
    set_threads(None)


def shipped(net, dtype=np.float32, files=None):
    """A shipped network, or one made from the texts of its files, with drawn parameters."""
    network = Network(load_network(*(files or (NETS / f"{net}.cfg", NETS / f"{net}-params.cfg"))), dtype)
    network.initialise(np.random.default_rng(1))
    return network


def build(text=CHAIN, params=CHAIN_PARAMS, dtype=np.float64):
    """A network from text, with drawn parameters."""
    network = Network(load_network(text, params), dtype)
    network.initialise(np.random.default_rng(2))
    return network


def batch(network, images=3, scale=1.0):
    """Random data and labels."""
    rng = np.random.default_rng(3)
    classes = min(layer.spec.outputs for layer in network.layers.values() if layer.spec.type == "softmax")
    data = scale * rng.standard_normal((network.layers["data"].spec.outputs, images))
    return {"data": data, "labels": rng.integers(0, classes, (1, images)).astype(np.float64)}
