"""Layers with filters: conv and local, dense or sparse."""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import conv, local, solver, sparse
from .checks import Array
from .config import LayerSpec
from .layer import images, matrix
from .weight_layers import Weighted


class Filtered(Weighted):
    """Base of conv and local: geometry and connections of each input.

    `windows` has the sizes of windows under the names of the arguments of `conv` and `local`; `filter_conns`, of inputs
    with ``randSparse``, the channels that the groups see (sparse.py), which the constructor draws and `connect` sets:
    they are part of the model.
    """

    def __init__(self, spec: LayerSpec, dtype: DTypeLike, rng: np.random.Generator) -> None:
        super().__init__(spec, dtype, rng)
        self.filter_conns = [
            sparse.draw_connections(rng, channels, over) if random else None
            for random, channels, over in zip(spec["randSparse"], spec["channels"], spec["overSample"], strict=True)
        ]
        self.windows = [
            {"filter_size": size, "padding": -padding, "stride": stride, "groups": groups, "modules": spec["modulesX"]}
            for size, padding, stride, groups in zip(
                spec["filterSize"], spec["padding"], spec["stride"], spec["groups"], strict=True
            )
        ]

    def connect(self, i: int, connections: ArrayLike) -> None:
        """Set the channels that the groups of input i see.

        Raises checks.OperandError (a ValueError): the input is not sparse, or the list is not made of permutations of
        its channels.
        """
        if not self.spec["randSparse"][i]:
            raise ValueError(f"{self.spec.name}: input {i} has no sparse connections; hint: randSparse=1")
        channels, over = self.spec["channels"][i], self.spec["overSample"][i]
        self.filter_conns[i] = sparse.check_connections(connections, channels, over)

    def _seen(self, i):
        """Input i as images, channels in the order in which the groups see them."""
        x = images(self.inputs[i], self.spec["imgSize"][i])
        return x if self.filter_conns[i] is None else sparse.gather(x, self.filter_conns[i])

    def _grads(self, acts_grad):
        return images(acts_grad, self.spec["modulesX"])

    def _input_grad(self, i, acts_grad):
        channels, connections = self.spec["channels"][i], self.filter_conns[i]
        seen = channels if connections is None else len(connections)
        more = {"channels": seen, "img_size": self.spec["imgSize"][i], **self.windows[i]}
        grads = self._seen_grad(self._grads(acts_grad), self.weights[i], **more)
        return matrix(grads if connections is None else sparse.scatter(grads, connections, channels))

    def add_grad(self, i: int, total: Array, grads: Array) -> Array:
        """Add, or with the quirk on overwrite where groups use a channel several times, as the release did."""
        overwrites = self.quirks["conv-oversample-overwrites"] and self.spec["overSample"][i] > 1
        return grads if overwrites else super().add_grad(i, total, grads)


class Conv(Filtered):
    """Convolution; several inputs add up."""

    algorithm = "direct"  # ``auto``, ``direct`` or ``winograd``, see conv.py

    def _seen_grad(self, grads, weights, **more):
        return conv.conv_backward_images(grads, weights, algorithm=self.algorithm, **more)

    def _forward(self, noise):
        out = None
        for i, size in enumerate(self.spec["imgSize"]):
            biases = self.biases if i == 0 else None
            more = {"img_size": size, "out": out, "accumulate": i > 0, "algorithm": self.algorithm}
            more |= self.windows[i]
            out = conv.conv_forward(self._seen(i), self.weights[i], biases, **more)
        return matrix(out)

    def _weights_grad(self, i, acts_grad):
        grads = self._grads(acts_grad)
        return conv.conv_backward_filters(self._seen(i), grads, algorithm=self.algorithm, **self.windows[i])

    def _biases_grad(self, acts_grad):
        return conv.conv_backward_biases(self._grads(acts_grad), self.spec["sharedBiases"])

    def _constrain(self, i, weights):
        solver.bound_contrast(weights, self.spec["wcNormMin"][i], self.spec["wcNormMax"][i])
        super()._constrain(i, weights)


class Local(Filtered):
    """Convolution with a filter bank for each module. The weights learn on the direct route, as in fc."""

    direct = True
    _seen_grad = staticmethod(local.local_backward_images)

    @property
    def blocks(self) -> int:
        """A filter bank per module."""
        return self.spec["modules"]

    def _forward(self, noise):
        out = None
        for i, weights in enumerate(self.weights):
            biases = self.biases if i == 0 else None
            out = local.local_forward(self._seen(i), weights, biases, out=out, **self.windows[i])
        return matrix(out)

    def _weights_grad(self, i, acts_grad):
        return local.local_backward_filters(self._seen(i), self._grads(acts_grad), **self.windows[i])

    def _add_weights_grad(self, i, acts_grad, inc, scale_inc, scale_new):
        scales = {"out": inc, "scale_out": scale_inc, "scale_new": scale_new}
        local.local_backward_filters(self._seen(i), self._grads(acts_grad), **scales, **self.windows[i])

    def _biases_grad(self, acts_grad):
        return local.local_backward_biases(self._grads(acts_grad))

    def _constrain(self, i, weights):
        if not self.quirks["local-norm-block-offset"]:
            super()._constrain(i, weights)
            return
        for bank in np.split(weights, self.blocks):
            for columns in solver.blocks_of_filters(weights.shape[1]):
                solver.bound_norms(bank[:, columns], self.spec["wballNormed"][i])
