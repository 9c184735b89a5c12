// Learning rates over time, and the update of a matrix with its constraints (network-and-solver 8, 9).
#include "weights.h"

#include <algorithm>
#include <cmath>

#include "image_ops.h"
#include "matrix_ops.h"

LearningRate::LearningRate(const LayerDict& dict, const std::string& schedule, double base)
    : type(dict.has(schedule + ".type") ? dict.word(schedule + ".type") : "default"),
      base_(single("base learning rate", base)),
      target(dict.numberOr(1, schedule + ".params.tgtFactor")),
      noise(dict.numberOr(0, schedule + ".params.noiseStdev")),
      steps(dict.integerOr(1, schedule + ".params.numSteps")) {
    bool known = false;
    for (const char* name : {"default", "const", "linear", "exp", "dexp", "jdexp"}) known |= type == name;
    require(known, text(schedule, ": unknown schedule"), "default, const, linear, exp, dexp or jdexp", type);
}

double LearningRate::at(double progress, double normal) const {
    double rate = base_;
    if (type == "linear") rate = base_ * (1 - progress) + base_ / target * progress;
    if (type == "exp") rate = base_ * std::pow(target, -progress);
    if (type == "dexp" || type == "jdexp") rate = stairs(progress);
    return noise > 0 ? rate * (1 + noise * std::abs(normal)) : rate;
}

// Geometric steps from the base rate to base/target, of equal length in progress. In the middle of training, jdexp
// already goes half way down in the second half of a step.
double LearningRate::stairs(double progress) const {
    if (steps <= 1) return base_ / target;
    const auto level = [&](int i) { return base_ * std::pow(target, -static_cast<double>(i) / (steps - 1)); };
    int i = static_cast<int>(std::clamp(std::floor(progress * steps) - 2, 0.0, steps - 1.0));
    while (i < steps - 1 && progress > static_cast<double>(i + 1) / steps) ++i;
    const bool halfway = type == "jdexp" && i > 0 && progress > 0.2 && progress < 0.9 && progress > (i + 0.5) / steps;
    return halfway ? std::sqrt(level(i) * level(i - 1)) : level(i);
}

Weights::Weights(Device& device, int rows, int cols, bool trans, const LearningRule& rule)
    : rule(rule),
      w(device, rows, cols, trans),
      inc(device, rows, cols, trans),
      grad(device, 0, 0, trans),
      mean(device, 0, 0, trans),
      square(device, 0, 0, trans),
      before(device, 0, 0, trans) {}

Matrix* Weights::part(const std::string& suffix) {
    if (suffix.empty()) return &w;
    if (suffix == "_inc") return &inc;
    return suffix == "_grad" && !rule.direct ? &grad : nullptr;
}

Matrix& Weights::gradTarget() {
    Matrix& target = rule.direct ? inc : grad;
    if (target.empty()) target = Matrix(w.device(), w.rows(), w.cols(), w.isTrans());
    else target.makeExclusive();
    if (replaces()) contributions == 0 ? copyTo(inc, before) : copyTo(before, inc);
    return target;
}

// In 2011 a sharer's contribution to Δ took the place of the earlier ones.
bool Weights::replaces() const { return rule.direct && w.device().quirks.on(Quirk::SharedFcOverwrites); }

float Weights::scaleOld(const TrainingStep& step) const {
    if (contributions > 0 && !replaces()) return 1;
    return rule.direct && !step.gradientCheck ? rule.mom : 0;
}

float Weights::scaleNew(const TrainingStep& step, int cases, double rate) const {
    if (step.gradientCheck) return 1;
    const bool stepping = rule.direct && w.device().quirks.on(Quirk::RateInMomentum);
    return static_cast<float>((stepping ? rate : 1) / (step.casesPerUpdate > 0 ? step.casesPerUpdate : cases));
}

void Weights::update(double gradRate, double decayRate) {
    const Quirks& quirks = w.device().quirks;
    const bool holdsSteps = quirks.on(Quirk::RateInMomentum);          // Δ, as in 2012; else it holds gradients
    const float within = holdsSteps ? static_cast<float>(gradRate) : 1;
    w.makeExclusive();
    inc.makeExclusive();
    if (!rule.direct) {
        require(!grad.empty(), "there is no gradient", "a backward pass before the update", "none");
        if (rule.superEps > 0) addSuperStep(within);
        else add(inc, grad, rule.mom, within, inc);
    }
    const bool decaysInc = quirks.on(Quirk::DecayInMomentum);
    if (rule.wc > 0 && decaysInc) add(inc, w, 1, static_cast<float>(-rule.wc * (holdsSteps ? decayRate : 1)), inc);
    if (rule.wc > 0 && !decaysInc) scale(w, static_cast<float>(1 - rule.wc * decayRate), w);
    add(w, inc, 1, holdsSteps ? 1 : static_cast<float>(gradRate), w);
    constrain();
    contributions = 0;
}

// A ← μ A + (1 - μ) G,  Q ← μ Q + (1 - μ) G²,  Δ ← 0.9 Δ + ε G / √(Q - A² + superEps); in 2012 A in the place of A², which
// may give NaN (network-and-solver 8.6).
void Weights::addSuperStep(float rate) {
    constexpr float momentum = 0.9f;   // μ is for the averages alone
    for (Matrix* average : {&mean, &square})
        if (average->empty()) *average = Matrix(w.device(), w.rows(), w.cols(), w.isTrans());
    Matrix spread(w.device(), w.rows(), w.cols(), w.isTrans());
    add(mean, grad, rule.mom, 1 - rule.mom, mean);
    eltwiseMult(grad, grad, spread);
    add(square, spread, rule.mom, 1 - rule.mom, square);
    if (w.device().quirks.on(Quirk::SuperEpsMeanNotSquared)) {
        add(square, mean, 1, -1, spread);
    } else {
        eltwiseMult(mean, mean, spread);
        add(square, spread, 1, -1, spread);
    }
    addScalar(spread, rule.superEps, spread);
    squareRoot(spread, spread);
    eltwiseDivide(grad, spread, spread);
    add(inc, spread, momentum, rate, inc);
}

void Weights::constrain() {
    if (rule.maxContrast > 0) limitContrast(w, rule.minContrast, rule.maxContrast);
    if (rule.maxNorm > 0 && rule.banks > 1) normalizeLocalWeights(w.device(), w, rule.banks, rule.maxNorm);
    else if (rule.maxNorm > 0) limitNorms(w, rule.maxNorm);
}
