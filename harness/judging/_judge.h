// The judge's one pass over the data, for _judge.pyx: everything that `Finding` says about a piece of a tensor.
//
// A tile small enough for the first-level cache is brought into float64, whatever its types and strides; then every
// element gets its bound and its share of the bound; then they are counted. Products and sums are rounded one by one (the
// module is compiled without contraction), so that every processor finds the same numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(__SANITIZE_ADDRESS__)
#define MULTIVERSION __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define MULTIVERSION
#endif

namespace rosetta {

using Index = std::ptrdiff_t;

constexpr int TILE = 512, LANES = 8, BINS = 50, LOWEST = -32;
constexpr double INFINITE = std::numeric_limits<double>::infinity();
constexpr double OVERFLOWN = 0x1p128;  // what an overflowed float32 stands for

// A matrix as NumPy has it: strides in bytes, 0 where it is broadcast.
struct Operand {
    const char* data;
    Index row, column;
    bool single;
};

// The elements of a tile, row by row, filled up with zeros to whole lanes.
struct Tile {
    alignas(64) double reference[TILE], actual[TILE], magnitude[TILE], slope[TILE], floor[TILE];
    alignas(64) double bound[TILE], share[TILE], notices[TILE];  // bound / |reference|
    alignas(64) std::int32_t expected[TILE], found[TILE];  // as float32, by rank
    alignas(64) std::int32_t differs[TILE], open[TILE];    // other bits; a bound larger than the value
    int rows, columns;
};

struct Counts {
    std::int64_t differing = 0, outside = 0, nonfinite = 0, loose = 0, ulps = 0, signs = 0;
    double boundSquares = 0, referenceSquares = 0;
    double low = INFINITE, high = -INFINITE, sum = 0;  // of the engine's values; NaN is neither low nor high
    double notices = INFINITE;  // the smallest bound / |reference| where the reference is not 0
    std::int64_t histogram[BINS] = {};
    double share = 0, actual = 0, reference = 0, bound = 0;  // of the worst element
    Index row = 0, column = 0;
};

template <class T>
inline void load_row(const char* from, Index stride, double* into, int count) {
    if (stride == sizeof(T)) {
        const T* typed = reinterpret_cast<const T*>(from);
        for (int i = 0; i < count; ++i) into[i] = typed[i];
    } else if (stride == 0) {
        std::fill(into, into + count, double(*reinterpret_cast<const T*>(from)));
    } else {
        for (int i = 0; i < count; ++i) into[i] = *reinterpret_cast<const T*>(from + i * stride);
    }
}

template <class T>
inline void load(const Operand& x, Index row, Index column, const Tile& tile, double* into) {
    const char* from = x.data + row * x.row + column * x.column;
    if (x.row == sizeof(T) && x.column) {  // column-major: read along the memory
        for (int j = 0; j < tile.columns; ++j, from += x.column)
            for (int i = 0; i < tile.rows; ++i) into[i * tile.columns + j] = reinterpret_cast<const T*>(from)[i];
        return;
    }
    for (int i = 0; i < tile.rows; ++i) load_row<T>(from + i * x.row, x.column, into + i * tile.columns, tile.columns);
}

// Position of a float32 among all float32 numbers, 0 for both zeros.
inline std::int32_t rank(float x) {
    std::int32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const std::int32_t sign = bits >> 31;
    return (bits ^ (sign & 0x7fffffff)) - sign;
}

// Bounds and shares of `count` elements, a multiple of LANES; whether some error is infinite or NaN.
inline bool measure(Tile& t, int count) {
    std::int64_t irregular = 0;
    for (int i = 0; i < count; ++i) {
        const double reference = t.reference[i], actual = t.actual[i], rounding = t.slope[i] * t.magnitude[i];
        const double whole = rounding + t.floor[i], error = std::fabs(actual - reference);
        const double bound = (rounding == 0) & (reference == 0) ? 0.0 : whole;
        const float expected = float(reference), found = float(actual);
        const bool differs = expected != found;
        t.expected[i] = rank(expected);
        t.found[i] = rank(found);
        t.differs[i] = differs;
        t.bound[i] = bound > 0 ? bound : 0.0;
        t.open[i] = bound > std::fabs(reference);
        t.notices[i] = reference != 0 ? t.bound[i] / std::fabs(reference) : INFINITE;
        t.share[i] = bound > 0 ? error / bound : differs ? INFINITE : 0.0;
        irregular += !(error < INFINITE);
    }
    return irregular != 0;
}

// NaN and infinities: the same class is the same value, anything else is infinitely far away. An infinity where the
// reference is finite may also be an honest overflow, and then stands for 2**128.
inline void match_class(Tile& t, int i, Counts& counts) {
    const double reference = t.reference[i], actual = t.actual[i];
    if (std::isfinite(reference) && std::isfinite(actual)) return;
    const bool same = !t.differs[i] || (std::isnan(reference) && std::isnan(actual));
    const double error = std::fabs(std::copysign(OVERFLOWN, actual) - reference);
    const bool overflow = std::isinf(actual) && std::isfinite(reference) && !same && error <= t.bound[i];
    t.expected[i] = t.found[i] = 0;
    t.differs[i] = !same;
    if (overflow) {
        t.share[i] = t.bound[i] > 0 ? error / t.bound[i] : INFINITE;
    } else {
        t.reference[i] = t.bound[i] = t.open[i] = 0;
        t.notices[i] = INFINITE;
        t.share[i] = same ? 0 : INFINITE;
        counts.nonfinite += !same;
    }
}

// The counts of `count` elements, filled up to a multiple of LANES, and the largest share.
inline double tally(const Tile& t, int count, Counts& counts) {
    typedef double Lanes __attribute__((vector_size(8 * LANES)));
    Lanes boundSquares = {}, referenceSquares = {}, largest = {}, sum = {}, low = INFINITE - Lanes{}, high = -low,
          notices = low;
    for (int i = 0; i < count; i += LANES) {
        const Lanes& bound = reinterpret_cast<const Lanes&>(t.bound[i]);
        const Lanes& reference = reinterpret_cast<const Lanes&>(t.reference[i]);
        const Lanes& share = reinterpret_cast<const Lanes&>(t.share[i]);
        boundSquares += bound * bound;
        referenceSquares += reference * reference;
        largest = share > largest ? share : largest;
        const Lanes& noticed = reinterpret_cast<const Lanes&>(t.notices[i]);
        notices = noticed < notices ? noticed : notices;
        sum += reinterpret_cast<const Lanes&>(t.actual[i]);
    }
    for (int i = 0; i + LANES <= count; i += LANES) {
        const Lanes& actual = reinterpret_cast<const Lanes&>(t.actual[i]);
        low = actual < low ? actual : low;
        high = actual > high ? actual : high;
    }
    for (int i = count / LANES * LANES; i < count; ++i) {  // the last lanes may be zeros that are no elements
        low[0] = t.actual[i] < low[0] ? t.actual[i] : low[0];
        high[0] = t.actual[i] > high[0] ? t.actual[i] : high[0];
    }
    std::int32_t differing = 0, open = 0, signs = 0, ulps = 0;
    for (int i = 0; i < count; ++i) {
        const std::int32_t expected = t.expected[i], found = t.found[i], told = t.differs[i] & ~t.open[i];
        const std::int32_t same = (expected > 0) - (expected < 0) == (found > 0) - (found < 0);
        // Of one sign, so that the difference fits; of two it may wrap, and is not used.
        const std::int32_t apart = std::int32_t(std::uint32_t(expected) - std::uint32_t(found));
        const std::int32_t distance = told & same ? (apart < 0 ? -apart : apart) : 0;
        differing += t.differs[i];
        open += t.open[i];
        signs += told & ~same;
        ulps = distance > ulps ? distance : ulps;
    }
    counts.differing += differing;
    counts.loose += open;
    counts.signs += signs;
    counts.ulps = std::max<std::int64_t>(counts.ulps, ulps);
    double top = 0;
    for (int lane = 0; lane < LANES; ++lane) {
        counts.boundSquares += boundSquares[lane];
        counts.referenceSquares += referenceSquares[lane];
        counts.sum += sum[lane];
        counts.low = std::min(counts.low, low[lane]);
        counts.high = std::max(counts.high, high[lane]);
        counts.notices = std::min(counts.notices, notices[lane]);
        top = std::max(top, largest[lane]);
    }
    if (top > 1) counts.outside += std::count_if(t.share, t.share + count, [](double share) { return share > 1; });
    return top;
}

// Elements per power of two of the share: bin 0 holds 0, the ends what is beyond them (finding.py).
inline void add_histogram(const Tile& t, int count, Counts& counts) {
    std::uint32_t bins[4][BINS] = {};  // four, so that equal neighbours do not wait for each other
    for (int i = 0; i < count; ++i) {
        std::uint64_t bits;
        std::memcpy(&bits, &t.share[i], sizeof bits);
        const int exponent = int(bits >> 52);
        ++bins[i & 3][exponent ? std::min(std::max(exponent - (1023 + LOWEST) + 1, 1), BINS - 1) : 0];
    }
    for (int bin = 0; bin < BINS; ++bin)
        counts.histogram[bin] += bins[0][bin] + bins[1][bin] + bins[2][bin] + bins[3][bin];
}

// Keep the worst element, the first in the tensor's order among equals, so that neither tiles nor chunks matter.
inline void remember(const Tile& t, const Operand& reference, double share, Index top, Index left, Index row,
                     Index column, Counts& counts) {
    for (int i = 0; i < t.rows * t.columns; ++i) {
        if (t.share[i] != share) continue;
        const Index y = row + top + i / t.columns, x = column + left + i % t.columns;
        if (share == counts.share && (y > counts.row || (y == counts.row && x >= counts.column))) return;
        counts.share = share;
        counts.row = y;
        counts.column = x;
        counts.actual = t.actual[i];
        counts.bound = t.bound[i];
        const char* at = reference.data + (y - row) * reference.row + (x - column) * reference.column;
        counts.reference = reference.single ? *reinterpret_cast<const float*>(at) : *reinterpret_cast<const double*>(at);
        return;
    }
}

// Count a matrix that begins at (row, column) of its tensor. Operands: reference, actual, magnitude, slope, floor.
MULTIVERSION inline void add_matrix(const Operand* operands, Index rows, Index columns, Index row, Index column,
                                    Counts& counts) {
    Tile t;
    double* const into[] = {t.reference, t.actual, t.magnitude, t.slope, t.floor};
    bool mixed = false;  // some of it column-major
    for (int k = 0; k < 5; ++k) mixed |= operands[k].column && operands[k].row < operands[k].column;
    const Index wide = std::min<Index>(std::max<Index>(columns, 1), mixed ? 32 : TILE), high = TILE / wide;
    for (Index top = 0; top < rows; top += high)
        for (Index left = 0; left < columns; left += wide) {
            t.rows = int(std::min(high, rows - top));
            t.columns = int(std::min(wide, columns - left));
            const int count = t.rows * t.columns, padded = (count + LANES - 1) / LANES * LANES;
            for (int k = 0; k < 5; ++k) {
                if (operands[k].single)
                    load<float>(operands[k], top, left, t, into[k]);
                else
                    load<double>(operands[k], top, left, t, into[k]);
                std::fill(into[k] + count, into[k] + padded, 0.0);
            }
            if (measure(t, padded))
                for (int i = 0; i < count; ++i) match_class(t, i, counts);
            const double largest = tally(t, count, counts);
            add_histogram(t, count, counts);
            if (largest > 0 && largest >= counts.share)
                remember(t, operands[0], largest, top, left, row, column, counts);
        }
}

}  // namespace rosetta
