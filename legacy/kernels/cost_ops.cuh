// Costs as operators of the element-wise kernels: a holds the targets t, b the values y, p the coefficient of the cost.
//
// Specification: pool-norm 7.8.
#pragma once
#include "cost.cuh"
#include "elementwise.cuh"

namespace binary {
DEVICE_FUNCTION float flickrGradient(const float t, const float y, const float coeff) {
    const float d = y - t;
    return -coeff * fastDivide(2 * d, 1 + d * d);
}

BINARY(BinaryLogLikelihood, a * safeLog(b) + (1 - a) * safeLog(1 - b))
BINARY(BinaryLogLikelihoodGradient, p * (fastDivide(a, b) + q * fastDivide(1 - a, 1 - b)))  // q: -1; 2012: 1 (pool-norm H10)
BINARY(FlickrCost, fastLog(1 + (b - a) * (b - a)))
BINARY(FlickrGradient, flickrGradient(a, b, p))
}  // namespace binary
