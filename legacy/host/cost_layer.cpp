// Cost layers: their labels, and the one backward step that a cost has with the layer below it.
#include "cost_layer.h"

void CostLayer::connected() {
    if (!hasLabels()) return;
    joined = costJoinedWith(*prev[1]) == this;
}

bool CostLayer::sendsGradient(int i) const {
    const bool constant = hasLabels() && i == 0;
    return !constant && coeff != 0 && !joined && Layer::sendsGradient(i);
}

const Matrix& CostLayer::labels(int forCases) const {
    require(input(0).cols() == forCases, text(name, " has not the labels of these cases"),
            text("a forward pass of the cost with ", forCases, " cases"), text(input(0).cols()));
    return input(0);
}

const CostLayer* costJoinedWith(const Layer& layer) {
    const CostLayer* const cost = layer.next.size() == 1 ? dynamic_cast<const CostLayer*>(layer.next[0]) : nullptr;
    return cost && cost->prev.back() == &layer && cost->joins(layer) ? cost : nullptr;
}
