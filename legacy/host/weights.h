// A weight matrix (or a bias) with what trains it: gradient, momentum buffer, learning rate (network-and-solver 8, 9).
//
//   Δ ← μ Δ + ε G;   Δ ← Δ - λ ε W;   W ← W + Δ        (gradients are of minus the cost: training ascends)
#pragma once
#include "layer_dict.h"
#include "matrix.h"

// A learning-rate schedule: the rate at a progress between 0 and 1. With noise σ it is multiplied by 1 + σ |normal|.
class LearningRate {
public:
    LearningRate(const LayerDict& dict, const std::string& schedule, double base);
    float base() const { return base_; }
    double at(double progress, double normal) const;

private:
    std::string type;
    float base_;
    double target, noise;
    int steps;
    double stairs(double progress) const;
};

// What one backward pass or update needs to know beside the tensors.
struct TrainingStep {
    double progress = 0;
    int casesPerUpdate = 0;            // what gradients are divided by; 0: the cases of each pass
    bool gradientCheck = false;        // they are not divided
};

// How a matrix learns. Layers that share it keep the owner's rule.
struct LearningRule {
    LearningRate rate;
    float mom = 0, wc = 0, superEps = 0;
    // direct: backward passes put μΔ + (ε/B)∂W into Δ; else they leave G in a matrix of its own.
    bool direct = false;
    // Constraints after an update, where they are positive: the norm of a column (wball), and its contrast, the root
    // of its squared deviations from their mean over its length (wcNorm).
    float maxNorm = 0, minContrast = 0, maxContrast = 0;
    int banks = 1;                     // matrices below each other, whose columns are apart
};

class Weights {
public:
    Weights(Device& device, int rows, int cols, bool trans, const LearningRule& rule);

    const LearningRule rule;
    Matrix w, inc, grad;
    Matrix* part(const std::string& suffix);           // "", "_inc", or "_grad" where there is a gradient matrix
    bool learns() const { return rule.rate.base() > 0; }

    // A backward pass puts its sum over the cases here, target ← scaleOld * target + scaleNew * sum. The first one after
    // an update overwrites G, or scales Δ by its momentum (in a gradient check overwrites it too); further ones add.
    // rate: of the layer that contributes, at this use.
    Matrix& gradTarget();
    float scaleOld(const TrainingStep& step) const;
    float scaleNew(const TrainingStep& step, int cases, double rate) const;
    void contributed() { ++contributions; }
    void startAnew() { contributions = 0; }

    // gradRate, decayRate: ε in the first and in the second term of the rule; noise tells them apart.
    void update(double gradRate, double decayRate);

private:
    Matrix mean, square;               // running averages of G and G², with superEps
    Matrix before;                     // Δ before the first contribution, where further ones are to replace it
    int contributions = 0;             // since the last update

    bool replaces() const;
    void addSuperStep(float rate);
    void constrain();
};
