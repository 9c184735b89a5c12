"""Convolution, local and fully connected layers against loops, and their gradients against finite differences."""

import numpy as np
import pytest
import reference_specs as specs
from honest import assert_double

from alexnet_rosetta.harness import reference

LAYERS = {
    "plain": specs.conv([(3, 7, 3, 1, 0, 1)], 4),
    "padded, stride 2": specs.conv([(2, 8, 3, 2, 1, 1)], 3),
    "last module sticks out": specs.conv([(1, 8, 3, 4, 0, 1)], 2),
    "groups": specs.conv([(4, 5, 2, 1, 1, 2)], 6),
    "two inputs": specs.conv([(2, 5, 3, 1, 1, 1), (4, 9, 3, 2, 1, 2)], 4),
    "unshared biases": specs.conv([(2, 5, 3, 2, 1, 1)], 2, shared=False),
    "gaps between modules": specs.conv([(1, 8, 2, 3, 0, 1)], 2),
    "local": specs.conv([(2, 5, 3, 2, 1, 1)], 3, kind="local"),
    "local, two inputs": specs.conv([(4, 4, 3, 1, 1, 2), (1, 4, 1, 1, 0, 1)], 2, kind="local"),
    "fc": specs.fc([5], 4),
    "fc, two inputs": specs.fc([5, 3], 4),
}
CONVOLUTIONS = {name: spec for name, spec in LAYERS.items() if spec["type"] != "fc"}


def draw(spec, cases=3):
    rng = np.random.default_rng(7)
    inputs = [specs.normal(rng, n, cases) for n in spec["numInputs"]]
    return inputs, specs.normal(rng, spec["outputs"], cases), specs.parameters(spec, rng)


