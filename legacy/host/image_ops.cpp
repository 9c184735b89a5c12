// Blur, sampling, resizing, cropping, colour spaces and reflection: checks and dispatch (pool-norm 3, 4.1, 5).
#include "../kernels/image_ops.cuh"

#include "image_ops.h"

#include "checks.h"
#include "dispatch.h"
#include "entry_points.h"
#include "matrix_ops.h"

namespace {

// Number of square maps of a given side; rows may be strided where the entry allows it.
int channelsOf(const char* entry, const char* argument, const Matrix& images, int imgSize, bool strideAllowed = false) {
    requirePositive(entry, "imgSize", imgSize);
    const int channels = images.rows() / imgSize / imgSize;
    require(channels > 0 && imageSide(entry, argument, images, channels, strideAllowed) == imgSize,
            text(entry, ": ", argument, " has the wrong shape"), text("rows = channels * ", imgSize, " * ", imgSize),
            images.shape());
    return channels;
}

// Three colours of any number of pixels, rows may be strided; returns the pixels.
int rgbPixels(const char* entry, const Matrix& images) {
    requireRowMajor(entry, "images", images);
    require(images.rows() > 0 && images.rows() % 3 == 0 && images.cols() > 0,
            text(entry, ": images have the wrong shape"), "(3 * pixels, images)", images.shape());
    return images.rows() / 3;
}

struct Nails {
    Device& device;
    const char* entry;
    int numChannels, imgSize, startX, strideX, numImages;
    int outputsX() const {
        return divUp(device.quirks.on(Quirk::NailsStartIgnored) ? imgSize : imgSize - startX, strideX);
    }
    int rowsOf(int side) const { return product(entry, {numChannels, side, side}); }

    void requireSamples() const {
        requirePositive(entry, "numChannels", numChannels);
        requirePositive(entry, "imgSize", imgSize);
        require(strideX > 1, text(entry, ": strideX"), "more than 1", text(strideX));
        const bool inside = startX >= 0 && startX < imgSize;
        const long last = inside ? startX + (outputsX() - 1L) * strideX : startX;
        require(inside && last < imgSize, text(entry, ": samples"), text("inside the image, 0 to ", imgSize - 1),
                text(startX, " to ", last), "start = (imgSize - stride*(outputs-1)) / 2");
    }

    // The kernel writes the outputs, or in reverse the images.
    void launch(const float* images, const float* outputs, bool reverse, float scaleTargets, float scaleOutput) const {
        const ImageClass imageClass(numImages);
        const int channelsPerThread = numChannels % 8 == 0 ? 2 : 1;
        const auto go = [&](auto cpt, auto ipt, auto check) {
            device.launch(INSTANCE(kBedOfNails, 4, ImageClass::across, ipt, cpt, check),
                          {imageClass.blocks * outputsX(), divUp(numChannels, 4 * channelsPerThread) * outputsX()},
                          {ImageClass::across, 4}, 0,
                          text("channels mod 8: ", channelsPerThread, " per thread; ", imageClass.rule()),
                          with(const_cast<float*>(images), const_cast<float*>(outputs), reverse, imgSize, numChannels,
                               numImages, startX, strideX, outputsX(), scaleTargets, scaleOutput));
        };
        dispatch(go, oneOf<1, 2>(channelsPerThread), imageClass.cases());
    }
};

}  // namespace

void convGaussianBlur(Device& device, const Matrix& images, const Matrix& filter, Matrix& target, bool horiz,
                      int numChannels, float scaleTargets, float scaleOutputs) {
    const char* entry = "convGaussianBlur";
    const int imgSize = imageSide(entry, "images", images, numChannels, true), radius = filter.cols() / 2;
    requireRowMajor(entry, "filter", filter);
    require(filter.rows() == 1 && filter.cols() == 2 * radius + 1 && radius >= 1 && radius <= 4,
            text(entry, ": filter"), "(1, 2*radius + 1) with radius 1 to 4", filter.shape());
    require(imgSize >= 2 * radius + 1, text(entry, ": image smaller than the filter"),
            text("side of ", 2 * radius + 1, " or more"), text(imgSize));
    prepareTarget(entry, target, images, images.rows(), scaleTargets);
    const auto launch = [&](auto radius) {
        device.launch(INSTANCE(kGaussianBlur, 4, 32, radius),
                      {divUp(images.cols(), 32), divUp(product(entry, {numChannels, imgSize}), 4)}, {32, 4},
                      4 * 2 * radius, text("radius ", static_cast<int>(radius)),
                      with(images.data(), filter.data(), target.data(), imgSize, images.cols(), numChannels,
                           images.stride(), horiz, device.quirks.on(Quirk::BlurLastTap), scaleTargets, scaleOutputs));
    };
    dispatch(launch, oneOf<1, 2, 3, 4>(radius));
}

