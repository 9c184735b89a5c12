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

Matrix& GradientSum::total() {
    for (auto& [device, part] : abroad) {
        if (!part.started) continue;
        Matrix packed(own.sum.device(), 0, 0);
        convQuantizeHalf(own.sum.device(), part.sum, packed);
        if (own.started) own.sum.makeExclusive();
        else own.sum.renew(part.sum.rows(), part.sum.cols());
        const int elements = static_cast<int>(part.sum.size());
        convDequantizeHalf(own.sum.device(), packed, own.sum, elements, own.started ? 1.0f : 0.0f);
        own.started = true;
        part.started = false;
    }
    return own.sum;
}
