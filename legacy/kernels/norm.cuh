// Response and contrast normalisation, within each map and across maps.
//
//   forward   D = minDiv + addScale * sum over the window of m^2      target = image * D^-powScale
//   undo      p = -2 addScale powScale * gradient * act / D           (kRNormUndoPrelims; overwrites act)
//             target = input * sum over the mirrored window of p + gradient * D^-powScale
//
// m is the image itself, or for contrast normalisation its difference from the local mean. images (F, S, S, N), last index
// fastest. Windows: size x size pixels, or size maps, from position - size/2 on, clipped; mirrored, up to position + size/2.
// "Blocked" across maps: disjoint groups of size maps.
//
// Specification: pool-norm 2.
#pragma once
#include "maps.cuh"

// Writes D and image * D^-powScale for a thread row's images; sums(tx, k + i) is the window sum of image i.
template <int B_X, int imgsPerThread, bool checkCaseBounds, typename Sums>
DEVICE_FUNCTION void writeNormalised(Sums& sums, const int k, const float* images, float* denoms, float* target, const int ty,
                                     const int imagesLeft, const float minDiv, const float addScale, const float powScale) {
    UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
        IMAGE_COLUMNS(B_X, i, checkCaseBounds, imagesLeft) {
            const float denom = minDiv + addScale * sums(tx, k + i);
            target[i * B_X + tx] = images[i * B_X + tx] * fastPow(denom, -powScale);
            if (denoms) denoms[i * B_X + tx] = denom;
        }
}

// target = input * sum + gradient * D^-powScale for a thread row's images, added to the scaled target if add.
template <int B_X, int imgsPerThread, bool checkCaseBounds, typename Sums>
DEVICE_FUNCTION void writeNormGradient(Sums& sums, const float* inputs, const float* outGrads, const float* denoms,
                                       float* target, const int ty, const int imagesLeft, const float powScale,
                                       const bool add, const float scaleTargets, const float scaleOutputs) {
    UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
        IMAGE_COLUMNS(B_X, i, checkCaseBounds, imagesLeft) {
            const int n = i * B_X + tx;
            const float value = weightedSum(inputs[n], sums(tx, i), outGrads[n], fastPow(denoms[n], -powScale));
            target[n] = add ? weightedSum(scaleTargets, target[n], scaleOutputs, value) : value;
        }
}

// Rows and columns from position + from on, size of them, as far as they are in the image.
struct NormWindow {
    int top, bottom, left, right;

    DEVICE_MEMBER NormWindow(const int pixelY, const int pixelX, const int from, const int size, const int imgSize)
        : top(atLeast(0, pixelY + from)), bottom(atMost(imgSize, pixelY + from + size)),
          left(atLeast(0, pixelX + from)), right(atMost(imgSize, pixelX + from + size)) {}
};

// sums(tx, i) = sum over the window of term(pixel), for one map (already at the block's first image).
template <int B_X, int imgsPerThread, bool checkCaseBounds, typename Sums, typename Term>
DEVICE_FUNCTION void sumOverWindow(Sums& sums, const float* map, const NormWindow& window, const int imgSize,
                                   const int numImages, const int imagesLeft, const int ty, const Term& term) {
    sums.clear();
    for (int y = window.top; y < window.bottom; ++y)
        for (int x = window.left; x < window.right; ++x)
            UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                IMAGE_COLUMNS(B_X, i, checkCaseBounds, imagesLeft) {
                    sums(tx, i) += term(map[(y * imgSize + x) * numImages + i * B_X + tx]);
                }
}

// sums(tx, i) = sum over maps first ... end-1 of term(f), in place n = i * B_X + tx: term(f * mapStride + n).
template <int B_X, int imgsPerThread, bool checkCaseBounds, typename Sums, typename Term>
DEVICE_FUNCTION void sumOverMaps(Sums& sums, const int first, const int end, const int mapStride, const int imagesLeft,
                                 const int ty, const Term& term) {
    sums.clear();
    UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
        for (int f = first; f < end; ++f)
            IMAGE_COLUMNS(B_X, i, checkCaseBounds, imagesLeft) { sums(tx, i) += term(f * mapStride + i * B_X + tx); }
}

// The maps that map f is normalised with, and those that its gradient comes from.
struct MapWindow {
    int first, end;
    DEVICE_MEMBER MapWindow(const int start, const int size, const int numFilters)
        : first(atLeast(0, start)), end(atMost(numFilters, start + size)) {}
};

template <bool blocked>
DEVICE_FUNCTION MapWindow normalisingMaps(const int f, const int size, const int numFilters) {
    return {blocked ? f / size * size : f - size / 2, size, numFilters};
}

template <bool blocked>
DEVICE_FUNCTION MapWindow gradientMaps(const int f, const int size, const int numFilters) {
    return {blocked ? f / size * size : f - size + size / 2 + 1, size, numFilters};
}

