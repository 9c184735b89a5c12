// Layers that transform images in a fixed way, or in one that is drawn (rscale).
#include <algorithm>
#include <cmath>

#include "image_ops.h"
#include "layer.h"
#include "matrix_ops.h"

namespace {

// Every stride-th pixel of every stride-th row.
class NailbedLayer : public Layer {
public:
    using Layer::Layer;

protected:
    void fpropActs(int i, float) override {
        convBedOfNails(device, input(i), acts, channels, imgSize, start, stride, 0, 1);
    }

    // The kernel of 2012 cannot add: its entry point compared the target with the size of the outputs.
    void bpropActs(const Matrix& v, int, float scaleTargets, Matrix& target) override {
        if (scaleTargets == 0) return convBedOfNailsUndo(device, v, target, channels, imgSize, start, stride, 0, 1);
        Matrix fresh(device, 0, 0);
        convBedOfNailsUndo(device, v, fresh, channels, imgSize, start, stride, 0, 1);
        add(target, fresh, scaleTargets, 1, target);
    }

private:
    const int channels = dict.integer("channels"), imgSize = dict.integer("imgSize");
    const int start = dict.integer("start"), stride = dict.integer("stride");
};

// Two passes of a Gaussian of filterSize taps, zero outside the image; its own adjoint.
class BlurLayer : public EltwiseLayer {
public:
    BlurLayer(Device& device, const LayerDict& dict) : EltwiseLayer(device, dict), filter(device, 1, tapsOf(dict)) {
        const double stdev = dict.number("stdev");
        const int size = filter.cols();
        std::vector<double> taps;
        double sum = 0;
        for (int k = 0; k < size; ++k) {
            taps.push_back(std::exp(-(k - size / 2) * (k - size / 2) / (2 * stdev * stdev)));
            sum += taps.back();
        }
        std::vector<float> normalised;
        for (const double tap : taps) normalised.push_back(static_cast<float>(tap / sum));
        device.copyIn(filter.data(), normalised.data(), normalised.size());
    }

protected:
    void fpropActs(int i, float) override { blur(input(i), acts, 0, acts); }

    void bpropActs(const Matrix& v, int, float scaleTargets, Matrix& target) override {
        Matrix fresh(device, 0, 0);
        blur(v, scaleTargets == 0 ? target : fresh, scaleTargets, target);
    }

private:
    const int channels = dict.integer("channels");
    Matrix filter;

    static int tapsOf(const LayerDict& dict) {
        const int taps = dict.integer("filterSize");
        require(taps % 2 == 1 && taps >= 3 && taps <= 9, "filterSize", "3, 5, 7 or 9", text(taps));
        return taps;
    }

    // Along rows into `between`, then along columns into, or added to, the target.
    void blur(const Matrix& x, Matrix& between, float scaleTargets, Matrix& target) {
        convGaussianBlur(device, x, filter, between, true, channels, 0, 1);
        convGaussianBlur(device, between, filter, target, false, channels, scaleTargets, 1);
    }
};

// href: every image left-right.
class ReflectionLayer : public EltwiseLayer {
public:
    using EltwiseLayer::EltwiseLayer;

protected:
    void fpropActs(int i, float) override { convReflectHorizontal(device, input(i), acts, imgSize); }

    // Quirk href-overwrites: in 2012 what other consumers of the input had sent down was lost (pool-norm H16).
    void bpropActs(const Matrix& v, int, float scaleTargets, Matrix& target) override {
        if (scaleTargets == 0 || device.quirks.on(Quirk::HrefOverwrites))
            return convReflectHorizontal(device, v, target, imgSize);
        Matrix fresh(device, 0, 0);
        convReflectHorizontal(device, v, fresh, imgSize);
        add(target, fresh, scaleTargets, 1, target);
    }

private:
    const int imgSize = dict.integer("imgSize");
};

class ResizeLayer : public ConstantLayer {
public:
    using ConstantLayer::ConstantLayer;

protected:
    void fpropActs(int i, float) override { convResizeBilinear(device, input(i), acts, imgSize, tgtSize, scale); }

private:
    const int imgSize = dict.integer("imgSize"), tgtSize = dict.integer("tgtSize");
    const float scale = dict.real("scale");
};

// In training a random size R and a random window of tgtSize pixels, the same for all cases of a batch; else the
// window in the middle (2012 left the image as it was, and the next layer failed). Views come at their final size.
class RandomScaleLayer : public ConstantLayer {
public:
    RandomScaleLayer(Device& device, const LayerDict& dict) : ConstantLayer(device, dict) {
        product("imgSize", {imgSize, imgSize});
        require(tgtSize > 0 && tgtSize <= imgSize && maxScale >= 1, "sizes and scale",
                text("tgtSize of 1 to ", imgSize, ", maxScale of 1 or more"), text(tgtSize, ", ", maxScale));
    }

