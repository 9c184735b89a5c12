"""Shared weights, several passes per update, sparse connections, constraints, superEps."""

import numpy as np
import pytest
from toy_networks import CHAIN, CHAIN_PARAMS, LEARNING, RATES, batch, build, one_thread  # noqa: F401

from alexnet_rosetta.harness.network.net import Net
from alexnet_rosetta.port import ConfigError, Network, conv_to_local, load_network, unshare_weights

EPSILON = np.finfo(np.float64).eps

# Two convolutions, the second with the filters of the first for one input and its own for the other.
IMAGES, IMAGE_PARAMS = (
    Net(144)
    .add("labels", "data", dataIdx=1)
    .add(
        "one",
        "conv",
        "data",
        LEARNING,
        channels=4,
        filters=2,
        groups=2,
        filterSize=3,
        padding=1,
        stride=2,
        initW=".5",
        initB=".25",
    )
    .add(
        "two",
        "conv",
        "data,data",
        LEARNING,
        channels="4,4",
        filters="2,2",
        groups="2,2",
        filterSize="3,3",
        padding="1,1",
        stride="2,2",
        initW=".5,.5",
        weightSource="one,",
        sharedBiases=0,
    )
    .add("sum", "eltsum", "one,two", neuron="tanh[1,1]")
    .add("top", "fc", "sum", LEARNING, outputs=4, initW=".5")
    .softmax_cost("top", "cost", coeff=1)
    .files()
)
SHARED_CHAIN = CHAIN.replace(
    "[top]\ntype=fc\ninputs=low\noutputs=4\ninitW=.5",
    "[low2]\ntype=fc\ninputs=data\noutputs=8\ninitW=.5\nweightSource=low\nneuron=tanh[1,1]\n"
    "[top]\ntype=fc\ninputs=low,low2\noutputs=4\ninitW=.5",
)
SHARED_PARAMS = CHAIN_PARAMS.replace("[top]", f"[low2]\n{RATES}[top]")


def learn(network, data, **forward):
    """One pass and, if it is due, an update."""
    network.forward(data, **forward)
    network.backward()
    return network.update()


def split(data, pieces):
    return [{name: part for name, part in zip(data, parts, strict=True)}
            for parts in zip(*(np.split(array, pieces, axis=1) for array in data.values()), strict=True)]  # fmt: skip


def everything(network):
    """All parameters and increments."""
    return [array for layer in network.weighted for array in
            (*layer.weights, *layer.weights_inc, layer.biases, layer.biases_inc)]  # fmt: skip


def assert_near(found, expected, roundings=64):
    """Equal up to a few roundings of the largest value."""
    for a, b in zip(found, expected, strict=True):
        assert np.abs(a - b).max() <= roundings * EPSILON * max(1, np.abs(b).max())


def test_sharers_hold_one_matrix():
    network = build(IMAGES, IMAGE_PARAMS)
    one, two = network.layers["one"], network.layers["two"]
    assert two.weights[0] is one.weights[0]
    assert two.weights_inc[0] is one.weights_inc[0]
    assert two.weights[1] is not one.weights[0]
    assert two.biases is not one.biases
    one.weights[0] = np.ones_like(one.weights[0])  # a new array, for both
    assert np.all(two.weights[0] == 1)


@pytest.mark.parametrize(("text", "params"), [(IMAGES, IMAGE_PARAMS), (SHARED_CHAIN, SHARED_PARAMS)])
def test_shared_matrices_learn_from_all_their_layers(text, params):
    """The sum of what private copies would collect, then one step of the owner."""
    shared = build(text, params)
    private = unshare_weights(shared, ["two" if "two" in shared.layers else "low2"])
    data = batch(shared)
    owner, reader = ("one", "two") if "two" in shared.layers else ("low", "low2")
    for network in (shared, private):
        network.forward(data, "gc")
        network.backward()
    copies = private.layers[owner].weights_grad[0] + private.layers[reader].weights_grad[0]
    assert_near([shared.layers[owner].weights_grad[0]], [copies])
    before = shared.layers[owner].weights[0].copy()
    assert learn(shared, data)
    expected = 0.5 * copies / 3 - 0.25 * 0.5 * before  # base rate .5, three images, decay .25
    assert_near([shared.layers[owner].weights_inc[0], shared.layers[owner].weights[0]], [expected, before + expected])


