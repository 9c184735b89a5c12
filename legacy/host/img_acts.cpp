// convImgActs, localImgActs and their table-driven forms: checks and dispatch (conv-kernels 2.3, 2.4, 4.4, 4.5).
#include "../kernels/img_acts.cuh"

#include "conv.h"
#include "entry_points.h"

namespace {

// The kernel of a geometry: channels per filter decide.
struct Choice {
    explicit Choice(const ConvGeometry& g)
        : many(g.numFilterColors % 8 == 0),
          medium(!many && g.numFilterColors > 3),
          colorsPerThread(many     ? (g.numFilterColors % 16 == 0 ? 4 : 2)
                          : medium ? (g.numFilterColors % 4 == 0 ? 4 : 2)
                                   : g.numImgColors),
          colorsPerBlock(many ? 4 * colorsPerThread : colorsPerThread) {}
    bool many, medium;
    int colorsPerThread, colorsPerBlock;

    std::string rule(const ConvGeometry& g, const ImageClass& images) const {
        const std::string kernel = many     ? "channels per filter mod 8 == 0: many-colour kernel"
                                   : medium ? "more than 3 channels per filter, mod 8 != 0: medium-colour kernel"
                                            : "1, 2 or 3 channels: colour kernel";
        return text(kernel, g.sparse ? " with connectivity table; " : "; ", "a block is ",
                    many ? "one pixel" : "4x4 pixels", " and ", colorsPerBlock, " channels; ",
                    images.rule(many ? 32 : 16));
    }
};

void launch(Device& device, const ConvGeometry& g, const Matrix& hidActs, const Matrix& filters, Matrix& targets,
            const int* colorIndices, float scaleTargets, float scaleOutput) {
    const ImageClass images(g.numImages);
    const Choice choice(g);
    const int places = choice.many ? g.imgPixels() : divUp(g.imgSizeY, 4) * divUp(g.imgSizeX, 4);
    const Dim3 grid(images.blocks * (g.numImgColors / choice.colorsPerBlock), g.overSample() * places);
    const Dim3 block = choice.many ? Dim3(ImageClass::across, 4) : Dim3(ImageClass::across / 2, 16);
    const int shared = 4 * ((choice.many ? 1 : 16) * choice.colorsPerBlock * 17 + 16 * images.perBlock) +
                       (g.sparse ? 4 * choice.colorsPerBlock : 0);
    const auto matrices = with(hidActs.data(), filters.data(), targets.data());
    const auto geometry = with(g.numModulesY, g.numModulesX, g.numImages, g.numFilters, g.filterSize, g.imgSizeY,
                               g.imgSizeX, g.paddingStart, g.moduleStride, g.numImgColors);
    const auto scales = with(scaleTargets, scaleOutput);
    const auto go = [&](const auto& kernel, const auto&... args) {
        device.launch(kernel, grid, block, shared, choice.rule(g, images), std::tuple_cat(matrices, args..., scales));
    };
    const auto dense = [&](const auto& kernel) { go(kernel, geometry, with(g.numGroups)); };
    const auto sparse = [&](const auto& kernel) {
        go(kernel, with(colorIndices), geometry, with(g.numFilterColors, g.numGroups));
    };
    const auto many = [&](auto scale, auto conv, auto cpt, auto ipt, auto check) {
        constexpr Int<ImageClass::across> across;
        if (g.sparse) sparse(INSTANCE(img_acts_manycolor_sparse_rand, 4, across, ipt, cpt, scale, check, conv));
        else dense(INSTANCE(conv_img_acts_manycolor, 4, across, ipt, cpt, scale, check, conv));
    };
    const auto medium = [&](auto scale, auto conv, auto cpt, auto ipt, auto check) {
        if (g.sparse) sparse(INSTANCE(img_acts_mediumcolor_sparse_rand, ipt, cpt, scale, check, conv));
        else dense(INSTANCE(img_acts_mediumcolor, ipt, cpt, scale, check, conv));
    };
    const auto color = [&](auto scale, auto conv, auto numColors, auto ipt, auto check) {
        go(INSTANCE(img_acts_color, ipt, numColors, scale, check, conv),
           with(g.numModulesY, g.numModulesX, g.numImages, g.numFilters, g.filterSize, g.imgSizeY, g.imgSizeX,
                g.paddingStart, g.moduleStride));
    };
    const auto scale = flag(scaleTargets != 0), conv = flag(g.conv);
    if (choice.many) dispatch(many, scale, conv, oneOf<2, 4>(choice.colorsPerThread), images.cases());
    else if (choice.medium) dispatch(medium, scale, conv, oneOf<2, 4>(choice.colorsPerThread), images.cases<2>());
    else dispatch(color, scale, conv, oneOf<1, 2, 3>(choice.colorsPerThread), images.cases<2>());
}

}  // namespace

