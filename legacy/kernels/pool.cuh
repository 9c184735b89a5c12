// Pooling over square windows of each map, and over neighbouring maps.
//
//   forward   target(c, oy, ox, n) = finish(combine over the window's pixels, rows then columns, from base)
//   random    target(c, oy, ox, n) = a pixel of the window, see kLocalRandomPool
//   max undo  target(c, y, x, n)   = sum over windows over the pixel of [image == max of the window] * gradient
//   avg undo  target(c, y, x, n)   = sum over windows over the pixel of gradient / pixels in the window
//
// images (C, S, S, N), outputs (C, O, O, N): last index fastest. Windows start at startX + output * strideX on both axes
// and are clipped to the image. All pixels that equal the maximum receive its full gradient.
//
// Specification: pool-norm 1; blocks and threads 0.6.
#pragma once
#include "maps.cuh"

// acc is never NaN, so this is fmaxf: a NaN pixel is skipped.
struct MaxPooler {
    static constexpr const char* kernelName() { return "MaxPooler"; }
    static constexpr float base = -2e38f;
    static DEVICE_MEMBER float combine(float acc, float pixel) { return pixel > acc ? pixel : acc; }
    static DEVICE_MEMBER float finish(float acc, int) { return acc; }
};

// The pixel of greatest magnitude, with its sign; among equals the last.
struct MaxAbsPooler {
    static constexpr const char* kernelName() { return "MaxAbsPooler"; }
    static constexpr float base = 0;
    static DEVICE_MEMBER float combine(float acc, float pixel) { return fabsf(acc) > fabsf(pixel) ? acc : pixel; }
    static DEVICE_MEMBER float finish(float acc, int) { return acc; }
};

struct AvgPooler {
    static constexpr const char* kernelName() { return "AvgPooler"; }
    static constexpr float base = 0;
    static DEVICE_MEMBER float combine(float acc, float pixel) { return acc + pixel; }
    static DEVICE_MEMBER float finish(float acc, int area) { return acc / area; }
};

namespace cc2 {  // cuda-convnet2
template <bool sum>
struct AvgPooler {
    static constexpr const char* kernelName() { return sum ? "AvgPooler<true>" : "AvgPooler<false>"; }
    static constexpr float base = 0;
    static DEVICE_MEMBER float combine(float acc, float pixel) { return acc + pixel; }
    static DEVICE_MEMBER float finish(float acc, int area) { return sum ? acc : acc / area; }
};
}  // namespace cc2

// The outputs of one axis whose windows cover a pixel: first <= output < end.
struct Covering {
    int first, end;

    DEVICE_MEMBER Covering(const int pixel, const int subsX, const int startX, const int strideX, const int outputsX) {
        const bool covered = pixel >= startX && pixel < startX + strideX * (outputsX - 1) + subsX;
        first = pixel - startX < subsX ? 0 : 1 + (pixel - startX - subsX) / strideX;
        end = covered ? atMost(outputsX, 1 + (pixel - startX) / strideX) : first;
    }
};

// One block per output pixel; a thread has filtersPerThread consecutive filters.
template <typename Pooler, int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds>
KERNEL kLocalPool(const Block& block, const float* images, float* target, const int imgSize, const int numFilters,
                  const int numImages, const int subsX, const int startX, const int strideX, const int outputsX) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y * filtersPerThread, numFilters);
    const int startY0 = startX + work.pixelY * strideX, startX0 = startX + work.pixelX * strideX;
    const int top = atLeast(0, startY0), bottom = atMost(imgSize, startY0 + subsX);
    const int left = atLeast(0, startX0), right = atMost(imgSize, startX0 + subsX);
    const int area = (bottom - top) * (right - left);
    const int imgStride = imgSize * imgSize * numImages, outStride = outputsX * outputsX * numImages;

    THREAD_ROWS(B_Y) {
        const int filter = work.firstFilter + ty * filtersPerThread;
        const float* maps = images + filter * imgStride + work.firstImage;
        float* outputs = target + filter * outStride + (work.pixelY * outputsX + work.pixelX) * numImages + work.firstImage;
        PerThread<float, B_X, filtersPerThread * imgsPerThread> acc;
        if (filter < numFilters) {
            UNROLL_ON_GPU for (int k = 0; k < filtersPerThread * imgsPerThread; ++k)
                THREAD_COLS(B_X, B_X) { acc(tx, k) = Pooler::base; }
            for (int y = top; y < bottom; ++y)
                for (int x = left; x < right; ++x)
                    UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f)
                        UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                            IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                                const float pixel = maps[f * imgStride + (y * imgSize + x) * numImages + i * B_X + tx];
                                acc(tx, f * imgsPerThread + i) = Pooler::combine(acc(tx, f * imgsPerThread + i), pixel);
                            }
            UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f)
                UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                    IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                        outputs[f * outStride + i * B_X + tx] = Pooler::finish(acc(tx, f * imgsPerThread + i), area);
                    }
        }
    }
}