def test_shared_matrices_have_the_momentum_once():
    network = build(SHARED_CHAIN, SHARED_PARAMS)
    low = network.layers["low"]
    low.weights_inc[0][...] = 1
    network.layers["top"].weights[0][...] = 0  # no gradient comes down
    network.layers["top"].weights[1][...] = 0
    weights = low.weights[0].copy()
    learn(network, batch(network))
    np.testing.assert_array_equal(low.weights_inc[0], 0.5 - 0.25 * 0.5 * weights)


def test_a_frozen_owner_freezes_its_sharers():
    frozen = CHAIN_PARAMS.replace("epsW=.5", "epsW=0", 1).replace("[top]", f"[low2]\n{RATES}[top]")
    spec = load_network(SHARED_CHAIN, frozen)
    assert any("low2" in warning and "frozen" in warning for warning in spec.warnings)
    both = load_network(SHARED_CHAIN, frozen.replace(f"[low2]\n{RATES}", f"[low2]\n{RATES.replace('.5', '0', 1)}"))
    assert both["low2"]["epsW"] == (0,)
    assert not any("frozen" in warning for warning in both.warnings)
    network = build(SHARED_CHAIN, frozen)
    before = network.layers["low2"].weights[0].copy()
    learn(network, batch(network))
    np.testing.assert_array_equal(network.layers["low2"].weights[0], before)
    assert network.layers["low2"].weights_grad[0] is None
    assert not network.layers["low2"].weights_inc[0].any()


def test_a_sharer_without_a_rate_collects_nothing():
    own = SHARED_PARAMS.replace(f"[low2]\n{RATES}", f"[low2]\n{RATES.replace('epsW=.5', 'epsW=0')}")
    shared, private = build(SHARED_CHAIN, own), unshare_weights(build(SHARED_CHAIN, SHARED_PARAMS), ["low2"])
    for network in (shared, private):
        network.forward(batch(network), "gc")
        network.backward()
    np.testing.assert_array_equal(shared.layers["low"].weights_grad[0], private.layers["low"].weights_grad[0])


def test_an_owner_without_a_cost_above_it_learns_from_its_sharers():
    loose = SHARED_CHAIN.replace("inputs=low,low2\noutputs=4\ninitW=.5", "inputs=low2\noutputs=4\ninitW=.5")
    network = build(loose + "[idle]\ntype=cost.sum2\ninputs=low\n", SHARED_PARAMS + "[idle]\ncoeff=0\n")
    before = network.layers["low"].weights[0].copy()
    learn(network, batch(network))
    assert "low" not in network.graph.produces
    assert np.all(network.layers["low"].weights[0] != before)
    np.testing.assert_array_equal(network.layers["low"].biases, 0)


def test_a_layer_alone_collects_only_its_own_gradients():
    network = build(IMAGES, IMAGE_PARAMS)
    network.forward(batch(network))
    network.backward()
    one, two = network.layers["one"], network.layers["two"]
    total = one.weights_grad[0].copy()
    parts = []
    for layer in (one, two):
        layer.backward(layer.acts_grad, [False] * len(layer.inputs))
        parts.append(layer.weights_grad[0].copy())
    assert_near([sum(parts)], [total])


@pytest.mark.parametrize(("text", "params"), [(CHAIN, CHAIN_PARAMS), (IMAGES, IMAGE_PARAMS),
                                              (SHARED_CHAIN, SHARED_PARAMS)])  # fmt: skip
def test_two_half_minibatches_are_one_minibatch(text, params):
    spec = load_network(text, params)
    whole, halves = Network(spec, np.float64), Network(spec, np.float64, update_every=2, minibatch=3)
    for network in (whole, halves):
        network.initialise(np.random.default_rng(2))
    for step in range(2):
        data = batch(whole, images=6)
        data["data"] *= step + 1
        assert learn(whole, data)
        assert [learn(halves, half) for half in split(data, 2)] == [False, True]
    assert_near(everything(halves), everything(whole), 512)


