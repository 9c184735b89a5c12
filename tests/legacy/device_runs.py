"""Recorded cases and training steps on a device, as bits."""

import numpy as np

from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.values import parameters
from alexnet_rosetta.legacy import Network, Refused, cudaconv, launch_log


def outcome(case, device):
    """Bits of the outputs and the launches, or the refusal."""
    try:
        with launch_log() as log:
            outputs = getattr(cudaconv, case.entry)(**case.arguments(), device=device)
    except Refused as refusal:
        return str(refusal)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return [array.tobytes() for array in outputs], [{**record, "seconds": None} for record in log]


class Steps:
    """A training step of a shipped network, on a device."""

    def __init__(self, name, device, batch=3):
        network = networks.load(name)
        self.layers = [networks.plain(layer) for layer in network.layers]
        self.net, self.batch = Network(self.layers, device=device, threads=1), batch
        self.net.logging = True
        self.rng, self.refused = np.random.default_rng(7), []
        for layer, tensors in parameters.make(network, 0).items():
            for tensor, array in tensors.items():
                self.net.write(layer, tensor, array)

    def run(self):
        """Forward, backward and update, on one another; {(layer, tensor): bytes} of everything there is."""
        for layer in self.layers:
            self._forward(layer)
        for layer in reversed(self.layers):
            self._try(self.net.backward, layer["name"])
        found = self._tensors()
        for layer in self.layers:
            self._try(self.net.update, layer["name"], 0.5)
        return found | {(*key, "updated"): bits for key, bits in self._tensors().items()}

    def _forward(self, layer):
        shape, given = (layer["outputs"], self.batch), None
        if not layer.get("inputs"):
            whole = self.rng.integers(0, 3, shape) if shape[0] == 1 else self.rng.standard_normal(shape)
            given = [whole.astype(np.float32)]
        masks = [None, (self.rng.random(shape) < 0.5).astype(np.float32), self.rng.random((4, 1))]
        any(self._try(self.net.forward, layer["name"], given, mask) for mask in masks)

    def _try(self, step, *args):
        try:
            step(*args)
        except Refused as refusal:
            self.refused.append(str(refusal))
            return False
        return True

    def _tensors(self):
        kinds = ["acts", "acts_grad", "biases", "biases_grad", "biases_inc", "cost"]
        kinds += [f"{kind}[{i}]" for kind in ("weights", "weights_grad", "weights_inc") for i in (0, 1)]
        found = {}
        for layer in self.layers:
            for kind in kinds:
                try:
                    found[layer["name"], kind] = self.net.read(layer["name"], kind).tobytes()
                except KeyError:
                    continue
        return found