// A random pixel of every window. The law is ours, the historical one being lost: with pixels in scan order and weights
// w = max(pixel, 0), or 1 where those are all 0, the choice is the last pixel with w > 0 that starts, at the sum of the
// weights before it, at or below uniform * (sum of all weights). uniforms has the shape of the target.
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds>
KERNEL kLocalRandomPool(const Block& block, const float* images, const float* uniforms, float* target, const int imgSize,
                        const int numFilters, const int numImages, const int subsX, const int startX, const int strideX,
                        const int outputsX) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y * filtersPerThread, numFilters);
    const int startY0 = startX + work.pixelY * strideX, startX0 = startX + work.pixelX * strideX;
    const int top = atLeast(0, startY0), bottom = atMost(imgSize, startY0 + subsX);
    const int left = atLeast(0, startX0), right = atMost(imgSize, startX0 + subsX);
    const float area = (bottom - top) * (right - left);

    THREAD_ROWS(B_Y) {
        PerThread<float, B_X> total, level, passed, chosen;
        UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f)
            UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i) {
                const int filter = work.firstFilter + ty * filtersPerThread + f, firstImage = work.firstImage + i * B_X;
                const float* map = images + filter * imgSize * imgSize * numImages + firstImage;
                const int output = ((filter * outputsX + work.pixelY) * outputsX + work.pixelX) * numImages + firstImage;
                if (filter < numFilters) {
                    total.clear();
                    passed.clear();
                    chosen.clear();
                    for (int y = top; y < bottom; ++y)
                        for (int x = left; x < right; ++x)
                            IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                                const float pixel = map[(y * imgSize + x) * numImages + tx];
                                total(tx) += pixel > 0 ? pixel : 0;
                            }
                    IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                        level(tx) = uniforms[output + tx] * (total(tx) > 0 ? total(tx) : area);
                    }
                    for (int y = top; y < bottom; ++y)
                        for (int x = left; x < right; ++x)
                            IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                                const float pixel = map[(y * imgSize + x) * numImages + tx];
                                const float weight = total(tx) > 0 ? (pixel > 0 ? pixel : 0) : 1;
                                chosen(tx) = weight > 0 && passed(tx) <= level(tx) ? pixel : chosen(tx);
                                passed(tx) += weight;
                            }
                    IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) { target[output + tx] = chosen(tx); }
                }
            }
    }
}

// Large windows at stride 1: one block per 4 x 4 outputs, ty % 4 across and ty / 4 down.
template <typename Pooler, int B_X, int imgsPerThread, int filtersPerThread, bool checkCaseBounds>
KERNEL kLocalPool2(const Block& block, const float* images, float* target, const int imgSize, const int numFilters,
                   const int numImages, const int subsX, const int startX, const int outputsX) {
    PerThread<float, B_X * 16, filtersPerThread * imgsPerThread> acc;
    const PixelBlock work(block, B_X * imgsPerThread, numImages, filtersPerThread, numFilters);
    const int patchY = 4 * work.pixelY, patchX = 4 * work.pixelX;
    const int outStride = outputsX * outputsX * numImages;
    images += work.firstFilter * imgSize * imgSize * numImages + work.firstImage;
    target += work.firstFilter * outStride + work.firstImage;

    UNROLL_ON_GPU for (int k = 0; k < filtersPerThread * imgsPerThread; ++k)
        THREADS(B_X, 16) { acc(tid, k) = Pooler::base; }
    overPatchWindows<B_X, imgsPerThread, filtersPerThread, checkCaseBounds>(
        images, imgSize, numImages, work.imagesLeft, startX + patchY, startX + patchX, subsX,
        [&](const int tid, const int k, const float pixel) { acc(tid, k) = Pooler::combine(acc(tid, k), pixel); });
    THREAD_ROWS(16) {
        const int outY = patchY + ty / 4, outX = patchX + ty % 4;
        const int height = atMost(imgSize, startX + outY + subsX) - atLeast(0, startX + outY);
        const int width = atMost(imgSize, startX + outX + subsX) - atLeast(0, startX + outX);
        const int area = atLeast(0, height) * atLeast(0, width);
        if (outY < outputsX && outX < outputsX)
            UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f)
                UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                    IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                        target[f * outStride + (outY * outputsX + outX) * numImages + i * B_X + tx] =
                            Pooler::finish(acc(tid, f * imgsPerThread + i), area);
                    }
    }
}

