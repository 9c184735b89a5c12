"""Timing full training steps."""

import csv
import json
import os
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from small_nets import Faulty, NoPooling, Raising, write_net

from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.bench import measure as bench
from alexnet_rosetta.harness.bench import tables as bench_table
from alexnet_rosetta.harness.bench.work import Work
from alexnet_rosetta.harness.cli import commands as cli
from alexnet_rosetta.harness.engines.peaks import Peak
from alexnet_rosetta.harness.engines.reference import Reference, ReferenceSession
from alexnet_rosetta.harness.engines.torch import CardClock
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.running.prepare import Options, prepare


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


def test_an_output_that_is_mostly_zeros_is_named(tmp_path):
    options = Options(write_net(tmp_path), engines=("port",), batch=4, threads=1)
    work = prepare(options)
    assert "zeros" not in bench.measure(options, 1, work=work).note
    work.values["conv1"]["biases"].fill(-1e6)
    note = bench.measure(options, 1, work=work).note
    assert "mostly zeros, so that times of what reads them say little: conv1_neuron (100%), pool1 (100%)" in note


def test_memory_of_a_step_stands_behind_full():
    """The outputs of cifar alone, at batch 64, are more than 40 MiB, whatever this process freed before."""
    before = [np.ones(2**13) for _ in range(4000)]
    last = np.ones(2**13)
    del before
    found = bench.measure(
        Options("cifar", engines=("port", "legacy-cpu"), input="random", batch=64, threads=1), repeat=1
    )
    assert all(2**30 > size > 5 * 2**20 for size in found.memory.values()), found.memory
    full, short = ("\n".join(bench_table.lines(found, full)) for full in (True, False))
    assert re.search(r"memory of a step, parameters apart: port \d+ MiB, legacy-cpu \d+ MiB", full)
    assert "memory of a step" not in short
    assert last.any()


def test_copies_between_host_and_card_are_counted_apart(card):
    found = bench.measure(Options("cifar", engines=("card", "port"), input="random", batch=4, threads=1), repeat=2)
    assert found.copies == {"card": bench.Timing(2.0, 0.0)}  # pictures and labels, each step
    assert found.total("card").seconds == pytest.approx(1e-3 * len(found.steps()))
    assert any(line.startswith("host-device") for line in bench_table.seconds_table(found))


@pytest.mark.parametrize(
    ("session", "code", "reason"),
    [
        (Raising, 1, "failed: after conv1_neuron forward: ValueError: boom (small_nets.py:"),
        (NoPooling, 3, "unsupported: this engine has no pooling"),
    ],
)
def test_an_engine_that_cannot_do_a_step_is_left_out(monkeypatch, tmp_path, session, code, reason):
    find = engines.find
    monkeypatch.setattr(engines, "find", lambda name: Faulty(session, name) if name == "double" else find(name))
    command = ["bench", write_net(tmp_path), "--batch", "4", "--repeat", "1", "--engines"]
    result = CliRunner().invoke(cli.cli, [*command, "double,reference"])
    assert result.exit_code == code
    assert f"not timed: double: {reason}" in result.output
    (heading,) = [line for line in result.output.splitlines() if line.startswith("layer ") and "GFLOP" not in line]
    assert heading.split() == ["layer", "pass", "reference"]
    result = CliRunner().invoke(cli.cli, [*command, "double"])
    assert result.exit_code == 3
    assert f"no engine was timed: double: {reason}" in result.stderr


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
    assert line((0.3, 0.01), (0.1, 0.01), (0.1, 0.01), names=("a", "b", "c")) == ("c", "(10)")


def test_an_interval_that_any_distribution_keeps():
    """Of six samples the ends miss the median in 2 of 64 cases, of nine the second from the ends in 20 of 512."""
    assert bench.interval([5, 1, 4, 2, 3]) is None
    assert bench.interval([5, 1, 4, 2, 3, 9]) == (1, 9)
    assert bench.interval([5, 1, 4, 2, 3, 9, 8, 7, 6]) == (2, 8)


def test_of_two_engines_the_interval_of_their_ratio_decides(card, monkeypatch):
    options = Options("cifar", engines=("card", "port"), input="random", batch=4, threads=1)
    monkeypatch.setattr(CardSession, "seconds", lambda self, layer, step: 1.0)
    found = bench.measure(options, repeat=6)
    keys = {*found.steps(), *(("total", step) for step in (*bench.PASSES, "all"))}
    assert found.ratios.keys() == {(*key, "card") for key in keys}
    assert all(low > 1 for low, _ in found.ratios.values())
    lines = list(bench_table.seconds_table(found))
    (total,) = [line for line in lines if line.split()[:2] == ["total", "all"]]
    assert total.endswith("slower")
    assert max(len(line) for line in lines if not line.startswith("note: ")) <= 100
    assert bench_table.plain(found)[0]["ratio_95"] == {"card": found.ratios["conv1", "forward", "card"]}