def products(spec):
    """Every product of a convolution: (input, output row, pixel row, weight row, filter)."""
    side = spec["modulesX"]
    for i, channels in enumerate(spec["filterChannels"]):
        size, image = spec["filterSize"][i], spec["imgSize"][i]
        per_group = spec["filters"] // spec["groups"][i]
        for f, my, mx, c, p, q in np.ndindex(spec["filters"], side, side, channels, size, size):
            y = spec["padding"][i] + spec["stride"][i] * my + p
            x = spec["padding"][i] + spec["stride"][i] * mx + q
            if not (0 <= y < image and 0 <= x < image):
                continue
            pixel = ((f // per_group * channels + c) * image + y) * image + x
            weight = (c * size + p) * size + q
            if spec["type"] == "local":
                weight += (my * side + mx) * channels * size * size
            yield i, (f * side + my) * side + mx, pixel, weight, f


def bias_row(spec, output):
    return output // spec["modulesX"] ** 2 if spec.get("sharedBiases") else output


@pytest.mark.parametrize("spec", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_forward_is_the_sum_of_all_products(spec):
    inputs, _, params = draw(spec)
    value = np.zeros((spec["outputs"], 3))
    for row in range(len(value)):
        value[row] = params["biases"][bias_row(spec, row), 0]
    size = np.abs(value)
    for i, output, pixel, weight, f in products(spec):
        product = np.float64(params["weights"][i][weight, f]) * inputs[i][pixel]
        value[output] += product
        size[output] += np.abs(product)
    found = reference.op(spec).forward(inputs, params)
    assert_double(found, value)
    assert (found.magnitude >= size).all()
    assert (found.magnitude <= size * (1 + 2**-15)).all()


@pytest.mark.parametrize("spec", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_terms_count_the_products(spec):
    inputs, grad, params = draw(spec)
    op = reference.op(spec)
    into_pixel = [np.zeros((n, 1), int) for n in spec["numInputs"]]
    into_weight = [np.zeros(w.shape, int) for w in params["weights"]]
    for i, _, pixel, weight, f in products(spec):
        into_pixel[i][pixel] += 1
        into_weight[i][weight, f] += grad.shape[1]
    grads = op.params_grad(inputs, grad, params)
    for i in range(len(inputs)):
        assert (op.inputs_grad(i, inputs, grad, params).terms == into_pixel[i] + 1).all()
        assert (grads[f"weights[{i}]"].terms == into_weight[i]).all()
    assert op.forward(inputs, params).terms == 1 + sum(
        c * s * s for c, s in zip(spec["filterChannels"], spec["filterSize"], strict=True)
    )


@pytest.mark.parametrize("spec", LAYERS.values(), ids=LAYERS)
def test_gradients_are_derivatives(spec):
    inputs, grad, params = draw(spec, cases=2)
    op = reference.op(spec)

    def objective(inputs=inputs, params=params):
        return (op.forward(inputs, params).value * grad).sum()

    grads = op.params_grad(inputs, grad, params)
    for i in range(len(inputs)):

        def of_input(x, i=i):
            return objective(inputs=[*inputs[:i], x, *inputs[i + 1 :]])

        def of_weights(w, i=i):
            weights = params["weights"]
            return objective(params=params | {"weights": [*weights[:i], w, *weights[i + 1 :]]})

        specs.assert_is_derivative(of_input, inputs[i], op.inputs_grad(i, inputs, grad, params).value)
        specs.assert_is_derivative(of_weights, params["weights"][i], grads[f"weights[{i}]"].value)
    of_biases = lambda b: objective(params=params | {"biases": b})  # noqa: E731
    specs.assert_is_derivative(of_biases, params["biases"], grads["biases"].value)


@pytest.mark.parametrize("spec", LAYERS.values(), ids=LAYERS)
def test_sums_over_slices_are_the_sum_over_the_batch(spec):
    inputs, grad, params = draw(spec, cases=5)
    op = reference.op(spec)
    whole = op.params_grad(inputs, grad, params)
    first, second = (
        op.params_grad([x[:, part] for x in inputs], grad[:, part], params) for part in (np.s_[:2], np.s_[2:])
    )
    for tensor, found in whole.items():
        added = first[tensor] + second[tensor]
        assert_double(found, added.value)
        assert np.array_equal(
            np.broadcast_to(added.terms, added.value.shape), np.broadcast_to(found.terms, added.value.shape)
        )


def test_row_blocks_do_not_change_the_result(monkeypatch):
    spec = LAYERS["two inputs"]
    inputs, grad, params = draw(spec)
    op = reference.op(spec)
    whole = op.forward(inputs, params), op.inputs_grad(1, inputs, grad, params)
    monkeypatch.setattr(reference.conv, "_PATCH_LIMIT", 1)
    blocks = op.forward(inputs, params), op.inputs_grad(1, inputs, grad, params)
    for a, b in zip(whole, blocks, strict=True):
        assert_double(a, b.value)


def test_a_sparse_layer_reads_the_channels_on_its_list():
    dense = specs.conv([(8, 5, 3, 1, 1, 1)], 4)
    connections = np.array([6, 1, 3, 0, 7, 2, 5, 4, 0, 1, 2, 3, 4, 5, 6, 7])
    sparse = dense | {
        "groups": [4],
        "randSparse": [True],
        "filterChannels": [4],
        "filterConns": [connections],
    }
    inputs, grad, params = draw(sparse)
    scattered = np.zeros((8, 9, 4), np.float32)
    for group in range(4):
        scattered[connections[4 * group : 4 * group + 4], :, group] = params["weights"][0].reshape(4, 9, 4)[:, :, group]
    full = params | {"weights": [scattered.reshape(72, 4)]}
    for found, wanted in (
        (reference.op(sparse).forward(inputs, params), reference.op(dense).forward(inputs, full)),
        (
            reference.op(sparse).inputs_grad(0, inputs, grad, params),
            reference.op(dense).inputs_grad(0, inputs, grad, full),
        ),
    ):
        assert_double(found, wanted.value)


def test_tiny_products_get_a_floor_instead_of_a_bitwise_demand():
    """The magnitude underflows where float32 products do, the reference does not."""
    spec = specs.fc([2], 1)
    x, w = np.full((2, 1), 1e-23, np.float32), np.full((2, 1), 1e-23, np.float32)
    found = reference.op(spec).forward([x], {"weights": [w], "biases": np.zeros((1, 1), np.float32)})
    assert found.magnitude == 0
    assert 0 < found.value < found.bound()


def test_float64_is_asked_for_more_than_float32():
    """A thousandth of what float32 may be off by is too much for float64."""
    spec = LAYERS["two inputs"]
    inputs, _, params = draw(spec)
    found = reference.op(spec).forward(inputs, params)
    assert_double(found, found.value)
    with pytest.raises(AssertionError, match=f"{found.value.size} of {found.value.size} outside"):
        assert_double(found, found.value + found.bound() / 1000)
