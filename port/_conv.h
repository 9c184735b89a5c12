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
#define UNROLL _Pragma("GCC unroll 24")
#if defined(__GNUC__)
#define FETCH(address) __builtin_prefetch(address)
#else
#define FETCH(address) (void)0
#endif

namespace rosetta {

struct Conv {
    int K, S, F, I, M, N, padding, stride, groups;
};

constexpr int UNIT = 128;     // most columns of a unit
constexpr int TILES = 64;     // most columns of a unit of Winograd's, forward
constexpr int ROWS = 12;      // most rows of a panel
constexpr int DEPTH = 256;    // most rows of a strip that are summed at a time: they stay in the first cache
constexpr int ROOM = 65536;   // most sums of a unit that reads blocks: they stay in the second cache
constexpr int POINTS = 16;    // products of a tile of Winograd's

template <class T>
struct Lanes {
    typedef T Vec __attribute__((vector_size(64), aligned(alignof(T)), may_alias));
    static constexpr int vector = 64 / sizeof(T), strip = 2 * vector;
};

INLINE Index round_up(Index n, Index to) { return (n + to - 1) / to * to; }

// --- the micro-kernel ------------------------------------------------------------------------------------------------

// Rows of b, and of a from as many D on, that come one after the other in a sum.
struct Piece { Index a, b, depth; };

// panel_*: c[r, v] += sum over the pieces, and d of each, of a[(a + d) * D + r * R] * b[b + d, v] for `rows` rows and
// `vecs` vectors, one after the other; b and c are strips. What comes next is fetched meanwhile. Defined for each
// instruction set: g++ cuts vectors into those of the function they stand in before it inlines. MOST_ROWS by MOST_VECS
// sums fit the registers.
#define MICRO_KERNEL(SET, TARGET, MOST_ROWS, MOST_VECS)                                                               \
    template <class T, int rows, int vecs, int D, int R>                                                              \
    TARGET INLINE void tile_##SET(const Piece* piece, int pieces, const T* from, const T* next, const T* strips,      \
                                  T* c) {                                                                             \
        using Vec = typename Lanes<T>::Vec;                                                                           \
        constexpr int vector = Lanes<T>::vector, strip = Lanes<T>::strip;                                             \
        next += piece->a * D;                                                                                         \
        Vec sums[rows][vecs];                                                                                         \
        UNROLL for (int r = 0; r < rows; ++r)                                                                         \
            UNROLL for (int v = 0; v < vecs; ++v) {                                                                   \
                sums[r][v] = *(const Vec*)(c + r * strip + v * vector);                                               \
                FETCH(c + (rows + r) * strip + v * vector);                                                           \
            }                                                                                                         \
        for (int i = 0; D > 1 && i < 24 * D; i += vector) FETCH(next + i);                                            \
        for (; pieces > 0; --pieces, ++piece) {                                                                       \
            const T *a = from + piece->a * D, *b = strips + piece->b * strip;                                         \
            const T* soon = D > 1 ? a + 24 * D : pieces > 1 ? from + piece[1].a : next;                               \
            for (Index d = piece->depth; d > 0; --d, a += D, b += strip, soon += D > 1 ? D : vector) {                \
                FETCH(soon);                                                                                          \
                if (D > 1) FETCH(b + 16 * strip);                                                                      \
                if (D > 1 && vecs > 1) FETCH(b + 16 * strip + vector);                                                 \
                Vec columns[vecs];                                                                                    \
                UNROLL for (int v = 0; v < vecs; ++v) columns[v] = *(const Vec*)(b + v * vector);                     \
                UNROLL for (int r = 0; r < rows; ++r)                                                                 \
                    UNROLL for (int v = 0; v < vecs; ++v) sums[r][v] += a[r * R] * columns[v];                        \
            }                                                                                                         \
        }                                                                                                             \
        UNROLL for (int r = 0; r < rows; ++r)                                                                         \
            UNROLL for (int v = 0; v < vecs; ++v) *(Vec*)(c + r * strip + v * vector) = sums[r][v];                   \
    }                                                                                                                 \
    template <class T, int rows, int D, int R>                                                                        \
    TARGET void panel_##SET(int vecs, const Piece* piece, int pieces, const T* a, const T* next, const T* b, T* c) {  \
        constexpr int some = rows < MOST_ROWS ? rows : MOST_ROWS, rest = rows % some, strip = Lanes<T>::strip;        \
        if (MOST_VECS == 2 && rest == 0 && vecs == 2)                                                                 \
            return tile_##SET<T, rows, 2, D, R>(piece, pieces, a, next, b, c);                                        \
        for (int v = 0; v < vecs; ++v, b += strip / 2, c += strip / 2) {                                              \
            for (int r = 0; r + some <= rows; r += some)                                                              \
                tile_##SET<T, some, 1, D, R>(piece, pieces, a + r * R, next, b, c + r * strip);                       \
            constexpr int left = rest ? rest : 1, r = rows - rest;                                                    \
            if (rest) tile_##SET<T, left, 1, D, R>(piece, pieces, a + r * R, next, b, c + r * strip);                 \
        }                                                                                                             \
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
inline void panel(int vecs, const Piece* piece, int pieces, const T* a, const T* next, const T* b, T* c) {
#if defined(__x86_64__) && defined(__GNUC__)
    static const int set = instruction_set();
    if (set == 4) return panel_v4<T, rows, D, R>(vecs, piece, pieces, a, next, b, c);
    if (set == 3) return panel_v3<T, rows, D, R>(vecs, piece, pieces, a, next, b, c);
#endif
    panel_any<T, rows, D, R>(vecs, piece, pieces, a, next, b, c);
}

