// Pooling over windows and across maps: checks and dispatch (pool-norm 1).
#include "../kernels/pool.cuh"

#include "pool.h"

#include <cstdlib>

#include "checks.h"
#include "dispatch.h"
#include "entry_points.h"

namespace {

struct PoolGeometry {
    const char* entry;
    int numFilters, numImages, imgSize, subsX, startX, strideX, outputsX;

    int outputs() const { return product(entry, {outputsX, outputsX}); }
    int rowsOfOutputs() const { return product(entry, {numFilters, outputsX, outputsX}); }

    // The kernels divide distances from startX by strideX, and so toward zero: they ask first whether a window covers
    // the pixel, and divide only distances of 0 or more. startX itself may have either sign. Windows may lie outside of
    // the image, but no further than so that height times width, negative there, stays within 32 bits.
    void requireWindows() const {
        requirePositive(entry, "subsX", subsX);
        requirePositive(entry, "strideX", strideX);
        requirePositive(entry, "outputsX", outputsX);
        requireNear(entry, "startX", startX);
        requireNear(entry, "the last window", (outputsX + 4L) * strideX + subsX);
        constexpr long outside = 1L << 15;
        const long before = -(static_cast<long>(startX) + subsX), behind = startX + (outputsX - 1L) * strideX - imgSize;
        require(before < outside && behind < outside, text(entry, ": windows too far from the image"),
                text("less than ", outside, " pixels outside"), text(before, " before, ", behind, " behind"));
    }

