// Operations on images and weights that are neither convolution nor pooling (pool-norm 3, 4.1, 5).
#pragma once
#include "matrix.h"

// One direction of a separable blur. target may be images.
void convGaussianBlur(Device& device, const Matrix& images, const Matrix& filter, Matrix& target, bool horiz,
                      int numChannels, float scaleTargets = 0, float scaleOutputs = 1);
void convBedOfNails(Device& device, const Matrix& images, Matrix& target, int numChannels, int imgSize, int startX,
                    int strideX, float scaleTargets = 0, float scaleOutput = 1);
void convBedOfNailsUndo(Device& device, const Matrix& actsGrad, Matrix& target, int numChannels, int imgSize,
                        int startX, int strideX, float scaleTargets = 0, float scaleOutput = 1);
void convResizeBilinear(Device& device, const Matrix& images, Matrix& target, int imgSize, int tgtSize, float scale);
void convCrop(Device& device, const Matrix& images, Matrix& target, int imgSize, int tgtSize, int startY, int startX);
void convRGBToYUV(Device& device, const Matrix& images, Matrix& target);
void convRGBToLAB(Device& device, const Matrix& images, Matrix& target, bool center);
void convReflectHorizontal(Device& device, const Matrix& images, Matrix& targets, int imgSize);

void convTICA(Device& device, const Matrix& images, Matrix& target, int numFilters, int sizeX, float scaleTarget = 0,
              float scaleOutput = 1);
void convTICAGrad(Device& device, const Matrix& images, const Matrix& ticas, Matrix& target, int numFilters, int sizeX,
                  float scaleTarget = 0, float scaleOutput = 1);
void normalizeLocalWeights(Device& device, Matrix& weights, int numModules, float norm);
