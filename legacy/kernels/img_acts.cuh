// Gradient of convolutional and locally connected layers with respect to their images ("img acts").
//
//   grad(c, y, x, n) = sum over modules m covering (y, x) and filters f of the channel's group of
//                      hid(f, m, n) * filter([m,] k(c), (y - top(m)) * S + x - left(m), f)
//
// hidActs (F, MY, MX, N), filters ([M,] K, S*S, F), targets (C, IY, IX, N): last index fastest. With a connectivity
// table the targets are (O, C, IY, IX, N), O = number of groups that a channel feeds, for the caller to sum over O.
//
// Specification: conv-kernels 3.4-3.9; order of every sum: covering modules in raster order, then filters ascending.
#pragma once
#include "conv_common.cuh"

// The sizes every kernel of the family is passed.
struct ImgActsShape {
    int numModulesY, numModulesX, numImages, numFilters, filterSize, imgSizeY, imgSizeX, paddingStart, moduleStride;

    DEVICE_MEMBER int numModules() const { return numModulesY * numModulesX; }
    DEVICE_MEMBER int imgPixels() const { return imgSizeY * imgSizeX; }
    DEVICE_MEMBER int filterPixels() const { return filterSize * filterSize; }
};

// Along one axis, the modules whose windows meet the pixels first..last.
struct ModuleRange {
    int begin, end;

    DEVICE_MEMBER ModuleRange(const ImgActsShape& s, const int first, const int last, const int numModules)
        : begin(first - s.paddingStart < s.filterSize
                    ? 0 : 1 + (first - s.paddingStart - s.filterSize) / s.moduleStride),
          end(1 + (last - s.paddingStart) / s.moduleStride) {
        if (end > numModules) end = numModules;
    }
};

// Channels and images of a block: blockIdx.x counts image blocks first, then channel blocks.
struct ImgActsBlock {
    int firstImage, firstColor, imagesLeft;

    DEVICE_MEMBER ImgActsBlock(const Block& block, const int imgsPerBlock, const int colorsPerBlock,
                               const int numImages) {
        const int imageBlocks = (numImages + imgsPerBlock - 1) / imgsPerBlock;
        firstImage = block.x % imageBlocks * imgsPerBlock;
        firstColor = block.x / imageBlocks * colorsPerBlock;
        imagesLeft = numImages - firstImage;
    }
};

// The pixels ty of a 4 x 4 region that lie in a module's window.
struct CoveredPixels {
    int y, x, filterSize, pixelsY, pixelsX;            // the region in the window; how much of it is in the image

    DEVICE_MEMBER CoveredPixels(const ImgActsShape& s, const int top, const int left, const int my, const int mx)
        : y(top - s.paddingStart - my * s.moduleStride), x(left - s.paddingStart - mx * s.moduleStride),
          filterSize(s.filterSize), pixelsY(s.imgSizeY - top), pixelsX(s.imgSizeX - left) {}
    DEVICE_MEMBER bool operator()(const int ty) const {
        const int qy = y + ty / 4, qx = x + ty % 4;
        return ty / 4 < pixelsY && ty % 4 < pixelsX && qy >= 0 && qy < filterSize && qx >= 0 && qx < filterSize;
    }
    DEVICE_MEMBER int filterPixel(const int ty) const { return (y + ty / 4) * filterSize + x + ty % 4; }
};

// Stages one module's activities of 16 filters: row filter, column image.
template <int threads, int images, bool checkCaseBounds>
PHASE stageHidActs(float (&shHidActs)[16][images], const float* hidActs, const int filterStride,
                   const int imagesLeft) {
    STAGE_ROWS(threads, 16, 32) {
        const float* filterActs = hidActs + row * filterStride;
        STAGE_COLS(32) {
            UNROLL for (int i = 0; i < images; i += 32)
                if (!checkCaseBounds || col + i < imagesLeft) shHidActs[row][col + i] = filterActs[col + i];
                else shHidActs[row][col + i] = 0;
        }
    }
}

