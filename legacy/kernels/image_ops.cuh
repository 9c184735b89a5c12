// Operations on images: blur, sampling, resizing, cropping, colour spaces, reflection.
//
// images (C, S, S, N), last index fastest; rows of the inputs of blur, resize, crop and colour spaces may be strided
// (imgStride). A thread's images are B_X apart.
//
// Specification: pool-norm 3.
#pragma once
#include "maps.cuh"

// One pass of a 1-D blur, along rows (horiz) or columns: one line of one image per thread. mirrored: taps 0 ... 2*radius-1
// are used, those right of the centre mirrored, as it was; else all, in order. acc[r] is what output col - radius + r has so far; target may be images.
template <int B_Y, int B_X, int radius>
KERNEL kGaussianBlur(const Block& block, const float* images, const float* filter, float* target, const int imgSize,
                     const int numImages, const int numChannels, const int imgStride, const bool horiz,
                     const bool mirrored, const float scaleTargets, const float scaleOutputs) {
    SHARED float taps[2 * radius];
    THREAD_ROWS(B_Y) {
        if (ty == 0) THREAD_COLS(B_X, 2 * radius) { taps[tx] = filter[tx]; }
    }
    SYNC
    const int firstImage = block.x * B_X, count = numImages - firstImage;
    THREAD_ROWS(B_Y) {
        const int line = block.y * B_Y + ty, channel = line / imgSize, row = line % imgSize;
        const int start = channel * imgSize * imgSize + row * (horiz ? imgSize : 1), step = horiz ? 1 : imgSize;
        const auto right = [&](const int r) { return mirrored ? taps[r] : filter[2 * radius - r]; };
        const auto put = [&](const int tx, const int col, const float sum) {
            float& element = target[(start + col * step) * numImages + firstImage + tx];
            element = scaleTargets == 0 ? scaleOutputs * sum : weightedSum(scaleTargets, element, scaleOutputs, sum);
        };
        PerThread<float, B_X, 2 * radius> acc;
        acc.clear();
        if (channel < numChannels) {
            UNROLL_ON_GPU for (int col = 0; col < radius; ++col)
                THREAD_COLS(B_X, count) {
                    const float pixel = images[(start + col * step) * imgStride + firstImage + tx];
                    UNROLL for (int r = 0; r <= radius + col; ++r) acc(tx, r) += pixel * taps[radius + col - r];
                }
            for (int col = radius; col < imgSize; ++col)
                THREAD_COLS(B_X, count) {
                    const float pixel = images[(start + col * step) * imgStride + firstImage + tx];
                    put(tx, col - radius, acc(tx, 0) + pixel * right(0));
                    UNROLL for (int r = 1; r < 2 * radius; ++r) acc(tx, r - 1) = acc(tx, r) + pixel * right(r);
                    acc(tx, 2 * radius - 1) = pixel * taps[0];
                }
            UNROLL_ON_GPU for (int r = 0; r < radius; ++r)
                THREAD_COLS(B_X, count) { put(tx, imgSize - radius + r, acc(tx, r)); }
        }
    }
}

// Every strideX-th pixel of every strideX-th row, one output pixel per block; reverse scatters outputs into images.
template <int B_Y, int B_X, int imgsPerThread, int channelsPerThread, bool checkCaseBounds>
KERNEL kBedOfNails(const Block& block, float* images, float* outputs, const bool reverse, const int imgSize,
                   const int numChannels, const int numImages, const int startX, const int strideX, const int outputsX,
                   const float scaleTargets, const float scaleOutputs) {
    const PixelBlock work(block, B_X * imgsPerThread, numImages, B_Y * channelsPerThread, numChannels);
    const int pixel = (startX + work.pixelY * strideX) * imgSize + startX + work.pixelX * strideX;
    const int output = work.pixelY * outputsX + work.pixelX;
    THREAD_ROWS(B_Y) {
        UNROLL_ON_GPU for (int c = 0; c < channelsPerThread; ++c) {
            const int channel = work.firstFilter + ty * channelsPerThread + c;
            float* image = images + (channel * imgSize * imgSize + pixel) * numImages + work.firstImage;
            float* sample = outputs + (channel * outputsX * outputsX + output) * numImages + work.firstImage;
            float* to = reverse ? image : sample;
            const float* from = reverse ? sample : image;
            if (channel < numChannels)
                UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                    IMAGE_COLUMNS(B_X, i, checkCaseBounds, work.imagesLeft) {
                        const int n = i * B_X + tx;
                        to[n] = scaleTargets == 0 ? scaleOutputs * from[n] : weightedSum(scaleTargets, to[n], scaleOutputs, from[n]);
                    }
        }
    }
}

