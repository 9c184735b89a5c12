"""How much memory a run takes, estimated before any is taken; figures are in docs/reliability.md."""

from collections.abc import Sequence
from math import prod

from .. import machine
from ..errors import TooLarge
from ..network.load import Network, parameter_shapes
from ..network.solver import updates_directly
from ..reference import facts
from ..reference.chunks import CHUNK_BYTES, image_bytes
from .steps import PASSES
from .threads import AT_A_TIME

TORCHES = ("torch", "torch-channels-last")
PROGRAMS = TORCH = 2**28
"""Bytes of the programs before there is a network; of PyTorch besides."""
COPIES = {**dict.fromkeys(("legacy-cpu", "legacy-gpu", "port"), (0, 0)), **dict.fromkeys(TORCHES, (3, 2))}
"""How often an engine holds all outputs, and all parameters, besides what layers need; (1, 0) of other packages."""
NORMS = ("rnorm", "cnorm", "cmrnorm")


def memory_needed(
    network: Network, batch: int, engines: Sequence[str], mode: str, passes: Sequence[str] = PASSES
) -> int:
    """Bytes that a run takes at most, roughly; `mode` is that of a comparison, or ``alone``, as engines train.

    Per engine weights, momentum, gradients but on the direct route, and what its layers keep from the forward pass: all
    but outputs of layers with weights, denominators of norms too. Engines that feed themselves free nothing before they
    are done. In a comparison besides the reference's rounded outputs, parameters, momentum and gradients; what it
    evaluates in float64 at a time; and where engines feed themselves their outputs and momentum once more.
    """
    unit, values, forward = 4 * batch, 4 * network.spec.parameter_count, tuple(passes) == ("forward",)
    acts, largest = (unit * of(layer.outputs for layer in network.layers) for of in (sum, max))
    norms = unit * sum(layer.outputs for layer in network.layers if layer.type in NORMS)
    weighted = [layer for layer in network.layers if "weightShapes" in layer]
    freed = unit * sum(layer.outputs for layer in network.layers if layer.type == "data" or "weightShapes" in layer)
    kept = acts + norms + 2 * largest - freed
    held = {"isolated": kept, "alone": 2 * acts + norms + largest, "propagated": 2 * acts + norms + values}[mode]
    if forward and mode == "isolated":
        acts, held = unit * _alive(network), 2 * largest
    grads = 4 * sum(prod(shape) for layer in weighted for tensor, shape in parameter_shapes(layer).items()
                    if not updates_directly(layer, tensor))  # fmt: skip
    total = PROGRAMS + TORCH * any(name in TORCHES for name in engines)
    for name in engines:
        outputs, parameters = COPIES.get(name, (1, 0))
        total += held + grads + outputs * acts + (2 + parameters) * values
    if mode == "alone":
        return total + 2 * values
    evaluated = _evaluated(network, batch)
    if mode == "propagated":  # a matrix from an engine's own operands is evaluated whole
        matrices = (64 * prod(shape) for layer in weighted for shape in parameter_shapes(layer).values())
        evaluated += max([evaluated, *matrices])
    return total + acts + (2 if forward else 3) * values + evaluated


def _alive(network: Network) -> int:
    """Outputs of a case that layers still have to read, at most, where those that nobody reads any more are freed."""
    last = {source: layer.name for layer in network.layers for source in layer.inputs}
    alive = most = 0
    for layer in network.layers:
        alive += layer.outputs
        most = max(most, alive)
        alive -= sum(network.spec[name].outputs for name in {*layer.inputs} if last[name] == layer.name)
    return most


def _evaluated(network: Network, batch: int) -> int:
    """Bytes of what is evaluated in float64 at a time, of the layer that takes most: chunks of images, and a matrix.

    Sums over the images, value and magnitude, are there once for each chunk; those of one chunk some rows at a time
    where the layer can.
    """
    most, outputs = 0, {layer.name: layer.outputs for layer in network.layers}
    for layer in network.layers:
        if layer.type != "data":
            of_image = image_bytes(layer, (outputs[name] for name in layer.inputs))
            count = min(-(-batch // max(1, CHUNK_BYTES // of_image)), AT_A_TIME)
            sums = 1 if count == 1 and hasattr(facts(layer), "weights_grad") else 2 * count
            matrix = 8 * sum(prod(shape) for shape in parameter_shapes(layer).values())
            chunk = min(batch * of_image, max(CHUNK_BYTES, of_image))
            most = max(most, (count + 1) * chunk + sums * matrix)  # one more is judged meanwhile
    return most


def check_memory(network: Network, batch: int, needed: int) -> None:
    """Refuse a run that the machine has too little memory for."""
    free = machine.available_memory()
    if free is not None and needed > free:
        raise TooLarge(
            f"{network.name} with batch {batch} needs about {needed / 2**30:.1f} GiB of memory",
            actual=f"{free / 2**30:.1f} GiB are free",
            hint="choose a smaller --batch",
        )
