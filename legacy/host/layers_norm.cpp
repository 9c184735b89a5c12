// Response normalisation: across maps (cmrnorm), over windows of each map (rnorm), and of contrast (cnorm).
//
//   Y = X D^-β,   D = minDiv + α Σ U² over the window,   U = X  (cnorm: X minus the mean of its window)
//
// Within maps minDiv is 1. The backward kernels overwrite the acts.
#include "norm.h"

#include "layer.h"
#include "matrix_ops.h"
#include "pool.h"

namespace {

class NormLayer : public EltwiseLayer {
public:
    using EltwiseLayer::EltwiseLayer;

    void release() override {
        EltwiseLayer::release();
        denoms = Matrix(device, 0, 0);
    }

    Matrix tensor(const std::string& tensorName, int i) const override {
        return spent && tensorName == "acts" ? Matrix() : EltwiseLayer::tensor(tensorName, i);
    }

protected:
    const int channels = dict.integer("channels"), size = dict.integer("size");
    const float scale = dict.real("scale"), pow = dict.real("pow");
    Matrix denoms{device, 0, 0};

    virtual void normalise() = 0;      // acts and denoms
    virtual void undo(const Matrix& v, float scaleTargets, Matrix& target) = 0;

    void fpropActs(int i, float) override {
        normalise();
        spent = false;
        const bool backwardFollows = passType == PassType::Train || passType == PassType::GradientCheck;
        if (!backwardFollows || !sendsGradient(i)) denoms = Matrix(device, 0, 0);
    }

    void bpropActs(const Matrix& v, int, float scaleTargets, Matrix& target) override {
        if (spent || denoms.empty()) normalise();
        acts.makeExclusive();
        spent = true;
        undo(v, scaleTargets, target);
    }

private:
    bool spent = false;                // the acts are no longer the output
};

class CrossMapNormLayer : public NormLayer {
public:
    using NormLayer::NormLayer;

protected:
    void normalise() override {
        convResponseNormCrossMap(device, input(0), denoms, acts, channels, size, scale, pow, minDiv, blocked);
    }

    void undo(const Matrix& v, float scaleTargets, Matrix& target) override {
        convResponseNormCrossMapUndo(device, v, denoms, input(0), acts, target, channels, size, scale, pow, blocked,
                                     scaleTargets, 1);
    }

private:
    const float minDiv = dict.real("minDiv");
    const bool blocked = dict.flag("blocked");
};

class ResponseNormLayer : public NormLayer {
public:
    using NormLayer::NormLayer;

protected:
    void normalise() override { convResponseNorm(device, input(0), denoms, acts, channels, size, scale, pow); }

    void undo(const Matrix& v, float scaleTargets, Matrix& target) override {
        undoOf(input(0), v, scaleTargets, target);
    }

    // x: what is squared in the denominators. Windows of 6 or more read the target even where nothing is to be added
    // (quirk norm-undo-add-inverted).
    void undoOf(const Matrix& x, const Matrix& v, float scaleTargets, Matrix& target) {
        if (scaleTargets == 0 && size >= 6) target.fillZero();
        convResponseNormUndo(device, v, denoms, x, acts, target, channels, size, scale, pow, scaleTargets, 1);
    }
};

// Quirk cnorm-ignores-means: in 2012 the gradient left out that the means depend on X.
class ContrastNormLayer : public ResponseNormLayer {
public:
    using ResponseNormLayer::ResponseNormLayer;

    void release() override {
        ResponseNormLayer::release();
        meanDiffs = Matrix(device, 0, 0);
    }

protected:
    void normalise() override {
        convLocalPool(device, input(0), meanDiffs, channels, size, -size / 2, 1, imgSize, Pool::Avg);
        add(meanDiffs, input(0), -1, 1, meanDiffs);
        convContrastNorm(device, input(0), meanDiffs, denoms, acts, channels, size, scale, pow);
    }

    void undo(const Matrix& v, float scaleTargets, Matrix& target) override {
        undoOf(meanDiffs, v, scaleTargets, target);
        if (!device.quirks.on(Quirk::CnormIgnoresMeans)) subtractGradientOfMeans(target);
    }

private:
    const int imgSize = dict.integer("imgSize");
    Matrix meanDiffs{device, 0, 0};

    // The acts are now -2αβ V Y / D: summed over the mirrored window and times U, the gradient of U, whose means are over
    // windows.
    void subtractGradientOfMeans(Matrix& target) {
        Matrix ofDiffs(device, 0, 0);
        convLocalPool(device, acts, ofDiffs, channels, size, size / 2 - size + 1, 1, imgSize, Pool::Sum, 2014);
        eltwiseMult(ofDiffs, meanDiffs, ofDiffs);
        convLocalAvgUndo(device, ofDiffs, target, size, -(size / 2), 1, imgSize, imgSize, false, 1, -1);
    }
};

const LayerType<CrossMapNormLayer> cmrnorm("cmrnorm");
const LayerType<ResponseNormLayer> rnorm("rnorm");
const LayerType<ContrastNormLayer> cnorm("cnorm");

}  // namespace