void imgActs(Device& device, ConvGeometry g, const Matrix& hidActs, const Matrix& filters, Matrix& targets,
             const int* colorIndices, float scaleTargets, float scaleOutput) {
    g.requirePositive("imgSizeX", g.imgSizeX);
    g.requireSizes();
    if (!g.sparse) g.numFilterColors = g.numImgColors / g.numGroups;
    g.numImages = g.imgStride = hidActs.cols();
    g.numFilters = filters.cols();
    g.requirePositive("the number of filters", g.numFilters);
    g.numModulesX = hidActs.rows() / g.product({g.numFilters, g.numModulesY});
    g.requireShape("hidActs", hidActs, g.product({g.numFilters, g.numModulesY, g.numModulesX}), g.numImages);
    g.deriveFilterSize(filters);
    g.requireCommon();
    require(g.numGroups > 1 || g.numImgColors <= 3 || g.numImgColors % 2 == 0, text(g.entry, ": number of channels"),
            "1, 2, 3 or even", text(g.numImgColors));
    require(g.sparse || g.numGroups == 1 || g.numFilterColors % 4 == 0, text(g.entry, ": channels per filter"),
            "a multiple of 4 where there are groups", text(g.numFilterColors));
    require(!g.sparse || (g.numFilterColors > 3 && g.numFilterColors % 2 == 0), text(g.entry, ": channels per filter"),
            "even and at least 4", text(g.numFilterColors));
    require(!g.sparse || g.numFilterColors % 8 == 0 || divUp(g.imgSizeY, 4) == divUp(g.imgSizeX, 4),
            text(g.entry, ": image is not square"), "as many 4x4 regions down as across",
            text(g.imgSizeY, " x ", g.imgSizeX, " pixels"),
            "the historical kernel goes wrong here; with a multiple of 8 channels per filter another one runs");
    g.requirePlain("hidActs", hidActs);
    g.requirePlain("filters", filters);
    g.prepareTarget(targets, g.product({g.overSample(), g.numImgColors, g.imgSizeY, g.imgSizeX}), g.numImages,
                    scaleTargets);
    launch(device, g, hidActs, filters, targets, colorIndices, scaleTargets, scaleOutput);
}

namespace {

EntryFunction entry(const char* name, bool conv, bool sparse) {
    return [=](Device& device, Arguments& a) {
        ConvGeometry g = readGeometry(a, name, conv, sparse);
        g.imgSizeX = a.integer("imgSizeX");
        imgActs(device, g, a.matrix("hidActs"), a.matrix("filters"), a.matrix("targets"),
                sparse ? a.table("colorIndices") : nullptr, a.real("scaleTargets"), a.real("scaleOutput"));
    };
}

const Entry entries[] = {{"convImgActs", entry("convImgActs", true, false)},
                         {"localImgActs", entry("localImgActs", false, false)},
                         {"convImgActsSparse", entry("convImgActsSparse", true, true)},
                         {"localImgActsSparse", entry("localImgActsSparse", false, true)}};

}  // namespace