// One block per input pixel; a thread's filters are B_Y apart. The thread's own pixels wait in shared memory.
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool add, bool checkCaseBounds>
KERNEL kLocalMaxUndo(const Block& block, const float* images, const float* maxGrads, const float* maxActs, float* target,
                     const int imgSize, const int numFilters, const int numImages, const int subsX, const int startX,
                     const int strideX, const int outputsX, const float scaleTargets, const float scaleOutputs) {
    SHARED float shImages[B_Y * filtersPerThread][B_X * imgsPerThread];
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y * filtersPerThread, numFilters);
    const Covering rows(work.pixelY, subsX, startX, strideX, outputsX), cols(work.pixelX, subsX, startX, strideX, outputsX);
    const int imgStride = imgSize * imgSize * numImages, outStride = outputsX * outputsX * numImages;
    const int pixel = (work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;

    THREAD_ROWS(B_Y) {
        const int filter = work.firstFilter + ty;
        PerThread<float, B_X, filtersPerThread * imgsPerThread> prod;
        prod.clear();
        UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f)
            UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                    shImages[ty + f * B_Y][i * B_X + tx] = images[(filter + f * B_Y) * imgStride + pixel + i * B_X + tx];
                }
        for (int y = rows.first; y < rows.end; ++y)
            for (int x = cols.first; x < cols.end; ++x)
                UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f)
                    UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                        IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                            const int output = (filter + f * B_Y) * outStride + (y * outputsX + x) * numImages
                                               + work.firstImage + i * B_X + tx;
                            const bool selected = shImages[ty + f * B_Y][i * B_X + tx] == maxActs[output];
                            prod(tx, f * imgsPerThread + i) += selected * maxGrads[output];
                        }
        writeGradients<B_X, imgsPerThread, filtersPerThread, add, checkCaseBounds>(
            prod, target + filter * imgStride + pixel, ty, B_Y * imgStride, work.imagesLeft, scaleTargets, scaleOutputs);
    }
}

// As other frameworks do: a pixel gets a window's gradient if it equals the maximum and none before it in the window does.
template <int B_Y, int B_X, bool add>
KERNEL kLocalFirstMaxUndo(const Block& block, const float* images, const float* maxGrads, const float* maxActs, float* target,
                          const int imgSize, const int numFilters, const int numImages, const int subsX, const int startX,
                          const int strideX, const int outputsX, const float scaleTargets, const float scaleOutputs) {
    const PixelBlock work(block, B_X, numImages, B_Y, numFilters);
    const Covering rows(work.pixelY, subsX, startX, strideX, outputsX), cols(work.pixelX, subsX, startX, strideX, outputsX);
    THREAD_ROWS(B_Y) {
        const int filter = work.firstFilter + ty, pixel = work.pixelY * imgSize + work.pixelX;
        const float* map = images + filter * imgSize * imgSize * numImages + work.firstImage;
        PerThread<float, B_X, 1> prod;
        prod.clear();
        if (filter < numFilters) {
            for (int y = rows.first; y < rows.end; ++y)
                for (int x = cols.first; x < cols.end; ++x)
                    IMAGE_COLUMNS(B_X, 0, true, work.imagesLeft) {
                        const int output = ((filter * outputsX + y) * outputsX + x) * numImages + work.firstImage + tx;
                        bool selected = map[pixel * numImages + tx] == maxActs[output];
                        const int left = atLeast(0, startX + x * strideX), right = atMost(imgSize, startX + x * strideX + subsX);
                        for (int py = atLeast(0, startX + y * strideX); py <= work.pixelY; ++py)
                            for (int px = left; px < (py < work.pixelY ? right : work.pixelX); ++px)
                                selected = selected && map[(py * imgSize + px) * numImages + tx] != maxActs[output];
                        prod(tx, 0) += selected * maxGrads[output];
                    }
            writeGradients<B_X, 1, 1, add, true>(prod, target + (filter * imgSize * imgSize + pixel) * numImages + work.firstImage,
                                                 ty, 0, work.imagesLeft, scaleTargets, scaleOutputs);
        }
    }
}

