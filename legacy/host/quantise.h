// Half precision for matrices that cross between devices through host memory (pool-norm 6).
#pragma once
#include "matrix.h"

// Two numbers to a float's place, in storage order: target becomes (1, half as many, rounded up).
void convQuantizeHalf(Device& device, const Matrix& src, Matrix& target);
// target = scaleTarget target + scaleOutput numbers, in storage order.
void convDequantizeHalf(Device& device, const Matrix& quantized, Matrix& target, int numElements, float scaleTarget = 0,
                        float scaleOutput = 1);
