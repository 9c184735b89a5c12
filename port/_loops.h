// Inner loops of the memory-bound layers, each over contiguous images (the last axis of CHWN), for _loops.pyx.
//
// The extension is built for the oldest processor of its architecture. Where the compiler and the C library can do it,
// each function below is compiled three times and the best version is chosen when the module is loaded.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(__SANITIZE_ADDRESS__)
#define MULTIVERSION __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define MULTIVERSION
#endif

// Where the bits must not depend on the processor: g++ would fuse a product with the sum that it goes into, across
// statements. Other compilers do so inside of an expression at most.
#if defined(__GNUC__) && !defined(__clang__)
#define UNFUSED __attribute__((optimize("fp-contract=off")))
#else
#define UNFUSED
#endif

#if defined(__GNUC__)
#define RESTRICT __restrict__
#elif defined(_MSC_VER)
#define RESTRICT __restrict
#else
#define RESTRICT
#endif

namespace rosetta {

using Index = std::ptrdiff_t;

// --- neurons ---------------------------------------------------------------------------------------------------------

// x < 0 ? 0 : x keeps NaN and -0.
template <class T>
MULTIVERSION void relu_forward(const T* RESTRICT x, T* RESTRICT y, Index count) {
    for (Index i = 0; i < count; ++i) y[i] = x[i] < 0 ? T(0) : x[i];
}

// The comparison is a factor 0 or 1, so infinite and NaN gradients are not masked.
template <class T>
MULTIVERSION void relu_backward(const T* RESTRICT y, const T* RESTRICT dy, T* RESTRICT dx, Index count) {
    for (Index i = 0; i < count; ++i) dx[i] = dy[i] * (y[i] > 0 ? T(1) : T(0));
}

// --- pooling of one channel: image side I, output side O, N images --------------------------------------------------

struct Pool {
    int I, O, N, size, stride, start;
};

// Rows (or columns) first <= y < last of window o, clipped to the image.
inline int pool_first(const Pool& p, int o) { return std::max(p.start + o * p.stride, 0); }
inline int pool_last(const Pool& p, int o) { return std::min(p.start + o * p.stride + p.size, p.I); }

// Smaller values, NaN and empty windows come out as -2e38.
template <class T>
MULTIVERSION void max_pool_forward(const Pool& p, const T* images, T* acts) {
    for (int oy = 0; oy < p.O; ++oy)
        for (int ox = 0; ox < p.O; ++ox, acts += p.N) {
            T* RESTRICT out = acts;
            for (int n = 0; n < p.N; ++n) out[n] = T(-2e38f);
            for (int y = pool_first(p, oy); y < pool_last(p, oy); ++y)
                for (int x = pool_first(p, ox); x < pool_last(p, ox); ++x) {
                    const T* RESTRICT in = images + (Index(y) * p.I + x) * p.N;
                    for (int n = 0; n < p.N; ++n) out[n] = in[n] > out[n] ? in[n] : out[n];
                }
        }
}

// Every pixel equal to the maximum of a window gets the whole gradient of that window. The zeros are in the cache.
template <class T>
MULTIVERSION void max_pool_backward(const Pool& p, const T* images, const T* acts, const T* dacts, T* dimages) {
    std::fill(dimages, dimages + Index(p.I) * p.I * p.N, T(0));
    for (int oy = 0; oy < p.O; ++oy)
        for (int ox = 0; ox < p.O; ++ox, acts += p.N, dacts += p.N)
            for (int y = pool_first(p, oy); y < pool_last(p, oy); ++y)
                for (int x = pool_first(p, ox); x < pool_last(p, ox); ++x) {
                    const Index pixel = (Index(y) * p.I + x) * p.N;
                    const T* RESTRICT in = images + pixel;
                    const T* RESTRICT top = acts;
                    const T* RESTRICT grad = dacts;
                    T* RESTRICT out = dimages + pixel;
                    for (int n = 0; n < p.N; ++n) out[n] += (in[n] == top[n] ? T(1) : T(0)) * grad[n];
                }
}

// The sum of a window divided by the number of its pixels inside the image.
template <class T>
MULTIVERSION void avg_pool_forward(const Pool& p, const T* images, T* acts) {
    for (int oy = 0; oy < p.O; ++oy)
        for (int ox = 0; ox < p.O; ++ox, acts += p.N) {
            T* RESTRICT out = acts;
            for (int n = 0; n < p.N; ++n) out[n] = 0;
            for (int y = pool_first(p, oy); y < pool_last(p, oy); ++y)
                for (int x = pool_first(p, ox); x < pool_last(p, ox); ++x) {
                    const T* RESTRICT in = images + (Index(y) * p.I + x) * p.N;
                    for (int n = 0; n < p.N; ++n) out[n] += in[n];
                }
            const T area = T((pool_last(p, oy) - pool_first(p, oy)) * (pool_last(p, ox) - pool_first(p, ox)));
            for (int n = 0; n < p.N; ++n) out[n] /= area;
        }
}

template <class T>
MULTIVERSION void avg_pool_backward(const Pool& p, const T* dacts, T* dimages) {
    std::fill(dimages, dimages + Index(p.I) * p.I * p.N, T(0));
    for (int oy = 0; oy < p.O; ++oy)
        for (int ox = 0; ox < p.O; ++ox, dacts += p.N) {
            const T area = T((pool_last(p, oy) - pool_first(p, oy)) * (pool_last(p, ox) - pool_first(p, ox)));
            for (int y = pool_first(p, oy); y < pool_last(p, oy); ++y)
                for (int x = pool_first(p, ox); x < pool_last(p, ox); ++x) {
                    const T* RESTRICT grad = dacts;
                    T* RESTRICT out = dimages + (Index(y) * p.I + x) * p.N;
                    for (int n = 0; n < p.N; ++n) out[n] += grad[n] / area;
                }
        }
}

// --- response normalisation across channels, for `count` <= NORM_BLOCK neighbouring outputs of all channels ---------

constexpr int NORM_BLOCK = 256;

struct Norm {
    int C, size, blocked;
    Index plane;  // outputs per channel
    double scale, power, min_div;
};

// The channels first <= c < last that channel f is normalised by ...
inline int norm_first(const Norm& p, int f) {
    return p.blocked ? f / p.size * p.size : std::max(f - p.size / 2, 0);
}
inline int norm_last(const Norm& p, int f) {
    return std::min((p.blocked ? f / p.size * p.size : f - p.size / 2) + p.size, p.C);
}
// ... and those that it helps to normalise: the mirrored window.
inline int undo_first(const Norm& p, int f) {
    return p.blocked ? norm_first(p, f) : std::max(f - p.size + p.size / 2 + 1, 0);
}
inline int undo_last(const Norm& p, int f) {
    return p.blocked ? norm_last(p, f) : std::min(f + p.size / 2 + 1, p.C);
}

// y = x * d^-power. Square roots are exact to half a unit in the last place and, unlike pow, vectorise.
template <class T>
MULTIVERSION void times_inverse_power(const T* RESTRICT x, const T* RESTRICT d, double power, T* RESTRICT y, int count) {
    if (power == 0.75)
        for (int i = 0; i < count; ++i) {
            const T root = std::sqrt(d[i]);
            y[i] = x[i] / (root * std::sqrt(root));
        }
    else if (power == 0.5)
        for (int i = 0; i < count; ++i) y[i] = x[i] / std::sqrt(d[i]);
    else if (power == 1)
        for (int i = 0; i < count; ++i) y[i] = x[i] / d[i];
    else
        for (int i = 0; i < count; ++i) y[i] = T(x[i] * std::pow(double(d[i]), -power));
}

// denoms = min_div + scale * (sum of squares over the window); acts = images * denoms^-power.
template <class T>
MULTIVERSION void cmrnorm_forward(const Norm& p, const T* images, T* acts, T* denoms, int count) {
    T squares[NORM_BLOCK];
    for (int f = 0; f < p.C; ++f) {
        for (int i = 0; i < count; ++i) squares[i] = 0;
        for (int c = norm_first(p, f); c < norm_last(p, f); ++c) {
            const T* RESTRICT in = images + c * p.plane;
            for (int i = 0; i < count; ++i) squares[i] += in[i] * in[i];
        }
        T* RESTRICT d = denoms + f * p.plane;
        for (int i = 0; i < count; ++i) d[i] = T(p.min_div) + T(p.scale) * squares[i];
        times_inverse_power(images + f * p.plane, d, p.power, acts + f * p.plane, count);
    }
}

// dimages = dacts * denoms^-power - 2 scale power images * (sum of dacts acts / denoms over the mirrored window).
// ratios: scratch of C * NORM_BLOCK.
template <class T>
MULTIVERSION void cmrnorm_backward(const Norm& p, const T* images, const T* acts, const T* denoms, const T* dacts,
                                   T* dimages, T* ratios, int count) {
    T sums[NORM_BLOCK], direct[NORM_BLOCK];
    for (int f = 0; f < p.C; ++f) {
        const T *RESTRICT y = acts + f * p.plane, *RESTRICT d = denoms + f * p.plane, *RESTRICT g = dacts + f * p.plane;
        T* RESTRICT ratio = ratios + f * NORM_BLOCK;
        for (int i = 0; i < count; ++i) ratio[i] = g[i] * y[i] / d[i];
    }
    const T factor = T(2 * p.scale * p.power);
    for (int f = 0; f < p.C; ++f) {
        for (int i = 0; i < count; ++i) sums[i] = 0;
        for (int c = undo_first(p, f); c < undo_last(p, f); ++c) {
            const T* RESTRICT ratio = ratios + c * NORM_BLOCK;
            for (int i = 0; i < count; ++i) sums[i] += ratio[i];
        }
        times_inverse_power(dacts + f * p.plane, denoms + f * p.plane, p.power, direct, count);
        const T* RESTRICT x = images + f * p.plane;
        T* RESTRICT out = dimages + f * p.plane;
        for (int i = 0; i < count; ++i) out[i] = direct[i] - factor * x[i] * sums[i];
    }
}

// --- weights ---------------------------------------------------------------------------------------------------------

// One step of `count` weights w and their increments d; g: gradients, or null where d holds them already. Every product
// and every sum is rounded, in the order of solver.py. Blocks stay in the first-level cache from one loop to the next.
template <class T>
MULTIVERSION UNFUSED void update(T* w, T* d, const T* g, T eps, T mom, T decay, T step, bool decoupled, Index count) {
    for (Index first = 0; first < count; first += 1024) {
        const Index block = std::min(Index(1024), count - first);
        T *RESTRICT weights = w + first, *RESTRICT steps = d + first;
        if (g)
            for (Index i = 0; i < block; ++i) steps[i] = steps[i] * mom + g[first + i] * eps;
        if (decay > 0 && decoupled)
            for (Index i = 0; i < block; ++i) weights[i] -= weights[i] * decay;
        else if (decay > 0)
            for (Index i = 0; i < block; ++i) steps[i] -= weights[i] * decay;
        for (Index i = 0; i < block; ++i) weights[i] += steps[i] * step;
    }
}

}  // namespace rosetta
