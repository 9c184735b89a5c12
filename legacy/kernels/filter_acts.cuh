// Forward pass of convolutional and locally connected layers ("filter acts").
//
//   act(f, m, n) = sum over k, q of image(chan(f, k), iy(m, q), ix(m, q), n) * filter([m,] k, q, f)
//
// images (C, IY, IX, N), filters ([M,] K, S*S, F), targets (F, MY, MX, N): last index fastest. Windows start at
// paddingStart + module * moduleStride; pixels outside the image are zero.
//
// Specification: conv-kernels 3.1-3.3; the order of every sum is that of section 6.
#pragma once
#include "conv_common.cuh"

// Writes a block's outputs: scaleTargets * old + scaleOutputs * sum, or scaleOutputs * sum without reading the target.
// zeroSteps: the sums end with products of zeros, past the filter's last pixel.
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool scale, bool checkImgBounds, typename Products>
PHASE writeTile(Products& prod, float* targets, const int filterStride, const int images,
                const bool zeroSteps, const float scaleTargets, const float scaleOutputs) {
    THREADS(B_X, B_Y) {
        UNROLL for (int f = 0; f < filtersPerThread; ++f)
            UNROLL for (int i = 0; i < imgsPerThread; ++i)
                if (!checkImgBounds || tx + i * B_X < images)
                    writeOutput<scale>(targets + (ty + f * B_Y) * filterStride + tx + i * B_X,
                                       afterZeroSteps(prod(tid, f * imgsPerThread + i), zeroSteps), scaleTargets,
                                       scaleOutputs);
    }
}

// Stages B_Y filter pixels of `channels` channels: row c*B_Y + d, column filter; zero past the last pixel.
template <int B_Y, int B_X, int filtersPerThread, int channels>
PHASE stageFilters(float (&shFilters)[B_Y * channels][B_Y * filtersPerThread], const float* filters,
                   const int pixelsLeft, const int channelStride, const int numFilters) {
    STAGE_ROWS(B_X * B_Y, B_Y, B_Y * filtersPerThread) {
        const float* filter = filters + row * numFilters;
        UNROLL for (int c = 0; c < channels; ++c)
            if (row < pixelsLeft) {
                STAGE_COLS(B_Y * filtersPerThread) shFilters[c * B_Y + row][col] = filter[c * channelStride + col];
            } else {
                STAGE_COLS(B_Y * filtersPerThread) shFilters[c * B_Y + row][col] = 0;
            }
    }
}

// Stages B_Y pixels of a module's window, thread row ty taking pixel firstPixel + ty; zero outside the image and past
// the last pixel (left unwritten in 2012, conv-kernels 7.1). colorOffset(c) is the place of staged channel c in images.
template <int B_Y, int B_X, int imgsPerThread, int channels, bool checkImgBounds, typename ColorOffset>
PHASE stageImages(float (&shImages)[B_Y * channels][B_X * imgsPerThread], const float* images,
                  const int firstPixel, const int filterSize, const int top, const int left,
                  const int imgSizeY, const int imgSizeX, const int imgStride, const int imagesLeft,
                  const ColorOffset colorOffset) {
    THREAD_ROWS(B_Y) {
        const int q = firstPixel + ty;
        const int y = top + q / filterSize, x = left + q % filterSize;
        if (q < filterSize * filterSize && y >= 0 && y < imgSizeY && x >= 0 && x < imgSizeX) {
            const float* pixel = images + (y * imgSizeX + x) * imgStride;
            THREAD_COLS(B_X) {
                UNROLL for (int c = 0; c < channels; ++c)
                    UNROLL for (int i = 0; i < imgsPerThread; ++i)
                        if (!checkImgBounds || tx + i * B_X < imagesLeft)
                            shImages[c * B_Y + ty][tx + i * B_X] = pixel[colorOffset(c) + tx + i * B_X];
                        else shImages[c * B_Y + ty][tx + i * B_X] = 0;
            }
        } else {
            THREAD_COLS(B_X) {
                UNROLL for (int c = 0; c < channels; ++c)
                    UNROLL for (int i = 0; i < imgsPerThread; ++i) shImages[c * B_Y + ty][tx + i * B_X] = 0;
            }
        }
    }
}