// The work of a 16 x 16 block: a 4 x 4 region of the image (ty its pixel, tx the image), `colors` channels,
// 16*imgsPerThread images. hidActs and filters start at the block's first filter, image and channel; colorOffset(c) is
// the place of the block's channel c in targets.
template <int imgsPerThread, int colors, bool scale, bool checkCaseBounds, bool conv, typename ColorOffset>
DEVICE_FUNCTION void regionGradient(const ImgActsShape& s, const float* hidActs, const float* filters, float* targets,
                                    const int region, const int numFilterColors, const int filtersInGroup,
                                    const int imagesLeft, const float scaleTargets, const float scaleOutputs,
                                    const ColorOffset colorOffset) {
    SHARED float shFilters[colors * 16][16 + 1];
    SHARED float shHidActs[16][16 * imgsPerThread];
    PerThread<float, 256, colors * imgsPerThread> prod;

    const int regionsX = (s.imgSizeX + 3) / 4;
    const int top = region / regionsX * 4, left = region % regionsX * 4;
    const ModuleRange rows(s, top, top + 3, s.numModulesY), cols(s, left, left + 3, s.numModulesX);

    prod.clear();
    for (int my = rows.begin; my < rows.end; ++my) {
        for (int mx = cols.begin; mx < cols.end; ++mx) {
            const int module = my * s.numModulesX + mx;
            const CoveredPixels covered(s, top, left, my, mx);
            const int filterSet = conv ? 0 : module * numFilterColors;
            const float* moduleFilters = filters + filterSet * s.filterPixels() * s.numFilters;
            for (int f = 0; f < filtersInGroup; f += 16) {
                stageHidActs<256, 16 * imgsPerThread, checkCaseBounds>(
                    shHidActs, hidActs + (f * s.numModules() + module) * s.numImages, s.numModules() * s.numImages,
                    imagesLeft);
                THREAD_ROWS(16) if (covered(ty)) {
                    const float* filter = moduleFilters + covered.filterPixel(ty) * s.numFilters + f;
                    THREAD_COLS(16) {
                        UNROLL for (int c = 0; c < colors; ++c)
                            shFilters[c * 16 + ty][tx] = filter[c * s.filterPixels() * s.numFilters + tx];
                    }
                }
                SYNC
                multiplyTile<16, 16, colors, imgsPerThread, 16, 16>(
                    prod, ByIndex(shFilters), ByStep(shHidActs), covered);
                SYNC
            }
        }
    }
    THREAD_ROWS(16) if (top + ty / 4 < s.imgSizeY && left + ty % 4 < s.imgSizeX) {
        float* pixel = targets + ((top + ty / 4) * s.imgSizeX + left + ty % 4) * s.numImages;
        THREAD_COLS(16) {
            UNROLL for (int c = 0; c < colors; ++c)
                UNROLL for (int i = 0; i < imgsPerThread; ++i)
                    if (!checkCaseBounds || tx + i * 16 < imagesLeft)
                        writeOutput<scale>(pixel + colorOffset(c) + tx + i * 16, prod(tid, c * imgsPerThread + i),
                                           scaleTargets, scaleOutputs);
        }
    }
}

// One module's products at a pixel of its window, all filters of a group; hidActs and filters are at the first.
template <int B_Y, int B_X, int imgsPerThread, int colorsPerThread, bool checkCaseBounds, typename Products>
DEVICE_FUNCTION void addModule(Products& prod, const float* hidActs, const float* filters, const int actStride,
                               const int colorStride, const int filtersInGroup, const int imagesLeft) {
    if constexpr (onHost) {
        addModuleOnHost<B_Y, B_X, imgsPerThread, colorsPerThread, checkCaseBounds>(
            prod, hidActs, filters, actStride, colorStride, filtersInGroup, imagesLeft);
    } else {
        SHARED float shFilters[colorsPerThread * B_Y][16 + 1];
        SHARED float shHidActs[16][B_X * imgsPerThread];
        for (int f = 0; f < filtersInGroup; f += 16) {
            stageHidActs<B_X * B_Y, B_X * imgsPerThread, checkCaseBounds>(
                shHidActs, hidActs + f * actStride, actStride, imagesLeft);
            STAGE_ROWS(B_X * B_Y, colorsPerThread * B_Y, 16) {
                const float* filter = filters + row * colorStride + f;
                STAGE_COLS(16) shFilters[row][col] = filter[col];
            }
            SYNC
            multiplyTile<B_Y, B_X, colorsPerThread, imgsPerThread, 16, 16>(
                prod, ByIndex(shFilters), ByStep(shHidActs), EveryRow{});
            SYNC
        }
    }
}

