"""What a layer type says of itself beside its formulas."""

import inspect

import pytest

from alexnet_rosetta.harness.network.cost_inputs import KINDS
from alexnet_rosetta.harness.reference import _LAYERS, _NEURONS, _POOLS, facts
from alexnet_rosetta.harness.reference.layer import Cost, Layer

TYPES = {**_LAYERS, **_NEURONS, **{f"pool={name}": found for name, found in _POOLS.items()}}


@pytest.mark.parametrize("name", TYPES)
def test_a_type_says_what_is_true_of_its_formulas(name):
    found = TYPES[name]
    assert issubclass(found, Layer)
    assert issubclass(found, Cost) == name.startswith("cost.")
    assert found.labels in (None, *KINDS)
    assert found.labels or not (found.labels_per_class or found.fused_labels)
    assert (found.gradient_check is not None) == hasattr(found, "params_grad")
    assert "accumulate" not in vars(found) or "weights_inc" in found.exact
    assert set(found.exact) <= {"acts", "inputs_grad", "weights_grad", "weights_inc", "biases_grad"}


@pytest.mark.parametrize("name", [name for name, found in _LAYERS.items() if found.fused_labels])
def test_what_labels_are_called_is_an_argument_of_the_layer_below(name):
    below = [found for found in TYPES.values() if name in found.fuses_with]
    assert below
    for found in below:
        assert _LAYERS[name].fused_labels in inspect.signature(found.inputs_grad).parameters


def test_random_pooling_that_takes_the_maximum_draws_nothing():
    pool = {"type": "pool", "pool": "rand"}
    assert facts(pool).noise(pool, "train")
    assert facts(pool | {"doMax": True}).noise(pool, "train") is None
    assert facts({"type": "data"}) is Layer
