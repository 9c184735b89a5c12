"""The solver of legacy.Network: learning-rate schedules, the update rule, its two routes."""

import numpy as np
import pytest
from legacy_networks import assert_within, conv, fc, initialise, local, network, normal, same_bits

from alexnet_rosetta.legacy import Refused

RNG = np.random.default_rng(11)
PROGRESS = (0, 0.2, 0.25, 0.5, 0.75, 0.9, 1)
HALF = np.sqrt(0.5)
# Rates over a base of 1/2, target factor 8: levels of four steps are 1, 1/2, 1/4, 1/8.
SCHEDULES = {
    "default": (1, 1, 1, 1, 1, 1, 1),
    "const": (1, 1, 1, 1, 1, 1, 1),
    "linear": (1, 0.825, 0.78125, 0.5625, 0.34375, 0.2125, 0.125),
    "exp": (1, 8**-0.2, 8**-0.25, 8**-0.5, 8**-0.75, 8**-0.9, 1 / 8),
    "dexp": (1, 1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 8),
    "jdexp": (1, 1, 1, HALF, HALF / 2, 1 / 8, 1 / 8),
}


def rate(schedule, progress, normal=0.0):
    """The rate that an update of a bias uses: Δ = ε where the gradient is 1."""
    net = network(fc("fc", ["a"], [1], 1, epsB=0.5, schedB=schedule), a=1)
    net.write("fc", "weights_inc[0]", np.zeros((1, 1), np.float32))
    net.write("fc", "biases_grad", np.ones((1, 1), np.float32))
    net.write("fc", "schedule_normals", [[0, 0], [normal, 0]])
    net.update("fc", progress)
    return net.read("fc", "biases_inc")[0, 0]


def schedule(kind, steps=4, noise=0.0):
    params = {"tgtFactor": 8.0, "noiseStdev": noise, "numSteps": steps}
    return {"type": kind, "params": {} if kind == "default" else params}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules(kind):
    found = [rate(schedule(kind), progress) for progress in PROGRESS]
    np.testing.assert_array_equal(found, np.float32(0.5 * np.array(SCHEDULES[kind])))


def test_a_schedule_of_one_step_is_at_its_target():
    assert rate(schedule("dexp", steps=1), 0) == 0.5 / 8


def test_noise_has_a_normal_for_each_use_of_a_rate():
    noisy = schedule("const", noise=0.25)
    assert rate(noisy, 0, -2.0) == rate(noisy, 0) * 1.5
    layer = fc("fc", ["a"], [1], 1, schedW=noisy, schedB=noisy, wc=[0.5], epsW=[1.0], momW=[0.0])
    net = network(layer, a=1)
    one = np.ones((1, 1), np.float32)
    net.write("fc", "weights[0]", one)
    net.write("fc", "schedule_normals", [[4.0, 8.0], [0.0, 0.0]])
    net.forward("fc", [one])
    net.backward("fc", one)
    assert net.read("fc", "weights_inc[0]") == 2.0
    net.update("fc")
    assert net.read("fc", "weights_inc[0]") == 2.0 - 0.5 * 3.0


def test_three_steps_by_hand():
    """μ = 1/2, λ = 1/8, ε = 1/2 for weights, 3/4, 0, 1/4 for biases; G given."""
    net = network(conv("conv", {"a": (1, 1, 1, 1, 0, 1)}, 16), a=1)
    steps = [  # G of the weights, Δ, W, G of the biases, Δ, b; Δ = 1/2 Δ + 1/2 G - 1/16 W
        (1.0, 1 / 2 - 1 / 16, 1 + 7 / 16, 1.0, 1 / 4, 1 / 4),
        (0.0, 7 / 32 - 23 / 256, 23 / 16 + 33 / 256, 0.0, 3 / 16, 7 / 16),
        (-2.0, 33 / 512 - 1 - 401 / 4096, 401 / 256 - 4233 / 4096, 4.0, 9 / 64 + 1, 7 / 16 + 73 / 64),
    ]
    net.write("conv", "weights[0]", np.ones((1, 16), np.float32))
    for grad, inc, weight, bias_grad, bias_inc, bias in steps:
        net.write("conv", "weights_grad[0]", np.full((1, 16), grad, np.float32))
        net.write("conv", "biases_grad", np.full((16, 1), bias_grad, np.float32))
        net.update("conv")
        found = [net.read("conv", name) for name in ("weights_inc[0]", "weights[0]", "biases_inc", "biases")]
        expected = (inc, weight, bias_inc, bias)
        assert [set(map(float, array.flat)) for array in found] == [{value} for value in expected]


