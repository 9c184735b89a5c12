"""The reference formulas as an engine: every tensor is rounded to float32 before the next layer reads it.

In isolated mode it agrees with itself by construction, which makes it a check of the harness; in propagated mode it
shows how far two correct engines may drift apart.
"""

import numpy as np

from .. import reference
from ..parameters import gradient, increment
from ..stream import chunks
from ..update import learning, rate, solver_constants, updates_directly
from .steps import StepSession


class Reference:
    """The engine ``reference``."""

    name = "reference"

    def probe(self):
        """Always available."""
        return True, "float64 NumPy formulas, rounded to float32"

    def open(self, network, threads):
        """A session; NumPy's own threads are used."""
        return ReferenceSession(network)


class ReferenceSession(StepSession):
    """A session of the engine ``reference``."""

    def __init__(self, network):
        super().__init__(network)
        self._ops = {
            name: reference.op(layer.to_dict()) for name, layer in self.graph.layers.items() if layer.type != "data"
        }
        self._state = {}

    def run_forward(self, layer, inputs, mask):
        """The formula, chunk by chunk."""
        self._state[layer.name] = inputs, mask
        found = [
            self._ops[layer.name].forward([x[:, part] for x in inputs], self._params(layer), mask=_columns(mask, part))
            for part in chunks(layer, inputs)
        ]
        if layer.type.startswith("cost."):
            return sum(found[1:], found[0]).value.astype(np.float64)
        return np.concatenate([_rounded(part) for part in found], axis=1)

    def run_backward(self, layer, acts_grad, wanted):
        """Gradients of the inputs and of the parameters, which are divided by the number of cases."""
        inputs, mask = self._state[layer.name]
        grads = {i: [] for i in wanted}
        totals = {}
        for part in chunks(layer, inputs):
            sliced, above = [x[:, part] for x in inputs], _columns(acts_grad, part)
            for i in wanted:
                fused = self._fused(layer, part)
                found = self._ops[layer.name].inputs_grad(
                    i, sliced, above, self._params(layer), mask=_columns(mask, part), **fused
                )
                grads[i].append(_rounded(found))
            if learning(layer):
                for tensor, found in self._ops[layer.name].params_grad(sliced, above, self._params(layer)).items():
                    totals[tensor] = totals[tensor] + found if tensor in totals else found
        for tensor in learning(layer):
            self._store(layer, tensor, totals[tensor], inputs[0].shape[1])
        return [np.concatenate(grads[i], axis=1) for i in wanted]

    def run_update(self, layer, progress):
        """The solver's rule for every parameter that learns."""
        own = self._tensors[layer.name]
        for tensor in learning(layer):
            grad = None if updates_directly(layer, tensor) else own[gradient(tensor)]
            new, inc = reference.update(
                own[tensor], own[increment(tensor)], grad, eps=rate(layer, tensor), **solver_constants(layer, tensor)
            )
            own[tensor], own[increment(tensor)] = _rounded(new), _rounded(inc)

    def release(self, layer):
        """Free all but the parameters."""
        super().release(layer)
        self._state.pop(layer, None)

    def _params(self, layer):
        own = self._tensors[layer.name]
        return {
            "weights": [own[f"weights[{i}]"] for i in range(len(layer.get("weightShapes", ())))],
            "biases": own.get("biases"),
        }

    def _fused(self, layer, part):
        if layer.name not in self.graph.fused:
            return {}
        cost = self.graph.fused[layer.name]
        return {"labels": self._state[cost][0][0][:, part], "coeff": self.graph.layers[cost]["coeff"]}

    def _store(self, layer, tensor, total, cases):
        own = self._tensors[layer.name]
        if updates_directly(layer, tensor):
            mom = solver_constants(layer, tensor)["mom"]
            inc = own[increment(tensor)]
            own[increment(tensor)] = _rounded(
                reference.accumulate(inc, total, eps=rate(layer, tensor), mom=mom, cases=cases)
            )
        else:
            own[gradient(tensor)] = _rounded(total.scaled(1 / cases))


def _rounded(bounded):
    return np.ascontiguousarray(bounded.value, np.float32)


def _columns(array, part):
    return None if array is None else array[:, part]
