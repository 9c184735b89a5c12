"""The bookkeeping of a session for engines that compute one layer at a time and keep no network of their own."""

from contextlib import contextmanager
from time import perf_counter

from ..reference.half_precision import added, half
from .protocol import Session

PARAMETERS = ("weights", "biases", "filterConns", "schedule_normals")


class StepSession(Session):
    """Named tensors, times and gradient accumulation; a subclass computes.

    Parameters
    ----------
    network : load.Network

    Notes
    -----
    A subclass gives ``run_forward(layer, inputs, mask)`` (acts, or the cost of a cost layer),
    ``run_backward(layer, acts_grad, wanted, progress)`` (the gradients of the inputs with those indices) and
    ``run_update(layer, progress)``, and keeps parameters where ``write`` and ``read`` of its own find them.
    """

    def __init__(self, network):
        self.graph = network.graph
        self._tensors = {name: {} for name in self.graph.layers}
        self._received = {name: {} for name in self.graph.layers}  # gradients of its output, by device
        self._seconds, self.pass_type = {}, "train"

    def set_pass_type(self, pass_type):
        """What the next forward steps belong to."""
        self.pass_type = pass_type

    def write(self, layer, tensor, array):
        """Set a tensor of a layer."""
        self._tensors[layer][tensor] = array

    def read(self, layer, tensor):
        """A tensor of a layer."""
        if tensor == "acts_grad" and self._received[layer]:
            return added(self._received[layer])
        return self._tensors[layer][tensor]

    def forward(self, layer, inputs=None, mask=None):
        """One layer forward; see `protocol.Session`."""
        spec, own = self.graph.layers[layer], self._tensors[layer]
        self._received[layer].clear()
        if spec.type == "data":
            own["acts"] = inputs[0]
            return
        if inputs is None:
            inputs = [self._seen(source, layer) for source in spec.inputs]
        with self._timed(layer, "forward"):
            result = self.run_forward(spec, inputs, mask)
        own["cost" if spec.type.startswith("cost.") else "acts"] = result

    def backward(self, layer, acts_grad=None, progress=0.0):
        """One layer backward; see `protocol.Session`."""
        spec, own = self.graph.layers[layer], self._tensors[layer]
        wanted = self.graph.wanted_inputs(spec)
        fresh = acts_grad is None
        if fresh and self._received[layer]:
            acts_grad = added(self._received[layer])
        with self._timed(layer, "backward"):
            grads = self.run_backward(spec, acts_grad, wanted, progress)
        for i, grad in zip(wanted, grads, strict=True):
            own[f"inputs_grad[{i}]"] = grad
            if fresh:
                self._add(self._received[spec.inputs[i]], spec.inputs[i], layer, grad)

    def sum_grad(self, layer, parts):
        """The fresh gradients that the consumers left in their backward step, added in order, in float32."""
        sums = {}
        for consumer, i, _ in parts:
            self._add(sums, layer, consumer, self._tensors[consumer][f"inputs_grad[{i}]"])
        return added(sums)

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
        self._received[layer].clear()
        self._tensors[layer] = {name: array for name, array in own.items() if name.startswith(PARAMETERS)}

    def _seen(self, source, reader):
        acts = self._tensors[source]["acts"]
        return half(acts) if self.graph.crosses(source, reader, "quantF") else acts

    def _add(self, sums, source, reader, grad):
        device = self.graph.sends_from(source, reader)
        sums[device] = sums[device] + grad if device in sums else grad

    @contextmanager
    def _timed(self, layer, step):
        start = perf_counter()
        yield
        self._seconds[layer, step] = perf_counter() - start
