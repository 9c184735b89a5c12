// Convolution on (channels, y, x, images) arrays, for _conv.pyx: packed panels and one micro-kernel.
//
// Letters as in conv.py. Images lie next to each other in memory, so the image index is the vector lane. A *unit* of
// work is a piece of one output row, of at most so many columns; a column is a pixel (or a tile of Winograd's) of one
// image. What a unit reads is packed into *strips* of two vectors, the filters into *panels* of ROWS rows, and the sums
// of a panel and a strip stay in registers over the whole depth of what is packed.
//
// Winograd's minimal filtering F(2x2, 3x3) (Winograd 1980; Lavin and Gray 2015): a tile of 2x2 outputs reads 4x4 inputs,
//   outputs = At [(G filter Gt) * (Bt inputs B)] A,    16 products in place of 36.
// The filter gradient is the same form read the other way: Gt [sum over tiles of (A grads At) * (Bt inputs B)] G.
// An output has no share in inputs outside its window; a filter tap's gradient has: they cancel in it.
#pragma once

#include "_loops.h"

#include <cstring>

#define INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define LANES _Pragma("clang loop vectorize(assume_safety)")
#else
#define LANES _Pragma("GCC ivdep")
#endif

namespace rosetta {

struct Conv {
    int K, S, F, I, M, N, padding, stride, groups;
};

constexpr int UNIT = 128;     // most columns of a unit
constexpr int TILES = 64;     // most columns of a unit of Winograd's, forward
constexpr int ROWS = 12;      // rows of a panel; the last panel may have half of them
constexpr int DEPTH = 192;    // most rows of a strip that are packed at a time: they stay in the first cache
constexpr int RUN = 384;      // most rows of a matrix of the filter gradient that are packed at a time
constexpr int POINTS = 16;    // products of a tile of Winograd's

template <class T>
struct Lanes {
    typedef T Vec __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
    static constexpr int vector = 64 / sizeof(T), strip = 2 * vector;
};

INLINE Index round_up(Index n, Index to) { return (n + to - 1) / to * to; }
INLINE Index padded_rows(Index rows) { return round_up(rows, ROWS / 2); }

// --- the micro-kernel ------------------------------------------------------------------------------------------------

// panel_*: c[r, v] += sum over d of a[d * D + r * R] * b[d, v] for `rows` rows and `vecs` vectors, d ascending; b and c
// are strips. Defined for each instruction set: g++ cuts vectors into those of the function they stand in before it
// inlines. MOST_ROWS by MOST_VECS sums fit the registers.
#define MICRO_KERNEL(SET, TARGET, MOST_ROWS, MOST_VECS)                                                               \
    template <class T, int rows, int vecs, int D, int R>                                                              \
    TARGET INLINE void tile_##SET(Index depth, const T* a, const T* b, T* c) {                                        \
        using Vec = typename Lanes<T>::Vec;                                                                           \
        constexpr int vector = Lanes<T>::vector, strip = Lanes<T>::strip;                                             \
        Vec sums[rows][vecs];                                                                                         \
        for (int r = 0; r < rows; ++r)                                                                                \
            for (int v = 0; v < vecs; ++v) sums[r][v] = *(const Vec*)(c + r * strip + v * vector);                    \
        for (Index d = 0; d < depth; ++d, a += D, b += strip) {                                                       \
            Vec columns[vecs];                                                                                        \
            for (int v = 0; v < vecs; ++v) columns[v] = *(const Vec*)(b + v * vector);                                \
            for (int r = 0; r < rows; ++r)                                                                            \
                for (int v = 0; v < vecs; ++v) sums[r][v] += a[r * R] * columns[v];                                   \
        }                                                                                                             \
        for (int r = 0; r < rows; ++r)                                                                                \
            for (int v = 0; v < vecs; ++v) *(Vec*)(c + r * strip + v * vector) = sums[r][v];                          \
    }                                                                                                                 \
    template <class T, int rows, int D, int R>                                                                        \
    TARGET void panel_##SET(int vecs, Index depth, const T* a, const T* b, T* c) {                                    \
        constexpr int piece = rows < MOST_ROWS ? rows : MOST_ROWS, step = Lanes<T>::strip, vector = Lanes<T>::vector; \
        for (int r = 0; r < rows; r += piece, a += piece * R, c += piece * step)                                      \
            if (MOST_VECS == 2 && vecs == 2) tile_##SET<T, piece, 2, D, R>(depth, a, b, c);                           \
            else                                                                                                      \
                for (int v = 0; v < vecs * vector; v += vector) tile_##SET<T, piece, 1, D, R>(depth, a, b + v, c + v); \
    }

