"""Gradients of whole networks against finite differences, in float64."""

import numpy as np
import pytest
from toy_networks import CHAIN, CHAIN_PARAMS, batch, build, one_thread, shipped  # noqa: F401

from alexnet_rosetta.port.weight_layers import Weighted

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


@pytest.mark.parametrize("net", ["tiny", "cifar"])
def test_gradients_of_shipped_networks(net):
    network = shipped(net, np.float64)
    if net == "cifar":
        network.layers["conv1"].weights[0] *= 500  # its initial weights are made for pixel values
    assert_gradients(network, batch(network), step=1e-6)


@pytest.mark.parametrize(
    "kind", ["relu", "abs", "logistic", "square", "softrelu", "linear[2,.5]", "drelu[.5]", "brelu[2]"]
)
def test_gradients_through_neurons(kind):
    network = build(CHAIN.replace("tanh[1,1]", kind))
    assert_gradients(network, batch(network))


def test_gradients_through_a_softmax_with_two_consumers():
    network = build(CHAIN + "[other]\ntype=cost.logreg\ninputs=labels,probs\n", CHAIN_PARAMS + "[other]\ncoeff=.5\n")
    assert network.graph.fused == {}
    assert network.graph.contributions("probs") == 2
    assert_gradients(network, batch(network))


def test_fused_and_separate_softmax_agree():
    """A cost of coefficient 0 is a consumer, so it separates softmax and cost, but it contributes nothing."""
    fused, separate = (
        build(),
        build(CHAIN + "[other]\ntype=cost.logreg\ninputs=labels,probs\n", CHAIN_PARAMS + "[other]\ncoeff=0\n"),
    )
    assert (fused.graph.fused, separate.graph.fused) == ({"probs": "cost"}, {})
    assert "other" not in separate.graph.produces
    for network in (fused, separate):
        network.forward(batch(network), "gc")
        network.backward()
    found, expected = separate.layers["top"].acts_grad, fused.layers["top"].acts_grad
    probs = fused.layers["probs"].acts
    magnitude = np.abs(expected) + probs  # label/p * p - p, where every product is rounded
    assert np.all(np.abs(found - expected) <= 8 * np.sqrt(len(probs) + 4) * EPSILON * magnitude)
