// Element-wise kernels of the matrix class, and the operators they apply.
//
//   dest(y, x) = op(a(y, x))          unary; binary takes a second, ternary a third matrix
//   dest(y, x) = op(a(y, x), vec(.))  a vector broadcast over rows or columns of what is stored
//
// Memory view: height stored vectors of width contiguous elements. Blocks stride over both axes. Where dest is stored in
// the other order than an operand, a 32 x 33 tile in shared memory turns it.
//
// An operator is a struct with apply(elements..., p, q); p and q are its parameters (a scale, a slope, ...).
//
// Specification: pool-norm 9.2, 9.3.
#pragma once
#include <string>

#include "fastmath.cuh"

#define OPERATOR(family, Name, ARGUMENTS, ...)                                       \
    struct Name {                                                                    \
        static constexpr const char* kernelName() { return #family "::" #Name; }     \
        static DEVICE_MEMBER float apply ARGUMENTS { return __VA_ARGS__; }           \
    };
#define UNARY(Name, ...) OPERATOR(unary, Name, (float a, float p, float q), __VA_ARGS__)
#define BINARY(Name, ...) OPERATOR(binary, Name, (float a, float b, float p, float q), __VA_ARGS__)
#define TERNARY(Name, ...) OPERATOR(ternary, Name, (float a, float b, float c, float p, float q), __VA_ARGS__)

namespace unary {
UNARY(Identity, a)
UNARY(Const, p)
UNARY(Exp, fastExp(a))
UNARY(Log, fastLog(a))
UNARY(Square, a * a)
UNARY(MultByScalar, a * p)
UNARY(AddScalar, a + p)
UNARY(Sqrt, sqrtf(a))
// Of a squared norm a: the factor that brings the norm down to p; or, if it is not zero, into p ... q.
UNARY(WeightConstraint, a > p * p ? fastDivide(p, sqrtf(a)) : 1)
UNARY(WeightContrastNorm, a > 0 && sqrtf(a) < p ? fastDivide(p, sqrtf(a)) : sqrtf(a) > q ? fastDivide(q, sqrtf(a)) : 1)
}  // namespace unary

namespace binary {
BINARY(Add, a + b)
BINARY(WeightedAdd, weightedSum(a, p, b, q))
BINARY(Multiply, a * b)
BINARY(Divide, fastDivide(a, b))
BINARY(Max, a > b ? a : b)
BINARY(Second, b)
BINARY(SecondScaled, p * b)
}  // namespace binary

namespace ternary {
TERNARY(MultiplyAdd, a * b + c)

// A gradient of two operands added to what the target has (c).
template <typename Gradient>
struct AddGradient {
    static std::string kernelName() { return std::string("ternary::AddGradient<") + Gradient::kernelName() + ">"; }
    static DEVICE_MEMBER float apply(float a, float b, float c, float p, float q) { return Gradient::apply(a, b, p, q) + c; }
};
}  // namespace ternary

// Calls body(y, x) for every element that this block's threads own.
template <int B_X, int B_Y, typename Body>
DEVICE_FUNCTION void strideOverGrid(const Block& block, const int height, const int width, const Body& body) {
    WHOLE_ROWS_ON_HOST(B_Y, block, height, width, body)
    for (int top = block.y * B_Y; top < height; top += block.gridY * B_Y)
        for (int left = block.x * B_X; left < width; left += block.gridX * B_X)
            THREAD_ROWS(B_Y) {
                if (top + ty < height && left + B_X <= width) {
                    THREAD_COLS(B_X, B_X) { body(top + ty, left + tx); }
                } else if (top + ty < height) {
                    THREAD_COLS(B_X, width - left) { body(top + ty, left + tx); }
                }
            }
}

template <typename Op>
KERNEL kEltwiseUnaryOp(const Block& block, const float* a, float* dest, const int height, const int width,
                       const int strideA, const int strideDest, const float p, const float q) {
    strideOverGrid<32, 8>(block, height, width, [=](const int y, const int x) {
        dest[y * strideDest + x] = Op::apply(a[y * strideA + x], p, q);
    });
}

template <typename Op>
KERNEL kEltwiseBinaryOp(const Block& block, const float* a, const float* b, float* dest, const int height,
                        const int width, const int strideA, const int strideB, const int strideDest, const float p,
                        const float q) {
    strideOverGrid<32, 8>(block, height, width, [=](const int y, const int x) {
        dest[y * strideDest + x] = Op::apply(a[y * strideA + x], b[y * strideB + x], p, q);
    });
}

template <typename Op>
KERNEL kEltwiseTernaryOp(const Block& block, const float* a, const float* b, const float* c, float* dest,
                         const int height, const int width, const int strideA, const int strideB, const int strideC,
                         const int strideDest, const float p, const float q) {
    strideOverGrid<32, 8>(block, height, width, [=](const int y, const int x) {
        dest[y * strideDest + x] = Op::apply(a[y * strideA + x], b[y * strideB + x], c[y * strideC + x], p, q);
    });
}

// For every 32 x 32 tile: load(x, y) along y into shared memory, then store(y, x, value) along x.
template <bool checkBounds, typename Load, typename Store>
DEVICE_FUNCTION void throughTile(const Block& block, const int height, const int width, const Load& load,
                                 const Store& store) {
    SHARED float tile[32][33];
    for (int top = block.y * 32; top < height; top += block.gridY * 32)
        for (int left = block.x * 32; left < width; left += block.gridX * 32) {
            THREAD_ROWS(8) {
                for (int row = ty; row < 32; row += 8)
                    if (!checkBounds || left + row < width)
                        THREAD_COLS(32, checkBounds ? height - top : 32) { tile[row][tx] = load(left + row, top + tx); }
            }
            SYNC
            THREAD_ROWS(8) {
                for (int row = ty; row < 32; row += 8)
                    if (!checkBounds || top + row < height)
                        THREAD_COLS(32, checkBounds ? width - left : 32) { store(top + row, left + tx, tile[tx][row]); }
            }
            SYNC
        }
}

template <typename Op, bool checkBounds>
KERNEL kEltwiseUnaryOpTrans(const Block& block, const float* a, float* dest, const int height, const int width,
                            const int strideA, const int strideDest, const float p, const float q) {
    throughTile<checkBounds>(block, height, width,
        [=](const int x, const int y) { return Op::apply(a[x * strideA + y], p, q); },
        [=](const int y, const int x, const float value) { dest[y * strideDest + x] = value; });
}

// aTrans: both operands are stored in the other order than dest. Otherwise only b is; reverse: the host has exchanged
// a and b, the operator still sees them in their order.
template <typename Op, bool checkBounds, bool aTrans, bool reverse>
KERNEL kEltwiseBinaryOpTrans(const Block& block, const float* a, const float* b, float* dest, const int height,
                             const int width, const int strideA, const int strideB, const int strideDest,
                             const float p, const float q) {
    throughTile<checkBounds>(block, height, width,
        [=](const int x, const int y) {
            if constexpr (aTrans) return Op::apply(a[x * strideA + y], b[x * strideB + y], p, q);
            else return b[x * strideB + y];
        },
        [=](const int y, const int x, const float value) {
            float& element = dest[y * strideDest + x];
            if constexpr (aTrans) element = value;
            else if constexpr (reverse) element = Op::apply(value, a[y * strideA + x], p, q);
            else element = Op::apply(a[y * strideA + x], value, p, q);
        });
}

// One element of vec per stored vector.
template <typename Op>
KERNEL kColVectorOp(const Block& block, const float* a, const float* vec, float* dest, const int width,
                    const int height, const int strideA, const int strideDest, const float p, const float q) {
    SHARED float shVec[4];
    for (int top = block.y * 4; top < height; top += block.gridY * 4) {
        THREAD_ROWS(4) {
            if (top + ty < height) THREAD_COLS(64, 1) { shVec[ty] = vec[top + ty]; }
        }
        SYNC
        strideOverGrid<64, 4>(Block{block.x, 0, 0, block.gridX, 1, 1}, height - top < 4 ? height - top : 4, width,
            [&](const int y, const int x) {
                dest[(top + y) * strideDest + x] = Op::apply(a[(top + y) * strideA + x], shVec[y], p, q);
            });
        SYNC
    }
}

// One element of vec per position along the stored vectors.
template <typename Op>
KERNEL kRowVectorOp(const Block& block, const float* a, const float* vec, float* dest, const int width,
                    const int height, const int strideA, const int strideDest, const float p, const float q) {
    SHARED float shVec[64];
    for (int left = block.x * 64; left < width; left += block.gridX * 64) {
        THREAD_ROWS(4) {
            if (ty == 0) THREAD_COLS(64, width - left) { shVec[tx] = vec[left + tx]; }
        }
        SYNC
        strideOverGrid<64, 4>(Block{0, block.y, 0, 1, block.gridY, 1}, height, width - left < 64 ? width - left : 64,
            [&](const int y, const int x) {
                dest[y * strideDest + left + x] = Op::apply(a[y * strideA + left + x], shVec[x], p, q);
            });
        SYNC
    }
}