    // For the backward direction: the tiles of the kernels, windows without gaps.
    void requireUndo(const Matrix& gradients) const {
        requireMultiple(entry, "number of maps", numFilters, 16);
        require(strideX <= subsX, text(entry, ": gaps between windows"), text("strideX <= subsX = ", subsX),
                text(strideX));
        require(gradients.rows() == rowsOfOutputs(), text(entry, ": gradients have the wrong shape"),
                text("(", numFilters, " maps * ", outputs(), " outputs, images)"), gradients.shape());
    }
};

int mapsOf(const char* entry, const Matrix& gradients, int outputsX) {
    requirePositive(entry, "outputsX", outputsX);
    requirePlain(entry, "gradients", gradients);
    return gradients.rows() / product(entry, {outputsX, outputsX});
}

// Not of 2012: of equal pixels the first in a window gets all of its gradient.
void firstMaxUndo(Device& device, const PoolGeometry& g, const Matrix& images, const Matrix& maxGrads,
                  const Matrix& maxActs, Matrix& target, bool adds, float scaleTargets, float scaleOutput) {
    const auto launch = [&](auto add) {
        device.launch(INSTANCE(kLocalFirstMaxUndo, 4, 32, add),
                      {divUp(g.numImages, 32) * g.imgSize, divUp(g.numFilters, 4) * g.imgSize}, {32, 4}, 0,
                      "ties go to the first pixel of a window, which 2012 did not do",
                      with(images.data(), maxGrads.data(), maxActs.data(), target.data(), g.imgSize, g.numFilters,
                           g.numImages, g.subsX, g.startX, g.strideX, g.outputsX, scaleTargets, scaleOutput));
    };
    dispatch(launch, flag(adds));
}

template <typename Pooler>
void poolLargeWindows(Device& device, const PoolGeometry& g, const Matrix& images, Matrix& target) {
    const int perThread = g.numImages % 128 == 0 ? 8 : 4, imgBlocks = divUp(g.numImages, 8 * perThread);
    const bool checkCaseBounds = g.numImages % (8 * perThread) != 0;
    const int filtersPerThread = g.numFilters % 4 == 0 ? 4 : g.numFilters % 3 == 0 ? 3 : g.numFilters % 2 == 0 ? 2 : 1;
    const Dim3 grid(divUp(g.outputsX, 4) * imgBlocks, divUp(g.outputsX, 4) * g.numFilters / filtersPerThread);
    const auto go = [&](const auto& kernel) {
        device.launch(
            kernel, grid, {8, 16}, 4 * filtersPerThread * 8 * perThread,
            text("stride 1, windows of 6 or more: 4x4 outputs per block; ", perThread, " images, ", filtersPerThread,
                 " maps per thread"),
            with(images.data(), target.data(), g.imgSize, g.numFilters, g.numImages, g.subsX, g.startX, g.outputsX));
    };
    const auto maps = oneOf<1, 2, 3, 4>(filtersPerThread);
    if (perThread == 8) dispatch([&](auto fpt) { go(TYPED_INSTANCE(kLocalPool2, Pooler, 8, 8, fpt, false)); }, maps);
    else
        dispatch([&](auto fpt, auto check) { go(TYPED_INSTANCE(kLocalPool2, Pooler, 8, 4, fpt, check)); }, maps,
                 flag(checkCaseBounds));
}

// Calls launch(images per thread, maps per thread, check, grid, rule) for the kernels with one block per output pixel.
template <int manyFilters, int filtersFactor, typename Launch>
void overWindows(const PoolGeometry& g, Launch launch) {
    const ImageClass imageClass(g.numImages);
    const int filtersPerThread = g.numFilters % filtersFactor == 0 ? manyFilters : 1;
    const Dim3 grid(imageClass.blocks * g.outputsX, divUp(g.numFilters, 4 * filtersPerThread) * g.outputsX);
    const std::string rule =
        text("maps mod ", filtersFactor, ": ", filtersPerThread, " per thread; ", imageClass.rule());
    dispatch([&](auto fpt, auto ipt, auto check) { launch(ipt, fpt, check, grid, rule); },
             oneOf<1, manyFilters>(filtersPerThread), imageClass.cases());
}

template <typename Pooler, int manyFilters, int filtersFactor>
void poolWindows(Device& device, const PoolGeometry& g, const Matrix& images, Matrix& target) {
    overWindows<manyFilters, filtersFactor>(g, [&](auto ipt, auto fpt, auto check, Dim3 grid, const std::string& rule) {
        device.launch(TYPED_INSTANCE(kLocalPool, Pooler, 4, ImageClass::across, ipt, fpt, check), grid,
                      {ImageClass::across, 4}, 0, rule,
                      with(images.data(), target.data(), g.imgSize, g.numFilters, g.numImages, g.subsX, g.startX,
                           g.strideX, g.outputsX));
    });
}

template <typename Pooler>
void pool(Device& device, const PoolGeometry& g, const Matrix& images, Matrix& target, int generation) {
    if (g.strideX == 1 && g.subsX >= 6 && (generation != 2014 || g.outputsX > 1))
        poolLargeWindows<Pooler>(device, g, images, target);
    else if (generation == 2014) poolWindows<Pooler, 4, 16>(device, g, images, target);
    else poolWindows<Pooler, 2, 8>(device, g, images, target);
}

}  // namespace

void convLocalPool(Device& device, const Matrix& images, Matrix& target, int numFilters, int subsX, int startX,
                   int strideX, int outputsX, Pool pooler, int generation) {
    const char* entry = "convLocalPool";
    const int imgSize = imageSide(entry, "images", images, numFilters);
    const PoolGeometry g{entry, numFilters, images.cols(), imgSize, subsX, startX, strideX, outputsX};
    g.requireWindows();
    require(pooler != Pool::Sum || generation == 2014, "convLocalPool: sum pooling", "generation 2014",
            text(generation));
    resizeTarget(entry, target, images, g.rowsOfOutputs(), g.numImages);
    if (pooler == Pool::Max) return pool<MaxPooler>(device, g, images, target, generation);
    if (pooler == Pool::MaxAbs) return pool<MaxAbsPooler>(device, g, images, target, generation);
    if (pooler == Pool::Sum) return pool<cc2::AvgPooler<true>>(device, g, images, target, generation);
    if (generation == 2014) return pool<cc2::AvgPooler<false>>(device, g, images, target, generation);
    pool<AvgPooler>(device, g, images, target, generation);
}

