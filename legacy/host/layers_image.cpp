// Layers over images: convolution, pooling, response normalisation across maps.
#include "conv.h"
#include "layer.h"
#include "norm.h"
#include "nvmatrix.h"
#include "pool.h"

namespace {

// Y = Σ_i filterActs(X_i, W_i) + b.
class ConvLayer : public WeightLayer {
public:
    ConvLayer(Device& device, const LayerDict& dict)
        : WeightLayer(device, dict, false, true), filters(dict.integer("filters")), modulesX(dict.integer("modulesX")),
          partialSum(dict.integer("partialSum")), sharedBiases(dict.flag("sharedBiases")), slabs(device, 0, 0) {
        for (std::size_t i = 0; i < weights.size(); ++i) geometries.push_back(geometryOf(dict, static_cast<int>(i)));
        require(partialSum == 0 || modulesX * modulesX % partialSum == 0, "partialSum does not divide the modules",
                text("0, or a divisor of ", modulesX * modulesX), text(partialSum));
    }

    void release() override {
        WeightLayer::release();
        slabs = Matrix(device, 0, 0);
    }

protected:
    void fpropActs(int i, float scaleTargets) override {
        filterActs(device, geometry("convFilterActs", i), input(i), weights[i].w, acts, nullptr, scaleTargets, 1);
        if (scaleTargets == 0) {
            Matrix perBias = biasView(acts);
            addVector(perBias, biases.w, 1, perBias);
        }
    }

    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        imgActs(device, geometry("convImgActs", i), v, weights[i].w, target, nullptr, scaleTargets, 1);
    }

    void bpropBiases(const Matrix& v, float scaleOld, float scaleNew, Matrix& target) override {
        addSum(biasView(v), 1, scaleOld, scaleNew, target);
    }

    // With partialSum, sums over that many modules at a time go into slabs, whose sum is the gradient.
    void bpropWeights(const Matrix& v, int i, float scaleOld, float scaleNew, Matrix& target) override {
        const ConvGeometry g = geometry("convWeightActs", i);
        if (partialSum == 0) {
            weightActs(device, g, input(i), v, target, 0, nullptr, scaleOld, scaleNew);
            return;
        }
        weightActs(device, g, input(i), v, slabs, partialSum, nullptr, 0, scaleNew);
        Matrix sums = slabs, flat = target;
        sums.reshape(modulesX * modulesX / partialSum, static_cast<int>(target.size()));
        flat.reshape(1, static_cast<int>(target.size()));
        addSum(sums, 0, scaleOld, 1, flat);
    }

private:
    const int filters, modulesX, partialSum;
    const bool sharedBiases;
    std::vector<ConvGeometry> geometries;
    Matrix slabs;

    ConvGeometry geometryOf(const LayerDict& dict, int i) const {
        require(!dict.flag("randSparse", i), "random connections are not supported", "randSparse=false", "true");
        ConvGeometry g;
        g.imgSizeY = g.imgSizeX = dict.integer("imgSize", i);
        g.numModulesY = g.numModulesX = modulesX;
        g.filterSize = dict.integer("filterSize", i);
        g.paddingStart = dict.integer("padding", i);
        g.moduleStride = dict.integer("stride", i);
        g.numImgColors = dict.integer("channels", i);
        g.numGroups = dict.integer("groups", i);
        return g;
    }

    ConvGeometry geometry(const char* entry, int i) const {
        ConvGeometry g = geometries[i];
        g.entry = entry;
        return g;
    }

    // One row per bias: a filter (shared), or a filter at a module.
    Matrix biasView(Matrix m) const {
        if (sharedBiases) m.reshape(filters, static_cast<int>(m.size() / filters));
        return m;
    }
};

class PoolLayer : public Layer {
public:
    PoolLayer(Device& device, const LayerDict& dict)
        : Layer(device, dict), channels(dict.integer("channels")), sizeX(dict.integer("sizeX")),
          start(dict.integer("start")), stride(dict.integer("stride")), outputsX(dict.integer("outputsX")),
          imgSize(dict.integer("imgSize")), pooler(poolerOf(dict.word("pool"))) {}

protected:
    void fpropActs(int i, float) override {
        convLocalPool(device, input(i), acts, channels, sizeX, start, stride, outputsX, pooler);
    }

    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        if (pooler == Pool::Avg)
            convLocalAvgUndo(device, v, target, sizeX, start, stride, outputsX, imgSize, false, scaleTargets, 1);
        else
            convLocalMaxUndo(device, input(i), v, acts, target, sizeX, start, stride, outputsX, scaleTargets, 1);
    }

private:
    const int channels, sizeX, start, stride, outputsX, imgSize;
    const Pool pooler;

    static Pool poolerOf(const std::string& pool) {
        require(pool == "max" || pool == "maxabs" || pool == "avg", "unknown pooling", "max, maxabs or avg", pool);
        return pool == "max" ? Pool::Max : pool == "avg" ? Pool::Avg : Pool::MaxAbs;
    }
};

// Y = X D^-β,  D = minDiv + α Σ X² over a window of maps. The backward kernel overwrites the acts.
class CrossMapNormLayer : public EltwiseLayer {
public:
    CrossMapNormLayer(Device& device, const LayerDict& dict)
        : EltwiseLayer(device, dict), channels(dict.integer("channels")), size(dict.integer("size")),
          scale(static_cast<float>(dict.number("scale"))), pow(static_cast<float>(dict.number("pow"))),
          minDiv(static_cast<float>(dict.number("minDiv"))), blocked(dict.flag("blocked")), denoms(device, 0, 0) {}

    void release() override {
        EltwiseLayer::release();
        denoms = Matrix(device, 0, 0);
    }

    Matrix* tensor(const std::string& tensorName, int i) override {
        return spent && tensorName == "acts" ? nullptr : EltwiseLayer::tensor(tensorName, i);
    }

protected:
    void fpropActs(int i, float) override {
        convResponseNormCrossMap(device, input(i), denoms, acts, channels, size, scale, pow, minDiv, blocked);
        spent = false;
        if (passType == PassType::Test || !sendsGradient(i)) denoms = Matrix(device, 0, 0);
    }

    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        if (spent) fpropActs(i, 0);
        acts.makeExclusive();
        spent = true;
        convResponseNormCrossMapUndo(device, v, denoms, input(i), acts, target, channels, size, scale, pow, blocked,
                                     scaleTargets, 1);
    }

private:
    const int channels, size;
    const float scale, pow, minDiv;
    const bool blocked;
    Matrix denoms;
    bool spent = false;                // the acts are no longer the output
};

const LayerType<ConvLayer> conv("conv");
const LayerType<PoolLayer> pool("pool");
const LayerType<CrossMapNormLayer> cmrnorm("cmrnorm");

}  // namespace
