"""The reference formulas as an engine: every tensor is rounded to float32 before the next layer reads it.

In isolated mode it agrees with itself by construction, which makes it a check of the harness; in propagated mode it
shows how far two correct engines may drift apart.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import reference
from ..network.load import LayerSpec, Network, plain
from ..network.solver import new_values, normal, rate, solver_constants, trainable, updated_here, updates_directly
from ..network.tensors import gradient, increment
from ..reference import Bounded
from ..reference.chunks import chunks, columns
from ..reference.views import averaged
from .protocol import Engine, Session
from .session_in_steps import StepSession


class Reference(Engine):
    """The engine ``reference``."""

    name = "reference"
    device = "cpu"

    def probe(self) -> tuple[bool, str]:
        """Always available."""
        return True, "float64 NumPy formulas, rounded to float32"

    def open(self, network: Network, threads: int) -> Session:
        """A session; NumPy's own threads are used."""
        return ReferenceSession(network)


class ReferenceSession(StepSession):
    """A session of the engine ``reference``."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self._made: dict[str, Any] = {}
        self._state: dict[str, tuple[list[np.ndarray], np.ndarray | None]] = {}
        self._views: dict[str, list[np.ndarray]] = {}
        held = Counter(self.graph.owner(layer, t) for layer in network.layers for t in trainable(self.graph, layer))
        self._collecting = {owner for owner, layers in held.items() if layers * network.update_every > 1}
        self._passes = network.update_every
        self._collected: set[tuple[str, str]] = set()  # those of them that got a gradient since the last update

    def run_forward(self, layer: LayerSpec, inputs: list[np.ndarray], mask: np.ndarray | None) -> np.ndarray:
        """The formula, chunk by chunk."""
        self._state[layer.name] = inputs, mask
        op, params, more = self._op(layer), self._params(layer), {"pass_type": self.pass_type}
        inputs = averaged(self._views, layer, inputs, self.pass_type)
        found = [
            op.forward([x[:, part] for x in inputs], params, mask=columns(mask, part), **more)
            for part in chunks(layer, inputs)
        ]
        if layer.type.startswith("cost."):
            return sum(found[1:], found[0]).value.astype(np.float64)
        return np.concatenate([_rounded(part) for part in found], axis=1)

    def run_backward(
        self, layer: LayerSpec, acts_grad: np.ndarray | None, wanted: Sequence[int], progress: float
    ) -> list[np.ndarray]:
        """Gradients of the inputs and of the parameters, which are divided by the number of cases."""
        inputs, mask = self._state[layer.name]
        op, params, learns = self._op(layer), self._params(layer), trainable(self.graph, layer)
        grads: dict[int, list[np.ndarray]] = {i: [] for i in wanted}
        totals: dict[str, Bounded] = {}
        for part in chunks(layer, inputs):
            sliced, above = [x[:, part] for x in inputs], None if acts_grad is None else acts_grad[:, part]
            for i in wanted:
                fused = self._fused(layer, part)
                grads[i].append(_rounded(op.inputs_grad(i, sliced, above, params, mask=columns(mask, part), **fused)))
            if learns:
                for tensor, found in op.params_grad(sliced, above, params).items():
                    totals[tensor] = totals[tensor] + found if tensor in totals else found
        for tensor in learns:
            self._store(layer, tensor, totals[tensor], inputs[0].shape[1] * self._passes, progress)
        return [np.concatenate(grads[i], axis=1) for i in wanted]

    def run_update(self, layer: LayerSpec, progress: float) -> None:
        """The solver's rule for every parameter that learns."""
        own = self._tensors[layer.name]
        for tensor in updated_here(self.graph, layer):
            new, inc = new_values(self._op(layer), layer, tensor, own, progress, own.get("schedule_normals"))
            own[tensor], own[increment(tensor)] = _rounded(new), _rounded(inc)
            self._collected.discard((layer.name, tensor))

    def release(self, layer: str) -> None:
        super().release(layer)
        self._state.pop(layer, None)

    def _op(self, layer: LayerSpec) -> Any:
        """The formulas of a layer, made when its sparse connections are known."""
        if layer.name not in self._made:
            self._made[layer.name] = reference.op(plain(layer, self._tensors[layer.name]))
        return self._made[layer.name]

    def _params(self, layer: LayerSpec) -> dict[str, Any]:
        held = [self.graph.owner(layer, f"weights[{i}]") for i in range(len(layer.get("weightShapes", ())))]
        return {
            "weights": [self._tensors[name][tensor] for name, tensor in held],
            "biases": self._tensors[layer.name].get("biases"),
        }

    def _fused(self, layer: LayerSpec, part: slice) -> dict[str, Any]:
        if layer.name not in self.graph.fused:
            return {}
        _, name, coeff = self.graph.fused_with_cost(layer.name)
        labels = self._state[self.graph.fused[layer.name]][0][0]
        return {name or "": labels[:, part], "coeff": coeff}

    def _store(self, layer: LayerSpec, tensor: str, total: Bounded, cases: int, progress: float) -> None:
        """Put a gradient where it belongs; the first since an update replaces what is there, further ones add."""
        name, held = self.graph.owner(layer, tensor)
        owner, own = self.graph.layers[name], self._tensors[name]
        first = (name, held) not in self._collected
        if updates_directly(owner, held):
            into = increment(held)
            normals = self._tensors[layer.name].get("schedule_normals")
            eps = rate(layer, tensor, progress, normal(normals, layer, tensor))
            mom = solver_constants(owner, held)["mom"] if first else 1.0
            found = reference.accumulate(own[into], total, eps=eps, mom=mom, cases=cases)
        else:
            into, found = gradient(held), total.scaled(1 / cases)
            if not first:
                found = reference.sum_grads([found, reference.Bounded(own[into])])
        own[into] = _rounded(found)
        if (name, held) in self._collecting:
            self._collected.add((name, held))


def _rounded(bounded: Bounded) -> np.ndarray:
    return np.ascontiguousarray(bounded.value, np.float32)
