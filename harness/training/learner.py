"""A network in one engine that feeds itself: steps of training, and tests."""

from collections.abc import Sequence
from math import isqrt
from time import perf_counter

import numpy as np

from ..data.views import over_views
from ..engines.protocol import Engine
from ..errors import BadInput
from ..network import cost_inputs
from ..network.load import LayerSpec, Network, parameter_shapes
from ..network.solver import has_noise
from ..quirks.settings import open_session
from ..values import parameters
from ..values.noise import Tape
from ..values.parameters import Values


def initial(network: Network, seed: int) -> Values:
    """Parameters at the start of a training: as `parameters.make` draws them, momentum buffers 0 (config-format 13.1).

    Returns: by layer and tensor.
    """
    values = parameters.make(network, seed)
    for tensors in values.values():
        for name in tensors:
            if "_inc" in name:
                tensors[name] = np.zeros_like(tensors[name])
    return values


def feeds(network: Network) -> tuple[LayerSpec, dict[str, str]]:
    """(data layer of the images, [data layers of the labels]) of a network that learns classes of pictures.

    Raises BadInput: a data layer holds neither.
    """
    of_costs = cost_inputs.kinds(network.graph)
    images = [layer for layer in network.layers if layer.type == "data" and layer.name not in of_costs]
    odd = [name for name, kind in of_costs.items() if kind not in ("classes", "distribution")]
    if len(images) != 1 or odd:
        names = ", ".join(odd or [layer.name for layer in images]) or "none"
        raise BadInput(f"{network.definition}: this network does not learn from pictures and their classes",
                       expected="one data layer of images, the others read as labels", actual=names,
                       hint="rosetta compare runs any network")  # fmt: skip
    return images[0], {name: kind for name, kind in of_costs.items()}


def smooth(weights: np.ndarray, channels: int) -> tuple[float, float]:
    """How much of the energy of filters lies in frequencies of at most one period across the filter, and of noise's.

    ``weights``: ndarray, (channels · side · side, filters).
    Returns: shares from 0 to 1.
    """
    side = isqrt(len(weights) // channels)
    energy = np.abs(np.fft.fft2(weights.reshape(channels, side, side, -1), axes=(1, 2))) ** 2
    low = energy[:, [0, 1, -1]][:, :, [0, 1, -1]]
    return float(low.sum() / max(energy.sum(), 1e-30)), 9 / side**2


class Learner:
    """A network in one engine, with ``minibatch`` and ``update_every`` set.

    `seed` is that of what is random in the layers, `values` are parameters and momentum buffers (`initial`). `seconds`
    are the wall seconds of all training steps so far.
    """

    def __init__(self, network: Network, engine: Engine, threads: int, seed: int, values: Values) -> None:
        self.name, self.network, self.seed, self.seconds = engine.name, network, seed, 0.0
        self.graph = network.graph
        self.images, self.labels = feeds(network)
        self._order = self.graph.backward_order()
        self._updated = [layer for layer in self._order if "weightShapes" in layer.keys]
        self.costs = [layer.name for layer in network.layers if layer.type.startswith("cost.")]
        self.session = open_session(engine, network, threads, {})
        self._given = list(parameters.owned(network, values))
        for layer, tensor, array in self._given:
            self.session.write(layer, tensor, array)

    def feed(self, data: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """What the data layers hold: images (values, N), labels (1, N), or a column of probabilities per case."""
        found = {self.images.name: np.ascontiguousarray(data)}
        for name, kind in self.labels.items():
            found[name] = np.ascontiguousarray(labels)
            if kind == "distribution":
                classes = np.arange(self.graph.layers[name].outputs, dtype=np.float32)[:, None]
                found[name] = (classes == labels).astype(np.float32)
        return found

    def train(self, data: np.ndarray, labels: np.ndarray, step: int, progress: float) -> dict[str, np.ndarray]:
        """One minibatch: forward, backward, and an update where one is due; the numbers of every cost.

        These are float64 sums over the cases. Data and labels are float32, (values, N) and (1, N). `step` is the
        minibatches before this one; it names what the tape holds for this one. `progress` is the share of the training
        that is done.
        """
        begin = perf_counter()
        self.forward(data, labels, "train", step)
        for layer in self._updated:
            if has_noise(layer):
                drawn = Tape(self.seed).normals(layer, len(parameter_shapes(layer)), step)
                self.session.write(layer.name, "schedule_normals", drawn)
        self.backward(progress)
        if (step + 1) % self.network.update_every == 0:
            for layer in self._updated:
                self.session.update(layer.name, progress)
        self.seconds += perf_counter() - begin
        return self.numbers()

    def forward(self, data: np.ndarray, labels: np.ndarray, kind: str, step: int = 0) -> None:
        """A forward pass of pass type ``kind``."""
        self.session.set_pass_type(kind)
        self.given, tape = self.feed(data, labels), Tape(self.seed)
        for layer in self.network.layers:
            if layer.type == "data":
                self.session.forward(layer.name, [self.given[layer.name]])
            else:
                self.session.forward(layer.name, None, tape.mask(layer, data.shape[1], kind, step))

    def backward(self, progress: float = 0.0) -> None:
        """A backward pass after a forward pass."""
        for layer in self._order:
            self.session.backward(layer.name, None, progress)

    def test(self, views: Sequence[np.ndarray], labels: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Test a minibatch, one view or several: cost.logreg averages their probabilities (network-and-solver 7.1).

        Views are (values, N), labels (1, N). The result is the numbers of every cost, float64 sums over the cases, and
        the probabilities, float32 (classes, N), averaged over the views as cost.logreg does; None without a softmax.
        """
        middle = ["middle_view"] * (len(views) - 2)
        kinds = ["first_view", *middle, "last_view"] if len(views) > 1 else ["test"]
        found = []
        for k, (view, kind) in enumerate(zip(views, kinds, strict=True)):
            self.forward(view, labels, kind, k)
            if self.answers is not None:
                found.append(np.array(self.session.read(self.answers, "acts")))
        return self.numbers(), over_views(found) if found else None

    @property
    def answers(self) -> str | None:
        """The name of the last softmax layer; None if there is none."""
        return next((layer.name for layer in reversed(self.network.layers) if layer.type == "softmax"), None)

    def acts(self, layer: str) -> np.ndarray:
        """The output of a layer in the last forward pass, (outputs, N)."""
        if layer in self.given:
            return self.given[layer]
        return self.session.read(layer, "acts")

    def numbers(self) -> dict[str, np.ndarray]:
        """The numbers of every cost of the last pass."""
        return {name: np.array(self.session.read(name, "cost"), np.float64) for name in self.costs}

    def smoothness(self) -> dict[str, tuple[float, float]]:
        """The `smooth` shares of convolutions that read the pictures, by layer; none of filters of 3 pixels a side."""
        seen = [layer for layer in self.network.layers if layer.type == "conv" and layer.inputs[0] == self.images.name]
        return {layer.name: smooth(self.session.read(layer.name, "weights[0]"), layer["filterChannels"][0])
                for layer in seen if layer["filterSize"][0] > 3}  # fmt: skip

    def values(self) -> Values:
        """All parameters, momentum buffers and connections, by layer and tensor, as copies."""
        found: Values = {}
        for layer, tensor, array in self._given:
            fixed = tensor.startswith("filterConns")
            found.setdefault(layer, {})[tensor] = array if fixed else np.array(self.session.read(layer, tensor))
        return found
