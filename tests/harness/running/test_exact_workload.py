from dataclasses import replace

import numpy as np
import pytest
from small_nets import workload

from alexnet_rosetta.harness.engines.reference import ReferenceSession
from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.judging.row import sentence
from alexnet_rosetta.harness.reference import Bounded
from alexnet_rosetta.harness.running.prepare import rows
from alexnet_rosetta.harness.values import exact


class Rounding(ReferenceSession):
    """Off by one unit in the last place in every acts: well inside the bound of anything that adds."""

    def run_forward(self, layer, inputs, mask):
        acts = super().run_forward(layer, inputs, mask)
        return np.nextafter(acts, np.float32(np.inf)) if layer.type == "fc" else acts


def test_all_is_eighths_and_powers_of_two(tmp_path):
    work = workload(tmp_path, input="exact")
    for tensors in work.values.values():
        for array in tensors.values():
            assert np.array_equal(array * 8, np.round(array * 8))
            assert np.abs(array).max() <= exact.LARGEST / 8
    conv1 = work.network.spec["conv1"]
    assert conv1["epsW"] == [2**-7]
    assert conv1["epsB"] == 2**-6
    assert conv1["momB"] == 0.5
    assert conv1["wc"] == [0.0]


def test_what_must_be_exact_is(tmp_path):
    work = workload(tmp_path, input="exact")
    found = list(rows(work, "isolated"))
    for row in found:
        assert row.exact == exact.must_be_identical(work.network.spec[row.layer].to_dict(), row.tensor)
        assert row.findings["reference"].status == "identical" or not row.exact
    count = sum(row.exact for row in found)
    assert 0 < count < len(found)
    assert sentence(found).endswith(f" All {count} tensors that must match bit for bit do.")


def test_one_unit_in_the_last_place_is_a_difference(tmp_path):
    found = {
        (row.layer, row.tensor): row.findings["Rounding"]
        for row in rows(workload(tmp_path, Rounding, input="exact"), "isolated")
    }
    assert found["fc1", "acts"].status == "different"
    assert "same bits" in found["fc1", "acts"].reason
    plain = {
        (row.layer, row.tensor): row.findings["Rounding"] for row in rows(workload(tmp_path, Rounding), "isolated")
    }
    assert plain["fc1", "acts"].status == "equivalent"


def test_each_layer_is_fed_by_draws(tmp_path):
    seen = {}

    class Watcher(ReferenceSession):
        def backward(self, layer, acts_grad=None, progress=0.0):
            seen[layer] = acts_grad
            super().backward(layer, acts_grad, progress)

    for _ in rows(workload(tmp_path, Watcher, input="exact"), "isolated"):
        pass
    assert seen["probs"] is None
    for layer in ("fc2", "fc1", "conv1"):
        assert np.array_equal(seen[layer] * 8, np.round(seen[layer] * 8))


def test_sums_that_do_not_fit_are_refused(tmp_path):
    work = workload(tmp_path, input="exact")
    with pytest.raises(BadInput, match=r"exact tier.*fc1 acts"):
        work.inspect(work.network.spec["fc1"], "acts", Bounded(np.zeros(1), np.full(1, 2.0**19), 1))


@pytest.mark.parametrize(("batch", "hint"), [(6, 4), (100, 64)])
def test_the_batch_is_a_power_of_two(tmp_path, batch, hint):
    with pytest.raises(BadInput, match=rf"power of two, not {batch}; hint: try --batch {hint}"):
        workload(tmp_path, input="exact", batch=batch)


def test_frozen_rates_stay_frozen(tmp_path):
    from alexnet_rosetta.harness.running.exact_workload import exact_network

    work = workload(tmp_path)
    frozen = dict(work.network.spec["conv1"].keys) | {"epsW": [0.0]}
    layers = tuple(replace(x, keys=frozen) if x.name == "conv1" else x for x in work.network.layers)
    network = replace(work.network, spec=replace(work.network.spec, layers=layers))
    assert exact_network(network).spec["conv1"]["epsW"] == [0.0]
