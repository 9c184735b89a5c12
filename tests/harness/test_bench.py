"""Timing full training steps."""

import re
import sys
from types import SimpleNamespace

import pytest

from alexnet_rosetta.harness import bench, bench_table, engines
from alexnet_rosetta.harness.engines.reference import Reference, ReferenceSession
from alexnet_rosetta.harness.engines.torch import CardClock
from alexnet_rosetta.harness.peaks import Peak
from alexnet_rosetta.harness.run import Options
from alexnet_rosetta.harness.work_counts import Work


class Card(Reference):
    """An engine that says what its machine can do, and copies each layer of data in a second."""

    name = "card"

    def peak(self):
        return Peak("a card", 1e12, 1e11)

    def open(self, network, threads):
        return CardSession(network)


class CardSession(ReferenceSession):
    def copy_seconds(self, layer, step):
        return float(self.graph.layers[layer].type == "data")

    def seconds(self, layer, step):
        return 1e-3


@pytest.fixture
def card(monkeypatch):
    find = engines.find
    monkeypatch.setattr(engines, "find", lambda name: Card() if name == "card" else find(name))


def test_every_layer_and_pass_is_timed_in_every_engine():
    options = Options("cifar", engines=("port", "reference"), input="random", batch=4, threads=1)
    timings = bench.measure(options, repeat=2).timings
    for engine in options.engines:
        steps = {(layer, step) for layer, step, name in timings if name == engine}
        assert ("conv1", "forward") in steps
        assert ("conv3", "backward") in steps
        assert ("fc10", "update") in steps
    assert all(timing.seconds > 0 for timing in timings.values())


def test_the_table_ends_with_sums_and_images_per_second():
    found = bench.measure(Options("tiny", engines=("port",), input="random", batch=4, threads=1), repeat=1)
    lines = list(bench_table.seconds_table(found))
    totals = [line.split()[1] for line in lines if line.startswith("total")]
    assert totals == ["forward", "backward", "update", "all"]
    assert lines[-1].startswith("images/s")


def test_copies_between_host_and_card_are_counted_apart(card):
    found = bench.measure(Options("cifar", engines=("card", "port"), input="random", batch=4, threads=1), repeat=2)
    assert found.copies == {"card": bench.Timing(2.0, 0.0)}             # pictures and labels, each step
    assert found.total("card").seconds == pytest.approx(1e-3 * len(found.steps()))
    assert any(line.startswith("host-device") for line in bench_table.seconds_table(found))


def test_a_ratio_is_the_first_over_the_second_and_outside_the_noise():
    def line(*timings, names=("one", "two")):
        keys = {("conv1", "forward", name): bench.Timing(*timing) for name, timing in zip(names, timings, strict=True)}
        network = SimpleNamespace(name="net")
        found = bench.Measurement(Options("tiny", engines=names), network, 5, keys, {}, {})
        lines = list(bench_table.seconds_table(found))
        (heading,), (conv1,) = ([line for line in lines if line.startswith(word)] for word in ("layer", "conv1"))
        return heading.split()[-1], conv1.split()[-1]

    assert line((0.3, 0.01), (0.1, 0.01)) == ("one/two", "3.00")
    assert line((0.3, 0.15), (0.1, 0.1)) == ("one/two", "-")
    assert line((3e-4, 0.0), (1e-1, 0.0)) == ("one/two", "-")
    assert line((0.3, 0.01), (0.1, 0.01), (0.1, 0.01), names=("a", "b", "c")) == ("c", "(0.010000)")


def test_shares_of_the_peak_and_the_labelled_model(card):
    found = bench.measure(Options("cifar", engines=("card", "port"), input="random", batch=4, threads=1), repeat=1)
    assert set(found.peaks) == {"card"}
    lines = list(bench_table.work_table(found))
    (conv1,) = [line for line in lines if line.startswith("conv1 ") and " forward " in line]
    operations, moved = 2 * 4 * 75 * 32 * 32 * 32, 4 * (4 * (3 + 32) * 32 * 32 + 32 * 76)
    assert bench_table.counted(found)[0] == ("conv1", "forward", Work(operations, moved))
    rate, share = re.search(r" ([0-9.]+) \( *([0-9]+)%\)", conv1).groups()
    assert rate == f"{operations / 1e6:.1f}"                            # GFLOP/s, in a millisecond
    assert share == f"{operations / 1e7:.0f}"                           # per cent of 1000 GFLOP/s
    assert conv1.split()[-1] == f"{1e3 * max(operations / 1.58e12, moved / 192e9):.3f}"
    assert "model, not a measurement" in lines[-1]


def test_images_per_second_stand_beside_those_of_2012(card):
    options = Options("cifar", engines=("card",), input="random", batch=4, threads=1)
    found = bench.measure(options, repeat=1)
    lines = list(bench_table.comparison_with_2012(found))
    assert f"{4 / found.total('card').seconds:.1f} images/s" in lines[0]
    assert not any("two GTX 580" in line for line in lines)             # a figure of the network of the paper
    assert "model, not a measurement" in lines[-1]
    paper = bench.Measurement(options, type("Network", (), {"name": "alexnet", "graph": found.network.graph}),
                              1, found.timings, {}, {})  # fmt: skip
    assert "208-250 images/s, from 90 epochs of 1.2 million images in 5 to 6 days" in "\n".join(
        bench_table.comparison_with_2012(paper))  # fmt: skip


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


def test_torch_on_a_card_says_why_not():
    available, reason = engines.find("torch-gpu").probe()
    assert available or "torch" in reason.lower() or "not installed" in reason


def test_seconds_of_a_card_are_those_between_its_events(monkeypatch):
    clock = iter([5.0, 7.5])

    class Event:
        def __init__(self, enable_timing):
            self.waited = not enable_timing

        def record(self):
            self.milliseconds = next(clock)

        def synchronize(self):
            self.waited = True

        def elapsed_time(self, stop):
            assert stop.waited
            return stop.milliseconds - self.milliseconds

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(Event=Event)))
    marks = CardClock()
    assert marks.between(marks.mark(), marks.mark()) == 2.5e-3
