// convTICA, convTICAGrad and normalizeLocalWeights.
#include "../kernels/tica.cuh"
#include "../kernels/weight_norm.cuh"

#include "checks.h"
#include "dispatch.h"
#include "entry_points.h"
#include "image_ops.h"

namespace {

int prepare(const char* entry, const Matrix& images, Matrix& target, int numFilters, int sizeX, float scaleTarget) {
    const int imgSize = imageSide(entry, "images", images, numFilters);
    require(numFilters % 16 == 0, text(entry, ": number of maps"), "a multiple of 16", text(numFilters));
    require(sizeX > 0 && sizeX < 6, text(entry, ": sizeX"), "1 to 5", text(sizeX));
    prepareTarget(entry, target, images, images.rows(), scaleTarget);
    return imgSize;
}

Dim3 blocks(const Matrix& images, int numFilters, int imgSize) {
    return {divUp(images.cols(), 128) * imgSize, numFilters / 8 * imgSize};
}

constexpr const char* rule = "4 images, 2 maps per thread";

}  // namespace

void convTICA(Device& device, const Matrix& images, Matrix& target, int numFilters, int sizeX, float scaleTarget,
              float scaleOutput) {
    const int imgSize = prepare("convTICA", images, target, numFilters, sizeX, scaleTarget);
    device.launch(
        FLAG_INSTANCE(kTICA_manyfilter, images.cols() % 128 != 0, 4, 32, 4, 2), blocks(images, numFilters, imgSize),
        {32, 4}, 0, rule,
        with(images.data(), target.data(), imgSize, numFilters, images.cols(), sizeX, scaleTarget, scaleOutput));
}

void convTICAGrad(Device& device, const Matrix& images, const Matrix& ticas, Matrix& target, int numFilters, int sizeX,
                  float scaleTarget, float scaleOutput) {
    const int imgSize = prepare("convTICAGrad", images, target, numFilters, sizeX, scaleTarget);
    requirePlain("convTICAGrad", "ticas", ticas, images);
    const int first = device.quirks.on(Quirk::TicaWindowNotMirrored) ? -(sizeX / 2) : sizeX / 2 - sizeX + 1;
    device.launch(FLAG_INSTANCE(kTICAGrad_manyfilter, images.cols() % 128 != 0, 4, 32, 4, 2),
                  blocks(images, numFilters, imgSize), {32, 4}, 0, rule,
                  with(images.data(), ticas.data(), target.data(), imgSize, numFilters, images.cols(), sizeX, first,
                       device.quirks.on(Quirk::TicaAccumulateRoot), scaleTarget, scaleOutput));
}

void normalizeLocalWeights(Device& device, Matrix& weights, int numModules, float norm) {
    const char* entry = "normalizeLocalWeights";
    const int numFilters = weights.cols();
    requirePlain(entry, "weights", weights);
    requireMultiple(entry, "number of filters", numFilters, 16);
    requirePositive(entry, "numModules", numModules);
    require(weights.rows() > 0 && weights.rows() % numModules == 0, text(entry, ": weights have the wrong shape"),
            text("rows = ", numModules, " modules * weights per filter"), weights.shape());
    const int filtersPerThread = numFilters % 128 == 0  ? 4
                                 : numFilters % 64 == 0 ? 2
                                                        : 1,
              width = numFilters % 32 == 0 ? 32 : 16;
    const auto go = [&](const auto& kernel) {
        const int height = 128 / width;
        device.launch(kernel, {numFilters / (width * filtersPerThread), divUp(numModules, height)}, {width, height}, 0,
                      text(filtersPerThread, " filters per thread, ", width, " threads across"),
                      with(weights.data(), norm, weights.rows() / numModules, numModules, numFilters,
                           device.quirks.on(Quirk::LocalNormBlockOffset)));
    };
    if (width == 16) return go(INSTANCE(kNormalizeLCWeights, 8, 16, 1));
    dispatch([&](auto fpt) { go(INSTANCE(kNormalizeLCWeights, 4, 32, fpt)); }, oneOf<1, 2, 4>(filtersPerThread));
}

namespace {

const Entry entries[] = {
    {"convTICA", calls(convTICA, "images", "target", "numFilters", "sizeX", "scaleTarget", "scaleOutput")},
    {"convTICAGrad",
     calls(convTICAGrad, "images", "ticas", "target", "numFilters", "sizeX", "scaleTarget", "scaleOutput")},
    {"normalizeLocalWeights", calls(normalizeLocalWeights, "weights", "numModules", "norm")},
};

}  // namespace
