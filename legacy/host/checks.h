// Checks that the pooling, normalisation, image and cost entry points share.
#pragma once
#include "matrix.h"
#include "sizes.h"

void requireRowMajor(const char* entry, const char* argument, const Matrix& matrix);
void requireColumnMajor(const char* entry, const char* argument, const Matrix& matrix);
void requireContiguous(const char* entry, const char* argument, const Matrix& matrix);
// Row-major and contiguous; and of the shape of a model.
void requirePlain(const char* entry, const char* argument, const Matrix& matrix);
void requirePlain(const char* entry, const char* argument, const Matrix& matrix, const Matrix& model);
void requireSameShape(const char* entry, const char* argument, const Matrix& matrix, const Matrix& model);
void requireShape(const char* entry, const char* argument, const Matrix& matrix, int rows, int cols);
void requirePositive(const char* entry, const char* argument, int value);
void requireNear(const char* entry, const char* argument, long value);
void requireMultiple(const char* entry, const char* argument, int value, int factor);

// Row-major, contiguous, rows = maps * side * side; returns side.
int imageSide(const char* entry, const char* argument, const Matrix& images, int maps, bool strideAllowed = false);

// Gives the target rows x cols, row-major; a target without a device gets like's.
void resizeTarget(const char* entry, Matrix& target, const Matrix& like, int rows, int cols);

// A target that is added to (scaleTargets is not 0) must have its shape; one that is not, gets it.
void prepareTarget(const char* entry, Matrix& target, const Matrix& like, int rows, float scaleTargets);

// Whether a gradient kernel is to add to its target: unless scaleTargets is 0 and scaleOutput 1 (pool-norm 0.3). With the
// quirk undo-pair-test off, a target that is scaled by 0 is emptied first, so that nothing in it matters.
bool addsToTarget(Device& device, Matrix& target, float scaleTargets, float scaleOutput);
// After a kernel of 2014 that overwrites without scaling (scaleTargets 0): scales, with that quirk off.
void scaleOverwritten(Device& device, Matrix& target, float scaleTargets, float scaleOutput);