template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool sum, bool add, bool checkCaseBounds>
KERNEL kLocalAvgUndo(const Block& block, const float* avgGrads, float* target, const int imgSize, const int numFilters,
                     const int numImages, const int subsX, const int startX, const int strideX, const int outputsX,
                     const float scaleTargets, const float scaleOutputs) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y * filtersPerThread, numFilters);
    const Covering rows(work.pixelY, subsX, startX, strideX, outputsX), cols(work.pixelX, subsX, startX, strideX, outputsX);
    const int imgStride = imgSize * imgSize * numImages, outStride = outputsX * outputsX * numImages;
    const int pixel = (work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;

    THREAD_ROWS(B_Y) {
        const int filter = work.firstFilter + ty;
        PerThread<float, B_X, filtersPerThread * imgsPerThread> prod;
        prod.clear();
        for (int y = rows.first; y < rows.end; ++y)
            for (int x = cols.first; x < cols.end; ++x) {
                const int top = startX + y * strideX, left = startX + x * strideX;
                const int height = atMost(imgSize, top + subsX) - atLeast(0, top);
                const int width = atMost(imgSize, left + subsX) - atLeast(0, left);
                const float share = sum ? 1 : 1.0f / (width * height);
                UNROLL_ON_GPU for (int f = 0; f < filtersPerThread; ++f)
                    UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                        IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                            prod(tx, f * imgsPerThread + i) +=
                                avgGrads[(filter + f * B_Y) * outStride + (y * outputsX + x) * numImages
                                         + work.firstImage + i * B_X + tx] * share;
                        }
            }
        writeGradients<B_X, imgsPerThread, filtersPerThread, add, checkCaseBounds>(
            prod, target + filter * imgStride + pixel, ty, B_Y * imgStride, work.imagesLeft, scaleTargets, scaleOutputs);
    }
}

// The same before cuda-convnet2, which added `sum`.
template <int B_Y, int B_X, int imgsPerThread, int filtersPerThread, bool add, bool checkCaseBounds>
KERNEL kLocalAvgUndo(const Block& block, const float* avgGrads, float* target, const int imgSize, const int numFilters,
                     const int numImages, const int subsX, const int startX, const int strideX, const int outputsX,
                     const float scaleTargets, const float scaleOutputs) {
    kLocalAvgUndo<B_Y, B_X, imgsPerThread, filtersPerThread, false, add, checkCaseBounds>(
        block, avgGrads, target, imgSize, numFilters, numImages, subsX, startX, strideX, outputsX, scaleTargets, scaleOutputs);
}

// Output map o at a pixel pools the maps startF + o*stride ... + poolSize there; one output map per thread.
template <typename Pooler, int B_Y, int B_X, int imgsPerThread, bool checkCaseBounds>
KERNEL kPoolCrossMap(const Block& block, const float* images, float* target, const int imgSize, const int numFilters,
                     const int numImages, const int startF, const int poolSize, const int numOutputs, const int stride) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y, numOutputs);
    const int mapStride = imgSize * imgSize * numImages;
    const int pixel = (work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;

    THREAD_ROWS(B_Y) {
        const int output = work.firstFilter + ty;
        const int first = atLeast(0, startF + output * stride), end = atMost(numFilters, startF + output * stride + poolSize);
        PerThread<float, B_X, imgsPerThread> acc;
        if (output < numOutputs)
            UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i) {
                THREAD_COLS(B_X, B_X) { acc(tx, i) = Pooler::base; }
                for (int f = first; f < end; ++f)
                    IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                        acc(tx, i) = Pooler::combine(acc(tx, i), images[f * mapStride + pixel + i * B_X + tx]);
                    }
                IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                    target[output * mapStride + pixel + i * B_X + tx] = Pooler::finish(acc(tx, i), poolSize);
                }
            }
    }
}

// Where the division in `first` truncates, maps just below the end of output 0's window get no gradient from it (pool-norm
// H6): as it was, or else it rounds down.
template <int B_Y, int B_X, int imgsPerThread, bool add, bool checkCaseBounds>
KERNEL kCrossMapMaxPoolUndo(const Block& block, const float* images, const float* maxGrads, const float* maxActs,
                            float* target, const int imgSize, const int numFilters, const int numImages,
                            const int startF, const int poolSize, const int numOutputs, const int stride,
                            const bool truncates, const float scaleTargets, const float scaleOutputs) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y, numFilters);
    const int mapStride = imgSize * imgSize * numImages;
    const int pixel = (work.pixelY * imgSize + work.pixelX) * numImages + work.firstImage;

    THREAD_ROWS(B_Y) {
        const int filter = work.firstFilter + ty;
        const int beyond = filter - startF - poolSize;                     // the first window's last map is before 0
        const int first = atLeast(0, (truncates || beyond >= 0 ? beyond / stride : -((stride - 1 - beyond) / stride)) + 1);
        const int end = atMost(numOutputs, (filter - startF) / stride + 1);
        PerThread<float, B_X, imgsPerThread> prod;
        prod.clear();
        if (filter < numFilters) {
            for (int o = first; o < end; ++o)
                UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                    IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                        const int element = pixel + i * B_X + tx;
                        const bool selected = images[filter * mapStride + element] == maxActs[o * mapStride + element];
                        prod(tx, i) += selected * maxGrads[o * mapStride + element];
                    }
            writeGradients<B_X, imgsPerThread, 1, add, checkCaseBounds>(
                prod, target + filter * mapStride + pixel, ty, 0, work.imagesLeft, scaleTargets, scaleOutputs);
        }
    }
}
