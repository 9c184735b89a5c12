// What the convolution families share.
#pragma once
#include "block.cuh"

// One output: scaleTargets * old + scaleOutputs * sum, or scaleOutputs * sum without reading the target.
template <bool scale>
DEVICE_FUNCTION void writeOutput(float* target, const float sum, const float scaleTargets, const float scaleOutputs) {
    *target = scale ? scaleTargets * *target + scaleOutputs * sum : scaleOutputs * sum;
}
