// Layers over images: convolution, pooling.
#include "conv.h"
#include "layer.h"
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
          imgSize(dict.integer("imgSize")), random(dict.word("pool") == "rand" && !dict.numberOr(0, "doMax")),
          pooler(poolerOf(dict.word("pool"))) {}

protected:
    const char* isRandom() const override { return random ? "numbers in [0, 1) that choose pixels" : nullptr; }

    void fpropActs(int i, float) override {
        if (!random) return convLocalPool(device, input(i), acts, channels, sizeX, start, stride, outputsX, pooler);
        requireMask(outputs, cases());             // in all passes: 2012 drew in tests too
        convLocalRandomPool(device, input(i), mask, acts, channels, sizeX, start, stride, outputsX);
    }

    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        if (pooler == Pool::Avg)
            convLocalAvgUndo(device, v, target, sizeX, start, stride, outputsX, imgSize, false, scaleTargets, 1);
        else
            convLocalMaxUndo(device, input(i), v, acts, target, sizeX, start, stride, outputsX, scaleTargets, 1);
    }

private:
    const int channels, sizeX, start, stride, outputsX, imgSize;
    const bool random;
    const Pool pooler;

    // rand with doMax is max; gradients of rand go to all pixels that equal the chosen one, as those of max do.
    static Pool poolerOf(const std::string& pool) {
        if (pool == "max" || pool == "rand") return Pool::Max;
        require(pool == "maxabs" || pool == "avg", "unknown pooling", "max, maxabs, avg or rand", pool);
        return pool == "avg" ? Pool::Avg : Pool::MaxAbs;
    }
};

const LayerType<ConvLayer> conv("conv");
const LayerType<PoolLayer> pool("pool");

}  // namespace
