// A rows x cols matrix of floats on a device, row-major or (trans) column-major: what NVMatrix was in 2012.
#pragma once
#include <memory>
#include <string>

#include "device.h"
#include "errors.h"

class Matrix {
public:
    Matrix() = default;
    Matrix(Matrix&&) = default;
    Matrix& operator=(Matrix&&) = default;
    Matrix(const Matrix&) = delete;                    // see alias
    Matrix& operator=(const Matrix&) = delete;
    Matrix(Device& device, int rows, int cols, bool trans = false);
    // A view of memory that somebody else owns; stride 0 means contiguous.
    static Matrix view(Device& device, float* data, int rows, int cols, bool trans = false, int stride = 0);
    // Values of the host: a view of them where the device can read them there, else a copy with the same stride.
    static Matrix fromHost(Device& device, float* data, int rows, int cols, bool trans = false, int stride = 0);

    int rows() const { return numRows; }
    int cols() const { return numCols; }
    bool isTrans() const { return trans; }
    int leadingDim() const { return trans ? numRows : numCols; }      // the contiguous extent
    int followingDim() const { return trans ? numCols : numRows; }
    int stride() const { return rowStride; }
    long size() const { return static_cast<long>(numRows) * numCols; }
    bool isContiguous() const { return rowStride == leadingDim() || followingDim() == 1; }
    bool isView() const { return data_ && !owned; }
    bool empty() const { return size() == 0; }
    float* data() { return data_; }
    const float* data() const { return data_; }
    Device& device() const { return *device_; }
    std::string shape() const { return text("(", numRows, ", ", numCols, ")"); }
    bool sameDims(const Matrix& other) const { return numRows == other.numRows && numCols == other.numCols; }

    // Contents are kept if the element count is unchanged, else lost; a view refuses to grow.
    void resize(int rows, int cols);
    void resize(const Matrix& like);                   // adopts the orientation too
    void reshape(int rows, int cols);
    // Another Matrix on the same memory, with a shape and a label of its own; the memory lives as long as either.
    Matrix alias() const;
    // Before writing memory that a reader may still hold through an alias: take other memory then.
    void renew(int rows, int cols);                    // contents are lost
    void makeExclusive();                              // contents are kept
    Matrix transposed() const;                         // a relabelled view: dims swapped, flag flipped
    Matrix rowsView(int first, int count) const; // rows first .. first+count-1 of a contiguous row-major matrix
    void setTrans(bool value) {
        trans = value;
        rowStride = leadingDim();
    }
    void fillZero(); // through the device
    void copyFrom(const Matrix& source); // same storage order, becomes the same shape

private:
    Device* device_ = nullptr;
    std::shared_ptr<float> owned;
    float* data_ = nullptr;
    int numRows = 0, numCols = 0, rowStride = 0;
    bool trans = false;
    void allocate(long elements);
};