struct Squared {
    DEVICE_MEMBER float operator()(const float x) const { return x * x; }
};

// Up to 8 maps: a thread has one image (imgsPerThread of them) and all maps.
template <int imgsPerThread, int numFilters, bool checkCaseBounds>
KERNEL kCNorm_fewfilter(const Block& block, const float* images, const float* meanDiffs, float* denoms, float* target,
                        const int imgSize, const int numImages, const int sizeX, const float addScale,
                        const float powScale, const float minDiv) {
    const PixelBlock work(block, 128 * imgsPerThread, numImages, numFilters, numFilters);
    const NormWindow window(work.pixelY, work.pixelX, -(sizeX / 2), sizeX, imgSize);
    const int mapStride = imgSize * imgSize * numImages;
    const int place = (work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;

    THREAD_ROWS(1) {
        PerThread<float, 128, imgsPerThread> sums;
        for (int f = 0; f < numFilters; ++f) {
            sumOverWindow<128, imgsPerThread, checkCaseBounds>(sums, meanDiffs + f * mapStride + work.firstImage, window,
                                                               imgSize, numImages, work.imagesLeft, ty, Squared{});
            const int at = f * mapStride + place;
            writeNormalised<128, imgsPerThread, checkCaseBounds>(sums, 0, images + at, denoms + at, target + at, ty,
                                                                 work.imagesLeft, minDiv, addScale, powScale);
        }
    }
}

// A thread's maps are B_Y apart. cuda-convnet2 has the pixel on a third grid axis, before it was part of the other two.
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds>
KERNEL kCNorm_manyfilter(const Block& block, const float* images, const float* meanDiffs, float* denoms, float* target,
                         const int imgSize, const int numFilters, const int numImages, const int sizeX,
                         const float addScale, const float powScale, const float minDiv) {
    const Block flat{block.x + block.z % imgSize * block.gridX, block.y + block.z / imgSize * block.gridY, 0, 0, 0, 0};
    const PixelBlock work(flat, B_X * imgsPerThread, numImages, B_Y * filtersPerThread, numFilters);
    const NormWindow window(work.pixelY, work.pixelX, -(sizeX / 2), sizeX, imgSize);
    const int mapStride = imgSize * imgSize * numImages;
    const int place = (work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;

    THREAD_ROWS(B_Y) {
        PerThread<float, B_X, imgsPerThread> sums;
        UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f) {
            const int filter = work.firstFilter + ty + f * B_Y;
            sumOverWindow<B_X, imgsPerThread, checkCaseBounds>(sums, meanDiffs + filter * mapStride + work.firstImage,
                                                               window, imgSize, numImages, work.imagesLeft, ty, Squared{});
            const int at = filter * mapStride + place;
            writeNormalised<B_X, imgsPerThread, checkCaseBounds>(sums, 0, images + at, denoms + at, target + at, ty,
                                                                 work.imagesLeft, minDiv, addScale, powScale);
        }
    }
}

// Large windows: one block per 4 x 4 pixels.
template <int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds>
KERNEL kCNorm2(const Block& block, const float* images, const float* meanDiffs, float* denoms, float* target,
               const int imgSize, const int numFilters, const int numImages, const int sizeX, const float addScale,
               const float powScale, const float minDiv) {
    PerThread<float, B_X * 16, filtersPerThread * imgsPerThread> sums;
    const PixelBlock work(block, B_X * imgsPerThread, numImages, filtersPerThread, numFilters);
    const int patchY = 4 * work.pixelY, patchX = 4 * work.pixelX, mapStride = imgSize * imgSize * numImages;
    const int firstMap = work.firstFilter * mapStride + work.firstImage;

    sums.clear();
    overPatchWindows<B_X, imgsPerThread, filtersPerThread, checkCaseBounds>(
        meanDiffs + firstMap, imgSize, numImages, work.imagesLeft, patchY - sizeX / 2, patchX - sizeX / 2, sizeX,
        [&](const int tid, const int k, const float pixel) { sums(tid, k) += Squared{}(pixel); });
    THREAD_ROWS(16) {
        const int y = patchY + ty / 4, x = patchX + ty % 4;
        const auto ownSums = [&](const int tx, const int k) { return sums(ty * B_X + tx, k); };
        if (y < imgSize && x < imgSize)
            UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f) {
                const int at = firstMap + f * mapStride + (y * imgSize + x) * numImages;
                writeNormalised<B_X, imgsPerThread, checkCaseBounds>(ownSums, f * imgsPerThread, images + at, denoms + at,
                                                                     target + at, ty, work.imagesLeft, minDiv, addScale,
                                                                     powScale);
            }
    }
}

