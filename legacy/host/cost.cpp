// Costs and the gradients of softmax and element-wise maximum: checks and dispatch (pool-norm 7).
#include "../kernels/cost.cuh"

#include "cost.h"

#include "checks.h"
#include "dispatch.h"
#include "entry_points.h"
#include "matrix_ops.h"

namespace {

void requireLabels(const char* entry, const Matrix& labels, int numCases) {
    requirePlain(entry, "labels", labels);
    require(labels.size() == numCases, text(entry, ": labels have the wrong shape"),
            text("one label per case, ", numCases), labels.shape());
}

// Class indices must be classes: the kernels use them as addresses. One look at the labels from the host.
void requireClasses(const char* entry, const Matrix& labels, int numOut) {
    std::vector<float> values(labels.size());
    labels.device().copyOut(values.data(), labels.data(), values.size());
    for (float value : values)
        require(value > -1 && value < numOut, text(entry, ": a label is no class"), text("0 to ", numOut - 1),
                text(value));
}

void requireProbs(const char* entry, const char* argument, const Matrix& probs) {
    requirePlain(entry, argument, probs);
    require(!probs.empty(), text(entry, ": ", argument, " is empty"), "(classes, cases)", probs.shape());
}

void prepareTarget(const char* entry, Matrix& target, const Matrix& model, bool add) {
    if (!add) return target.resize(model);
    requireSameShape(entry, "target", target, model);
    require(target.isTrans() == model.isTrans(), text(entry, ": target"), "the storage order of the gradient",
            "the other one");
    requireContiguous(entry, "target", target);
}

// Cost kernels: one thread per case.
template <typename... Parameters, typename... Types>
void launchCost(Device& device, const Kernel<Parameters...>& kernel, int numCases, const std::tuple<Types...>& args) {
    device.launch(kernel, divUp(numCases, 128), 128, 0, "one case per thread", args);
}

// Gradient kernels: one thread per class and case.
template <typename... Parameters, typename... Types>
void launchGradient(Device& device, const Kernel<Parameters...>& kernel, int numCases, int numOut,
                    const std::tuple<Types...>& args) {
    device.launch(kernel, {divUp(numCases, 32), divUp(numOut, 4)}, {32, 4}, 0, "one class and case per thread", args);
}

}  // namespace

void computeLogregCost(Device& device, const Matrix& labels, const Matrix& probs, Matrix& labelLogProbs,
                       Matrix& correctProbs) {
    const char* entry = "computeLogregCost";
    const int numCases = probs.cols(), numOut = probs.rows();
    requireProbs(entry, "probs", probs);
    requireLabels(entry, labels, numCases);
    requireClasses(entry, labels, numOut);
    Matrix maxProbs(device, 1, numCases);
    max(probs, 0, maxProbs);
    resizeTarget(entry, labelLogProbs, probs, 1, numCases);
    resizeTarget(entry, correctProbs, probs, 1, numCases);
    launchCost(device, PLAIN_INSTANCE(kLogregCost), numCases,
               with(probs.data(), labels.data(), maxProbs.data(), labelLogProbs.data(), correctProbs.data(), numCases,
                    numOut));
}

void computeMultiSoftmaxCost(Device& device, const Matrix& labels, const Matrix& probs, const Matrix& energies,
                             Matrix& labelLogProbs, Matrix& correctProbs, Matrix& top5Probs, int setSize,
                             bool useEnergies) {
    const char* entry = "computeMultiSoftmaxCost";
    const int numCases = probs.cols(), numOut = probs.rows();
    requireProbs(entry, "probs", probs);
    requireLabels(entry, labels, numCases);
    requireClasses(entry, labels, numOut);
    require(setSize >= 1, text(entry, ": setSize is no size of a set"), "1 or more", text(setSize));
    if (useEnergies) {
        requireProbs(entry, "energies", energies);
        requireSameShape(entry, "energies", energies, probs);
    }
    Matrix maxValues(device, 1, numCases);
    max(useEnergies ? energies : probs, 0, maxValues);
    for (Matrix* result : {&labelLogProbs, &correctProbs, &top5Probs}) resizeTarget(entry, *result, probs, 1, numCases);
    const auto inputs = with(probs.data(), labels.data());
    const auto rest =
        with(maxValues.data(), labelLogProbs.data(), correctProbs.data(), top5Probs.data(), setSize, numCases, numOut);
    if (useEnergies)
        launchCost(device, PLAIN_INSTANCE(kMultiSoftmaxCost_engs), numCases,
                   std::tuple_cat(inputs, with(energies.data()), rest));
    else launchCost(device, PLAIN_INSTANCE(kMultiSoftmaxCost), numCases, std::tuple_cat(inputs, rest));
}

void computeCrossEntCost(Device& device, const Matrix& labels, const Matrix& probs, Matrix& labelLogProbs,
                         Matrix& correctProbs) {
    const char* entry = "computeCrossEntCost";
    const int numCases = probs.cols(), numOut = probs.rows();
    requireProbs(entry, "probs", probs);
    requireProbs(entry, "labels", labels);
    requireSameShape(entry, "labels", labels, probs);
    Matrix maxProbs(device, 1, numCases);
    max(probs, 0, maxProbs);
    resizeTarget(entry, labelLogProbs, probs, 1, numCases);
    resizeTarget(entry, correctProbs, probs, 1, numCases);
    launchCost(device, PLAIN_INSTANCE(kCrossEntCost), numCases,
               with(probs.data(), labels.data(), maxProbs.data(), labelLogProbs.data(), correctProbs.data(), numCases,
                    numOut));
}

