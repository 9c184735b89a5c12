// Gradient of convolutional and locally connected layers with respect to their filters ("weight acts").
//
//   wgrad(b, k, q, f) = sum over modules m of slab b and images n of
//                       image(chan(f, k), iy(m, q), ix(m, q), n) * hid(f, m, n)
//
// images (C, IY, IX, N), hidActs (F, MY, MX, N), targets (B, K, S*S, F): last index fastest. A slab is partialSum
// modules in raster order; the caller sums over slabs, or takes one module per slab as the gradient of a local layer.
//
// Specification: conv-kernels 3.10-3.12; order of every sum: modules ascending, then images ascending.
#pragma once
#include "conv_common.cuh"

// The sizes every kernel of the family is passed.
struct WeightActsShape {
    int numImages, numFilters, numModulesY, numModulesX, imgSizeY, imgSizeX, filterSize, paddingStart, moduleStride,
        imgStride, partialSum;

    DEVICE_MEMBER int numModules() const { return numModulesY * numModulesX; }
    DEVICE_MEMBER int imgPixels() const { return imgSizeY * imgSizeX; }
    DEVICE_MEMBER int filterPixels() const { return filterSize * filterSize; }
};

// Slab and filters of a block: blockIdx.x counts filter blocks first, then slabs.
struct WeightActsBlock {
    int slab, firstFilter;

    DEVICE_MEMBER WeightActsBlock(const Block& block, const int filtersPerBlock, const int numFilters)
        : slab(block.x / (numFilters / filtersPerBlock)),
          firstFilter(block.x % (numFilters / filtersPerBlock) * filtersPerBlock) {}
};

// Stages preloadCases images at the pixels of a module's window that shPixels names: row c * pixels + pixel, column
// image; zero outside the image, past the last pixel and past the last image.
template <int threads, int pixels, int colors, int preloadCases, bool checkCaseBounds, typename ColorOffset>
PHASE stageWindow(float (&shImages)[colors * pixels][preloadCases], const int (&shPixels)[pixels],
                  const WeightActsShape& s, const float* images, const int module, const int pixelsLeft,
                  const int imagesLeft, const ColorOffset colorOffset) {
    const int top = s.paddingStart + module / s.numModulesX * s.moduleStride;
    const int left = s.paddingStart + module % s.numModulesX * s.moduleStride;
    STAGE_ROWS(threads, pixels, preloadCases) {
        const int y = top + (shPixels[row] >> 16), x = left + (shPixels[row] & 0xffff);
        if (row < pixelsLeft && y >= 0 && y < s.imgSizeY && x >= 0 && x < s.imgSizeX) {
            const float* pixel = images + (y * s.imgSizeX + x) * s.imgStride;
            UNROLL for (int c = 0; c < colors; ++c) {
                const float* source = pixel + colorOffset(c);
                STAGE_COLS(preloadCases)
                    if (!checkCaseBounds || col < imagesLeft) shImages[c * pixels + row][col] = source[col];
                    else shImages[c * pixels + row][col] = 0;
            }
        } else {
            UNROLL for (int c = 0; c < colors; ++c) STAGE_COLS(preloadCases) shImages[c * pixels + row][col] = 0;
        }
    }
}

// The work of a block: one slab, B_X*filtersPerThread filters (on tx), B_Y*pixelsPerThread filter pixels from
// firstPixel on (on ty), `colors` channels. hidActs starts at the block's first filter, targets at its first output;
// colorOffset(c) is the place of the block's channel c in images. Activity columns past the last image are zero (left
// unwritten in 2012, conv-kernels 7.2).
template <int B_Y, int B_X, int pixelsPerThread, int filtersPerThread, int colors, int preloadCases, bool scale,
          bool checkCaseBounds, typename ColorOffset>
