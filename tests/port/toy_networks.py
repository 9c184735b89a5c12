"""Small networks for the tests of whole networks."""

from pathlib import Path

import numpy as np
import pytest

from alexnet_rosetta import harness
from alexnet_rosetta.harness.network.net import Net, lines
from alexnet_rosetta.port import Network, load_network, set_threads
from alexnet_rosetta.port.weight_layers import Weighted

NETS = Path(harness.__file__).parent / "network" / "shipped"
LEARNING = {"epsW": ".5", "epsB": ".25", "momW": ".5", "momB": ".5", "wc": ".25"}
RATES = lines(LEARNING)
CHAIN, CHAIN_PARAMS = (
    Net(12)
    .add("labels", "data", dataIdx=1)
    .add("low", "fc", "data", LEARNING, outputs=8, initW=".5", neuron="tanh[1,1]")
    .add("top", "fc", "low", LEARNING, outputs=4, initW=".5")
    .softmax_cost("top", "cost", coeff=1)
    .files()
)


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


EPSILON = np.finfo(np.float64).eps


def assert_gradients(network, data, step=1e-5, pieces=4):
    """Parameter gradients of a gc pass against central differences of the total cost, at two steps.

    The difference of the two steps bounds the truncation error, ε·cost/step the rounding error; together they must
    stay below a tenth of the gradient, or the comparison would accept anything.
    """
    network.forward(data, "gc")
    network.backward()
    rng = np.random.default_rng(4)
    layers = [layer for layer in network.layers.values() if isinstance(layer, Weighted)]
    values_of = [values for layer in layers for values in (*layer.weights, layer.biases)]
    grads_of = [grads.copy() for layer in layers for grads in (*layer.weights_grad, layer.biases_grad)]
    for values, grads in zip(values_of, grads_of, strict=True):
        places = [tuple(place) for place in rng.integers(0, values.shape, (pieces, 2))]
        wide, narrow = (
            np.array([slope(network, data, values, place, h) for place in places]) for h in (step, step / 2)
        )
        bound = np.abs(wide - narrow) + 64 * EPSILON * network.total_cost / step
        found = np.array([grads[place] for place in places])
        assert np.linalg.norm(bound) < 0.1 * np.linalg.norm(found)
        assert np.all(np.abs(found + narrow) <= bound)  # gradients are those of minus the cost


def slope(network, data, values, place, step):
    """Central difference of the total cost."""
    kept, ends = values[place], []
    for value in (kept + step, kept - step):
        values[place] = value
        network.forward(data, "gc")
        ends.append(network.total_cost)
    values[place] = kept
    return (ends[0] - ends[1]) / (2 * step)