void convBedOfNails(Device& device, const Matrix& images, Matrix& target, int numChannels, int imgSize, int startX,
                    int strideX, float scaleTargets, float scaleOutput) {
    const Nails nails{device, "convBedOfNails", numChannels, imgSize, startX, strideX, images.cols()};
    nails.requireSamples();
    require(imageSide(nails.entry, "images", images, numChannels) == imgSize,
            text(nails.entry, ": images have the wrong shape"),
            text("(", numChannels, " * ", imgSize, " * ", imgSize, ", images)"), images.shape());
    prepareTarget(nails.entry, target, images, nails.rowsOf(nails.outputsX()), scaleTargets);
    nails.launch(images.data(), target.data(), false, scaleTargets, scaleOutput);
}

void convBedOfNailsUndo(Device& device, const Matrix& actsGrad, Matrix& target, int numChannels, int imgSize,
                        int startX, int strideX, float scaleTargets, float scaleOutput) {
    const Nails nails{device, "convBedOfNailsUndo", numChannels, imgSize, startX, strideX, actsGrad.cols()};
    nails.requireSamples();
    requirePlain(nails.entry, "actsGrad", actsGrad);
    requireShape(nails.entry, "actsGrad", actsGrad, nails.rowsOf(nails.outputsX()), nails.numImages);
    require(scaleTargets == 0 || imgSize == 1 || !device.quirks.on(Quirk::NailsUndoNeverAdds),
            text(nails.entry, ": scaleTargets"), "0", text(scaleTargets),
            "the original compared the target with the size of the outputs and always failed");
    prepareTarget(nails.entry, target, actsGrad, nails.rowsOf(imgSize), scaleTargets);
    if (scaleTargets == 0) fill(target, 0);
    const bool adds = scaleTargets != 0 && !device.quirks.on(Quirk::NailsUndoNeverAdds);
    if (adds) scale(target, scaleTargets, target);             // the pixels between the nails too
    nails.launch(target.data(), actsGrad.data(), true, adds ? 1 : scaleTargets, scaleOutput);
}

void convResizeBilinear(Device& device, const Matrix& images, Matrix& target, int imgSize, int tgtSize, float scale) {
    const char* entry = "convResizeBilinear";
    require(imgSize > 1, text(entry, ": imgSize"), "2 or more", text(imgSize));
    requirePositive(entry, "tgtSize", tgtSize);
    const int channels = channelsOf(entry, "images", images, imgSize, true), chunks = divUp(tgtSize, 4);
    resizeTarget(entry, target, images, product(entry, {channels, tgtSize, tgtSize}), images.cols());
    const ImageClass imageClass(images.cols());
    const float centerScale = single("imgSize/2 - tgtSize*scale/2", imgSize * 0.5 - tgtSize * 0.5 * scale);
    const float last = device.quirks.on(Quirk::ResizeClamp) ? imgSize - 1.01f : imgSize - 1.0f;
    const auto launch = [&](auto ipt, auto check) {
        device.launch(INSTANCE(kResizeBilinear, ipt, check), {imageClass.blocks, channels * chunks * chunks},
                      {ImageClass::across, 16}, 0, imageClass.rule(),
                      with(images.data(), target.data(), imgSize, tgtSize, images.cols(), images.stride(), scale,
                           centerScale, last));
    };
    dispatch(launch, imageClass.cases());
}

