"""The modern port, one layer at a time."""

from ..errors import Unsupported
from .steps import PARAMETERS, StepSession


class Port:
    """The engine ``port``, in float32."""

    name = "port"

    def probe(self):
        """Available where the extension modules were built."""
        try:
            import alexnet_rosetta.port.network  # noqa: F401
        except ImportError as error:
            return False, f"not built ({error}); run 'pip install -e .' or 'make build'"
        return True, "NumPy and BLAS, float32"

    def open(self, network, threads):
        """A session; the port's threads are set for the whole process."""
        from alexnet_rosetta.port.threads import set_threads

        set_threads(threads)
        return PortSession(network)


class PortSession(StepSession):
    """A session of the port: parameters live in its layer objects."""

    def __init__(self, network):
        from alexnet_rosetta.port.network import Network

        super().__init__(network)
        self.network = Network(network.spec)

    def write(self, layer, tensor, array):
        """Set a parameter tensor; the port gets a copy, because it updates in place."""
        if not tensor.startswith(PARAMETERS):
            super().write(layer, tensor, array)
            return
        owner, (name, i) = self.network.layers[layer], _address(tensor)
        if i is None:
            setattr(owner, name, array.copy())
        else:
            getattr(owner, name)[i] = array.copy()

    def read(self, layer, tensor):
        """A tensor of a layer."""
        if not tensor.startswith(PARAMETERS):
            return super().read(layer, tensor)
        name, i = _address(tensor)
        found = getattr(self.network.layers[layer], name)
        found = found if i is None else found[i]
        if found is None:
            raise KeyError(tensor)
        return found

    def run_forward(self, layer, inputs, mask):
        """The port's layer forward."""
        owner = self.network.layers[layer.name]
        acts = _translated(owner.forward, inputs, "train", mask)
        return owner.cost if layer.type.startswith("cost.") else acts

    def run_backward(self, layer, acts_grad, wanted):
        """The port's layer backward: the gradients of the wanted inputs."""
        flags = [i in wanted for i in range(len(layer.inputs))]
        grads = _translated(self.network.layers[layer.name].backward, acts_grad, flags)
        return [grads[i] for i in wanted]

    def run_update(self, layer, progress):
        """The port's solver."""
        self.network.layers[layer.name].update(progress)

    def release(self, layer):
        """Free all but the parameters."""
        super().release(layer)
        self.network.layers[layer].release()


def _address(tensor):
    """``weights_inc[1]`` → ("weights_inc", 1); ``biases`` → ("biases", None)."""
    name, _, i = tensor.partition("[")
    return name, int(i[:-1]) if i else None


def _translated(call, *args):
    try:
        return call(*args)
    except NotImplementedError as error:
        raise Unsupported(str(error)) from error
