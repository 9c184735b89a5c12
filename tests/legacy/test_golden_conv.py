"""Convolution and local layers against recorded outputs of the historical kernels: the same bits, the same launches."""

from functools import cache

import golden_util as golden
import numpy as np
import ordered_conv
import pytest

from alexnet_rosetta import legacy
from alexnet_rosetta.legacy import Refused, isa

ENTRIES = [f"{layer}{what}Acts{table}" for layer in ("conv", "local") for what in ("Filter", "Img", "Weight")
           for table in ("", "Sparse")]  # fmt: skip
WEIGHTS = [entry for entry in ENTRIES if "Weight" in entry]


@cache
def recorded(entry):
    """(arrays, description) of every case of an entry point."""
    return list(golden.cases(entry))


@cache
def recorded_fused(entry):
    """{case number: output} where contracting a*b + c changed the recording."""
    path = golden.GOLDEN / "fma" / f"{entry}.npz"
    if not path.exists():
        return {}
    with np.load(path) as data:
        return {int(key.split("/")[0]): data[key] for key in data.files if key != "meta"}


def rounds_products(arrays):
    """Whether a product of activities rounds: most inputs are multiples of 1/4, and their products exact."""
    return any((4 * arrays[name] % 1).any() for name in ("in_images", "in_hidActs"))


def expected(entry, k, arrays, case, fused):
    """The output that a module must give."""
    if fused and k in recorded_fused(entry):
        return recorded_fused(entry)[k]
    if fused and entry in WEIGHTS and "short" not in case["entry"] and rounds_products(arrays):
        return ordered_conv.weight_gradient(arrays, case, fused=True)
    return arrays["out_targets"]


@pytest.mark.parametrize("module", isa.available())
@pytest.mark.parametrize("entry", ENTRIES)
def test_recorded_outputs(entry, module):
    fused = isa.load(module).build_info()["fma"]
    with legacy.use_isa(module):
        for k, (arrays, case) in enumerate(recorded(entry)):
            if case.get("rejected_by_assert"):
                with pytest.raises(Refused):
                    golden.run(entry, arrays, case)
                continue
            outputs, log = golden.run(entry, arrays, case)
            assert golden.launches(log) == golden.recorded_launches(case), f"case {k}"
            wanted = expected(entry, k, arrays, case, fused)
            assert outputs["targets"].shape == wanted.shape, f"case {k}"
            same = golden.same_bits(outputs["targets"], wanted)
            assert same.all(), f"case {k}: {(~same).sum()} of {same.size} elements differ"


@pytest.mark.parametrize("entry", WEIGHTS)
def test_ordered_sums_are_those_of_the_recording(entry):
    """The NumPy expectation itself: rounded products give the recording, fused ones the recording with contraction."""
    for k, (arrays, case) in enumerate(recorded(entry)):
        if case.get("rejected_by_assert") or "short" in case["entry"] or not rounds_products(arrays):
            continue
        assert golden.same_bits(ordered_conv.weight_gradient(arrays, case, fused=False), arrays["out_targets"]).all()
        if k in recorded_fused(entry):
            fused = ordered_conv.weight_gradient(arrays, case, fused=True)
            assert golden.same_bits(fused, recorded_fused(entry)[k]).all()


@pytest.mark.parametrize("entry", ENTRIES)
def test_number_of_threads_does_not_matter(entry, monkeypatch):
    blocks = [np.prod(case["launches"][0]["grid"]) if case["launches"] else 0 for _, case in recorded(entry)]
    arrays, case = recorded(entry)[int(np.argmax(blocks))]
    results = []
    for threads in ("1", "3"):
        monkeypatch.setenv("ROSETTA_THREADS", threads)
        results.append(golden.run(entry, arrays, case)[0]["targets"].tobytes())
    assert max(blocks) > 3
    assert results[0] == results[1]


@pytest.mark.parametrize("entry", [f"{layer}WeightActsSparse" for layer in ("conv", "local")])
def test_short_overload_needs_a_target(entry):
    arrays, case = next((arrays, case) for arrays, case in recorded(entry) if "short" in case["entry"])
    case = {**case, "inputs": {**case["inputs"], "targets": {"unset": True}}}
    with pytest.raises(Refused, match="targets has the wrong shape"):
        golden.run(entry, arrays, case)