def test_both_routes_agree():
    """A 1x1 convolution of a 1x1 image is a fully-connected layer, on the other route; dyadic values round nowhere."""
    layers = conv("conv", {"a": (4, 1, 1, 1, 0, 1)}, 16), fc("fc", ["a"], [4], 16)
    net = network(*layers, a=4)
    w, inc, x, v = (RNG.integers(-8, 8, shape).astype(np.float32) / 8 for shape in ((4, 16), (4, 16), (4, 8), (16, 8)))
    for name in ("conv", "fc"):
        net.write(name, "weights[0]", w)
        net.write(name, "weights_inc[0]", inc)
        for _ in range(2):
            net.forward(name, [x])
            net.backward(name, v)
            net.backward(name, v)
            net.update(name)
    for tensor in ("weights[0]", "weights_inc[0]"):
        np.testing.assert_array_equal(net.read("conv", tensor), net.read("fc", tensor))
    np.testing.assert_array_equal(net.read("conv", "biases"), net.read("fc", "biases").T)


@pytest.mark.parametrize("make", [conv, fc])
def test_frozen_parameters_stay(make):
    frozen = {"epsW": [0.0], "epsB": 0.0}
    spec = {"a": (4, 1, 1, 1, 0, 1)}
    layer = conv("top", spec, 16, **frozen) if make is conv else fc("top", ["a"], [4], 16, **frozen)
    net = network(layer, a=4)
    initialise(net, layer, RNG)
    names = ("weights[0]", "weights_inc[0]", "biases", "biases_inc")
    before = {name: net.read("top", name).copy() for name in names}
    net.forward("top", [normal(RNG, 4, 8)])
    net.backward("top", normal(RNG, 16, 8))
    net.update("top")
    assert all(same_bits(net.read("top", name), array) for name, array in before.items())
    assert net.read("top", "inputs_grad[0]").shape == (4, 8)  # the gradient flows through
    for name in ("weights_grad[0]", "biases_grad"):
        with pytest.raises(KeyError):
            net.read("top", name)


def test_progress_sets_the_rate_of_the_direct_route():
    net = network(fc("fc", ["a"], [1], 1, schedW=schedule("dexp"), momW=[0.0]), a=1)
    one = np.ones((1, 1), np.float32)
    net.forward("fc", [one])
    net.backward("fc", one, progress=0.5)
    assert net.read("fc", "weights_inc[0]") == 0.25


def test_gradient_check_pass_does_not_divide():
    layers = conv("conv", {"a": (4, 1, 1, 1, 0, 1)}, 16), fc("fc", ["a"], [4], 16)
    net = network(*layers, a=4)
    x, v = (RNG.integers(-8, 8, shape).astype(np.float32) for shape in ((4, 3), (16, 3)))
    for name, tensor in (("conv", "weights_grad[0]"), ("fc", "weights_inc[0]")):
        net.write(name, "weights_inc[0]", np.ones((4, 16), np.float32))
        for pass_type in ("train", "gc", "gc"):
            net.forward(name, [x], pass_type=pass_type)
            net.backward(name, v)
        np.testing.assert_array_equal(net.read(name, tensor), x @ v.T)
        np.testing.assert_array_equal(net.read(name, "biases_grad").ravel(), v.sum(1))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schedW": {"type": "cosine", "params": {}}}, "layer fc: schedW: unknown schedule"),
        ({"weightSourceLayers": ["one"]}, "layer fc: the source of weights.0. is no such layer above"),
        ({"weightSourceLayers": ["fc"], "weightSourceMatrixIndices": [0]}, "layer fc: fc has no matrix for weights.0."),
    ],
)
def test_refused_rules(change, text):
    with pytest.raises(Refused, match=text):
        network(fc("fc", ["a"], [1], 1, **change), a=1)


