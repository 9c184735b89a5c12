"""The GPU device without a GPU: everything but CUDA itself, on memory that the host cannot touch."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
from conv_calls import Layer, values
from device_runs import Steps, outcome
from fake_gpu import FakeGpu
from legacy_networks import cost, data, fc, same_bits

from alexnet_rosetta.harness.checks.golden import files
from alexnet_rosetta.legacy import Network, Refused, _call, cudaconv, gpu, launch_log
from alexnet_rosetta.legacy.gpu.memory import GUARD_WORDS, Memory, MemoryFault
from alexnet_rosetta.legacy.gpu.recording import DryDevice, planned

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("path", files.paths(GOLDEN), ids=lambda path: path.stem)
def test_recorded_cases_are_the_same_bit_for_bit(path):
    device = FakeGpu(debug=True)
    for case in files.read(path):
        assert outcome(case, device) == outcome(case, "cpu")
    assert not device.memory.live()


@pytest.mark.parametrize("name", ["tiny", "zoo"])
def test_networks_are_the_same_bit_for_bit(name):
    device = FakeGpu(debug=True)
    here, there = Steps(name, "cpu"), Steps(name, device)
    for _ in range(2):
        expected, found = here.run(), there.run()
        assert found == expected
        assert there.refused == here.refused
    assert sum(kind == "weights[0]" for _, kind, *_ in expected) > 2
    assert [(r["layer"], r["kernel"], r["args"]) for r in there.net.launches] == [
        (r["layer"], r["kernel"], r["args"]) for r in here.net.launches
    ]


def test_what_is_read_stays_and_what_goes_is_given_back():
    device = FakeGpu()
    references = sys.getrefcount(device)
    steps = Steps("tiny", device)
    steps.run()
    layer = steps.layers[2]["name"]
    acts = steps.net.read(layer, "acts")
    before = acts.tobytes()
    assert not acts.flags.writeable
    steps.run()
    assert acts.tobytes() == before
    held = device.memory.held()
    for _ in range(20):
        steps.run()
        steps.net.clear_launches()
    assert device.memory.held() == held
    del steps
    gc.collect()
    assert not device.memory.live()
    assert sys.getrefcount(device) == references


def test_grids_beyond_the_limits_run_in_parts(monkeypatch):
    monkeypatch.setattr(gpu.device, "MAX_GRID", (2**31 - 1, 3, 2))
    for path in ("convFilterActs", "convResponseNorm_cc2", "convLocalMaxUndo", "normalizeLocalWeights"):
        device = FakeGpu()
        for case in files.read(GOLDEN / f"{path}.npz"):
            assert outcome(case, device) == outcome(case, "cpu")
            assert all(grid[1] <= 3 and grid[2] <= 2 for _, grid, _ in device.driver.launched)


def test_parts_cover_a_grid_once():
    cells = [(first, count) for first, count in gpu.device.parts((7, 200_000, 70_000))]
    assert all(count[1] <= 65535 and count[2] <= 65535 for _, count in cells)
    assert sum(count[0] * count[1] * count[2] for _, count in cells) == 7 * 200_000 * 70_000
    assert len({first for first, _ in cells}) == len(cells) == 4 * 2


class Failing(FakeGpu):
    """A GPU on which something happens with the launches of some kernels."""

    def __init__(self, kernel, deed, **kwargs):
        super().__init__(**kwargs)
        self.kernel, self.deed = kernel, deed

    def launch(self, launch):
        if launch.kernel.startswith(self.kernel):
            self.deed(self)
        super().launch(launch)


class LaunchError(Exception):
    """What a driver raises."""


def test_errors_of_the_device_come_through():
    def fail(device):
        raise LaunchError("an illegal address")

    device = Failing("kEltwise", fail)
    layers = [data("x", 4), fc("fc", ["x"], [4], 3), {"name": "s", "type": "softmax", "inputs": ["fc"], "outputs": 3}]
    layers += [data("l", 1), cost("l", "s")]
    net, on_the_cpu = Network(layers, device=device), Network(layers)
    random = np.random.default_rng(1)
    x, weights = random.standard_normal((4, 2), np.float32), random.standard_normal((4, 3), np.float32)
    for one in (net, on_the_cpu):
        one.write("fc", "weights[0]", weights)
        one.forward("x", [x])
        one.forward("fc")
    on_the_cpu.forward("s")
    for _ in range(3):
        with pytest.raises(LaunchError, match="illegal address"):
            net.forward("s")
    device.kernel = "nothing"
    net.forward("s")
    assert same_bits(net.read("s", "acts"), on_the_cpu.read("s", "acts"))
    del net
    assert not device.memory.live()
    with pytest.raises(LaunchError):
        cudaconv.neuron(x, x, type="tanh", device=Failing("kEltwise", fail))


@pytest.mark.parametrize(("side", "word"), [("before", GUARD_WORDS - 1), ("behind", 0), ("behind", GUARD_WORDS - 1)])
def test_a_write_outside_of_a_matrix_is_found(side, word):
    def stray(device):
        address, size = next(iter(device.memory.live().items()))
        start = -GUARD_WORDS if side == "before" else size
        device.driver.fill(address + 4 * (start + word), 1, 1)

    x = np.ones((4, 2), np.float32)
    with pytest.raises(MemoryFault, match=rf"kEltwise.*grid.*1 of the 64 words {side} .* first at {word}"):
        cudaconv.neuron(x, x, type="tanh", device=Failing("kEltwise", stray, debug=True))


def test_contents_that_nobody_may_read_are_nan():
    device = FakeGpu(debug=True)
    kept = device.allocate(8)
    assert not device.driver.words(kept)[:8].any()
    device.forget(kept, 8)
    seen = np.empty(8, np.float32)
    device.copy_out(seen, kept)
    assert np.isnan(seen).all()
    device.release(kept)
    assert device.allocate(8) == kept
    assert not device.driver.words(kept)[:8].any()


def test_a_full_gpu_gives_up_what_waits():
    device = FakeGpu(limit=4000)
    first = device.allocate(600)
    device.release(first)
    assert device.memory.held() == 2400
    second = device.allocate(700)
    assert device.memory.held() == 2800
    with pytest.raises(MemoryError, match="full"):
        device.allocate(400)
    device.release(second)
    x = values(60, 60)
    with pytest.raises(MemoryError, match="full"):
        cudaconv.neuron(x, x, type="tanh", device=device)
    assert not device.memory.live()


def test_seconds_are_of_kernels_and_copies_apart():
    device = FakeGpu()
    steps = Steps("tiny", device)
    with pytest.raises(KeyError):
        steps.net.seconds(steps.layers[0]["name"], "forward")
    steps.run()
    name = next(layer["name"] for layer in steps.layers if layer["type"] == "conv")
    launches = [r for r in steps.net.launches if (r["layer"], r["pass"]) == (name, "forward")]
    assert steps.net.seconds(name, "forward") == sum(r["seconds"] for r in launches) > 0
    assert steps.net.copy_seconds(name, "forward") == 0
    assert steps.net.copy_seconds(steps.layers[0]["name"], "forward") > 0
    steps.net.logging = False
    count = len(steps.net.launches)
    steps.run()
    assert len(steps.net.launches) == count


@pytest.mark.parametrize("name", ["tiny", "zoo"])
def test_a_network_plans_what_it_will_launch(name):
    device = FakeGpu()
    steps = Steps(name, device, batch=4)
    steps.run()
    assert set(device._functions) <= set(planned(steps.layers, 4))


def test_dry_runs_take_no_memory():
    layer = Layer(n=128, c=256, f=384, img=64, size=3, pad=1)
    assert layer.forward()[1] == (1, 64 * 64 * 384 // 32)
    device = DryDevice()
    operand, target = _call.row("a", values(4000, 4000)), _call.row("target", None)
    with launch_log() as log:
        _call.call("NVMatrix::sumAll", [operand], [target], {}, device=device)
    assert [r["kernel"] for r in log] == ["kTotalAgg<agg::Sum>"] * len(log)


def test_without_a_gpu_the_reason_is_one_line(monkeypatch):
    monkeypatch.setattr(gpu, "_card", lambda: "A card")
    monkeypatch.setattr(gpu.cubins, "find_compiler", lambda: None)
    assert gpu.probe() == (False, "no CUDA compiler: install the CUDA toolkit (12 or 13) and put nvcc on PATH")
    with pytest.raises(Refused, match="no GPU to run on"):
        Network([data("x", 1)], device="gpu")
    with pytest.raises(Refused, match="no CUDA compiler"):
        cudaconv.neuron(values(1, 1), values(1, 1), type="tanh", device="gpu")


def test_the_pool_hands_back_blocks_of_the_same_size():
    device = FakeGpu()
    memory = Memory(device.driver)
    first, second = memory.allocate(10), memory.allocate(10)
    memory.release(first)
    assert memory.allocate(11) not in (first, second)
    assert memory.allocate(10) == first
    assert memory.held() == 4 * (10 + 10 + 11)
