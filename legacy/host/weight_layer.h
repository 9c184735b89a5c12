// What the layers with weights have in common: a matrix per input, their own or another layer's, and a bias.
#pragma once
#include "layer.h"

class WeightLayer : public Layer {
public:
    enum class Route { Gradient, Direct };             // see LearningRule; superEps takes the first in any case

    // trans: weights are column-major. banks: see LearningRule. Biases always have a gradient matrix.
    WeightLayer(Device& device, const LayerDict& dict, bool trans, Route route, int banks = 1);

    void share(const LayerMap& above) override;
    void forward(std::vector<Matrix> given, PassType passType) override;
    void update(const TrainingStep& step) override;
    Matrix tensor(const std::string& tensorName, int i) const override;
    Matrix* overwrite(const std::string& tensorName, int i) override;
    const Matrix* likeness(const std::string& tensorName, int i) override;
    void setNormals(std::vector<double> values) override;
    bool learns() const override;

protected:
    const Matrix& weights(int i) const { return matrices[i]->w; }
    const Matrix& bias() const { return biases->w; }
    Weights& owned(int i) { return *matrices[i]; }

    bool readsActs() const override { return false; }
    void bpropParameters(const Matrix& v, const TrainingStep& step) override;
    // target ← scaleOld * target + scaleNew * gradient, summed over the cases
    virtual void bpropBiases(const Matrix& v, float scaleOld, float scaleNew, Matrix& target) = 0;
    virtual void bpropWeights(const Matrix& v, int i, float scaleOld, float scaleNew, Matrix& target) = 0;
    // Takes over from the layer that matrix i comes from whatever else is shared.
    virtual void shareMore(int, const WeightLayer&, int) {}

private:
    std::vector<std::shared_ptr<Weights>> matrices;    // one per input
    std::vector<LearningRate> rates;                   // of this layer, also where the matrix is another's
    std::vector<bool> borrowed;
    std::shared_ptr<Weights> biases;
    std::vector<double> normals;                       // pairs: weights by input, biases; gradient and decay

    bool learns(std::size_t i) const { return rates[i].base() > 0 && matrices[i]->learns(); }
    double rate(const LearningRate& schedule, const TrainingStep& step, std::size_t i, int use) const;
    Weights* holder(const std::string& tensorName, int i) const;
    Matrix* part(const std::string& tensorName, int i) const;
};
