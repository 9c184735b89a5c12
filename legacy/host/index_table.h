// A table of 32-bit integers on a device, as kernels read it.
#pragma once
#include <cstring>
#include <vector>

#include "matrix.h"

class IndexTable {
public:
    IndexTable() = default;
    IndexTable(Device& device, const std::vector<int>& values) : bits(device, 1, static_cast<int>(values.size())) {
        static_assert(sizeof(int) == sizeof(float), "tables lie in the memory of matrices");
        std::vector<float> copy(values.size());
        std::memcpy(copy.data(), values.data(), 4 * values.size());
        device.copyIn(bits.data(), copy.data(), copy.size());
    }
    const int* data() const { return reinterpret_cast<const int*>(bits.data()); }
    int size() const { return bits.cols(); }
    bool empty() const { return bits.empty(); }

private:
    Matrix bits;
};