void convCrop(Device& device, const Matrix& images, Matrix& target, int imgSize, int tgtSize, int startY, int startX) {
    const char* entry = "convCrop";
    const int channels = channelsOf(entry, "imgs", images, imgSize, true);
    requirePositive(entry, "tgtSize", tgtSize);
    require(
        startY >= 0 && startX >= 0 && tgtSize <= imgSize && startY <= imgSize - tgtSize && startX <= imgSize - tgtSize,
        text(entry, ": window"), text("inside the ", imgSize, " x ", imgSize, " image"),
        text(tgtSize, " x ", tgtSize, " at (", startY, ", ", startX, ")"));
    resizeTarget(entry, target, images, product(entry, {channels, tgtSize, tgtSize}), images.cols());
    const ImageClass imageClass(images.cols());
    const auto launch = [&](auto ipt, auto check) {
        device.launch(
            INSTANCE(kCrop, ipt, check), {imageClass.blocks, channels * divUp(product(entry, {tgtSize, tgtSize}), 4)},
            {ImageClass::across, 4}, 0, imageClass.rule(),
            with(images.data(), target.data(), images.cols(), images.stride(), imgSize, tgtSize, startY, startX));
    };
    dispatch(launch, imageClass.cases());
}

void convRGBToYUV(Device& device, const Matrix& images, Matrix& target) {
    const char* entry = "convRGBToYUV";
    const int pixels = rgbPixels(entry, images);
    resizeTarget(entry, target, images, images.rows(), images.cols());
    const ImageClass imageClass(images.cols());
    const auto launch = [&](auto ipt, auto check) {
        device.launch(INSTANCE(kRGBToYUV, ipt, check), {imageClass.blocks, divUp(pixels, 4)}, {ImageClass::across, 4},
                      0, imageClass.rule(),
                      with(images.data(), target.data(), pixels, images.cols(), images.stride(),
                           !device.quirks.on(Quirk::YuvCoefficients)));
    };
    dispatch(launch, imageClass.cases());
}

void convRGBToLAB(Device& device, const Matrix& images, Matrix& target, bool center) {
    const char* entry = "convRGBToLAB";
    const int pixels = rgbPixels(entry, images);
    resizeTarget(entry, target, images, images.rows(), images.cols());
    const ImageClass imageClass(images.cols());
    const float exponent = device.quirks.on(Quirk::LabExponent) ? 0.3333f : 1.0f / 3;
    const auto launch = [&](auto center, auto ipt, auto check) {
        device.launch(INSTANCE(kRGBToLAB, ipt, check, center), {imageClass.blocks, divUp(pixels, 4)},
                      {ImageClass::across, 4}, 0, imageClass.rule(),
                      with(images.data(), target.data(), pixels, images.cols(), images.stride(), exponent));
    };
    dispatch(launch, flag(center), imageClass.cases());
}

void convReflectHorizontal(Device& device, const Matrix& images, Matrix& targets, int imgSize) {
    const char* entry = "convReflectHorizontal";
    const int colors = channelsOf(entry, "images", images, imgSize);
    require(colors <= 3, text(entry, ": channels"), "1, 2 or 3", text(colors));
    require(images.data() != targets.data(), text(entry, ": targets"), "not the images themselves", "the same matrix");
    resizeTarget(entry, targets, images, images.rows(), images.cols());
    const ImageClass imageClass(images.cols());
    const auto launch = [&](auto colors, auto ipt, auto check) {
        device.launch(INSTANCE(kReflectH, colors, ipt, check),
                      {imageClass.blocks, divUp(product(entry, {imgSize, imgSize}), 4)}, {ImageClass::across, 4}, 0,
                      imageClass.rule(), with(images.data(), targets.data(), imgSize, images.cols()));
    };
    dispatch(launch, oneOf<1, 2, 3>(colors), imageClass.cases());
}

namespace {

const Entry entries[] = {
    {"convGaussianBlur",
     calls(convGaussianBlur, "images", "filter", "target", "horiz", "numChannels", "scaleTargets", "scaleOutputs")},
    {"convBedOfNails", calls(convBedOfNails, "images", "target", "numChannels", "imgSize", "startX", "strideX",
                             "scaleTargets", "scaleOutput")},
    {"convBedOfNailsUndo", calls(convBedOfNailsUndo, "actsGrad", "target", "numChannels", "imgSize", "startX",
                                 "strideX", "scaleTargets", "scaleOutput")},
    {"convResizeBilinear", calls(convResizeBilinear, "images", "target", "imgSize", "tgtSize", "scale")},
    {"convCrop", calls(convCrop, "imgs", "target", "imgSize", "tgtSize", "startY", "startX")},
    {"convRGBToYUV", calls(convRGBToYUV, "images", "target")},
    {"convRGBToLAB", calls(convRGBToLAB, "images", "target", "center")},
    {"convReflectHorizontal", calls(convReflectHorizontal, "images", "targets", "imgSize")},
};

}  // namespace
