// Response and contrast normalisation: checks and dispatch (pool-norm 2).
#include "../kernels/norm.cuh"

#include "norm.h"

#include <algorithm>

#include "checks.h"
#include "dispatch.h"
#include "entry_points.h"

namespace {

// Images per block and whether the last block has fewer.
struct Cases {
    Cases(int numImages, int perBlock) : blocks(divUp(numImages, perBlock)), check(numImages % perBlock != 0) {}
    int blocks;
    bool check;
};

std::string bounds(const Cases& cases) { return cases.check ? ", bounds checked" : ""; }

// acts = -2 addScale powScale outGrads acts / denoms.
void undoPrelims(Device& device, const Matrix& outGrads, const Matrix& denoms, Matrix& acts, float addScale,
                 float powScale, int generation) {
    const int elements = static_cast<int>(acts.size());
    const auto args = with(acts.data(), denoms.data(), outGrads.data(), elements, -2 * addScale * powScale);
    if (generation == 2014)
        device.launch(INSTANCE(kRNormUndoPrelims, 128, 8), divUp(elements, 128 * 8), 128, 0, "8 elements per thread",
                      args);
    else
        device.launch(INSTANCE(kRNormUndoPrelims, 128, 4), std::min(512, divUp(elements, 128 * 4)), 128, 0,
                      "4 elements per thread, at most 512 blocks", args);
}

}  // namespace

void convResponseNorm(Device& device, const Matrix& images, Matrix& denoms, Matrix& target, int numFilters, int sizeX,
                      float addScale, float powScale, float minDiv, int generation) {
    convContrastNorm(device, images, images, denoms, target, numFilters, sizeX, addScale, powScale, minDiv, generation);
}

void convContrastNorm(Device& device, const Matrix& images, const Matrix& meanDiffs, Matrix& denoms, Matrix& target,
                      int numFilters, int sizeX, float addScale, float powScale, float minDiv, int generation) {
    const char* entry = "convContrastNorm";
    const int imgSize = imageSide(entry, "images", images, numFilters), numImages = images.cols();
    requirePlain(entry, "meanDiffs", meanDiffs, images);
    requirePositive(entry, "sizeX", sizeX);
    requireNear(entry, "sizeX", sizeX);
    require(numFilters % 16 == 0 || numFilters <= 8, text(entry, ": number of maps"), "1 to 8 or a multiple of 16",
            text(numFilters));
    resizeTarget(entry, denoms, images, images.rows(), numImages);
    resizeTarget(entry, target, images, images.rows(), numImages);
    const auto matrices = with(images.data(), meanDiffs.data(), denoms.data(), target.data(), imgSize);
    const auto sizes = with(numImages, sizeX, addScale, powScale, minDiv);
    const bool large = sizeX >= 6 && numFilters % 4 == 0, few = !large && numFilters <= 8;
    const Cases cases(numImages, large ? 64 : 128);
    const auto go = [&](const auto& kernel, Dim3 grid, Dim3 block, int sharedBytes, const char* rule, auto... maps) {
        device.launch(kernel, grid, block, sharedBytes, rule + bounds(cases),
                      std::tuple_cat(matrices, with(maps...), sizes));
    };

    if (large) {
        const int patches = divUp(imgSize, 4);
        return go(FLAG_INSTANCE(kCNorm2, cases.check, 8, 8, 4), {patches * cases.blocks, patches * numFilters / 4},
                  {8, 16}, 4 * 4 * 64, "window of 6 or more, maps mod 4 == 0: 4x4 pixels per block", numFilters);
    }
    if (few)
        return dispatch(
            [&](auto check, auto maps) {
                go(INSTANCE(kCNorm_fewfilter, 1, maps, check), {cases.blocks * imgSize, imgSize}, 128, 0,
                   "at most 8 maps: all in one thread");
            },
            flag(cases.check), oneOf<1, 2, 3, 4, 5, 6, 7, 8>(numFilters));
    const Dim3 grid = generation == 2014 ? Dim3(cases.blocks, numFilters / 8, imgSize * imgSize)
                                         : Dim3(cases.blocks * imgSize, numFilters / 8 * imgSize);
    go(FLAG_INSTANCE(kCNorm_manyfilter, cases.check, 4, 32, 4, 2), grid, {32, 4}, 0,
       "more than 8 maps: 4 images, 2 maps per thread", numFilters);
}

