// Multi-softmax on the host: marginals of a distribution over sets of classes (pool-norm 7.9).
#include "msm.h"

#include <algorithm>
#include <cmath>
#include <thread>
#include <vector>

#include "matrix_ops.h"

namespace {

constexpr float none = -1e35f;         // the logarithm of nothing

// log(e^x + e^y), with the short cuts of 2012 or without (quirk msm-log-shortcuts).
double logAdd(double x, double y, bool shortCuts) {
    const double high = std::max(x, y), difference = high - std::min(x, y);
    if (high <= none) return none;
    if (!shortCuts) return high + std::log1p(std::exp(-difference));
    return difference > 15 ? high
                           : high + (difference > 5 ? std::exp(-difference) : std::log(1 + std::exp(-difference)));
}

// One case: energies e[0], e[step] ... of `classes` classes become marginals. The class `fixed` is in every set; -1: none.
// behind[i][s] is the logarithm of the sum over the sets of s classes among those from i on, before[s] among those before.
void marginalsOfCase(float* e, long step, int classes, int setSize, int fixed, bool shortCuts) {
    const long width = setSize + 1L;
    std::vector<float> behind(static_cast<std::size_t>(classes + 1) * width, none), before(width, none);
    behind[classes * width] = 0;
    for (int i = classes - 1; i >= 0; --i) {
        float* const here = &behind[i * width];
        here[0] = i <= fixed ? none : 0;
        for (int s = std::max(1, setSize - i); s <= setSize; ++s) {
            const double with = static_cast<double>(here[width + s - 1]) + e[i * step];
            here[s] = static_cast<float>(i == fixed ? with : logAdd(with, here[width + s], shortCuts));
        }
    }
    const double logAll = behind[setSize];
    before[0] = 0;
    for (int i = 0; i < classes; ++i) {
        const double energy = e[i * step];
        double others = none;
        for (int s = setSize; s >= 0; --s) {
            if (s < setSize) {
                const double rest = static_cast<double>(before[s]) + behind[(i + 1) * width + setSize - 1 - s];
                others = logAdd(others, rest, shortCuts);
            }
            if (s > 0) {
                const double with = before[s - 1] + energy;
                before[s] = static_cast<float>(i == fixed ? with : logAdd(with, before[s], shortCuts));
            } else if (i == fixed) {
                before[0] = none;
            }
        }
        e[i * step] = static_cast<float>(std::exp(others + energy - logAll));
    }
}

}  // namespace

Matrix computeMultiSoftmaxMarginals(Device& device, const Matrix& energies, const Matrix* labels, int setSize,
                                    int threads) {
    const int classes = energies.rows(), cases = energies.cols();
    require(setSize >= 1 && setSize < classes, "setSize", text("1 to ", classes - 1), text(setSize));
    require(threads >= 1 && threads <= 32, "threads", "1 to 32", text(threads));
    Matrix largest(device, 0, 0), marginals(device, 0, 0);
    max(energies, 0, largest);
    addVector(energies, largest, -1, marginals);
    std::vector<float> values(energies.size()), fixed(cases, -1);
    device.copyOut(values.data(), marginals.data(), values.size());
    if (labels) {
        require(labels->size() == cases, "labels", text("one per case, ", cases), labels->shape());
        device.copyOut(fixed.data(), labels->data(), fixed.size());
        for (const float label : fixed)
            require(label > -1 && label < classes, "a label is no class", text("0 to ", classes - 1), text(label));
    }
    const int each = (cases + threads - 1) / threads;
    const bool shortCuts = device.quirks.on(Quirk::MsmLogShortcuts);
    std::vector<std::thread> workers;
    for (int first = 0; first < cases; first += each)
        workers.emplace_back([&, first] {
            for (int n = first; n < std::min(cases, first + each); ++n)
                marginalsOfCase(&values[n], cases, classes, setSize, static_cast<int>(fixed[n]), shortCuts);
        });
    for (std::thread& worker : workers) worker.join();
    device.copyIn(marginals.data(), values.data(), values.size());
    return marginals;
}
