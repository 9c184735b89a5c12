#include "weights.h"

#include <cmath>

#include "nvmatrix.h"

LearningRate::LearningRate(const LayerDict& dict, const std::string& schedule, double base)
    : type(dict.has(schedule + ".type") ? dict.word(schedule + ".type") : "default"),
      base_(static_cast<float>(base)),
      target(dict.numberOr(1, schedule + ".params.tgtFactor")),
      noise(dict.numberOr(0, schedule + ".params.noiseStdev")),
      steps(static_cast<int>(dict.numberOr(1, schedule + ".params.numSteps"))) {
    bool known = false;
    for (const char* name : {"default", "const", "linear", "exp", "dexp", "jdexp"}) known |= type == name;
    require(known, text(schedule, ": unknown schedule"), "default, const, linear, exp, dexp or jdexp", type);
}

double LearningRate::at(double progress, Normals& normals) const {
    double rate = base_;
    if (type == "linear") rate = base_ * (1 - progress) + base_ / target * progress;
    if (type == "exp") rate = base_ * std::pow(target, -progress);
    if (type == "dexp" || type == "jdexp") rate = stairs(progress);
    return noise > 0 ? rate * (1 + noise * std::abs(normals.draw())) : rate;
}

// Geometric steps from the base rate to base/target, of equal length in progress. In the middle of training, jdexp
// already goes half way down in the second half of a step.
double LearningRate::stairs(double progress) const {
    if (steps <= 1) return base_ / target;
    const auto level = [&](int i) { return base_ * std::pow(target, -static_cast<double>(i) / (steps - 1)); };
    int i = 0;
    while (i < steps - 1 && progress > static_cast<double>(i + 1) / steps) ++i;
    const bool halfway = type == "jdexp" && i > 0 && progress > 0.2 && progress < 0.9 && progress > (i + 0.5) / steps;
    return halfway ? std::sqrt(level(i) * level(i - 1)) : level(i);
}

Weights::Weights(Device& device, int rows, int cols, bool trans, bool useGrad, const LearningRate& rate, double mom,
                 double wc)
    : w(device, rows, cols, trans), inc(device, rows, cols, trans), grad(device, 0, 0, trans), useGrad(useGrad),
      rate(rate), mom(static_cast<float>(mom)), wc(static_cast<float>(wc)) {}

Matrix* Weights::part(const std::string& suffix) {
    if (suffix.empty()) return &w;
    if (suffix == "_inc") return &inc;
    return suffix == "_grad" && useGrad ? &grad : nullptr;
}

Matrix& Weights::gradTarget() {
    Matrix& target = useGrad ? grad : inc;
    if (target.empty())
        target = Matrix(w.device(), w.rows(), w.cols(), w.isTrans());
    else
        target.makeExclusive();
    return target;
}

float Weights::scaleOld(const TrainingStep& step) const {
    if (step.gradientCheck) return 0;
    return passes > 0 ? 1 : useGrad ? 0 : mom;
}

float Weights::scaleNew(TrainingStep& step, int cases) const {
    if (step.gradientCheck) return 1;
    return static_cast<float>((useGrad ? 1 : rate.at(step.progress, step.normals)) / cases);
}

void Weights::update(TrainingStep& step) {
    if (!learns()) return;
    w.makeExclusive();
    inc.makeExclusive();
    if (useGrad) {
        require(!grad.empty(), "there is no gradient", "a backward pass before the update", "none");
        add(inc, grad, mom, static_cast<float>(rate.at(step.progress, step.normals)), inc);
    }
    if (wc > 0) add(inc, w, 1, static_cast<float>(-wc * rate.at(step.progress, step.normals)), inc);
    add(w, inc, 1, 1, w);
    passes = 0;
}
