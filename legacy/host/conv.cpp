// The geometry of a convolution: what it derives from the arguments, and what it refuses (conv-kernels 2).
#include "conv.h"

#include <cmath>

#include "checks.h"

void ConvGeometry::requirePositive(const char* name, int value) const { ::requirePositive(entry.c_str(), name, value); }

void ConvGeometry::requireSizes() const {
    requirePositive("numImgColors", numImgColors);
    requirePositive("numGroups", numGroups);
    requirePositive("imgSizeY", imgSizeY);
    requirePositive("numModulesY", numModulesY);
    requirePositive("moduleStride", moduleStride);
    if (sparse) requirePositive("numFilterColors", numFilterColors);
    require(sparse || numImgColors % numGroups == 0, text(entry, ": groups do not divide the channels"),
            text("numImgColors divisible by numGroups = ", numGroups), text(numImgColors));
}

void ConvGeometry::deriveFilterSize(const Matrix& filters) {
    requirePositive("numModulesX", numModulesX);
    const int sets = conv ? numFilterColors : product({numModulesY, numModulesX, numFilterColors});
    const int pixels = sets > 0 ? filters.rows() / sets : 0;
    filterSize = static_cast<int>(std::sqrt(static_cast<double>(pixels)));
    require(filterSize > 0 && filterPixels() * sets == filters.rows(), text(entry, ": filters have the wrong shape"),
            text("rows = ", sets, " (", conv ? "" : "modules * ", "filter channels) * S*S for a square S x S filter"),
            filters.shape(),
            sets > 0 && filters.cols() % sets == 0 && filters.cols() > filters.rows()
                ? "this looks transposed; filters are (filterChannels*filterPixels, numFilters)"
                : "");
}

void ConvGeometry::requireCommon() const {
    require(numFilters > 0 && numFilters % (16L * numGroups) == 0, text(entry, ": number of filters"),
            text("a multiple of 16 per group (", 16L * numGroups, ")"), text(numFilters),
            "the historical kernels work on tiles of 16 filters");
    // The kernels divide distances from paddingStart by moduleStride, and so toward zero: these are never negative.
    require(paddingStart <= 0, text(entry, ": paddingStart must not be positive"), "<= 0", text(paddingStart),
            "it is the coordinate of the first module: minus the padding");
    require(moduleStride <= filterSize, text(entry, ": gaps between modules"),
            text("moduleStride <= filterSize = ", filterSize), text(moduleStride));
    const auto covered = [&](const char* axis, int modules, int size) {
        const long end = paddingStart + (modules - 1L) * moduleStride + filterSize;
        require(end >= size, text(entry, ": the modules do not reach the ", axis, " edge of the image"),
                text("paddingStart + (numModules-1)*moduleStride + filterSize >= ", size), text(end),
                "numModules = 1 + ceil((2*padding + imgSize - filterSize) / stride)");
        require(paddingStart > -farAway && end < farAway, text(entry, ": windows too far from the image"),
                text("coordinates below ", farAway, " (offsets are 32-bit)"), text(paddingStart, " .. ", end));
    };
    requirePositive("the number of images", numImages);
    covered("bottom", numModulesY, imgSizeY);
    covered("right", numModulesX, imgSizeX);
    if (!sparse) return;
    require(numGroups > 1, text(entry, ": sparse connectivity needs groups"), "numGroups > 1", text(numGroups));
    require(numImgColors % numFilterColors == 0 && product({numGroups, numFilterColors}) % numImgColors == 0,
            text(entry, ": connectivity table"),
            "numFilterColors divides numImgColors, and numImgColors divides numGroups*numFilterColors",
            text("numImgColors ", numImgColors, ", numFilterColors ", numFilterColors, ", numGroups ", numGroups));
}

void ConvGeometry::requireShape(const char* argument, const Matrix& matrix, int rows, int cols) const {
    ::requireShape(entry.c_str(), argument, matrix, rows, cols);
}

void ConvGeometry::requirePlain(const char* argument, const Matrix& matrix, bool strideAllowed) const {
    requireRowMajor(entry.c_str(), argument, matrix);
    require(strideAllowed || matrix.isContiguous(), text(entry, ": ", argument, " must be contiguous"),
            text("row stride ", matrix.cols()), text("row stride ", matrix.stride()),
            "only images of the forward pass and of the weight gradient may be strided");
}

void ConvGeometry::prepareTarget(Matrix& targets, int rows, int cols, float scaleTargets) const {
    requirePlain("targets", targets);
    product({rows, cols});
    if (scaleTargets == 0) targets.resize(rows, cols);
    else requireShape("targets", targets, rows, cols);
}

ConvGeometry readGeometry(Arguments& arguments, const char* entry, bool conv, bool sparse) {
    ConvGeometry g{entry, conv, sparse};
    g.imgSizeY = arguments.integer("imgSizeY");
    g.numModulesY = arguments.integer("numModulesY");
    g.paddingStart = arguments.integer("paddingStart");
    g.moduleStride = arguments.integer("moduleStride");
    g.numImgColors = arguments.integer("numImgColors");
    g.numGroups = arguments.integer("numGroups");
    if (sparse) g.numFilterColors = arguments.integer("numFilterColors");
    return g;
}
