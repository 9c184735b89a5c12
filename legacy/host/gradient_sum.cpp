#include "gradient_sum.h"

#include "quantise.h"

void GradientSum::restart() {
    own.started = false;
    for (auto& item : abroad) item.second.started = false;
}

void GradientSum::clear() {
    own = Part{Matrix(own.sum.device(), 0, 0)};
    abroad.clear();
}

bool GradientSum::empty() const {
    bool none = !own.started;
    for (const auto& item : abroad) none &= !item.second.started;
    return none;
}

Matrix GradientSum::total() const {
    Device& device = own.sum.device();
    bool started = own.started;
    Matrix sum = started ? own.sum : Matrix(device, 0, 0);
    for (const auto& [from, part] : abroad) {
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
