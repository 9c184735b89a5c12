"""The bookkeeping of a session for engines that compute one layer at a time and keep no network of their own."""

from contextlib import contextmanager
from time import perf_counter

PARAMETERS = ("weights", "biases", "filterConns", "schedule_normals")


class StepSession:
    """Named tensors, times and gradient accumulation; a subclass computes.

    Parameters
    ----------
    network : Network

    Notes
    -----
    A subclass gives ``run_forward(layer, inputs, mask)`` (acts, or the cost of a cost layer),
    ``run_backward(layer, acts_grad, wanted, progress)`` (the gradients of the inputs with those indices) and
    ``run_update(layer, progress)``, and keeps parameters where ``write`` and ``read`` of its own find them.
    """

    def __init__(self, network):
        self.graph = network.graph
        self._tensors = {name: {} for name in self.graph.layers}
        self._seconds = {}

    def write(self, layer, tensor, array):
        """Set a tensor of a layer."""
        self._tensors[layer][tensor] = array

    def read(self, layer, tensor):
        """A tensor of a layer."""
        return self._tensors[layer][tensor]

    def forward(self, layer, inputs=None, mask=None):
        """One layer forward; see `base.Session`."""
        spec, own = self.graph.layers[layer], self._tensors[layer]
        own.pop("acts_grad", None)
        if spec.type == "data":
            own["acts"] = inputs[0]
            return
        if inputs is None:
            inputs = [self._tensors[source]["acts"] for source in spec.inputs]
        with self._timed(layer, "forward"):
            result = self.run_forward(spec, inputs, mask)
        own["cost" if spec.type.startswith("cost.") else "acts"] = result

    def backward(self, layer, acts_grad=None, progress=0.0):
        """One layer backward; see `base.Session`."""
        spec, own = self.graph.layers[layer], self._tensors[layer]
        wanted = self.graph.wanted_inputs(spec)
        fresh = acts_grad is None
        acts_grad = own.get("acts_grad") if fresh else acts_grad
        with self._timed(layer, "backward"):
            grads = self.run_backward(spec, acts_grad, wanted, progress)
        for i, grad in zip(wanted, grads, strict=True):
            own[f"inputs_grad[{i}]"] = grad
            if fresh:
                below = self._tensors[spec.inputs[i]]
                below["acts_grad"] = below["acts_grad"] + grad if "acts_grad" in below else grad

    def sum_grad(self, layer, parts):
        """The fresh gradients that the consumers left in their backward step, added in order, in float32."""
        consumer, i, _ = parts[0]
        total = self._tensors[consumer][f"inputs_grad[{i}]"].copy()
        for consumer, i, _ in parts[1:]:
            total += self._tensors[consumer][f"inputs_grad[{i}]"]
        return total

    def update(self, layer, progress=0.0):
        """One weight update of a layer."""
        with self._timed(layer, "update"):
            self.run_update(self.graph.layers[layer], progress)

    def seconds(self, layer, step):
        """Wall seconds of the last step of that kind."""
        return self._seconds[layer, step]

    def release(self, layer):
        """Free all but the parameters."""
        own = self._tensors[layer]
        self._tensors[layer] = {name: array for name, array in own.items() if name.startswith(PARAMETERS)}

    @contextmanager
    def _timed(self, layer, step):
        start = perf_counter()
        yield
        self._seconds[layer, step] = perf_counter() - start
