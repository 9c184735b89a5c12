// Pooling over windows of each map and over neighbouring maps (pool-norm 1).
#pragma once
#include "matrix.h"

enum class Pool { Max, MaxAbs, Avg, Sum };      // Sum: generation 2014

void convLocalPool(Device& device, const Matrix& images, Matrix& target, int numFilters, int subsX, int startX,
                   int strideX, int outputsX, Pool pooler, int generation = 2012);
// A random pixel of every window, in proportion to what is positive; uniforms in [0, 1) are shaped like the target. The
// law is that of kLocalRandomPool (pool-norm 1.4).
void convLocalRandomPool(Device& device, const Matrix& images, const Matrix& uniforms, Matrix& target, int numFilters,
                         int subsX, int startX, int strideX, int outputsX);
void convLocalMaxUndo(Device& device, const Matrix& images, const Matrix& maxGrads, const Matrix& maxActs,
                      Matrix& target, int subsX, int startX, int strideX, int outputsX, float scaleTargets = 0,
                      float scaleOutput = 1);
void convLocalAvgUndo(Device& device, const Matrix& avgGrads, Matrix& target, int subsX, int startX, int strideX,
                      int outputsX, int imgSize, bool sum, float scaleTargets = 0, float scaleOutput = 1,
                      int generation = 2012);

// Generation 2014. scaleTargets 0: the target is not read, and scaleOutputs is ignored, as it was.
void convPoolCrossMap(Device& device, const Matrix& images, Matrix& target, int startF, int poolSize, int numOutputs,
                      int stride, int imgSize);
void convCrossMapMaxPoolUndo(Device& device, const Matrix& images, const Matrix& maxGrads, const Matrix& maxActs,
                             Matrix& target, int imgSize, int startF, int poolSize, int stride, float scaleTargets = 0,
                             float scaleOutputs = 1);
