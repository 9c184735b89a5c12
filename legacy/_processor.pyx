# What the processor runs, known before a module for an instruction set is chosen.
from libcpp.string cimport string


cdef extern from "host/build_info.h":
    string bestInstructionSet()


def best_isa():
    """The best instruction set that this processor runs: "strict", "v3", "v4", or "baseline" if not x86-64."""
    return bestInstructionSet().decode()
