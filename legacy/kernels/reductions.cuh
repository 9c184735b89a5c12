// Reductions of the matrix class: along one axis, over the whole matrix, and the dot product.
//
// Memory view: height stored vectors of width contiguous elements, no gaps. Axis reductions end in
//   target(.) = op(target(.), result)      op and its parameters p, q as in elementwise.cuh.
//
// The order of every sum is that of the 2011 code (specification: pool-norm 9.4, 9.5). Its last steps, inside a warp,
// relied on lock-step threads; here every step ends with SYNC, and only threads whose value is used take part.
#pragma once
#include "elementwise.cuh"

#define AGGREGATOR(Name, BASE, ...)                                                    \
    struct Name {                                                                      \
        static constexpr const char* kernelName() { return "agg::" #Name; }            \
        static constexpr float base = BASE;                                            \
        static DEVICE_MEMBER float apply(float a, float b) { return __VA_ARGS__; }     \
    };

namespace agg {
AGGREGATOR(Sum, 0, a + b)
AGGREGATOR(Max, -2e38f, a > b ? a : b)
}  // namespace agg

// slots[t] = agg(slots[t], slots[t + distance]) for distance = from, from/2, ... 1 and t < distance.
template <typename Agg, int threads, int from>
DEVICE_FUNCTION void reduceHalves(float* slots) {
    UNROLL_ON_GPU for (int distance = from; distance > 0; distance /= 2) {
        THREAD_ROWS(1) {
            THREAD_COLS(threads, distance) { slots[tx] = Agg::apply(slots[tx], slots[tx + distance]); }
        }
        SYNC
    }
}

// Neighbours first: distances 1, 2, 4, ... threads/2.
template <typename Agg, int threads>
DEVICE_FUNCTION void reduceNeighbours(float* slots) {
    UNROLL_ON_GPU for (int distance = 1; distance < threads; distance *= 2) {
        THREAD_ROWS(1) {
            THREAD_COLS(threads, threads / 2 / distance) {
                float& slot = slots[2 * distance * tx];
                slot = Agg::apply(slot, slots[2 * distance * tx + distance]);
            }
        }
        SYNC
    }
}

// Over the stored vectors: one thread per result, first vector to last.
template <typename Agg, typename Op>
KERNEL kDumbAggCols(const Block& block, const float* mat, float* target, const int width, const int height,
                    const float p, const float q) {
    PerThread<float, 256> best;
    const int left = block.x * 256, count = width - left;
    mat += left;
    target += left;
    THREAD_ROWS(1) {
        THREAD_COLS(256, count) { best(tx) = mat[tx]; }
        for (int row = 1; row < height; ++row)
            THREAD_COLS(256, count) { best(tx) = Agg::apply(mat[row * width + tx], best(tx)); }
        THREAD_COLS(256, count) { target[tx] = Op::apply(target[tx], best(tx), p, q); }
    }
}

// Many short stored vectors: B_X partial results each, then those from first to last. 256 vectors a block, 8 at a time.
template <typename Agg, typename Op, int B_X>
DEVICE_FUNCTION void aggShortRows(const Block& block, const float* mat, float* target, const int width,
                                  const int height, const float p, const float q) {
    SHARED float partial[8][B_X];
    const int first = (block.y * block.gridX + block.x) * 256;
    for (int top = first; top < height && top < first + 256; top += 8) {
        THREAD_ROWS(8) {
            if (top + ty < height) {
                const float* row = mat + (top + ty) * width;
                THREAD_COLS(B_X, B_X) { partial[ty][tx] = Agg::base; }
                for (int left = 0; left < width; left += B_X)
                    THREAD_COLS(B_X, width - left) { partial[ty][tx] = Agg::apply(row[left + tx], partial[ty][tx]); }
            }
        }
        SYNC
        THREAD_ROWS(8) {
            if (top + ty < height)
                THREAD_COLS(B_X, 1) {
                    float result = Agg::base;
                    for (int c = 0; c < B_X; ++c) result = Agg::apply(result, partial[ty][c]);
                    target[top + ty] = Op::apply(target[top + ty], result, p, q);
                }
        }
        SYNC
    }
}

template <typename Agg, typename Op, int LOOPS_X, int THREADS_X>
KERNEL kAggShortRows(const Block& block, const float* mat, float* target, const int width, const int height,
                     const float p, const float q) {
    aggShortRows<Agg, Op, THREADS_X>(block, mat, target, width, height, p, q);
}

template <typename Agg, typename Op>
KERNEL kAggShortRows2(const Block& block, const float* mat, float* target, const int width, const int height,
                      const float p, const float q) {
    aggShortRows<Agg, Op, 32>(block, mat, target, width, height, p, q);
}

// One block per stored vector of at most 2 * blockSize elements.
template <typename Agg, typename Op, int blockSize>
KERNEL kAggRows(const Block& block, const float* mat, float* target, const int width, const float p, const float q) {
    SHARED float slots[2 * blockSize];
    mat += block.y * width;
    THREAD_ROWS(1) {
        THREAD_COLS(blockSize, blockSize) {
            slots[tx] = tx < width ? mat[tx] : Agg::base;
            slots[tx + blockSize] = tx + blockSize < width ? mat[tx + blockSize] : Agg::base;
        }
    }
    SYNC
    reduceHalves<Agg, blockSize, blockSize>(slots);
    THREAD_ROWS(1) {
        THREAD_COLS(blockSize, 1) { target[block.y] = Op::apply(target[block.y], slots[0], p, q); }
    }
}

// Long stored vectors: thread t takes elements t, t + 256, ...
template <typename Agg, typename Op>
KERNEL kAggRows_wholerow_nosync(const Block& block, const float* mat, float* target, const int width,
                                const int height, const float p, const float q) {
    SHARED float slots[256];
    for (int row = block.y; row < height; row += block.gridY) {
        const float* elements = mat + row * width;
        THREAD_ROWS(1) {
            THREAD_COLS(256, 256) { slots[tx] = Agg::base; }
            for (int left = 0; left < width; left += 256)
                THREAD_COLS(256, width - left) { slots[tx] = Agg::apply(slots[tx], elements[left + tx]); }
        }
        SYNC
        reduceNeighbours<Agg, 256>(slots);
        THREAD_ROWS(1) {
            THREAD_COLS(256, 1) { target[row] = Op::apply(target[row], slots[0], p, q); }
        }
        SYNC
    }
}

// Element e < numCols and every numCols-th after it go to one thread; value(i) is the i-th term.
template <typename Agg, typename Value>
DEVICE_FUNCTION void aggregateAll(const Block& block, float* dest, const int numCols, const int numElements,
                                  const Value& value) {
    SHARED float slots[512];
    const int first = block.x * 512;
    THREAD_ROWS(1) {
        THREAD_COLS(512, 512) { slots[tx] = Agg::base; }
        for (int row = 0; row < numElements; row += numCols) {
            const int inColumns = numCols - first, inElements = numElements - row - first;
            THREAD_COLS(512, inColumns < inElements ? inColumns : inElements) {
                slots[tx] = Agg::apply(slots[tx], value(row + first + tx));
            }
        }
    }
    SYNC
    reduceHalves<Agg, 512, 256>(slots);
    THREAD_ROWS(1) {
        THREAD_COLS(512, 1) { dest[block.x] = slots[0]; }
    }
}

template <typename Agg>
KERNEL kTotalAgg(const Block& block, const float* a, float* dest, const int numCols, const int numElements) {
    aggregateAll<Agg>(block, dest, numCols, numElements, [=](const int i) { return a[i]; });
}

KERNEL kDotProduct_r(const Block& block, const float* a, const float* b, float* dest, const int numCols,
                     const int numElements) {
    aggregateAll<agg::Sum>(block, dest, numCols, numElements, [=](const int i) { return a[i] * b[i]; });
}
