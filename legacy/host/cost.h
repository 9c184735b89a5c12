// Costs and the gradients of softmax and element-wise maximum (pool-norm 7). `add`: to the target, else into it.
#pragma once
#include "matrix.h"

// Row-major (classes, cases) probabilities; the results are (1, cases).
void computeLogregCost(Device& device, const Matrix& labels, const Matrix& probs, Matrix& labelLogProbs,
                       Matrix& correctProbs);
void computeMultiSoftmaxCost(Device& device, const Matrix& labels, const Matrix& probs, const Matrix& energies,
                             Matrix& labelLogProbs, Matrix& correctProbs, Matrix& top5Probs, int setSize,
                             bool useEnergies);
void computeCrossEntCost(Device& device, const Matrix& labels, const Matrix& probs, Matrix& labelLogProbs,
                         Matrix& correctProbs);
void computeLogregGrad(Device& device, const Matrix& labels, const Matrix& probs, Matrix& target, bool add,
                       float coeff);
void computeCrossEntGrad(Device& device, const Matrix& labels, const Matrix& probs, Matrix& target, bool add,
                         float coeff);

// Column-major (cases, classes) probabilities, the same memory; labels as above.
void computeSoftmaxGrad(Device& device, const Matrix& acts, const Matrix& actsGrad, Matrix& target, bool add);
void computeLogregSoftmaxGrad(Device& device, const Matrix& labels, const Matrix& probs, Matrix& target, bool add,
                              float coeff);
void computeCrossEntSoftmaxGrad(Device& device, const Matrix& labels, const Matrix& probs, Matrix& target, bool add,
                                float coeff);

void computeEltwiseMaxGrad(Device& device, const Matrix& actGrad, const Matrix& input, const Matrix& output,
                           Matrix& target, bool add);
