// The gradient of a layer's output: what its consumers contribute, the first overwriting and others adding.
#pragma once
#include <map>

#include "matrix.h"

// Contributions from another device are summed on their own; that sum crosses in half precision (network-and-solver 11.1).
class GradientSum {
public:
    explicit GradientSum(Device& device) : own{Matrix(device, 0, 0)} {}

    static constexpr int sameDevice = -1;

    // Nothing has come yet; `clear` also gives the memory back.
    void restart();
    void clear();
    bool empty() const;

    // contribute(scaleTargets, target) puts or adds a contribution from a device, or from the same one.
    template <typename Contribute>
    void add(int rows, int cols, int from, Contribute contribute) {
        Part& part =
            from == sameDevice ? own : remote.try_emplace(from, Part{Matrix(own.sum.device(), 0, 0)}).first->second;
        if (part.started) part.sum.makeExclusive();
        else part.sum.renew(rows, cols);
        contribute(part.started ? 1.0f : 0.0f, part.sum);
        part.started = true;
    }

    // Everything that has come so far. More may come afterwards as if nobody had asked.
    Matrix total() const;

private:
    struct Part {
        Matrix sum;
        bool started = false;
    };
    Part own;
    std::map<int, Part> remote;        // by device
};