#if defined(__x86_64__) && defined(__GNUC__)
MICRO_KERNEL(v4, __attribute__((target("arch=x86-64-v4"))), 12, 2)
MICRO_KERNEL(v3, __attribute__((target("arch=x86-64-v3"))), 6, 1)
MICRO_KERNEL(any, , 3, 1)
inline int instruction_set() {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")) return 4;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 3 : 2;
}
#else
MICRO_KERNEL(any, , 6, 1)
#endif

template <class T, int rows, int D, int R>
inline void panel(int vecs, Index depth, const T* a, const T* b, T* c) {
#if defined(__x86_64__) && defined(__GNUC__)
    static const int set = instruction_set();
    if (set == 4) return panel_v4<T, rows, D, R>(vecs, depth, a, b, c);
    if (set == 3) return panel_v3<T, rows, D, R>(vecs, depth, a, b, c);
#endif
    panel_any<T, rows, D, R>(vecs, depth, a, b, c);
}

// c[rows, strip] += A[rows, start : start + depth] b, A in panels of [whole][ROWS], the last of them [whole][half].
template <class T>
INLINE void by_panels(Index rows, int vecs, const T* a, Index whole, Index start, Index depth, const T* b, T* c) {
    for (Index r = 0; r < rows; r += ROWS, a += whole * ROWS, c += ROWS * Lanes<T>::strip)
        if (rows - r > ROWS / 2) panel<T, ROWS, ROWS, 1>(vecs, depth, a + start * ROWS, b, c);
        else panel<T, ROWS / 2, ROWS / 2, 1>(vecs, depth, a + start * (ROWS / 2), b, c);
}

// c[rows, strip] += a b, a[rows][UNIT]; a may be read, but c is not written, past its last row.
template <class T>
INLINE void by_rows(Index rows, int vecs, Index depth, const T* a, const T* b, T* c) {
    constexpr int strip = Lanes<T>::strip;
    Index r = 0;
    for (; rows - r >= ROWS; r += ROWS) panel<T, ROWS, 1, UNIT>(vecs, depth, a + r * UNIT, b, c + r * strip);
    for (; r < rows; r += ROWS / 2) {
        T sums[ROWS / 2 * strip] = {};
        panel<T, ROWS / 2, 1, UNIT>(vecs, depth, a + r * UNIT, b, sums);
        const Index left = std::min(rows - r, Index(ROWS / 2)) * strip;
        for (Index i = 0; i < left; ++i) c[r * strip + i] += sums[i];
    }
}

// --- units, and what they read ---------------------------------------------------------------------------------------

// `count` pixels (or tiles) of row `row` from `first` on, `images` images each; segments are what lies together in a
// strip: `length` images from n on, of a pixel, from column `at` on.
struct Unit {
    int row, first, count, images, segments;
    int begin[UNIT / 8 + 2];                  // first segment of each strip
    struct Segment { int pixel, n, at, length; } segment[UNIT + UNIT / 8];

    int columns() const { return count * images; }
};

// How `side` rows of `side` pixels and N images are cut into units of at most `most` columns.
struct Cut {
    int side, N, images, chunks, pixels, pieces;

    Cut(int side, int N, int most) : side(side), N(N), chunks((N + most - 1) / most) {
        images = (N + chunks - 1) / chunks;
        chunks = (N + images - 1) / images;
        pixels = std::min(side, most / images);
        pieces = (side + pixels - 1) / pixels;
        pixels = (side + pieces - 1) / pieces;
        pieces = (side + pixels - 1) / pixels;
    }
    int units() const { return side * pieces * chunks; }

