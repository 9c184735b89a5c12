// Softmax, and the costs that are log-likelihoods.
#include "../kernels/cost_ops.cuh"

#include "cost.h"
#include "cost_layer.h"
#include "eltwise.h"
#include "msm.h"
#include "matrix_ops.h"

namespace {

// p = exp(x - max) / Σ.
class SoftmaxLayer : public EltwiseLayer {
public:
    using EltwiseLayer::EltwiseLayer;

    void connected() override {
        EltwiseLayer::connected();
        cost = costJoinedWith(*this);
    }

protected:
    void fpropActs(int i, float) override {
        const Matrix x = input(i).transposed();
        Matrix p = acts.transposed();
        max(x, 1, perCase);
        addVector(x, perCase, -1, p);
        expInto(p, p);
        sum(p, 1, perCase);
        eltwiseDivideByVector(p, perCase, p);
    }

    void bpropActs(const Matrix& v, int, float scaleTargets, Matrix& target) override {
        Matrix dx = target.transposed();
        if (cost) cost->bpropJoined(acts.transposed(), scaleTargets == 1, dx);
        else computeSoftmaxGrad(device, acts.transposed(), v.transposed(), dx, scaleTargets == 1);
    }

    bool startsGradient() const override { return cost; }

private:
    Matrix perCase{device, 0, 0};
    const CostLayer* cost = nullptr;
};

// Inputs: labels (1 x cases), probabilities (classes x cases). Reports -Σ log p, top-1 errors, top-k errors. In passes
// over views the probabilities are averaged; the numbers change with the last view.
class LogregCost : public CostLayer {
public:
    using CostLayer::CostLayer;

    void connected() override {
        CostLayer::connected();
        require(prev[0]->outputs == 1, "wrong labels", "one per case", text(prev[0]->outputs));
    }

    bool joins(const Layer& below) const override { return below.type == "softmax"; }

    void bpropJoined(const Matrix& p, bool add, Matrix& target) const override {
        computeLogregSoftmaxGrad(device, labels(p.rows()), p, target, add, coeff);
    }

protected:
    void fpropActs(int i, float) override {
        if (i != 1) return;
        if (!isView(passType)) report(input(1));
        else if (addView(input(1))) report(average);
    }

    void bpropActs(const Matrix&, int, float scaleTargets, Matrix& target) override {
        computeLogregGrad(device, input(0), input(1), target, scaleTargets == 1, coeff);
    }

private:
    const int topk = dict.integerOr(1, "topk");
    Matrix logProbs{device, 0, 0}, correct{device, 0, 0}, correctTopK{device, 0, 0}, average{device, 0, 0};
    int views = 0;

    void report(const Matrix& probs) {
        if (topk == 1) computeLogregCost(device, input(0), probs, logProbs, correct);
        else computeMultiSoftmaxCost(device, input(0), probs, probs, logProbs, correct, correctTopK, topk, false);
        const double errors = cases() - sumAll(correct);
        costs = {-sumAll(logProbs), errors, topk == 1 ? errors : cases() - sumAll(correctTopK)};
    }

    // Returns whether that was the last.
    bool addView(const Matrix& probs) {
        const bool first = passType == PassType::FirstView;
        require(first || (views > 0 && average.sameDims(probs)), "there is no first view of these cases",
                "pass types first_view, middle_view ..., last_view", text(views, " views before, ", average.shape()));
        views = first ? 1 : views + 1;
        if (first) copyTo(probs, average);
        else add(average, probs, 1, 1, average);
        if (passType != PassType::LastView) return false;
        scale(average, 1.0f / views, average);
        views = 0;
        return true;
    }
};

// Inputs: a distribution and probabilities, both classes x cases. Reports -Σ t log p and top-1 errors.
class CrossEntropyCost : public CostLayer {
public:
    using CostLayer::CostLayer;

    // In 2012 cost and softmax left the gradient to each other, and the run ended (pool-norm H11).
    bool joins(const Layer& below) const override { return below.type == "softmax"; }

    void bpropJoined(const Matrix& p, bool add, Matrix& target) const override {
        computeCrossEntSoftmaxGrad(device, labels(p.rows()), p, target, add, coeff);
    }

protected:
    void fpropActs(int i, float) override {
        if (i != 1) return;
        computeCrossEntCost(device, input(0), input(1), logProbs, correct);
        costs = {-sumAll(logProbs), cases() - sumAll(correct)};
    }

    void bpropActs(const Matrix&, int, float scaleTargets, Matrix& target) override {
        computeCrossEntGrad(device, input(0), input(1), target, scaleTargets == 1, coeff);
    }

private:
    Matrix logProbs{device, 0, 0}, correct{device, 0, 0};
};

// Inputs: targets and values between 0 and 1. Reports -Σ (t log y + (1-t) log(1-y)).
class BinaryCrossEntropyCost : public CostLayer {
public:
    using CostLayer::CostLayer;

    bool joins(const Layer& below) const override { return below.neuronType() == "logistic"; }

    void bpropJoined(const Matrix& y, bool add, Matrix& target) const override {
        const Matrix t = labels(y.rows()).transposed();
        eltwise::gradient<binary::WeightedAdd>(y, t, target, add, -coeff, coeff);
    }

protected:
    void fpropActs(int i, float) override {
        if (i != 1) return;
        eltwise::binary<binary::BinaryLogLikelihood>(input(0), input(1), logs);
        costs = {-sumAll(logs)};
    }

    void bpropActs(const Matrix&, int, float scaleTargets, Matrix& target) override {
        const float sign = device.quirks.on(Quirk::Crossent2Sign) ? 1 : -1;
        eltwise::gradient<binary::BinaryLogLikelihoodGradient>(input(0), input(1), target, scaleTargets == 1, coeff,
                                                               sign);
    }

private:
    Matrix logs{device, 0, 0};
};

// Inputs: labels, energies (classes x cases): a distribution over sets of setSize classes (multi-softmax). Reports
// -Σ log P(label in the set), and errors among the best 1 and setSize by energy.
class MultiSoftmaxCost : public CostLayer {
public:
    using CostLayer::CostLayer;

protected:
    void fpropActs(int i, float) override {
        if (i != 1) return;
        marginals = computeMultiSoftmaxMarginals(device, input(1), nullptr, setSize, threads);
        computeMultiSoftmaxCost(device, input(0), marginals, input(1), logProbs, correct, correctTopK, setSize, true);
        costs = {-sumAll(logProbs), cases() - sumAll(correct), cases() - sumAll(correctTopK)};
    }

    void bpropActs(const Matrix&, int i, float scaleTargets, Matrix& target) override {
        const Matrix given = computeMultiSoftmaxMarginals(device, input(i), &input(0), setSize, threads);
        Matrix difference(device, 0, 0);
        add(given, marginals, 1, -1, difference);
        add(target, difference, scaleTargets, coeff, target);
    }

private:
    const int setSize = dict.integer("setSize"), threads = dict.integer("threads");
    Matrix marginals{device, 0, 0}, logProbs{device, 0, 0}, correct{device, 0, 0}, correctTopK{device, 0, 0};
};

const LayerType<SoftmaxLayer> softmax("softmax");
const LayerType<LogregCost> logreg("cost.logreg", 2);
const LayerType<CrossEntropyCost> crossent("cost.crossent", 2);
const LayerType<BinaryCrossEntropyCost> crossent2("cost.crossent2", 2);
const LayerType<MultiSoftmaxCost> msm("cost.msm", 2);

}  // namespace
