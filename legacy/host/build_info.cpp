// The instruction set of this module, the best one of this processor, and the compiler.
#include "build_info.h"

#include "../kernels/fastmath.cuh"

std::string moduleInstructionSet() { return ROSETTA_ISA; }

bool contractsMultiplyAdd() { return fusesProducts; }

std::string bestInstructionSet() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    return v4 ? "v4" : v3 ? "v3" : "strict";
#else
    return "baseline";
#endif
}

std::string compilerVersion() {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "g++ " __VERSION__;
#else
    return "unknown compiler";
#endif
}