// What a block of the three kernels works on: one module, B_Y*filtersPerThread filters, B_X*imgsPerThread images.
struct FilterActsBlock {
    int module, firstFilter, firstImage, top, left;

    DEVICE_MEMBER FilterActsBlock(const Block& block, const int filtersPerBlock, const int imgsPerBlock,
                                  const int numFilters, const int numModulesX, const int paddingStart,
                                  const int moduleStride)
        : module(block.y / (numFilters / filtersPerBlock)),
          firstFilter(block.y % (numFilters / filtersPerBlock) * filtersPerBlock),
          firstImage(block.x * imgsPerBlock),
          top(paddingStart + module / numModulesX * moduleStride),
          left(paddingStart + module % numModulesX * moduleStride) {}
};

// Adds the products of `channels` channels at all pixels of a module's window to the sums; arguments are at the first of
// the channels.
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, int channels, bool checkImgBounds,
          typename Products, typename ColorOffset>
DEVICE_FUNCTION void addWindow(Products& prod, const float* images, const float* filters, const FilterActsBlock& work,
                               const int numFilters, const int filterSize, const int imgSizeY, const int imgSizeX,
                               const int imgStride, const int imagesLeft, const ColorOffset colorOffset) {
    const int filterPixels = filterSize * filterSize;
    if constexpr (onHost) {
        addWindowOnHost<B_Y, B_X, imgsPerThread, filtersPerThread, channels, checkImgBounds>(
            prod, images, filters, work, numFilters, filterSize, imgSizeY, imgSizeX, imgStride, imagesLeft, colorOffset);
    } else {
        SHARED float shFilters[B_Y * channels][B_Y * filtersPerThread];
        SHARED float shImages[B_Y * channels][B_X * imgsPerThread];
        for (int p = 0; p < filterPixels; p += B_Y) {
            stageFilters<B_Y, B_X, filtersPerThread, channels>(
                shFilters, filters + p * numFilters, filterPixels - p, filterPixels * numFilters, numFilters);
            stageImages<B_Y, B_X, imgsPerThread, channels, checkImgBounds>(
                shImages, images, p, filterSize, work.top, work.left, imgSizeY, imgSizeX, imgStride, imagesLeft,
                colorOffset);
            SYNC
            multiplyTile<B_Y, B_X, filtersPerThread, imgsPerThread, B_Y * channels, B_Y * channels>(
                prod, ByStep(shFilters), ByStep(shImages), EveryRow{});
            SYNC
        }
    }
}

// 1, 2 or 3 channels, one group: all channels staged at once.
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, int numColors, bool scale, bool checkImgBounds>
KERNEL filterActs_YxX_color(const Block& block, const float* images, const float* filters, float* targets,
                            const int numImages, const int numFilters, const int imgSizeY, const int imgSizeX,
                            const int filterSize, const int paddingStart, const int moduleStride,
                            const int numModulesY, const int numModulesX, const int imgStride,
                            const float scaleTargets, const float scaleOutputs, const bool conv) {
    PerThread<float, B_X * B_Y, filtersPerThread * imgsPerThread> prod;

    const FilterActsBlock work(block, B_Y * filtersPerThread, B_X * imgsPerThread, numFilters, numModulesX,
                               paddingStart, moduleStride);
    const int imgPixels = imgSizeY * imgSizeX, filterPixels = filterSize * filterSize;
    const int numModules = numModulesY * numModulesX;
    images += work.firstImage;
    filters += work.firstFilter + (conv ? 0 : work.module * numColors * filterPixels * numFilters);
    targets += (work.firstFilter * numModules + work.module) * numImages + work.firstImage;

    prod.clear();
    addWindow<B_Y, B_X, imgsPerThread, filtersPerThread, numColors, checkImgBounds>(
        prod, images, filters, work, numFilters, filterSize, imgSizeY, imgSizeX, imgStride, numImages - work.firstImage,
        DenseColors{imgPixels * imgStride});
    writeTile<B_Y, B_X, imgsPerThread, filtersPerThread, scale, checkImgBounds>(
        prod, targets, numModules * numImages, numImages - work.firstImage, filterPixels % B_Y != 0, scaleTargets,
        scaleOutputs);
}

