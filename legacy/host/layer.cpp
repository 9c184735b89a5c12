// What all layers do in a forward and a backward step, and the tensors that they show.
#include "layer.h"

#include <algorithm>

#include "quantise.h"

std::map<std::string, LayerMaker>& layerTypes() {
    static std::map<std::string, LayerMaker> all;
    return all;
}

namespace {

// Whether a quantiser of a layer is `half`; data layers are not quantised.
bool isHalf(const LayerDict& dict, const char* quantiser) {
    const std::string key = text(quantiser, ".type");
    return dict.word("type") != "data" && dict.has(key) && dict.word(key) == "half";
}

}  // namespace

Layer::Layer(Device& device, const LayerDict& dict)
    : name(dict.word("name")),
      type(dict.word("type")),
      outputs(dict.integer("outputs")),
      acts(device, 0, 0),
      device(device),
      dict(dict),
      gpu(std::max(0, dict.integerOr(0, "gpu"))),
      halfActs(isHalf(dict, "quantF")),
      halfGrads(isHalf(dict, "quantB")) {
    require(outputs >= 0, "outputs", "0 or more", text(outputs));
    for (std::size_t i = 0; i < dict.list("inputs").size(); ++i) inputsGrad.emplace_back(device, 0, 0);
}

void Layer::forward(std::vector<Matrix> given, PassType pass) {
    fed = std::move(given);
    passType = pass;
    actsGrad.restart();
    checkInputs();
    acts.renew(outputs, numCases);
    for (int i = 0; i < static_cast<int>(prev.size()); ++i) fpropActs(i, i > 0);
    require(acts.rows() == outputs, "its geometry does not give its outputs", text(outputs), text(acts.rows()));
    if (halfActs && std::any_of(next.begin(), next.end(), [&](const Layer* reader) { return onOtherDevice(*reader); }))
        roundForOtherDevices();
}

void Layer::roundForOtherDevices() {
    Matrix packed(device, 0, 0);
    convQuantizeHalf(device, acts, packed);
    rounded.renew(outputs, numCases);
    convDequantizeHalf(device, packed, rounded, static_cast<int>(acts.size()));
}

int Layer::remoteDeviceOf(const Layer& reader) const {
    return halfGrads && onOtherDevice(reader) ? reader.gpu : GradientSum::sameDevice;
}

void Layer::checkInputs() {
    require(fed.empty() || fed.size() == prev.size(), "wrong number of inputs", text(prev.size()), text(fed.size()));
    for (int i = 0; i < static_cast<int>(prev.size()); ++i) {
        const Matrix& x = input(i);
        require(!x.empty(), text("input ", i, " (", prev[i]->name, ") has no acts"), "a forward pass of that layer",
                "none, or released", "give the inputs as arrays, or run the layers in order");
        if (i == 0) numCases = x.cols();
        require(acceptsRows(i, x.rows()) && x.cols() == numCases, text("input ", i, " has the wrong shape"),
                text("(", prev[i]->outputs, ", ", numCases, ")"), x.shape(), "units x cases, equal cases everywhere");
    }
}

Matrix Layer::outputGrad(const Matrix* given) {
    if (startsGradient()) return Matrix();
    require(given || fed.empty(), "the gradient of its output is missing", "acts_grad as an array", "none",
            "a layer that was given its inputs must be given this too");
    require(given || !actsGrad.empty(), "no layer above has sent a gradient", "a backward pass of its consumers",
            "none");
    Matrix v = given ? given->alias() : actsGrad.total();
    require(v.rows() == outputs && v.cols() == numCases, "acts_grad has the wrong shape",
            text("(", outputs, ", ", numCases, ")"), v.shape(), numCases ? "" : "run the forward pass first");
    return v;
}

void Layer::backward(const Matrix* given, TrainingStep step) {
    const Matrix v = outputGrad(given);
    const bool fresh = given || !fed.empty();
    step.gradientCheck = passType == PassType::GradientCheck;
    bpropParameters(v, step);
    for (int i = 0; i < static_cast<int>(prev.size()); ++i) {
        if (!sendsGradient(i)) continue;
        const auto send = [&](float scaleTargets, Matrix& target) { bpropActs(v, i, scaleTargets, target); };
        if (fresh) {
            inputsGrad[i].renew(prev[i]->outputs, numCases);
            send(0, inputsGrad[i]);
        } else {
            prev[i]->actsGrad.add(prev[i]->outputs, numCases, prev[i]->remoteDeviceOf(*this), send);
        }
    }
    backwardPasses += !step.gradientCheck;
}

void Layer::contribute(const Matrix* given, int i, float scaleTargets, Matrix& target) {
    require(i >= 0 && i < static_cast<int>(prev.size()) && sendsGradient(i), text("input ", i, " gets no gradient"),
            "an input that wants one", text(i));
    bpropActs(outputGrad(given), i, scaleTargets, target);
}

void Layer::release() {
    for (Matrix* own : {&acts, &rounded, &mask}) *own = Matrix(device, 0, 0);
    for (Matrix& grad : inputsGrad) grad = Matrix(device, 0, 0);
    fed.clear();
    actsGrad.clear();
}

void Layer::dropActs() {
    if (!readsActs() && !fed.empty()) acts = Matrix(device, 0, 0);
}

Matrix Layer::tensor(const std::string& tensorName, int i) const {
    if (tensorName == "acts" && i < 0) return acts.alias();
    if (tensorName == "mask" && i < 0) return mask.alias();
    if (tensorName == "acts_grad" && i < 0) return actsGrad.total();
    if (tensorName == "inputs_grad" && i >= 0 && i < static_cast<int>(inputsGrad.size())) return inputsGrad[i].alias();
    return Matrix();
}

void Layer::setMask(const Matrix* given) {
    require(!given || randomness(), "takes no mask", "a layer that is random: hs, nrelu, pool=rand, rscale", type);
    mask = given ? given->alias() : Matrix(device, 0, 0);
}

void Layer::requireMask(int rows, int cols) const {
    require(mask.rows() == rows && mask.cols() == cols, text(randomness(), ": missing or of the wrong shape"),
            text("(", rows, ", ", cols, ")"), mask.shape(), "a forward pass in which the layer is random needs mask=");
}

void ConstantLayer::connected() {
    require(!prev[0]->gradConsumer, text("layers of type ", type, " pass no gradient on"), "nothing that learns below",
            prev[0]->name);
}

void Layer::setNormals(std::vector<double>) { require(false, "has no learning rate", "a layer with weights", type); }

void Layer::setConnections(int, const std::vector<int>&) {
    require(false, "has no random connections", "a conv or local layer", type);
}

void EltwiseLayer::connected() {
    for (const Layer* below : prev)
        require(below->outputs == outputs, text("input ", below->name, " has another shape"), text(outputs, " outputs"),
                text(below->outputs));
}
