// The matrix primitives as entry points "NVMatrix::...", so that they can be called alone.
#include "entry_points.h"
#include "matrix_ops.h"

namespace {

void store(double value, Matrix& target) {
    const float single = static_cast<float>(value);
    target.resize(1, 1);
    target.device().copyIn(target.data(), &single, 1);
}

const Entry entries[] = {
    {"NVMatrix::fill", calls(fill, "target", "value")},
    {"NVMatrix::copyTo", calls(copyTo, "a", "target")},
    {"NVMatrix::exp", calls(expInto, "a", "target")},
    {"NVMatrix::eltwiseMult", calls(eltwiseMult, "a", "b", "target")},
    {"NVMatrix::eltwiseMultAdd", calls(eltwiseMultAdd, "a", "b", "target")},
    {"NVMatrix::applyMax", calls(applyMax, "a", "b", "target")},
    {"NVMatrix::eltwiseMultByVector", calls(eltwiseMultByVector, "a", "b", "target")},
    {"NVMatrix::eltwiseDivideByVector", calls(eltwiseDivideByVector, "a", "b", "target")},
    {"NVMatrix::sum", calls(sum, "a", "axis", "target")},
    {"NVMatrix::max", calls(max, "a", "axis", "target")},
    {"NVMatrix::scale", calls(scale, "a", "s", "target")},
    {"NVMatrix::add", calls(add, "a", "b", "scaleA", "scaleB", "target")},
    {"NVMatrix::addVector", calls(addVector, "a", "b", "scaleVec", "target")},
    {"NVMatrix::addSum", calls(addSum, "a", "axis", "scaleThis", "scaleSum", "target")},
    {"NVMatrix::addProduct", calls(addProduct, "a", "b", "scaleThis", "scaleAB", "target")},
    {"NVMatrix::sumAll", [](Device&, Arguments& a) { store(sumAll(a.matrix("a")), a.matrix("target")); }},
    {"NVMatrix::dotProduct",
     [](Device&, Arguments& a) { store(dotProduct(a.matrix("a"), a.matrix("b")), a.matrix("target")); }},
    {"NVMatrix::updateWeights", calls(updateWeights, "weights", "inc", "grad", "epsilon", "mom", "wc")},
};

}  // namespace
