// The sum of the gradients that consumers contribute, those of other devices in half precision.
#include "gradient_sum.h"

#include "quantise.h"

void GradientSum::restart() {
    own.started = false;
    for (auto& item : remote) item.second.started = false;
}

void GradientSum::clear() {
    own = Part{Matrix(own.sum.device(), 0, 0)};
    remote.clear();
}

bool GradientSum::empty() const {
    bool none = !own.started;
    for (const auto& item : remote) none &= !item.second.started;
    return none;
}

Matrix GradientSum::total() const {
    Device& device = own.sum.device();
    bool started = own.started;
    Matrix sum = started ? own.sum.alias() : Matrix(device, 0, 0);
    for (const auto& [from, part] : remote) {
        if (!part.started) continue;
        Matrix packed(device, 0, 0);
        convQuantizeHalf(device, part.sum, packed);
        if (started) sum.makeExclusive();
        else sum = Matrix(device, part.sum.rows(), part.sum.cols());
        convDequantizeHalf(device, packed, sum, static_cast<int>(sum.size()), started ? 1.0f : 0.0f);
        started = true;
    }
    return sum;
}
