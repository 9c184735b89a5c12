// Sums along the paths of a class tree (network-and-solver 12). offsets (nodes, inputs), inputs fastest: one thread each.
//
// order: the nodes from the root down; parents: the parent of each of them, in the same order.
#pragma once
#include "block.cuh"

// sums = the offset of a node and of all nodes above it: e_root = w_root, e_child = e_parent + w_child.
KERNEL kTreeWeights(const Block& block, const float* offsets, float* sums, const int* order, const int* parents,
                    const int numInputs, const int numNodes) {
    const int first = block.x * 128, count = numInputs - first;
    offsets += first;
    sums += first;
    THREAD_ROWS(1) {
        for (int k = 0; k < numNodes; ++k) {
            const int node = order[k] * numInputs, parent = parents[k] * numInputs;
            if (k == 0) {
                THREAD_COLS(128, count) { sums[node + tx] = offsets[node + tx]; }
            } else {
                THREAD_COLS(128, count) { sums[node + tx] = sums[parent + tx] + offsets[node + tx]; }
            }
        }
    }
}

// grads of the leaves are given; that of another node is the sum over its children, from the last in order to the first.
KERNEL kTreeGradients(const Block& block, float* grads, const int* order, const int* parents, const int numInputs,
                      const int numNodes) {
    const int first = block.x * 128, count = numInputs - first;
    grads += first;
    THREAD_ROWS(1) {
        for (int k = numNodes - 1, done = -1; k > 0; --k) {
            const int node = order[k] * numInputs, parent = parents[k] * numInputs;
            if (parent != done) {
                THREAD_COLS(128, count) { grads[parent + tx] = grads[node + tx]; }
            } else {
                THREAD_COLS(128, count) { grads[parent + tx] += grads[node + tx]; }
            }
            done = parent;
        }
    }
}