TREE = CHAIN.replace("[top]\ntype=fc\ninputs=low\noutputs=4", "[top]\ntype=treefc\ninputs=low\ntree=0 1, 4 2, 5 3")


@pytest.mark.parametrize(
    ("text", "params"), [(CHAIN, CHAIN_PARAMS), (SHARED_CHAIN, SHARED_PARAMS), (TREE, CHAIN_PARAMS)]
)
def test_layers_that_run_alone_begin_a_new_sum_after_an_update(text, params):
    spec = load_network(text, params)
    whole, alone = (Network(spec, np.float64, update_every=2, minibatch=3) for _ in range(2))
    for network in (whole, alone):
        network.initialise(np.random.default_rng(2))
    halves = split(batch(whole, images=6), 2)
    for half in halves * 2:
        learn(whole, half)
    for half in halves * 2:
        alone.forward(half)
        for layer in alone.layers.values():
            layer.acts_grad = None
        for name in reversed(alone.layers):
            if name in alone.graph.wants_gradient - {"cost"}:
                alone.backward_layer(name)
        if half is halves[1]:
            for layer in alone.weighted:
                layer.update()
    for found, expected in zip(everything(alone), everything(whole), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("pass_type", ["gc", "train"])
def test_gradients_that_no_update_took_are_forgotten(pass_type):
    """A check of gradients starts afresh each time, training after as many passes as an update takes."""
    network = Network(load_network(CHAIN, CHAIN_PARAMS), np.float64, update_every=2, minibatch=3)
    network.initialise(np.random.default_rng(2))
    found = []
    for _ in range(4):
        network.forward(batch(network), pass_type)
        network.backward()
        found.append(network.layers["low"].biases_grad.copy())
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[3])
    assert np.array_equal(found[0], found[1]) == (pass_type == "gc")


def test_update_every_needs_the_size_of_a_pass():
    with pytest.raises(ValueError, match="minibatch"):
        Network(load_network(CHAIN, CHAIN_PARAMS), update_every=2)


SPARSE = IMAGES.replace("inputs=data\nchannels=4\nfilters=2\ngroups=2",
                        "inputs=data\nchannels=4\nfilters=2\ngroups=2\nrandSparse=1\nfilterChannels=4") \
               .replace("groups=2,2", "groups=2,2\nrandSparse=1,1\nfilterChannels=4,2")  # fmt: skip


@pytest.mark.parametrize("kind", ["conv", "local"])
def test_the_identity_table_is_dense_groups(kind):
    text = IMAGES.replace("type=conv", f"type={kind}")
    dense, sparse = build(text, IMAGE_PARAMS), build(text.replace("groups=2\n", "groups=2\nrandSparse=1\n")
                                                     .replace("groups=2,2", "groups=2,2\nrandSparse=1,1"),
                                                     IMAGE_PARAMS)  # fmt: skip
    for name in ("one", "two"):
        for i in range(len(sparse.layers[name].filter_conns)):
            sparse.layers[name].connect(i, [0, 1, 2, 3])
    data = batch(dense)
    for network in (dense, sparse):
        learn(network, data)
    for a, b in zip(everything(sparse), everything(dense), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["conv", "local"])