    template <class T>
    void unit(int index, Unit& u) const {
        constexpr int strip = Lanes<T>::strip;
        const int chunk = index / pieces % chunks;
        u.images = std::min(images, N - chunk * images);
        u.first = index % pieces * pixels;
        u.count = std::min(pixels, side - u.first);
        u.row = index / pieces / chunks;
        u.segments = 0;
        for (int at = 0, pixel = 0, n = 0; pixel < u.count;) {
            const int length = std::min(u.images - n, strip - at % strip);
            if (at % strip == 0) u.begin[at / strip] = u.segments;
            u.segment[u.segments++] = {pixel, chunk * images + n, at, length};
            at += length;
            n += length;
            if (n == u.images) n = 0, ++pixel;
        }
        u.begin[(u.columns() + strip - 1) / strip] = u.segments;
    }
};

// Strips of so many columns, and the vectors in one of them.
template <class T>
INLINE int strips_of(Index columns) { return int((columns + Lanes<T>::strip - 1) / Lanes<T>::strip); }
template <class T>
INLINE int vectors_of(Index columns, int s) { return columns - s * Lanes<T>::strip > Lanes<T>::vector ? 2 : 1; }

// A few values, or zeros.
template <class T>
INLINE void copy(T* RESTRICT to, const T* RESTRICT from, int length) {
    constexpr int strip = Lanes<T>::strip;
    if (!from) for (int i = 0; i < length; ++i) to[i] = 0;
    else if (length == strip) for (int i = 0; i < strip; ++i) to[i] = from[i];
    else for (int i = 0; i < length; ++i) to[i] = from[i];
}

// The row or column that a tap reads for an output at `at`, or -1: forward, or `back`, from pixels to modules.
INLINE int source(const Conv& g, bool back, int at, int tap) {
    const int t = back ? at + g.padding - tap : g.stride * at - g.padding + tap;
    if (!back) return t >= 0 && t < g.I ? t : -1;
    return t >= 0 && t % g.stride == 0 && t / g.stride < g.M ? t / g.stride : -1;
}

// The next rows (tap, channel) of a unit's patch matrix that no gap divides, at most `most`, packed.
struct Run {
    Index start = 0;
    int rows = 0, tap = 0, channel = 0;
    Index place[UNIT];                        // by pixel: the pixel that the tap reads, or -1

    // False at the end. Row r of the run becomes to[segment's strip][r], strips of [depth][width].
    template <class T>
    INLINE bool next(const Conv& g, bool back, const Unit& u, const T* planes, int most, T* to, int width, Index depth) {
        const int channels = back ? g.F / g.groups : g.K;
        const Index plane = Index(back ? g.M : g.I) * (back ? g.M : g.I) * g.N;
        for (rows = 0; tap < g.S * g.S && rows < most;) {
            if (channel == 0 && !find(g, back, u)) {
                ++tap;
                if (rows) return true;
                continue;
            }
            if (!rows) start = Index(tap) * channels + channel;
            const T* from = planes + channel * plane;
            for (; channel < channels && rows < most; ++channel, ++rows, from += plane)
                for (int i = 0; i < u.segments; ++i) {
                    const auto& s = u.segment[i];
                    const Index pixel = place[s.pixel];
                    copy(to + (s.at / width * depth + rows) * width + s.at % width,
                         pixel < 0 ? nullptr : from + pixel * g.N + s.n, s.length);
                }
            if (channel == channels) channel = 0, ++tap;
        }
        return rows > 0;
    }

private:
    INLINE bool find(const Conv& g, bool back, const Unit& u) {
        const int y = source(g, back, u.row, tap / g.S);
        bool any = false;
        for (int j = 0; j < u.count; ++j) {
            const int x = y < 0 ? -1 : source(g, back, u.first + j, tap % g.S);
            place[j] = x < 0 ? -1 : Index(y) * (back ? g.M : g.I) + x;
            any |= x >= 0;
        }
        return any;
    }
};

// Where the outputs of a convolution go, and what is added: biases (none, one per filter, or one per output), and what
// is there.
template <class T>
struct Target {
    T* out;
    const T* biases;
    int shared, accumulate;

