// Half precision there and back: checks and dispatch (pool-norm 6).
#include "../kernels/half.cuh"

#include "quantise.h"

#include "checks.h"
#include "dispatch.h"
#include "entry_points.h"

void convQuantizeHalf(Device& device, const Matrix& src, Matrix& target) {
    const char* entry = "convQuantizeHalf";
    const int numElements = static_cast<int>(src.size());
    requireContiguous(entry, "src", src);
    const int pairs = divUp(numElements, 2);
    resizeTarget(entry, target, src, 1, pairs);
    device.launch(INSTANCE(kQuantizeHalf, 128), divUp(pairs, 128), 128, 0, "one pair per thread",
                  with(src.data(), target.data(), numElements));
}

void convDequantizeHalf(Device& device, const Matrix& quantized, Matrix& target, int numElements, float scaleTarget,
                        float scaleOutput) {
    const char* entry = "convDequantizeHalf";
    requirePositive(entry, "numElements", numElements);
    requireContiguous(entry, "quantized", quantized);
    require(quantized.size() == divUp(numElements, 2), text(entry, ": quantized has the wrong size"),
            text(divUp(numElements, 2), " places for ", numElements, " numbers"), text(quantized.size()));
    if (target.size() != numElements) {
        require(scaleTarget == 0, text(entry, ": target has the wrong size"), text(numElements), text(target.size()));
        resizeTarget(entry, target, quantized, 1, numElements);
    }
    requireContiguous(entry, "target", target);
    device.launch(INSTANCE(kDequantizeHalf, 128), divUp(numElements, 128), 128, 0, "one number per thread",
                  with(quantized.data(), target.data(), numElements, scaleTarget, scaleOutput));
}

namespace {

const Entry entries[] = {
    {"convQuantizeHalf", calls(convQuantizeHalf, "src", "target")},
    {"convDequantizeHalf",
     calls(convDequantizeHalf, "quantized", "target", "numElements", "scaleTarget", "scaleOutput")},
};

}  // namespace
