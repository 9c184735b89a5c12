// Layers of filters: conv, and local, where every module has filters of its own.
#include "conv.h"
#include "index_table.h"
#include "matrix_ops.h"
#include "weight_layer.h"

namespace {

// Y = Σ_i filterActs(X_i, W_i) + b. Where an input is sparse, a table names the channels that each group sees.
class FilterLayer : public WeightLayer {
public:
    FilterLayer(Device& device, const LayerDict& dict, bool conv)
        : WeightLayer(device, dict, false, conv ? Route::Gradient : Route::Direct, conv ? 1 : modulesOf(dict)),
          conv(conv),
          filters(dict.integer("filters")),
          modules(modulesOf(dict)),
          partialSum(conv ? dict.integer("partialSum") : 1),
          sharedBiases(conv && dict.flag("sharedBiases")) {
        require(filters > 0 && modules > 0, "it has no filters or no modules", "1 or more of both",
                text(filters, ", ", modules));
        require(dict.integer("outputs") == product("outputs", {filters, modules}), "outputs is no filters x modules",
                text(filters, " x ", modules), text(dict.integer("outputs")));
        for (int i = 0; i < static_cast<int>(dict.list("inputs").size()); ++i) {
            geometries.push_back(geometryOf(dict, i));
            tables.push_back(std::make_shared<IndexTable>());
        }
        require(partialSum == 0 || modules % partialSum == 0, "partialSum does not divide the modules",
                text("0, or a divisor of ", modules), text(partialSum));
    }

    void release() override {
        WeightLayer::release();
        slabs = Matrix(device, 0, 0);
    }

    void setConnections(int i, const std::vector<int>& channels) override {
        require(i >= 0 && i < static_cast<int>(tables.size()) && geometries[i].sparse,
                text("input ", i, " has no random connections"), "an input with randSparse", text(i));
        checkConnections(geometries[i], channels);
        *tables[i] = IndexTable(device, channels);
    }

protected:
    void fpropActs(int i, float scaleTargets) override {
        filterActs(device, geometry("FilterActs", i), input(i), weights(i), acts, table(i), scaleTargets, 1);
        if (scaleTargets != 0) return;
        Matrix perBias = biasView(acts);
        addVector(perBias, bias(), 1, perBias);
    }

    // With overSample > 1 every use of a channel has a slab of its own, and their sum is the gradient.
    void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) override {
        const ConvGeometry g = geometry("ImgActs", i);
        if (g.sparse && g.overSample() > 1) {
            imgActs(device, g, v, weights(i), slabs, table(i), 0, 1);
            addSlabs(g.overSample(), device.quirks.on(Quirk::ConvOversampleOverwrites) ? 0 : scaleTargets, target);
        } else {
            imgActs(device, g, v, weights(i), target, table(i), scaleTargets, 1);
        }
    }

    void bpropBiases(const Matrix& v, float scaleOld, float scaleNew, Matrix& target) override {
        addSum(biasView(v), 1, scaleOld, scaleNew, target);
    }

    // With partialSum, conv layers sum over that many modules at a time into slabs, whose sum is the gradient.
    void bpropWeights(const Matrix& v, int i, float scaleOld, float scaleNew, Matrix& target) override {
        const ConvGeometry g = geometry("WeightActs", i);
        if (conv && partialSum > 0) {
            weightActs(device, g, input(i), v, slabs, partialSum, table(i), 0, scaleNew);
            addSlabs(modules / partialSum, scaleOld, target);
        } else {
            weightActs(device, g, input(i), v, target, partialSum, table(i), scaleOld, scaleNew);
        }
    }

