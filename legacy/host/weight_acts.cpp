// convWeightActs, localWeightActs and their table-driven forms: checks and dispatch (conv-kernels 2.5-2.8, 4.6, 4.7).
#include "../kernels/weight_acts.cuh"

#include "conv.h"
#include "entry_points.h"

namespace {

// The kernel of a geometry: channels per filter and filters per group decide. A block is always 128 threads.
struct Choice {
    explicit Choice(const ConvGeometry& g)
        : color(!g.sparse && g.numFilterColors <= 3),
          wide(g.filtersPerGroup() % (color ? 32 : 64) == 0),
          blockX(wide ? 32 : 16),
          blockY(128 / blockX),
          filtersPerThread(!color && g.filtersPerGroup() % 32 == 0 ? 2 : 1),
          colors(color                        ? g.numImgColors
                 : g.numFilterColors % 8 == 0 ? 8
                                              : 4),
          pixelsPerThread(!color ? 1
                          : wide ? (colors == 1 ? 8 : 5)
                                 : (colors == 1 ? 5 : 2)) {}
    bool color, wide;
    int blockX, blockY, filtersPerThread, colors, pixelsPerThread;

    int filtersPerBlock() const { return blockX * filtersPerThread; }
    int pixelsPerBlock() const { return blockY * pixelsPerThread; }

    std::string rule(const ConvGeometry& g, bool check) const {
        const std::string tile = text("a block is ", filtersPerBlock(), " filters, ", pixelsPerBlock(),
                                      " filter pixels and ", colors, " channels");
        const std::string kernel =
            color ? text(colors, " channels: colour kernel")
                  : text("channels per filter mod 8 ", colors == 8 ? "==" : "!=", " 0: many-channel kernel");
        return text(kernel, g.sparse ? " with connectivity table; " : "; ", "filters per group ", g.filtersPerGroup(),
                    ": ", tile, check ? "; N mod 32 != 0: bounds checked" : "");
    }
};

void launch(Device& device, const ConvGeometry& g, const Matrix& images, const Matrix& hidActs, Matrix& targets,
            int partialSum, const int* colorIndices, float scaleTargets, float scaleOutput) {
    const Choice choice(g);
    const bool check = g.numImages % 32 != 0;
    const Dim3 grid(g.numModules() / partialSum * (g.numFilters / choice.filtersPerBlock()),
                    divUp(g.filterPixels(), choice.pixelsPerBlock()) * (g.numFilterColors / choice.colors));
    const Dim3 block(choice.blockX, choice.blockY);
    const int shared = 4 * (32 * choice.pixelsPerBlock() * choice.colors + 33 * choice.filtersPerBlock() +
                            choice.pixelsPerBlock() + (g.sparse ? choice.colors : 0));
    const auto matrices = with(images.data(), hidActs.data(), targets.data());
    const auto geometry = with(g.numImages, g.numFilters, g.numModulesY, g.numModulesX, g.imgSizeY, g.imgSizeX,
                               g.filterSize, g.paddingStart, g.moduleStride, g.imgStride);
    const auto channels = with(g.sparse ? g.numFilterColors : g.numImgColors, g.numGroups);
    const auto go = [&](const auto& kernel, const auto&... args) {
        device.launch(kernel, grid, block, shared, choice.rule(g, check),
                      std::tuple_cat(matrices, args..., with(partialSum, scaleTargets, scaleOutput)));
    };
    constexpr Int<32> cases;
    const auto color = [&](auto scale, auto check, auto wide, auto numColors) {
        constexpr Int<wide ? 32 : 16> blockX;
        constexpr Int<128 / blockX> blockY;
        constexpr Int<wide ? (numColors == 1 ? 8 : 5) : (numColors == 1 ? 5 : 2)> pixels;
        go(INSTANCE(conv_weight_acts_c, blockY, blockX, pixels, cases, numColors, scale, check), geometry);
    };
    const auto many = [&](auto scale, auto check, auto filtersPerBlock, auto cpt) {
        constexpr Int<filtersPerBlock == 64 ? 32 : 16> blockX;
        constexpr Int<filtersPerBlock / blockX> fpt;
        constexpr Int<128 / blockX> blockY;
        if (g.sparse)
            go(INSTANCE(conv_weight_acts_mc_mf_rand, blockY, blockX, fpt, cpt, cases, scale, check), with(colorIndices),
               geometry, channels);
        else go(INSTANCE(conv_weight_acts_mc_mf, blockY, blockX, fpt, cpt, cases, scale, check), geometry, channels);
    };
    const auto scale = flag(scaleTargets != 0), bounds = flag(check);
    if (choice.color) dispatch(color, scale, bounds, flag(choice.wide), oneOf<1, 2, 3>(choice.colors));
    else dispatch(many, scale, bounds, oneOf<16, 32, 64>(choice.filtersPerBlock()), oneOf<4, 8>(choice.colors));
}

}  // namespace

