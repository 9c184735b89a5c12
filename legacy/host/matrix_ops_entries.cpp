// The matrix primitives as entry points "NVMatrix::...", so that they can be called alone.
#include "entry_points.h"
#include "matrix_ops.h"

namespace {

using Unary = void (*)(const Matrix&, Matrix&);
using Binary = void (*)(const Matrix&, const Matrix&, Matrix&);
using Reduction = void (*)(const Matrix&, int, Matrix&);

EntryFunction unary(Unary function) {
    return [=](Device&, Arguments& a) { function(a.matrix("a"), a.matrix("target")); };
}

EntryFunction binary(Binary function) {
    return [=](Device&, Arguments& a) { function(a.matrix("a"), a.matrix("b"), a.matrix("target")); };
}

EntryFunction reduction(Reduction function) {
    return [=](Device&, Arguments& a) { function(a.matrix("a"), a.integer("axis"), a.matrix("target")); };
}

void store(double value, Matrix& target) {
    const float single = static_cast<float>(value);
    target.resize(1, 1);
    target.device().copyIn(target.data(), &single, 1);
}

const Entry entries[] = {
    {"NVMatrix::fill", [](Device&, Arguments& a) { fill(a.matrix("target"), a.real("value")); }},
    {"NVMatrix::copyTo", unary(copyTo)},
    {"NVMatrix::exp", unary(expInto)},
    {"NVMatrix::eltwiseMult", binary(eltwiseMult)},
    {"NVMatrix::eltwiseMultAdd", binary(eltwiseMultAdd)},
    {"NVMatrix::applyMax", binary(applyMax)},
    {"NVMatrix::eltwiseMultByVector", binary(eltwiseMultByVector)},
    {"NVMatrix::eltwiseDivideByVector", binary(eltwiseDivideByVector)},
    {"NVMatrix::sum", reduction(sum)},
    {"NVMatrix::max", reduction(max)},
    {"NVMatrix::scale", [](Device&, Arguments& a) { scale(a.matrix("a"), a.real("s"), a.matrix("target")); }},
    {"NVMatrix::add",
     [](Device&, Arguments& a) {
         add(a.matrix("a"), a.matrix("b"), a.real("scaleA"), a.real("scaleB"), a.matrix("target"));
     }},
    {"NVMatrix::addVector",
     [](Device&, Arguments& a) { addVector(a.matrix("a"), a.matrix("b"), a.real("scaleVec"), a.matrix("target")); }},
    {"NVMatrix::addSum",
     [](Device&, Arguments& a) {
         addSum(a.matrix("a"), a.integer("axis"), a.real("scaleThis"), a.real("scaleSum"), a.matrix("target"));
     }},
    {"NVMatrix::addProduct",
     [](Device&, Arguments& a) {
         addProduct(a.matrix("a"), a.matrix("b"), a.real("scaleThis"), a.real("scaleAB"), a.matrix("target"));
     }},
    {"NVMatrix::sumAll", [](Device&, Arguments& a) { store(sumAll(a.matrix("a")), a.matrix("target")); }},
    {"NVMatrix::dotProduct",
     [](Device&, Arguments& a) { store(dotProduct(a.matrix("a"), a.matrix("b")), a.matrix("target")); }},
    {"NVMatrix::updateWeights", [](Device&, Arguments& a) {
         updateWeights(a.matrix("weights"), a.matrix("inc"), a.matrix("grad"), a.real("epsilon"), a.real("mom"),
                       a.real("wc"));
     }}};

}  // namespace
