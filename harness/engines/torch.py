"""PyTorch as a witness: the same layers by its functional operations, on the CPU, with its autograd.

Its tensors are NCHW (in memory NHWC with the channels-last engine) and stay so from layer to layer; they are
turned into historical matrices only where somebody reads them. What PyTorch does otherwise than 2012 is refused,
but for ties in max pooling, which it gives to one pixel.
"""

from time import perf_counter

from ..errors import Unsupported
from .torch_layers import LAYERS


class Torch:
    """The engine ``torch``: contiguous NCHW tensors."""

    name = "torch"
    channels_last = False

    def probe(self):
        """Available where torch is installed (extra ``witness``)."""
        try:
            import torch
        except ImportError:
            return False, "not installed; pip install 'alexnet-rosetta[witness]'"
        return True, f"PyTorch {torch.__version__} on the CPU, {'NHWC' if self.channels_last else 'NCHW'} in memory"

    def open(self, network, threads):
        """A session; the number of threads is set for the whole process."""
        import torch

        torch.set_num_threads(threads)
        return TorchSession(network, torch.channels_last if self.channels_last else torch.contiguous_format)


class TorchChannelsLast(Torch):
    """The engine ``torch-channels-last``: images NHWC in memory."""

    name = "torch-channels-last"
    channels_last = True


class TorchSession:
    """One network in PyTorch, a layer at a time.

    Parameters
    ----------
    network : networks.Network
    memory_format : torch.memory_format
    """

    def __init__(self, network, memory_format):
        self.graph, self.memory_format = network.graph, memory_format
        self.layers = {}
        for name, spec in self.graph.layers.items():
            if spec.type not in LAYERS:
                raise Unsupported(f"layer {name}: torch engine has no {spec.type}", hint="choose other --engines")
            self.layers[name] = LAYERS[spec.type](spec, memory_format)
        self._acts, self._acts_grad, self._inputs_grad, self._seconds = {}, {}, {}, {}
        self._isolated = set()

    def write(self, layer, tensor, array):
        """Set a parameter tensor."""
        self.layers[layer].write(tensor, array)

    def read(self, layer, tensor):
        """A tensor as a historical matrix; KeyError if there is none."""
        if tensor == "acts":
            return matrix(self._acts[layer])
        if tensor == "acts_grad":
            return matrix(self._acts_grad[layer])
        if tensor.startswith("inputs_grad["):
            return matrix(self._inputs_grad[layer][int(tensor[12:-1])])
        return self.layers[layer].read(tensor)

    def forward(self, layer, inputs=None, mask=None):
        """One layer forward; see `base.Session`."""
        spec, own = self.graph.layers[layer], self.layers[layer]
        self._acts_grad.pop(layer, None)
        if spec.type == "data":
            self._acts[layer] = own.native(inputs[0])
            return
        self._isolated.discard(layer)
        if inputs is None:
            inputs = [self._acts[source] for source in spec.inputs]
        else:
            self._isolated.add(layer)
            inputs = [own.native(array, i) for i, array in enumerate(inputs)]
        noise = None if mask is None else own.native(mask)
        start = perf_counter()
        self._acts[layer] = own.forward(inputs, noise)
        self._seconds[layer, "forward"] = perf_counter() - start

    def backward(self, layer, acts_grad=None):
        """One layer backward; see `base.Session`."""
        spec, own = self.graph.layers[layer], self.layers[layer]
        wanted = self.graph.wanted_inputs(spec)
        grad = self._acts_grad.get(layer) if acts_grad is None else own.native_grad(acts_grad)
        labels = self.layers[self.graph.fused[layer]].labels if layer in self.graph.fused else None
        start = perf_counter()
        grads = own.backward(grad, wanted) if labels is None else own.backward_fused(labels)
        self._inputs_grad[layer] = dict(zip(wanted, grads, strict=True))
        if layer not in self._isolated:
            for i, contribution in self._inputs_grad[layer].items():
                self._accumulate(spec.inputs[i], contribution)
        self._seconds[layer, "backward"] = perf_counter() - start

    def _accumulate(self, source, contribution):
        if source in self._acts_grad:
            self._acts_grad[source] = self._acts_grad[source] + contribution
        else:
            self._acts_grad[source] = contribution

    def sum_grad(self, layer, parts):
        """The contributions of several consumers, added in order."""
        total = matrix(self._inputs_grad[parts[0][0]][parts[0][1]]).copy()
        for consumer, i, _ in parts[1:]:
            total += matrix(self._inputs_grad[consumer][i])
        return total

    def update(self, layer, progress=0.0):
        """One weight update at the base rates."""
        start = perf_counter()
        self.layers[layer].update()
        self._seconds[layer, "update"] = perf_counter() - start

    def seconds(self, layer, step):
        """Wall seconds of the last step of that kind."""
        return self._seconds[layer, step]

    def release(self, layer):
        """Free all but the parameters."""
        self.layers[layer].release()
        for held in (self._acts, self._acts_grad, self._inputs_grad):
            held.pop(layer, None)


def matrix(tensor):
    """A native tensor (images first) as a historical matrix (outputs, N); a cost as it is."""
    import numpy as np

    return np.ascontiguousarray(tensor.detach().reshape(tensor.shape[0], -1).numpy().T)
