"""nvcc compiles every kernel of legacy/kernels, and finds the shared memory that the launch records state.

The instances are those of launches: of the first recorded case that runs a kernel, and of matrix primitives. Nothing
here needs a GPU.
"""

import shutil
import subprocess

import golden_util as golden
import numpy as np
import pytest

from alexnet_rosetta.legacy import _call, cuda_source, launch_log, use_isa

pytestmark = [
    pytest.mark.nvcc,
    pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on the path"),
]
ARCHITECTURES = ["sm_75", "sm_80", "sm_90"]


def kernel_name(kernel):
    """The name of a kernel without its template arguments."""
    return kernel.split("<")[0]


def defined_kernels():
    """Names of all kernels in legacy/kernels."""
    lines = [line for path in cuda_source.KERNELS.glob("*.cuh") for line in path.read_text().splitlines()]
    return {line.removeprefix("KERNEL ").split("(")[0] for line in lines if line.startswith("KERNEL ")}


def primitive_launches():
    """Matrix primitives in the storage orders and sizes that reach their kernels."""
    def operand(order, name, rows, cols):
        array = np.ones((rows, cols), np.float32)
        return order(name, np.asfortranarray(array) if order is _call.col else array)

    def run(name, shapes, target, **scalars):
        _call.call(f"NVMatrix::{name}", [operand(order, key, *shape) for key, (order, shape) in shapes.items()],
                   [target], scalars)

    row, col = _call.row, _call.col
    with launch_log() as log:
        for order in (row, col):
            run("scale", {"a": (row, (5, 7))}, operand(order, "target", 5, 7), s=2)
            run("add", {"a": (row, (5, 7)), "b": (order, (5, 7))}, operand(row, "target", 5, 7), scaleA=1, scaleB=2)
            run("addVector", {"a": (order, (5, 7)), "b": (row, (1, 7))}, order("target", None), scaleVec=1)
        run("eltwiseMultAdd", {"a": (row, (5, 7)), "b": (row, (5, 7))}, operand(row, "target", 5, 7))
        run("sumAll", {"a": (row, (5, 7))}, row("target", None))
        run("dotProduct", {"a": (row, (5, 7)), "b": (row, (5, 7))}, row("target", None))
        for shape in [(5, 7), (300, 7), (7, 3), (7, 40), (200, 40), (3, 3000)]:
            for axis in (0, 1):
                run("sum", {"a": (row, shape)}, row("target", None), axis=axis)
    return log


def launches():
    """One launch record per kernel."""
    log = primitive_launches()
    for path in sorted(golden.GOLDEN.glob("*.npz")):
        seen = {kernel_name(record["kernel"]) for record in log}
        for arrays, case in golden.cases(path.stem):
            if any(kernel_name(launch["kernel"]) not in seen for launch in case["launches"]):
                log += golden.run(path.stem, arrays, case)[1]
                seen = {kernel_name(record["kernel"]) for record in log}
    return {kernel_name(record["kernel"]): record for record in reversed(log) if record["args"]}


@pytest.fixture(scope="module")
def records():
    with use_isa("strict"):
        return launches()


def test_every_kernel_has_an_instance(records):
    assert defined_kernels() - set(records) == set()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_kernels_compile(records, architecture, tmp_path):
    instances = {name: (record["kernel"], [cuda_source.argument_type(value) for value in record["args"]])
                 for name, record in records.items()}  # fmt: skip
    source = tmp_path / "kernels.cu"
    source.write_text(cuda_source.source({f"run_{name}": instance for name, instance in instances.items()}))
    command = ["nvcc", "-std=c++17", f"-arch={architecture}", "-cubin", "-Xptxas=-v", f"-I{cuda_source.KERNELS}",
               str(source), "-o", str(tmp_path / "kernels.cubin")]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert shared_bytes(result.stderr) == {f"run_{name}": record["shared_bytes"] for name, record in records.items()}


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