// A block makes 4 x 4 pixels, ty % 4 across and ty / 4 down. Positions stop at `last`: imgSize - 1.01, as it was.
template <int imgsPerThread, bool checkCaseBounds>
KERNEL kResizeBilinear(const Block& block, const float* images, float* target, const int imgSize, const int tgtSize,
                       const int numImages, const int imgStride, const float scale, const float centerScale,
                       const float last) {
    const int chunks = (tgtSize + 3) / 4, channel = block.y / (chunks * chunks), chunk = block.y % (chunks * chunks);
    const int firstImage = block.x * 32 * imgsPerThread, imagesLeft = numImages - firstImage;
    THREAD_ROWS(16) {
        const int y = chunk / chunks * 4 + ty / 4, x = chunk % chunks * 4 + ty % 4;
        const float sourceY = fmaxf(0, fminf(last, y * scale + centerScale));
        const float sourceX = fmaxf(0, fminf(last, x * scale + centerScale));
        const int beyondY = sourceY >= imgSize - 1, beyondX = sourceX >= imgSize - 1;     // on the last pixel: step back
        const float u = floorf(sourceX + 1) - sourceX - beyondX, w = sourceY - floorf(sourceY) + beyondY;
        const int pixel = (channel * imgSize + static_cast<int>(sourceY) - beyondY) * imgSize + static_cast<int>(sourceX) - beyondX;
        const float* upper = images + pixel * imgStride + firstImage;
        const float* lower = upper + imgSize * imgStride;
        float* result = target + ((channel * tgtSize + y) * tgtSize + x) * numImages + firstImage;
        if (y < tgtSize && x < tgtSize)
            UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                IMAGE_COLUMNS(32, i, checkCaseBounds, imagesLeft) {
                    const int n = i * 32 + tx;
                    const float above = u * (upper[n] - upper[n + imgStride]) + upper[n + imgStride];
                    const float below = u * (lower[n] - lower[n + imgStride]) + lower[n + imgStride];
                    result[n] = w * (below - above) + above;
                }
    }
}

// Calls body(pixel, n) for this block's images and its four pixels (one per ty) of numPixels.
template <int imgsPerThread, bool checkCaseBounds, typename Body>
DEVICE_FUNCTION void overPixels(const Block& block, const int firstPixel, const int numPixels, const int numImages,
                                const Body& body) {
    const int firstImage = block.x * 32 * imgsPerThread;
    THREAD_ROWS(4) {
        const int pixel = firstPixel + ty;
        if (pixel < numPixels)
            UNROLL_ON_GPU for (int i = 0; i < imgsPerThread; ++i)
                IMAGE_COLUMNS(32, i, checkCaseBounds, numImages - firstImage) { body(pixel, firstImage + i * 32 + tx); }
    }
}

template <int imgsPerThread, bool checkCaseBounds>
KERNEL kCrop(const Block& block, const float* images, float* target, const int numImages, const int imgStride,
             const int imgSize, const int tgtSize, const int startY, const int startX) {
    const int tgtPixels = tgtSize * tgtSize, blocksPerChannel = (tgtPixels + 3) / 4;
    const int channel = block.y / blocksPerChannel;
    overPixels<imgsPerThread, checkCaseBounds>(block, block.y % blocksPerChannel * 4, tgtPixels, numImages,
        [=](const int pixel, const int n) {
            const int y = startY + pixel / tgtSize, x = startX + pixel % tgtSize;
            target[(channel * tgtPixels + pixel) * numImages + n] = images[((channel * imgSize + y) * imgSize + x) * imgStride + n];
        });
}

