// Pooling layers: max, avg, maxabs and rand.
#include "layer.h"
#include "matrix_ops.h"
#include "pool.h"

namespace {

class PoolLayer : public Layer {
public:
    using Layer::Layer;

protected:
    const char* randomness() const override { return random ? "numbers in [0, 1) that choose pixels" : nullptr; }

    void fpropActs(int i, float) override {
        if (wholeWindows()) {
            convLocalPool(device, input(i), acts, channels, sizeX, start, stride, outputsX, Pool::Sum, 2014);
            return scale(acts, share(), acts);
        }
        if (!random) return convLocalPool(device, input(i), acts, channels, sizeX, start, stride, outputsX, pooler);
        requireMask(outputs, cases());             // in all passes: 2012 drew in tests too
        convLocalRandomPool(device, input(i), mask, acts, channels, sizeX, start, stride, outputsX);
    }

    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        if (wholeWindows()) {
            if (scaleTargets == 0) target.fillZero();
            convLocalAvgUndo(device, v, target, sizeX, start, stride, outputsX, imgSize, true, scaleTargets, share(),
                             2014);
        } else if (pooler == Pool::Avg)
            convLocalAvgUndo(device, v, target, sizeX, start, stride, outputsX, imgSize, false, scaleTargets, 1);
        else convLocalMaxUndo(device, input(i), v, acts, target, sizeX, start, stride, outputsX, scaleTargets, 1);
    }

private:
    const int channels = dict.integer("channels"), sizeX = dict.integer("sizeX"), start = dict.integer("start");
    const int stride = dict.integer("stride"), outputsX = dict.integer("outputsX"), imgSize = dict.integer("imgSize");
    const bool random = dict.word("pool") == "rand" && !dict.numberOr(0, "doMax");
    const Pool pooler = poolerOf(dict.word("pool"));

    // Averages that count pixels outside the image too: not in 2012.
    bool wholeWindows() const { return pooler == Pool::Avg && !device.quirks.on(Quirk::AvgPoolClippedArea); }
    float share() const { return 1.0f / product("pool", {sizeX, sizeX}); }

    // rand with doMax is max; gradients of rand go to all pixels that equal the chosen one, as those of max do.
    static Pool poolerOf(const std::string& pool) {
        if (pool == "max" || pool == "rand") return Pool::Max;
        require(pool == "maxabs" || pool == "avg", "unknown pooling", "max, maxabs, avg or rand", pool);
        return pool == "avg" ? Pool::Avg : Pool::MaxAbs;
    }
};

const LayerType<PoolLayer> pool("pool");

}  // namespace
