"""CUDA source for the GPU: the kernels as they are, behind ``extern "C"`` wrappers that a driver can find by name.

A launch record is all it takes: the kernel string names the instance, the arguments give the signature.
"""

import re
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path

KERNELS = Path(__file__).parents[1] / "kernels"

# Kinds of arguments, letters as in module `struct`, and the types of the wrapper's parameters.
TYPES = {"P": "Pointer", "i": "int", "f": "float", "?": "bool"}

# Records do not keep what a pointer points to: the wrapper passes something that becomes what the kernel asks for.
PREAMBLE = """\
struct Pointer {
    void* address;
    template <typename T>
    __device__ operator T*() const { return static_cast<T*>(address); }
};
"""

# A grid of CUDA has at most 65535 blocks along y and z. Larger ones are run in parts: the last four parameters say
# where a part begins and how large the whole is, and the kernel does not notice.
WRAPPER = """\
extern "C" __global__ void {symbol}({parameters}const int firstY, const int firstZ, const int gridY, const int gridZ) {{
    const Block block{{(int)blockIdx.x, (int)blockIdx.y + firstY, (int)blockIdx.z + firstZ,
                      (int)gridDim.x, gridY, gridZ}};
    {kernel}({arguments});
}}
"""
PART_KINDS = "iiii"


def kind(value: object) -> str:
    """The letter for an argument of a launch record: "pointer", a bool, an int or a float."""
    return "P" if isinstance(value, str) else {bool: "?", int: "i", float: "f"}[type(value)]


def symbol(kernel: str, kinds: str) -> str:
    """A name for the wrapper of an instance: readable in profilers, different for different instances."""
    readable = re.sub(r"\W+", "_", kernel).strip("_")
    return f"{readable[:100]}_{sha256(f'{kernel} {kinds}'.encode()).hexdigest()[:8]}"


def wrapper(kernel: str, kinds: str) -> str:
    """One ``extern "C" __global__`` function around a kernel instance.

    ``kernel``: the instance, as in a launch record: ``kLocalPool<MaxPooler, 4, 32, 4, false>``.
    ``kinds``: a letter of `TYPES` for each argument.
    """
    names = [f"a{i}" for i in range(len(kinds))]
    parameters = "".join(f"const {TYPES[letter]} {name}, " for letter, name in zip(kinds, names, strict=True))
    # The poolers that cuda-convnet2 turned into templates have a namespace of their own, which it did not.
    code = re.sub(r"\bAvgPooler<", "cc2::AvgPooler<", kernel)
    return WRAPPER.format(
        symbol=symbol(kernel, kinds), kernel=code, parameters=parameters, arguments=", ".join(["block", *names])
    )


def source(instances: Iterable[tuple[str, str]]) -> str:
    """A CUDA file over all kernel files, with a wrapper for each instance.

    ``instances``: kernel string and argument kinds.
    """
    includes = [f'#include "{path.name}"' for path in sorted(KERNELS.glob("*.cuh"))]
    return "\n".join([*includes, PREAMBLE, *(wrapper(*instance) for instance in instances)])


@cache
def fingerprint() -> str:
    """A hash of everything that a wrapper includes."""
    digest = sha256()
    for path in sorted(KERNELS.glob("*.cuh")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