// The coefficients of BT.709, as it was, or those of BT.601.
template <int imgsPerThread, bool checkCaseBounds>
KERNEL kRGBToYUV(const Block& block, const float* images, float* target, const int imgPixels, const int numImages,
                 const int imgStride, const bool bt601) {
    overPixels<imgsPerThread, checkCaseBounds>(block, block.y * 4, imgPixels, numImages, [=](const int pixel, const int n) {
        const float* image = images + pixel * imgStride + n;
        float* result = target + pixel * numImages + n;
        const float red = image[0], green = image[imgPixels * imgStride], blue = image[2 * imgPixels * imgStride];
        float *luminance = result, *u = result + imgPixels * numImages, *v = result + 2 * imgPixels * numImages;
        if (bt601) {
            *luminance = weightedSum(0.299f, red, 0.587f, green) + 0.114f * blue;
            *u = weightedSum(-0.14713f, red, -0.28886f, green) + 0.436f * blue;
            *v = weightedSum(0.615f, red, -0.51499f, green) + -0.10001f * blue;
        } else {
            *luminance = weightedSum(0.2126f, red, 0.7152f, green) + 0.0722f * blue;
            *u = weightedSum(-0.09991f, red, -0.33609f, green) + 0.436f * blue;
            *v = weightedSum(0.615f, red, -0.55861f, green) + -0.05639f * blue;
        }
    });
}

// The cube root of LAB, with its linear part near zero; the exponent is 0.3333, as it was, or 1/3.
DEVICE_FUNCTION float labRoot(const float t, const float exponent) {
    const float root = fastPow(t, exponent), line = 7.787037f * t + 0.13793103f;
    return t > 0.0088564517f ? root : line;
}

template <int imgsPerThread, bool checkCaseBounds, bool center>
KERNEL kRGBToLAB(const Block& block, const float* images, float* target, const int imgPixels, const int numImages,
                 const int imgStride, const float exponent) {
    overPixels<imgsPerThread, checkCaseBounds>(block, block.y * 4, imgPixels, numImages, [=](const int pixel, const int n) {
        const float* image = images + pixel * imgStride + n;
        float* result = target + pixel * numImages + n;
        const float red = image[0], green = image[imgPixels * imgStride], blue = image[2 * imgPixels * imgStride];
        const float x = labRoot(weightedSum(0.49f, red, 0.31f, green) + 0.2f * blue, exponent);
        const float y = labRoot(weightedSum(0.17697f, red, 0.8124f, green) + 0.01063f * blue, exponent);
        const float z = labRoot(weightedSum(0.01f, green, 0.99f, blue), exponent);
        result[0] = 116.0f * y - 16.0f - (center ? 50.0f : 0.0f);
        result[imgPixels * numImages] = 500.0f * (x - y);
        result[2 * imgPixels * numImages] = 200.0f * (y - z);
    });
}

template <int numColors, int imgsPerThread, bool checkCaseBounds>
KERNEL kReflectH(const Block& block, const float* images, float* targets, const int imgSize, const int numImages) {
    const int imgPixels = imgSize * imgSize;
    overPixels<imgsPerThread, checkCaseBounds>(block, block.y * 4, imgPixels, numImages, [=](const int pixel, const int n) {
        const int y = pixel / imgSize, x = pixel % imgSize, mirrored = y * imgSize + imgSize - 1 - x;
        UNROLL for (int c = 0; c < numColors; ++c)
            targets[(c * imgPixels + mirrored) * numImages + n] = images[(c * imgPixels + pixel) * numImages + n];
    });
}
