// IEEE half precision for what crosses between devices: two numbers in one float's place, the first in the lower half.
//
// The kernels of 2012 are lost: packing, and rounding to nearest even, are this project's reading of their interface.
//
// Specification: pool-norm 6.
#pragma once
#include "fastmath.cuh"

// Rounded to nearest even; from 65520 on infinite.
DEVICE_FUNCTION unsigned halfBits(const float x) {
    const unsigned bits = sameBits<unsigned>(x), sign = bits >> 16 & 0x8000, size = bits & 0x7FFFFFFF;
    const unsigned normal = (size - 0x38000000 + 0x0FFF + (size >> 13 & 1)) >> 13;              // 15 is 127 - 112
    const unsigned small = sameBits<unsigned>(sameBits<float>(size) + 0.5f) - 0x3F000000;       // in units of 2^-24
    const unsigned large = size > 0x7F800000 ? 0x7E00 : 0x7C00;
    return sign | (size < 0x38800000 ? small : size < 0x47800000 ? normal : large);
}

DEVICE_FUNCTION float halfValue(const unsigned half) {
    const unsigned sign = (half & 0x8000) << 16, size = half & 0x7FFF;
    const unsigned small = sameBits<unsigned>(static_cast<int>(size) * 0x1p-24f);
    const unsigned normal = (size << 13) + (size < 0x7C00 ? 0x38000000 : 0x70000000);
    return sameBits<float>(sign | (size < 0x0400 ? small : normal));
}

// One pair per thread.
template <int B_X>
KERNEL kQuantizeHalf(const Block& block, const float* values, float* pairs, const int numElements) {
    THREAD_ROWS(1) {
        THREAD_COLS(B_X, (numElements + 1) / 2 - block.x * B_X) {
            const int pair = block.x * B_X + tx;
            const unsigned first = halfBits(values[2 * pair]);
            const unsigned second = 2 * pair + 1 < numElements ? halfBits(values[2 * pair + 1]) : 0;
            pairs[pair] = sameBits<float>(first | second << 16);
        }
    }
}

// One number per thread; scaleTarget 0: the target is not read.
template <int B_X>
KERNEL kDequantizeHalf(const Block& block, const float* pairs, float* target, const int numElements,
                       const float scaleTarget, const float scaleOutput) {
    THREAD_ROWS(1) {
        THREAD_COLS(B_X, numElements - block.x * B_X) {
            const int e = block.x * B_X + tx;
            const unsigned pair = sameBits<unsigned>(pairs[e / 2]);
            const float value = scaleOutput * halfValue(e % 2 ? pair >> 16 : pair & 0xFFFF);
            target[e] = scaleTarget == 0 ? value : scaleTarget * target[e] + value;
        }
    }
}
