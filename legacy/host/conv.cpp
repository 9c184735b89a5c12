#include "conv.h"

#include <cmath>

void ConvGeometry::requireSizes() const {
    const auto positive = [&](const char* name, int value) {
        require(value > 0, text(entry, ": ", name, " must be positive"), ">= 1", text(value));
    };
    positive("numImgColors", numImgColors);
    positive("numGroups", numGroups);
    positive("imgSizeY", imgSizeY);
    positive("numModulesY", numModulesY);
    positive("moduleStride", moduleStride);
    if (sparse) positive("numFilterColors", numFilterColors);
    require(sparse || numImgColors % numGroups == 0, text(entry, ": groups do not divide the channels"),
            text("numImgColors divisible by numGroups = ", numGroups), text(numImgColors));
}

void ConvGeometry::deriveFilterSize(const Matrix& filters) {
    const int sets = numFilterColors * (conv ? 1 : numModules());
    const int pixels = filters.rows() / sets;
    filterSize = static_cast<int>(std::sqrt(static_cast<double>(pixels)));
    require(filterSize > 0 && filterPixels() * sets == filters.rows(), text(entry, ": filters have the wrong shape"),
            text("rows = ", sets, " (", conv ? "" : "modules * ", "filter channels) * S*S for a square S x S filter"),
            filters.shape(),
            filters.cols() % (sets ? sets : 1) == 0 && filters.cols() > filters.rows()
                ? "this looks transposed; filters are (filterChannels*filterPixels, numFilters)" : "");
}

void ConvGeometry::requireCommon() const {
    require(numFilters > 0 && numFilters % (16 * numGroups) == 0, text(entry, ": number of filters"),
            text("a multiple of 16 per group (", 16 * numGroups, ")"), text(numFilters),
            "the historical kernels work on tiles of 16 filters");
    require(paddingStart <= 0, text(entry, ": paddingStart must not be positive"), "<= 0", text(paddingStart),
            "it is the coordinate of the first module: minus the padding");
    require(moduleStride <= filterSize, text(entry, ": gaps between modules"),
            text("moduleStride <= filterSize = ", filterSize), text(moduleStride));
    const auto covered = [&](const char* axis, int modules, int size) {
        const int end = paddingStart + (modules - 1) * moduleStride + filterSize;
        require(end >= size, text(entry, ": the modules do not reach the ", axis, " edge of the image"),
                text("paddingStart + (numModules-1)*moduleStride + filterSize >= ", size), text(end),
                "numModules = 1 + ceil((2*padding + imgSize - filterSize) / stride)");
    };
    covered("bottom", numModulesY, imgSizeY);
    covered("right", numModulesX, imgSizeX);
    if (!sparse) return;
    require(numGroups > 1, text(entry, ": sparse connectivity needs groups"), "numGroups > 1", text(numGroups));
    require(numImgColors % numFilterColors == 0 && numGroups * numFilterColors % numImgColors == 0,
            text(entry, ": connectivity table"),
            "numFilterColors divides numImgColors, and numImgColors divides numGroups*numFilterColors",
            text("numImgColors ", numImgColors, ", numFilterColors ", numFilterColors, ", numGroups ", numGroups));
}

void ConvGeometry::requireShape(const char* argument, const Matrix& matrix, int rows, int cols) const {
    require(matrix.rows() == rows && matrix.cols() == cols, text(entry, ": ", argument, " has the wrong shape"),
            text("(", rows, ", ", cols, ")"), matrix.shape(),
            matrix.rows() == cols && matrix.cols() == rows ? "this looks transposed" : "");
}

void ConvGeometry::requirePlain(const char* argument, const Matrix& matrix, bool strideAllowed) const {
    require(!matrix.isTrans(), text(entry, ": ", argument, " has the wrong order"), "row-major (C order)",
            "column-major", "pass numpy.ascontiguousarray(...)");
    require(strideAllowed || matrix.isContiguous(), text(entry, ": ", argument, " must be contiguous"),
            text("row stride ", matrix.cols()), text("row stride ", matrix.stride()),
            "only images of the forward pass and of the weight gradient may be strided");
}

void ConvGeometry::prepareTarget(Matrix& targets, int rows, int cols, float scaleTargets) const {
    requirePlain("targets", targets);
    if (scaleTargets == 0)
        targets.resize(rows, cols);
    else
        requireShape("targets", targets, rows, cols);
}
