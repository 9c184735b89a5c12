"""The shipped network with every layer type, neuron and cost."""

import numpy as np
import pytest
from toy_networks import NETS, assert_gradients, one_thread, shipped  # noqa: F401

from alexnet_rosetta.port import load_network
from alexnet_rosetta.port.config.grammar import NEURONS
from alexnet_rosetta.port.config.layer_types import LAYER_TYPES
from alexnet_rosetta.port.layers import LAYERS

SPEC = load_network(NETS / "zoo.cfg", NETS / "zoo-params.cfg")


def batch(images=8):
    """Pixels between 0 and 1, and labels."""
    rng = np.random.default_rng(3)
    return {"data": rng.random((768, images)), "labels": rng.integers(0, 12, (1, images)).astype(float)}


def test_it_has_everything_and_no_warnings():
    assert SPEC.warnings == ()
    assert {layer.type for layer in SPEC} == {*LAYER_TYPES} == {*LAYERS}
    assert {layer["neuron"]["type"] for layer in SPEC if layer.type == "neuron"} == {*NEURONS}
    assert {layer["pool"] for layer in SPEC if layer.type == "pool"} == {"max", "maxabs", "avg", "rand"}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forward_backward_update(dtype):
    network = shipped("zoo", dtype)
    before = [array.copy() for layer in network.weighted for array in (*layer.weights, layer.biases)]
    for _ in range(2):
        costs = network.forward(batch())
        network.backward()
        network.update()
    assert {name for name in network.layers if network.layers[name].spec.type.startswith("cost.")} == {*costs}
    assert all(np.all(np.isfinite(cost)) for cost in costs.values())
    after = [array for layer in network.weighted for array in (*layer.weights, layer.biases)]
    for old, new in zip(before, after, strict=True):
        assert new.dtype == dtype
        assert np.all(np.isfinite(new))
        assert np.any(old != new)
    for name in network.graph.wants_gradient - network.graph.fused.keys():
        if not network.layers[name].spec.type.startswith("cost."):
            assert np.any(network.layers[name].acts_grad)


@pytest.mark.parametrize("pass_type", ["test", "features", "first_view", "middle_view", "last_view"])
def test_other_passes(pass_type):
    network = shipped("zoo")
    network.forward(batch(), "first_view")
    costs = network.forward(batch(), pass_type)
    assert ("logreg1" in costs) == (pass_type in ("test", "features", "last_view"))


def noise(network, images):
    """A tape: everything random in a training pass."""
    rng = np.random.default_rng(4)
    shape = {name: (layer.spec.outputs, images) for name, layer in network.layers.items()}
    return {
        "rescaled1": rng.random(4),
        "conv3_neuron": rng.standard_normal(shape["conv3_neuron"]).astype(np.float32),
        "pool4": rng.random(shape["pool4"], np.float32),
        "hs1": rng.random(shape["hs1"]) < 0.5,
    }


def test_given_noise_decides_everything():
    one, two = shipped("zoo"), shipped("zoo")
    two.rng.random(7)  # another state of the generator
    tape = noise(one, 8)
    for network in (one, two):
        network.forward(batch(), noise=tape)
    for name in one.layers:
        if one.layers[name].acts is not None:
            np.testing.assert_array_equal(one.layers[name].acts, two.layers[name].acts)
    before = two.layers["pool4"].acts
    two.forward(batch(), noise=tape | {"pool4": two.layers["pool4"].chosen.reshape(-1, 8)})  # positions do as well
    np.testing.assert_array_equal(two.layers["pool4"].acts, before)
    for name in tape:
        two.forward(batch(), noise={key: value for key, value in tape.items() if key != name})
        assert np.any(two.layers[name].acts != one.layers[name].acts)


def smooth_zoo():
    """The zoo without what has no derivative or another one by definition: noise, rand, cnorm, tica."""
    text, params = ((NETS / f"zoo{end}.cfg").read_text() for end in ("", "-params"))
    text = text.replace("neuron=nrelu", "neuron=relu").replace("pool=rand", "pool=avg")
    text = text.replace("type=cnorm", "type=rnorm")
    return text, params.replace("coeff=0.002", "coeff=0")


def test_gradients():
    network = shipped("zoo", np.float64, smooth_zoo())
    assert_gradients(network, batch(), step=1e-6)
