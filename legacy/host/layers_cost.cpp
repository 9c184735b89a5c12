// Softmax and the cost above it. Costs are sums over the cases; gradients are those of minus the cost.
#include "cost.h"
#include "layer.h"
#include "nvmatrix.h"

namespace {

// Inputs: labels (1 x cases), probabilities (classes x cases). Reports -Σ log p, top-1 errors, top-k errors.
class LogregCost : public Layer {
public:
    LogregCost(Device& device, const LayerDict& dict)
        : Layer(device, dict), coeff(static_cast<float>(dict.number("coeff"))),
          topk(static_cast<int>(dict.numberOr(1, "topk"))), logProbs(device, 0, 0), correct(device, 0, 0),
          correctTopK(device, 0, 0) {}

    const float coeff;
    const Matrix& labels(int forCases) const {
        const Matrix& labels = input(0);
        require(labels.cols() == forCases, text(name, " has not the labels of these cases"),
                text("a forward pass of the cost with ", forCases, " cases"), text(labels.cols()));
        return labels;
    }

    void connected() override {
        require(prev.size() == 2 && prev[0]->outputs == 1, "wrong inputs", "labels (one per case), probabilities",
                text(prev.size(), " inputs"));
        softmaxDoesIt = prev[1]->type == "softmax" && prev[1]->next.size() == 1;
    }

protected:
    void fpropActs(int i, float) override {
        if (i != 1) return;
        checkLabels();
        if (topk == 1)
            computeLogregCost(device, input(0), input(1), logProbs, correct);
        else
            computeMultiSoftmaxCost(device, input(0), input(1), input(1), logProbs, correct, correctTopK, topk, false);
        const double errors = cases() - sumAll(correct);
        costs = {-sumAll(logProbs), errors, topk == 1 ? errors : cases() - sumAll(correctTopK)};
    }

    void bpropActs(const Matrix&, int, float scaleTargets, Matrix& target) override {
        computeLogregGrad(device, input(0), input(1), target, scaleTargets == 1, coeff);
    }

    bool startsGradient() const override { return true; }
    bool sendsGradient(int i) const override { return i == 1 && coeff != 0 && !softmaxDoesIt && prev[i]->gradConsumer; }

private:
    const int topk;
    Matrix logProbs, correct, correctTopK;
    bool softmaxDoesIt = false;

    // The kernels use labels as indices, unchecked.
    void checkLabels() const {
        std::vector<float> labels(cases());
        device.copyOut(labels.data(), input(0).data(), labels.size());
        for (const float label : labels)
            require(label >= 0 && label < static_cast<float>(input(1).rows()), "a label is no class",
                    text("0 to ", input(1).rows() - 1), text(label));
    }
};

// p = exp(x - max) / Σ. Below a cost.logreg that is its only consumer it does the gradient of both.
class SoftmaxLayer : public EltwiseLayer {
public:
    SoftmaxLayer(Device& device, const LayerDict& dict) : EltwiseLayer(device, dict), perCase(device, 0, 0) {}

    void connected() override {
        EltwiseLayer::connected();
        cost = next.size() == 1 ? dynamic_cast<LogregCost*>(next[0]) : nullptr;
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
        if (cost)
            computeLogregSoftmaxGrad(device, cost->labels(cases()), acts.transposed(), dx, scaleTargets == 1,
                                     cost->coeff);
        else
            computeSoftmaxGrad(device, acts.transposed(), v.transposed(), dx, scaleTargets == 1);
    }

    bool startsGradient() const override { return cost; }

private:
    Matrix perCase;
    const LogregCost* cost = nullptr;
};

const LayerType<LogregCost> logreg("cost.logreg");
const LayerType<SoftmaxLayer> softmax("softmax");

}  // namespace