void convLocalRandomPool(Device& device, const Matrix& images, const Matrix& uniforms, Matrix& target, int numFilters,
                         int subsX, int startX, int strideX, int outputsX) {
    const char* entry = "convLocalRandomPool";
    const int imgSize = imageSide(entry, "images", images, numFilters);
    const PoolGeometry g{entry, numFilters, images.cols(), imgSize, subsX, startX, strideX, outputsX};
    g.requireWindows();
    requirePlain(entry, "uniforms", uniforms);
    requireShape(entry, "uniforms", uniforms, g.rowsOfOutputs(), g.numImages);
    resizeTarget(entry, target, images, g.rowsOfOutputs(), g.numImages);
    overWindows<2, 8>(g, [&](auto ipt, auto fpt, auto check, Dim3 grid, const std::string& rule) {
        device.launch(INSTANCE(kLocalRandomPool, 4, ImageClass::across, ipt, fpt, check), grid, {ImageClass::across, 4},
                      0, rule,
                      with(images.data(), uniforms.data(), target.data(), g.imgSize, g.numFilters, g.numImages, g.subsX,
                           g.startX, g.strideX, g.outputsX));
    });
}

void convLocalMaxUndo(Device& device, const Matrix& images, const Matrix& maxGrads, const Matrix& maxActs,
                      Matrix& target, int subsX, int startX, int strideX, int outputsX, float scaleTargets,
                      float scaleOutput) {
    const char* entry = "convLocalMaxUndo";
    const int numFilters = mapsOf(entry, maxGrads, outputsX), imgSize = imageSide(entry, "images", images, numFilters);
    const PoolGeometry g{entry, numFilters, images.cols(), imgSize, subsX, startX, strideX, outputsX};
    g.requireWindows();
    g.requireUndo(maxGrads);
    requireShape(entry, "maxGrads", maxGrads, maxGrads.rows(), images.cols());
    requirePlain(entry, "maxActs", maxActs, maxGrads);
    resizeTarget(entry, target, images, images.rows(), images.cols());
    const ImageClass imageClass(g.numImages);
    const bool adds = addsToTarget(device, target, scaleTargets, scaleOutput);
    if (!device.quirks.on(Quirk::MaxTiesFull))
        return firstMaxUndo(device, g, images, maxGrads, maxActs, target, adds, scaleTargets, scaleOutput);
    const auto launch = [&](auto add, auto ipt, auto check) {
        device.launch(INSTANCE(kLocalMaxUndo, 4, ImageClass::across, ipt, 2, add, check),
                      {imageClass.blocks * imgSize, numFilters / 8 * imgSize}, {ImageClass::across, 4},
                      4 * 8 * imageClass.perBlock, imageClass.rule(),
                      with(images.data(), maxGrads.data(), maxActs.data(), target.data(), imgSize, numFilters,
                           g.numImages, subsX, startX, strideX, outputsX, scaleTargets, scaleOutput));
    };
    dispatch(launch, flag(adds), imageClass.cases());
}

