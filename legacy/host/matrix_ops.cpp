// The matrix operations: each chooses an operator, and eltwise.h launches it (pool-norm 9).
#include "matrix_ops.h"

#include <cmath>

#include "eltwise.h"

void fill(Matrix& target, float value) { eltwise::unary<unary::Const>(target, target, value); }

void copyTo(const Matrix& a, Matrix& target) { eltwise::unary<unary::Identity>(a, target); }

void scale(const Matrix& a, float s, Matrix& target) {
    if (s == 1 && a.data() == target.data()) return;
    eltwise::unary<unary::MultByScalar>(a, target, s);
}

void add(const Matrix& a, const Matrix& b, float scaleA, float scaleB, Matrix& target) {
    if (scaleA == 0) scale(b, scaleB, target);
    else if (scaleA == 1 && scaleB == 1) eltwise::binary<binary::Add>(a, b, target);
    else eltwise::binary<binary::WeightedAdd>(a, b, target, scaleA, scaleB);
}

void eltwiseMult(const Matrix& a, const Matrix& b, Matrix& target) { eltwise::binary<binary::Multiply>(a, b, target); }

void eltwiseMultAdd(const Matrix& a, const Matrix& b, Matrix& target) {
    eltwise::ternary<ternary::MultiplyAdd>(a, b, target);
}

void eltwiseDivide(const Matrix& a, const Matrix& b, Matrix& target) { eltwise::binary<binary::Divide>(a, b, target); }

void addScalar(const Matrix& a, float s, Matrix& target) { eltwise::unary<unary::AddScalar>(a, target, s); }

void squareRoot(const Matrix& a, Matrix& target) { eltwise::unary<unary::Sqrt>(a, target); }

void applyMax(const Matrix& a, const Matrix& b, Matrix& target) { eltwise::binary<binary::Max>(a, b, target); }

void expInto(const Matrix& a, Matrix& target) { eltwise::unary<unary::Exp>(a, target); }

void addVector(const Matrix& a, const Matrix& vec, float scaleVec, Matrix& target) {
    eltwise::vector<binary::WeightedAdd>(a, vec, target, 1, scaleVec);
}

void eltwiseMultByVector(const Matrix& a, const Matrix& vec, Matrix& target) {
    eltwise::vector<binary::Multiply>(a, vec, target);
}

void eltwiseDivideByVector(const Matrix& a, const Matrix& vec, Matrix& target) {
    eltwise::vector<binary::Divide>(a, vec, target);
}

void sum(const Matrix& a, int axis, Matrix& target) { eltwise::aggregate<agg::Sum, binary::Second>(a, axis, target); }

void max(const Matrix& a, int axis, Matrix& target) { eltwise::aggregate<agg::Max, binary::Second>(a, axis, target); }

void addSum(const Matrix& a, int axis, float scaleThis, float scaleSum, Matrix& target) {
    if (scaleThis == 0) eltwise::aggregate<agg::Sum, binary::SecondScaled>(a, axis, target, scaleSum);
    else eltwise::aggregate<agg::Sum, binary::WeightedAdd>(a, axis, target, scaleThis, scaleSum);
}

namespace {

constexpr int hostSize = 4096;        // so few values are reduced on the host

int totalColumns(long elements) {
    const int perThread = static_cast<int>(std::ceil(std::log2(static_cast<double>(elements))));
    return divUp(static_cast<int>(elements), std::max(1, perThread));
}

double sumOnHost(const Matrix& a) {
    std::vector<float> values(a.size());
    a.device().copyOut(values.data(), a.data(), values.size());
    float total = 0;
    for (float value : values) total += value;
    return total;
}

}  // namespace

double sumAll(const Matrix& a) {
    require(a.isContiguous(), "sum: the matrix must be contiguous", text("stride ", a.leadingDim()),
            text("stride ", a.stride()));
    if (a.size() <= hostSize) return sumOnHost(a);
    const int columns = totalColumns(a.size()), blocks = divUp(columns, 512);
    Matrix partial(a.device(), 1, blocks);
    a.device().launch(TYPES_INSTANCE(kTotalAgg, (agg::Sum)), blocks, 512, 4 * 512,
                      "one partial sum per block, 512 threads",
                      with(a.data(), partial.data(), columns, static_cast<int>(a.size())));
    return sumAll(partial);
}

double dotProduct(const Matrix& a, const Matrix& b) {
    require(a.sameDims(b) && a.isTrans() == b.isTrans() && a.isContiguous() && b.isContiguous(),
            "dot product: operands", "same shape and storage order, contiguous", text(a.shape(), ", ", b.shape()));
    if (a.empty()) return 0;
    const int columns = totalColumns(a.size()), blocks = divUp(columns, 512);
    Matrix partial(a.device(), 1, blocks);
    a.device().launch(PLAIN_INSTANCE(kDotProduct_r), blocks, 512, 4 * 512, "one partial sum per block, 512 threads",
                      with(a.data(), b.data(), partial.data(), columns, static_cast<int>(a.size())));
    return sumAll(partial);
}

void addProduct(const Matrix& a, const Matrix& b, float scaleThis, float scaleAB, Matrix& target) {
    require(a.cols() == b.rows(), "matrix product: inner dimensions", text(a.cols(), " rows of b"), text(b.rows()));
    if (scaleThis == 0) {
        if (!target.data()) target = Matrix(a.device(), a.rows(), b.cols(), true);
        target.resize(a.rows(), b.cols());
        target.setTrans(true);
    }
    require(target.isTrans() && target.rows() == a.rows() && target.cols() == b.cols(), "matrix product: target",
            text("(", a.rows(), ", ", b.cols(), "), column-major"), target.shape());
    a.device().gemm(a.isTrans() ? 'n' : 't', b.isTrans() ? 'n' : 't', a.rows(), b.cols(), a.cols(), scaleAB, a.data(),
                    a.stride(), b.data(), b.stride(), scaleThis, target.data(), target.stride());
}

void limitNorms(Matrix& weights, float norm) {
    Matrix squares(weights.device(), weights.rows(), weights.cols(), weights.isTrans());
    Matrix factors(weights.device(), 0, 0, weights.isTrans());
    eltwise::unary<unary::Square>(weights, squares);
    sum(squares, 0, factors);
    eltwise::unary<unary::WeightConstraint>(factors, factors, norm);
    eltwiseMultByVector(weights, factors, weights);
}

void limitContrast(Matrix& weights, float low, float high) {
    const float length = static_cast<float>(weights.rows());
    Matrix squares(weights.device(), weights.rows(), weights.cols(), weights.isTrans());
    Matrix factors(weights.device(), 0, 0, weights.isTrans());
    sum(weights, 0, factors);
    addVector(weights, factors, -1 / length, squares);
    eltwise::unary<unary::Square>(squares, squares);
    sum(squares, 0, factors);
    eltwise::unary<unary::WeightContrastNorm>(factors, factors, low * length, high * length);
    eltwiseMultByVector(weights, factors, weights);
}

void updateWeights(Matrix& weights, Matrix& inc, const Matrix& grad, float epsilon, float mom, float wc) {
    add(inc, grad, mom, epsilon, inc);
    if (wc > 0) add(inc, weights, 1, -wc * epsilon, inc);
    add(weights, inc, 1, 1, weights);
}