// Across maps, one map per thread. denoms may be null: then D is not stored.
template <int B_Y, int B_X, int imgsPerThread, bool checkCaseBounds, bool blocked>
KERNEL kFCNorm(const Block& block, const float* images, const float* meanDiffs, float* denoms, float* target,
               const int imgSize, const int numFilters, const int numImages, const int sizeF, const float addScale,
               const float powScale, const float minDiv) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y, numFilters);
    const int mapStride = imgSize * imgSize * numImages;
    const int place = (work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;

    THREAD_ROWS(B_Y) {
        const int filter = work.firstFilter + ty, at = filter * mapStride + place;
        const MapWindow maps = normalisingMaps<blocked>(filter, sizeF, numFilters);
        PerThread<float, B_X, imgsPerThread> sums;
        sumOverMaps<B_X, imgsPerThread, checkCaseBounds>(sums, maps.first, maps.end, mapStride, work.imagesLeft, ty,
                                                         [=](const int i) { return Squared{}(meanDiffs[place + i]); });
        writeNormalised<B_X, imgsPerThread, checkCaseBounds>(sums, 0, images + at, denoms ? denoms + at : denoms, target + at,
                                                             ty, work.imagesLeft, minDiv, addScale, powScale);
    }
}

// acts = scale * outGrads * acts / denoms; every thread takes elementsPerThread elements, B_X apart, and strides on.
template <int B_X, int elementsPerThread>
KERNEL kRNormUndoPrelims(const Block& block, float* acts, const float* denoms, const float* outGrads, const int numElements,
                         const float scale) {
    for (int first = block.x * B_X * elementsPerThread; first < numElements; first += block.gridX * B_X * elementsPerThread)
        THREAD_ROWS(1) {
            UNROLL_ON_GPU for (int i = 0; i < elementsPerThread; ++i)
                THREAD_COLS(B_X, numElements - first - i * B_X) {
                    const int e = first + i * B_X + tx;
                    acts[e] = fastDivide(scale * outGrads[e] * acts[e], denoms[e]);
                }
        }
}

template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds>
DEVICE_FUNCTION void undoNorm(const Block& block, const float* outGrads, const float* denoms, const float* inputs,
                              const float* acts, float* target, const int imgSize, const int numFilters, const int numImages,
                              const int sizeX, const float powScale, const bool add, const float scaleTargets,
                              const float scaleOutputs) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y * filtersPerThread, numFilters);
    const NormWindow window(work.pixelY, work.pixelX, sizeX / 2 - sizeX + 1, sizeX, imgSize);
    const int mapStride = imgSize * imgSize * numImages;
    const int place = (work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;

    THREAD_ROWS(B_Y) {
        PerThread<float, B_X, imgsPerThread> sums;
        UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f) {
            const int filter = work.firstFilter + ty + f * B_Y, at = filter * mapStride + place;
            sumOverWindow<B_X, imgsPerThread, checkCaseBounds>(sums, acts + filter * mapStride + work.firstImage, window,
                                                               imgSize, numImages, work.imagesLeft, ty,
                                                               [](const float prelim) { return prelim; });
            writeNormGradient<B_X, imgsPerThread, checkCaseBounds>(sums, inputs + at, outGrads + at, denoms + at, target + at,
                                                                   ty, work.imagesLeft, powScale, add, scaleTargets,
                                                                   scaleOutputs);
        }
    }
}

template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool add, bool checkCaseBounds>
KERNEL kRNormUndo(const Block& block, const float* outGrads, const float* denoms, const float* inputs, const float* acts,
                  float* target, const int imgSize, const int numFilters, const int numImages, const int sizeX,
                  const float powScale, const float scaleTargets, const float scaleOutputs) {
    undoNorm<B_Y, B_X, imgsPerThread, filtersPerThread, checkCaseBounds>(
        block, outGrads, denoms, inputs, acts, target, imgSize, numFilters, numImages, sizeX, powScale, add, scaleTargets,
        scaleOutputs);
}

// cuda-convnet2 decides at run time, by scaleTargets alone.
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds>
KERNEL kRNormUndo(const Block& block, const float* outGrads, const float* denoms, const float* inputs, const float* acts,
                  float* target, const int imgSize, const int numFilters, const int numImages, const int sizeX,
                  const float powScale, const float scaleTargets, const float scaleOutputs) {
    undoNorm<B_Y, B_X, imgsPerThread, filtersPerThread, checkCaseBounds>(
        block, outGrads, denoms, inputs, acts, target, imgSize, numFilters, numImages, sizeX, powScale, scaleTargets != 0,
        scaleTargets, scaleOutputs);
}

