// The multiply phase of convolutions on the host: sums stay in vector registers over many steps, and operands are read
// where they are, not staged. Terms and their order are those of the staged kernels (conv_common.cuh). On a GPU there is
// nothing in this file.
//
// What is left out: steps past the filter's last pixel, where both tiles hold zeros. 0 + 0 * 0 changes a sum only if
// that is -0, and a sum that begins with +0 gets there only where a fused product underflows; `afterZeroSteps` mends it.
#pragma once
#include "fastmath.cuh"

#ifdef __CUDACC__
constexpr bool onHost = false;
DEVICE_FUNCTION float afterZeroSteps(const float sum, const bool) { return sum; }
template <int...> void addWindowOnHost(...);           // never called
template <int...> void addModuleOnHost(...);
template <int...> void addSlabOnHost(...);
#else
constexpr bool onHost = true;
DEVICE_FUNCTION float afterZeroSteps(const float sum, const bool any) {
    return fusesProducts ? sum + (any ? 0.0f : -0.0f) : sum;
}

#if defined(__AVX512F__)
constexpr int lanes = 16, mostVectors = 4;
#elif defined(__AVX__)
constexpr int lanes = 8, mostVectors = 2;
#else
constexpr int lanes = 4, mostVectors = 2;
#endif
typedef float Lanes __attribute__((vector_size(4 * lanes), aligned(4), may_alias));

constexpr int stepsAtOnce = 56;        // their operands stay in the first cache
alignas(64) inline constexpr float zeroRow[128] = {};

// Operands as `addStrip` reads them: left(k, row), right(k) + column.
struct ListedSteps {
    const float* const* steps;
    DEVICE_MEMBER float operator()(int k, int row) const { return steps[k][row]; }
    DEVICE_MEMBER const float* operator()(int k) const { return steps[k]; }
};
struct EvenSteps {
    const float* first;
    int stride;
    DEVICE_MEMBER const float* operator()(int k) const { return first + k * stride; }
};
struct ListedRows {
    const float* const* rows;
    DEVICE_MEMBER float operator()(int k, int row) const { return rows[row][k]; }
};

// Rows of a strip: where it is one vector wide, more of them keep the processor busy.
template <int B_Y, int width>
constexpr int stripOf = width > lanes || B_Y % 8 != 0 ? 4 : 8;

// Some steps, k ascending, of the sums that a block's threads have (multiplyTile: row ty + r * B_Y, column tx + i * B_X):
// all columns of `rows` rows, rowStep apart from `row` on. rowStep is 1, or whole rounds of the threads.
template <int B_Y, int B_X, int columns, int rows, int rowStep, typename Products, typename Left, typename Right>
PHASE addStrip(Products& prod, const int row, const int steps, const Left left, const Right right) {
    constexpr int width = columns * B_X, vectors = width / lanes < mostVectors ? width / lanes : mostVectors;
    static_assert(B_Y % rows == 0 && B_X % lanes == 0 && width % (vectors * lanes) == 0, "strips of whole vectors");
    for (int column = 0; column < width; column += vectors * lanes) {
        float* sums = &prod(row % B_Y * B_X + column % B_X, row / B_Y * columns + column / B_X);
        const auto place = [=](int r, int v) -> Lanes* {
            return reinterpret_cast<Lanes*>(sums + r * (rowStep == 1 ? B_X : rowStep * width) +
                                            v * lanes / B_X * B_X * B_Y + v * lanes % B_X);
        };
        Lanes sum[rows][vectors], factor[vectors];
        UNROLL for (int r = 0; r < rows; ++r) UNROLL for (int v = 0; v < vectors; ++v) sum[r][v] = *place(r, v);
        for (int k = 0; k < steps; ++k) {
            const Lanes* operands = reinterpret_cast<const Lanes*>(right(k) + column);
            UNROLL for (int v = 0; v < vectors; ++v) factor[v] = operands[v];
            UNROLL for (int r = 0; r < rows; ++r)
                UNROLL for (int v = 0; v < vectors; ++v) sum[r][v] += left(k, row + r * rowStep) * factor[v];
        }
        UNROLL for (int r = 0; r < rows; ++r) UNROLL for (int v = 0; v < vectors; ++v) *place(r, v) = sum[r][v];
    }
}

// A row of images; if there are fewer than COLUMNS left, a copy with zeros behind the last.
template <int COLUMNS>
DEVICE_FUNCTION const float* wholeRow(const float* source, const int left, float (&copy)[COLUMNS]) {
    if (left >= COLUMNS) return source;
    for (int i = 0; i < COLUMNS; ++i) copy[i] = i < left ? source[i] : 0;
    return copy;
}

// The window of a module, for filter_acts.cuh: steps as staged, the channels of a stage one after the other.
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, int channels, bool check, typename Products,
          typename Work, typename ColorOffset>