void convLocalAvgUndo(Device& device, const Matrix& avgGrads, Matrix& target, int subsX, int startX, int strideX,
                      int outputsX, int imgSize, bool sum, float scaleTargets, float scaleOutput, int generation) {
    const char* entry = "convLocalAvgUndo";
    requirePositive(entry, "imgSize", imgSize);
    require(!sum || generation == 2014, "convLocalAvgUndo: sum pooling", "generation 2014", text(generation));
    const int numFilters = mapsOf(entry, avgGrads, outputsX);
    const PoolGeometry g{entry, numFilters, avgGrads.cols(), imgSize, subsX, startX, strideX, outputsX};
    g.requireWindows();
    g.requireUndo(avgGrads);
    resizeTarget(entry, target, avgGrads, product(entry, {numFilters, imgSize, imgSize}), g.numImages);
    const ImageClass imageClass(g.numImages);
    const auto go = [&](const auto& kernel) {
        device.launch(kernel, {imageClass.blocks * imgSize, numFilters / 16 * imgSize}, {ImageClass::across, 4}, 0,
                      imageClass.rule(),
                      with(avgGrads.data(), target.data(), imgSize, numFilters, g.numImages, subsX, startX, strideX,
                           outputsX, scaleTargets, scaleOutput));
    };
    const auto adds = flag(addsToTarget(device, target, scaleTargets, scaleOutput));
    constexpr Int<ImageClass::across> across;
    if (generation == 2014)
        dispatch([&](auto add, auto ipt, auto check,
                     auto sum) { go(INSTANCE(kLocalAvgUndo, 4, across, ipt, 4, sum, add, check)); },
                 adds, imageClass.cases(), flag(sum));
    else
        dispatch([&](auto add, auto ipt, auto check) { go(INSTANCE(kLocalAvgUndo, 4, across, ipt, 4, add, check)); },
                 adds, imageClass.cases());
}

void convPoolCrossMap(Device& device, const Matrix& images, Matrix& target, int startF, int poolSize, int numOutputs,
                      int stride, int imgSize) {
    const char* entry = "convPoolCrossMap";
    requirePositive(entry, "imgSize", imgSize);
    requirePositive(entry, "poolSize", poolSize);
    requirePositive(entry, "stride", stride);
    requirePositive(entry, "numOutputs", numOutputs);
    const int numFilters = images.rows() / imgSize / imgSize;
    require(imageSide(entry, "images", images, numFilters) == imgSize, "convPoolCrossMap: images have the wrong shape",
            text("rows = maps * ", imgSize, " * ", imgSize), images.shape());
    requireNear(entry, "startF", startF);
    requireNear(entry, "the last window", startF + (numOutputs + 4L) * stride + poolSize);
    require(startF <= 0, "convPoolCrossMap: startF", "<= 0", text(startF));
    require(stride <= poolSize, "convPoolCrossMap: gaps between windows", text("stride <= poolSize = ", poolSize),
            text(stride));
    require(startF + (numOutputs - 1L) * stride + poolSize >= numFilters,
            "convPoolCrossMap: the windows do not reach the last map",
            text("startF + (numOutputs-1)*stride + poolSize >= ", numFilters),
            text(startF + (numOutputs - 1L) * stride + poolSize));
    resizeTarget(entry, target, images, product(entry, {numOutputs, imgSize, imgSize}), images.cols());
    const ImageClass imageClass(images.cols());
    const auto launch = [&](auto ipt, auto check) {
        device.launch(TYPED_INSTANCE(kPoolCrossMap, MaxPooler, 4, ImageClass::across, ipt, check),
                      {imgSize * imageClass.blocks, imgSize * divUp(numOutputs, 4)}, {ImageClass::across, 4}, 0,
                      imageClass.rule(),
                      with(images.data(), target.data(), imgSize, numFilters, images.cols(), startF, poolSize,
                           numOutputs, stride));
    };
    dispatch(launch, imageClass.cases());
}

