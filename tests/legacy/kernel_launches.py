"""Names and parameters of kernels, and launches that reach them."""

import re

import numpy as np

from alexnet_rosetta.legacy import _call, launch_log
from alexnet_rosetta.legacy.gpu import cuda_source

DECLARED = {"const float*": "P", "float*": "P", "const int*": "P", "const int": "i", "int": "i", "const float": "f",
            "float": "f", "const bool": "?", "bool": "?"}  # fmt: skip


def declared():
    """{kernel name: kinds of its parameters} as the kernel files write them, overloads alike."""
    found = {}
    for path in cuda_source.KERNELS.glob("*.cuh"):
        text = re.sub(r"//.*", "", path.read_text())
        for name, parameters in re.findall(r"^KERNEL (\w+)\(const Block& block,([^)]*)\)", text, re.MULTILINE):
            types = [re.sub(r"\s*\w+$", "", parameter.strip()) for parameter in parameters.split(",")]
            kinds = "".join(DECLARED[kind] for kind in types)
            if name != "kLocalAvgUndo":
                assert found.get(name, kinds) == kinds, name
            found[name] = kinds
    return found


def kernel_name(kernel):
    """The name of a kernel without its template arguments."""
    return kernel.split("<")[0]


def primitive_launches():
    """Matrix primitives in the storage orders and sizes that reach their kernels."""

    def operand(order, name, rows, cols):
        array = np.ones((rows, cols), np.float32)
        return order(name, np.asfortranarray(array) if order is _call.col else array)

    def run(name, shapes, target, **scalars):
        _call.call(
            f"NVMatrix::{name}",
            [operand(order, key, *shape) for key, (order, shape) in shapes.items()],
            [target],
            scalars,
        )

    row, col = _call.row, _call.col
    with launch_log() as log:
        for order in (row, col):
            run("scale", {"a": (row, (5, 7))}, operand(order, "target", 5, 7), s=2)
            run("add", {"a": (row, (5, 7)), "b": (order, (5, 7))}, operand(row, "target", 5, 7), scaleA=1, scaleB=2)
            run("addVector", {"a": (order, (5, 7)), "b": (row, (1, 7))}, order("target", None), scaleVec=1)
        run("eltwiseMultAdd", {"a": (row, (5, 7)), "b": (row, (5, 7))}, operand(row, "target", 5, 7))
        run("sumAll", {"a": (row, (300, 300))}, row("target", None))
        run("dotProduct", {"a": (row, (5, 7)), "b": (row, (5, 7))}, row("target", None))
        for shape in [(5, 7), (7, 600), (16384, 8), (16384, 70)]:
            run("sum", {"a": (row, shape)}, row("target", None), axis=1)
        run("sum", {"a": (row, (5, 7))}, row("target", None), axis=0)
    return log
