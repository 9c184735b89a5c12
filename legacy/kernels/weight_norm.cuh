// A bound on the norm of every filter of a locally connected layer, in place.
//
// weights (M, W, F): M modules, W weights per filter, filters fastest. One module per ty.
//
// Specification: pool-norm 4.1. The original left filtersPerThread out of a block's first filter (pool-norm H2): with 192 or
// more filters some were never normalised, and others by several blocks, which raced. With `overlap` a filter is normalised as
// often as there were blocks that reached it, one time after the other; else once.
#pragma once
#include "fastmath.cuh"

template <int B_Y, int B_X, int filtersPerThread>
KERNEL kNormalizeLCWeights(const Block& block, float* weights, const float norm, const int weightsPerFilter,
                           const int numModules, const int numFilters, const bool overlap) {
    THREAD_ROWS(B_Y) {
        const int module = block.y * B_Y + ty;
        float* filters = weights + module * weightsPerFilter * numFilters + block.x * B_X * filtersPerThread;
        PerThread<float, B_X, filtersPerThread> factor;
        if (module < numModules)
            UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f) {
                const int first = block.x * filtersPerThread + f;          // in units of B_X filters, a block's step
                const int firstBlock = first < filtersPerThread ? 0 : first - filtersPerThread + 1;
                const int lastBlock = first < block.gridX ? first : block.gridX - 1;
                for (int times = overlap ? lastBlock - firstBlock + 1 : 1; times > 0; --times) {
                    THREAD_COLS(B_X, B_X) { factor(tx, f) = 0; }
                    for (int p = 0; p < weightsPerFilter; ++p)
                        THREAD_COLS(B_X, B_X) {
                            const float weight = filters[p * numFilters + f * B_X + tx];
                            factor(tx, f) += weight * weight;
                        }
                    THREAD_COLS(B_X, B_X) {
                        const float length = sqrtf(factor(tx, f));
                        factor(tx, f) = length > norm ? fastDivide(norm, length) : 1;
                    }
                    for (int p = 0; p < weightsPerFilter; ++p)
                        THREAD_COLS(B_X, B_X) { filters[p * numFilters + f * B_X + tx] *= factor(tx, f); }
                }
            }
    }
}
