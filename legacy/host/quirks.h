// Switches between what the code of 2012 computed and what was meant, or what other frameworks do (docs/quirks.md).
#pragma once
#include <array>
#include <string>
#include <vector>

// The switches, with their names in the ledger and where they stand until somebody turns them.
//
// Defects: on reproduces them.
#define DEFECTS(X)                                                    \
    X(BlurLastTap, "blur-last-tap", true)                             \
    X(CmpoolUndoTruncation, "cmpool-undo-truncation", true)           \
    X(CnormIgnoresMeans, "cnorm-ignores-means", true)                 \
    X(ConvOversampleOverwrites, "conv-oversample-overwrites", true)   \
    X(Crossent2Sign, "crossent2-sign", true)                          \
    X(HrefOverwrites, "href-overwrites", true)                        \
    X(LabExponent, "lab-exponent", true)                              \
    X(LocalNormBlockOffset, "local-norm-block-offset", true)          \
    X(MsmLogShortcuts, "msm-log-shortcuts", true)                     \
    X(NailsStartIgnored, "nails-start-ignored", true)                 \
    X(NailsUndoNeverAdds, "nails-undo-never-adds", true)              \
    X(NormUndoAddInverted, "norm-undo-add-inverted", true)            \
    X(OneRowVectors, "one-row-vectors", true)                         \
    X(ResizeClamp, "resize-clamp", true)                              \
    X(SharedFcOverwrites, "shared-fc-overwrites", false)              \
    X(SoftreluGradientAtOutput, "softrelu-gradient-at-output", false) \
    X(SparseShortOverloads, "sparse-short-overloads", true)           \
    X(SuperEpsMeanNotSquared, "super-eps-mean-not-squared", true)     \
    X(TicaAccumulateRoot, "tica-accumulate-root", true)               \
    X(TicaWindowNotMirrored, "tica-window-not-mirrored", true)        \
    X(Undo2014IgnoresScale, "undo-2014-ignores-scale", true)          \
    X(UndoPairTest, "undo-pair-test", true)
// Conventions: on is that of 2012.
#define CONVENTIONS(X)                                           \
    X(AbsSlopeAtZero, "abs-slope-at-zero", true)                 \
    X(AvgPoolClippedArea, "avg-pool-clipped-area", true)         \
    X(DecayInMomentum, "decay-in-momentum", true)                \
    X(DropoutDisabledScales, "dropout-disabled-scales", true)    \
    X(DropoutScalesInTest, "dropout-scales-in-test", true)       \
    X(MaxTiesFull, "max-ties-full", true)                        \
    X(NreluNoiseIsActivation, "nrelu-noise-is-activation", true) \
    X(RateInMomentum, "rate-in-momentum", true)                  \
    X(SoftreluCut, "softrelu-cut", true)                         \
    X(YuvCoefficients, "yuv-coefficients", true)

enum class Quirk {
#define NAMED(quirk, name, on) quirk,
    DEFECTS(NAMED) CONVENTIONS(NAMED) Count
#undef NAMED
};

class Quirks {
public:
    struct Switch {
        const char* name;
        bool on;
    };
    // All switches, in the order of Quirk.
    static const std::vector<Switch>& all();

    bool on(Quirk quirk) const { return on(quirk, all()[static_cast<int>(quirk)].on); }
    // history: what a generation of the code did that is not that of the networks.
    bool on(Quirk quirk, bool history) const {
        const signed char turned = positions[static_cast<int>(quirk)];
        return turned < 0 ? history : turned != 0;
    }
    void set(const std::string& name, bool on);

private:
    std::array<signed char, static_cast<int>(Quirk::Count)> positions = untouched();       // -1: nobody has turned it

    static std::array<signed char, static_cast<int>(Quirk::Count)> untouched() {
        std::array<signed char, static_cast<int>(Quirk::Count)> none;
        none.fill(-1);
        return none;
    }
};