def test_of_three_engines_each_is_held_against_the_last(monkeypatch):
    find, seconds = engines.find, {"fast": 1.0, "slow": 4.0, "last": 2.0}

    class Named(Card):
        def __init__(self, name):
            self.name = name

        def open(self, network, threads):
            session = CardSession(network)
            session.seconds = lambda layer, step: seconds[self.name]
            return session

    monkeypatch.setattr(engines, "find", lambda name: Named(name) if name in seconds else find(name))
    options = Options("cifar", engines=tuple(seconds), input="random", batch=2, threads=1)
    found = bench.measure(options, repeat=6)
    assert found.ratios["conv1", "forward", "fast"] == found.ratios["total", "all", "fast"] == (0.5, 0.5)
    assert found.ratios["total", "update", "slow"] == (2, 2)
    assert {name for *_, name in found.ratios} == {"fast", "slow"}
    stored = json.loads(bench_table.as_json(found))
    assert stored["total_ratio_95"]["all"] == {"fast": [0.5, 0.5], "slow": [2, 2]}
    assert not any("95 %" in line for line in bench_table.seconds_table(found))  # the page has them


@pytest.mark.parametrize(("limits", "word"), [((0.5, 0.9), "faster"), ((0.9, 1.1), "~same"), ((1.1, 2.0), "slower")])
def test_a_ratio_in_a_word(limits, word):
    options, keys = Options("tiny", engines=("a", "b")), [("conv1", "forward", name) for name in "ab"]
    timings = dict.fromkeys(keys, bench.Timing(0.1, 0.0))
    found = bench.Measurement(options, SimpleNamespace(name="net"), 6, timings, {}, {}, ratios={keys[0]: limits})
    (line,) = [line for line in bench_table.seconds_table(found) if line.startswith("conv1")]
    assert line.endswith(f"{limits[0]:.2f}-{limits[1]:.2f} {word}")


def test_shares_of_the_peak_and_the_labelled_model(card):
    found = bench.measure(Options("cifar", engines=("card", "port"), input="random", batch=4, threads=1), repeat=1)
    assert set(found.peaks) == {"card", "port"}
    lines = list(bench_table.work_table(found))
    (conv1,) = [line for line in lines if line.startswith("conv1 ") and " forward " in line]
    operations, moved = 2 * 4 * 75 * 32 * 32 * 32, 4 * (4 * (3 + 32) * 32 * 32 + 32 * 76)
    assert bench_table.counted(found)[0] == ("conv1", "forward", Work(operations, moved))
    rate, share = re.search(r" ([0-9.]+) \( *([0-9]+)%\)", conv1).groups()
    assert rate == f"{operations / 1e6:.1f}"  # GFLOP/s, in a millisecond
    assert share == f"{operations / 1e7:.0f}"  # per cent of 1000 GFLOP/s
    assert conv1.split()[-1] == f"{1e3 * max(operations / 1.58e12, moved / 192e9):.3f}"
    assert "model, not a measurement" in lines[-1]


def test_the_peak_of_this_processor_is_measured_in_the_run():
    found = bench.measure(Options("cifar", engines=("port",), input="random", batch=16, threads=1), repeat=1)
    peak = found.peaks["port"]
    assert peak.name == "1 threads, measured"
    assert 1e9 < peak.flops < 1e12  # of one thread: 0.5 to 500 multiply-adds a nanosecond
    assert 1e8 < peak.bandwidth < 1e12
    full = list(bench_table.lines(found))
    assert any(line.startswith("conv2 ") and line.count("%)") == 2 for line in full)
    short = list(bench_table.lines(found, full=False))
    assert not any("GFLOP " in line for line in short)
    assert short[-1].startswith("--full: ")


def test_a_wrong_engine_is_refused_before_the_heading(tmp_path, monkeypatch):
    result = bench_command(tmp_path, monkeypatch, "--engines", "nope")
    assert (result.exit_code, result.stdout) == (2, "")


def test_images_per_second_stand_beside_those_of_2012(card):
    options = Options("cifar", engines=("card",), input="random", batch=4, threads=1)
    found = bench.measure(options, repeat=1)
    lines = list(bench_table.comparison_with_2012(found))
    assert f"{4 / found.total('card').seconds:.1f} images/s" in lines[0]
    assert not any("two GTX 580" in line for line in lines)  # a figure of the network of the paper
    assert "model, not a measurement" in lines[-1]
    paper = bench.Measurement(options, type("Network", (), {"name": "alexnet", "graph": found.network.graph}),
                              1, found.timings, {}, {})  # fmt: skip
    assert "208-250 images/s, from 90 epochs of 1.2 million images in 5 to 6 days" in "\n".join(
        bench_table.comparison_with_2012(paper))  # fmt: skip


def measured(timings, engines=("legacy-cpu", "port"), net="alexnet", peaks=None):
    """A Measurement with the same timings for every layer and pass."""
    network = networks.load(net)
    steps = [(layer.name, "forward") for layer in network.layers if layer.type != "data"]
    steps += [(layer.name, "backward") for layer in network.graph.backward_order()]
    found = {(*key, name): bench.Timing(*timings[k]) for key in steps for k, name in enumerate(engines)}
    return bench.Measurement(Options(net, engines=engines, batch=128), network, 5, found, {}, peaks or {})


