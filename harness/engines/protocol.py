"""What the harness asks of an engine.

An engine is an object with ``name``, ``probe()`` and ``open(network, threads)``; other packages register theirs
through the entry-point group ``rosetta.engines`` (a class without required constructor arguments). Optional are
``quirks()``, a dict of the switches of the quirk ledger that its sessions have, and where they stand; and ``heedless``,
names of those that change the values of layers it does not look at.

Everything exchanged is a 2-D float32 NumPy array, the logical historical matrix: ``acts``, ``acts_grad`` and
``inputs_grad[i]`` are (outputs, N), C-contiguous, rows channel, y, x, images last; ``weights[i]`` and its
companions have the shape ``weightShapes[i]``; ``biases`` ``biasShape``; ``cost`` is a 1-D float64 array of sums over
the cases. Gradients are those of *minus* the cost (training ascends), parameter gradients are divided by N.

On a graphics card ``seconds`` are those of the card's events, and two more verbs are looked for: ``copy_seconds(layer,
step)`` of a session, the seconds of the copies between host and card, and ``peak()`` of an engine, a `peaks.Peak`.

An engine that cannot do a step raises `errors.Unsupported`, which says why; its tensors are then reported so. Whatever
else it raises in a step makes the tensors ``failed``, and the run goes on; in ``probe`` it makes it unavailable.
"""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Session(Protocol):
    """One network, loaded into one engine."""

    def write(self, layer, tensor, array):
        """Set a parameter tensor of a layer (``weights[0]``, ``biases_inc`` ...).

        A matrix that layers share is written and read in its owner. Two more exist: ``filterConns[i]``, integers, the
        channels that the groups of a sparse input see; and ``schedule_normals``, (weights and biases, 2), what the
        noise of the learning rates uses in this backward pass and update: first for the gradient, then for the decay.
        """

    def read(self, layer, tensor):
        """A tensor of a layer, perhaps a view; KeyError if there is none. Reading never changes a run."""

    def forward(self, layer, inputs=None, mask=None):
        """One layer forward, from ``inputs`` (list of (rows, N) arrays) or, if None, from the producers' own acts.

        The caller keeps the input arrays alive and unchanged until ``release``. ``mask`` is what is random in the
        layer: the boolean mask of an hs layer, the normals of nrelu, the numbers in [0, 1) of random pooling, all
        (outputs, N); or the four of rscale, (4, 1).
        """

    def backward(self, layer, acts_grad=None, progress=0.0):
        """One layer backward.

        ``progress`` is the share of the training that is done: learning rates of the direct route depend on it. With
        ``network.update_every`` above 1 gradients of the parameters are added up until an update, and divided by the
        cases of that many passes of ``network.minibatch`` cases.

        With ``acts_grad`` the results are fresh ``inputs_grad[i]``; with None the layer's own accumulated gradient
        is used and contributions are added to the producers' ``acts_grad``. Costs, and a softmax or logistic neuron
        fused with its cost, are called with None in both modes; isolated ones then leave ``inputs_grad[i]`` too.
        """

    def sum_grad(self, layer, parts):
        """The layer's acts_grad summed over several consumers the way the engine does it: first writes, others add.

        ``parts`` is a list of (consumer, input index, the consumer's acts_grad).
        """

    def update(self, layer, progress=0.0):
        """One weight update of a layer from its weights_grad (conv, biases) or weights_inc (fc)."""

    def seconds(self, layer, step):
        """Wall seconds of the last ``forward``, ``backward`` or ``update`` of the layer."""

    def release(self, layer):
        """Free what the layer holds but its parameters."""

    # Optional: set_quirk(name, on) turns one of the switches that the engine's ``quirks()`` lists. set_pass_type(name)
    # says what the next forward steps belong to: ``train``, as at first, ``test``, or, of several views of the same
    # cases, ``first_view``, ``middle_view``, ``last_view``. A session without it takes part in training passes only.


@runtime_checkable
class Engine(Protocol):
    """A way to run networks."""

    name: str

    def probe(self):
        """(available, reason): whether sessions can be opened here, and in one line why or with what."""

    def open(self, network, threads):
        """A Session for a ``harness.networks.Network`` on ``threads`` threads; parameters are written later.

        With ``network.quantise`` what goes between devices is rounded as `quantise` says: outputs in forward steps
        without given inputs, gradients in sums over consumers.
        """
