"""Names of tensors."""

import pytest

from alexnet_rosetta.harness.network import tensors


@pytest.mark.parametrize(("name", "i"), [("weights", 0), ("weights", 12), ("inputs_grad", 1), ("biases", None)])
def test_a_name_and_its_parts(name, i):
    tensor = name if i is None else f"{name}[{i}]"
    assert tensors.address(tensor) == (name, i)
    assert tensors.index(tensor) == i


@pytest.mark.parametrize("tensor", ["weights[3]", "biases"])
def test_companions_of_a_parameter(tensor):
    for companion in (tensors.increment, tensors.gradient):
        assert tensors.parameter(companion(tensor)) == tensor
        assert tensors.is_parameter(companion(tensor))
    assert tensors.increment("weights[3]") == "weights_inc[3]"
    assert tensors.gradient("biases") == "biases_grad"
    assert tensors.connections("weights[3]") == "filterConns[3]"
