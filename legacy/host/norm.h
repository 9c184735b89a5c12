// Response and contrast normalisation, within maps and across maps (pool-norm 2).
//
// Undo overwrites acts, as it did (generation 2014 across maps excepted). Contrast normalisation: meanDiffs in place of the
// images in the denominator; its undo is the response-norm undo with inputs = meanDiffs.
#pragma once
#include "matrix.h"

void convResponseNorm(Device& device, const Matrix& images, Matrix& denoms, Matrix& target, int numFilters, int sizeX,
                      float addScale, float powScale, float minDiv = 1, int generation = 2012);
void convContrastNorm(Device& device, const Matrix& images, const Matrix& meanDiffs, Matrix& denoms, Matrix& target,
                      int numFilters, int sizeX, float addScale, float powScale, float minDiv = 1,
                      int generation = 2012);
void convResponseNormUndo(Device& device, const Matrix& outGrads, const Matrix& denoms, const Matrix& inputs,
                          Matrix& acts, Matrix& target, int numFilters, int sizeX, float addScale, float powScale,
                          float scaleTargets = 0, float scaleOutput = 1, int generation = 2012);

// Generation 2014 does not store denoms.
void convResponseNormCrossMap(Device& device, const Matrix& images, Matrix& denoms, Matrix& target, int numFilters,
                              int sizeF, float addScale, float powScale, float minDiv, bool blocked,
                              int generation = 2012);
void convContrastNormCrossMap(Device& device, const Matrix& images, const Matrix& meanDiffs, Matrix& denoms,
                              Matrix& target, int numFilters, int sizeF, float addScale, float powScale, float minDiv,
                              bool blocked, int generation = 2012);
void convResponseNormCrossMapUndo(Device& device, const Matrix& outGrads, const Matrix& denoms, const Matrix& inputs,
                                  Matrix& acts, Matrix& target, int numFilters, int sizeF, float addScale,
                                  float powScale, bool blocked, float scaleTargets = 0, float scaleOutput = 1);
// The same in generation 2014: denoms are recomputed, acts stay.
void convResponseNormCrossMapUndo2(Device& device, const Matrix& outGrads, const Matrix& inputs, const Matrix& acts,
                                   Matrix& target, int numFilters, int sizeF, float addScale, float powScale,
                                   float minDiv, bool blocked, float scaleTargets = 0, float scaleOutput = 1);
