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
// depends on ty alone, a loop included; THREAD_COLS(B_X, COUNT) is the row's threads
// with tx < COUNT. STAGE_ROWS, STAGE_COLS likewise for STAGE. No SYNC inside.
// A PHASE is a function that holds one: a part of the kernel on the GPU, on the host one
// copy for all kernels with the same tiles (give it functors, not lambdas, to be shared).
// What a thread keeps across a barrier is declared PerThread: registers on the
// GPU, an array with the thread index last on the host.
//
// Nothing outside this header knows which machine it is on, but host_products.cuh.
#pragma once

struct Block {
    int x, y, z;                       // blockIdx
    int gridX, gridY, gridZ;           // gridDim
};

#ifdef __CUDACC__

#define KERNEL __device__ __forceinline__ void
#define DEVICE_FUNCTION __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#define PHASE __device__ __forceinline__ void
#define SHARED __shared__
#define SYNC __syncthreads();
#define UNROLL _Pragma("unroll")
#define THREAD_ROWS(B_Y) if ([[maybe_unused]] const int ty = threadIdx.y; true)
#define SOME_THREAD_COLS(B_X, COUNT) \
    if ([[maybe_unused]] const int tx = threadIdx.x, tid = ty * (B_X) + tx; tx < (COUNT))
#define ALL_THREAD_COLS(B_X) if ([[maybe_unused]] const int tx = threadIdx.x, tid = ty * (B_X) + tx; true)

// The block's threads, flat index t, walk over a tile: row t / COLS, column t % COLS, then
// THREAD_COUNT / COLS rows further.
template <int THREAD_COUNT, int COLS>
struct RowsAtOnce {
    static_assert(THREAD_COUNT % COLS == 0, "the columns of a tile divide the threads that stage it");
    static constexpr int count = THREAD_COUNT / COLS;
};
#define FLAT_THREAD (threadIdx.y * blockDim.x + threadIdx.x)
#define STAGE_ROWS(THREAD_COUNT, ROWS, COLS) \
    for (int row = FLAT_THREAD / (COLS); row < (ROWS); row += RowsAtOnce<(THREAD_COUNT), (COLS)>::count)
#define STAGE_COLS(COLS) if (const int col = FLAT_THREAD % (COLS); true)

// A loop over a thread's outputs, or strips of them: unrolled where they are registers; a loop on
// the host, where one strip is to stay in vector registers.
#define UNROLL_ON_GPU UNROLL
#define WHOLE_ROWS_ON_HOST(B_Y, block, height, width, body)

template <typename T, int THREAD_COUNT, int SIZE = 1>
struct PerThread {
    T values[SIZE];
    __device__ __forceinline__ T& operator()(int, int i = 0) { return values[i]; }
    __device__ __forceinline__ void clear() {
        UNROLL for (int i = 0; i < SIZE; ++i) values[i] = 0;
    }
};

// A tile that is staged row by row and then read column by column, by threads that differ in row:
// an odd pitch between rows keeps them in different banks; on the host the tile is stored by columns,
// so that threads read consecutive addresses.
template <int ROWS, int COLS>
struct TurnedTile {
    float values[ROWS][COLS + 1];
    __device__ __forceinline__ float operator()(int row, int col) const { return values[row][col]; }

    // Columns from colsLeft on are zero where `check` is true.
    template <int THREAD_COUNT, bool check>
    __device__ __forceinline__ void stage(const float* source, int rowStride, int colsLeft) {
        STAGE_ROWS(THREAD_COUNT, ROWS, COLS) {
            STAGE_COLS(COLS) values[row][col] = !check || col < colsLeft ? source[row * rowStride + col] : 0.0f;
        }
    }
};

#else

#include <cmath>
#include <cstring>

#define KERNEL static inline void
#define DEVICE_FUNCTION static inline __attribute__((always_inline))
#define DEVICE_MEMBER inline __attribute__((always_inline))
#define PHASE static __attribute__((noinline)) void
#define SHARED alignas(64)
#define SYNC
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define UNROLL _Pragma("GCC unroll 128")
#define INDEPENDENT _Pragma("GCC ivdep")
#endif
#define THREAD_ROWS(B_Y) for (int ty = 0; ty < (B_Y); ++ty)
#define SOME_THREAD_COLS(B_X, COUNT)                                                                                \
    INDEPENDENT for (int tx = 0, threadsOfRow = (COUNT) < (B_X) ? (COUNT) : (B_X); tx < threadsOfRow; ++tx) \
        if ([[maybe_unused]] const int tid = ty * (B_X) + tx; true)
#define ALL_THREAD_COLS(B_X)                       \
    INDEPENDENT for (int tx = 0; tx < (B_X); ++tx) \
        if ([[maybe_unused]] const int tid = ty * (B_X) + tx; true)

