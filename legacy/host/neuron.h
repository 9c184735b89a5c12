// Neurons (pool-norm 8), by the names of the configuration language.
#pragma once
#include "matrix.h"

struct NeuronSpec {
    std::string type; // relu, nrelu, brelu, softrelu, abs, logistic, tanh, square, sqrt, linear, ident, drelu, log
    float a = 1, b = 1;
};

// Refuses what is no neuron of that generation.
void requireNeuron(const NeuronSpec& spec, int generation = 2012);

// outputs = f(inputs). For nrelu this is its first step; noisyRelu is the whole of it.
void neuronActivate(Device& device, const NeuronSpec& spec, const Matrix& inputs, Matrix& outputs,
                    int generation = 2012);

// relu, plus normals (standard normal) times the activation, relu again.
void noisyRelu(Device& device, const Matrix& inputs, const Matrix& normals, Matrix& outputs);

// target = (target +) actsGrad * f'. Of inputs and outputs only the one that the neuron's formula uses is read.
void neuronInputGrad(Device& device, const NeuronSpec& spec, const Matrix& actsGrad, const Matrix& inputs,
                     const Matrix& outputs, Matrix& target, bool add, int generation = 2012);
