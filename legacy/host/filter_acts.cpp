// convFilterActs, localFilterActs and their table-driven forms: checks and dispatch (conv-kernels 2.1, 2.2, 4.2, 4.3).
#include "../kernels/filter_acts.cuh"

#include "conv.h"
#include "entry_points.h"

namespace {

std::string rule(const ConvGeometry& g, const ImageClass& images) {
    const std::string kernel = g.sparse              ? "connectivity table: sparse_random kernel"
                               : g.numImgColors <= 3 ? text(g.numImgColors, " channels: colour kernel")
                                                     : "more than 3 channels: grouped kernel";
    const bool wide = g.filtersPerGroup() % 32 == 0;
    return text(kernel, "; filters per group mod 32 ", wide ? "== 0: 8" : "!= 0: 4", " filters per thread; ",
                images.rule());
}

void launch(Device& device, const ConvGeometry& g, const Matrix& images, const Matrix& filters, Matrix& targets,
            const int* colorIndices, float scaleTargets, float scaleOutput) {
    const ImageClass imageClass(g.numImages);
    const int filtersPerThread = g.filtersPerGroup() % 32 == 0 ? 8 : 4;
    const Dim3 grid(imageClass.blocks, g.numModules() * g.numFilters / (4 * filtersPerThread)),
        block(ImageClass::across, 4);
    const int colors = g.sparse || g.numImgColors > 3 ? 2 : g.numImgColors;
    const int shared = 4 * 4 * colors * (4 * filtersPerThread + imageClass.perBlock) + (g.sparse ? 4 * colors : 0);
    const auto matrices = with(images.data(), filters.data(), targets.data());
    const auto geometry = with(g.numImages, g.numFilters, g.imgSizeY, g.imgSizeX, g.filterSize, g.paddingStart,
                               g.moduleStride, g.numModulesY, g.numModulesX, g.imgStride);
    const auto channels = with(g.sparse ? g.numFilterColors : g.numImgColors, g.numGroups);
    const auto scales = with(scaleTargets, scaleOutput, g.conv);
    const auto go = [&](const auto& kernel, const auto&... args) {
        device.launch(kernel, grid, block, shared, rule(g, imageClass), std::tuple_cat(args...));
    };
    const auto anyKernel = [&](auto fpt, auto scale, auto ipt, auto check) {
        constexpr Int<ImageClass::across> across;
        if (g.sparse)
            go(INSTANCE(filterActs_YxX_sparse_random, 4, across, ipt, fpt, 2, scale, check), matrices,
               with(colorIndices), geometry, channels, scales);
        else if (g.numImgColors > 3)
            go(INSTANCE(filterActs_YxX_sparse, 4, across, ipt, fpt, 2, scale, check), matrices, geometry, channels,
               scales);
        else
            dispatch(
                [&](auto numColors) {
                    go(INSTANCE(filterActs_YxX_color, 4, across, ipt, fpt, numColors, scale, check), matrices, geometry,
                       scales);
                },
                oneOf<1, 2, 3>(g.numImgColors));
    };
    dispatch(anyKernel, oneOf<4, 8>(filtersPerThread), flag(scaleTargets != 0), imageClass.cases());
}

}  // namespace

void filterActs(Device& device, ConvGeometry g, const Matrix& images, const Matrix& filters, Matrix& targets,
                const int* colorIndices, float scaleTargets, float scaleOutput) {
    g.imgStride = images.stride();
    g.requireSizes();
    if (!g.sparse) g.numFilterColors = g.numImgColors / g.numGroups;
    g.numImages = images.cols();
    g.numFilters = filters.cols();
    g.imgSizeX = images.rows() / g.numImgColors / g.imgSizeY;
    g.deriveFilterSize(filters);
    g.requireCommon();
    require(g.sparse || g.numGroups > 1 || g.numImgColors <= 3 || g.numImgColors % 2 == 0,
            text(g.entry, ": number of channels"), "1, 2, 3 or even", text(g.numImgColors));
    require((!g.sparse && g.numGroups == 1) || g.numFilterColors % 2 == 0, text(g.entry, ": channels per filter"),
            "even where there are groups", text(g.numFilterColors));
    g.requireShape("images", images, g.product({g.numImgColors, g.imgSizeY, g.imgSizeX}), g.numImages);
    g.requirePlain("images", images, true);
    g.requirePlain("filters", filters);
    g.prepareTarget(targets, g.product({g.numFilters, g.numModulesY, g.numModulesX}), g.numImages, scaleTargets);
    launch(device, g, images, filters, targets, colorIndices, scaleTargets, scaleOutput);
}

namespace {

EntryFunction entry(const char* name, bool conv, bool sparse) {
    return [=](Device& device, Arguments& a) {
        ConvGeometry g = readGeometry(a, name, conv, sparse);
        g.numModulesX = a.integer("numModulesX");
        filterActs(device, g, a.matrix("images"), a.matrix("filters"), a.matrix("targets"),
                   sparse ? a.table("colorIndices") : nullptr, a.real("scaleTargets"), a.real("scaleOutput"));
    };
}

const Entry entries[] = {{"convFilterActs", entry("convFilterActs", true, false)},
                         {"localFilterActs", entry("localFilterActs", false, false)},
                         {"convFilterActsSparse", entry("convFilterActsSparse", true, true)},
                         {"localFilterActsSparse", entry("localFilterActsSparse", false, true)}};

}  // namespace
