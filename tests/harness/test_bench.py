"""Timing full training steps."""

import pytest

from alexnet_rosetta.harness import bench
from alexnet_rosetta.harness.run import Options


def test_every_layer_and_pass_is_timed_in_every_engine():
    options = Options("cifar", engines=("port", "reference"), input="random", batch=4, threads=1)
    timings = bench.measure(options, repeat=2)
    for engine in options.engines:
        steps = {(layer, step) for layer, step, name in timings if name == engine}
        assert ("conv1", "forward") in steps
        assert ("conv3", "backward") in steps
        assert ("fc10", "update") in steps
    assert all(timing.seconds > 0 for timing in timings.values())


def test_the_table_ends_with_sums_and_images_per_second():
    lines = list(bench.lines(Options("tiny", engines=("port",), input="random", batch=4, threads=1), repeat=1))
    totals = [line.split()[1] for line in lines if line.startswith("total")]
    assert totals == ["forward", "backward", "update", "all"]
    assert lines[-1].startswith("images/s")


def test_timing_of_samples_is_median_and_quartile_distance():
    assert bench.Timing.of([1.0, 2.0, 3.0, 4.0, 100.0]) == bench.Timing(3.0, 2.0)
    assert bench.Timing.of([2.0]) == bench.Timing(2.0, 0.0)


@pytest.mark.witness
def test_torch_agrees_with_the_reference():
    pytest.importorskip("torch")
    from alexnet_rosetta.harness import compare

    found = compare("cifar", engines=("torch", "torch-channels-last"), input="random", batch=16)
    assert found.exit_code == 0, found.sentence
    assert found.rows["verdict"].isin(["identical", "equivalent"]).all()