def test_sparse_layers_see_the_channels_of_their_table(kind):
    """Group k sees the entries from k*filterChannels on; every channel gets the gradient of all its uses."""
    network = build(SPARSE.replace("type=conv", f"type={kind}"), IMAGE_PARAMS)
    one, two = network.layers["one"], network.layers["two"]
    assert two.filter_conns[0] is one.filter_conns[0]
    assert (len(one.filter_conns[0]), len(two.filter_conns[1])) == (8, 4)
    table = [2, 0, 3, 1, 1, 2, 3, 0]
    one.connect(0, table)
    x = np.random.default_rng(4).standard_normal((144, 3))
    acts = one.forward([x]).reshape(2, 2, -1)
    channels = x.reshape(4, 36, 3)
    for k in range(2):
        twin = build(SPARSE.replace("type=conv", f"type={kind}"), IMAGE_PARAMS).layers["one"]
        twin.weights[0], twin.biases = one.weights[0], one.biases
        twin.connect(0, [0, 1, 2, 3] * 2)
        shuffled = channels[table[4 * k : 4 * k + 4]].reshape(144, 3)
        np.testing.assert_array_equal(twin.forward([shuffled]).reshape(2, 2, -1)[k], acts[k])
    g = np.random.default_rng(5).standard_normal(one.acts.shape)
    (down,) = one.inputs_grad(g, [True])
    bias = np.repeat(one.biases, len(one.acts) // len(one.biases), axis=0)
    assert abs((down * x).sum() - (g * (one.acts - bias)).sum()) <= 512 * EPSILON * np.abs(g).sum() * np.abs(x).max()


def test_tables_are_checked():
    network = build(SPARSE, IMAGE_PARAMS)
    with pytest.raises(ValueError, match="wrong table"):
        network.layers["one"].connect(0, [0, 1, 2, 3])
    with pytest.raises(ValueError, match="no sparse connections"):
        build(IMAGES, IMAGE_PARAMS).layers["one"].connect(0, [0, 1, 2, 3])
    with pytest.raises(ConfigError, match="one has another randSparse"):
        load_network(IMAGES.replace("groups=2,2", "groups=2,2\nrandSparse=1,1"), IMAGE_PARAMS)


@pytest.mark.parametrize("text", [IMAGES, SPARSE])
def test_local_layers_made_of_convolutions_compute_the_same(text):
    network = build(text, IMAGE_PARAMS)
    network.layers["one"].weights_inc[0][...] = 1
    twin = conv_to_local(network, ["one"])
    assert [layer.spec.type for layer in twin.weighted] == ["local", "local", "fc"]  # `two` shares its filters
    assert twin.layers["two"].weights[0] is twin.layers["one"].weights[0]
    assert twin.layers["two"].biases.shape == network.layers["two"].biases.shape
    assert not twin.layers["one"].weights_inc[0].any()
    data = batch(network)
    for one in (network, twin):
        one.forward(data, "gc")
        one.backward()
    assert_near([twin.layers[name].acts for name in ("one", "two", "top")],
                [network.layers[name].acts for name in ("one", "two", "top")])  # fmt: skip
    grads = twin.layers["one"].weights_grad[0].reshape(16, -1, 4).sum(axis=0)
    assert_near([grads], [network.layers["one"].weights_grad[0]], 512)
    assert network.layers["one"].spec.type == "conv"


def test_private_copies_compute_the_same():
    network = build(IMAGES, IMAGE_PARAMS)
    learn(network, batch(network))
    twin = unshare_weights(network, ["two[0]"])
    one, two = twin.layers["one"], twin.layers["two"]
    assert two.weights[0] is not one.weights[0]
    assert (two.spec["weightSourceLayers"], two.spec["weightSourceMatrixIndices"]) == (("", ""), (-1, -1))
    assert not two.weights_inc[0].any()
    for array in (one.weights_inc[0], two.weights_inc[1], two.biases_inc):
        assert array.any()
    np.testing.assert_array_equal(two.weights[0], network.layers["two"].weights[0])
    data = batch(network)
    assert twin.forward(data, "test")["cost"].tolist() == network.forward(data, "test")["cost"].tolist()
    learn(twin, data)
    assert np.any(two.weights[0] != one.weights[0])


@pytest.mark.parametrize(
    ("change", "entry", "words"),
    [
        (conv_to_local, "nobody", r"\[nobody\] there is no such layer"),
        (conv_to_local, "top", r"\[top\] only convolutions"),
        (unshare_weights, "two[1]", r"\[two\] weightSource: has no such shared weights"),
        (unshare_weights, "one", r"\[one\] weightSource: has no such shared weights"),
        (unshare_weights, "two[x]", "is no weight matrix"),
    ],
)
def test_wrong_names_are_refused(change, entry, words):
    with pytest.raises(ConfigError, match=words):
        change(build(IMAGES, IMAGE_PARAMS), [entry])


def test_filters_cannot_be_spread_over_different_numbers_of_modules():
    text = IMAGES.replace("stride=2,2", "stride=3,3").replace("inputs=one,two", "inputs=one")
    text += "[sum3]\ntype=cost.sum2\ninputs=two\n"
    with pytest.raises(ConfigError, match="another number of modules"):
        conv_to_local(build(text, IMAGE_PARAMS + "[sum3]\ncoeff=1\n"), ["two"])


def test_norms_of_local_filters_are_bounded_per_module():
    bounded = IMAGE_PARAMS.replace(RATES, RATES + "wball=.03125\n", 1)
    found = []
    for params in (IMAGE_PARAMS, bounded):
        network = build(IMAGES.replace("type=conv", "type=local"), params)
        network.layers["one"].weights[0][:18] = 1e-9
        learn(network, batch(network))
        found.append(network.layers["one"].weights[0].reshape(16, 18, 4))
    free, banks = found
    radius = 18 * 0.03125
    long = np.linalg.norm(free, axis=1) > radius
    assert 0 < long.sum() < long.size
    assert np.all(np.abs(np.linalg.norm(banks, axis=1)[long] / radius - 1) <= 18 * EPSILON)
    assert np.array_equal(banks.transpose(0, 2, 1)[~long], free.transpose(0, 2, 1)[~long])


def test_contrast_of_filters_is_bounded_before_their_norms():
    params = IMAGE_PARAMS.replace(RATES, RATES + "wcNormMin=.0625\nwcNormMax=.0625\n", 1)
    network = build(IMAGES, params)
    learn(network, batch(network))
    contrast = network.layers["one"].weights[0].std(axis=0) / np.sqrt(18)
    assert np.abs(contrast / 0.0625 - 1).max() <= 18 * EPSILON
    assert np.all(network.layers["two"].weights[1].std(axis=0) / np.sqrt(18) > 0.0625)


def test_super_eps_by_hand():
    """momW = 1/2; G = 1, 1/2, 0 gives A = 1/2, 1/2, 1/4 and Q = 1/2, 3/8, 3/16; superEps = 1, base rate 1/2."""
    params = CHAIN_PARAMS.replace("epsB=.25", "epsB=.5").replace(RATES[:7], RATES[:7] + "\nsuperEps=1\nwc=0", 1)
    params = params.replace("wc=.25", "", 1)
    network = build(params=params)
    low = network.layers["low"]
    low.weights[0][...] = low.biases[...] = 0
    inc = weights = 0.0
    for g, a, q in ((1, 0.5, 0.5), (0.5, 0.5, 0.375), (0, 0.25, 0.1875)):
        low.weights_grad[0], low.biases_grad = np.full((12, 8), float(g)), np.full((1, 8), float(g))
        low.update()
        inc = 0.9 * inc + 0.5 * (g / np.sqrt(q - a * a + 1))
        weights += inc
        for found, expected in ((low.weights_inc[0], inc), (low.weights[0], weights), (low.biases, weights)):
            assert np.abs(found - expected).max() <= 8 * EPSILON
    network.forward(batch(network))
    network.backward()
    assert low.weights_grad[0].any()  # not the direct route


def test_super_eps_may_have_no_root():
    params = CHAIN_PARAMS.replace(RATES, RATES + "superEps=.0625\n", 1)
    network = build(params=params)
    network.set_quirk("super-eps-mean-not-squared", True)
    low = network.layers["low"]
    low.weights_grad[0], low.biases_grad = np.full((12, 8), 0.5), np.full((1, 8), 2.0)
    low.update()  # Q - A: 1/8 - 1/4 for the weights, 2 - 1 for the biases
    assert np.isnan(low.weights[0]).all()
    assert np.isfinite(low.biases).all()
