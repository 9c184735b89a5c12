// Topographic ICA: 1 / (0.001 + root of the window's sum of squares), and its gradient.
//
// images (F, S, S, N), last index fastest; a window begins `first` pixels from its pixel: as in the forward pass of norm.cuh,
// and so it was in the gradient too, where mirrored windows would begin at sizeX/2 - sizeX + 1.
//
// Specification: pool-norm 5.
#pragma once
#include "norm.cuh"

// For every map of this block: sums of term over the window, then write(element, sum).
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds, typename Term, typename Write>
DEVICE_FUNCTION void overMapWindows(const Block& block, const float* maps, const int imgSize, const int numFilters,
                                    const int numImages, const int sizeX, const int first, const Term& term,
                                    const Write& write) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y * filtersPerThread, numFilters);
    const NormWindow window(work.pixelY, work.pixelX, first, sizeX, imgSize);
    THREAD_ROWS(B_Y) {
        PerThread<float, B_X, imgsPerThread> sums;
        UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f) {
            const int map = (work.firstFilter + ty + f * B_Y) * imgSize * imgSize;
            sumOverWindow<B_X, imgsPerThread, checkCaseBounds>(sums, maps + map * numImages + work.firstImage, window,
                                                               imgSize, numImages, work.imagesLeft, ty, term);
            const int at = (map + work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;
            UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) { write(at + i * B_X + tx, sums(tx, i)); }
        }
    }
}

template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds>
KERNEL kTICA_manyfilter(const Block& block, const float* images, float* target, const int imgSize, const int numFilters,
                        const int numImages, const int sizeX, const float scaleTarget, const float scaleOutput) {
    overMapWindows<B_Y, B_X, imgsPerThread, filtersPerThread, checkCaseBounds>(
        block, images, imgSize, numFilters, numImages, sizeX, -(sizeX / 2), Squared{}, [=](const int e, const float sum) {
            const float value = fastDivide(1, static_cast<float>(0.001 + sqrtf(sum)));
            target[e] = scaleTarget == 0 ? scaleOutput * value : weightedSum(scaleTarget, target[e], scaleOutput, value);
        });
}

// root: one is taken where the target is added to, as it was (pool-norm H9).
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds>
KERNEL kTICAGrad_manyfilter(const Block& block, const float* images, const float* ticas, float* target, const int imgSize,
                            const int numFilters, const int numImages, const int sizeX, const int first, const bool root,
                            const float scaleTarget, const float scaleOutput) {
    overMapWindows<B_Y, B_X, imgsPerThread, filtersPerThread, checkCaseBounds>(
        block, ticas, imgSize, numFilters, numImages, sizeX, first, [](const float tica) { return tica; },
        [=](const int e, const float sum) {
            target[e] = scaleTarget == 0 ? scaleOutput * -images[e] * sum
                                         : weightedSum(scaleTarget, target[e], scaleOutput * -images[e], root ? sqrtf(sum) : sum);
        });
}
