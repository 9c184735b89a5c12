// What the three convolution families share: the multiply phase and the write of an output.
#pragma once
#include "block.cuh"

// Rows of a strip: the largest divisor of `rows` that keeps a strip at 8 outputs or fewer, columns given.
constexpr int stripRows(const int rows, const int columns) {
    int strip = 1;
    for (int r = 2; r <= rows && r * columns <= 8; ++r)
        if (rows % r == 0) strip = r;
    return strip;
}

// The multiply phase of a tile. A thread has rows x columns outputs; for each of them, k ascending,
//   prod(tid, r * columns + i) += rowValue(k, r, ty) * columnValue(k, tx + i * B_X).
// Thread rows ty that are not active have nothing to do.
template <int B_Y, int B_X, int rows, int columns, int steps, typename Products, typename RowValue,
          typename ColumnValue, typename Active>
DEVICE_FUNCTION void multiplyTile(Products& prod, const RowValue& rowValue, const ColumnValue& columnValue,
                                  const Active& active) {
    constexpr int strip = stripRows(rows, columns), stepStrip = steps > 16 ? 16 : steps;
    static_assert(steps % stepStrip == 0, "whole strips");
    STRIPS for (int row = 0; row < rows; row += strip)
        STRIPS for (int step = 0; step < steps; step += stepStrip)
            THREAD_ROWS(B_Y) if (active(ty)) THREAD_COLS(B_X) {
                UNROLL for (int k = step; k < step + stepStrip; ++k)
                    UNROLL for (int r = row; r < row + strip; ++r)
                        UNROLL for (int i = 0; i < columns; ++i)
                            prod(tid, r * columns + i) += rowValue(k, r, ty) * columnValue(k, tx + i * B_X);
            }
}

struct EveryRow {
    DEVICE_MEMBER bool operator()(int) const { return true; }
};

// One output: scaleTargets * old + scaleOutputs * sum, or scaleOutputs * sum without reading the target.
template <bool scale>
DEVICE_FUNCTION void writeOutput(float* target, const float sum, const float scaleTargets, const float scaleOutputs) {
    *target = scale ? scaleTargets * *target + scaleOutputs * sum : scaleOutputs * sum;
}
