// Layers that see all units at once: fc, and treefc, whose classes are the leaves of a tree.
#include "../kernels/tree.cuh"

#include "dispatch.h"
#include "index_table.h"
#include "matrix_ops.h"
#include "weight_layer.h"

namespace {

// Y = Σ_i X_i W_i + b on the transposed label.
class FcLayer : public WeightLayer {
public:
    FcLayer(Device& device, const LayerDict& dict) : WeightLayer(device, dict, true, Route::Direct) {}

protected:
    FcLayer(Device& device, const LayerDict& dict, Route route) : WeightLayer(device, dict, true, route) {}

    // The weights of the outputs.
    virtual Matrix effective(int i) const { return weights(i).alias(); }

    void fpropActs(int i, float scaleTargets) override {
        Matrix y = acts.transposed();
        const Matrix w = effective(i);
        require(w.cols() == outputs, text("weights[", i, "] do not fit"), text(outputs, " outputs"), w.shape());
        addProduct(input(i).transposed(), w, scaleTargets, 1, y);
        if (scaleTargets == 0) addVector(y, bias(), 1, y);
    }

    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        Matrix dx = target.transposed();
        addProduct(v.transposed(), effective(i).transposed(), scaleTargets, 1, dx);
    }

    void bpropBiases(const Matrix& v, float scaleOld, float scaleNew, Matrix& target) override {
        addSum(v.transposed(), 0, scaleOld, scaleNew, target);
    }

    void bpropWeights(const Matrix& v, int i, float scaleOld, float scaleNew, Matrix& target) override {
        addProduct(input(i), v.transposed(), scaleOld, scaleNew, target);
    }
};

// An offset w per node of a tree, a column of the weights; the weights of an output are the sum of the offsets on the
// path from the root to its leaf (network-and-solver 12). Leaves are the first nodes. The rate is constant, without
// constraints:   Δ ← μ Δ + (ε/n)(G - (λ/n) w),  with n the number of leaves under the node.
class TreeFcLayer : public FcLayer {
public:
    TreeFcLayer(Device& device, const LayerDict& dict)
        : FcLayer(device, constantRate(dict), Route::Gradient),
          decay(dict.realOr(0, "wc")),
          nodes(dict.integer("weightShapes", 1)) {
        readTree();
    }

    void release() override {
        FcLayer::release();
        pathSums = Matrix(device, 0, 0, true);
    }

    void update(const TrainingStep& step) override {
        Weights& offsets = owned(0);
        Matrix grad = offsets.grad.alias();
        if (!grad.empty()) offsets.grad = perLeaf(grad, weights(0));
        FcLayer::update(step);
        offsets.grad = std::move(grad);
    }

protected:
    Matrix effective(int) const override { return firstColumns(pathSums, outputs); }

    void fpropActs(int i, float scaleTargets) override {
        pathSums.resize(weights(0).rows(), nodes);
        walk(PLAIN_INSTANCE(kTreeWeights), "from the root down: offset plus the parent's sum", weights(0).data(),
             pathSums.data());
        FcLayer::fpropActs(i, scaleTargets);
    }

    // Leaves have their own gradient, other nodes the sum of those below.
    void bpropWeights(const Matrix& v, int i, float scaleOld, float scaleNew, Matrix& target) override {
        Matrix leaves = firstColumns(target, outputs);
        FcLayer::bpropWeights(v, i, scaleOld, scaleNew, leaves);
        walk(PLAIN_INSTANCE(kTreeGradients), "from the leaves up: the sum over the children", target.data());
    }

private:
    const float decay;
    const int nodes;
    IndexTable order, parents;                         // nodes from the root down, and the parent of each (-1: none)
    Matrix leafCounts;                                 // 1 x nodes
    Matrix pathSums{device, 0, 0, true};               // of the last forward pass

    static LayerDict constantRate(LayerDict dict) {
        for (const char* key : {"schedW.type", "schedB.type"}) dict.words.erase(key);
        for (const char* key : {"superEps", "wc", "wballNormed"}) dict.numbers.erase(key);
        return dict;
    }

    void readTree() {
        const auto listed = dict.numbers.find("treeParents");
        const std::size_t count = listed == dict.numbers.end() ? 0 : listed->second.size();
        require(nodes >= outputs && static_cast<std::size_t>(nodes) == count, "the class tree does not fit",
                text(outputs, " leaves or more, a column of the weights for each node"),
                text(count, " nodes, ", nodes, " columns"));
        std::vector<int> above(nodes), down;
        std::vector<float> leaves(nodes, 0);
        for (int node = 0; node < nodes; ++node) above[node] = dict.integer("treeParents", node);
        for (int leaf = 0; leaf < outputs; ++leaf) ++leaves[leaf];
        std::vector<std::vector<int>> children(nodes);
        for (int node = 0; node < nodes; ++node) {
            require(above[node] >= -1 && above[node] < nodes, "the parent of a node is no node", text("below ", nodes),
                    text(above[node], " above node ", node));
            if (above[node] >= 0) children[above[node]].push_back(node);
            else down.push_back(node);
        }
        const bool oneRoot = down.size() == 1;
        for (std::size_t k = 0; oneRoot && k < down.size(); ++k)
            down.insert(down.end(), children[down[k]].begin(), children[down[k]].end());
        require(oneRoot && static_cast<int>(down.size()) == nodes, "the class tree is no tree",
                text("one root, from which all ", nodes, " nodes are reached"), text(down.size(), " are"));
        std::vector<int> parentsInOrder;
        for (const int node : down) parentsInOrder.push_back(above[node]);
        for (int k = nodes - 1; k > 0; --k) leaves[above[down[k]]] += leaves[down[k]];
        for (int node = 0; node < nodes; ++node)
            require(children[node].empty() == (node < outputs), "the leaves are not the first nodes",
                    text("0 to ", outputs - 1), text("node ", node));
        order = IndexTable(device, down);
        parents = IndexTable(device, parentsInOrder);
        leafCounts = Matrix(device, 1, nodes, true);
        device.copyIn(leafCounts.data(), leaves.data(), leaves.size());
    }

    // Runs a kernel with a thread per input.
    template <typename... Parameters, typename... Pointers>
    void walk(const Kernel<Parameters...>& kernel, const char* rule, Pointers... matrices) {
        const int inputs = weights(0).rows();
        device.launch(kernel, divUp(inputs, 128), 128, 0, rule,
                      with(matrices..., order.data(), parents.data(), inputs, nodes));
    }

    static Matrix firstColumns(const Matrix& m, int count) { return m.transposed().rowsView(0, count).transposed(); }

    Matrix perLeaf(const Matrix& grad, const Matrix& offsets) {
        Matrix result(device, grad.rows(), grad.cols(), true);
        eltwiseDivideByVector(offsets, leafCounts, result);
        add(grad, result, 1, -decay, result);
        eltwiseDivideByVector(result, leafCounts, result);
        return result;
    }
};

const LayerType<FcLayer> fc("fc", 1, anyNumber);
const LayerType<TreeFcLayer> treefc("treefc");

}  // namespace
