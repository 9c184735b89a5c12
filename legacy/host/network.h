// The network: layers by name, and the steps, one layer at a time.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "layer.h"

class Network {
public:
    // Layers in definition order: inputs first. Weights are updated after every `updateEvery` backward passes, which
    // are taken for passes of `minibatch` cases if they are more than one. `quantise`: see Layer::quantised.
    Network(Device& device, const std::vector<LayerDict>& layers, int updateEvery = 1, int minibatch = 0,
            bool quantise = false);

    // Steps of one layer, as Layer::forward and Layer::backward describe them. Their launches carry layer and pass.
    void forward(const std::string& layer, std::vector<Matrix> given, const Matrix* mask, PassType passType);
    void backward(const std::string& layer, const Matrix* actsGrad, double progress);
    bool update(const std::string& layer, double progress);           // false: not due yet
    void release(const std::string& layer, bool actsAlone) {
        if (actsAlone) at(layer).dropActs();
        else at(layer).release();
        device.trim();
    }

    // One consumer's share in the gradient of a layer's output.
    struct Contribution {
        std::string consumer;
        int input;
        bool given;                    // false: the consumer starts the gradient itself
        Matrix actsGrad;
    };
    // Their sum as a backward pass accumulates it: the first overwrites, further ones add.
    Matrix sumGrad(const std::string& layer, const std::vector<Contribution>& parts);

    void setNormals(const std::string& layer, std::vector<double> normals);
    void setConnections(const std::string& layer, int input, const std::vector<int>& channels);

    Layer& at(const std::string& layer);
    double seconds(const std::string& layer, const std::string& pass) const;     // negative: never ran

private:
    Device& device;
    const int updateEvery, casesPerUpdate;             // 0: the cases of each pass
    LayerMap layers;
    std::map<std::pair<std::string, std::string>, double> times;

    void connect(const LayerDict& dict);
    template <typename Work>
    void step(Layer& layer, const char* pass, Work work);
};
