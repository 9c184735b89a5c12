// The convolution entry points, and the geometry and checks they share (conv-kernels 2).
#pragma once
#include "dispatch.h"
#include "entry_points.h"
#include "matrix.h"

struct ConvGeometry {
    std::string entry;                 // name of the entry point, for messages
    bool conv = true;                  // false: locally connected, one filter set per module
    bool sparse = false;               // true: connectivity from a table
    int numImages = 0, numFilters = 0, numImgColors = 0, numFilterColors = 0, numGroups = 1;
    int imgSizeY = 0, imgSizeX = 0, filterSize = 0, paddingStart = 0, moduleStride = 1;
    int numModulesY = 0, numModulesX = 0, imgStride = 0;

    int imgPixels() const { return product({imgSizeY, imgSizeX}); }
    int filterPixels() const { return product({filterSize, filterSize}); }
    int numModules() const { return product({numModulesY, numModulesX}); }
    int filtersPerGroup() const { return numFilters / numGroups; }
    int overSample() const { return product({numGroups, numFilterColors}) / numImgColors; }

    // A product of sizes; refused beyond the reach of 32-bit offsets (7.12).
    int product(std::initializer_list<long> sizes) const { return ::product(entry, sizes); }
    void requirePositive(const char* name, int value) const;
    // Positive sizes, groups that divide; before anything is derived from them (7.20).
    void requireSizes() const;
    // filterSize from the rows of the filter matrix, which must be a square per channel (and module).
    void deriveFilterSize(const Matrix& filters);
    // The rules of section 2.0 and, for sparse, of 2.2: coverage, stride, filter count, table identities.
    // Grids are not limited to 65535 blocks along y as they were in 2012 (7.11).
    void requireCommon() const;
    void requireShape(const char* argument, const Matrix& matrix, int rows, int cols) const;
    void requirePlain(const char* argument, const Matrix& matrix, bool strideAllowed = false) const;
    // Scale 0: resize and never read; else the target must have its shape already.
    void prepareTarget(Matrix& targets, int rows, int cols, float scaleTargets) const;
};

// What the arguments of every convolution entry point say; each reads the rest of its own.
ConvGeometry readGeometry(Arguments& arguments, const char* entry, bool conv, bool sparse);

void filterActs(Device& device, ConvGeometry geometry, const Matrix& images, const Matrix& filters, Matrix& targets,
                const int* colorIndices = nullptr, float scaleTargets = 0, float scaleOutput = 1);
void imgActs(Device& device, ConvGeometry geometry, const Matrix& hidActs, const Matrix& filters, Matrix& targets,
             const int* colorIndices = nullptr, float scaleTargets = 0, float scaleOutput = 1);
// partialSum modules are summed per slab of targets; 0: all.
void weightActs(Device& device, ConvGeometry geometry, const Matrix& images, const Matrix& hidActs, Matrix& targets,
                int partialSum, const int* colorIndices = nullptr, float scaleTargets = 0, float scaleOutput = 1);
