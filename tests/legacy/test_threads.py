"""Threads of the engine on the CPU: only launches and products that take longer than waking them wake any."""

import os
import subprocess
import sys

import pytest

from alexnet_rosetta.legacy import build_info

COUNT = """
import os
import numpy as np
from alexnet_rosetta.legacy import build_info, cudaconv, launch_log

def started(call):
    before = len(os.listdir("/proc/self/task"))
    with launch_log() as log:
        call()
    blocks = max(np.prod(launch["grid"]) for launch in log)
    return blocks, len(os.listdir("/proc/self/task")) - before

def neuron(rows):
    x = np.ones((rows, 32), np.float32)
    return lambda: cudaconv.neuron(x, x, type="tanh")

images, filters = np.ones((3 * 16, 32), np.float32), np.ones((27, 16), np.float32)
conv = lambda: cudaconv.convFilterActs(images, filters, imgSizeY=4, numModulesY=2, numModulesX=2, paddingStart=0,
                                       moduleStride=1, numImgColors=3, numGroups=1)
print(build_info()["openmp"], *started(neuron(64)), *started(conv if {conv} else neuron(4096)))
"""


@pytest.mark.parametrize("conv", [True, False])
def test_short_launches_wake_no_threads(conv):
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("no list of threads here")
    command = [sys.executable, "-c", COUNT.replace("{conv}", str(conv))]
    two = os.environ | {"ROSETTA_THREADS": "2"}
    told = subprocess.run(command, env=two, capture_output=True, text=True, check=True)
    openmp, blocks, none, more_blocks, one = told.stdout.split()
    if openmp != "True":
        pytest.skip("built without OpenMP")
    assert 1 < int(blocks) < 32
    assert none == "0"
    assert (int(more_blocks) < 32) == conv
    assert one == "1"


PRODUCT = """
import os, sys, time
from pathlib import Path
import numpy as np
from alexnet_rosetta.legacy import Network

sizes = [int(word) for word in sys.argv[1:]]
fc = {"name": "fc", "type": "fc", "inputs": ["data"], "numInputs": [sizes[0]], "outputs": sizes[1],
      "weightShapes": [sizes[:2]], "biasShape": [1, sizes[1]], "epsW": [0.5], "epsB": 0.5, "momW": [0.5], "momB": 0.5,
      "wc": [0], "schedW": {"type": "default", "params": {}}, "schedB": {"type": "default", "params": {}}}
net = Network([{"name": "data", "type": "data", "inputs": [], "outputs": sizes[0]}, fc], threads=int(sys.argv[4]))
rng = np.random.default_rng(3)
net.write("fc", "weights[0]", rng.standard_normal(sizes[:2], np.float32))
inputs, grad = (rng.standard_normal((n, sizes[2]), np.float32) for n in sizes[:2])

def others():
    return {task.name: (task / "schedstat").read_text().split()[0] for task in Path("/proc/self/task").iterdir()
            if task.name != str(os.getpid())}

while (idle := others()) != (time.sleep(0.1), others())[1]:
    pass
net.forward("data", [inputs])
net.forward("fc")
net.backward("fc", grad)
found = others()
print(sum(found[task] != ran for task, ran in idle.items()), len(found) - len(idle))
print(hash((net.read("fc", "acts").tobytes(), net.read("fc", "weights_inc[0]").tobytes())))
"""


def multiplied(*sizes, threads):
    """[threads of BLAS that ran, threads that began, bits] of an fc layer: (inputs, outputs, images)."""
    if not os.path.isfile("/proc/thread-self/schedstat"):
        pytest.skip("nothing says here which threads ran")
    command = [sys.executable, "-c", PRODUCT, *map(str, [*sizes, threads])]
    same = os.environ | {"PYTHONHASHSEED": "0"}
    return subprocess.run(command, env=same, capture_output=True, text=True, check=True).stdout.split()


def test_a_small_product_wakes_no_threads():
    assert multiplied(64, 256, 32, threads=2)[:2] == ["0", "0"]


def test_a_large_product_is_one_for_the_threads_of_kernels_and_has_the_same_bits():
    """Threads of the BLAS beside those of the kernels wait for each other: two were slower than one."""
    alone, two, three = (multiplied(700, 900, 64, threads=threads) for threads in (1, 2, 3))
    assert alone[:2] == ["0", "0"]
    assert two == ["0", str(int(build_info()["openmp"])), alone[2]]
    assert three[2] == alone[2]
