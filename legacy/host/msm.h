// Multi-softmax: a distribution over sets of classes (pool-norm 7.9).
#pragma once
#include "matrix.h"

// P(class in the set) for sets of setSize classes, a set having the weight exp(sum of its energies); given labels, under
// the condition that the label is in the set. energies (classes, cases), row-major; `threads` share the cases.
Matrix computeMultiSoftmaxMarginals(Device& device, const Matrix& energies, const Matrix* labels, int setSize,
                                    int threads);
