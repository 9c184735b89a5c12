// What cost layers have in common, and how a layer goes backward in one step with the cost above it (pool-norm 7.7).
#pragma once
#include "layer.h"

// Reports sums over the cases; gradients are those of minus coeff times the first of them.
// Input 0 holds labels, targets or gates where there are two inputs.
class CostLayer : public Layer {
public:
    using Layer::Layer;

    const float coeff = dict.real("coeff");
    void connected() override;

    // Whether the gradient can pass through this cost and the layer below in one step.
    virtual bool joins(const Layer&) const { return false; }
    // That step, on the transposed labels: target is the gradient of the layer's input, y what the layer gave.
    virtual void bpropJoined(const Matrix&, bool, Matrix&) const {}

    // Labels or targets of the last forward pass, one column per case.
    const Matrix& labels(int forCases) const;

protected:
    bool startsGradient() const override { return true; }
    bool sendsGradient(int i) const override;
    virtual bool hasLabels() const { return true; }

private:
    bool joined = false;               // the layer below does the work of both
};

// The cost that a layer goes backward with: its only consumer, if that can. Null where there is none.
const CostLayer* costJoinedWith(const Layer& layer);
