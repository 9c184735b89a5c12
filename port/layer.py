"""The base class of all layers."""

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

import numpy as np
from numpy.typing import DTypeLike

from .checks import Array
from .config import LAYER_TYPES, LayerSpec
from .quirks import DEFAULTS

Normal = Callable[[], float]
"""Draws a number from N(0, 1)."""

VIEWS = ("first_view", "middle_view", "last_view")
PASS_TYPES = ("train", "test", "gc", "features", *VIEWS)


class Layer:
    """State around the operations of one layer.

    Activities and gradients are the historical matrices, (units, images), units in the order channel, y, x. A layer
    keeps the arrays of its last forward pass that its backward pass needs, so that it runs alone and in a network.

    Arrays are float32 or float64. ``rng`` is the source of the noise that no caller gives: dropout masks, normals,
    random choices, noise of the schedules.
    """

    quirks: Mapping[str, bool] = DEFAULTS  # positions of the switches, those of the network
    # the cost that goes backward in one step with this layer: the only consumer of a softmax or a logistic neuron
    fused_cost: "Layer | None" = None

    def __init__(self, spec: LayerSpec, dtype: DTypeLike, rng: np.random.Generator) -> None:
        if facts := LAYER_TYPES[spec.type].wrong_count(len(spec.inputs)):
            raise spec.error("has the wrong number of entries", key="inputs", **facts)
        self.spec, self.dtype, self.rng = spec, np.dtype(dtype), rng
        self.inputs: list[Array] = []  # of the last forward pass
        # output, and its gradient (historical sign: of minus the cost); what a cost reports, float64 sums over images
        self.acts: Array | None = None
        self.acts_grad: Array | None = None
        self.cost: Array | None = None
        self.pass_type = "train"
        self.seconds: dict[str, float] = {}  # wall time of the last ``forward``, ``backward`` and ``update``

    def forward(self, inputs: Sequence[Array], pass_type: str = "train", noise: Array | None = None) -> Array | None:
        """Compute the output; None for costs.

        `inputs` are the outputs of the layers below, (units, N), in the order of the file; the layer keeps arrays of
        its own dtype uncopied. `pass_type` is ``train``; ``test``; ``features``, the same as test; ``gc`` (gradient
        check), as test, but gradients are not divided by the number of images; ``first_view``, ``middle_view``,
        ``last_view``: tests of several views of the same images, whose probabilities cost.logreg averages.

        `noise` has the random numbers of the layer, which the layer draws by default. hs: the mask, 0 or 1, (units, N).
        Neuron nrelu: standard normal deviates, (units, N). pool=rand: (units, N), either uniform deviates or integers,
        the position of each output's pixel in the clipped window. rscale: four uniform deviates.
        """
        if pass_type not in PASS_TYPES:
            raise ValueError(f"{self.spec.name}: expected a pass type of {PASS_TYPES}, actual {pass_type!r}")
        begin = perf_counter()
        self.inputs = [np.ascontiguousarray(x, self.dtype) for x in inputs]
        self.pass_type, self.acts_grad = pass_type, None
        self._check_inputs()
        self.acts = self._forward(noise)
        self.seconds["forward"] = perf_counter() - begin
        return self.acts

    def backward(
        self,
        acts_grad: Array | None,
        wanted: Sequence[bool],
        progress: float = 0.0,
        normal: Normal | None = None,
        accumulate: bool = False,
    ) -> list[Array | None]:
        """Compute the gradients of the parameters and of the `wanted` inputs.

        `acts_grad`, (outputs, N), is the gradient of the output; None for costs and for a layer fused with its cost
        (`Network.graph`). `progress` is the share of the training that is done, for the rates of the direct route.
        `normal` draws the normals of noisy schedules; by default from the layer's generator. With `accumulate`, add the
        gradients of the parameters to the sum since the last update, as a network does for shared weights and for
        updates after several passes; without, start a new sum.

        The result has a new array for each wanted input; None for other inputs, and for inputs without gradient
        (labels).
        """
        begin = perf_counter()
        if acts_grad is not None:
            acts_grad = np.ascontiguousarray(acts_grad, self.dtype)
        self.acts_grad = acts_grad
        if not accumulate:
            self.forget_gradients()
        self.params_grad(acts_grad, progress, normal)
        found = self.inputs_grad(acts_grad, wanted)
        self.seconds["backward"] = perf_counter() - begin
        return found

    def update(self, progress: float = 0.0, normal: Normal | None = None) -> None:
        """Make one step of each parameter with a base rate above 0; arguments as of `backward`."""
        begin = perf_counter()
        self._update(progress, normal or self.rng.standard_normal)
        self.seconds["update"] = perf_counter() - begin

    def inputs_grad(self, acts_grad: Array | None, wanted: Sequence[bool]) -> list[Array | None]:
        """The gradients of the wanted inputs alone; changes nothing."""
        return [self._input_grad(i, acts_grad) if wish else None for i, wish in enumerate(wanted)]

    def add_grad(self, i: int, total: Array, grads: Array) -> Array:
        """Add a gradient of input i to `total`, the sum of the gradients from other layers; may change `total`."""
        total += grads
        return total

    def params_grad(self, acts_grad: Array | None, progress: float = 0.0, normal: Normal | None = None) -> None:
        """Collect the gradients of the parameters; this base class has no parameters."""

    def forget_gradients(self) -> None:
        """Let the next gradients of the parameters start a new sum; this base class has no parameters."""

    def release(self) -> None:
        """Forget activities and gradients, keep the parameters."""
        self.inputs, self.acts, self.acts_grad = [], None, None

    def _forward(self, noise: Array | None) -> Array | None:
        raise NotImplementedError

    def _input_grad(self, i: int, acts_grad: Array | None) -> Array | None:
        raise NotImplementedError

    def _update(self, progress: float, normal: Normal) -> None:
        """Do nothing: this base class has no parameters."""

    def _check_inputs(self) -> None:
        """Raise unless the inputs have the rows of the specification and one number of images."""
        rows = self.spec.get("numInputs", ())
        images = {x.shape[1:] for x in self.inputs}
        if tuple(len(x) for x in self.inputs) != tuple(rows) or len(images) > 1:
            actual = ", ".join(str(x.shape) for x in self.inputs)
            expected = ", ".join(f"({n}, N)" for n in rows)
            raise ValueError(f"{self.spec.name}: expected inputs {expected}; actual {actual}")


def images(matrix: Array, size: int) -> Array:
    """A (units, N) matrix as (channels, size, size, N), without copying."""
    return matrix.reshape(-1, size, size, matrix.shape[1])


def matrix(array: Array) -> Array:
    """The reverse of `images`."""
    return array.reshape(-1, array.shape[-1])
