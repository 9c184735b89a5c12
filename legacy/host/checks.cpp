// The checks that entry points share: order, contiguity, shape and sizes of matrices, and the targets they prepare.
#include "checks.h"

#include <cmath>

#include "matrix_ops.h"

void requireRowMajor(const char* entry, const char* argument, const Matrix& matrix) {
    require(!matrix.isTrans(), text(entry, ": ", argument, " has the wrong order"), "row-major (C order)",
            "column-major", "pass numpy.ascontiguousarray(...)");
}

void requireColumnMajor(const char* entry, const char* argument, const Matrix& matrix) {
    require(matrix.isTrans(), text(entry, ": ", argument, " has the wrong order"), "column-major (Fortran order)",
            "row-major", "pass numpy.asfortranarray(...)");
}

void requireContiguous(const char* entry, const char* argument, const Matrix& matrix) {
    require(matrix.isContiguous(), text(entry, ": ", argument, " must be contiguous"),
            text("stride ", matrix.leadingDim()), text("stride ", matrix.stride()), "pass a copy instead of a view");
}

void requirePlain(const char* entry, const char* argument, const Matrix& matrix) {
    requireRowMajor(entry, argument, matrix);
    requireContiguous(entry, argument, matrix);
}

void requirePlain(const char* entry, const char* argument, const Matrix& matrix, const Matrix& model) {
    requirePlain(entry, argument, matrix);
    requireSameShape(entry, argument, matrix, model);
}

void requireSameShape(const char* entry, const char* argument, const Matrix& matrix, const Matrix& model) {
    requireShape(entry, argument, matrix, model.rows(), model.cols());
}

void requireShape(const char* entry, const char* argument, const Matrix& matrix, int rows, int cols) {
    require(matrix.rows() == rows && matrix.cols() == cols, text(entry, ": ", argument, " has the wrong shape"),
            text("(", rows, ", ", cols, ")"), matrix.shape(),
            matrix.rows() == cols && matrix.cols() == rows ? "this looks transposed" : "");
}

void requirePositive(const char* entry, const char* argument, int value) {
    require(value > 0, text(entry, ": ", argument, " must be positive"), ">= 1", text(value));
}

void requireNear(const char* entry, const char* argument, long value) {
    require(value > -farAway && value < farAway, text(entry, ": ", argument, " is too far away"),
            text("magnitudes below ", farAway, " (offsets are 32-bit)"), text(value));
}

void requireMultiple(const char* entry, const char* argument, int value, int factor) {
    require(value > 0 && value % factor == 0, text(entry, ": ", argument), text("a multiple of ", factor), text(value),
            text("the historical kernel works on tiles of ", factor));
}

int imageSide(const char* entry, const char* argument, const Matrix& images, int maps, bool strideAllowed) {
    requirePositive(entry, "number of maps", maps);
    requireRowMajor(entry, argument, images);
    if (!strideAllowed) requireContiguous(entry, argument, images);
    const int pixels = images.rows() / maps, side = static_cast<int>(std::sqrt(static_cast<double>(pixels)));
    require(side > 0 && images.cols() > 0 && product(entry, {side, side, maps}) == images.rows(),
            text(entry, ": ", argument, " has the wrong shape"),
            text("(", maps, " maps * S*S pixels, images) for square maps"), images.shape());
    return side;
}

void resizeTarget(const char* entry, Matrix& target, const Matrix& like, int rows, int cols) {
    requirePositive(entry, "rows of the result", rows);
    product(entry, {rows, cols});
    if (!target.data()) target = Matrix(like.device(), rows, cols);
    requireRowMajor(entry, "target", target);
    target.resize(rows, cols);
    requireContiguous(entry, "target", target);
}

void prepareTarget(const char* entry, Matrix& target, const Matrix& like, int rows, float scaleTargets) {
    if (scaleTargets == 0) return resizeTarget(entry, target, like, rows, like.cols());
    requirePlain(entry, "target", target);
    requireShape(entry, "target", target, rows, like.cols());
}

bool addsToTarget(Device& device, Matrix& target, float scaleTargets, float scaleOutput) {
    if (scaleTargets == 0 && scaleOutput == 1) return false;
    if (scaleTargets == 0 && !device.quirks.on(Quirk::UndoPairTest)) target.fillZero();
    return true;
}

void scaleOverwritten(Device& device, Matrix& target, float scaleTargets, float scaleOutput) {
    if (scaleTargets == 0 && scaleOutput != 1 && !device.quirks.on(Quirk::Undo2014IgnoresScale))
        scale(target, scaleOutput, target);
}
