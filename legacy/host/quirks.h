// Switches between what the code of 2012 computed and what was meant, or what other frameworks do (docs/quirks.md).
#pragma once
#include <array>
#include <string>
#include <vector>

enum class Quirk {
    // Defects: on reproduces them.
    BlurLastTap,
    CmpoolUndoTruncation,
    CnormIgnoresMeans,
    ConvOversampleOverwrites,
    Crossent2Sign,
    HrefOverwrites,
    LabExponent,
    LocalNormBlockOffset,
    MsmLogShortcuts,
    NailsStartIgnored,
    NailsUndoNeverAdds,
    NormUndoAddInverted,
    OneRowVectors,
    ResizeClamp,
    SharedFcOverwrites,
    SoftreluGradientAtOutput,
    SparseShortOverloads,
    SuperEpsMeanNotSquared,
    TicaAccumulateRoot,
    TicaWindowNotMirrored,
    Undo2014IgnoresScale,
    UndoPairTest,
    // Conventions: on is that of 2012.
    AbsSlopeAtZero,
    AvgPoolClippedArea,
    DecayInMomentum,
    DropoutDisabledScales,
    DropoutScalesInTest,
    MaxTiesFull,
    NreluNoiseIsActivation,
    RateInMomentum,
    SoftreluCut,
    YuvCoefficients,
    Count
};

class Quirks {
public:
    struct Switch {
        const char* name;
        bool on;
    };
    // All switches, in the order of Quirk, and where they stand until somebody turns them.
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