void convResponseNormUndo(Device& device, const Matrix& outGrads, const Matrix& denoms, const Matrix& inputs,
                          Matrix& acts, Matrix& target, int numFilters, int sizeX, float addScale, float powScale,
                          float scaleTargets, float scaleOutput, int generation) {
    const char* entry = "convResponseNormUndo";
    const int imgSize = imageSide(entry, "outGrads", outGrads, numFilters), numImages = outGrads.cols();
    requireMultiple(entry, "number of maps", numFilters, 16);
    requirePositive(entry, "sizeX", sizeX);
    requireNear(entry, "sizeX", sizeX);
    requirePlain(entry, "denoms", denoms, outGrads);
    requirePlain(entry, "inputs", inputs, outGrads);
    requirePlain(entry, "acts", acts, outGrads);
    undoPrelims(device, outGrads, denoms, acts, addScale, powScale, generation);
    resizeTarget(entry, target, outGrads, outGrads.rows(), numImages);
    const auto args = with(outGrads.data(), denoms.data(), inputs.data(), acts.data(), target.data(), imgSize,
                           numFilters, numImages, sizeX, powScale, scaleTargets, scaleOutput);
    const bool accumulate = addsToTarget(device, target, scaleTargets, scaleOutput);

    if (sizeX >= 6) {
        const int perThread = numImages % 128 == 0 ? 8 : numImages % 64 == 0 ? 4 : 2, patches = divUp(imgSize, 4);
        const Cases cases(numImages, 16 * perThread);
        const bool inverted =
            device.quirks.on(Quirk::NormUndoAddInverted);        // by the historical host code (pool-norm H1)
        const auto go = [&](const auto& kernel) {
            device.launch(kernel, {patches * cases.blocks, patches * numFilters / 4}, {16, 16}, 4 * 4 * 16 * perThread,
                          text("window of 6 or more: 4x4 pixels per block, ", perThread, " images per thread",
                               bounds(cases), inverted ? "; the add flag is inverted, as it was" : ""),
                          args);
        };
        const auto adds = flag(accumulate != inverted);
        if (perThread == 2)
            return dispatch([&](auto add, auto check) { go(INSTANCE(kRNormUndo2, 16, 2, 4, add, check)); }, adds,
                            flag(cases.check));
        return dispatch([&](auto add, auto ipt) { go(INSTANCE(kRNormUndo2, 16, ipt, 4, add, false)); }, adds,
                        oneOf<4, 8>(perThread));
    }
    const int perThread = generation == 2014 ? (numImages % 128 == 0 ? 4 : 1) : numImages % 64 == 0 ? 2 : 1;
    const Cases cases(numImages, 32 * perThread);
    const auto go = [&](const auto& kernel) {
        device.launch(kernel, {cases.blocks * imgSize, numFilters / 8 * imgSize}, {32, 4}, 0,
                      text("window under 6: ", perThread, " images, 2 maps per thread", bounds(cases)), args);
    };
    const auto adds = flag(accumulate), check = flag(cases.check);
    if (generation == 2014) {
        if (perThread == 4) go(INSTANCE(kRNormUndo, 4, 32, 4, 2, false));
        else dispatch([&](auto check) { go(INSTANCE(kRNormUndo, 4, 32, 1, 2, check)); }, check);
        return scaleOverwritten(device, target, scaleTargets, scaleOutput);
    }
    if (perThread == 2) dispatch([&](auto add) { go(INSTANCE(kRNormUndo, 4, 32, 2, 2, add, false)); }, adds);
    else dispatch([&](auto check, auto add) { go(INSTANCE(kRNormUndo, 4, 32, 1, 2, add, check)); }, check, adds);
}

void convResponseNormCrossMap(Device& device, const Matrix& images, Matrix& denoms, Matrix& target, int numFilters,
                              int sizeF, float addScale, float powScale, float minDiv, bool blocked, int generation) {
    convContrastNormCrossMap(device, images, images, denoms, target, numFilters, sizeF, addScale, powScale, minDiv,
                             blocked, generation);
}

