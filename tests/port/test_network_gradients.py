"""Gradients of whole networks against finite differences, in float64."""

import numpy as np
import pytest
from toy_networks import CHAIN, CHAIN_PARAMS, EPSILON, assert_gradients, batch, build, one_thread, shipped  # noqa: F401


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