    void shareMore(int i, const WeightLayer& source, int k) override {
        const auto& other = static_cast<const FilterLayer&>(source);
        const ConvGeometry &own = geometries[i], &its = other.geometries[k];
        if (!own.sparse && !its.sparse) return;
        const auto facts = [](const ConvGeometry& g) {
            return text(g.sparse ? "" : "not ", "sparse, ", g.numGroups, " groups, ", g.numImgColors, " channels, ",
                        g.numFilterColors, " per filter");
        };
        require(facts(own) == facts(its), text(source.name, "'s connections do not fit input ", i), facts(own),
                facts(its));
        tables[i] = other.tables[k];
    }

private:
    const bool conv;
    const int filters, modules, partialSum;
    const bool sharedBiases;
    std::vector<ConvGeometry> geometries;
    std::vector<std::shared_ptr<IndexTable>> tables;
    Matrix slabs{device, 0, 0};

    static int modulesOf(const LayerDict& dict) {
        return product("modules", {dict.integer("modulesX"), dict.integer("modulesX")});
    }

    static ConvGeometry geometryOf(const LayerDict& dict, int i) {
        ConvGeometry g;
        g.conv = dict.word("type") == "conv";
        g.sparse = dict.flag("randSparse", i);
        if (g.sparse) g.numFilterColors = dict.integer("filterChannels", i);
        g.imgSizeY = g.imgSizeX = dict.integer("imgSize", i);
        g.numModulesY = g.numModulesX = dict.integer("modulesX");
        g.filterSize = dict.integer("filterSize", i);
        g.paddingStart = dict.integer("padding", i);
        g.moduleStride = dict.integer("stride", i);
        g.numImgColors = dict.integer("channels", i);
        g.numGroups = dict.integer("groups", i);
        g.entry = text("input ", i);
        if (g.sparse) g.requireSizes();
        return g;
    }

    // Permutations of all channels, one after the other (conv-kernels 1.9).
    static void checkConnections(const ConvGeometry& g, const std::vector<int>& channels) {
        const int all = g.numImgColors, count = static_cast<int>(channels.size());
        bool right = count == product(g.entry, {all, g.overSample()});
        std::vector<int> uses(all, 0);
        for (int k = 0; right && k < count; ++k)
            right = channels[k] >= 0 && channels[k] < all && uses[channels[k]]++ == k / all;
        require(right, "wrong table of connections",
                text(g.overSample(), " permutation(s) of 0 ... ", all - 1, ", one after the other"),
                text(count, " entries"), "group k sees the entries from k*filterChannels on");
    }

    ConvGeometry geometry(const char* what, int i) const {
        ConvGeometry g = geometries[i];
        g.entry = text(conv ? "conv" : "local", what, g.sparse ? "Sparse" : "");
        return g;
    }

    const int* table(int i) const {
        if (!geometries[i].sparse) return nullptr;
        require(!tables[i]->empty(), text("the random connections of input ", i, " are missing"),
                text("a table written as filterConns[", i, "]"), "none");
        return tables[i]->data();
    }

    // target ← scaleOld * target + the sum of `count` slabs
    void addSlabs(int count, float scaleOld, Matrix& target) {
        Matrix rows = slabs.alias(), flat = target.alias();
        rows.reshape(count, static_cast<int>(target.size()));
        flat.reshape(1, static_cast<int>(target.size()));
        addSum(rows, 0, scaleOld, 1, flat);
    }

    // One row per bias: a filter (shared), or a filter at a module.
    Matrix biasView(const Matrix& m) const {
        Matrix view = m.alias();
        if (sharedBiases) view.reshape(filters, static_cast<int>(view.size() / filters));
        return view;
    }
};

class ConvLayer : public FilterLayer {
public:
    ConvLayer(Device& device, const LayerDict& dict) : FilterLayer(device, dict, true) {}
};

class LocalLayer : public FilterLayer {
public:
    LocalLayer(Device& device, const LayerDict& dict) : FilterLayer(device, dict, false) {}
};

const LayerType<ConvLayer> conv("conv", 1, anyNumber);
const LayerType<LocalLayer> local("local", 1, anyNumber);

}  // namespace
