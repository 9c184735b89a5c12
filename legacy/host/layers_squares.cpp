// Costs built from squares: sum2, gsum2, rflickr, tica.
#include "../kernels/cost_ops.cuh"

#include "cost_layer.h"
#include "eltwise.h"
#include "image_ops.h"
#include "matrix_ops.h"

namespace {

// Reports Σ x².
class SquaresCost : public CostLayer {
public:
    using CostLayer::CostLayer;

protected:
    bool hasLabels() const override { return false; }

    void fpropActs(int i, float) override { costs = {dotProduct(input(i), input(i))}; }

    void bpropActs(const Matrix&, int i, float scaleTargets, Matrix& target) override {
        add(target, input(i), scaleTargets, -2 * coeff, target);
    }
};

// Inputs: a gate per case (1 x cases), x. Reports Σ gate x².
class GatedSquaresCost : public CostLayer {
public:
    using CostLayer::CostLayer;

    void connected() override {
        require(prev[0]->outputs == 1, "the first input has not one value per case", "1, the gate",
                text(prev[0]->outputs));
    }

protected:
    bool hasLabels() const override { return false; }

    void fpropActs(int i, float) override {
        if (i != 1) return;
        eltwise::unary<unary::Square>(input(1), squares);
        eltwiseMultByVector(squares, input(0), gated);
        costs = {sumAll(gated)};
    }

    void bpropActs(const Matrix&, int i, float scaleTargets, Matrix& target) override {
        if (i == 0) return addSum(squares, 0, scaleTargets, -coeff, target);
        eltwiseMultByVector(input(1), input(0), gated);
        add(target, gated, scaleTargets, -2 * coeff, target);
    }

private:
    Matrix squares{device, 0, 0}, gated{device, 0, 0};
};

// Inputs: targets, y. Reports Σ log(1 + (y - t)²).
class FlickrCost : public CostLayer {
public:
    using CostLayer::CostLayer;

protected:
    void fpropActs(int i, float) override {
        if (i != 1) return;
        eltwise::binary<binary::FlickrCost>(input(0), input(1), logs);
        costs = {sumAll(logs)};
    }

    void bpropActs(const Matrix&, int, float scaleTargets, Matrix& target) override {
        eltwise::gradient<binary::FlickrGradient>(input(0), input(1), target, scaleTargets == 1, coeff);
    }

private:
    Matrix logs{device, 0, 0};
};

// Topographic ICA. Reports Σ 1 / (0.001 + √E), which is not the objective. The kernel of its gradient has the quirks
// tica-accumulate-root and tica-window-not-mirrored.
class TicaCost : public CostLayer {
public:
    using CostLayer::CostLayer;

protected:
    bool hasLabels() const override { return false; }

    void fpropActs(int i, float) override {
        convTICA(device, input(i), ticas, channels, sizeX, 0, 1);
        costs = {sumAll(ticas)};
    }

    void bpropActs(const Matrix&, int i, float scaleTargets, Matrix& target) override {
        convTICAGrad(device, input(i), ticas, target, channels, sizeX, scaleTargets, coeff);
    }

private:
    const int channels = dict.integer("channels"), sizeX = dict.integer("sizeX");
    Matrix ticas{device, 0, 0};
};

const LayerType<SquaresCost> sum2("cost.sum2");
const LayerType<GatedSquaresCost> gsum2("cost.gsum2", 2);
const LayerType<FlickrCost> rflickr("cost.rflickr", 2);
const LayerType<TicaCost> tica("cost.tica");

}  // namespace