// The work of a B_X x B_Y block: one pixel, B_Y*colorsPerThread channels, B_X*imgsPerThread images; arguments as above.
template <int B_Y, int B_X, int imgsPerThread, int colorsPerThread, bool scale, bool checkCaseBounds, bool conv,
          typename ColorOffset>
DEVICE_FUNCTION void pixelGradient(const ImgActsShape& s, const float* hidActs, const float* filters, float* targets,
                                   const int pixel, const int numFilterColors, const int filtersInGroup,
                                   const int imagesLeft, const float scaleTargets, const float scaleOutputs,
                                   const ColorOffset colorOffset) {
    PerThread<float, B_X * B_Y, colorsPerThread * imgsPerThread> prod;

    const int y = pixel / s.imgSizeX, x = pixel % s.imgSizeX;
    const ModuleRange rows(s, y, y, s.numModulesY), cols(s, x, x, s.numModulesX);

    prod.clear();
    for (int my = rows.begin; my < rows.end; ++my) {
        for (int mx = cols.begin; mx < cols.end; ++mx) {
            const int module = my * s.numModulesX + mx;
            const int qy = y - s.paddingStart - my * s.moduleStride, qx = x - s.paddingStart - mx * s.moduleStride;
            const int filterSet = conv ? 0 : module * numFilterColors;
            const float* pixelFilters =
                filters + (filterSet * s.filterPixels() + qy * s.filterSize + qx) * s.numFilters;
            addModule<B_Y, B_X, imgsPerThread, colorsPerThread, checkCaseBounds>(
                prod, hidActs + module * s.numImages, pixelFilters, s.numModules() * s.numImages,
                s.filterPixels() * s.numFilters, filtersInGroup, imagesLeft);
        }
    }
    targets += pixel * s.numImages;
    THREADS(B_X, B_Y) {
        UNROLL for (int c = 0; c < colorsPerThread; ++c)
            UNROLL for (int i = 0; i < imgsPerThread; ++i)
                if (!checkCaseBounds || tx + i * B_X < imagesLeft)
                    writeOutput<scale>(targets + colorOffset(c * B_Y + ty) + tx + i * B_X,
                                       prod(tid, c * imgsPerThread + i), scaleTargets, scaleOutputs);
    }
}

// 1, 2 or 3 channels, one group.
template <int imgsPerThread, int numColors, bool scale, bool checkCaseBounds, bool conv>
KERNEL img_acts_color(const Block& block, const float* hidActs, const float* filters, float* targets,
                      const int numModulesY, const int numModulesX, const int numImages, const int numFilters,
                      const int filterSize, const int imgSizeY, const int imgSizeX, const int paddingStart,
                      const int moduleStride, const float scaleTargets, const float scaleOutputs) {
    const ImgActsShape s{numModulesY, numModulesX, numImages, numFilters, filterSize,
                         imgSizeY, imgSizeX, paddingStart, moduleStride};
    const ImgActsBlock work(block, 16 * imgsPerThread, numColors, numImages);
    regionGradient<imgsPerThread, numColors, scale, checkCaseBounds, conv>(
        s, hidActs + work.firstImage, filters, targets + work.firstImage, block.y, numColors, numFilters,
        work.imagesLeft, scaleTargets, scaleOutputs, DenseColors{s.imgPixels() * numImages});
}