@pytest.mark.parametrize("seconds", [1.234e-6, 0.01234, 12.34])
def test_lines_of_two_engines_fit_an_ordinary_terminal(seconds):
    found = measured([(seconds, seconds / 7), (2 * seconds, seconds / 3)])
    lines = list(bench_table.lines(found))
    assert max(map(len, lines)) < 100
    tables = lines[3 : lines.index("")] + lines[lines.index("") + 1 : -4]
    assert max(map(len, tables)) <= 84
    body = [line for line in lines if " forward " in line]
    assert not any(re.search(r"\.\d{4}|e[-+]", line) for line in body)


def test_quartiles_further_apart_than_the_median_are_marked():
    quiet, noisy = measured([(0.01, 0.009)] * 2), measured([(0.01, 0.009), (0.01, 0.011)])
    assert not any("*" in line for line in bench_table.seconds_table(quiet))
    (conv,) = [line for line in bench_table.seconds_table(noisy) if line.startswith("conv1a ") and "forward" in line]
    assert "10.0 (9.0)  " in conv
    assert "10.0 (11)*" in conv
    assert list(bench_table.seconds_table(noisy))[-1].startswith("* ")


def bench_command(folder, monkeypatch, *more):
    monkeypatch.chdir(folder)
    return CliRunner().invoke(cli.cli, ["bench", "tiny", "--engines", "reference,port", "--batch", "4", "--repeat", "2",
                                        "--threads", "1", *more])  # fmt: skip


def test_a_bench_is_stored_as_json_and_as_csv(tmp_path, monkeypatch):
    assert bench_command(tmp_path, monkeypatch, "--out", "b.json").output.endswith("stored in b.json\n")
    about = json.loads((tmp_path / "b.json").read_text())
    assert (about["repeat"], about["options"]["batch"], about["environment"]["threads"]) == (2, 4, 1)
    assert set(about["images_per_second"]) == {"reference", "port"}
    (conv,) = [row for row in about["layers"] if (row["layer"], row["pass"]) == ("conv1", "forward")]
    assert set(conv["seconds"]) == set(conv["spread"]) == {"reference", "port"}
    assert bench_command(tmp_path, monkeypatch, "--out", "b.csv").exit_code == 0
    with open(tmp_path / "b.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == sum(len(row["seconds"]) for row in about["layers"])
    assert float(lines[0]["seconds"]) > 0
    assert int(lines[0]["operations"]) == about["layers"][0]["operations"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.csv", "b.json"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("b.txt", ".json or .csv"), ("there.json", "exists"), ("no/b.json", "no folder no"), ("b", ".json or .csv")],
)
def test_a_file_that_cannot_be_stored_is_refused_before_anything_runs(tmp_path, monkeypatch, name, words):
    (tmp_path / "there.json").write_text("mine")
    monkeypatch.setattr(bench, "measure", lambda *_: pytest.fail("it ran"))
    result = bench_command(tmp_path, monkeypatch, "--out", name)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert words in result.stderr
    assert (tmp_path / "there.json").read_text() == "mine"


def test_a_folder_that_takes_no_files_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "measure", lambda *_: pytest.fail("it ran"))
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs the tests may write anywhere
    result = bench_command(tmp_path, monkeypatch, "--out", "b.json")
    assert (result.exit_code, "b.json cannot be written" in result.stderr) == (2, True)


def test_the_bar_of_a_bench_ends_full(monkeypatch):
    told = []
    bench.measure(Options("tiny", engines=("reference", "port"), input="random", batch=4, threads=1), 2,
                  lambda total, what: told.append((total, what)))  # fmt: skip
    assert {total for total, _ in told} == {len(told)}
    assert told[0][1].startswith("warm-up reference forward ")
    assert told[-1][1].startswith("step 2 port update ")


def test_a_bench_says_at_once_what_it_does(tmp_path, monkeypatch):
    def measure(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "measure", measure)
    result = bench_command(tmp_path, monkeypatch)
    assert result.exit_code == cli.INTERRUPTED
    assert result.output.splitlines()[0] == "tiny: of each engine one step to warm up and 2 that are timed, in turn"


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


@pytest.mark.parametrize("engine", ["torch", "torch-channels-last", "torch-gpu"])
def test_without_torch_its_engines_say_how_to_get_it(monkeypatch, engine):
    monkeypatch.setitem(sys.modules, "torch", None)
    reason = "not installed; pip install -e '.[witness]' in the source tree"
    assert engines.find(engine).probe() == (False, reason)


@pytest.mark.witness
def test_torch_without_a_card_says_so(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for cuda, why in ((None, "is built without CUDA"), ("12.4", "is built for CUDA 12.4 but finds no card")):
        monkeypatch.setattr(torch.version, "cuda", cuda)
        assert engines.find("torch-gpu").probe() == (False, f"PyTorch {torch.__version__} {why}")


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