void computeLogregGrad(Device& device, const Matrix& labels, const Matrix& probs, Matrix& target, bool add,
                       float coeff) {
    const char* entry = "computeLogregGrad";
    requireProbs(entry, "probs", probs);
    requireLabels(entry, labels, probs.cols());
    prepareTarget(entry, target, probs, add);
    launchGradient(device, FLAG_INSTANCE(kLogregCostGrad, add), probs.cols(), probs.rows(),
                   with(probs.data(), labels.data(), target.data(), probs.cols(), probs.rows(), coeff));
}

void computeCrossEntGrad(Device& device, const Matrix& labels, const Matrix& probs, Matrix& target, bool add,
                         float coeff) {
    const char* entry = "computeCrossEntGrad";
    requireProbs(entry, "probs", probs);
    requireProbs(entry, "labels", labels);
    requireSameShape(entry, "labels", labels, probs);
    prepareTarget(entry, target, probs, add);
    launchGradient(device, FLAG_INSTANCE(kCrossEntGrad, add), probs.cols(), probs.rows(),
                   with(probs.data(), labels.data(), target.data(), probs.cols(), probs.rows(), coeff));
}

void computeSoftmaxGrad(Device& device, const Matrix& acts, const Matrix& actsGrad, Matrix& target, bool add) {
    const char* entry = "computeSoftmaxGrad";
    requireColumnMajor(entry, "acts", acts);
    requireColumnMajor(entry, "actsGrad", actsGrad);
    requireContiguous(entry, "acts", acts);
    requireContiguous(entry, "actsGrad", actsGrad);
    requireSameShape(entry, "actsGrad", actsGrad, acts);
    prepareTarget(entry, target, acts, add);
    launchGradient(device, FLAG_INSTANCE(kSoftmaxGrad, add), acts.rows(), acts.cols(),
                   with(actsGrad.data(), acts.data(), target.data(), acts.rows(), acts.cols()));
}

void computeLogregSoftmaxGrad(Device& device, const Matrix& labels, const Matrix& probs, Matrix& target, bool add,
                              float coeff) {
    const char* entry = "computeLogregSoftmaxGrad";
    requireColumnMajor(entry, "probs", probs);
    requireContiguous(entry, "probs", probs);
    requireLabels(entry, labels, probs.rows());
    prepareTarget(entry, target, probs, add);
    launchGradient(device, FLAG_INSTANCE(kLogregSoftmaxGrad, add), probs.rows(), probs.cols(),
                   with(probs.data(), labels.data(), target.data(), probs.rows(), probs.cols(), coeff));
}

void computeCrossEntSoftmaxGrad(Device& device, const Matrix& labels, const Matrix& probs, Matrix& target, bool add,
                                float coeff) {
    const char* entry = "computeCrossEntSoftmaxGrad";
    requireColumnMajor(entry, "probs", probs);
    requireContiguous(entry, "probs", probs);
    requireProbs(entry, "labels", labels);
    requireShape(entry, "labels", labels, probs.cols(), probs.rows());
    prepareTarget(entry, target, probs, add);
    launchGradient(device, FLAG_INSTANCE(kCrossEntSoftmaxGrad, add), probs.rows(), probs.cols(),
                   with(probs.data(), labels.data(), target.data(), probs.rows(), probs.cols(), coeff));
}

void computeEltwiseMaxGrad(Device& device, const Matrix& actGrad, const Matrix& input, const Matrix& output,
                           Matrix& target, bool add) {
    const char* entry = "computeEltwiseMaxGrad";
    requireContiguous(entry, "actGrad", actGrad);
    for (const Matrix* other : {&input, &output}) {
        requireContiguous(entry, "input or output", *other);
        requireSameShape(entry, "input or output", *other, actGrad);
        require(other->isTrans() == actGrad.isTrans(), text(entry, ": storage order"), "the same for all operands",
                "both");
    }
    prepareTarget(entry, target, actGrad, add);
    const int elements = static_cast<int>(actGrad.size());
    device.launch(FLAG_INSTANCE(kEltwiseMaxGrad, add, 128), divUp(elements, 128), 128, 0, "one element per thread",
                  with(actGrad.data(), input.data(), output.data(), target.data(), elements));
}

namespace {

const Entry entries[] = {
    {"computeLogregCost", calls(computeLogregCost, "labels", "probs", "labelLogProbs", "correctProbs")},
    {"computeCrossEntCost", calls(computeCrossEntCost, "labels", "probs", "labelLogProbs", "correctProbs")},
    {"computeMultiSoftmaxCost", calls(computeMultiSoftmaxCost, "labels", "probs", "energies", "labelLogProbs",
                                      "correctProbs", "top5Probs", "setSize", "useEnergies")},
    {"computeLogregGrad", calls(computeLogregGrad, "labels", "probs", "target", "add", "coeff")},
    {"computeCrossEntGrad", calls(computeCrossEntGrad, "labels", "probs", "target", "add", "coeff")},
    {"computeLogregSoftmaxGrad", calls(computeLogregSoftmaxGrad, "labels", "probs", "target", "add", "coeff")},
    {"computeCrossEntSoftmaxGrad", calls(computeCrossEntSoftmaxGrad, "labels", "probs", "target", "add", "coeff")},
    {"computeSoftmaxGrad", calls(computeSoftmaxGrad, "acts", "actsGrad", "target", "add")},
    {"computeEltwiseMaxGrad", calls(computeEltwiseMaxGrad, "actGrad", "input", "output", "target", "add")},
};

}  // namespace
