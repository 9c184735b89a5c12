// Layers over units: data, neurons, dropout, and those that combine their inputs.
#include "cost.h"
#include "cost_layer.h"
#include "neuron.h"
#include "matrix_ops.h"

#include <algorithm>

namespace {

class DataLayer : public Layer {
public:
    using Layer::Layer;

    void forward(std::vector<Matrix> given, PassType) override {
        require(given.size() == 1, "wrong number of matrices", "its values", text(given.size()));
        require(rowsFit(given[0].rows()) && given[0].cols() > 0, "the data has the wrong shape",
                text("(", outputs, ", cases)"), given[0].shape());
        acts = std::move(given[0]);
    }

protected:
    // Views come at the size that an rscale layer above would give them.
    bool rowsFit(int rows) const {
        return rows == outputs || std::any_of(next.begin(), next.end(), [=](const Layer* above) {
                   return above->type == "rscale" && above->outputs == rows;
               });
    }

    void fpropActs(int, float) override {}
    void bpropActs(const Matrix&, int, float, Matrix&) override {}
};

// Y = f(X) element by element. A logistic neuron goes backward in one step with a cost.crossent2 above it.
class NeuronLayer : public EltwiseLayer {
public:
    NeuronLayer(Device& device, const LayerDict& dict) : EltwiseLayer(device, dict) {
        neuron.type = dict.word("neuron.type");
        neuron.a = dict.realOr(1, "neuron.params.a");
        neuron.b = dict.realOr(1, "neuron.params.b");
        requireNeuron(neuron);
    }

    std::string neuronType() const override { return neuron.type; }

    void connected() override {
        EltwiseLayer::connected();
        cost = costJoinedWith(*this);
    }

protected:
    const char* randomness() const override { return neuron.type == "nrelu" ? "the normals of nrelu" : nullptr; }

    void fpropActs(int i, float) override {
        const Matrix x = input(i).transposed();
        Matrix y = acts.transposed();
        if (!randomness()) return neuronActivate(device, neuron, x, y);
        requireMask(outputs, cases());             // in all passes: 2012 added noise in tests too
        noisyRelu(device, x, mask.transposed(), y);
    }

    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        const Matrix y = acts.transposed();
        Matrix dx = target.transposed();
        if (cost) cost->bpropJoined(y, scaleTargets > 0, dx);
        else neuronInputGrad(device, neuron, v.transposed(), input(i).transposed(), y, dx, scaleTargets > 0);
    }

    bool startsGradient() const override { return cost; }

private:
    NeuronSpec neuron;
    const CostLayer* cost = nullptr;
};

// Dropout: a 0/1 mask in training, else the factor keep; nothing is rescaled in training.
class DropoutLayer : public EltwiseLayer {
public:
    using EltwiseLayer::EltwiseLayer;

protected:
    const char* randomness() const override { return "the dropout mask, 0 and 1"; }

    void fpropActs(int i, float) override {
        if (!masked()) {
            scale(input(i), factor(), acts);
            return;
        }
        requireMask(outputs, cases());
        eltwiseMult(input(i), mask, acts);
        if (inverted()) scale(acts, 1 / keep, acts);
    }

    void bpropActs(const Matrix& v, int, float scaleTargets, Matrix& target) override {
        if (!masked()) add(target, v, scaleTargets, factor(), target);
        else if (inverted()) {
            Matrix fresh(device, 0, 0);
            eltwiseMult(v, mask, fresh);
            add(target, fresh, scaleTargets, 1 / keep, target);
        } else if (scaleTargets == 0) eltwiseMult(v, mask, target);
        else eltwiseMultAdd(v, mask, target);
    }

private:
    const float keep = dict.real("keep");
    const bool enable = dict.numberOr(1, "enable") != 0;

    bool masked() const { return enable && passType == PassType::Train; }
    // Divides by keep in training, and copies otherwise: not in 2012.
    bool inverted() const { return !device.quirks.on(Quirk::DropoutScalesInTest); }
    float factor() const {
        return inverted() || (!enable && !device.quirks.on(Quirk::DropoutDisabledScales)) ? 1 : keep;
    }
};

// Y = the inputs one below the other.
class ConcatLayer : public Layer {
public:
    using Layer::Layer;

    void connected() override {
        long rows = 0;
        for (const Layer* below : prev) rows += below->outputs;
        require(rows == outputs, "its inputs do not add up", text(outputs, " outputs"), text(rows));
    }

protected:
    void fpropActs(int i, float) override {
        Matrix part = acts.rowsView(offset(i), prev[i]->outputs);
        scale(input(i), 1, part);
    }

    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        add(target, v.rowsView(offset(i), prev[i]->outputs), scaleTargets, 1, target);
    }

private:
    int offset(int i) const {
        int rows = 0;
        for (int k = 0; k < i; ++k) rows += prev[k]->outputs;
        return rows;
    }
};

// Y = Σ_i coeff_i X_i.
class EltwiseSumLayer : public EltwiseLayer {
public:
    EltwiseSumLayer(Device& device, const LayerDict& dict) : EltwiseLayer(device, dict) {
        for (std::size_t i = 0; i < dict.list("inputs").size(); ++i)
            coeffs.push_back(dict.real("coeffs", static_cast<int>(i)));
    }

protected:
    void fpropActs(int i, float scaleTargets) override { add(acts, input(i), scaleTargets, coeffs[i], acts); }

    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        add(target, v, scaleTargets, coeffs[i], target);
    }

private:
    std::vector<float> coeffs;
};

// Y = max_i X_i; every input that ties gets the full gradient.
class EltwiseMaxLayer : public EltwiseLayer {
public:
    using EltwiseLayer::EltwiseLayer;

protected:
    void fpropActs(int i, float) override {
        if (i == 1) applyMax(input(1), input(0), acts);
        else if (i > 1) applyMax(acts, input(i), acts);
    }

    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        if (i == 0 || device.quirks.on(Quirk::MaxTiesFull))
            return computeEltwiseMaxGrad(device, v, input(i), acts, target, scaleTargets != 0);
        Matrix fresh(device, 0, 0), tied(device, 0, 0);
        computeEltwiseMaxGrad(device, v, input(i), acts, fresh, false);
        for (int k = 0; k < i; ++k) {
            computeEltwiseMaxGrad(device, fresh, input(k), acts, tied, false);
            add(fresh, tied, 1, -1, fresh);
        }
        add(target, fresh, scaleTargets, 1, target);
    }
};

const LayerType<DataLayer> data("data", 0);
const LayerType<NeuronLayer> neuron("neuron");
const LayerType<DropoutLayer> hs("hs");
const LayerType<ConcatLayer> concat("concat", 1, anyNumber);
const LayerType<EltwiseSumLayer> eltsum("eltsum", 1, anyNumber);
const LayerType<EltwiseMaxLayer> eltmax("eltmax", 2, anyNumber);

}  // namespace
