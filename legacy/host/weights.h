// A weight matrix (or a bias) with what trains it: gradient, momentum buffer, learning rate (network spec 8, 9).
//
//   Δ ← μ Δ + ε G;   Δ ← Δ - λ ε W;   W ← W + Δ        (gradients are of minus the cost: training ascends)
#pragma once
#include <vector>

#include "layer_dict.h"
#include "matrix.h"

// Standard normals for the noise of schedules, handed in and used in order, a new one at every use of a rate.
// Where none is left there is no noise.
class Normals {
public:
    Normals() = default;
    explicit Normals(std::vector<double> values) : values(std::move(values)) {}
    double draw() { return next < values.size() ? values[next++] : 0; }

private:
    std::vector<double> values;
    std::size_t next = 0;
};

// A learning-rate schedule: the rate at a progress between 0 and 1.
class LearningRate {
public:
    LearningRate(const LayerDict& dict, const std::string& schedule, double base);
    float base() const { return base_; }
    double at(double progress, Normals& normals) const;

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
    Normals normals;
    bool gradientCheck = false;        // gradients are not divided by the number of cases
};

class Weights {
public:
    // useGrad: backward passes leave G in a matrix of its own; else they put μΔ + (ε/B)∂W into Δ directly.
    Weights(Device& device, int rows, int cols, bool trans, bool useGrad, const LearningRate& rate, double mom,
            double wc);

    Matrix w, inc, grad;
    Matrix* part(const std::string& suffix);           // "", "_inc", or "_grad" where there is a gradient matrix
    bool learns() const { return rate.base() > 0; }

    // Where a backward pass puts its sum over the cases, target ← scaleOld * target + scaleNew * sum, and with which
    // factors: the first pass after an update overwrites G, or scales Δ by its momentum; further ones add. A gradient
    // check overwrites either.
    Matrix& gradTarget();
    float scaleOld(const TrainingStep& step) const;
    float scaleNew(TrainingStep& step, int cases) const;
    void gradAdded(const TrainingStep& step) { passes += !step.gradientCheck; }

    void update(TrainingStep& step);

private:
    bool useGrad;
    LearningRate rate;
    float mom, wc;
    int passes = 0;                    // backward passes since the last update
};
