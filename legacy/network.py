"""The network of 2012, driven one layer at a time."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import wraps
from threading import RLock
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt

from . import _call
from ._call import Launch, Layer, Matrix
from .device import Device
from .errors import Refused
from .gpu.recording import planned

__all__ = ["Network"]

P = ParamSpec("P")
T = TypeVar("T")
PASS_TYPES = ("train", "test", "gc", "features", "first_view", "middle_view", "last_view")
MULTIPLYING = ("fc", "treefc")  # layers that call BLAS


def _one_at_a_time(method: Callable[P, T]) -> Callable[P, T]:
    """Make a method wait while another thread runs a method of the same network."""

    @wraps(method)
    def alone(*args: P.args, **kwargs: P.kwargs) -> T:
        with cast("Network", args[0])._lock:
            return method(*args, **kwargs)

    return alone


class Network:
    """A network of the 2012 engine: layers, costs, weights and the solver in C++.

    Every step works in one of two ways. *Isolated*: ``forward`` is given its inputs and ``backward`` the gradient of
    the layer's output, and leaves fresh ``inputs_grad[i]``. *Propagated*: without them the layer reads what the layers
    below have in ``acts``, and its backward step adds to their ``acts_grad``, where the first contribution after a
    forward step overwrites. Gradients are those of *minus* the cost: training ascends.

    Parameters
    ----------
    layers : list of dict
        One dictionary per layer, inputs first, with the keys and values of the historical parser
        (``port.config.LayerSpec.to_dict()`` makes them): ``padding`` negated, ``filters`` in total, ``scale`` divided.
    device : str
        ``"cpu"`` or ``"gpu"`` (see `legacy.gpu`).
    threads : int, optional
        Threads of kernels and matrix products, up to 1024. No result depends on their number.
    update_every : int
        Backward passes per update of the weights (``wupdate_freq``).
    minibatch : int, optional
        Nominal number of cases per pass; needed if `update_every` is not 1: gradients are then divided by the product
        of the two, also after smaller passes.
    quantise : bool
        Do as several devices did: where ``quantF`` is ``half``, layers on another device (``gpu``) than their input see
        it in half precision; where ``quantB`` is, so is what each other device sends back, summed there.
    quirks : mapping of str to bool, optional
        Switches of the quirk ledger that are not to stand where `legacy.quirk_defaults` has them.

    Raises
    ------
    Refused
        An unsupported layer type or rule, a missing key, an unknown input, more or fewer inputs than the type has; the
        text names the layer.

    Notes
    -----
    Tensors: ``acts``, ``acts_grad``, ``inputs_grad[i]`` are (outputs, N) with the images last; ``weights[i]``,
    ``weights_inc[i]``, ``weights_grad[i]`` (not in fc and local layers without ``superEps``) have the shapes
    ``weightShapes``, ``biases``, ``biases_inc``, ``biases_grad`` that of ``biasShape``. Weights of conv and local
    layers are stored row-major, those of fc and treefc layers column-major. A matrix that layers share
    (``weightSourceLayers``, ``weightSourceMatrixIndices``) is one, whichever of them it is addressed by; its owner
    updates it. A treefc layer has the key ``tree``: the children of every node, leaves first.
    Source: network-and-solver 1 to 13.

    Threads may share a network: a method waits while another thread is in one. Ctrl-C ends a step between two blocks of
    a kernel, with KeyboardInterrupt: a forward step leaves its layer empty, a backward step or an update what it had
    done so far. After ``os.fork`` the child works with one thread: those of OpenMP stay with the parent.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        device: str | Device = "cpu",
        threads: int | None = None,
        *,
        update_every: int = 1,
        minibatch: int | None = None,
        quantise: bool = False,
        quirks: Mapping[str, bool] | None = None,
    ) -> None:
        self._device, self._lock, self._logging = _call.open_device("Network", device), RLock(), False
        threads = _call.default_threads() if threads is None else _call.checked_threads("Network", threads)
        every, nominal = (_call.integer(f"Network: {name}", value) for name, value in
                          (("update_every", update_every), ("minibatch", minibatch or 0)))  # fmt: skip
        if every < 1 or (every > 1 and nominal < 1):
            raise Refused("Network: update_every", "1, or more and the nominal size of a pass, minibatch", every)
        entries = [_flat(layer) for layer in layers]
        self._types = {words["name"][0]: words["type"][0] for _, words in entries}
        options: dict[str, Any] = {"update_every": every, "minibatch": nominal, "quantise": quantise, "quirks": quirks}
        self._batches: set[int] = set()
        self._planned: Callable[[int], dict[tuple[str, str], None]] = lambda batch: planned(layers, batch, **options)
        turned = {str(name): bool(on) for name, on in dict(quirks or {}).items()}
        make = _call._module().NetworkCore
        self._core = make(entries, threads, every, nominal, bool(quantise), self._device, turned)
        self.logging = False  # whether launches are recorded; False at first

    @_one_at_a_time
    def set_quirk(self, name: str, on: bool) -> None:
        """Turn a switch of the quirk ledger; Refused if there is none of that name."""
        self._core.set_quirk(str(name), bool(on))

    @_one_at_a_time
    def forward(
        self,
        layer: str,
        inputs: Sequence[Matrix] | None = None,
        mask: npt.ArrayLike | None = None,
        pass_type: str = "train",
    ) -> None:
        """Run one layer forward.

        Parameters
        ----------
        layer : str
        inputs : list of (rows, N) float32 ndarray, optional
            What the layer reads instead of its inputs' ``acts``; for a data layer, its values. C-contiguous arrays
            are borrowed, not copied: leave them unchanged until the layer's next forward step or ``release``.
        mask : ndarray, optional
            What is random in the layer. hs, in training: the dropout mask, 0 and 1, (outputs, N). The neuron nrelu, in
            all passes: standard normals, (outputs, N). pool=rand, unless ``doMax``: numbers in [0, 1), (outputs, N).
            rscale, in training: four numbers in [0, 1), (4, 1).
        pass_type : str
            ``train``; ``test`` (dropout scales); ``features``, as test; ``gc``: as ``test``, and parameter gradients
            are not divided by N; ``first_view``, ``middle_view``, ``last_view``: tests of several views of the same
            cases, whose probabilities cost.logreg averages: its numbers are new after the last one.

        Raises
        ------
        Refused
            What the engine of 2012 would have failed an assertion for; the text names the layer, which is then empty.
        """
        if pass_type not in PASS_TYPES:
            raise Refused(f"layer {layer}: unknown pass type", " or ".join(PASS_TYPES), _call.short(pass_type))
        if not isinstance(inputs, (list, tuple, type(None))):
            raise Refused(f"layer {layer}: inputs", "a list of arrays", type(inputs).__name__)
        given = [_matrix(layer, f"input {i}", x) for i, x in enumerate(inputs or ())]
        if mask is not None:
            mask = _matrix(layer, "mask", _numbers(layer, "mask", mask).astype(np.float32, order="C"))
        if given:
            self._prepare(given[0].shape[1])
        self._step("forward", layer, given, mask, pass_type)

    @_one_at_a_time
    def backward(self, layer: str, acts_grad: Matrix | None = None, progress: float = 0.0) -> None:
        """Run one layer backward: gradients of its parameters, then of the inputs that want one.

        Parameters
        ----------
        layer : str
        acts_grad : (outputs, N) float32 ndarray, optional
            The gradient of the layer's output. None for costs; and for a softmax whose only consumer is a cost.logreg
            or cost.crossent, and a logistic neuron whose only consumer is a cost.crossent2, which do the work of both
            with the labels that the cost got in its forward step.
        progress : float
            Share of the training that is done: weights of fc and local layers learn here, at the rate of that time.

        Notes
        -----
        Leaves ``biases_grad`` and, in conv and treefc layers, ``weights_grad[i]``: sums over the cases divided by N,
        added to what is there if no update has happened since. In fc and local layers, unless there is a ``superEps``,
        they go directly into the momentum buffer, Δ ← μΔ + (ε/N)∂W (μ = 1 if no update has happened since). Every layer
        that shares a matrix adds to it, at its own rate. Parameters with a base rate of 0 get no gradient, those of an
        owner with a base rate of 0 neither. In gc passes nothing is divided, and Δ is overwritten.
        """
        grad = None if acts_grad is None else _matrix(layer, "acts_grad", acts_grad)
        self._step("backward", layer, grad, _call.number(f"layer {layer}: progress", progress))

    @_one_at_a_time
    def sum_grad(self, layer: str, parts: Iterable[tuple[str, int, Matrix | None]]) -> Matrix:
        """The gradient of a layer's output, accumulated over its consumers as a backward pass does it.

        Parameters
        ----------
        layer : str
        parts : list of (str, int, ndarray or None)
            Consumer, which of its inputs the layer is, and the gradient of the consumer's output. The consumers'
            forward state is used; their parameter gradients stay as they are.

        Returns
        -------
        (outputs, N) ndarray of float32
            The first contribution overwrites, the others add, in the order given.
        """
        checked = []
        for name, i, grad in parts:
            given = None if grad is None else _matrix(name, "acts_grad", grad)
            checked.append((self._known(name), _call.integer(f"layer {name}: input", i), given))
        with _call.single_threaded_blas() if self._device is None else nullcontext():
            total: Matrix = self._core.sum_grad(self._known(layer), checked)
        return total

    @_one_at_a_time
    def update(self, layer: str, progress: float = 0.0) -> bool:
        """Update what a layer owns: Δ ← μΔ + εG (but on the direct route), Δ ← Δ − λεW, W ← W + Δ.

        Then come the constraints ``wcNormMin``, ``wcNormMax`` and ``wball``. Nothing happens to parameters with a base
        rate of 0, nor in layers without parameters.

        Parameters
        ----------
        layer : str
        progress : float
            Share of the training that is done.

        Returns
        -------
        bool
            Whether the update was due: with ``update_every`` > 1 only after that many backward passes of the layer.
        """
        due: bool = self._step("update", layer, _call.number(f"layer {layer}: progress", progress))
        return due

    @_one_at_a_time
    def read(self, layer: str, tensor: str) -> npt.NDArray[Any]:
        """A tensor of a layer, as a read-only array.

        It is a view without a copy that stays as it is: before the engine changes memory that somebody looks at, it
        takes other memory. ``cost`` is a float64 array of sums over the cases.

        Raises
        ------
        KeyError
            The layer has no such tensor, or not now: ``acts`` of a cmrnorm layer are destroyed by its backward step.
        """
        found: npt.NDArray[Any] | None = self._core.cost(self._known(layer)) if tensor == "cost" else None
        if found is not None and found.size:
            return found
        found = self._core.read(self._known(layer), *_address(tensor))
        if found is None:
            raise KeyError(f"layer {layer} has no {tensor}")
        return found

    @_one_at_a_time
    def write(self, layer: str, tensor: str, array: npt.ArrayLike) -> None:
        """Set a parameter tensor to a copy of a float32 array.

        Two more exist: ``filterConns[i]``, integers, the channels that the groups of a sparse input see, group after
        group; and ``schedule_normals``, (weights and biases, 2), standard normals for the noise of the learning rates
        in the next passes and updates: for the gradient, for the decay. Without them there is no noise.

        Raises
        ------
        Refused
            No such parameter, wrong shape or dtype, or a value that is not finite.
        """
        name, i = _address(tensor)
        if name == "filterConns" and i >= 0:
            channels = _numbers(layer, tensor, array).ravel()
            whole = [_call.integer(f"layer {layer}: {tensor}", channel) for channel in channels]
            self._core.set_connections(self._known(layer), i, whole)
            return
        if tensor == "schedule_normals":
            normals = _numbers(layer, tensor, array).ravel()
            self._core.set_normals(self._known(layer), normals.tolist())
            return
        shape = self._core.shape(self._known(layer), name, i)
        what = f"layer {layer}: {tensor}"
        if shape is None:
            raise Refused(f"{what} cannot be written", "weights, biases, their _inc and _grad", self._types[layer])
        array = _numbers(layer, tensor, array)
        if array.dtype != np.float32 or array.shape != shape:
            raise Refused(f"{what} has the wrong shape or type", f"{shape} float32", f"{array.shape} {array.dtype}")
        self._core.write(layer, name, i, np.require(array, requirements="A"))

    def seconds(self, layer: str, step: str) -> float:
        """Seconds of the last ``forward``, ``backward`` or ``update`` of a layer; KeyError if it never ran.

        On the CPU wall time; on a GPU the time of kernels and matrix products, by events.
        """
        if self._device is not None:
            return self._device.seconds(self._known(layer), step)
        seconds: float = self._core.seconds(self._known(layer), step)
        if seconds < 0:
            raise KeyError(f"layer {layer}: no {step} has run")
        return seconds

    def copy_seconds(self, layer: str, step: str) -> float:
        """Seconds of the copies between host and GPU in the last such step of a layer; 0 on the CPU."""
        return 0.0 if self._device is None else self._device.copy_seconds(self._known(layer), step)

    @_one_at_a_time
    def release(self, layer: str, acts_alone: bool = False) -> None:
        """Free all that a layer holds but its parameters.

        ``acts_alone``: only the output, of a conv, local or fc layer that was given its inputs and so never reads it.
        """
        self._core.release(self._known(layer), acts_alone)

    @property
    @_one_at_a_time
    def launches(self) -> list[Launch]:
        """Launch records since the last `clear_launches`, as far as ``logging`` was on: list of dict.

        No more than 65,536 are kept, the newest. Of each: layer, pass, kernel (with its template arguments), grid,
        block, shared_bytes, args, rule, seconds.
        """
        launches: list[Launch] = self._core.launches()
        _call.timed(launches, self._device)
        return launches

    @_one_at_a_time
    def clear_launches(self) -> None:
        """Forget the launch records."""
        self._core.clear_launches()
        if self._device is not None:
            self._device.forget_launches()

    @property
    def logging(self) -> bool:
        return self._logging

    @logging.setter
    @_one_at_a_time
    def logging(self, value: bool) -> None:
        self._logging = bool(value)
        self._core.log(_call.MOST_LAUNCHES if value else 0)
        if self._device is not None:
            self._device.logging = self._logging

    def _prepare(self, batch: int) -> None:
        """Before the first pass of a batch size: a device that compiles kernels does all of them in one go."""
        if self._device is not None and hasattr(self._device, "prepare") and batch not in self._batches:
            self._batches.add(batch)
            self._device.prepare(self._planned(batch))

    def _step(self, step: str, layer: str, *args: object) -> Any:
        """Run a step of a layer; on a GPU it is timed there."""
        run, layer = getattr(self._core, step), self._known(layer)
        if self._device is not None:
            around = self._device.step(layer, step)
        else:
            around = _call.single_threaded_blas() if self._types[layer] in MULTIPLYING else nullcontext()
        with around:
            return run(layer, *args)

    def _known(self, layer: object) -> str:
        if not isinstance(layer, str) or layer not in self._types:
            names = ", ".join(self._types)
            raise Refused(f"there is no layer {_call.short(layer)}", "a layer of the network", hint=names)
        return layer


