"""nvcc compiles every kernel of legacy/kernels, and finds the shared memory that the launch records state.

The instances are those of launches: of the first recorded case that runs a kernel, and of matrix primitives. Nothing
here needs a GPU.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from kernel_launches import kernel_name, primitive_launches
from legacy_networks import data, network, treefc

from alexnet_rosetta.harness.checks.golden import files
from alexnet_rosetta.legacy import cudaconv, launch_log, quirks, use_isa
from alexnet_rosetta.legacy.gpu import cubins, cuda_source

pytestmark = [
    pytest.mark.nvcc,
    pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on the path"),
]
GOLDEN = Path(__file__).parents[1] / "golden"
ARCHITECTURES = ["sm_75", "sm_80", "sm_90"]


def defined_kernels():
    """Names of all kernels in legacy/kernels."""
    lines = [line for path in cuda_source.KERNELS.glob("*.cuh") for line in path.read_text().splitlines()]
    return {line.removeprefix("KERNEL ").split("(")[0] for line in lines if line.startswith("KERNEL ")}


def tree_launches():
    """A class tree forward and backward."""
    net = network(treefc("tree", "a", 3, [[], [], [0, 1]]), a=3)
    net.logging = True
    net.forward("tree", [np.ones((3, 4), np.float32)])
    net.backward("tree", np.ones((2, 4), np.float32))
    return net.launches


def own_entry_launches():
    """Entry points whose kernels of 2012 are lost, or never were, so that there is no recorded case."""
    images, uniforms = np.ones((16 * 9, 4), np.float32), np.ones((16, 4), np.float32)
    with launch_log() as log:
        cudaconv.convLocalRandomPool(images, uniforms, numFilters=16, subsX=3, startX=0, strideX=1, outputsX=1)
        cudaconv.convDequantizeHalf(cudaconv.convQuantizeHalf(images), numElements=images.size)
        with quirks(max_ties_full=False):
            cudaconv.convLocalMaxUndo(images, uniforms, uniforms, subsX=3, startX=0, strideX=1, outputsX=1)
    return log


def cost_launches():
    """Operators of the element-wise kernels that costs bring."""
    layers = [
        {"name": kind, "type": f"cost.{kind}", "inputs": ["targets", "a"], "outputs": 0, "coeff": 0.5}
        for kind in ("crossent2", "rflickr")
    ]
    net = network(data("targets", 3), *layers, a=3)
    net.logging = True
    for kind in ("crossent2", "rflickr"):
        net.forward(kind, [np.full((3, 4), 0.25, np.float32), np.full((3, 4), 0.5, np.float32)])
        net.backward(kind)
    return net.launches


def launches():
    """One launch record per kernel, and per operator of the costs."""
    log = primitive_launches() + tree_launches() + own_entry_launches()
    for path in files.paths(GOLDEN):
        seen = {kernel_name(record["kernel"]) for record in log}
        for case in files.read(path):
            if any(kernel_name(kernel) not in seen for kernel, _, _ in case.launches()):
                with launch_log() as more:
                    getattr(cudaconv, case.entry)(**case.arguments())
                log += more
                seen = {kernel_name(record["kernel"]) for record in log}
    by_name = {kernel_name(record["kernel"]): record for record in reversed(log) if record["args"]}
    return by_name | {record["kernel"]: record for record in cost_launches() if "binary::" in record["kernel"]}


@pytest.fixture(scope="module")
def records():
    with use_isa("strict"):
        return launches()


def test_every_kernel_has_an_instance(records):
    assert defined_kernels() - set(records) == set()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile(records, architecture, tmp_path):
    instances = {(record["kernel"], "".join(map(cuda_source.kind, record["args"]))): record["shared_bytes"]
                 for record in records.values()}  # fmt: skip
    printed = cubins.compile_cubin(list(instances), architecture, tmp_path / "kernels.cubin", compiler="nvcc",
                                         flags=("-std=c++17", "-Xptxas=-v"))  # fmt: skip
    expected = {cuda_source.symbol(*instance): size for instance, size in instances.items()}
    assert shared_bytes(printed) == expected


def shared_bytes(report):
    """{function: bytes of static shared memory} from what ptxas reports."""
    found, function = {}, None
    for line in report.splitlines():
        if "Compiling entry function" in line:
            function = line.split("'")[1]
        elif "Used" in line and "registers" in line:
            smem = [part for part in line.split(",") if "bytes smem" in part]
            found[function] = int(smem[0].split()[0]) if smem else 0
    return found
