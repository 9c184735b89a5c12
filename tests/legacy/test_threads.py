"""Threads of the engine on the CPU: only launches that take longer than waking them wake any."""

import os
import subprocess
import sys

import pytest

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
