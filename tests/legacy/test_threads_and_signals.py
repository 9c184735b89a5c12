"""Python threads, forks, Ctrl-C, and the launch log: what a process may do to the engine."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from legacy_networks import (
    NETS,
    backward_order,
    cost,
    data,
    fc,
    forward,
    initialise,
    network,
    normal,
    same_bits,
    shipped,
)

from alexnet_rosetta.legacy import Network, Refused, _call, build_info, cudaconv, launch_log, quirks, use_isa

WIDE = {"numFilters": 1, "subsX": 5, "startX": 0, "strideX": 1, "outputsX": 15000}


def script(text, **environment):
    """Exit status of a Python script in a process of its own, by signal -N."""
    return subprocess.run([sys.executable, "-c", text], env=os.environ | environment, timeout=120).returncode


def test_two_threads_on_one_network_wait_for_each_other():
    assert (
        script(f"""
import numpy as np
from threading import Thread
from alexnet_rosetta.legacy import Network
from alexnet_rosetta.port.config import load_network

layers = [layer.to_dict() for layer in load_network("{NETS}/tiny.cfg", "{NETS}/tiny-params.cfg").layers]
net = Network(layers, threads=1)
first = next(layer for layer in layers if layer.get("inputs") == ["data"])

def run(batch):
    values = np.ones((layers[0]["outputs"], batch), np.float32)
    for _ in range(300):
        net.forward("data", [values])
        net.forward(first["name"], [values])
        net.read(first["name"], "acts")

threads = [Thread(target=run, args=(batch,)) for batch in (2, 64)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
""")
        == 0
    )


def test_a_child_of_a_process_with_a_team_of_threads_works_with_one():
    assert (
        script(
            """
import os, signal
import numpy as np
from alexnet_rosetta.legacy import cudaconv

def call():
    return cudaconv.convTICA(np.ones((16 * 64, 128), np.float32), numFilters=16, sizeX=3).tobytes()

expected, child = call(), os.fork()
if not child:
    signal.alarm(30)
    os._exit(call() != expected)
assert os.waitpid(child, 0)[1] == 0
""",
            ROSETTA_THREADS="2",
        )
        == 0
    )


def test_settings_of_a_thread_are_not_those_of_others():
    with ThreadPoolExecutor(1) as other, launch_log() as log, quirks(blur_last_tap=False), use_isa("strict"):
        assert other.submit(_call.turned).result() == {}
        assert build_info()["isa"] == "strict"
        assert other.submit(build_info).result() == _call._default_module().build_info() | {
            "threads": _call.default_threads()}  # fmt: skip
        other.submit(cudaconv.convTICA, np.ones((16, 1), np.float32), numFilters=16, sizeX=1).result()
        assert log == []
        cudaconv.convTICA(np.ones((16, 1), np.float32), numFilters=16, sizeX=1)
        assert len(log) == 1


@pytest.mark.parametrize("threads", [0, -1, 1025, 100_000, 10**30, 1.5, "2"])
def test_numbers_of_threads(threads):
    with pytest.raises(Refused, match="number of threads"):
        Network([data("one", 1)], threads=threads)


@pytest.mark.parametrize("threads", ["abc", "0", "-5", "100000", "1.5"])
def test_number_of_threads_of_the_environment(threads, monkeypatch):
    monkeypatch.setenv("ROSETTA_THREADS", threads)
    with pytest.raises(Refused, match="ROSETTA_THREADS"):
        Network([data("one", 1)])


class Now(Exception):
    """What a signal handler raises."""


@pytest.fixture
def _in_a_moment():
    """A signal whose handler raises `Now` in a fifth of a second, and which kills the process in half a minute."""

    def handle(*_):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        raise Now

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.2, 30)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_in_a_moment")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_signal_ends_a_long_kernel_between_blocks(threads, monkeypatch):
    monkeypatch.setenv("ROSETTA_THREADS", threads)
    with pytest.raises(Now):
        cudaconv.convLocalPool(np.ones((1, 1), np.float32), **WIDE)


@pytest.mark.usefixtures("_in_a_moment")
def test_a_signal_ends_a_step_of_a_network_and_leaves_the_layer_empty():
    pool = {"name": "pool", "type": "pool", "inputs": ["image"], "outputs": WIDE["outputsX"] ** 2, "channels": 1,
            "imgSize": 1, "sizeX": 5, "start": 0, "stride": 1, "outputsX": WIDE["outputsX"], "pool": "max"}  # fmt: skip
    net = Network([data("image", 1), pool], threads=1)
    net.forward("image", [np.ones((1, 1), np.float32)])
    with pytest.raises(Now):
        net.forward("pool")
    with pytest.raises(KeyError):
        net.read("pool", "acts")
    assert net.read("image", "acts") == 1


def test_nobody_logs_launches_unless_asked():
    net = network(fc("top", ["a"], [3], 2), a=3)
    net.forward("top", [np.ones((3, 2), np.float32)])
    assert not net.logging
    assert net.launches == []


def test_a_log_keeps_the_newest_launches(monkeypatch):
    whole, layers, values, masks = shipped("tiny", 2)
    forward(whole, layers, values, masks)
    monkeypatch.setattr(_call, "MOST_LAUNCHES", 7)
    net, *_ = shipped("tiny", 2)
    forward(net, layers, values, masks)
    kernels = [record["kernel"] for record in whole.launches]
    assert [record["kernel"] for record in net.launches] == kernels[-7:] != kernels
    with launch_log() as log:
        cudaconv.computeLogregCost(np.zeros((1, 4), np.float32), np.ones((3, 4), np.float32))
    assert 0 < len(log) <= 7


def test_reading_a_gradient_that_is_not_complete_changes_nothing():
    """Two readers on another device: their sum crosses in half precision once, however often somebody looks at it."""
    half = {"quantF": {"type": "half"}, "quantB": {"type": "half"}}
    layers = [
        data("data", 5), data("labels", 1), fc("low", ["data"], [5], 32) | half | {"gpu": 0},
        *[fc(name, ["low"], [32], 4) | half | {"gpu": 1} for name in ("a", "b")],
        {"name": "both", "type": "eltsum", "inputs": ["a", "b"], "outputs": 4, "coeffs": [1, 1], "gpu": 1},
        {"name": "probs", "type": "softmax", "inputs": ["both"], "outputs": 4, "gpu": 1}, cost("labels", "probs"),
    ]  # fmt: skip

    def run(looks):
        net, rng, seen = Network(layers, threads=1, quantise=True), np.random.default_rng(3), []
        for layer in layers:
            initialise(net, layer, rng)
        values = {"data": normal(rng, 5, 6), "labels": np.arange(6, dtype=np.float32)[None] % 4}
        forward(net, layers, values, {})
        for name in backward_order(layers):
            net.backward(name)
            seen += [net.read("low", "acts_grad") for _ in range(looks if name in ("a", "b") else 0)]
        return [net.read("low", tensor).tobytes() for tensor in ("acts_grad", "weights_inc[0]")], seen

    expected, (found, seen) = run(0)[0], run(2)
    assert found == expected
    assert same_bits(seen[0], seen[1])
    assert not same_bits(seen[1], seen[2])
