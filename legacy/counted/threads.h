// CUDA's words on a CPU, for the kernels of ../kernels. A block's threads are fibers: between two barriers they run one
// after another, in either order, so that a kernel that lacks a barrier gives different results in the two.
#pragma once
#include <math.h>
#include <ucontext.h>

#include <cstring>
#include <memory>
#include <vector>

#define __CUDACC__
#define __device__
#define __global__
#define __shared__ static
#define __forceinline__ inline

struct Three {
    unsigned x, y, z;
};
inline Three threadIdx, blockIdx, blockDim, gridDim;

extern float hostExp(float), hostLog(float), hostPow(float, float), hostDivide(float, float);
#define __expf hostExp
#define __logf hostLog
#define __powf hostPow
#define __fdividef hostDivide

// As in the strict build, nothing is fused.
inline float __fmaf_rn(float a, float b, float c) { return a * b + c; }
inline float __fmul_rn(float a, float b) { return a * b; }

namespace threads {

using Entry = void (*)(const char* arguments);

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[stackSize]};
    Three index;
    bool finished;
    static constexpr int stackSize = 1 << 17;
};
inline std::vector<Fiber> fibers;
inline ucontext_t scheduler;
inline Fiber* current;
inline Entry entry;
inline const char* arguments;

// What is done when all threads have come to a barrier, or to their ends.
inline void (*phaseEnds)() = [] {};

inline void body() {
    entry(arguments);
    current->finished = true;
}

inline void start(Fiber& fiber, unsigned flat) {
    fiber.index = {flat % blockDim.x, flat / blockDim.x % blockDim.y, flat / (blockDim.x * blockDim.y)};
    fiber.finished = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = Fiber::stackSize;
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, body, 0);
}

// Where a thread stands at a barrier.
inline void wait() { swapcontext(&current->context, &scheduler); }

// False if some threads wait at a barrier that others never reach.
inline bool runBlock(bool backwards) {
    const unsigned count = blockDim.x * blockDim.y * blockDim.z;
    if (fibers.size() < count) fibers = std::vector<Fiber>(count);
    for (unsigned i = 0; i < count; ++i) start(fibers[i], i);
    for (unsigned finished = 0; finished < count;) {
        for (unsigned i = 0; i < count; ++i) {
            current = &fibers[backwards ? count - 1 - i : i];
            threadIdx = current->index;
            swapcontext(&scheduler, &current->context);
            finished += current->finished;
        }
        phaseEnds();
        if (finished && finished < count) return false;
    }
    return true;
}

}  // namespace threads

#ifdef NO_BARRIERS
inline void __syncthreads() {}
#else
inline void __syncthreads() { threads::wait(); }
#endif

#define EXPORTED extern "C" __attribute__((used, visibility("default")))

EXPORTED inline int runGrid(threads::Entry entry, const char* arguments, const unsigned* grid,
                                                    const unsigned* block, int backwards) {
    threads::entry = entry;
    threads::arguments = arguments;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for (unsigned z = 0; z < gridDim.z; ++z)
        for (unsigned y = 0; y < gridDim.y; ++y)
            for (unsigned x = 0; x < gridDim.x; ++x) {
                blockIdx = {x, y, z};
                if (!threads::runBlock(backwards)) return 1;
            }
    return 0;
}