void convCrossMapMaxPoolUndo(Device& device, const Matrix& images, const Matrix& maxGrads, const Matrix& maxActs,
                             Matrix& target, int imgSize, int startF, int poolSize, int stride, float scaleTargets,
                             float scaleOutputs) {
    const char* entry = "convCrossMapMaxPoolUndo";
    requirePositive(entry, "imgSize", imgSize);
    requirePositive(entry, "poolSize", poolSize);
    requirePositive(entry, "stride", stride);
    const int pixels = product(entry, {imgSize, imgSize}), numFilters = images.rows() / pixels,
              numOutputs = maxGrads.rows() / pixels;
    require(imageSide(entry, "images", images, numFilters) == imgSize &&
                imageSide(entry, "maxGrads", maxGrads, numOutputs) == imgSize,
            "convCrossMapMaxPoolUndo: wrong shape", text("rows = maps * ", imgSize, " * ", imgSize),
            text("images ", images.shape(), ", maxGrads ", maxGrads.shape()));
    require(startF <= 0 && stride <= poolSize, "convCrossMapMaxPoolUndo: windows", "startF <= 0 and stride <= poolSize",
            text("startF ", startF, ", stride ", stride, ", poolSize ", poolSize));
    requireNear(entry, "startF", startF);
    requireNear(entry, "poolSize", poolSize);
    requireShape(entry, "maxGrads", maxGrads, maxGrads.rows(), images.cols());
    requirePlain(entry, "maxActs", maxActs, maxGrads);
    resizeTarget(entry, target, images, images.rows(), images.cols());
    const ImageClass imageClass(images.cols());
    const auto launch = [&](auto add, auto ipt, auto check) {
        device.launch(INSTANCE(kCrossMapMaxPoolUndo, 4, ImageClass::across, ipt, add, check),
                      {imgSize * imageClass.blocks, imgSize * divUp(numFilters, 4)}, {ImageClass::across, 4}, 0,
                      imageClass.rule(),
                      with(images.data(), maxGrads.data(), maxActs.data(), target.data(), imgSize, numFilters,
                           images.cols(), startF, poolSize, numOutputs, stride,
                           device.quirks.on(Quirk::CmpoolUndoTruncation), scaleTargets, scaleOutputs));
    };
    dispatch(launch, flag(scaleTargets != 0), imageClass.cases());
    scaleOverwritten(device, target, scaleTargets, scaleOutputs);
}

namespace {

Pool poolerOf(Arguments& a) {
    const std::string& name = a.word("pooler");
    if (name == "Max") return Pool::Max;
    if (name == "MaxAbs") return Pool::MaxAbs;
    if (name == "Avg") return Pool::Avg;
    require(name == "Sum", "convLocalPool: unknown pooler", "Max, MaxAbs, Avg or Sum", name);
    return Pool::Sum;
}

const Entry entries[] = {
    {"convLocalPool",
     [](Device& device, Arguments& a) {
         convLocalPool(device, a.matrix("images"), a.matrix("target"), a.integer("numFilters"), a.integer("subsX"),
                       a.integer("startX"), a.integer("strideX"), a.integer("outputsX"), poolerOf(a), a.generation);
     }},
    {"convLocalRandomPool", calls(convLocalRandomPool, "images", "uniforms", "target", "numFilters", "subsX", "startX",
                                  "strideX", "outputsX")},
    {"convLocalMaxUndo", calls(convLocalMaxUndo, "images", "maxGrads", "maxActs", "target", "subsX", "startX",
                               "strideX", "outputsX", "scaleTargets", "scaleOutput")},
    {"convLocalAvgUndo", calls(convLocalAvgUndo, "avgGrads", "target", "subsX", "startX", "strideX", "outputsX",
                               "imgSize", "sum", "scaleTargets", "scaleOutput", "generation")},
    {"convPoolCrossMap",
     [](Device& device, Arguments& a) {
         require(poolerOf(a) == Pool::Max, "convPoolCrossMap: pooler", "Max", a.word("pooler"));
         convPoolCrossMap(device, a.matrix("images"), a.matrix("target"), a.integer("startF"), a.integer("poolSize"),
                          a.integer("numOutputs"), a.integer("stride"), a.integer("imgSize"));
     }},
    {"convCrossMapMaxPoolUndo", calls(convCrossMapMaxPoolUndo, "images", "maxGrads", "maxActs", "target", "imgSize",
                                      "startF", "poolSize", "stride", "scaleTargets", "scaleOutputs")},
};

}  // namespace