    INLINE void write(Index f, Index pixel, Index pixels, int N, int n, const T* RESTRICT sums, int length) const {
        T* RESTRICT to = out + (f * pixels + pixel) * N + n;
        const T bias = biases ? biases[shared ? f : f * pixels + pixel] : T(0);
        if (accumulate) for (int i = 0; i < length; ++i) to[i] += sums[i] + bias;
        else for (int i = 0; i < length; ++i) to[i] = sums[i] + bias;
    }
};

// --- direct: any geometry --------------------------------------------------------------------------------------------

// Panel `index` of one group's filters: rows are its filters (`back`: channels), depth (tap, channel (`back`: filter)).
template <class T>
MULTIVERSION void direct_panel(const Conv& g, bool back, int group, int index, const T* filters, T* panels) {
    const int Fg = g.F / g.groups, taps = g.S * g.S, depth = back ? Fg : g.K, rows = back ? g.K : Fg;
    const int first = index * ROWS, width = rows - first > ROWS / 2 ? ROWS : ROWS / 2;
    T* to = panels + (group * padded_rows(rows) + first) * taps * depth;
    for (int tap = 0; tap < taps; ++tap)
        for (int d = 0; d < depth; ++d, to += width)
            for (int r = 0; r < width; ++r) {
                const Index k = back ? first + r : d, f = back ? d : first + r;
                to[r] = first + r < rows ? filters[(k * taps + tap) * g.F + group * Fg + f] : T(0);
            }
}

// One unit of all groups. scratch: UNIT * (DEPTH + padded_rows(filters or channels of a group)).
template <class T>
MULTIVERSION void direct_unit(const Conv& g, bool back, int index, const T* in, const T* panels,
                              const Target<T>& target, T* scratch) {
    constexpr int strip = Lanes<T>::strip;
    const int depth = back ? g.F / g.groups : g.K, rows = back ? g.K : g.F / g.groups;
    const Index side = back ? g.I : g.M, from = back ? g.M : g.I, padded = padded_rows(rows), whole = g.S * g.S * depth;
    Unit u;
    Cut(int(side), g.N, UNIT).unit<T>(index, u);
    const int strips = strips_of<T>(u.columns());
    T* sums = scratch + UNIT * DEPTH;
    for (int group = 0; group < g.groups; ++group) {
        std::memset(sums, 0, strips * padded * strip * sizeof(T));
        Run run;
        while (run.next(g, back, u, in + group * depth * from * from * g.N, DEPTH, scratch, strip, DEPTH))
            for (int s = 0; s < strips; ++s)
                by_panels(rows, vectors_of<T>(u.columns(), s), panels + group * padded * whole, whole, run.start,
                          run.rows, scratch + s * DEPTH * strip, sums + s * padded * strip);
        for (int r = 0; r < rows; ++r)
            for (int i = 0; i < u.segments; ++i) {
                const auto& s = u.segment[i];
                target.write(group * rows + r, u.row * side + u.first + s.pixel, side * side, g.N, s.n,
                             sums + (s.at / strip * padded + r) * strip + s.at % strip, s.length);
            }
    }
}

// to[strip of filters][column][filter] = a piece of `count` planes: those of a unit's segments at the pixels `place`.
template <class T>
INLINE void turn(const Unit& u, const T* planes, Index plane, int count, int N, const Index* place, T* to, Index depth) {
    constexpr int strip = Lanes<T>::strip, block = 16;
    for (int first = 0; first < count; first += block)
        for (int i = 0; i < u.segments; ++i) {
            const auto& s = u.segment[i];
            T* RESTRICT into = to + (first / strip * depth + s.at) * strip + first % strip;
            const T* RESTRICT from = planes + first * plane + place[s.pixel] * N + s.n;
            const bool inside = place[s.pixel] >= 0;
            const int planes_here = std::min(count - first, block);
            for (int f = 0; f < planes_here; ++f)
                for (int n = 0; n < s.length; ++n) into[n * strip + f] = inside ? from[f * plane + n] : T(0);
        }
}