namespace {

int crossMapSide(const char* entry, const char* argument, const Matrix& images, int numFilters, int sizeF) {
    const int side = imageSide(entry, argument, images, numFilters);
    requireMultiple(entry, "number of maps", numFilters, 16);
    require(sizeF > 0 && sizeF <= numFilters, text(entry, ": sizeF"), text("1 to ", numFilters), text(sizeF));
    return side;
}

std::string crossMapRule(const Cases& cases, bool blocked) {
    return text("across maps", blocked ? " in blocks" : "", ": 4 images, 1 map per thread", bounds(cases));
}

}  // namespace

void convContrastNormCrossMap(Device& device, const Matrix& images, const Matrix& meanDiffs, Matrix& denoms,
                              Matrix& target, int numFilters, int sizeF, float addScale, float powScale, float minDiv,
                              bool blocked, int generation) {
    const char* entry = "convContrastNormCrossMap";
    const int imgSize = crossMapSide(entry, "images", images, numFilters, sizeF), numImages = images.cols();
    requirePlain(entry, "meanDiffs", meanDiffs, images);
    if (generation != 2014) resizeTarget(entry, denoms, images, images.rows(), numImages);
    resizeTarget(entry, target, images, images.rows(), numImages);
    float* stored = generation == 2014 ? nullptr : denoms.data();
    const Cases cases(numImages, 128);
    const auto launch = [&](auto check, auto blocked) {
        device.launch(INSTANCE(kFCNorm, 4, 32, 4, check, blocked), {cases.blocks * imgSize, numFilters / 4 * imgSize},
                      {32, 4}, 0, crossMapRule(cases, blocked),
                      with(images.data(), meanDiffs.data(), stored, target.data(), imgSize, numFilters, numImages,
                           sizeF, addScale, powScale, minDiv));
    };
    dispatch(launch, flag(cases.check), flag(blocked));
}

void convResponseNormCrossMapUndo(Device& device, const Matrix& outGrads, const Matrix& denoms, const Matrix& inputs,
                                  Matrix& acts, Matrix& target, int numFilters, int sizeF, float addScale,
                                  float powScale, bool blocked, float scaleTargets, float scaleOutput) {
    const char* entry = "convResponseNormCrossMapUndo";
    const int imgSize = crossMapSide(entry, "outGrads", outGrads, numFilters, sizeF), numImages = outGrads.cols();
    requirePlain(entry, "denoms", denoms, outGrads);
    requirePlain(entry, "inputs", inputs, outGrads);
    requirePlain(entry, "acts", acts, outGrads);
    undoPrelims(device, outGrads, denoms, acts, addScale, powScale, 2012);
    resizeTarget(entry, target, outGrads, outGrads.rows(), numImages);
    const Cases cases(numImages, 128);
    const auto launch = [&](auto add, auto check, auto blocked) {
        device.launch(INSTANCE(kFRNormUndo, 4, 32, 4, add, check, blocked),
                      {cases.blocks * imgSize, numFilters / 4 * imgSize}, {32, 4}, 0, crossMapRule(cases, blocked),
                      with(outGrads.data(), denoms.data(), inputs.data(), acts.data(), target.data(), imgSize,
                           numFilters, numImages, sizeF, powScale, scaleTargets, scaleOutput));
    };
    dispatch(launch, flag(addsToTarget(device, target, scaleTargets, scaleOutput)), flag(cases.check), flag(blocked));
}