DEVICE_FUNCTION void slabGradient(const WeightActsShape& s, const float* images, const float* hidActs,
                                  float* targets, const int slab, const int firstPixel, const float scaleTargets,
                                  const float scaleOutputs, const ColorOffset colorOffset) {
    constexpr int threads = B_X * B_Y, pixels = B_Y * pixelsPerThread;
    PerThread<float, threads, colors * pixelsPerThread * filtersPerThread> prod;
    const int pixelsLeft = s.filterPixels() - firstPixel;

    prod.clear();
    if constexpr (onHost) {
        addSlabOnHost<B_Y, B_X, pixelsPerThread, filtersPerThread, colors, preloadCases>(
            prod, s, images, hidActs, slab, firstPixel, colorOffset);
    } else {
        SHARED float shImages[colors * pixels][preloadCases];
        SHARED TurnedTile<B_X * filtersPerThread, preloadCases> shHidActs;
        SHARED int shPixels[pixels];                       // row of the pixel in the window << 16 | column
        THREADS(B_X, B_Y) {
            if (tid < pixels)
                shPixels[tid] = (firstPixel + tid) / s.filterSize << 16 | (firstPixel + tid) % s.filterSize;
        }
        SYNC
        for (int module = slab * s.partialSum; module < (slab + 1) * s.partialSum; ++module) {
            for (int image = 0; image < s.numImages; image += preloadCases) {
                stageWindow<threads, pixels, colors, preloadCases, checkCaseBounds>(
                    shImages, shPixels, s, images + image, module, pixelsLeft, s.numImages - image, colorOffset);
                shHidActs.template stage<threads, checkCaseBounds>(hidActs + module * s.numImages + image,
                                                                   s.numModules() * s.numImages, s.numImages - image);
                SYNC
                multiplyTile<B_Y, B_X, colors * pixelsPerThread, filtersPerThread, preloadCases, 8>(
                    prod, ByIndex(shImages), Turned(shHidActs), EveryRow{});
                SYNC
            }
        }
    }
    THREAD_ROWS(B_Y) {
        UNROLL for (int j = 0; j < pixelsPerThread; ++j)
            if (ty + j * B_Y < pixelsLeft) THREAD_COLS(B_X) {
                UNROLL for (int c = 0; c < colors; ++c)
                    UNROLL for (int f = 0; f < filtersPerThread; ++f)
                        writeOutput<scale>(
                            targets + (c * s.filterPixels() + ty + j * B_Y) * s.numFilters + tx + f * B_X,
                            afterZeroSteps(prod(tid, (c * pixelsPerThread + j) * filtersPerThread + f),
                                           s.numImages % preloadCases != 0),
                            scaleTargets, scaleOutputs);
            }
    }
}

// 1, 2 or 3 channels, one group.
template <int B_Y, int B_X, int pixelsPerThread, int preloadCases, int numColors, bool scale, bool checkCaseBounds>
KERNEL conv_weight_acts_c(const Block& block, const float* images, const float* hidActs, float* targets,
                          const int numImages, const int numFilters, const int numModulesY, const int numModulesX,
                          const int imgSizeY, const int imgSizeX, const int filterSize, const int paddingStart,
                          const int moduleStride, const int imgStride, const int partialSum,
                          const float scaleTargets, const float scaleOutputs) {
    const WeightActsShape s{numImages, numFilters, numModulesY, numModulesX, imgSizeY, imgSizeX, filterSize,
                            paddingStart, moduleStride, imgStride, partialSum};
    const WeightActsBlock work(block, B_X, numFilters);
    const int firstPixel = block.y * B_Y * pixelsPerThread;
    hidActs += work.firstFilter * s.numModules() * numImages;
    targets += (work.slab * numColors * s.filterPixels() + firstPixel) * numFilters + work.firstFilter;
    slabGradient<B_Y, B_X, pixelsPerThread, 1, numColors, preloadCases, scale, checkCaseBounds>(
        s, images, hidActs, targets, work.slab, firstPixel, scaleTargets, scaleOutputs,
        DenseColors{s.imgPixels() * imgStride});
}