// Part `part` of `parts` of the filter gradient: out[group][strip of filters][(tap, channel)][filter] = sum over the
// part's units. scratch: UNIT * (RUN + ROWS + filters of a group in whole strips).
template <class T>
MULTIVERSION void direct_filters(const Conv& g, int part, int parts, const T* images, const T* grads, T* out,
                                 T* scratch) {
    constexpr int strip = Lanes<T>::strip;
    const int Fg = g.F / g.groups, strips = strips_of<T>(Fg);
    const Index rows = Index(g.K) * g.S * g.S, plane = Index(g.I) * g.I * g.N, grads_plane = Index(g.M) * g.M * g.N;
    const Cut cut(g.M, g.N, UNIT);
    T* turned = scratch + UNIT * (RUN + ROWS);
    std::memset(out, 0, g.groups * strips * rows * strip * sizeof(T));
    for (int index = Index(part) * cut.units() / parts; index < Index(part + 1) * cut.units() / parts; ++index) {
        Unit u;
        Index place[UNIT];
        cut.unit<T>(index, u);
        for (int j = 0; j < u.count; ++j) place[j] = u.row * g.M + u.first + j;
        for (int group = 0; group < g.groups; ++group) {
            turn(u, grads + group * Fg * grads_plane, grads_plane, Fg, g.N, place, turned, UNIT);
            Run run;
            while (run.next(g, false, u, images + group * g.K * plane, RUN, scratch, UNIT, 0))
                for (int s = 0; s < strips; ++s)
                    by_rows(run.rows, vectors_of<T>(Fg, s), u.columns(), scratch, turned + s * UNIT * strip,
                            out + ((group * strips + s) * rows + run.start) * strip);
        }
    }
}

// out[(channel, tap), filters] = sum of the parts, for one channel.
template <class T>
MULTIVERSION void direct_filters_sum(const Conv& g, int channel, int parts, const T* sums, T* out) {
    constexpr int strip = Lanes<T>::strip;
    const int Fg = g.F / g.groups, strips = strips_of<T>(Fg), taps = g.S * g.S;
    const Index rows = Index(g.K) * taps, size = g.groups * strips * rows * strip;
    for (int group = 0; group < g.groups; ++group)
        for (int tap = 0; tap < taps; ++tap)
            for (int s = 0; s < strips; ++s) {
                T total[strip] = {};
                const T* from = sums + ((group * strips + s) * rows + tap * g.K + channel) * strip;
                for (int part = 0; part < parts; ++part)
                    for (int i = 0; i < strip; ++i) total[i] += from[part * size + i];
                T* to = out + (Index(channel) * taps + tap) * g.F + group * Fg + s * strip;
                for (int i = 0; i < std::min(strip, Fg - s * strip); ++i) to[i] = total[i];
            }
}

// --- Winograd: 3x3 filters, step 1 -----------------------------------------------------------------------------------

// v = Bt d B, of 4x4 values; A and G are applied likewise below.
template <class T>
INLINE void transform_input(const T* const (&d)[POINTS], T* RESTRICT v, Index pitch) {
    LANES for (int i = 0; i < Lanes<T>::strip; ++i) {
        T t[4][4];
        for (int x = 0; x < 4; ++x) {
            const T a = d[x][i], b = d[4 + x][i], c = d[8 + x][i], e = d[12 + x][i];
            t[0][x] = a - c, t[1][x] = b + c, t[2][x] = c - b, t[3][x] = b - e;
        }
        for (int y = 0; y < 4; ++y) {
            v[(4 * y + 0) * pitch + i] = t[y][0] - t[y][2];
            v[(4 * y + 1) * pitch + i] = t[y][1] + t[y][2];
            v[(4 * y + 2) * pitch + i] = t[y][2] - t[y][1];
            v[(4 * y + 3) * pitch + i] = t[y][1] - t[y][3];
        }
    }
}