void weightActs(Device& device, ConvGeometry g, const Matrix& images, const Matrix& hidActs, Matrix& targets,
                int partialSum, const int* colorIndices, float scaleTargets, float scaleOutput) {
    g.requirePositive("numModulesX", g.numModulesX);
    g.requirePositive("filterSize", g.filterSize);
    g.requireSizes();
    if (!g.sparse) g.numFilterColors = g.numImgColors / g.numGroups;
    g.imgStride = images.stride();
    g.numImages = images.cols();
    g.imgSizeX = images.rows() / g.product({g.numImgColors, g.imgSizeY});
    const int modules = g.product({g.numModulesY, g.numModulesX});
    g.numFilters = hidActs.rows() / modules;
    g.requireCommon();
    require(g.sparse || g.numGroups > 1 || g.numImgColors <= 3 || g.numImgColors % 4 == 0,
            text(g.entry, ": number of channels"), "1, 2, 3 or a multiple of 4", text(g.numImgColors),
            "filter and image gradients take other even numbers too, the weight gradient does not");
    require((!g.sparse && g.numGroups == 1) || g.numFilterColors % 4 == 0, text(g.entry, ": channels per filter"),
            "a multiple of 4 where there are groups", text(g.numFilterColors));
    g.requireShape("images", images, g.product({g.numImgColors, g.imgSizeY, g.imgSizeX}), g.numImages);
    g.requireShape("hidActs", hidActs, g.product({g.numFilters, modules}), g.numImages);
    g.requirePlain("images", images, true);
    g.requirePlain("hidActs", hidActs);
    if (partialSum == 0) partialSum = modules;
    require(partialSum > 0 && modules % partialSum == 0, text(g.entry, ": partialSum"),
            text("0 or a divisor of the number of modules, ", modules), text(partialSum));
    g.prepareTarget(targets, g.product({modules / partialSum, g.numFilterColors, g.filterSize, g.filterSize}),
                    g.numFilters, scaleTargets);
    launch(device, g, images, hidActs, targets, partialSum, colorIndices, scaleTargets, scaleOutput);
}

namespace {

EntryFunction entry(const char* name, bool conv, bool sparse) {
    return [=](Device& device, Arguments& a) {
        ConvGeometry g = readGeometry(a, name, conv, sparse);
        g.numModulesX = a.integer("numModulesX");
        g.filterSize = a.integer("filterSize");
        // The overloads of the table-driven entry points without scales pass on (partialSum, 1, 0): the target is
        // needed and comes back as it was (conv-kernels 7.8).
        const bool brief = sparse && a.words.count("overload") && a.word("overload") == "short";
        const bool rotated = brief && device.quirks.on(Quirk::SparseShortOverloads);
        weightActs(device, g, a.matrix("images"), a.matrix("hidActs"), a.matrix("targets"),
                   !conv   ? 1
                   : brief ? 0
                           : a.integer("partialSum"),
                   sparse ? a.table("colorIndices") : nullptr,
                   rotated ? 1
                   : brief ? 0
                           : a.real("scaleTargets"),
                   rotated ? 0
                   : brief ? 1
                           : a.real("scaleOutput"));
    };
}

const Entry entries[] = {{"convWeightActs", entry("convWeightActs", true, false)},
                         {"localWeightActs", entry("localWeightActs", false, false)},
                         {"convWeightActsSparse", entry("convWeightActsSparse", true, true)},
                         {"localWeightActsSparse", entry("localWeightActsSparse", false, true)}};

}  // namespace
