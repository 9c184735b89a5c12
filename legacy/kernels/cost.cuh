// Cost layers, and gradients of softmax and element-wise maximum.
//
// labels: class per case, as a float, or (cross-entropy) a distribution over classes. Matrices are class-major in memory,
// cases contiguous, whatever their label says: element class * numCases + case. Gradients are of the objective, which is
// maximised. Every class that ties for the maximum shares the credit.
//
// Specification: pool-norm 7.
#pragma once
#include "fastmath.cuh"

DEVICE_FUNCTION float safeLog(const float x) { return x > 0 ? fastLog(x) : -50.0f; }

// One pass over the classes of 128 cases: how many values equal the label's, and how many exceed it.
struct Ranking {
    PerThread<float, 128> label;
    PerThread<int, 128> equal, bigger;

    DEVICE_MEMBER Ranking(const float* values, const float* labels, const int firstCase, const int numCases,
                          const int numOut) {
        const int count = numCases - firstCase;
        equal.clear();
        bigger.clear();
        THREAD_ROWS(1) {
            THREAD_COLS(128, count) {
                label(tx) = values[static_cast<int>(labels[firstCase + tx]) * numCases + firstCase + tx];
            }
            for (int c = 0; c < numOut; ++c)
                THREAD_COLS(128, count) {
                    const float value = values[c * numCases + firstCase + tx];
                    equal(tx) += value == label(tx);
                    bigger(tx) += value > label(tx);
                }
        }
    }
};

KERNEL kLogregCost(const Block& block, const float* probs, const float* labels, const float* maxProbs, float* labelLogProbs,
                   float* correctProbs, const int numCases, const int numOut) {
    Ranking ranking(probs, labels, block.x * 128, numCases, numOut);
    THREAD_ROWS(1) {
        THREAD_COLS(128, numCases - block.x * 128) {
            const int n = block.x * 128 + tx;
            labelLogProbs[n] = fastLog(ranking.label(tx));
            correctProbs[n] = ranking.label(tx) != maxProbs[n] ? 0.0f : 1.0f / ranking.equal(tx);
        }
    }
}

// top5Probs: credit for a label among the setSize classes of largest rankBy; ties share the places left.
DEVICE_FUNCTION void multiSoftmaxCost(const Block& block, const float* rankBy, const float* probs, const float* labels,
                                      const float* maxValues, float* labelLogProbs, float* correctProbs, float* top5Probs,
                                      const int setSize, const int numCases, const int numOut) {
    Ranking ranking(rankBy, labels, block.x * 128, numCases, numOut);
    THREAD_ROWS(1) {
        THREAD_COLS(128, numCases - block.x * 128) {
            const int n = block.x * 128 + tx, slots = setSize - ranking.bigger(tx), equal = ranking.equal(tx);
            labelLogProbs[n] = fastLog(probs[static_cast<int>(labels[n]) * numCases + n]);
            correctProbs[n] = ranking.label(tx) != maxValues[n] ? 0.0f : 1.0f / equal;
            top5Probs[n] = slots <= 0 ? 0.0f : equal <= slots ? 1.0f : static_cast<float>(slots) / equal;
        }
    }
}

KERNEL kMultiSoftmaxCost(const Block& block, const float* probs, const float* labels, const float* maxProbs,
                         float* labelLogProbs, float* correctProbs, float* top5Probs, const int setSize, const int numCases,
                         const int numOut) {
    multiSoftmaxCost(block, probs, probs, labels, maxProbs, labelLogProbs, correctProbs, top5Probs, setSize, numCases, numOut);
}

KERNEL kMultiSoftmaxCost_engs(const Block& block, const float* probs, const float* labels, const float* energies,
                              const float* maxEnergies, float* labelLogProbs, float* correctProbs, float* top5Probs,
                              const int setSize, const int numCases, const int numOut) {
    multiSoftmaxCost(block, energies, probs, labels, maxEnergies, labelLogProbs, correctProbs, top5Probs, setSize, numCases,
                     numOut);
}

KERNEL kCrossEntCost(const Block& block, const float* probs, const float* labels, const float* maxProbs, float* labelLogProbs,
                     float* correctProbs, const int numCases, const int numOut) {
    PerThread<float, 128> logProbs;
    PerThread<int, 128> ties, credited;
    const int first = block.x * 128, count = numCases - first;
    logProbs.clear();
    ties.clear();
    credited.clear();
    THREAD_ROWS(1) {
        for (int c = 0; c < numOut; ++c)
            THREAD_COLS(128, count) {
                const int at = c * numCases + first + tx;
                const bool best = probs[at] == maxProbs[first + tx];
                logProbs(tx) += labels[at] * safeLog(probs[at]);
                ties(tx) += best;
                credited(tx) |= best & (labels[at] > 0);
            }
        THREAD_COLS(128, count) {
            labelLogProbs[first + tx] = logProbs(tx);
            correctProbs[first + tx] = credited(tx) ? 1.0f / ties(tx) : 0.0f;
        }
    }
}

