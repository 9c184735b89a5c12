// Arithmetic with numbers that a caller chose: in 64 bits, and refused beyond the 32 bits of the kernels' offsets
// before anything is allocated, divided by or launched. Host code multiplies sizes through `product` and nothing else.
#pragma once
#include <initializer_list>
#include <limits>

#include "errors.h"

// Kernels add windows, strides and tiles to coordinates; below this magnitude none of the sums leaves 32 bits.
constexpr long farAway = 1L << 30;

// Elements of sizes that are 0 or more.
inline int product(const std::string& entry, std::initializer_list<long> sizes) {
    constexpr long most = std::numeric_limits<int>::max();
    long result = 1;
    for (const long size : sizes) {
        if (size < 0 || size > most)
            throw Refused(text(entry, ": a size is out of range"), "0 to 2^31 - 1", text(size));
        result *= size;
        if (result > most)
            throw Refused(text(entry, ": too many elements"), "at most 2^31 - 1 (offsets are 32-bit)",
                          text("more than ", most), "use a smaller batch");
    }
    return static_cast<int>(result);
}

// A number of a layer dictionary or of an argument as an int.
inline int narrow(const std::string& name, double value) {
    constexpr double most = std::numeric_limits<int>::max();
    if (!(value >= -most && value <= most && value == static_cast<int>(value)))
        throw Refused(text(name, " is not an integer of 32 bits"), "an integer below 2^31", text(value));
    return static_cast<int>(value);
}

// The same as a float.
inline float single(const std::string& name, double value) {
    constexpr double most = std::numeric_limits<float>::max();
    if (!(value >= -most && value <= most))
        throw Refused(text(name, " is beyond single precision"), text("-", most, " to ", most), text(value));
    return static_cast<float>(value);
}

// The quotient of sizes that are 0 or more, rounded up.
inline int divUp(int a, int b) { return a / b + (a % b != 0); }
