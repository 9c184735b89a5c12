// Launching of the element-wise kernels and the axis reductions, for any operator (pool-norm 9.2 - 9.4).
#pragma once
#include "../kernels/reductions.cuh"

#include <algorithm>

#include "dispatch.h"
#include "matrix.h"

namespace eltwise {

// Block counts of a 2-D launch: at most 65535 on each axis; blocks stride.
inline Dim3 grid(int width, int height, int blockWidth, int blockHeight) {
    return {std::min(65535, divUp(width, blockWidth)), std::min(65535, divUp(height, blockHeight))};
}

// A target of other dimensions becomes like `model`; one of the same dimensions keeps its own orientation.
inline void prepare(const Matrix& model, Matrix& target) {
    if (!model.sameDims(target)) target.resize(model);
}

// target = op(a)
template <typename Op>
void unary(const Matrix& a, Matrix& target, float p = 0, float q = 0) {
    prepare(a, target);
    if (a.empty()) return;
    const int width = target.leadingDim(), height = target.followingDim();
    const auto args = with(a.data(), target.data(), height, width, a.stride(), target.stride(), p, q);
    const auto go = [&](const auto& kernel, int sharedBytes, const char* rule) {
        a.device().launch(kernel, grid(width, height, 32, 8), {32, 8}, sharedBytes, rule, args);
    };
    if (a.isTrans() == target.isTrans()) return go(TYPES_INSTANCE(kEltwiseUnaryOp, (Op)), 0, "same storage order");
    const auto turned = [&](auto check) {
        go(TYPES_INSTANCE(kEltwiseUnaryOpTrans, (Op), check), 4 * 32 * 33, "other storage order: through a tile");
    };
    dispatch(turned, flag(width % 32 != 0 || height % 32 != 0));
}

// target = op(a, b), all stored in the same order.
template <typename Op>
void binarySameOrder(const Matrix& a, const Matrix& b, Matrix& target, float p = 0, float q = 0) {
    require(a.sameDims(b), "element-wise operation: operands differ in shape", a.shape(), b.shape());
    require(a.isTrans() == b.isTrans() && a.isTrans() == target.isTrans(),
            "element-wise operation: operands differ in storage order", "all row-major or all column-major", "both");
    if (a.empty()) return;
    const int width = target.leadingDim(), height = target.followingDim();
    a.device().launch(
        TYPES_INSTANCE(kEltwiseBinaryOp, (Op)), grid(width, height, 32, 8), {32, 8}, 0, "same storage order",
        with(a.data(), b.data(), target.data(), height, width, a.stride(), b.stride(), target.stride(), p, q));
}

// target = op(a, b)
template <typename Op>
void binary(const Matrix& a, const Matrix& b, Matrix& target, float p = 0, float q = 0) {
    require(a.sameDims(b), "element-wise operation: operands differ in shape", a.shape(), b.shape());
    prepare(a, target);
    if (a.empty()) return;
    const bool aDiffers = a.isTrans() != target.isTrans(), bDiffers = b.isTrans() != target.isTrans();
    if (!aDiffers && !bDiffers) return binarySameOrder<Op>(a, b, target, p, q);
    const int width = target.leadingDim(), height = target.followingDim();
    const bool reverse = aDiffers && !bDiffers;
    const Matrix &first = reverse ? b : a, &second = reverse ? a : b;
    const auto args = with(first.data(), second.data(), target.data(), height, width, first.stride(), second.stride(),
                           target.stride(), p, q);
    const auto go = [&](const auto& kernel, const char* rule) {
        a.device().launch(kernel, grid(width, height, 32, 8), {32, 8}, 4 * 32 * 33, rule, args);
    };
    const auto turned = [&](auto check) {
        if (aDiffers && bDiffers)
            go(TYPES_INSTANCE(kEltwiseBinaryOpTrans, (Op), check, true, false), "target in the other storage order");
        else if (reverse)
            go(TYPES_INSTANCE(kEltwiseBinaryOpTrans, (Op), check, false, true), "a in the other storage order");
        else go(TYPES_INSTANCE(kEltwiseBinaryOpTrans, (Op), check, false, false), "b in the other storage order");
    };
    dispatch(turned, flag(width % 32 != 0 || height % 32 != 0));
}

// target = op(a, b, target), all stored in the same order.
template <typename Op>
void ternary(const Matrix& a, const Matrix& b, Matrix& target, float p = 0, float q = 0) {
    require(a.sameDims(b) && a.sameDims(target), "element-wise operation: operands differ in shape", a.shape(),
            text(b.shape(), ", ", target.shape()));
    require(a.isTrans() == b.isTrans() && a.isTrans() == target.isTrans(),
            "element-wise operation: operands differ in storage order", "all row-major or all column-major", "both");
    if (a.empty()) return;
    const int width = target.leadingDim(), height = target.followingDim();
    a.device().launch(TYPES_INSTANCE(kEltwiseTernaryOp, (Op)), grid(width, height, 32, 8), {32, 8}, 0,
                      "same storage order",
                      with(a.data(), b.data(), target.data(), target.data(), height, width, a.stride(), b.stride(),
                           target.stride(), target.stride(), p, q));
}

// target = op(a, b), or += it; all stored in the same order.
template <typename Op>
void gradient(const Matrix& a, const Matrix& b, Matrix& target, bool add, float p = 0, float q = 0) {
    if (add) return ternary<ternary::AddGradient<Op>>(a, b, target, p, q);
    target.resize(a);
    binarySameOrder<Op>(a, b, target, p, q);
}

// target = op(a, vec), vec a row or a column broadcast over a.
template <typename Op>
void vector(const Matrix& a, const Matrix& vec, Matrix& target, float p = 0, float q = 0) {
    require((vec.rows() == 1 && vec.cols() == a.cols()) || (vec.cols() == 1 && vec.rows() == a.rows()),
            "vector operation: shape of the vector", text("(1, ", a.cols(), ") or (", a.rows(), ", 1)"), vec.shape());
    require(vec.isContiguous(), "vector operation: the vector must be contiguous", text("stride ", vec.leadingDim()),
            text("stride ", vec.stride()));
    target.resize(a);
    if (a.empty()) return;
    const int width = a.leadingDim(), height = a.followingDim();
    const auto args = with(a.data(), vec.data(), target.data(), width, height, a.stride(), target.stride(), p, q);
    const Dim3 blocks = grid(width, height, 64, 4);
    // In 2012 a row vector over a matrix of one row was taken for a column vector: its first value for all.
    const bool alike = a.sameDims(vec) && !a.device().quirks.on(Quirk::OneRowVectors);
    if (!alike && (a.isTrans() ? vec.cols() == a.cols() : vec.rows() == a.rows()))
        a.device().launch(TYPES_INSTANCE(kColVectorOp, (Op)), blocks, {64, 4}, 4 * 4, "one value per stored vector",
                          args);
    else
        a.device().launch(TYPES_INSTANCE(kRowVectorOp, (Op)), blocks, {64, 4}, 4 * 64,
                          "one value per position along the stored vectors", args);
}

// The row path of section 9.4: every stored vector of length width gives one result.
template <typename Agg, typename Op>
void aggregateRows(const Matrix& a, Matrix& target, float p, float q) {
    const int width = a.leadingDim(), height = a.followingDim();
    const auto args = with(a.data(), target.data(), width, height, p, q);
    if (height >= 16384) {
        Dim3 blocks(1, divUp(height, 256));
        while (blocks.y > 65535) blocks = Dim3(blocks.x * 2, divUp(blocks.y, 2));
        const auto go = [&](const auto& kernel, int threadsX, const char* rule) {
            a.device().launch(kernel, blocks, {threadsX, 8}, 4 * 8 * threadsX, rule, args);
        };
        if (width > 64)
            return go(TYPES_INSTANCE(kAggShortRows2, (Agg, Op)), 32, "16384 vectors or more, longer than 64");
        if (width <= 16)
            return dispatch(
                [&](auto threads) {
                    go(TYPES_INSTANCE(kAggShortRows, (Agg, Op), 1, threads), threads,
                       "16384 vectors or more, of 16 or fewer");
                },
                oneOf<4, 8, 12, 16>(divUp(width, 4) * 4));
        return dispatch(
            [&](auto loops) {
                go(TYPES_INSTANCE(kAggShortRows, (Agg, Op), loops, 32), 32, "16384 vectors or more, of 17 to 64");
            },
            oneOf<2, 3, 4>(width <= 32 ? 2 : divUp(width, 16)));
    }
    if (width >= 512)
        return a.device().launch(TYPES_INSTANCE(kAggRows_wholerow_nosync, (Agg, Op)), {1, std::min(1024, height)},
                                 {256, 1}, 4 * 256, "fewer than 16384 vectors, of 512 or more", args);
    const auto shorter = [&](auto threads) {
        a.device().launch(TYPES_INSTANCE(kAggRows, (Agg, Op), threads), {1, height}, {threads, 1}, 8 * threads,
                          "fewer than 16384 vectors, shorter than 512", with(a.data(), target.data(), width, p, q));
    };
    dispatch(shorter, oneOf<32, 64, 128, 256>(width <= 64 ? 32 : width <= 128 ? 64 : width <= 256 ? 128 : 256));
}

// target = op(target, aggregate of a along axis); target becomes 1 x cols (axis 0) or rows x 1 (axis 1).
template <typename Agg, typename Op>
void aggregate(const Matrix& a, int axis, Matrix& target, float p = 0, float q = 0) {
    require(a.isContiguous(), "reduction: the matrix must be contiguous", text("stride ", a.leadingDim()),
            text("stride ", a.stride()));
    const int rows = axis == 0 ? 1 : a.rows(), cols = axis == 0 ? a.cols() : 1;
    if (!target.data()) target = Matrix(a.device(), rows, cols, a.isTrans());
    target.resize(rows, cols);
    target.setTrans(a.isTrans());
    if (a.empty()) return;
    if ((axis == 0) == a.isTrans() && a.leadingDim() > 1) return aggregateRows<Agg, Op>(a, target, p, q);
    // Over the stored vectors; also where these have one element (2011 copied there, forgetting op).
    const bool overStored = (axis == 0) != a.isTrans();
    const int width = overStored ? a.leadingDim() : a.followingDim(), height = overStored ? a.followingDim() : 1;
    a.device().launch(TYPES_INSTANCE(kDumbAggCols, (Agg, Op)), {divUp(width, 256), 1}, {256, 1}, 0,
                      "over the stored vectors: one thread per result",
                      with(a.data(), target.data(), width, height, p, q));
}

}  // namespace eltwise