// One thread per (class, case) of 4 classes and 32 cases: target = value(class, case), or += it.
template <bool add, typename Value>
DEVICE_FUNCTION void classGradient(const Block& block, float* target, const int numCases, const int numOut,
                                   const Value& value) {
    const int firstCase = block.x * 32;
    THREAD_ROWS(4) {
        const int c = block.y * 4 + ty;
        if (c < numOut)
            THREAD_COLS(32, numCases - firstCase) {
                float& element = target[c * numCases + firstCase + tx];
                const float v = value(c, firstCase + tx);
                element = add ? element + v : v;
            }
    }
}

template <bool add>
KERNEL kLogregCostGrad(const Block& block, const float* probs, const float* labels, float* target, const int numCases,
                       const int numOut, const float coeff) {
    classGradient<add>(block, target, numCases, numOut, [=](const int c, const int n) {
        return fastDivide(coeff * (static_cast<int>(labels[n]) == c), probs[c * numCases + n]);
    });
}

template <bool add>
KERNEL kLogregSoftmaxGrad(const Block& block, const float* probs, const float* labels, float* target, const int numCases,
                          const int numOut, const float coeff) {
    classGradient<add>(block, target, numCases, numOut, [=](const int c, const int n) {
        return coeff * ((static_cast<int>(labels[n]) == c) - probs[c * numCases + n]);
    });
}

template <bool add>
KERNEL kCrossEntGrad(const Block& block, const float* probs, const float* labels, float* target, const int numCases,
                     const int numOut, const float coeff) {
    classGradient<add>(block, target, numCases, numOut, [=](const int c, const int n) {
        return coeff * fastDivide(labels[c * numCases + n], probs[c * numCases + n]);
    });
}

// target(c) = scale(c) * sum over classes j of term(j, c), a pass over all classes for every output.
template <bool add, typename Term, typename Scale>
DEVICE_FUNCTION void throughSoftmax(const Block& block, float* target, const int numCases, const int numOut,
                                    const Term& term, const Scale& scale) {
    const int firstCase = block.x * 32, count = numCases - firstCase;
    THREAD_ROWS(4) {
        const int c = block.y * 4 + ty;
        PerThread<float, 32> sums;
        sums.clear();
        if (c < numOut) {
            for (int j = 0; j < numOut; ++j)
                THREAD_COLS(32, count) { sums(tx) += term(j, c, firstCase + tx); }
            THREAD_COLS(32, count) {
                float& element = target[c * numCases + firstCase + tx];
                const float value = scale(c, firstCase + tx) * sums(tx);
                element = add ? element + value : value;
            }
        }
    }
}

template <bool add>
KERNEL kSoftmaxGrad(const Block& block, const float* actsGrad, const float* acts, float* target, const int numCases,
                    const int numOut) {
    throughSoftmax<add>(block, target, numCases, numOut,
        [=](const int j, const int c, const int n) { return actsGrad[j * numCases + n] * ((j == c) - acts[j * numCases + n]); },
        [=](const int c, const int n) { return acts[c * numCases + n]; });
}

template <bool add>
KERNEL kCrossEntSoftmaxGrad(const Block& block, const float* probs, const float* labels, float* target, const int numCases,
                            const int numOut, const float coeff) {
    throughSoftmax<add>(block, target, numCases, numOut,
        [=](const int j, const int c, const int n) { return labels[j * numCases + n] * ((j == c) - probs[c * numCases + n]); },
        [=](int, int) { return coeff; });
}

// Flat: every input that equals the output gets the whole gradient.
template <int B_X, bool add>
KERNEL kEltwiseMaxGrad(const Block& block, const float* actGrad, const float* input, const float* output, float* target,
                       const int numElements) {
    for (int first = block.x * B_X; first < numElements; first += block.gridX * B_X)
        THREAD_ROWS(1) {
            THREAD_COLS(B_X, numElements - first) {
                const int e = first + tx;
                const float value = actGrad[e] * (output[e] == input[e]);
                target[e] = add ? target[e] + value : value;
            }
        }
}