// More channels, in dense groups. blockIdx.y counts channel blocks first, then pixel blocks.
template <int B_Y, int B_X, int filtersPerThread, int colorsPerThread, int preloadCases, bool scale,
          bool checkCaseBounds>
KERNEL conv_weight_acts_mc_mf(const Block& block, const float* images, const float* hidActs, float* targets,
                              const int numImages, const int numFilters, const int numModulesY,
                              const int numModulesX, const int imgSizeY, const int imgSizeX, const int filterSize,
                              const int paddingStart, const int moduleStride, const int imgStride,
                              const int numImgColors, const int numGroups, const int partialSum,
                              const float scaleTargets, const float scaleOutputs) {
    const WeightActsShape s{numImages, numFilters, numModulesY, numModulesX, imgSizeY, imgSizeX, filterSize,
                            paddingStart, moduleStride, imgStride, partialSum};
    const WeightActsBlock work(block, B_X * filtersPerThread, numFilters);
    const int numFilterColors = numImgColors / numGroups, colorBlocks = numFilterColors / colorsPerThread;
    const int firstPixel = block.y / colorBlocks * B_Y, filterColor = block.y % colorBlocks * colorsPerThread;
    const int group = work.firstFilter / (numFilters / numGroups);
    images += (group * numFilterColors + filterColor) * s.imgPixels() * imgStride;
    hidActs += work.firstFilter * s.numModules() * numImages;
    targets += ((work.slab * numFilterColors + filterColor) * s.filterPixels() + firstPixel) * numFilters +
               work.firstFilter;
    slabGradient<B_Y, B_X, 1, filtersPerThread, colorsPerThread, preloadCases, scale, checkCaseBounds>(
        s, images, hidActs, targets, work.slab, firstPixel, scaleTargets, scaleOutputs,
        DenseColors{s.imgPixels() * imgStride});
}

// Connectivity from a table: filter channel k of group g reads image channel colorIndices[g * numFilterColors + k].
template <int B_Y, int B_X, int filtersPerThread, int colorsPerThread, int preloadCases, bool scale,
          bool checkCaseBounds>
KERNEL conv_weight_acts_mc_mf_rand(const Block& block, const float* images, const float* hidActs, float* targets,
                                   const int* colorIndices, const int numImages, const int numFilters,
                                   const int numModulesY, const int numModulesX, const int imgSizeY,
                                   const int imgSizeX, const int filterSize, const int paddingStart,
                                   const int moduleStride, const int imgStride, const int numFilterColors,
                                   const int numGroups, const int partialSum, const float scaleTargets,
                                   const float scaleOutputs) {
    SHARED int shColors[colorsPerThread];
    const WeightActsShape s{numImages, numFilters, numModulesY, numModulesX, imgSizeY, imgSizeX, filterSize,
                            paddingStart, moduleStride, imgStride, partialSum};
    const WeightActsBlock work(block, B_X * filtersPerThread, numFilters);
    const int colorBlocks = numFilterColors / colorsPerThread;
    const int firstPixel = block.y / colorBlocks * B_Y, filterColor = block.y % colorBlocks * colorsPerThread;
    const int group = work.firstFilter / (numFilters / numGroups);
    hidActs += work.firstFilter * s.numModules() * numImages;
    targets += ((work.slab * numFilterColors + filterColor) * s.filterPixels() + firstPixel) * numFilters +
               work.firstFilter;
    THREADS(B_X, B_Y) {                                // ordered by the first barrier of slabGradient
        if (tid < colorsPerThread)
            shColors[tid] = colorIndices[group * numFilterColors + filterColor + tid] * s.imgPixels() * imgStride;
    }
    slabGradient<B_Y, B_X, 1, filtersPerThread, colorsPerThread, preloadCases, scale, checkCaseBounds>(
        s, images, hidActs, targets, work.slab, firstPixel, scaleTargets, scaleOutputs,
        TableColors{shColors});
}
