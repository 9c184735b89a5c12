// Neurons as operators of the element-wise kernels.
//
//   <Neuron>Operator          f(x), p and q its parameters
//   <Neuron>Gradient          gradient g times f', from the output y or the input x (a = g, b = y or x)
//
// Comparisons are factors 0 and 1: an infinite or NaN gradient is not masked.
//
// Specification: pool-norm 8.
#pragma once
#include "elementwise.cuh"

namespace unary {
DEVICE_FUNCTION float scaledTanh(const float x, const float a, const float b) {
    return a * (fastDivide(2, 1 + fastExp(-2 * b * x)) - 1);
}

UNARY(ReluOperator, a < 0 ? 0 : a)
UNARY(BoundedReluOperator, a < 0 ? 0 : a > p ? p : a)
UNARY(SoftReluOperator, a > 4 ? a : fastLog(1 + fastExp(a)))
UNARY(AbsOperator, a > 0 ? a : -a)
UNARY(LogisticOperator, fastDivide(1, 1 + fastExp(-a)))
UNARY(TanhOperator, scaledTanh(a, p, q))
UNARY(SqrtOperator, sqrtf(a))
UNARY(LinearOperator, p * a + q)
UNARY(DoubleReluOperator, a - scaledTanh(a, p, 1 / p))
UNARY(LogOperator, fastLog(p + a))
UNARY(SmoothReluOperator, a > 0 ? a + fastLog(1 + fastExp(-a)) : fastLog(1 + fastExp(a)))       // softrelu without a cut
}  // namespace unary

namespace binary {
DEVICE_FUNCTION float softReluSlope(const float x) {
    const float e = fastExp(x);
    return fastDivide(e, 1 + e);
}

DEVICE_FUNCTION float tanhGradient2011(const float g, const float y, const float a, const float b) {
    const float t = (1 - fastDivide(y, a)) / 2;
    return g * (-4 * a * b * (t * (t - 1)));
}

DEVICE_FUNCTION float doubleReluGradient(const float g, const float x, const float a) {
    const float t = fastDivide(2, 1 + fastExp(-2 * x / a)) - 1;
    return g * (t * t);
}

BINARY(ReluGradient, a * (b > 0))
BINARY(BoundedReluGradient, a * ((b > 0) & (b < p)))
BINARY(SoftReluGradient, b > 4 ? a : a * softReluSlope(b))              // of inputs; 2011 passed outputs
BINARY(SoftReluGradient2014, b > 4 ? a : a * (1 - fastExp(-b)))         // of outputs
BINARY(AbsGradient, a * (b > 0 ? 1 : -1))
BINARY(LogisticGradient, a * b * (1 - b))
BINARY(TanhGradient, a * (q * (p - fastDivide(b * b, p))))
BINARY(TanhGradient2011, tanhGradient2011(a, b, p, q))
BINARY(SquareGradient, a * 2 * b)
BINARY(SqrtGradient, fastDivide(a, 2 * b))
BINARY(DoubleReluGradient, doubleReluGradient(a, b, p))
BINARY(FlatAbsGradient, a * ((b > 0) - (b < 0)))                        // abs, slope 0 at 0
BINARY(SmoothReluGradient, fastDivide(a, 1 + fastExp(-b)))
BINARY(LogGradient, fastDivide(a, p + b))
}  // namespace binary
