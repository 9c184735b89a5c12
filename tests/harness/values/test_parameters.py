from itertools import combinations

import numpy as np
import pytest
from rule_nets import DEFINITION, PARAMS
from small_nets import DEFINITION as DEFINITION_OF_SMALL
from small_nets import PARAMS as PARAMS_OF_SMALL
from small_nets import WEIGHTS, write_net

from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.network import tensors as names
from alexnet_rosetta.harness.running.prepare import Options, prepare
from alexnet_rosetta.harness.values import parameters


@pytest.fixture
def network(tmp_path):
    return networks.load(write_net(tmp_path))


def test_shapes_names_and_repetition(network):
    values = parameters.make(network, seed=4)
    assert set(values) == {"conv1", "fc1", "fc2"}
    assert values["fc2"]["weights[1]"].shape == (12, 10)
    assert values["conv1"]["biases_inc"].shape == (16, 1)
    again = parameters.make(network, seed=4)
    for layer, tensors in values.items():
        assert all(np.array_equal(array, again[layer][name]) for name, array in tensors.items())
        assert all(array.dtype == np.float32 for array in tensors.values())


def test_no_two_arrays_are_drawn_alike(tmp_path):
    """Shapes are made equal, so that a stream that two arrays share would show."""
    alike = DEFINITION_OF_SMALL.replace("outputs=12", "outputs=10").replace("inputs=pool1", "inputs=pool1,pool1")
    alike = alike.replace("outputs=10\ninitW=0.1\n", "outputs=10\ninitW=0.1,0.1\n")
    two = PARAMS_OF_SMALL.replace("[fc1]\n" + WEIGHTS, "[fc1]\n" + PARAMS_OF_SMALL.split("[fc2]\n")[1].split("\n\n")[0])
    values = parameters.make(networks.load(write_net(tmp_path, alike, two)), seed=3)
    drawn = [array for tensors in values.values() for name, array in tensors.items() if name != "biases"]
    shapes = [array.shape for array in drawn]
    assert max(map(shapes.count, shapes)) >= 4
    standard = [array.ravel()[:10] / array.ravel()[0] for array in drawn]
    assert all(not np.allclose(a, b) for a, b in combinations(standard, 2))


def test_biases_are_constant_and_weights_as_wide_as_asked(network):
    values = parameters.make(network, seed=0)
    assert (values["conv1"]["biases"] == np.float32(0.2)).all()
    weights = values["fc1"]["weights[0]"]
    expected_error = 0.1 / (2 * weights.size) ** 0.5
    assert abs(weights.std() - 0.1) < 5 * expected_error


def test_momentum_is_never_zero(network):
    for tensors in parameters.make(network, seed=0).values():
        assert all(array.any() for name, array in tensors.items() if "_inc" in name)


def test_names_of_companions():
    assert names.increment("weights[1]") == "weights_inc[1]"
    assert names.gradient("biases") == "biases_grad"
    assert names.index("weights[12]") == 12
    assert names.index("biases") is None


def save(path, network, **changes):
    values = parameters.make(network, seed=9)
    arrays = {
        f"{layer}.{name}": array
        for layer, tensors in values.items()
        for name, array in tensors.items()
        if "_inc" not in name
    }
    arrays = {name: array for name, array in (arrays | changes).items() if array is not None}
    np.savez(path, **arrays)
    return arrays


def test_weights_from_a_file(tmp_path, network):
    arrays = save(tmp_path / "weights.npz", network)
    values = parameters.make(network, seed=0, weights_file=tmp_path / "weights.npz")
    assert np.array_equal(values["fc1"]["weights[0]"], arrays["fc1.weights[0]"])
    assert values["fc1"]["weights_inc[0]"].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fc1.biases": None}, r"fc1\.biases is missing"),
        ({"fc9.biases": np.zeros((1, 3), np.float32)}, r"fc9\.biases is no parameter"),
        ({"fc1.biases": np.zeros((12, 1), np.float32)}, r"fc1\.biases.*wrong shape.*transposed"),
        ({"conv1.weights[0]": np.full((27, 16), np.inf, np.float32)}, r"conv1\.weights\[0\].*inf at \(0, 0\)"),
    ],
)
def test_bad_weights_are_named(tmp_path, network, changes, message):
    save(tmp_path / "weights.npz", network, **changes)
    with pytest.raises(BadInput, match=message):
        parameters.make(network, seed=0, weights_file=tmp_path / "weights.npz")


def test_weights_of_a_checkpoint_have_to_be_given(tmp_path, network):
    small = DEFINITION_OF_SMALL.replace("[fc1]", "[fc1]\ninitWFunc=initw.makew(fc1)")
    net = write_net(tmp_path, small)
    with pytest.raises(BadInput, match=r"(?s)\[fc1\] initWFunc: .*earlier checkpoint.*--weights FILE"):
        prepare(Options(net, engines=("reference",), batch=2))
    arrays = save(tmp_path / "weights.npz", network)
    work = prepare(Options(net, engines=("reference",), batch=2, weights=str(tmp_path / "weights.npz")))
    assert np.array_equal(work.values["fc1"]["weights[0]"], arrays["fc1.weights[0]"])


@pytest.fixture
def sparse(tmp_path):
    return networks.load(write_net(tmp_path, DEFINITION, PARAMS, "rules"))


def saved(path, network, **changes):
    """An npz file with all that a network of `rule_nets` wants."""
    values = parameters.make(network, seed=9)
    arrays = {
        f"{layer}.{tensor}": array for layer, tensor, array in parameters.owned(network, values) if "_inc" not in tensor
    }
    arrays = {name: array for name, array in (arrays | changes).items() if array is not None}
    np.savez(path, **arrays)
    return arrays


def test_connections_come_with_the_weights(tmp_path, sparse):
    arrays = saved(tmp_path / "w.npz", sparse)
    values = parameters.make(sparse, seed=0, weights_file=tmp_path / "w.npz")
    read, drawn = (made["sparse1"]["filterConns[0]"] for made in (values, parameters.make(sparse, seed=0)))
    assert np.array_equal(read, arrays["sparse1.filterConns[0]"])
    assert not np.array_equal(read, drawn)
    assert values["again2"]["weights[0]"] is values["again1"]["weights[0]"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sparse1.filterConns[0]": None}, r"sparse1\.filterConns\[0\] is missing"),
        ({"conv1.filterConns[0]": np.arange(3)}, r"conv1\.filterConns\[0\] is no parameter"),
        ({"again2.weights[0]": np.zeros((288, 32), np.float32)}, r"again2\.weights\[0\] is no parameter"),
        ({"sparse1.filterConns[0]": np.zeros(16, int)}, r"has no such connections.*1 permutation\(s\) of 0 \.\.\. 15"),
        ({"sparse1.filterConns[0]": np.arange(16.0)}, r"integers.*float64 \(16,\)"),
        ({"sparse1.filterConns[0]": np.arange(8)}, r"int64 \(8,\)"),
    ],
)
def test_bad_connections_are_named(tmp_path, sparse, changes, message):
    saved(tmp_path / "w.npz", sparse, **changes)
    with pytest.raises(BadInput, match=f"(?s){message}"):
        parameters.make(sparse, seed=0, weights_file=tmp_path / "w.npz")
