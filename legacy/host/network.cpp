// Builds the network from layer dictionaries and runs its steps; every refusal names the layer.
#include "network.h"

#include <chrono>

namespace {

std::string knownTypes() {
    std::string list;
    for (const auto& [type, make] : layerTypes()) list += (list.empty() ? "" : ", ") + type;
    return list;
}

// Names the layer in what it refuses.
template <typename Work>
void named(const std::string& layer, Work work) {
    try {
        work();
    } catch (const Refused& refusal) {
        throw Refused(text("layer ", layer, ": ", refusal.problem), refusal.expected, refusal.actual, refusal.hint);
    }
}

// Refuses a layer with more or fewer inputs than its type has.
void requireCount(const LayerMaker& type, const LayerDict& dict) {
    const int count = static_cast<int>(dict.list("inputs").size());
    require(type.fewest <= count && count <= type.most,
            text("wrong number of inputs of a ", dict.word("type"), " layer"),
            text(type.fewest, type.fewest == type.most ? "" : " or more"), text(count),
            "the specification, config-format 6, has the number of every layer type");
}

}  // namespace

Network::Network(Device& device, const std::vector<LayerDict>& dicts, int updateEvery, int minibatch, bool quantise)
    : device(device),
      updateEvery(updateEvery),
      casesPerUpdate(updateEvery > 1 ? product("update_every * minibatch", {updateEvery, minibatch}) : 0) {
    for (const LayerDict& dict : dicts) connect(dict);
    for (auto& item : layers) item.second->quantised = quantise;
    for (auto& item : layers) named(item.first, [&] { item.second->connected(); });
}

void Network::connect(const LayerDict& dict) {
    const std::string& name = dict.word("name");
    named(name, [&] {
        const auto maker = layerTypes().find(dict.word("type"));
        require(maker != layerTypes().end(), "unsupported layer type", knownTypes(), dict.word("type"));
        require(!layers.count(name), "there are two layers of this name", "one", "two");
        requireCount(maker->second, dict);
        std::unique_ptr<Layer> layer = maker->second.make(device, dict);
        layer->gradConsumer = layer->learns();
        for (const std::string& source : dict.list("inputs")) {
            require(layers.count(source), "an input is no layer above this one", "inputs first", source);
            layer->prev.push_back(layers.at(source).get());
            layer->prev.back()->next.push_back(layer.get());
            layer->gradConsumer |= layer->prev.back()->gradConsumer;
        }
        Layer& added = *(layers[name] = std::move(layer));
        added.share(layers);
    });
}

Layer& Network::at(const std::string& layer) {
    const auto found = layers.find(layer);
    require(found != layers.end(), "there is no such layer", "a layer of the network", layer);
    return *found->second;
}

template <typename Work>
void Network::step(Layer& layer, const char* pass, Work work) {
    device.layer = layer.name;
    device.pass = pass;
    const auto start = std::chrono::steady_clock::now();
    named(layer.name, work);
    times[{layer.name, pass}] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Network::forward(const std::string& name, std::vector<Matrix> given, const Matrix* mask, PassType passType) {
    Layer& layer = at(name);
    step(layer, "forward", [&] {
        layer.setMask(mask);
        layer.forward(std::move(given), passType);
    });
}

void Network::backward(const std::string& name, const Matrix* actsGrad, double progress) {
    Layer& layer = at(name);
    const TrainingStep now{progress, casesPerUpdate};
    step(layer, "backward", [&] { layer.backward(actsGrad, now); });
}

bool Network::update(const std::string& name, double progress) {
    Layer& layer = at(name);
    if (layer.backwardPasses % updateEvery != 0) return false;
    step(layer, "update", [&] { layer.update({progress}); });
    return true;
}

Matrix Network::sumGrad(const std::string& name, const std::vector<Contribution>& parts) {
    Layer& layer = at(name);
    GradientSum sum(device);
    for (const Contribution& part : parts) {
        Layer& consumer = at(part.consumer);
        step(consumer, "sum_grad", [&] {
            require(part.input >= 0 && part.input < static_cast<int>(consumer.prev.size()) &&
                        consumer.prev[part.input] == &layer,
                    text("input ", part.input, " is not ", name), "an input that reads that layer", text(part.input));
            sum.add(layer.outputs, consumer.cases(), layer.remoteDeviceOf(consumer),
                    [&](float scaleTargets, Matrix& target) {
                        consumer.contribute(part.given ? &part.actsGrad : nullptr, part.input, scaleTargets, target);
                    });
        });
    }
    return sum.total();
}

void Network::setNormals(const std::string& name, std::vector<double> normals) {
    named(name, [&] { at(name).setNormals(std::move(normals)); });
}

void Network::setConnections(const std::string& name, int input, const std::vector<int>& channels) {
    named(name, [&] { at(name).setConnections(input, channels); });
}

double Network::seconds(const std::string& layer, const std::string& pass) const {
    const auto found = times.find({layer, pass});
    return found == times.end() ? -1 : found->second;
}
