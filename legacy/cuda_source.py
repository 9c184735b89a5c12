"""CUDA source for the GPU: the kernels as they are, behind ``extern "C"`` wrappers that a driver can find by name.

A launch record is all it takes: the kernel string names the instance, the arguments give the signature.
"""

from pathlib import Path

KERNELS = Path(__file__).parent / "kernels"

# Records do not keep what a pointer points to: the wrapper passes something that becomes what the kernel asks for.
PREAMBLE = """\
struct Pointer {
    void* address;
    template <typename T>
    __device__ operator T*() const { return static_cast<T*>(address); }
};
"""
WRAPPER = """\
extern "C" __global__ void {symbol}({parameters}) {{
    const Block block{{(int)blockIdx.x, (int)blockIdx.y, (int)blockIdx.z,
                      (int)gridDim.x, (int)gridDim.y, (int)gridDim.z}};
    {kernel}({arguments});
}}
"""


def argument_type(value):
    """The C++ type of an argument of a launch record: "pointer", a bool, an int or a float."""
    return "Pointer" if value == "pointer" else type(value).__name__


def wrapper(symbol, kernel, types):
    """One ``extern "C" __global__`` function around a kernel instance.

    Parameters
    ----------
    symbol : str
        Name of the function.
    kernel : str
        The instance, as in a launch record: ``kLocalPool<MaxPooler, 4, 32, 4, false>``.
    types : sequence of str
        "Pointer", "int", "float" or "bool" for each argument, as `argument_type` gives them.
    """
    names = [f"a{i}" for i in range(len(types))]
    parameters = ", ".join(f"const {kind} {name}" for kind, name in zip(types, names, strict=True))
    return WRAPPER.format(symbol=symbol, kernel=kernel, parameters=parameters, arguments=", ".join(["block", *names]))


def source(instances):
    """A CUDA file over all kernel files, with a wrapper for each instance.

    Parameters
    ----------
    instances : dict
        Symbol -> (kernel string, argument types).
    """
    includes = [f'#include "{path.name}"' for path in sorted(KERNELS.glob("*.cuh"))]
    return "\n".join([*includes, PREAMBLE, *(wrapper(symbol, *instance) for symbol, instance in instances.items())])
