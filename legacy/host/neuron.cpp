// The table of neurons: operator, gradient and generations of each; activation and gradient (pool-norm 8).
#include "../kernels/neurons.cuh"

#include "neuron.h"

#include <map>

#include "eltwise.h"
#include "entry_points.h"
#include "matrix_ops.h"

namespace {

using ActivateFunction = void (*)(const Matrix&, Matrix&, float, float);
using GradientFunction = void (*)(const Matrix&, const Matrix&, Matrix&, bool, float, float);

template <typename Gradient>
void inputGrad(const Matrix& actsGrad, const Matrix& reference, Matrix& target, bool add, float a, float b) {
    eltwise::gradient<Gradient>(actsGrad, reference, target, add, a, b);
}

void linearInputGrad(const Matrix& actsGrad, const Matrix&, Matrix& target, bool add_, float a, float) {
    if (add_) return add(actsGrad, target, a, 1, target);
    target.resize(actsGrad);
    scale(actsGrad, a, target);
}

void identityInputGrad(const Matrix& actsGrad, const Matrix& reference, Matrix& target, bool add, float, float) {
    linearInputGrad(actsGrad, reference, target, add, 1, 0);
}

// distinct: outputs may not overwrite inputs. fromInputs: the derivative is taken at the inputs.
struct Neuron {
    ActivateFunction activate;
    GradientFunction gradient;
    bool fromInputs = false, distinct = false;
    int since = 2011, until = 2014;                 // generations that have it
};

const std::map<std::string, Neuron>& neurons() {
    static const std::map<std::string, Neuron> all{
        {"relu", {eltwise::unary<unary::ReluOperator>, inputGrad<binary::ReluGradient>}},
        {"nrelu", {eltwise::unary<unary::ReluOperator>, inputGrad<binary::ReluGradient>, false, false, 2012, 2012}},
        {"brelu", {eltwise::unary<unary::BoundedReluOperator>, inputGrad<binary::BoundedReluGradient>}},
        {"softrelu", {eltwise::unary<unary::SoftReluOperator>, inputGrad<binary::SoftReluGradient>, true, true}},
        {"abs", {eltwise::unary<unary::AbsOperator>, inputGrad<binary::AbsGradient>, true, true}},
        {"logistic", {eltwise::unary<unary::LogisticOperator>, inputGrad<binary::LogisticGradient>}},
        {"tanh", {eltwise::unary<unary::TanhOperator>, inputGrad<binary::TanhGradient>}},
        {"square", {eltwise::unary<unary::Square>, inputGrad<binary::SquareGradient>, true, true}},
        {"sqrt", {eltwise::unary<unary::SqrtOperator>, inputGrad<binary::SqrtGradient>}},
        {"linear", {eltwise::unary<unary::LinearOperator>, linearInputGrad}},
        {"ident", {eltwise::unary<unary::Identity>, identityInputGrad}},
        {"drelu", {eltwise::unary<unary::DoubleReluOperator>, inputGrad<binary::DoubleReluGradient>, true, true, 2012}},
        {"log", {eltwise::unary<unary::LogOperator>, inputGrad<binary::LogGradient>, true, false, 2014}}};
    return all;
}

Neuron neuronOf(const NeuronSpec& spec, int generation, const Quirks& quirks = {}) {
    require(spec.type != "abstanh", "neuron abstanh does not exist", "tanh, or abs above tanh", spec.type,
            "the parsers of all generations have a class for it, but it is not registered, and no engine computes it");
    const auto found = neurons().find(spec.type);
    require(found != neurons().end(), "unknown neuron",
            "relu, nrelu, brelu, softrelu, abs, logistic, tanh, square, sqrt, "
            "linear, ident, drelu or log",
            spec.type);
    Neuron neuron = found->second;
    require(generation >= neuron.since && generation <= neuron.until, text("neuron ", spec.type, ": generation"),
            text(neuron.since, " to ", neuron.until), text(generation));
    if (spec.type == "abs" && !quirks.on(Quirk::AbsSlopeAtZero)) neuron.gradient = inputGrad<binary::FlatAbsGradient>;
    if (spec.type == "softrelu" && !quirks.on(Quirk::SoftreluCut)) {
        neuron.activate = eltwise::unary<unary::SmoothReluOperator>;
        neuron.gradient = inputGrad<binary::SmoothReluGradient>;
        return neuron;
    }
    if (spec.type == "softrelu" && quirks.on(Quirk::SoftreluGradientAtOutput, generation == 2011))
        neuron.fromInputs = false; // the formula is still that of inputs
    if (spec.type == "softrelu" && generation == 2014)
        neuron = {neuron.activate, inputGrad<binary::SoftReluGradient2014>};
    if (spec.type == "tanh" && generation == 2011) neuron.gradient = inputGrad<binary::TanhGradient2011>;
    return neuron;
}

} // namespace

void requireNeuron(const NeuronSpec& spec, int generation) { neuronOf(spec, generation); }

void neuronActivate(Device& device, const NeuronSpec& spec, const Matrix& inputs, Matrix& outputs, int generation) {
    const Neuron neuron = neuronOf(spec, generation, device.quirks);
    const bool inPlace = inputs.data() == outputs.data() && !inputs.empty();
    require(!neuron.distinct || !inPlace, text("neuron ", spec.type, ": outputs overwrite the inputs"),
            "separate matrices", "the same matrix", "its gradient needs the inputs");
    if (spec.type == "ident" && inPlace) return;
    neuron.activate(inputs, outputs, spec.a, spec.b);
}

void noisyRelu(Device& device, const Matrix& inputs, const Matrix& normals, Matrix& outputs) {
    const NeuronSpec relu{"relu"};
    neuronActivate(device, relu, inputs, outputs);
    if (device.quirks.on(Quirk::NreluNoiseIsActivation)) {
        eltwise::ternary<ternary::MultiplyAdd>(outputs, normals, outputs);
    } else {
        Matrix deviations(device, 0, 0);
        eltwise::unary<unary::SqrtOperator>(outputs, deviations);
        eltwise::ternary<ternary::MultiplyAdd>(deviations, normals, outputs);
    }
    neuronActivate(device, relu, outputs, outputs);
}

void neuronInputGrad(Device& device, const NeuronSpec& spec, const Matrix& actsGrad, const Matrix& inputs,
                     const Matrix& outputs, Matrix& target, bool add, int generation) {
    const Neuron neuron = neuronOf(spec, generation, device.quirks);
    neuron.gradient(actsGrad, neuron.fromInputs ? inputs : outputs, target, add, spec.a, spec.b);
}

namespace {

const Entry entries[] = {{"neuron", [](Device& device, Arguments& a) {
                              const NeuronSpec spec{a.word("type"), a.real("a"), a.real("b")};
                              const Matrix& inputs = a.matrix("inputs");
                              Matrix& outputs = a.matrix("outputs");
                              neuronActivate(device, spec, inputs, outputs, a.generation);
                              neuronInputGrad(device, spec, a.matrix("actsGrad"), inputs, outputs, a.matrix("target"),
                                              a.flag("add"), a.generation);
                          }}};

} // namespace
