// The primitives of the 2012 matrix class that layers are made of. Every one is a kernel launch (or a matrix product) on
// the device of its operands. Targets are resized where that is needed; the target may be an operand, if both are stored
// in the same order.
//
// Specification: pool-norm 9.
#pragma once
#include "matrix.h"

void fill(Matrix& target, float value);
void copyTo(const Matrix& a, Matrix& target); // turns the storage order if it must
void scale(const Matrix& a, float s, Matrix& target); // s a
void add(const Matrix& a, const Matrix& b, float scaleA, float scaleB, Matrix& target); // scaleA 0: a is not read
void eltwiseMult(const Matrix& a, const Matrix& b, Matrix& target);
void eltwiseMultAdd(const Matrix& a, const Matrix& b, Matrix& target); // target + a b
void eltwiseDivide(const Matrix& a, const Matrix& b, Matrix& target);
void applyMax(const Matrix& a, const Matrix& b, Matrix& target); // a > b ? a : b
void addScalar(const Matrix& a, float s, Matrix& target);
void squareRoot(const Matrix& a, Matrix& target);
void expInto(const Matrix& a, Matrix& target);

// vec is a row or a column; it is broadcast.
void addVector(const Matrix& a, const Matrix& vec, float scaleVec, Matrix& target);
void eltwiseMultByVector(const Matrix& a, const Matrix& vec, Matrix& target);
void eltwiseDivideByVector(const Matrix& a, const Matrix& vec, Matrix& target);

// Along axis 0 (results 1 x cols) or 1 (rows x 1).
void sum(const Matrix& a, int axis, Matrix& target);
void max(const Matrix& a, int axis, Matrix& target);
void addSum(const Matrix& a, int axis, float scaleThis, float scaleSum,
            Matrix& target); // scaleThis 0: target is not read

// Partial sums on the device, the last few thousand in order on the host, all in float.
double sumAll(const Matrix& a);
double dotProduct(const Matrix& a, const Matrix& b);

// target = scaleThis target + scaleAB a b. target is column-major; scaleThis 0 makes it so.
void addProduct(const Matrix& a, const Matrix& b, float scaleThis, float scaleAB, Matrix& target);

// Constraints on the columns w of a matrix (4.2), which is row-major or column-major: scaled down to a norm, and to a
// contrast √Σ(w - mean)² / length between the limits; columns without any contrast stay.
void limitNorms(Matrix& weights, float norm);
void limitContrast(Matrix& weights, float low, float high);

// inc = mom inc + epsilon grad, then - wc epsilon weights if wc > 0, then weights += inc (network-and-solver 8.2).
void updateWeights(Matrix& weights, Matrix& inc, const Matrix& grad, float epsilon, float mom, float wc);