// The first row of a panel: `rows` rows are cut into as few panels as ROWS allows, of about the same number of rows.
INLINE int panels_of(int rows) { return (rows + ROWS - 1) / ROWS; }
INLINE Index panel_first(Index rows, int index) { return rows * index / panels_of(int(rows)); }

template <class T, int R, int rows = ROWS>
INLINE void panel_of(int width, int vecs, const Piece* piece, int pieces, const T* a, Index whole, const T* b, T* c) {
    if (width == rows) panel<T, rows, R ? 1 : rows, R ? R : 1>(vecs, piece, pieces, a, a + rows * whole, b, c);
    else if constexpr (rows > 1) panel_of<T, R, rows - 1>(width, vecs, piece, pieces, a, whole, b, c);
}

// c[rows, strip] += A b, A packed in panels of [whole][rows of the panel], or, if R is not 0, A[rows][R].
template <class T, int R>
INLINE void by_panels(int rows, int vecs, const Piece* piece, int pieces, const T* a, Index whole, const T* b, T* c) {
    for (int i = 0; i < panels_of(rows); ++i) {
        const Index first = panel_first(rows, i);
        panel_of<T, R>(int(panel_first(rows, i + 1) - first), vecs, piece, pieces, a + first * whole, whole, b,
                       c + first * Lanes<T>::strip);
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

// Strips of so many columns, and the vectors in one of them; strips of sums that a unit may have.
template <class T>
INLINE int strips_of(Index columns) { return int((columns + Lanes<T>::strip - 1) / Lanes<T>::strip); }
template <class T>
INLINE int vectors_of(Index columns, int s) { return columns - s * Lanes<T>::strip > Lanes<T>::vector ? 2 : 1; }
INLINE int most_tiles(int rows, int strip) { return std::max(1, ROOM / (rows * strip)); }

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
    const int first = int(panel_first(rows, index)), width = int(panel_first(rows, index + 1)) - first;
    T* to = panels + (Index(group) * rows + first) * taps * depth;
    for (int tap = 0; tap < taps; ++tap)
        for (int d = 0; d < depth; ++d, to += width)
            for (int r = 0; r < width; ++r) {
                const Index k = back ? first + r : d, f = back ? d : first + r;
                to[r] = filters[(k * taps + tap) * g.F + group * Fg + f];
            }
}

// The turns of a sum over taps and channels, of so few taps that their channels stay within DEPTH.
INLINE int turns_of(int taps, int depth) {
    const int most = std::max(1, DEPTH / depth);
    return (taps + most - 1) / most;
}

// One unit of all groups. scratch: UNIT * (DEPTH + filters or channels of a group).
template <class T>
MULTIVERSION void direct_unit(const Conv& g, bool back, int index, const T* in, const T* panels,
                              const Target<T>& target, T* scratch) {
    constexpr int strip = Lanes<T>::strip;
    const int depth = back ? g.F / g.groups : g.K, rows = back ? g.K : g.F / g.groups;
    const Index side = back ? g.I : g.M, from = back ? g.M : g.I, plane = from * from * g.N, whole = g.S * g.S * depth;
    Unit u;
    Cut(int(side), g.N, UNIT).unit<T>(index, u);
    const int strips = strips_of<T>(u.columns()), taps = g.S * g.S, turns = turns_of(taps, depth);
    T* sums = scratch + UNIT * DEPTH;
    for (int group = 0; group < g.groups; ++group) {
        std::memset(sums, 0, strips * rows * strip * sizeof(T));
        for (int turn = 0; turn < turns; ++turn)
            for (int first = 0; first < depth; first += DEPTH) {
                Piece some[DEPTH];
                int pieces = 0, packed = 0;
                const int last = std::min(depth, first + DEPTH);
                for (int tap = turn * taps / turns; tap < (turn + 1) * taps / turns; ++tap) {
                    Index place[UNIT];                                 // by pixel: what the tap reads, or -1
                    bool any = false;
                    const int y = source(g, back, u.row, tap / g.S);
                    for (int j = 0; j < u.count; ++j) {
                        const int x = y < 0 ? -1 : source(g, back, u.first + j, tap % g.S);
                        place[j] = x < 0 ? -1 : (y * from + x) * g.N;
                        any |= x >= 0;
                    }
                    if (!any) continue;
                    some[pieces++] = {Index(tap) * depth + first, packed, last - first};
                    for (int k = group * depth + first; k < group * depth + last; ++k, ++packed)
                        for (int i = 0; i < u.segments; ++i) {
                            const auto& s = u.segment[i];
                            copy(scratch + (s.at / strip * DEPTH + packed) * strip + s.at % strip,
                                 place[s.pixel] < 0 ? nullptr : in + k * plane + place[s.pixel] + s.n, s.length);
                        }
                }
                for (int s = 0; s < strips && pieces; ++s)
                    by_panels<T, 0>(rows, vectors_of<T>(u.columns(), s), some, pieces, panels + group * rows * whole,
                                    whole, scratch + s * DEPTH * strip, sums + s * rows * strip);
            }
        for (int r = 0; r < rows; ++r)
            for (int i = 0; i < u.segments; ++i) {
                const auto& s = u.segment[i];
                target.write(group * rows + r, u.row * side + u.first + s.pixel, side * side, g.N, s.n,
                             sums + (s.at / strip * rows + r) * strip + s.at % strip, s.length);
            }
    }
}

// Blocks: planes once more, as [group][strip of images][y][x][plane][lane], so that what neighbouring pixels of an image
// have in all planes lies together. Lanes past the last image are 0.
INLINE bool by_blocks(int N, int vector) { return 4 * N >= 3 * round_up(N, vector); }

template <class T>
INLINE Index block(int strips, int group, int s, Index side, int planes) {
    return (Index(group) * strips + s) * side * side * planes * Lanes<T>::strip;
}

template <class T>
MULTIVERSION void block_row(int groups, int planes, int side, int N, int y, const T* in, T* blocks) {
    constexpr int strip = Lanes<T>::strip;
    const int strips = strips_of<T>(N);
    for (int group = 0; group < groups; ++group)
        for (int x = 0; x < side; ++x)
            for (int k = 0; k < planes; ++k) {
                const T* from = in + ((Index(group * planes + k) * side + y) * side + x) * N;
                for (int s = 0; s < strips; ++s, from += strip) {
                    T* to = blocks + block<T>(strips, group, s, side, planes) +
                            ((Index(y) * side + x) * planes + k) * strip;
                    const int left = std::min(strip, N - s * strip);
                    copy(to, from, left);
                    copy(to + left, static_cast<const T*>(nullptr), strip - left);
                }
            }
}

// One unit of all groups, read from blocks. scratch: most_tiles(filters or channels
// of a group, strip) strips of those.
template <class T>
MULTIVERSION void block_unit(const Conv& g, bool back, int index, const T* blocks, const T* panels,
                             const Target<T>& target, T* scratch) {
    constexpr int strip = Lanes<T>::strip;
    const int depth = back ? g.F / g.groups : g.K, rows = back ? g.K : g.F / g.groups, taps = g.S * g.S;
    const int side = back ? g.I : g.M, from = back ? g.M : g.I, all = strips_of<T>(g.N);
    const Index tile = Index(rows) * strip;
    const Cut cut(side, all, most_tiles(rows, strip));
    const int chunk = index / cut.pieces % cut.chunks, s0 = chunk * cut.images, strips = std::min(cut.images, all - s0);
    const int row = index / cut.pieces / cut.chunks, x0 = index % cut.pieces * cut.pixels;
    const int pixels = std::min(cut.pixels, side - x0);
    const int turns = turns_of(taps, depth);
    for (int group = 0; group < g.groups; ++group) {
        std::memset(scratch, 0, pixels * strips * tile * sizeof(T));
        const T* filters = panels + Index(group) * rows * taps * depth;
        for (int turn = 0; turn < turns; ++turn)
            for (int k = 0; k < depth; k += DEPTH)
                for (int j = 0; j < pixels; ++j) {
                    Piece some[DEPTH];
                    int pieces = 0;
                    int tap = turn * taps / turns, p = tap / g.S, q = tap % g.S;
                    for (; tap < (turn + 1) * taps / turns; ++tap, ++q == g.S ? (q = 0, ++p) : 0) {
                        const int y = source(g, back, row, p), x = source(g, back, x0 + j, q);
                        if (y < 0 || x < 0) continue;
                        const Piece one = {Index(tap) * depth + k, (Index(y) * from + x) * depth + k,
                                           std::min(DEPTH, depth - k)};
                        Piece& last = some[std::max(0, pieces - 1)];
                        if (pieces && last.a + last.depth == one.a && last.b + last.depth == one.b)
                            last.depth += one.depth;
                        else some[pieces++] = one;
                    }
                    for (int s = 0; s < strips && pieces; ++s)
                        by_panels<T, 0>(rows, vectors_of<T>(g.N, s0 + s), some, pieces, filters, Index(taps) * depth,
                                        blocks + block<T>(all, group, s0 + s, from, depth),
                                        scratch + (j * strips + s) * tile);
                }
        for (int r = 0; r < rows; ++r)
            for (int j = 0; j < pixels; ++j)
                for (int s = 0; s < strips; ++s)
                    target.write(group * rows + r, Index(row) * side + x0 + j, Index(side) * side, g.N,
                                 (s0 + s) * strip, scratch + (j * strips + s) * tile + r * strip,
                                 std::min(strip, g.N - (s0 + s) * strip));
    }
}

// 16 rows of 16 values: interleaving each of the first 8 with the one 8 further on, four times, turns them.
template <class T>
INLINE void interleave(const T* RESTRICT from, T* RESTRICT to) {
    for (int r = 0; r < 8; ++r)
        LANES for (int i = 0; i < 16; ++i) {
            to[32 * r + 2 * i] = from[16 * r + i];
            to[32 * r + 2 * i + 1] = from[16 * (r + 8) + i];
        }
}

// to[strip of filters][column][filter] = a piece of `count` planes: those of a unit's segments at the pixels `place`.
template <class T>
INLINE void turn(const Unit& u, const T* planes, Index plane, int count, int N, const Index* place, T* to,
                 Index depth) {
    constexpr int strip = Lanes<T>::strip;
    alignas(64) T one[256] = {}, other[256];
    for (int first = 0; first < count; first += 16)
        for (int i = 0; i < u.segments; ++i)
            for (int n = 0; n < u.segment[i].length; n += 16) {
                const auto& s = u.segment[i];
                const T* from = planes + first * plane + place[s.pixel] * N + s.n + n;
                const int length = std::min(16, s.length - n);
                for (int f = 0; f < 16; ++f) {
                    copy(one + f * 16, first + f < count && place[s.pixel] >= 0 ? from + f * plane : nullptr, length);
                    FETCH(from + f * plane + u.count * N);  // for the next unit
                }
                interleave(one, other);
                interleave(other, one);
                interleave(one, other);
                interleave(other, one);
                T* into = to + (first / strip * depth + s.at + n) * strip + first % strip;
                for (int f = 0; f < length; ++f, into += strip) std::copy_n(one + f * 16, 16, into);
            }
}

// Part `part` of `parts` of the filter gradient: out[group][strip of filters][(tap, channel)][filter] = sum over the
// part's units; images are blocks. scratch: UNIT * filters of a group in whole strips.
template <class T>
MULTIVERSION void direct_filters(const Conv& g, int part, int parts, const T* blocks, const T* grads, T* out,
                                 T* scratch) {
    constexpr int strip = Lanes<T>::strip;
    const int Fg = g.F / g.groups, strips = strips_of<T>(Fg), all = strips_of<T>(g.N);
    const Index rows = Index(g.K) * g.S * g.S, grads_plane = Index(g.M) * g.M * g.N;
    const Cut cut(g.M, g.N, UNIT);
    std::memset(out, 0, g.groups * strips * rows * strip * sizeof(T));
    for (int index = Index(part) * cut.units() / parts; index < Index(part + 1) * cut.units() / parts; ++index) {
        Unit u;
        Index place[UNIT];
        cut.unit<T>(index, u);
        for (int j = 0; j < u.count; ++j) place[j] = u.row * g.M + u.first + j;
        const int n = u.segment[0].n;
        for (int group = 0; group < g.groups; ++group) {
            turn(u, grads + group * Fg * grads_plane, grads_plane, Fg, g.N, place, scratch, UNIT);
            for (int p = 0; p < g.S; ++p) {
                const int y = source(g, false, u.row, p);
                for (int q = 0, end; y >= 0 && q < g.S; q = end) {       // taps that the same pixels meet
                    const auto meets = [&](int j, int tap) { return source(g, false, u.first + j, tap) >= 0; };
                    bool same = true;
                    for (end = q + 1; same && end < g.S; end += same)
                        for (int j = 0; j < u.count; ++j) same &= meets(j, q) == meets(j, end);
                    Piece some[UNIT];
                    int pieces = 0;
                    for (int j = 0; j < u.count; ++j)
                        for (int i = n, next; meets(j, q) && i < n + u.images; i = next) {
                            next = std::min(round_up(i + 1, strip), Index(n + u.images));
                            const Index pixel = (Index(y) * g.I + source(g, false, u.first + j, q)) * g.K;
                            some[pieces++] = {block<T>(all, group, i / strip, g.I, g.K) + pixel * strip + i % strip,
                                              j * u.images + i - n, next - i};
                        }
                    for (int s = 0; s < strips && pieces; ++s)
                        by_panels<T, strip>((end - q) * g.K, vectors_of<T>(Fg, s), some, pieces, blocks, strip,
                                            scratch + s * UNIT * strip,
                                            out + ((group * strips + s) * rows + (p * g.S + q) * g.K) * strip);
                }
            }
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
    const int first = int(panel_first(rows, index)), width = int(panel_first(rows, index + 1)) - first;
    const Index point = Index(rows) * depth;
    T* to = panels + group * POINTS * point + Index(first) * depth;
    for (int d = 0; d < depth; ++d, to += width)
        for (int r = 0; r < width; ++r) {
            T w[3][3], t[4][3];
            for (int tap = 0; tap < 9; ++tap) {
                const Index k = back ? first + r : d, f = back ? d : first + r;
                const T value = filters[(k * 9 + tap) * g.F + group * Fg + f];
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

// One unit of tiles, all groups. scratch: POINTS * TILES * (depth + rows).
template <class T>
MULTIVERSION void winograd_unit(const Conv& g, bool back, int index, const T* in, const T* filters, const T* panels,
                                const Target<T>& target, T* scratch) {
    constexpr int strip = Lanes<T>::strip;
    const int depth = back ? g.F / g.groups : g.K, rows = back ? g.K : g.F / g.groups;
    const Index side = back ? g.I : g.M, from = back ? g.M : g.I;
    Unit u;
    Cut(int(side + 1) / 2, g.N, TILES).unit<T>(index, u);
    const int strips = strips_of<T>(u.columns());
    const Index inputs = Index(strips) * depth * strip, outputs = Index(strips) * rows * strip;
    T* sums = scratch + POINTS * TILES * Index(depth);
    for (int group = 0; group < g.groups; ++group) {
        const T* planes = in + group * depth * from * from * g.N;
        transform_unit(u, planes, int(from), back ? g.padding - 2 : -g.padding, depth, g.N, scratch, inputs,
                       Index(depth) * strip, strip);
        std::memset(sums, 0, POINTS * outputs * sizeof(T));
        const Piece piece = {0, 0, depth};
        for (int i = 0; i < POINTS; ++i)
            for (int s = 0; s < strips; ++s)
                by_panels<T, 0>(rows, vectors_of<T>(u.columns(), s), &piece, 1,
                                panels + (Index(group) * POINTS + i) * rows * depth, depth,
                                scratch + i * inputs + s * depth * strip, sums + i * outputs + s * rows * strip);
        int infinite = 0;
        for (Index i = 0; i < POINTS * outputs; ++i) infinite |= sums[i] - sums[i] != 0;
        if (infinite) {
            plain_unit(g, back, group, u, planes, filters, target);
            continue;
        }
        for (int r = 0; r < rows; ++r)
            for (int s = 0; s < strips; ++s) {
                alignas(64) T y[4][strip];
                const T* RESTRICT m = sums + (s * rows + r) * strip;
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
            const Piece piece = {0, 0, u.columns()};
            for (int i = 0; i < POINTS; ++i)
                for (int s = 0; s < strips; ++s)
                    by_panels<T, UNIT>(g.K, vectors_of<T>(Fg, s), &piece, 1, scratch + i * inputs, UNIT,
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