// A unit's 4x4 pixels, transformed, for all channels: to[point][s][channel] for its strips, which lie `next` apart.
template <class T>
INLINE void transform_unit(const Unit& u, const T* planes, int side, int begin, int channels, int N, T* to,
                           Index point, Index next, Index row) {
    constexpr int strip = Lanes<T>::strip;
    alignas(64) T outside[strip] = {}, some[POINTS][strip] = {};
    Index place[UNIT][POINTS];
    for (int j = 0; j < u.count; ++j)
        for (int i = 0; i < POINTS; ++i) {
            const int y = 2 * u.row + begin + i / 4, x = 2 * (u.first + j) + begin + i % 4;
            place[j][i] = y >= 0 && y < side && x >= 0 && x < side ? Index(y) * side + x : -1;
        }
    for (int k = 0; k < channels; ++k, planes += Index(side) * side * N, to += row)
        for (int s = 0; s < strips_of<T>(u.columns()); ++s) {
            const T* d[POINTS];
            const auto* segment = u.segment + u.begin[s];
            if (segment->length == strip)
                for (int i = 0; i < POINTS; ++i) {
                    const Index pixel = place[segment->pixel][i];
                    d[i] = pixel < 0 ? outside : planes + pixel * N + segment->n;
                }
            else
                for (int i = 0; i < POINTS; ++i) {
                    d[i] = some[i];
                    for (const auto* one = segment; one < u.segment + u.begin[s + 1]; ++one) {
                        const Index pixel = place[one->pixel][i];
                        copy(some[i] + one->at % strip, pixel < 0 ? nullptr : planes + pixel * N + one->n, one->length);
                    }
                }
            transform_input(d, to + s * next, point);
        }
}

// G filter Gt for panel `index` of one group: panels of all points, as those of direct_panel with one tap.
template <class T>
MULTIVERSION void winograd_panel(const Conv& g, bool back, int group, int index, const T* filters, T* panels) {
    const int Fg = g.F / g.groups, depth = back ? Fg : g.K, rows = back ? g.K : Fg;
    const int first = index * ROWS, width = rows - first > ROWS / 2 ? ROWS : ROWS / 2;
    const Index point = padded_rows(rows) * depth;
    T* to = panels + group * POINTS * point + Index(first) * depth;
    for (int d = 0; d < depth; ++d, to += width)
        for (int r = 0; r < width; ++r) {
            T w[3][3], t[4][3];
            for (int tap = 0; tap < 9; ++tap) {
                const Index k = back ? first + r : d, f = back ? d : first + r;
                const T value = first + r < rows ? filters[(k * 9 + tap) * g.F + group * Fg + f] : T(0);
                w[back ? 2 - tap / 3 : tap / 3][back ? 2 - tap % 3 : tap % 3] = value;
            }
            for (int x = 0; x < 3; ++x) {
                t[0][x] = w[0][x];
                t[1][x] = (w[0][x] + w[1][x] + w[2][x]) / 2;
                t[2][x] = (w[0][x] - w[1][x] + w[2][x]) / 2;
                t[3][x] = w[2][x];
            }
            for (int y = 0; y < 4; ++y) {
                to[(4 * y + 0) * point + r] = t[y][0];
                to[(4 * y + 1) * point + r] = (t[y][0] + t[y][1] + t[y][2]) / 2;
                to[(4 * y + 2) * point + r] = (t[y][0] - t[y][1] + t[y][2]) / 2;
                to[(4 * y + 3) * point + r] = t[y][2];
            }
        }
}

// The outputs of a unit of tiles, summed one by one: where a value is infinite or NaN, differences of inputs are NaN
// that no output depends on.
template <class T>
INLINE void plain_unit(const Conv& g, bool back, int group, const Unit& u, const T* in, const T* filters,
                       const Target<T>& target) {
    const int Fg = g.F / g.groups, depth = back ? Fg : g.K, rows = back ? g.K : Fg;
    const int side = back ? g.I : g.M, from = back ? g.M : g.I;
    for (int r = 0; r < rows; ++r)
        for (int i = 0; i < 4 * u.segments; ++i) {
            const auto& s = u.segment[i / 4];
            const int row = 2 * u.row + i % 4 / 2, x = 2 * (u.first + s.pixel) + i % 2;
            if (row >= side || x >= side) continue;
            T sums[Lanes<T>::strip] = {};
            for (int d = 0; d < depth; ++d)
                for (int tap = 0; tap < 9; ++tap) {
                    const int y = source(g, back, row, tap / 3), z = source(g, back, x, tap % 3);
                    const Index k = back ? r : d, f = group * Fg + (back ? d : r);
                    const T* pixel = in + ((Index(d) * from + y) * from + z) * g.N + s.n;
                    if (y >= 0 && z >= 0)
                        for (int n = 0; n < s.length; ++n) sums[n] += filters[(k * 9 + tap) * g.F + f] * pixel[n];
                }
            target.write(group * rows + r, row * side + x, Index(side) * side, g.N, s.n, sums, s.length);
        }
}