def test_update_without_a_gradient():
    net = network(conv("conv", {"a": (1, 1, 1, 1, 0, 1)}, 16), a=1)
    with pytest.raises(Refused, match="layer conv: there is no gradient"):
        net.update("conv")


# Constraints after an update: with a gradient and a momentum of 0 the update alone changes nothing.


def constrained(layer, w):
    """The weights after an update that does nothing but hold them to their constraints."""
    net = network(layer | {"wc": [0.0], "momW": [0.0]}, a=layer["weightShapes"][0][0])
    net.write("top", "weights[0]", w)
    net.write("top", "weights_inc[0]", np.zeros_like(w))
    net.write("top", "biases_grad", np.zeros(layer["biasShape"], np.float32))
    if layer["type"] == "conv":
        net.write("top", "weights_grad[0]", np.zeros_like(w))
    net.update("top")
    return net.read("top", "weights[0]")


def assert_rescaled(found, w, factor):
    """Columns outside the limits were multiplied by their factor, the others are the same bits."""
    np.testing.assert_array_equal(found[:, factor == 1], w[:, factor == 1])
    assert_within(found, w * factor, len(w) + 6, 2 * np.abs(w * factor))
    assert 0 < (factor == 1).sum() < len(factor)


def columns(rows, count):
    """Weights whose columns have norms from about 1/8 to 4."""
    return normal(RNG, rows, count) * np.geomspace(1 / 8, 4, count, dtype=np.float32) / np.float32(np.sqrt(rows))


@pytest.mark.parametrize("kind", ["fc", "conv"])
def test_wball_bounds_the_norm_of_a_column(kind):
    bound = {"wballNormed": [1.0]}
    layer = (
        fc("top", ["a"], [48], 32, **bound) if kind == "fc" else conv("top", {"a": (48, 1, 1, 1, 0, 1)}, 32, **bound)
    )
    w = columns(48, 32)
    norm = np.sqrt((w.astype(np.float64) ** 2).sum(0))
    assert_rescaled(constrained(layer, w), w, 1 / np.maximum(norm, 1))


def test_wball_of_a_local_layer_is_for_every_module():
    layer = local("top", "a", 4, 4, 3, 16, wballNormed=[1.0])
    w = columns(36, 64).reshape(36, 4, 16).swapaxes(0, 1).reshape(144, 16).copy()
    found = constrained(layer, w)
    for module in range(4):
        rows = slice(36 * module, 36 * module + 36)
        norm = np.sqrt((w[rows].astype(np.float64) ** 2).sum(0))
        assert_within(found[rows], w[rows] / np.maximum(norm, 1), 42, 2 * np.abs(w[rows]))
    assert (np.abs(w) > np.abs(found)).any()


def test_wcnorm_bounds_the_contrast_and_keeps_the_mean_in():
    limits = {"wcNormMin": [1 / 64], "wcNormMax": [1 / 16]}
    layer = conv("top", {"a": (48, 1, 1, 1, 0, 1)}, 32, **limits)
    w = columns(48, 32) + np.float32(0.25)
    w[:, 7] = 0.25
    wide = w.astype(np.float64)
    contrast = np.sqrt(((wide - wide.mean(0)) ** 2).sum(0)) / 48
    some = np.where(contrast > 0, contrast, 1)
    factor = np.where(contrast > 0, np.clip(contrast, 1 / 64, 1 / 16) / some, 1)
    found = constrained(layer, w)
    assert (factor > 1).any()
    assert (factor < 1).any()
    np.testing.assert_array_equal(found[:, 7], w[:, 7])  # without contrast, not infinite
    deviation = np.abs(wide - wide.mean(0)).sum(0) * (np.abs(wide).max(0)) / np.maximum((some * 48) ** 2, 1e-30)
    assert_within(found, w * factor, 54, np.abs(w * factor) * (2 + deviation))


