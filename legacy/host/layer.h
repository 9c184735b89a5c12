// A layer of the network: its state between passes, and the protocol of the passes (network-and-solver 2).
//
// Activity matrices are outputs x cases, row-major. Layers that work on units (fc, neuron, softmax) look at them
// through the transposed label, cases x outputs column-major, as in 2012: the same memory.
#pragma once
#include <climits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gradient_sum.h"
#include "layer_dict.h"
#include "matrix.h"
#include "weights.h"

enum class PassType { Train, Test, GradientCheck, Features, FirstView, MiddleView, LastView };

// Tests of several views of the same cases: cost.logreg averages over them.
inline bool isView(PassType pass) { return pass >= PassType::FirstView; }

class Layer;
using LayerMap = std::map<std::string, std::unique_ptr<Layer>>;

class Layer {
public:
    Layer(Device& device, const LayerDict& dict);
    virtual ~Layer() = default;
    Layer(const Layer&) = delete;
    Layer& operator=(const Layer&) = delete;

    const std::string name, type;
    const int outputs;

    // The graph, set by the network: one entry per input, one per use.
    std::vector<Layer*> prev, next;
    bool gradConsumer = false;         // it learns, or something below it does: it wants the gradient of its output
    int backwardPasses = 0;            // so far, gradient checks apart

    // Forward from the given matrices (borrowed; the caller keeps them alive until release), or from the inputs' acts.
    virtual void forward(std::vector<Matrix> given, PassType passType);
    // Backward from a given gradient of the output: contributions go to fresh inputsGrad. Without one, from the
    // sum of what the layers above sent: they are sent to the layers below.
    void backward(const Matrix* given, TrainingStep step);
    // target ← scaleTargets * target + this layer's contribution to the gradient of its input i.
    void contribute(const Matrix* given, int i, float scaleTargets, Matrix& target);
    virtual void update(const TrainingStep&) {}
    virtual void release(); // all but the parameters
    void dropActs(); // of a layer that was given its inputs, where its backward step does not read them

    // A named tensor, empty where there is none now; index -1 for names without one. Asking changes nothing.
    virtual Matrix tensor(const std::string& tensorName, int i) const;
    // A parameter tensor ready to be overwritten, or what it looks like: shape and order. Null where there is none.
    virtual Matrix* overwrite(const std::string&, int) { return nullptr; }
    virtual const Matrix* likeness(const std::string&, int) { return nullptr; }
    const std::vector<double>& cost() const { return costs; }
    const Matrix& input(int i) const { return fed.empty() ? prev[i]->actsSeenBy(*this) : fed[i]; }
    int cases() const { return numCases; }
    virtual bool learns() const { return false; }
    // Takes what other layers, above this one in the file, or the layer itself lend to it.
    virtual void share(const LayerMap&) {}
    virtual void connected() {} // called when the graph is complete
    virtual std::string neuronType() const { return ""; }
    void setMask(const Matrix* given); // what is random in the next forward pass; null: nothing
    virtual void setNormals(std::vector<double> values); // of noisy learning rates, until the next ones
    virtual void setConnections(int i, const std::vector<int>& channels); // of a sparse input

    // Do as several devices did: to layers on other devices (gpu) than this one outputs cross, and the sums of their
    // gradients cross back, in half precision where quantF and quantB say so (network-and-solver 11).
    bool quantised = false;
    // The device from which a reader's gradients cross in half precision, else GradientSum::sameDevice.
    int remoteDeviceOf(const Layer& reader) const;

    Matrix acts;

protected:
    Device& device;
    const LayerDict dict; // from which the members of a subclass take their values
    PassType passType = PassType::Train;
    std::vector<double> costs;
    Matrix mask{device, 0, 0}; // see randomness

    // What the layer's randomness is called, in words, where it has some: it comes from outside, as the mask.
    virtual const char* randomness() const { return nullptr; }
    void requireMask(int rows, int cols) const;
    virtual bool acceptsRows(int i, int rows) const { return rows == prev[i]->outputs; }

    virtual void fpropActs(int i, float scaleTargets) = 0;
    virtual void bpropActs(const Matrix& v, int i, float scaleTargets, Matrix& target) = 0;
    virtual void bpropParameters(const Matrix&, const TrainingStep&) {}
    virtual bool startsGradient() const { return false; } // needs no gradient from above: costs
    virtual bool sendsGradient(int i) const { return prev[i]->gradConsumer; }
    virtual bool readsActs() const { return true; } // in its backward step

private:
    const int gpu;
    const bool halfActs, halfGrads;
    std::vector<Matrix> fed, inputsGrad;
    GradientSum actsGrad{device};
    Matrix rounded{device, 0, 0}; // the acts as other devices see them
    int numCases = 0;
    void checkInputs();
    void roundForOtherDevices();
    bool onOtherDevice(const Layer& reader) const { return quantised && reader.gpu != gpu; }
    const Matrix& actsSeenBy(const Layer& reader) const { return halfActs && onOtherDevice(reader) ? rounded : acts; }
    Matrix outputGrad(const Matrix* given);
};

// How a layer of a type is made, and how many inputs it has, from fewest to most (config-format 6).
struct LayerMaker {
    std::unique_ptr<Layer> (*make)(Device&, const LayerDict&);
    int fewest, most;
};
constexpr int anyNumber = INT_MAX;

// The layer types by name; a file-scope LayerType registers one.
std::map<std::string, LayerMaker>& layerTypes();

template <typename Type>
struct LayerType {
    explicit LayerType(const char* name, int fewest = 1) : LayerType(name, fewest, fewest) {}
    LayerType(const char* name, int fewest, int most) {
        layerTypes()[name] = {[](Device& device, const LayerDict& dict) -> std::unique_ptr<Layer> {
                                  return std::make_unique<Type>(device, dict);
                              },
                              fewest, most};
    }
};

// A layer with one input and no gradient: nothing below it may learn.
class ConstantLayer : public Layer {
public:
    using Layer::Layer;
    void connected() override;

protected:
    void bpropActs(const Matrix&, int, float, Matrix&) override {}
};

// A layer whose inputs all have the shape of its output.
class EltwiseLayer : public Layer {
public:
    using Layer::Layer;
    void connected() override;
};
