// Matrices: memory, shapes, views and copies.
#include "matrix.h"

#include <vector>

#include "sizes.h"

Matrix::Matrix(Device& device, int rows, int cols, bool trans)
    : device_(&device), numRows(rows), numCols(cols), trans(trans) {
    rowStride = leadingDim();
    allocate(product("matrix", {rows, cols}));
}

Matrix Matrix::view(Device& device, float* data, int rows, int cols, bool trans, int stride) {
    Matrix matrix;
    matrix.device_ = &device;
    matrix.data_ = data;
    matrix.numRows = rows;
    matrix.numCols = cols;
    matrix.trans = trans;
    matrix.rowStride = stride ? stride : matrix.leadingDim();
    return matrix;
}

Matrix Matrix::fromHost(Device& device, float* data, int rows, int cols, bool trans, int stride) {
    Matrix matrix = view(device, data, rows, cols, trans, stride);
    if (device.sharesHostMemory()) return matrix;
    const long following = matrix.followingDim();
    const long span = following ? (following - 1) * matrix.rowStride + matrix.leadingDim() : 0;
    matrix.allocate(span);
    device.copyIn(matrix.data_, data, span);
    return matrix;
}

void Matrix::allocate(long elements) {
    product("matrix", {elements});
    Device* device = device_;
    owned.reset(device->allocate(elements), [device](float* data) { device->release(data); });
    data_ = owned.get();
}

void Matrix::resize(int rows, int cols) {
    if (rows == numRows && cols == numCols) return;
    const bool sameCount = static_cast<long>(rows) * cols == size() && data_;
    require(!isView() || (sameCount && isContiguous()), "a view cannot be resized", shape(),
            text("(", rows, ", ", cols, ")"), "pass no targets, or targets of the right shape");
    numRows = rows;
    numCols = cols;
    rowStride = leadingDim();
    if (!sameCount) allocate(size());
}

void Matrix::resize(const Matrix& like) {
    if (!device_) device_ = like.device_;
    resize(like.numRows, like.numCols);
    setTrans(like.trans);
}

void Matrix::reshape(int rows, int cols) {
    require(static_cast<long>(rows) * cols == size() && isContiguous(), "sizes do not fit together",
            text(rows, " x ", cols, " elements without gaps"), shape());
    numRows = rows;
    numCols = cols;
    rowStride = leadingDim();
}

void Matrix::renew(int rows, int cols) {
    if (isView() || owned.use_count() > 1) *this = Matrix(*device_, rows, cols, trans);
    else resize(rows, cols);
    device_->forget(data_, size());
}

void Matrix::makeExclusive() {
    if (owned.use_count() <= 1) return;
    Matrix copy(*device_, numRows, numCols, trans);
    copy.copyFrom(*this);
    *this = std::move(copy);
}

Matrix Matrix::alias() const {
    Matrix result;
    result.device_ = device_;
    result.owned = owned;
    result.data_ = data_;
    result.numRows = numRows;
    result.numCols = numCols;
    result.rowStride = rowStride;
    result.trans = trans;
    return result;
}

Matrix Matrix::transposed() const {
    Matrix result = alias();
    std::swap(result.numRows, result.numCols);
    result.trans = !trans;
    return result;
}

Matrix Matrix::rowsView(int first, int count) const {
    return view(*device_, data_ + static_cast<long>(first) * rowStride, count, numCols, false, rowStride);
}

void Matrix::fillZero() {
    const std::vector<float> zeros(size(), 0.0f);
    device_->copyIn(data_, zeros.data(), zeros.size());
}

void Matrix::copyFrom(const Matrix& source) {
    if (!device_) device_ = source.device_;
    require(source.isContiguous(), "a matrix to be copied has gaps between its rows", "none", source.shape());
    resize(source);
    device_->copyWithin(data_, source.data_, size());
}