def _flat(layer: object) -> tuple[dict[str, list[float]], dict[str, list[str]]]:
    """(numbers, words) of a layer dictionary, both key → list; nested names are joined with dots."""
    if not isinstance(layer, dict) or not all(isinstance(layer.get(key), str) for key in ("name", "type")):
        raise Refused("a layer is no dictionary with a name and a type", "what port.config makes", _call.short(layer))
    numbers: dict[str, list[float]] = {}
    words: dict[str, list[str]] = {}

    def add(key: str, value: Any) -> None:
        what = f"layer {layer['name']}: {_call.short(key)}"
        if isinstance(value, dict):
            for name, item in value.items():
                add(f"{key}.{name}" if key else name, item)
            return
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if key == "tree":
            numbers["treeParents"] = _parents(what, values)
            return
        if values and all(isinstance(item, (list, tuple)) for item in values):
            values = [item for row in values for item in row]
        if any(isinstance(item, str) for item in values):
            words[key] = [item if isinstance(item, str) else str(_call.number(what, item)) for item in values]
        elif values != [None] and values:
            numbers[key] = [_call.number(what, item) for item in values]

    add("", layer)
    return numbers, words


def _parents(what: str, tree: list[Any]) -> list[float]:
    """The parent of every node of a tree, -1 where there is none."""
    if not all(isinstance(children, (list, tuple)) for children in tree):
        raise Refused(f"{what} is no tree", "the list of its children for every node", _call.short(tree))
    parents = {_call.integer(what, child): node for node, children in enumerate(tree) for child in children}
    return [float(parents.get(node, -1)) for node in range(len(tree))]


def _numbers(layer: str, what: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Values to be written, as an array of finite numbers; Refused if they are none."""
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "biuf" or not array.size:
        raise Refused(f"layer {layer}: {what} is no array of numbers", "numbers", f"{array.dtype} {array.shape}")
    if not (np.isfinite(array.min()) and np.isfinite(array.max())):
        raise Refused(f"layer {layer}: {what} has values that are not finite", "finite numbers", "inf or nan")
    return array


def _matrix(layer: str, what: str, array: object) -> Matrix:
    """The array as the engine reads it: 2-D float32, C-contiguous (a copy only if it was not)."""
    return np.ascontiguousarray(_call.matrix(f"layer {layer}: {what}", array))


def _address(tensor: object) -> tuple[str, int]:
    """``weights_inc[1]`` → ("weights_inc", 1); ``biases`` → ("biases", -1)."""
    match = re.fullmatch(r"(\w+)\[(\d{1,9})\]", str(tensor))
    return (match[1], int(match[2])) if match else (str(tensor), -1)
