// Layers with weights: whose matrices they use, what their passes add to gradients, and their update.
#include "weight_layer.h"

namespace {

std::shared_ptr<Weights> makeBiases(Device& device, const LayerDict& dict, bool trans) {
    LearningRule rule{LearningRate(dict, "schedB", dict.number("epsB"))};
    rule.mom = dict.real("momB");
    rule.superEps = dict.realOr(0, "superEps");
    return std::make_shared<Weights>(device, dict.integer("biasShape", 0), dict.integer("biasShape", 1), trans, rule);
}

LearningRule weightRule(const LayerDict& dict, int i, bool direct, int banks) {
    const auto value = [&](const char* key) { return dict.realOr(0, key, i); };
    LearningRule rule{LearningRate(dict, "schedW", dict.number("epsW", i))};
    rule.mom = dict.real("momW", i);
    rule.wc = value("wc");
    rule.superEps = dict.realOr(0, "superEps");
    rule.direct = direct && !(rule.superEps > 0);
    rule.maxNorm = value("wballNormed");
    rule.minContrast = value("wcNormMin");
    rule.maxContrast = value("wcNormMax");
    rule.banks = banks;
    return rule;
}

}  // namespace

WeightLayer::WeightLayer(Device& device, const LayerDict& dict, bool trans, Route route, int banks)
    : Layer(device, dict), biases(makeBiases(device, dict, trans)) {
    for (int i = 0; i < static_cast<int>(dict.list("inputs").size()); ++i) {
        const LearningRule rule = weightRule(dict, i, route == Route::Direct, banks);
        matrices.push_back(std::make_shared<Weights>(device, dict.integer("weightShapes", 2 * i),
                                                     dict.integer("weightShapes", 2 * i + 1), trans, rule));
        rates.push_back(rule.rate);
        borrowed.push_back(false);
    }
}

void WeightLayer::share(const LayerMap& above) {
    const std::vector<std::string>& sources = dict.list("weightSourceLayers");
    require(sources.size() <= matrices.size(), "too many weightSourceLayers", text("at most ", matrices.size()),
            text(sources.size()));
    for (int i = 0; i < static_cast<int>(sources.size()); ++i) {
        if (sources[i].empty()) continue;
        const auto found = above.find(sources[i]);
        auto* source = found == above.end() ? nullptr : dynamic_cast<WeightLayer*>(found->second.get());
        require(source && source->type == type, text("the source of weights[", i, "] is no such layer above"),
                text("a layer of type ", type), sources[i]);
        const int k = dict.integer("weightSourceMatrixIndices", i);
        const int count = source == this ? i : static_cast<int>(source->matrices.size());
        require(k >= 0 && k < count, text(sources[i], " has no matrix for weights[", i, "]"), text("below ", count),
                text(k));
        require(source->weights(k).sameDims(weights(i)), text(sources[i], "'s matrix has another shape"),
                weights(i).shape(), source->weights(k).shape());
        matrices[i] = source->matrices[k];
        borrowed[i] = true;
        shareMore(i, *source, k);
    }
}

bool WeightLayer::learns() const {
    bool any = biases->learns();
    for (const LearningRate& rate : rates) any |= rate.base() > 0;
    return any;
}

// A gradient check collects what one forward and one backward pass give.
void WeightLayer::forward(std::vector<Matrix> given, PassType pass) {
    const bool changes = (pass == PassType::GradientCheck) != (passType == PassType::GradientCheck);
    if (pass == PassType::GradientCheck || changes) {
        biases->startAnew();
        for (const auto& matrix : matrices) matrix->startAnew();
    }
    Layer::forward(std::move(given), pass);
}

void WeightLayer::bpropParameters(const Matrix& v, const TrainingStep& step) {
    const std::size_t count = matrices.size();
    if (biases->learns()) {
        const double epsilon = rate(biases->rule.rate, step, count, 0);
        bpropBiases(v, biases->scaleOld(step), biases->scaleNew(step, cases(), epsilon), biases->gradTarget());
        biases->contributed();
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (!learns(i)) continue;
        Weights& matrix = *matrices[i];
        const float scaleNew = matrix.scaleNew(step, cases(), rate(rates[i], step, i, 0));
        bpropWeights(v, static_cast<int>(i), matrix.scaleOld(step), scaleNew, matrix.gradTarget());
        matrix.contributed();
    }
}

void WeightLayer::update(const TrainingStep& step) {
    const auto updateOne = [&](Weights& matrix, std::size_t i) {
        if (!matrix.learns()) return;
        matrix.update(rate(matrix.rule.rate, step, i, 0), rate(matrix.rule.rate, step, i, 1));
    };
    for (std::size_t i = 0; i < matrices.size(); ++i)
        if (!borrowed[i]) updateOne(*matrices[i], i);
    updateOne(*biases, matrices.size());
}

void WeightLayer::setNormals(std::vector<double> values) {
    require(values.size() == 2 * (matrices.size() + 1), "schedule_normals have the wrong shape",
            text("(", matrices.size() + 1, ", 2)"), text(values.size(), " values"),
            "a row per weight matrix and one for the biases: for the gradient, for the decay");
    normals = std::move(values);
}

double WeightLayer::rate(const LearningRate& schedule, const TrainingStep& step, std::size_t i, int use) const {
    return schedule.at(step.progress, normals.empty() ? 0 : normals[2 * i + use]);
}

Weights* WeightLayer::holder(const std::string& tensorName, int i) const {
    if (tensorName.compare(0, 6, "biases") == 0 && i < 0) return biases.get();
    const bool own = tensorName.compare(0, 7, "weights") == 0 && i >= 0 && i < static_cast<int>(matrices.size());
    return own ? matrices[i].get() : nullptr;
}

Matrix* WeightLayer::part(const std::string& tensorName, int i) const {
    Weights* const found = holder(tensorName, i);
    return found ? found->part(tensorName.substr(i < 0 ? 6 : 7)) : nullptr;
}

Matrix WeightLayer::tensor(const std::string& tensorName, int i) const {
    const Matrix* const found = part(tensorName, i);
    return found ? found->alias() : Layer::tensor(tensorName, i);
}

const Matrix* WeightLayer::likeness(const std::string& tensorName, int i) {
    return part(tensorName, i) ? &holder(tensorName, i)->w : nullptr;
}

Matrix* WeightLayer::overwrite(const std::string& tensorName, int i) {
    const Matrix* const like = likeness(tensorName, i);
    if (like) part(tensorName, i)->renew(like->rows(), like->cols());
    return part(tensorName, i);
}
