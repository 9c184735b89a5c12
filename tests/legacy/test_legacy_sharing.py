"""Matrices that layers of legacy.Network share, and updates after several passes."""

import numpy as np
import pytest
from legacy_networks import conv, data, fc, initialise, network, normal, same_bits

from alexnet_rosetta.legacy import Network, Refused

RNG = np.random.default_rng(23)


def sharing(make, **changes):
    """Layers `own` and `other`, which uses the matrix of `own` and learns at half the rate, and their network."""
    own = make("own", epsW=[0.5], momW=[0.5], wc=[0.0])
    source = {"weightSourceLayers": ["own"], "weightSourceMatrixIndices": [0]}
    other = make("other", epsW=[0.25], momW=[0.75], wc=[0.5]) | source | changes
    return network(own, other, a=4)


def one_pixel(name, **changes):
    return conv(name, {"a": (4, 1, 1, 1, 0, 1)}, 16, **changes)


def full(name, **changes):
    return fc(name, ["a"], [4], 16, **changes)


def step(net, name, x, v):
    net.forward(name, [x])
    net.backward(name, v)
    return x @ v.T / x.shape[1]


@pytest.mark.parametrize(("make", "scale"), [(one_pixel, 1), (full, 0.5)])
def test_sharers_add_and_the_owner_updates(make, scale):
    """With a gradient matrix the owner's rate is for the sum; directly, each contribution has its own rate."""
    net = sharing(make)
    w, x, v, u = (RNG.integers(-8, 8, s).astype(np.float32) for s in ((4, 16), (4, 8), (16, 8), (16, 8)))
    net.write("other", "weights[0]", w)
    inc = np.zeros((4, 16), np.float32)
    for _ in range(3):
        np.testing.assert_array_equal(net.read("own", "weights[0]"), w)
        ours, theirs = step(net, "own", x, v), step(net, "other", x, u)
        net.update("other")
        np.testing.assert_array_equal(net.read("own", "weights[0]"), w)
        net.update("own")
        inc = inc / 2 + ours / 2 + theirs / 2 * np.float32(scale)
        w = w + inc
        np.testing.assert_array_equal(net.read("other", "weights_inc[0]"), inc)
    np.testing.assert_array_equal(net.read("other", "weights[0]"), w)


@pytest.mark.parametrize("make", [one_pixel, full])
def test_a_frozen_owner_freezes_the_matrix(make):
    own, x, v = make("own", epsW=[0.0]), normal(RNG, 4, 8), normal(RNG, 16, 8)
    other = make("other") | {"weightSourceLayers": ["own"], "weightSourceMatrixIndices": [0]}
    net = network(own, other, a=4)
    initialise(net, own, RNG)
    before = {name: net.read("own", name) for name in ("weights[0]", "weights_inc[0]")}
    for name in ("own", "other"):
        step(net, name, x, v)
    for name in ("own", "other"):
        net.update(name)
    assert all(same_bits(net.read("other", name), array) for name, array in before.items())
    assert net.read("other", "biases_inc").any()


def test_a_layer_may_share_with_itself():
    keys = {"weightSourceLayers": ["", "top"], "weightSourceMatrixIndices": [-1, 0]}
    net = network(fc("top", ["a", "b"], [4, 4], 2, **keys), a=4, b=4)
    net.write("top", "weights[1]", w := np.arange(8, dtype=np.float32).reshape(4, 2))
    x = [np.eye(4, dtype=np.float32), 2 * np.eye(4, dtype=np.float32)]
    net.forward("top", x)
    np.testing.assert_array_equal(net.read("top", "acts"), 3 * w.T)
    net.backward("top", np.ones((2, 4), np.float32))
    np.testing.assert_array_equal(net.read("top", "weights_inc[0]"), np.full((4, 2), 3 * 0.5 / 4))


def test_refused_sharing():
    shape = {"weightSourceLayers": ["own"], "weightSourceMatrixIndices": [0]}
    with pytest.raises(Refused, match=r"layer other: own.s matrix has another shape"):
        network(full("own"), fc("other", ["a"], [4], 8, **shape), a=4)
    with pytest.raises(Refused, match=r"layer other: the source of weights\[0\] is no such layer above"):
        network(one_pixel("own"), full("other", **shape), a=4)
    sparse = {"randSparse": [True], "filterChannels": [4], "groups": [2]}
    with pytest.raises(Refused, match=r"layer other: own.s connections do not fit input 0"):
        network(one_pixel("own"), conv("other", {"a": (4, 1, 1, 1, 0, 1)}, 16, **sparse, **shape), a=4)


# Updates over several passes.


@pytest.mark.parametrize("make", [one_pixel, full])
def test_two_half_passes_are_one(make):
    layer = make("top")
    whole, halves = (
        Network([data("one", 1), fc("a", ["one"], [1], 4), layer], threads=2, **keys)
        for keys in ({}, {"update_every": 2, "minibatch": 4})
    )
    for _ in range(2):
        x, v = (RNG.integers(-8, 8, shape).astype(np.float32) for shape in ((4, 8), (16, 8)))
        step(whole, "top", x, v)
        assert whole.update("top")
        due = []
        for half in (slice(4), slice(4, 8)):
            halves.forward("top", [np.ascontiguousarray(x[:, half])])
            halves.backward("top", np.ascontiguousarray(v[:, half]))
            due.append(halves.update("top"))
        assert due == [False, True]
    for tensor in ("weights[0]", "weights_inc[0]", "biases", "biases_inc"):
        np.testing.assert_array_equal(halves.read("top", tensor), whole.read("top", tensor))


def test_the_divisor_is_the_nominal_size_of_the_passes():
    net = Network([data("a", 4), one_pixel("top")], update_every=2, minibatch=4)
    x, v = np.ones((4, 2), np.float32), np.ones((16, 2), np.float32)
    step(net, "top", x, v)
    np.testing.assert_array_equal(net.read("top", "weights_grad[0]"), np.full((4, 16), 2 / 8))


@pytest.mark.parametrize("keys", [{"update_every": 0}, {"update_every": 2}])
def test_refused_frequency(keys):
    with pytest.raises(Refused, match="Network: update_every"):
        Network([data("a", 4)], **keys)


@pytest.mark.parametrize(("make", "tensor"), [(one_pixel, "weights_grad[0]"), (full, "weights_inc[0]")])
def test_a_gradient_check_collects_one_pass_of_all_sharers(make, tensor):
    net = sharing(make)
    x, v = (RNG.integers(-8, 8, shape).astype(np.float32) for shape in ((4, 8), (16, 8)))
    step(net, "own", x, v)
    for _ in range(2):
        for name in ("own", "other"):
            net.forward(name, [x], pass_type="gc")
        for name in ("own", "other"):
            net.backward(name, v)
        np.testing.assert_array_equal(net.read("own", tensor), 2 * (x @ v.T))
    net.forward("own", [x])
    net.backward("own", v)
    if make is one_pixel:
        np.testing.assert_array_equal(net.read("own", tensor), x @ v.T / 8)