// One unit of tiles, all groups. scratch: POINTS * TILES * (depth + padded_rows(rows)).
template <class T>
MULTIVERSION void winograd_unit(const Conv& g, bool back, int index, const T* in, const T* filters, const T* panels,
                                const Target<T>& target, T* scratch) {
    constexpr int strip = Lanes<T>::strip;
    const int depth = back ? g.F / g.groups : g.K, rows = back ? g.K : g.F / g.groups;
    const Index side = back ? g.I : g.M, from = back ? g.M : g.I, padded = padded_rows(rows);
    Unit u;
    Cut(int(side + 1) / 2, g.N, TILES).unit<T>(index, u);
    const int strips = strips_of<T>(u.columns());
    const Index inputs = Index(strips) * depth * strip, outputs = strips * padded * strip;
    T* sums = scratch + POINTS * TILES * Index(depth);
    for (int group = 0; group < g.groups; ++group) {
        const T* planes = in + group * depth * from * from * g.N;
        transform_unit(u, planes, int(from), back ? g.padding - 2 : -g.padding, depth, g.N, scratch, inputs,
                       Index(depth) * strip, strip);
        std::memset(sums, 0, POINTS * outputs * sizeof(T));
        for (int i = 0; i < POINTS; ++i)
            for (int s = 0; s < strips; ++s)
                by_panels(rows, vectors_of<T>(u.columns(), s), panels + (group * POINTS + i) * padded * depth,
                          Index(depth), 0, Index(depth), scratch + i * inputs + s * depth * strip,
                          sums + i * outputs + s * padded * strip);
        int infinite = 0;
        for (Index i = 0; i < POINTS * outputs; ++i) infinite |= sums[i] - sums[i] != 0;
        if (infinite) {
            plain_unit(g, back, group, u, planes, filters, target);
            continue;
        }
        for (int r = 0; r < rows; ++r)
            for (int s = 0; s < strips; ++s) {
                alignas(64) T y[4][strip];
                const T* RESTRICT m = sums + (s * padded + r) * strip;
                LANES for (int i = 0; i < strip; ++i) {
                    T t[2][4];
                    for (int x = 0; x < 4; ++x) {
                        const T a = m[x * outputs + i], b = m[(4 + x) * outputs + i], c = m[(8 + x) * outputs + i];
                        t[0][x] = a + b + c, t[1][x] = b - c - m[(12 + x) * outputs + i];
                    }
                    for (int x = 0; x < 2; ++x) {
                        y[2 * x][i] = t[x][0] + t[x][1] + t[x][2];
                        y[2 * x + 1][i] = t[x][1] - t[x][2] - t[x][3];
                    }
                }
                for (const auto* one = u.segment + u.begin[s]; one < u.segment + u.begin[s + 1]; ++one)
                    for (int i = 0; i < 4; ++i) {
                        const Index row = 2 * u.row + i / 2, x = 2 * (u.first + one->pixel) + i % 2;
                        if (row < side && x < side)
                            target.write(group * rows + r, row * side + x, side * side, g.N, one->n,
                                         y[i] + one->at % strip, one->length);
                    }
            }
    }
}