// More channels, in dense groups (the name's "sparse" means groups): colorCache channels staged at a time.
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, int colorCache, bool scale, bool checkImgBounds>
KERNEL filterActs_YxX_sparse(const Block& block, const float* images, const float* filters, float* targets,
                             const int numImages, const int numFilters, const int imgSizeY, const int imgSizeX,
                             const int filterSize, const int paddingStart, const int moduleStride,
                             const int numModulesY, const int numModulesX, const int imgStride,
                             const int numImgColors, const int numGroups,
                             const float scaleTargets, const float scaleOutputs, const bool conv) {
    PerThread<float, B_X * B_Y, filtersPerThread * imgsPerThread> prod;

    const FilterActsBlock work(block, B_Y * filtersPerThread, B_X * imgsPerThread, numFilters, numModulesX,
                               paddingStart, moduleStride);
    const int imgPixels = imgSizeY * imgSizeX, filterPixels = filterSize * filterSize;
    const int numFilterColors = numImgColors / numGroups, numModules = numModulesY * numModulesX;
    const int group = work.firstFilter / (numFilters / numGroups);
    images += group * numFilterColors * imgPixels * imgStride + work.firstImage;
    filters += work.firstFilter + (conv ? 0 : work.module * numFilterColors * filterPixels * numFilters);
    targets += (work.firstFilter * numModules + work.module) * numImages + work.firstImage;

    prod.clear();
    for (int oc = 0; oc < numFilterColors; oc += colorCache)
        addWindow<B_Y, B_X, imgsPerThread, filtersPerThread, colorCache, checkImgBounds>(
            prod, images + oc * imgPixels * imgStride, filters + oc * filterPixels * numFilters, work, numFilters,
            filterSize, imgSizeY, imgSizeX, imgStride, numImages - work.firstImage, DenseColors{imgPixels * imgStride});
    writeTile<B_Y, B_X, imgsPerThread, filtersPerThread, scale, checkImgBounds>(
        prod, targets, numModules * numImages, numImages - work.firstImage, filterPixels % B_Y != 0, scaleTargets,
        scaleOutputs);
}

// Connectivity from a table: filter channel k of group g reads image channel colorIndices[g * numFilterColors + k].
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, int colorCache, bool scale, bool checkImgBounds>
KERNEL filterActs_YxX_sparse_random(const Block& block, const float* images, const float* filters, float* targets,
                                    const int* colorIndices, const int numImages, const int numFilters,
                                    const int imgSizeY, const int imgSizeX, const int filterSize,
                                    const int paddingStart, const int moduleStride, const int numModulesY,
                                    const int numModulesX, const int imgStride, const int numFilterColors,
                                    const int numGroups, const float scaleTargets, const float scaleOutputs,
                                    const bool conv) {
    SHARED int shColors[colorCache];
    PerThread<float, B_X * B_Y, filtersPerThread * imgsPerThread> prod;

    const FilterActsBlock work(block, B_Y * filtersPerThread, B_X * imgsPerThread, numFilters, numModulesX,
                               paddingStart, moduleStride);
    const int imgPixels = imgSizeY * imgSizeX, filterPixels = filterSize * filterSize;
    const int numModules = numModulesY * numModulesX;
    const int group = work.firstFilter / (numFilters / numGroups);
    images += work.firstImage;
    filters += work.firstFilter + (conv ? 0 : work.module * numFilterColors * filterPixels * numFilters);
    targets += (work.firstFilter * numModules + work.module) * numImages + work.firstImage;
    colorIndices += group * numFilterColors;

    prod.clear();
    for (int oc = 0; oc < numFilterColors; oc += colorCache) {
        THREADS(B_X, B_Y) {
            if (tid < colorCache) shColors[tid] = colorIndices[oc + tid] * imgPixels * imgStride;
        }
        SYNC
        addWindow<B_Y, B_X, imgsPerThread, filtersPerThread, colorCache, checkImgBounds>(
            prod, images, filters + oc * filterPixels * numFilters, work, numFilters, filterSize, imgSizeY, imgSizeX,
            imgStride, numImages - work.firstImage, TableColors{shColors});
    }
    writeTile<B_Y, B_X, imgsPerThread, filtersPerThread, scale, checkImgBounds>(
        prod, targets, numModules * numImages, numImages - work.firstImage, filterPixels % B_Y != 0, scaleTargets,
        scaleOutputs);
}
