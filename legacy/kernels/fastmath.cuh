// The functions that the 2012 kernels took from the GPU's fast intrinsics.
//
// On the GPU they are those intrinsics (__expf, __logf, __powf, __fdividef). On the host they are evaluated in double
// precision and rounded once, so they agree with a correctly rounded function in all but about one result in a hundred;
// they have no branch and no table, hence loops over them vectorise. Division is plain division.
//
// weightedSum is a*x + b*y where a product is fused with the sum: the first. Compilers may fuse either, and not the same
// one in a vector of images as in those that are left over, and so have to be told: every sum of two products is written
// so. (The strict build fuses nothing.)
#pragma once
#include <cstring>

#include "block.cuh"

template <typename To, typename From>
DEVICE_FUNCTION To sameBits(const From from) {
    static_assert(sizeof(To) == sizeof(From), "a change of type, not of size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

#ifdef __CUDACC__

DEVICE_FUNCTION float fastExp(const float x) { return __expf(x); }
DEVICE_FUNCTION float fastLog(const float x) { return __logf(x); }
DEVICE_FUNCTION float fastPow(const float x, const float y) { return __powf(x, y); }
DEVICE_FUNCTION float fastDivide(const float x, const float y) { return __fdividef(x, y); }
DEVICE_FUNCTION float weightedSum(const float a, const float x, const float b, const float y) {
    return __fmaf_rn(a, x, __fmul_rn(b, y));
}

#else

#include <cstdint>
#include <limits>

// x = 2^e * m with sqrt(1/2) <= m < sqrt(2); log m = 2 atanh s = 2 (s + s^3/3 + s^5/5 + ...) with s = (m - 1)/(m + 1).
// Seven terms of it leave 2^-39 relative. Zero gives -inf, a negative number or NaN gives NaN.
DEVICE_FUNCTION double log2InDouble(const float x) {
    constexpr std::uint64_t one = 0x3FF0000000000000, rootHalf = 0x3FE6A09E667F3BCD, exponentField = 0xFFF0000000000000;
    constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
    const double wide = x;
    const std::uint64_t bits = sameBits<std::uint64_t>(wide);
    const std::uint64_t exponent = (bits + (one - rootHalf)) & exponentField;           // e + 1023, in place
    const double e = sameBits<double>(exponent >> 52 | 0x4330000000000000) - (0x1p52 + 1023);
    const double m = sameBits<double>(bits - exponent + one);
    const double s = (m - 1) / (m + 1), z = s * s;
    const double series = 1 + z * (1. / 3 + z * (1. / 5 + z * (1. / 7 + z * (1. / 9 + z * (1. / 11 + z * (1. / 13))))));
    const double special = x > 0 ? (x < infinity ? 0 : infinity) : x == 0 ? -infinity : nan;    // added: no branch
    return e + s * 2.8853900817779268 * series + special;                                       // 2 / ln 2
}

// 2^t = 2^k exp(r ln 2), k the nearest integer: ten terms of the exponential series leave 2^-37 relative.
DEVICE_FUNCTION float exp2FromDouble(double t) {
    constexpr double shift = 0x1.8p52;                                                  // rounds to an integer
    t = std::fabs(t) > 200 ? std::copysign(200., t) : t;                                // past float on either side
    const double rounded = t + shift;
    const double r = (t - (rounded - shift)) * 0.69314718055994531;
    const double scale = sameBits<double>((sameBits<std::uint64_t>(rounded) + 1023) << 52);
    const double series = 1 + r * (1 + r * (1. / 2 + r * (1. / 6 + r * (1. / 24 + r * (1. / 120 + r * (1. / 720
                            + r * (1. / 5040 + r * (1. / 40320 + r * (1. / 362880)))))))));
    return static_cast<float>(scale * series);
}

DEVICE_FUNCTION float fastExp(const float x) { return exp2FromDouble(x * 1.4426950408889634); }
DEVICE_FUNCTION float fastLog(const float x) { return static_cast<float>(log2InDouble(x) * 0.69314718055994531); }
DEVICE_FUNCTION float fastPow(const float x, const float y) { return exp2FromDouble(y * log2InDouble(x)); }
DEVICE_FUNCTION float fastDivide(const float x, const float y) { return x / y; }
// Whether this build contracts a*b + c.
#if !defined(ROSETTA_STRICT) && (defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF))
constexpr bool fusesProducts = true;
#else
constexpr bool fusesProducts = false;
#endif
DEVICE_FUNCTION float weightedSum(const float a, const float x, const float b, const float y) {
    return fusesProducts ? __builtin_fmaf(a, x, b * y) : a * x + b * y;
}

#endif