// More channels, not a multiple of 8 per group.
template <int imgsPerThread, int colorsPerThread, bool scale, bool checkCaseBounds, bool conv>
KERNEL img_acts_mediumcolor(const Block& block, const float* hidActs, const float* filters, float* targets,
                            const int numModulesY, const int numModulesX, const int numImages, const int numFilters,
                            const int filterSize, const int imgSizeY, const int imgSizeX, const int paddingStart,
                            const int moduleStride, const int numImgColors, const int numGroups,
                            const float scaleTargets, const float scaleOutputs) {
    const ImgActsShape s{numModulesY, numModulesX, numImages, numFilters, filterSize,
                         imgSizeY, imgSizeX, paddingStart, moduleStride};
    const ImgActsBlock work(block, 16 * imgsPerThread, colorsPerThread, numImages);
    const int numFilterColors = numImgColors / numGroups, filtersInGroup = numFilters / numGroups;
    const int group = work.firstColor / numFilterColors, filterColor = work.firstColor % numFilterColors;
    hidActs += group * filtersInGroup * s.numModules() * numImages + work.firstImage;
    filters += filterColor * s.filterPixels() * numFilters + group * filtersInGroup;
    targets += work.firstColor * s.imgPixels() * numImages + work.firstImage;
    regionGradient<imgsPerThread, colorsPerThread, scale, checkCaseBounds, conv>(
        s, hidActs, filters, targets, block.y, numFilterColors, filtersInGroup, work.imagesLeft, scaleTargets,
        scaleOutputs, DenseColors{s.imgPixels() * numImages});
}

// Channels a multiple of 8 per group; locally connected layers too, despite the name.
template <int B_Y, int B_X, int imgsPerThread, int colorsPerThread, bool scale, bool checkCaseBounds, bool conv>
KERNEL conv_img_acts_manycolor(const Block& block, const float* hidActs, const float* filters, float* targets,
                               const int numModulesY, const int numModulesX, const int numImages,
                               const int numFilters, const int filterSize, const int imgSizeY, const int imgSizeX,
                               const int paddingStart, const int moduleStride, const int numImgColors,
                               const int numGroups, const float scaleTargets, const float scaleOutputs) {
    const ImgActsShape s{numModulesY, numModulesX, numImages, numFilters, filterSize,
                         imgSizeY, imgSizeX, paddingStart, moduleStride};
    const ImgActsBlock work(block, B_X * imgsPerThread, B_Y * colorsPerThread, numImages);
    const int numFilterColors = numImgColors / numGroups, filtersInGroup = numFilters / numGroups;
    const int group = work.firstColor / numFilterColors, filterColor = work.firstColor % numFilterColors;
    hidActs += group * filtersInGroup * s.numModules() * numImages + work.firstImage;
    filters += filterColor * s.filterPixels() * numFilters + group * filtersInGroup;
    targets += work.firstColor * s.imgPixels() * numImages + work.firstImage;
    pixelGradient<B_Y, B_X, imgsPerThread, colorsPerThread, scale, checkCaseBounds, conv>(
        s, hidActs, filters, targets, block.y, numFilterColors, filtersInGroup, work.imagesLeft, scaleTargets,
        scaleOutputs, DenseColors{s.imgPixels() * numImages});
}

// What the table-driven kernels add. blockIdx.y counts places (regions or pixels) first, then samples: sample o holds
// groups o * G/O and up, whose channel lists are a permutation of all channels, and has its own slab of targets. O is
// recovered from the grid, as in 2012.
struct SparseImgActsBlock {
    int place, sample, group, filterColor;

    DEVICE_MEMBER SparseImgActsBlock(const Block& block, const int places, const int firstColor,
                                     const int numFilterColors, const int numGroups) {
        const int overSample = block.gridY / places;
        place = block.y % places;
        sample = block.y / places;
        group = firstColor / numFilterColors + sample * (numGroups / overSample);
        filterColor = firstColor % numFilterColors;
    }
};

