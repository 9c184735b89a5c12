"""How much a pass over a layer has to compute and to move, from its specification: operations and bytes.

Both are counts of the formula, not of a program. A multiplication, an addition, a comparison, a power are one operation
each; taps that fall into the padding count. Every array that the formula needs is read or written once: what a program
reads again is its own affair. Layers without products of weights move memory; for them the bytes decide.
"""

from dataclasses import dataclass

from ..engines.peaks import Peak
from ..network.graph import Graph
from ..network.load import LayerSpec, parameter_shapes
from ..network.solver import trainable
from ..reference import facts

FLOAT = 4
UPDATE_OPERATIONS = 6  # Δ ← μΔ + εG − λεW, W ← W + Δ: three products, three sums


@dataclass(frozen=True)
class Work:
    """What a pass needs at least."""

    operations: int
    bytes: int

    def __add__(self, other: "Work") -> "Work":
        return Work(self.operations + other.operations, self.bytes + other.bytes)

    def seconds(self, peak: Peak) -> float:
        """The least time on a machine with that `peaks.Peak`: computing and moving, perfectly overlapped."""
        return max(self.operations / peak.flops, self.bytes / peak.bandwidth)


def count(graph: Graph, layer: LayerSpec, step: str, batch: int) -> Work:
    """The work of one pass over one layer.

    ``step``: ``forward``, ``backward`` (inputs that want a gradient, and the parameters that learn) or ``update``.
    """
    if step == "update":
        sizes = parameter_size(layer)
        return Work(UPDATE_OPERATIONS * sizes, 5 * FLOAT * sizes)  # read W, Δ, G; write W, Δ
    return Work(operations(graph, layer, step, batch), moved(graph, layer, step, batch))


def operations(graph: Graph, layer: LayerSpec, step: str, batch: int) -> int:
    """Floating-point operations of a forward or backward pass."""
    if "weightShapes" in layer:
        wanted, learns = graph.wanted_inputs(layer), trainable(graph, layer)
        back = [(i in wanted) + (f"weights[{i}]" in learns) for i in range(len(layer.inputs))]
        times = [1] * len(back) if step == "forward" else back
        return 2 * batch * sum(k * n for k, n in zip(times, products(layer), strict=True))
    if not layer.outputs:
        return batch * sum(layer["numInputs"])
    return batch * layer.outputs * facts(layer).operations(layer, step == "forward")


def products(layer: LayerSpec) -> list[int]:
    """Products of a weight and an activity for one case, by input."""
    if layer.type in ("conv", "local"):
        taps = [c * p for c, p in zip(layer["filterChannels"], layer["filterPixels"], strict=True)]
        return [n * layer["filters"] * layer["modules"] for n in taps]
    return [rows * columns for rows, columns in layer["weightShapes"]]


def moved(graph: Graph, layer: LayerSpec, step: str, batch: int) -> int:
    """Bytes of everything a forward or backward pass has to read or write, each once."""
    rows = sum(layer["numInputs"]) if layer.inputs else 0
    noise = layer.outputs if layer.type == "hs" else 0  # the mask
    if step == "forward":
        return FLOAT * (batch * (rows + noise + layer.outputs) + parameter_size(layer))
    reads, neuron = facts(layer).backward_reads, layer["neuron"] if layer.type == "neuron" else {}
    wanted = [layer["numInputs"][i] for i in graph.wanted_inputs(layer)]
    values = layer.outputs + noise + sum(wanted)
    values += rows if "inputs" in reads or neuron.get("usesInputs") else 0
    values += layer.outputs if "acts" in reads or neuron.get("usesActs") else 0
    learned = parameter_size(layer) if trainable(graph, layer) else 0
    return FLOAT * (batch * values + (parameter_size(layer) if wanted else 0) + learned)


def parameter_size(layer: LayerSpec) -> int:
    """Number of weights and biases that a layer uses."""
    return sum(rows * columns for rows, columns in parameter_shapes(layer).values())
