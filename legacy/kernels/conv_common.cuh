// What the three convolution families share: the multiply phase and the write of an output.
#pragma once
#include "host_products.cuh"

// Rows of a strip of `steps` steps: the largest divisor of `rows` that makes at most 64 products.
constexpr DEVICE_FUNCTION int stripRows(const int rows, const int columns, const int steps) {
    int strip = 1;
    for (int r = 2; r <= rows && r * columns * steps <= 64; ++r)
        if (rows % r == 0) strip = r;
    return strip;
}

// Tiles as the multiply phase reads them: step k, index i.
template <int STEPS, int SIZE>
struct ByStep {
    const float (&tile)[STEPS][SIZE];
    DEVICE_MEMBER explicit ByStep(const float (&tile)[STEPS][SIZE]) : tile(tile) {}
    DEVICE_MEMBER float operator()(int k, int i) const { return tile[k][i]; }
};
template <int SIZE, int PITCH>
struct ByIndex {
    const float (&tile)[SIZE][PITCH];
    DEVICE_MEMBER explicit ByIndex(const float (&tile)[SIZE][PITCH]) : tile(tile) {}
    DEVICE_MEMBER float operator()(int k, int i) const { return tile[i][k]; }
};
template <int SIZE, int STEPS>
struct Turned {
    const TurnedTile<SIZE, STEPS>& tile;
    DEVICE_MEMBER explicit Turned(const TurnedTile<SIZE, STEPS>& tile) : tile(tile) {}
    DEVICE_MEMBER float operator()(int k, int i) const { return tile(i, k); }
};

struct EveryRow {
    DEVICE_MEMBER bool operator()(int) const { return true; }
};

// Where channel c of a block's channels is: at equal distances, or as a table says.
struct DenseColors {
    int stride;
    DEVICE_MEMBER int operator()(int c) const { return c * stride; }
};
struct TableColors {
    const int* offsets;
    DEVICE_MEMBER int operator()(int c) const { return offsets[c]; }
};

// The multiply phase of a tile. A thread has rows x columns outputs; for each of them, k ascending,
//   prod(tid, r * columns + i) += rowTile(k, ty + r * B_Y) * columnTile(k, tx + i * B_X).
// Thread rows ty that are not active have nothing to do. Strips are for the host: few enough sums for its vector
// registers, few enough products for its compiler.
template <int B_Y, int B_X, int rows, int columns, int steps, int stripSteps, typename Products, typename RowTile,
          typename ColumnTile, typename Active>
PHASE multiplyTile(Products& prod, const RowTile rowTile, const ColumnTile columnTile, const Active active) {
    constexpr int strip = stripRows(rows, columns, stripSteps);
    static_assert(steps % stripSteps == 0, "whole strips");
    UNROLL_ON_GPU for (int row = 0; row < rows; row += strip)
        UNROLL_ON_GPU for (int step = 0; step < steps; step += stripSteps)
            THREAD_ROWS(B_Y) if (active(ty)) THREAD_COLS(B_X) {
                float sums[strip * columns];
                UNROLL for (int o = 0; o < strip * columns; ++o) sums[o] = prod(tid, row * columns + o);
                UNROLL for (int k = 0; k < stripSteps; ++k)
                    UNROLL for (int r = 0; r < strip; ++r)
                        UNROLL for (int i = 0; i < columns; ++i)
                            sums[r * columns + i] +=
                                rowTile(step + k, ty + (row + r) * B_Y) * columnTile(step + k, tx + i * B_X);
                UNROLL for (int o = 0; o < strip * columns; ++o) prod(tid, row * columns + o) = sums[o];
            }
}

// One output: scaleTargets * old + scaleOutputs * sum, or scaleOutputs * sum without reading the target.
template <bool scale>
DEVICE_FUNCTION void writeOutput(float* target, const float sum, const float scaleTargets, const float scaleOutputs) {
    *target = scale ? weightedSum(scaleTargets, *target, scaleOutputs, sum) : scaleOutputs * sum;
}
