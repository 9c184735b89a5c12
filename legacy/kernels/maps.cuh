// What the kernels over square maps (pooling, normalisation, image operations) share: from a block to its pixel, filters
// and images, bounds of the last images, windows of a patch of pixels, the last step of a gradient.
//
// Specification: pool-norm 0.4, 0.6.
#pragma once
#include "fastmath.cuh"

DEVICE_FUNCTION int atLeast(const int a, const int b) { return a < b ? b : a; }
DEVICE_FUNCTION int atMost(const int a, const int b) { return a < b ? a : b; }

// What a block works on: a pixel (or patch), a block of filters, a block of images; images vary fastest in x, filters in y.
struct PixelBlock {
    int pixelX, pixelY, firstFilter, firstImage, imagesLeft;

    DEVICE_MEMBER PixelBlock(const Block& block, const int imgsPerBlock, const int numImages, const int filtersPerBlock,
                             const int numFilters) {
        const int imgBlocks = (numImages + imgsPerBlock - 1) / imgsPerBlock;
        const int filterBlocks = (numFilters + filtersPerBlock - 1) / filtersPerBlock;
        pixelX = block.x / imgBlocks;
        pixelY = block.y / filterBlocks;
        firstFilter = block.y % filterBlocks * filtersPerBlock;
        firstImage = block.x % imgBlocks * imgsPerBlock;
        imagesLeft = numImages - firstImage;
    }
};

// Of a thread's images, spaced B_X apart, the threads that have an i-th.
#define IMAGE_COLUMNS(B_X, i, check, imagesLeft) THREAD_COLS(B_X, (check) ? (imagesLeft) - (i) * (B_X) : (B_X))

// Visits the pixels of the windows of a 4 x 4 patch of outputs, rows then columns, calling take(tid, f * imgsPerThread + i, pixel)
// for those in the thread's own window. The thread at (ty / 4, ty % 4) of the patch has the size x size window at
// (firstY + ty / 4, firstX + ty % 4). Every pixel of filtersPerThread maps is staged once for the whole block.
template <int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds, typename Take>
DEVICE_FUNCTION void overPatchWindows(const float* images, const int imgSize, const int numImages, const int imagesLeft,
                                      const int firstY, const int firstX, const int size, const Take& take) {
    SHARED float shImages[filtersPerThread][B_X * imgsPerThread];
    for (int y = atLeast(0, firstY); y < atMost(imgSize, firstY + 3 + size); ++y)
        for (int x = atLeast(0, firstX); x < atMost(imgSize, firstX + 3 + size); ++x) {
            STAGE(B_X * 16, filtersPerThread, B_X * imgsPerThread) {
                const bool load = !checkCaseBounds || col < imagesLeft;
                shImages[row][col] = load ? images[((row * imgSize + y) * imgSize + x) * numImages + col] : 0.0f;
            }
            SYNC
            THREAD_ROWS(16) {
                const int fromTop = y - firstY - ty / 4, fromLeft = x - firstX - ty % 4;
                if (fromTop >= 0 && fromTop < size && fromLeft >= 0 && fromLeft < size)
                    UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f)
                        UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                            THREAD_COLS(B_X, B_X) { take(tid, f * imgsPerThread + i, shImages[f][i * B_X + tx]); }
            }
            SYNC
        }
}

// Writes a thread row's gradients: filters filterStep apart, images B_X apart.
template <int B_X, int imgsPerThread, int filtersPerThread, bool add, bool checkCaseBounds, typename Gradients>
DEVICE_FUNCTION void writeGradients(Gradients& prod, float* target, const int ty, const int filterStep,
                                    const int imagesLeft, const float scaleTargets, const float scaleOutputs) {
    UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f)
        UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
            IMAGE_COLUMNS(B_X, i, checkCaseBounds, imagesLeft) {
                float& element = target[f * filterStep + i * B_X + tx];
                const float value = prod(tx, f * imgsPerThread + i);
                element = add ? weightedSum(scaleTargets, element, scaleOutputs, value) : value;
            }
}