// Part `part` of `parts` of the filter gradient before its last transform: out[group][point][strip of filters][channel].
// scratch: UNIT * (POINTS * (K + ROWS + filters of a group in strips) + 4 * the same).
template <class T>
MULTIVERSION void winograd_filters(const Conv& g, int part, int parts, const T* images, const T* grads, T* out,
                                   T* scratch) {
    constexpr int strip = Lanes<T>::strip;
    const int Fg = g.F / g.groups, strips = strips_of<T>(Fg);
    const Index plane = Index(g.I) * g.I * g.N, grads_plane = Index(g.M) * g.M * g.N;
    const Index inputs = (g.K + ROWS) * UNIT, turned = strips * UNIT * strip, products = Index(strips) * g.K * strip;
    const Cut cut((g.M + 1) / 2, g.N, UNIT);
    T *points = scratch + POINTS * inputs, *pixels = points + POINTS * turned;
    std::memset(out, 0, g.groups * POINTS * products * sizeof(T));
    for (int index = Index(part) * cut.units() / parts; index < Index(part + 1) * cut.units() / parts; ++index) {
        Unit u;
        cut.unit<T>(index, u);
        for (int group = 0; group < g.groups; ++group) {
            transform_unit(u, images + group * g.K * plane, g.I, -g.padding, g.K, g.N, scratch, inputs, strip, UNIT);
            for (int i = 0; i < 4; ++i) {
                Index place[UNIT];
                for (int j = 0; j < u.count; ++j) {
                    const Index y = 2 * u.row + i / 2, x = 2 * (u.first + j) + i % 2;
                    place[j] = y < g.M && x < g.M ? y * g.M + x : -1;
                }
                turn(u, grads + group * Fg * grads_plane, grads_plane, Fg, g.N, place, pixels + i * turned, UNIT);
            }
            for (int s = 0; s < strips; ++s)
                for (Index at = s * UNIT * strip; at < (s * UNIT + u.columns()) * Index(strip); at += strip)
                    LANES for (int i = 0; i < strip; ++i) {
                        const T a = pixels[at + i], b = pixels[turned + at + i], c = pixels[2 * turned + at + i],
                                d = pixels[3 * turned + at + i];
                        const T t[4][2] = {{a, b}, {a + c, b + d}, {a - c, b - d}, {-c, -d}};
                        for (int y = 0; y < 4; ++y) {
                            points[(4 * y + 0) * turned + at + i] = t[y][0];
                            points[(4 * y + 1) * turned + at + i] = t[y][0] + t[y][1];
                            points[(4 * y + 2) * turned + at + i] = t[y][0] - t[y][1];
                            points[(4 * y + 3) * turned + at + i] = -t[y][1];
                        }
                    }
            for (int i = 0; i < POINTS; ++i)
                for (int s = 0; s < strips; ++s)
                    by_rows(Index(g.K), vectors_of<T>(Fg, s), Index(u.columns()), scratch + i * inputs,
                            points + i * turned + s * UNIT * strip,
                            out + (group * POINTS + i) * products + s * Index(g.K) * strip);
        }
    }
}

// out[(channel, tap), filters] = Gt (sum of the parts) G, for one channel.
template <class T>
MULTIVERSION void winograd_filters_sum(const Conv& g, int channel, int parts, const T* sums, T* out) {
    constexpr int strip = Lanes<T>::strip;
    const int Fg = g.F / g.groups, strips = strips_of<T>(Fg);
    const Index products = Index(strips) * g.K * strip, size = g.groups * POINTS * products;
    for (int group = 0; group < g.groups; ++group)
        for (int s = 0; s < strips; ++s) {
            T m[POINTS][strip] = {}, w[9][strip];
            const T* from = sums + group * POINTS * products + (Index(s) * g.K + channel) * strip;
            for (int part = 0; part < parts; ++part)
                for (int p = 0; p < POINTS; ++p)
                    for (int i = 0; i < strip; ++i) m[p][i] += from[part * size + p * products + i];
            LANES for (int i = 0; i < strip; ++i) {
                T t[3][4];
                for (int x = 0; x < 4; ++x) {
                    const T a = m[x][i], b = m[4 + x][i] / 2, c = m[8 + x][i] / 2, d = m[12 + x][i];
                    t[0][x] = a + (b + c), t[1][x] = b - c, t[2][x] = (b + c) + d;
                }
                for (int y = 0; y < 3; ++y) {
                    const T a = t[y][0], b = t[y][1] / 2, c = t[y][2] / 2, d = t[y][3];
                    w[3 * y][i] = a + (b + c), w[3 * y + 1][i] = b - c, w[3 * y + 2][i] = (b + c) + d;
                }
            }
            for (int tap = 0; tap < 9; ++tap)
                std::copy_n(w[tap], std::min(strip, Fg - s * strip),
                            out + (Index(channel) * 9 + tap) * g.F + group * Fg + s * strip);
        }
}

}  // namespace rosetta
