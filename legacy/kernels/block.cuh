// One source, two machines.
//
// A kernel is a __device__ function template whose body is a sequence of
// phases separated by SYNC. Each phase is wrapped in THREADS(B_X, B_Y) { ... }.
//
//   nvcc:          a block's threads are threads; THREADS is the calling thread,
//                  SYNC is __syncthreads(), SHARED is __shared__.
//   host compiler: one call of the function is one block; THREADS is a loop over
//                  the block's threads, tx innermost. Images lie on tx in most
//                  kernels and are fastest in memory, so that loop vectorises.
//
// Inside THREADS the names tx, ty and tid = ty*B_X + tx are defined. A phase has
// no early exit (neither return, break nor continue): conditions enclose the work.
// THREAD_ROWS { ... THREAD_COLS { ... } } is the same phase with a place for what
// depends on ty alone; STAGE_ROWS, STAGE_COLS likewise for STAGE. THREAD_COLUMNS(B_X, COUNT) is THREAD_COLS for the
// threads with tx < COUNT only.
// What a thread keeps across a barrier is declared PerThread: registers on the
// GPU, an array with the thread index last on the host.
//
// Nothing outside this header knows which machine it is on.
#pragma once

struct Block {
    int x, y, z;                       // blockIdx
    int gridX, gridY, gridZ;           // gridDim
};

#ifdef __CUDACC__

#define KERNEL __device__ __forceinline__ void
#define DEVICE_FUNCTION __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#define SHARED __shared__
#define SYNC __syncthreads();
#define UNROLL _Pragma("unroll")
#define THREAD_ROWS(B_Y) if ([[maybe_unused]] const int ty = threadIdx.y; true)
#define THREAD_COLS(B_X) if ([[maybe_unused]] const int tx = threadIdx.x, tid = ty * (B_X) + tx; true)
#define THREAD_COLUMNS(B_X, COUNT) \
    if ([[maybe_unused]] const int tx = threadIdx.x, tid = ty * (B_X) + tx; tx < (COUNT))

// The block's threads, flat index t, walk over a tile: row t / COLS, column t % COLS, then
// THREAD_COUNT / COLS rows further.
#define FLAT_THREAD (threadIdx.y * blockDim.x + threadIdx.x)
#define STAGE_ROWS(THREAD_COUNT, ROWS, COLS) \
    for (int row = FLAT_THREAD / (COLS); row < (ROWS); row += (THREAD_COUNT) / (COLS))
#define STAGE_COLS(COLS) if (const int col = FLAT_THREAD % (COLS); true)

template <typename T, int THREAD_COUNT, int SIZE = 1>
struct PerThread {
    T values[SIZE];
    __device__ __forceinline__ T& operator()(int, int i = 0) { return values[i]; }
    __device__ __forceinline__ void clear() {
        UNROLL for (int i = 0; i < SIZE; ++i) values[i] = 0;
    }
};

#else

#include <cmath>

#define KERNEL static inline void
#define DEVICE_FUNCTION static inline __attribute__((always_inline))
#define DEVICE_MEMBER inline __attribute__((always_inline))
#define SHARED alignas(64)
#define SYNC
#define UNROLL _Pragma("GCC unroll 128")
#define THREAD_ROWS(B_Y) for (int ty = 0; ty < (B_Y); ++ty)
#define THREAD_COLS(B_X)                                    \
    _Pragma("GCC ivdep") for (int tx = 0; tx < (B_X); ++tx) \
        if ([[maybe_unused]] const int tid = ty * (B_X) + tx; true)
#define THREAD_COLUMNS(B_X, COUNT)                                                                                      \
    _Pragma("GCC ivdep") for (int tx = 0, threadsOfRow = (COUNT) < (B_X) ? (COUNT) : (B_X); tx < threadsOfRow; ++tx) \
        if ([[maybe_unused]] const int tid = ty * (B_X) + tx; true)

#define STAGE_ROWS(THREAD_COUNT, ROWS, COLS) for (int row = 0; row < (ROWS); ++row)
#define STAGE_COLS(COLS) _Pragma("GCC ivdep") for (int col = 0; col < (COLS); ++col)

template <typename T, int THREAD_COUNT, int SIZE = 1>
struct PerThread {
    alignas(64) T values[SIZE][THREAD_COUNT];
    inline __attribute__((always_inline)) T& operator()(int tid, int i = 0) { return values[i][tid]; }
    inline void clear() {
        for (int i = 0; i < SIZE; ++i)
            for (int t = 0; t < THREAD_COUNT; ++t) values[i][t] = 0;
    }
};

#endif

#define THREADS(B_X, B_Y) THREAD_ROWS(B_Y) THREAD_COLS(B_X)
#define STAGE(THREAD_COUNT, ROWS, COLS) STAGE_ROWS(THREAD_COUNT, ROWS, COLS) STAGE_COLS(COLS)