#define STAGE_ROWS(THREAD_COUNT, ROWS, COLS) for (int row = 0; row < (ROWS); ++row)
#define STAGE_COLS(COLS) INDEPENDENT for (int col = 0; col < (COLS); ++col)
#define UNROLL_ON_GPU

// Of an element-wise kernel with blocks enough, the first block of a row of blocks does what all of them would, row by
// row as they lie in memory: pieces of 32 columns from rows far apart are more than the hardware follows.
#define WHOLE_ROWS_ON_HOST(B_Y, block, height, width, body) \
    if ((block).gridY >= 32) return wholeRows<B_Y>(block, height, width, body);
template <int B_Y, typename Body>
inline void wholeRows(const Block& block, const int height, const int width, const Body& body) {
    if (block.x) return;
    for (int top = block.y * B_Y; top < height; top += block.gridY * B_Y)
        for (int y = top; y < top + B_Y && y < height; ++y)
            INDEPENDENT for (int x = 0; x < width; ++x) body(y, x);
}

template <typename T, int THREAD_COUNT, int SIZE = 1>
struct PerThread {
    alignas(64) T values[SIZE][THREAD_COUNT];
    inline __attribute__((always_inline)) T& operator()(int tid, int i = 0) { return values[i][tid]; }
    inline void clear() {
        for (int i = 0; i < SIZE; ++i)
            for (int t = 0; t < THREAD_COUNT; ++t) values[i][t] = 0;
    }
};

// Four rows of four floats, turned; both may be unaligned.
inline __attribute__((always_inline)) void turnFour(const float* from, int fromStride, float* to, int toStride) {
    typedef float Four __attribute__((vector_size(16)));
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
    typedef int Four32 __attribute__((vector_size(16)));
#define SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, Four32{i, j, k, l})
#endif
    Four a, b, c, d;
    std::memcpy(&a, from, 16);
    std::memcpy(&b, from + fromStride, 16);
    std::memcpy(&c, from + 2 * fromStride, 16);
    std::memcpy(&d, from + 3 * fromStride, 16);
    const Four ab = SHUFFLE(a, b, 0, 4, 1, 5), AB = SHUFFLE(a, b, 2, 6, 3, 7);
    const Four cd = SHUFFLE(c, d, 0, 4, 1, 5), CD = SHUFFLE(c, d, 2, 6, 3, 7);
    const Four turned[4] = {SHUFFLE(ab, cd, 0, 1, 4, 5), SHUFFLE(ab, cd, 2, 3, 6, 7),
                            SHUFFLE(AB, CD, 0, 1, 4, 5), SHUFFLE(AB, CD, 2, 3, 6, 7)};
    for (int i = 0; i < 4; ++i) std::memcpy(to + i * toStride, &turned[i], 16);
#undef SHUFFLE
}

template <int ROWS, int COLS>
struct TurnedTile {
    static_assert(ROWS % 4 == 0 && COLS % 4 == 0, "turned in squares of four");
    float values[COLS][ROWS];
    inline __attribute__((always_inline)) float operator()(int row, int col) const { return values[col][row]; }

    template <int THREAD_COUNT, bool check>
    inline __attribute__((always_inline)) void stage(const float* source, int rowStride, int colsLeft) {
        if (!check || colsLeft >= COLS) {
            // What comes next in every row: more streams than the hardware follows.
            for (int row = 0; row < ROWS; ++row)
                for (int col = 0; col < COLS; col += 16)
                    __builtin_prefetch(source + row * rowStride + COLS + col, 0, 2);
            for (int row = 0; row < ROWS; row += 4)
                for (int col = 0; col < COLS; col += 4)
                    turnFour(source + row * rowStride + col, rowStride, &values[col][row], ROWS);
        } else {
            for (int row = 0; row < ROWS; ++row)
                for (int col = 0; col < COLS; ++col)
                    if (col < colsLeft) values[col][row] = source[row * rowStride + col];
                    else values[col][row] = 0;
        }
    }
};

#endif

// THREAD_COLS(B_X) and THREAD_COLS(B_X, COUNT).
#define THREAD_COLS(...) THIRD(__VA_ARGS__, SOME_THREAD_COLS, ALL_THREAD_COLS, )(__VA_ARGS__)
#define THIRD(FIRST, SECOND, NAME, ...) NAME
#define THREADS(B_X, B_Y) THREAD_ROWS(B_Y) THREAD_COLS(B_X)
#define STAGE(THREAD_COUNT, ROWS, COLS) STAGE_ROWS(THREAD_COUNT, ROWS, COLS) STAGE_COLS(COLS)