    void release() override {
        ConstantLayer::release();
        scaled = Matrix(device, 0, 0);
    }

protected:
    const char* randomness() const override { return "four numbers in [0, 1) for scale, factor, first row and column"; }

    bool acceptsRows(int i, int rows) const override {
        return ConstantLayer::acceptsRows(i, rows) || (isView(passType) && rows == outputs);
    }

    void fpropActs(int i, float) override {
        const int middle = (imgSize - tgtSize) / 2;
        if (isView(passType) && input(i).rows() == outputs) copyTo(input(i), acts);
        else if (passType != PassType::Train) convCrop(device, input(i), acts, imgSize, tgtSize, middle, middle);
        else scaleAndCrop(input(i));
    }

private:
    const int imgSize = dict.integer("imgSize"), tgtSize = dict.integer("tgtSize");
    const double maxScale = dict.number("maxScale");
    Matrix scaled{device, 0, 0};

    void scaleAndCrop(const Matrix& images) {
        requireMask(4, 1);
        float drawn[4];
        device.copyOut(drawn, mask.data(), 4);
        for (const float number : drawn)
            require(number >= 0 && number < 1, randomness(), "numbers in [0, 1)", text(number));
        const int size = tgtSize + drawnScale(drawn[0]), places = size - tgtSize + 1;
        const int top = static_cast<int>(static_cast<double>(drawn[2]) * places);
        const int left = static_cast<int>(static_cast<double>(drawn[3]) * places);
        if (size == imgSize) return convCrop(device, images, acts, imgSize, tgtSize, top, left);
        const double least = std::max(1.0, static_cast<double>(imgSize) / (size + 1));
        const double factor = least + drawn[1] * (static_cast<double>(imgSize) / size - least);
        convResizeBilinear(device, images, scaled, imgSize, size, static_cast<float>(factor));
        convCrop(device, scaled, acts, size, tgtSize, top, left);
    }

    // Scale s = 0, 1 ... has a probability in proportion to (s + 1)²: the first whose cumulative share reaches r.
    int drawnScale(double r) const {
        const long scales = imgSize - static_cast<int>(imgSize / maxScale) + 1;
        const double all = static_cast<double>(scales * (scales + 1) * (2 * scales + 1) / 6);
        long upTo = 1;
        int s = 0;
        while (s + 1 < scales && r > upTo / all) {
            ++s;
            upTo += static_cast<long>(s + 1) * (s + 1);
        }
        return s;
    }
};

class YuvLayer : public ConstantLayer {
public:
    using ConstantLayer::ConstantLayer;

protected:
    void fpropActs(int i, float) override { convRGBToYUV(device, input(i), acts); }
};

class LabLayer : public ConstantLayer {
public:
    using ConstantLayer::ConstantLayer;

protected:
    void fpropActs(int i, float) override { convRGBToLAB(device, input(i), acts, center); }

private:
    const bool center = dict.flag("center");
};

const LayerType<NailbedLayer> nailbed("nailbed");
const LayerType<BlurLayer> blur("blur");
const LayerType<ReflectionLayer> href("href");
const LayerType<ResizeLayer> resize("resize");
const LayerType<RandomScaleLayer> rscale("rscale");
const LayerType<YuvLayer> rgb2yuv("rgb2yuv");
const LayerType<LabLayer> rgb2lab("rgb2lab");

}  // namespace