def test_wcnorm_comes_before_wball():
    layer = conv("top", {"a": (2, 1, 1, 1, 0, 1)}, 16, wcNormMin=[4.0], wcNormMax=[8.0], wballNormed=[1.0])
    w = np.tile(np.array([[3.0], [-4.0]], np.float32), 16)  # contrast 2.47: doubled and more, then of norm 1
    assert_within(constrained(layer, w), w / 5, 8, 2 * np.abs(w))


# superEps.


def super_step(state, g, eps):
    """(W, Δ, A, Q, size of Δ, of W) after Δ ← 0.9 Δ + ε G / √(Q - A + 1/2) with μ = 3/4 in A and Q."""
    w, inc, mean, square, inc_size, w_size = state
    mean, square = 0.75 * mean + 0.25 * g, 0.75 * square + 0.25 * g * g
    spread = square - mean + 0.5
    term = eps * g / np.sqrt(spread)
    inc = 0.9 * inc + term
    inc_size = 0.9 * inc_size + np.abs(term) * (1 + (square + np.abs(mean) + 0.5) / (2 * spread))
    return w + inc, inc, mean, square, inc_size, w_size + inc_size


@pytest.mark.parametrize("kind", ["fc", "conv"])
def test_three_steps_with_super_eps(kind):
    """A in place of A² is history's."""
    keys = {"superEps": 0.5, "momW": [0.75], "momB": 0.75, "wc": [0.0]}
    layer = fc("top", ["a"], [4], 16, **keys) if kind == "fc" else conv("top", {"a": (4, 1, 1, 1, 0, 1)}, 16, **keys)
    net = network(layer, a=4)
    initialise(net, layer, RNG)
    for w, inc, grad, eps in (("weights[0]", "weights_inc[0]", "weights_grad[0]", 0.5),
                              ("biases", "biases_inc", "biases_grad", 0.25)):  # fmt: skip
        start = [net.read("top", name).astype(np.float64) for name in (w, inc)]
        state = (*start, 0, 0, np.abs(start[1]), np.abs(start[0]))
        for other in ("weights_grad[0]", "biases_grad"):
            net.write("top", other, np.zeros_like(net.read("top", other.replace("_grad", ""))))
        for _ in range(3):
            g = normal(RNG, *start[0].shape) / 4
            net.write("top", grad, g)
            net.update("top")
            state = super_step(state, g.astype(np.float64), eps)
        assert_within(net.read("top", inc), state[1], 30, state[4])
        assert_within(net.read("top", w), state[0], 30, state[5])
        assert np.abs(state[2]).max() > 2**-5


def test_super_eps_takes_the_route_with_a_gradient_matrix():
    net = network(fc("top", ["a"], [4], 16, superEps=0.5), a=4)
    net.forward("top", [normal(RNG, 4, 8)])
    inc = net.read("top", "weights_inc[0]")
    net.backward("top", normal(RNG, 16, 8))
    assert same_bits(net.read("top", "weights_inc[0]"), inc)
    assert net.read("top", "weights_grad[0]").any()


def test_refused_normals():
    net = network(fc("top", ["a"], [4], 16), a=4)
    with pytest.raises(Refused, match="layer top: schedule_normals have the wrong shape"):
        net.write("top", "schedule_normals", [[0.0, 0.0]])
    with pytest.raises(Refused, match="layer one: has no learning rate"):
        net.write("one", "schedule_normals", [[0.0, 0.0]])
