"""How much a pass over a layer has to compute and to move, from its specification: operations and bytes.

Both are counts of the formula, not of a program. A multiplication, an addition, a comparison, a power are one operation
each; taps that fall into the padding count. Every array that the formula needs is read or written once: what a program
reads again is its own affair. Layers without products of weights move memory; for them the bytes decide.
"""

from dataclasses import dataclass

from ..network.load import parameter_shapes
from ..network.solver import trainable

FLOAT = 4
UPDATE_OPERATIONS = 6  # Δ ← μΔ + εG − λεW, W ← W + Δ: three products, three sums

WEIGHTED = ("conv", "local", "fc", "treefc")
NORMS = ("cmrnorm", "rnorm", "cnorm")

# What a backward pass reads beside the gradient of the output; whatever is not named here reads nothing else.
READS_INPUTS = (*WEIGHTED, *NORMS, "pool:max", "eltmax")
READS_ACTS = (*NORMS, "pool:max", "eltmax", "softmax")


@dataclass(frozen=True)
class Work:
    """What a pass needs at least."""

    operations: int
    bytes: int

    def __add__(self, other):
        return Work(self.operations + other.operations, self.bytes + other.bytes)

    def seconds(self, peak):
        """The least time on a machine with that `peaks.Peak`: computing and moving, perfectly overlapped."""
        return max(self.operations / peak.flops, self.bytes / peak.bandwidth)


def count(graph, layer, step, batch):
    """The work of one pass over one layer.

    Parameters
    ----------
    graph : graph.Graph
    layer : LayerSpec
    step : str
        ``forward``, ``backward`` (inputs that want a gradient, and the parameters that learn) or ``update``.
    batch : int

    Returns
    -------
    Work
    """
    if step == "update":
        sizes = parameter_size(layer)
        return Work(UPDATE_OPERATIONS * sizes, 5 * FLOAT * sizes)  # read W, Δ, G; write W, Δ
    return Work(operations(graph, layer, step, batch), moved(graph, layer, step, batch))


def operations(graph, layer, step, batch):
    """Floating-point operations of a forward or backward pass."""
    if layer.type in WEIGHTED:
        wanted, learns = graph.wanted_inputs(layer), trainable(graph, layer)
        back = [(i in wanted) + (f"weights[{i}]" in learns) for i in range(len(layer.inputs))]
        times = [1] * len(back) if step == "forward" else back
        return 2 * batch * sum(k * n for k, n in zip(times, products(layer), strict=True))
    return batch * layer.outputs * per_output(layer, step) if layer.outputs else batch * sum(layer["numInputs"])


def products(layer):
    """Products of a weight and an activity for one case, by input."""
    if layer.type in ("conv", "local"):
        taps = [c * p for c, p in zip(layer["filterChannels"], layer["filterPixels"], strict=True)]
        return [n * layer["filters"] * layer["modules"] for n in taps]
    return [rows * columns for rows, columns in layer["weightShapes"]]


def per_output(layer, step):
    """Operations for each output of a layer without weights."""
    if layer.type in NORMS:  # Σx² over the window, scale and shift, power, product
        terms = layer["size"] if layer.type == "cmrnorm" else layer["size"] ** 2
        return 2 * terms + 4 if step == "forward" else terms + 8
    if layer.type == "pool":
        return layer["sizeX"] ** 2
    return {"softmax": 4, "eltsum": 2 * len(layer.inputs)}.get(layer.type, 1)


def moved(graph, layer, step, batch):
    """Bytes of everything a forward or backward pass has to read or write, each once."""
    rows = sum(layer["numInputs"]) if layer.inputs else 0
    noise = layer.outputs if layer.type == "hs" else 0  # the mask
    if step == "forward":
        return FLOAT * (batch * (rows + noise + layer.outputs) + parameter_size(layer))
    kind = f"pool:{layer['pool']}" if layer.type == "pool" else layer.type
    neuron = layer["neuron"] if layer.type == "neuron" else {}
    wanted = [layer["numInputs"][i] for i in graph.wanted_inputs(layer)]
    values = layer.outputs + noise + sum(wanted)
    if kind in READS_INPUTS or kind.startswith("cost.") or neuron.get("usesInputs"):
        values += rows
    if kind in READS_ACTS or neuron.get("usesActs"):
        values += layer.outputs
    learned = parameter_size(layer) if trainable(graph, layer) else 0
    return FLOAT * (batch * values + (parameter_size(layer) if wanted else 0) + learned)


def parameter_size(layer):
    """Number of weights and biases that a layer uses."""
    return sum(rows * columns for rows, columns in parameter_shapes(layer).values())