template <int imgsPerThread, int colorsPerThread, bool scale, bool checkCaseBounds, bool conv>
KERNEL img_acts_mediumcolor_sparse_rand(const Block& block, const float* hidActs, const float* filters,
                                        float* targets, const int* colorIndices, const int numModulesY,
                                        const int numModulesX, const int numImages, const int numFilters,
                                        const int filterSize, const int imgSizeY, const int imgSizeX,
                                        const int paddingStart, const int moduleStride, const int numImgColors,
                                        const int numFilterColors, const int numGroups, const float scaleTargets,
                                        const float scaleOutputs) {
    SHARED int shColors[colorsPerThread];
    const ImgActsShape s{numModulesY, numModulesX, numImages, numFilters, filterSize,
                         imgSizeY, imgSizeX, paddingStart, moduleStride};
    const ImgActsBlock work(block, 16 * imgsPerThread, colorsPerThread, numImages);
    const int regionsX = (imgSizeX + 3) / 4;                     // squared below: square images only (7.5)
    const SparseImgActsBlock sparse(block, regionsX * regionsX, work.firstColor, numFilterColors, numGroups);
    const int filtersInGroup = numFilters / numGroups;
    hidActs += sparse.group * filtersInGroup * s.numModules() * numImages + work.firstImage;
    filters += sparse.filterColor * s.filterPixels() * numFilters + sparse.group * filtersInGroup;
    targets += sparse.sample * numImgColors * s.imgPixels() * numImages + work.firstImage;
    colorIndices += sparse.group * numFilterColors + sparse.filterColor;
    THREADS(16, 16) {
        if (tid < colorsPerThread)
            shColors[tid] = colorIndices[tid] * s.imgPixels() * numImages;
    }
    SYNC
    regionGradient<imgsPerThread, colorsPerThread, scale, checkCaseBounds, conv>(
        s, hidActs, filters, targets, sparse.place, numFilterColors, filtersInGroup, work.imagesLeft, scaleTargets,
        scaleOutputs, TableColors{shColors});
}

template <int B_Y, int B_X, int imgsPerThread, int colorsPerThread, bool scale, bool checkCaseBounds, bool conv>
KERNEL img_acts_manycolor_sparse_rand(const Block& block, const float* hidActs, const float* filters, float* targets,
                                      const int* colorIndices, const int numModulesY, const int numModulesX,
                                      const int numImages, const int numFilters, const int filterSize,
                                      const int imgSizeY, const int imgSizeX, const int paddingStart,
                                      const int moduleStride, const int numImgColors, const int numFilterColors,
                                      const int numGroups, const float scaleTargets, const float scaleOutputs) {
    SHARED int shColors[colorsPerThread * B_Y];
    const ImgActsShape s{numModulesY, numModulesX, numImages, numFilters, filterSize,
                         imgSizeY, imgSizeX, paddingStart, moduleStride};
    const ImgActsBlock work(block, B_X * imgsPerThread, B_Y * colorsPerThread, numImages);
    const SparseImgActsBlock sparse(block, s.imgPixels(), work.firstColor, numFilterColors, numGroups);
    const int filtersInGroup = numFilters / numGroups;
    hidActs += sparse.group * filtersInGroup * s.numModules() * numImages + work.firstImage;
    filters += sparse.filterColor * s.filterPixels() * numFilters + sparse.group * filtersInGroup;
    targets += sparse.sample * numImgColors * s.imgPixels() * numImages + work.firstImage;
    colorIndices += sparse.group * numFilterColors + sparse.filterColor;
    THREADS(B_X, B_Y) {
        if (tid < colorsPerThread * B_Y)
            shColors[tid] = colorIndices[tid] * s.imgPixels() * numImages;
    }
    SYNC
    pixelGradient<B_Y, B_X, imgsPerThread, colorsPerThread, scale, checkCaseBounds, conv>(
        s, hidActs, filters, targets, sparse.place, numFilterColors, filtersInGroup, work.imagesLeft, scaleTargets,
        scaleOutputs, TableColors{shColors});
}