DEVICE_FUNCTION void addWindowOnHost(Products& prod, const float* images, const float* filters, const Work& work,
                                     const int numFilters, const int filterSize, const int imgSizeY, const int imgSizeX,
                                     const int imgStride, const int imagesLeft, const ColorOffset colorOffset) {
    constexpr int width = B_X * imgsPerThread, strip = stripOf<B_Y, width>;
    const float *filterRows[stepsAtOnce], *imageRows[stepsAtOnce];
    alignas(64) float copies[check ? stepsAtOnce : 1][width];
    const int filterPixels = filterSize * filterSize;
    for (int p = 0, steps = 0; p < filterPixels; p += B_Y) {
        const int end = p + B_Y < filterPixels ? p + B_Y : filterPixels;
        for (int c = 0; c < channels; ++c)
            for (int q = p; q < end; ++q, ++steps) {
                const int y = work.top + q / filterSize, x = work.left + q % filterSize;
                const bool inside = y >= 0 && y < imgSizeY && x >= 0 && x < imgSizeX;
                const float* row = inside ? images + (y * imgSizeX + x) * imgStride + colorOffset(c) : zeroRow;
                filterRows[steps] = filters + (c * filterPixels + q) * numFilters;
                imageRows[steps] = check && inside ? wholeRow(row, imagesLeft, copies[check ? steps : 0]) : row;
            }
        if (steps + B_Y * channels <= stepsAtOnce && end < filterPixels) continue;
        for (int row = 0; row < B_Y * filtersPerThread; row += strip)
            addStrip<B_Y, B_X, imgsPerThread, strip, 1>(prod, row, steps, ListedSteps{filterRows}, ListedSteps{imageRows});
        steps = 0;
    }
}

// One module of the gradient of a pixel, for img_acts.cuh: all filters of a group. hidActs and filters are at the first.
template <int B_Y, int B_X, int imgsPerThread, int colorsPerThread, bool check, typename Products>
DEVICE_FUNCTION void addModuleOnHost(Products& prod, const float* hidActs, const float* filters, const int actStride,
                                     const int colorStride, const int filtersInGroup, const int imagesLeft) {
    constexpr int width = B_X * imgsPerThread, colors = B_Y * colorsPerThread, strip = stripOf<B_Y, width>;
    alignas(64) float copies[check ? stepsAtOnce : 1][width];
    const float *filterRows[colors], *actRows[stepsAtOnce];
    for (int f = 0; f < filtersInGroup; f += stepsAtOnce) {
        const int steps = filtersInGroup - f < stepsAtOnce ? filtersInGroup - f : stepsAtOnce;
        for (int c = 0; c < colors; ++c) filterRows[c] = filters + c * colorStride + f;
        for (int k = 0; k < steps; ++k) {
            const float* acts = hidActs + (f + k) * actStride;
            actRows[k] = check ? wholeRow(acts, imagesLeft, copies[check ? k : 0]) : acts;
        }
        for (int row = 0; row < colors; row += strip)
            addStrip<B_Y, B_X, imgsPerThread, strip, 1>(prod, row, steps, ListedRows{filterRows}, ListedSteps{actRows});
    }
}

// A slab of modules, for weight_acts.cuh. Neither pixels past the filter's last nor images past the last are summed.
template <int B_Y, int B_X, int pixelsPerThread, int filtersPerThread, int colors, int preloadCases, typename Products,
          typename Shape, typename ColorOffset>
DEVICE_FUNCTION void addSlabOnHost(Products& prod, const Shape& s, const float* images, const float* hidActs,
                                   const int slab, const int firstPixel, const ColorOffset colorOffset) {
    constexpr int pixels = B_Y * pixelsPerThread, filters = B_X * filtersPerThread, strip = stripOf<B_Y, filters>;
    constexpr bool byColor = colors % strip == 0;              // a strip is a pixel's channels, or a channel's pixels
    constexpr int tiles = 4, cases = tiles * preloadCases;     // activities are read in long rows
    TurnedTile<filters, preloadCases> turned[tiles];
    const float* rows[colors * pixels];
    const int left = s.filterPixels() - firstPixel, pixelsHere = left < pixels ? left : pixels;
    for (int module = slab * s.partialSum; module < (slab + 1) * s.partialSum; ++module) {
        const int top = s.paddingStart + module / s.numModulesX * s.moduleStride;
        const int leftmost = s.paddingStart + module % s.numModulesX * s.moduleStride;
        for (int image = 0; image < s.numImages; image += cases) {
            const int imagesLeft = s.numImages - image, steps = imagesLeft < cases ? imagesLeft : cases;
            for (int n = 0; n < steps; n += preloadCases)
                turned[n / preloadCases].template stage<B_X * B_Y, true>(hidActs + module * s.numImages + image + n,
                                                                         s.numModules() * s.numImages, imagesLeft - n);
            for (int pixel = 0, q = firstPixel; pixel < pixels; ++pixel, ++q) {
                const int y = top + q / s.filterSize, x = leftmost + q % s.filterSize;
                const bool inside = pixel < pixelsHere && y >= 0 && y < s.imgSizeY && x >= 0 && x < s.imgSizeX;
                for (int c = 0; c < colors; ++c)
                    rows[c * pixels + pixel] =
                        inside ? images + (y * s.imgSizeX + x) * s.imgStride + colorOffset(c) + image : zeroRow;
            }
            for (int pixel = 0; pixel < pixelsHere; pixel += byColor ? 1 : strip)
                for (int c = 0; c < colors; c += byColor ? strip : 1)
                    addStrip<B_Y, B_X, filtersPerThread, strip, byColor ? pixels : 1>(
                        prod, c * pixels + pixel, steps, ListedRows{rows}, EvenSteps{turned[0].values[0], filters});
        }
    }
}
#endif