// Large windows: one block per 4 x 4 pixels.
template <int B_X, int imgsPerThread, int filtersPerThread, bool add, bool checkCaseBounds>
KERNEL kRNormUndo2(const Block& block, const float* outGrads, const float* denoms, const float* inputs, const float* acts,
                   float* target, const int imgSize, const int numFilters, const int numImages, const int sizeX,
                   const float powScale, const float scaleTargets, const float scaleOutputs) {
    PerThread<float, B_X * 16, filtersPerThread * imgsPerThread> sums;
    const PixelBlock work(block, B_X * imgsPerThread, numImages, filtersPerThread, numFilters);
    const int patchY = 4 * work.pixelY, patchX = 4 * work.pixelX, mapStride = imgSize * imgSize * numImages;
    const int firstMap = work.firstFilter * mapStride + work.firstImage, from = sizeX / 2 - sizeX + 1;

    sums.clear();
    overPatchWindows<B_X, imgsPerThread, filtersPerThread, checkCaseBounds>(
        acts + firstMap, imgSize, numImages, work.imagesLeft, patchY + from, patchX + from, sizeX,
        [&](const int tid, const int k, const float prelim) { sums(tid, k) += prelim; });
    THREAD_ROWS(16) {
        const int y = patchY + ty / 4, x = patchX + ty % 4;
        if (y < imgSize && x < imgSize)
            UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f) {
                const int at = firstMap + f * mapStride + (y * imgSize + x) * numImages;
                const auto ownSums = [&](const int tx, const int i) { return sums(ty * B_X + tx, f * imgsPerThread + i); };
                writeNormGradient<B_X, imgsPerThread, checkCaseBounds>(ownSums, inputs + at, outGrads + at, denoms + at,
                                                                       target + at, ty, work.imagesLeft, powScale, add,
                                                                       scaleTargets, scaleOutputs);
            }
    }
}

template <int B_Y, int B_X, int imgsPerThread, bool add, bool checkCaseBounds, bool blocked>
KERNEL kFRNormUndo(const Block& block, const float* outGrads, const float* denoms, const float* inputs, const float* acts,
                   float* target, const int imgSize, const int numFilters, const int numImages, const int sizeF,
                   const float powScale, const float scaleTargets, const float scaleOutputs) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y, numFilters);
    const int mapStride = imgSize * imgSize * numImages;
    const int place = (work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;

    THREAD_ROWS(B_Y) {
        const int filter = work.firstFilter + ty, at = filter * mapStride + place;
        const MapWindow maps = gradientMaps<blocked>(filter, sizeF, numFilters);
        PerThread<float, B_X, imgsPerThread> sums;
        sumOverMaps<B_X, imgsPerThread, checkCaseBounds>(sums, maps.first, maps.end, mapStride, work.imagesLeft, ty,
                                                         [=](const int i) { return acts[place + i]; });
        writeNormGradient<B_X, imgsPerThread, checkCaseBounds>(sums, inputs + at, outGrads + at, denoms + at, target + at, ty,
                                                               work.imagesLeft, powScale, add, scaleTargets, scaleOutputs);
    }
}

// cuda-convnet2: no prelims, acts stay, D is recomputed; a neighbour's 1/D comes back as (act / input)^(1/powScale).
template <int B_Y, int B_X, int imgsPerThread, bool add, bool checkCaseBounds, bool blocked>
KERNEL kFRNormUndo2(const Block& block, const float* outGrads, const float* inputs, const float* acts, float* target,
                    const int imgSize, const int numFilters, const int numImages, const int sizeF, const float addScale,
                    const float powScale, const float minDiv, const float scaleTargets, const float scaleOutputs) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y, numFilters);
    const int mapStride = imgSize * imgSize * numImages;
    const int place = (work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;
    const float inversePow = 1 / powScale, scale = -2 * powScale * addScale;

    THREAD_ROWS(B_Y) {
        const int filter = work.firstFilter + ty, at = filter * mapStride + place;
        const MapWindow sources = gradientMaps<blocked>(filter, sizeF, numFilters);
        const MapWindow maps = normalisingMaps<blocked>(filter, sizeF, numFilters);
        PerThread<float, B_X, imgsPerThread> sums, denoms;
        sumOverMaps<B_X, imgsPerThread, checkCaseBounds>(
            sums, sources.first, sources.end, mapStride, work.imagesLeft, ty, [=](const int i) {
                const float act = acts[place + i], input = inputs[place + i];
                return outGrads[place + i] * act * fastPow(fastDivide(act, input + (act == 0)), inversePow);
            });
        sumOverMaps<B_X, imgsPerThread, checkCaseBounds>(denoms, maps.first, maps.end, mapStride, work.imagesLeft, ty,
                                                         [=](const int i) { return Squared{}(inputs[place + i]); });
        UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
            IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                const int n = at + i * B_X + tx;
                const float value = weightedSum(scale * inputs[n], sums(tx, i), outGrads[n],
                                                fastPow(minDiv + addScale * denoms(tx, i), -powScale));
                target[n] = add ? weightedSum(scaleTargets, target[n], scaleOutputs, value) : value;
            }
    }
}