void convResponseNormCrossMapUndo2(Device& device, const Matrix& outGrads, const Matrix& inputs, const Matrix& acts,
                                   Matrix& target, int numFilters, int sizeF, float addScale, float powScale,
                                   float minDiv, bool blocked, float scaleTargets, float scaleOutput) {
    const char* entry = "convResponseNormCrossMapUndo";
    const int imgSize = crossMapSide(entry, "outGrads", outGrads, numFilters, sizeF), numImages = outGrads.cols();
    requirePlain(entry, "inputs", inputs, outGrads);
    requirePlain(entry, "acts", acts, outGrads);
    require(powScale != 0, text(entry, ": powScale"), "not 0: 1/powScale is used", text(powScale));
    resizeTarget(entry, target, outGrads, outGrads.rows(), numImages);
    const Cases cases(numImages, 128);
    const auto launch = [&](auto add, auto check, auto blocked) {
        device.launch(INSTANCE(kFRNormUndo2, 4, 32, 4, add, check, blocked),
                      {cases.blocks * imgSize, numFilters / 4 * imgSize}, {32, 4}, 0, crossMapRule(cases, blocked),
                      with(outGrads.data(), inputs.data(), acts.data(), target.data(), imgSize, numFilters, numImages,
                           sizeF, addScale, powScale, minDiv, scaleTargets, scaleOutput));
    };
    dispatch(launch, flag(addsToTarget(device, target, scaleTargets, scaleOutput)), flag(cases.check), flag(blocked));
}

namespace {

// The constant of the denominator: an argument from 2012 on across maps, from 2014 on within maps.
float minDivOf(Arguments& a, const char* entry, int since) {
    const float minDiv = a.real("minDiv");
    require(minDiv == 1 || a.generation >= since, text(entry, ": minDiv"), text("1 before generation ", since),
            text(minDiv));
    return minDiv;
}

EntryFunction sameMap(const char* entry, const char* meanDiffs) {
    return [=](Device& device, Arguments& a) {
        convContrastNorm(device, a.matrix("images"), a.matrix(meanDiffs), a.matrix("denoms"), a.matrix("target"),
                         a.integer("numFilters"), a.integer("sizeX"), a.real("addScale"), a.real("powScale"),
                         minDivOf(a, entry, 2014), a.generation);
    };
}

EntryFunction sameMapUndo(const char* inputs) {
    return [=](Device& device, Arguments& a) {
        convResponseNormUndo(device, a.matrix("outGrads"), a.matrix("denoms"), a.matrix(inputs), a.matrix("acts"),
                             a.matrix("target"), a.integer("numFilters"), a.integer("sizeX"), a.real("addScale"),
                             a.real("powScale"), a.real("scaleTargets"), a.real("scaleOutput"), a.generation);
    };
}

EntryFunction crossMap(const char* entry, const char* meanDiffs) {
    return [=](Device& device, Arguments& a) {
        Matrix none;
        convContrastNormCrossMap(device, a.matrix("images"), a.matrix(meanDiffs),
                                 a.generation == 2014 ? none : a.matrix("denoms"), a.matrix("target"),
                                 a.integer("numFilters"), a.integer("sizeF"), a.real("addScale"), a.real("powScale"),
                                 minDivOf(a, entry, 2012), a.flag("blocked"), a.generation);
    };
}

void crossMapUndo(Device& device, Arguments& a) {
    const int numFilters = a.integer("numFilters"), sizeF = a.integer("sizeF");
    const float addScale = a.real("addScale"), powScale = a.real("powScale");
    if (a.generation == 2014)
        convResponseNormCrossMapUndo2(device, a.matrix("outGrads"), a.matrix("inputs"), a.matrix("acts"),
                                      a.matrix("target"), numFilters, sizeF, addScale, powScale, a.real("minDiv"),
                                      a.flag("blocked"), a.real("scaleTargets"), a.real("scaleOutput"));
    else
        convResponseNormCrossMapUndo(device, a.matrix("outGrads"), a.matrix("denoms"), a.matrix("inputs"),
                                     a.matrix("acts"), a.matrix("target"), numFilters, sizeF, addScale, powScale,
                                     a.flag("blocked"), a.real("scaleTargets"), a.real("scaleOutput"));
}

const Entry entries[] = {{"convResponseNorm", sameMap("convResponseNorm", "images")},
                         {"convContrastNorm", sameMap("convContrastNorm", "meanDiffs")},
                         {"convResponseNormUndo", sameMapUndo("inputs")},
                         {"convContrastNormUndo", sameMapUndo("meanDiffs")},
                         {"convResponseNormCrossMap", crossMap("convResponseNormCrossMap", "images")},
                         {"convContrastNormCrossMap", crossMap("convContrastNormCrossMap", "meanDiffs")},
                         {"convResponseNormCrossMapUndo", crossMapUndo}};

}  // namespace
