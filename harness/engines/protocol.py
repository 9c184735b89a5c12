"""What the harness asks of an engine.

An engine is an `Engine`: it has ``name``, ``probe()`` and ``open(network, threads)``, which gives a `Session`. Other
packages register theirs through the entry-point group ``rosetta.engines`` (a class without required constructor
arguments). What is not marked abstract here has a default, which a class gets by deriving from these.

Everything exchanged is a 2-D float32 NumPy array, the logical historical matrix: ``acts``, ``acts_grad`` and
``inputs_grad[i]`` are (outputs, N), C-contiguous, rows channel, y, x, images last; ``weights[i]`` and its
companions have the shape ``weightShapes[i]``; ``biases`` ``biasShape``; ``cost`` is a 1-D float64 array of sums over
the cases. Gradients are those of *minus* the cost (training ascends), parameter gradients are divided by N.

An engine that cannot do a step raises `errors.Unsupported`, which says why; its tensors are then reported so. Whatever
else it raises in a step makes the tensors ``failed``, and the run goes on; in ``probe`` it makes it unavailable.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import Unsupported
from ..network.load import Network
from .peaks import Peak

Array = NDArray[np.float32]


class Arithmetic(NamedTuple):
    """How an engine adds up: whose order its sums have, ``legacy`` or ``port``, and whether a·b + c is rounded once."""

    order: str
    fused: bool


@runtime_checkable
class Session(Protocol):
    """One network, loaded into one engine."""

    @abstractmethod
    def write(self, layer: str, tensor: str, array: NDArray[Any]) -> None:
        """Set a parameter tensor of a layer (``weights[0]``, ``biases_inc`` ...).

        A matrix that layers share is written and read in its owner. Two more exist: ``filterConns[i]``, integers, the
        channels that the groups of a sparse input see; and ``schedule_normals``, (weights and biases, 2), what the
        noise of the learning rates uses in this backward pass and update: first for the gradient, then for the decay.
        """

    @abstractmethod
    def read(self, layer: str, tensor: str) -> NDArray[Any]:
        """A tensor of a layer, perhaps a view; KeyError if there is none. Reading never changes a run."""

    @abstractmethod
    def forward(self, layer: str, inputs: Sequence[Array] | None = None, mask: NDArray[Any] | None = None) -> None:
        """One layer forward, from ``inputs`` (list of (rows, N) arrays) or, if None, from the producers' own acts.

        The caller keeps the input arrays alive and unchanged until ``release``. ``mask`` is what is random in the
        layer: the boolean mask of an hs layer, the normals of nrelu, the numbers in [0, 1) of random pooling, all
        (outputs, N); or the four of rscale, (4, 1).
        """

    @abstractmethod
    def backward(self, layer: str, acts_grad: Array | None = None, progress: float = 0.0) -> None:
        """One layer backward.

        ``progress`` is the share of the training that is done: learning rates of the direct route depend on it. With
        ``network.update_every`` above 1 gradients of the parameters are added up until an update, and divided by the
        cases of that many passes of ``network.minibatch`` cases.

        With ``acts_grad``, (outputs, N), the results are fresh ``inputs_grad[i]``; with None the layer's own
        accumulated gradient is used and contributions are added to the producers' ``acts_grad``. Costs, and a softmax
        or logistic neuron fused with its cost, are called with None in both modes; isolated ones then leave
        ``inputs_grad[i]`` too.
        """

    @abstractmethod
    def sum_grad(self, layer: str, parts: Sequence[tuple[str, int, Array]]) -> Array:
        """The layer's acts_grad, (outputs, N), summed over several consumers the way the engine does it.

        The first consumer writes, the others add. ``parts`` is a list of (consumer, input index, the consumer's
        acts_grad).
        """

    @abstractmethod
    def update(self, layer: str, progress: float = 0.0) -> None:
        """One weight update of a layer from its weights_grad (conv, biases) or weights_inc (fc)."""

    @abstractmethod
    def seconds(self, layer: str, step: str) -> float:
        """Seconds of the last ``forward``, ``backward`` or ``update`` of the layer; on a card, of its events."""

    @abstractmethod
    def release(self, layer: str) -> None:
        """Free what the layer holds but its parameters."""

    def drop(self, layer: str, tensor: str) -> None:
        """Nobody will read that tensor of a layer's last step again; what no later step needs may be freed."""
        return

    def set_pass_type(self, pass_type: str) -> None:
        """Say what the next forward steps belong to.

        ``train``, as at first, ``test``, or, of several views of the same cases, ``first_view``, ``middle_view``,
        ``last_view``. By default `errors.Unsupported`: a session that takes part in training passes only.
        """
        raise Unsupported("the engine knows training passes only")

    def set_quirk(self, name: str, on: bool) -> None:
        """Turn one of the switches that the engine's `Engine.quirks` lists; by default there is none."""
        raise Unsupported(f"the engine has no switch for the quirk {name}")

    def copy_seconds(self, layer: str, step: str) -> float:
        """Seconds of the copies between host and card in that step; by default 0."""
        return 0.0

    def record_launches(self) -> None:
        """Record launches of kernels from now on; by default none are recorded."""
        return None

    def launches(self) -> Sequence[Mapping[str, Any]]:
        """The records since `record_launches`, with the keys layer, pass and kernel and more; by default none."""
        return ()


@runtime_checkable
class Engine(Protocol):
    """A way to run networks.

    Attributes
    ----------
    name : str
        As in ``--engines``.
    ignored_quirks : tuple of str
        Switches of the quirk ledger that change values of layers which this engine does not look at.
    device : str
        ``cpu`` where it computes on the processor, as far as that is known.
    """

    name: str
    ignored_quirks: tuple[str, ...] = ()
    device: str = ""

    @abstractmethod
    def probe(self) -> tuple[bool, str]:
        """(available, reason): whether sessions can be opened here, and in one line why or with what."""

    @abstractmethod
    def open(self, network: Network, threads: int) -> Session:
        """A Session for a network on ``threads`` threads; parameters are written later.

        With ``network.quantise`` what goes between devices is rounded as `reference.half_precision` says: outputs in
        forward steps without given inputs, gradients in sums over consumers.
        """

    def quirks(self) -> Mapping[str, bool]:
        """The switches of the quirk ledger that sessions have, and where they stand; by default none."""
        return {}

    def peak(self) -> Peak | None:
        """What the device can do at most; None, the default, where that is not known."""
        return None

    def arithmetic(self) -> Arithmetic | None:
        """In which order and with which roundings sessions add; None, the default, where nobody knows."""
        return None

    def missing(self) -> Sequence[str]:
        """All that is missing where the engine is unavailable, a line for each thing; by default nothing more."""
        return ()


def lacking(thing: object, kind: type) -> list[str]:
    """Names of what an object lacks to be an `Engine` or a `Session`."""
    names = {**kind.__annotations__, **vars(kind)}
    return [name for name in names if not name.startswith("_") and not hasattr(thing, name)]
