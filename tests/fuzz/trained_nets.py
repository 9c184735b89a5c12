"""Bent layer files that are accepted and small, trained for two steps in both engines.

A network may be refused with one of the documented errors; an engine may not crash, hang, or read outside its arrays,
which the sanitizers see: `make fuzz-trained`.
"""

from math import prod

import numpy as np
from threadpoolctl import threadpool_limits

from alexnet_rosetta.harness.bench import measure as bench
from alexnet_rosetta.harness.errors import RosettaError, Unsupported
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.running.prepare import Options, workload
from alexnet_rosetta.legacy import Refused
from alexnet_rosetta.port.config import ConfigError

from . import layer_files, runner
from .entry_points import Draw

ENGINES = ("legacy-cpu", "port")
NETS = ("tiny", "zoo", "cifar")
STEPS = 2
VALUES, PRODUCTS = 1_000_000, 60_000_000  # of a network with all its cases
PATIENCE = 120.0


def small(network, batch):
    """Whether a step of the network is a matter of seconds."""
    weighted = [layer for layer in network.layers if "weightShapes" in layer]
    weights = [(layer["modules"] if layer.type == "conv" else 1, layer["weightShapes"]) for layer in weighted]
    products = sum(modules * prod(shape) for modules, shapes in weights for shape in shapes)
    windows = sum(layer.outputs * (layer.get("sizeX") or 1) ** 2 for layer in network.layers if layer.type == "pool")
    values = network.parameter_count() + batch * sum(layer.outputs for layer in network.layers)
    sets = sum(layer["numOut"] * layer["setSize"] for layer in network.layers if layer.type == "cost.msm")
    return values < VALUES and batch * (products + windows + 100 * sets) < PRODUCTS


def accepted(d, batch):
    """A drawn network that the reader accepts and that is small, and its files."""
    shipped = [(networks.SHIPPED / f"{net}.cfg", networks.SHIPPED / f"{net}-params.cfg") for net in NETS]
    while True:
        files = [path.read_text() for path in d.of(*shipped)]
        for _ in range(d.of(1, 2, 4, 8)):
            which = d.of(0, 0, 1)
            files[which] = layer_files.bend(d, files[which])
        case = *(text.encode("utf-8", "surrogatepass") for text in files), ()
        try:
            network = layer_files.load(case)
        except ConfigError:
            continue
        if network.spec.has_params and small(network, batch):
            return network, case


def trial(rng):
    """One network through both engines."""
    d = Draw(rng)
    batch = d.of(1, 2, 3, 4, 16, 33)
    network, case = accepted(d, batch)
    try:
        quantise = d.odds(0.2)
        options = Options("", engines=ENGINES, input="random", batch=batch, threads=d.of(1, 2), quantise=quantise)
        work = workload(network, options)
        with threadpool_limits(work.threads), np.errstate(all="ignore"):
            for session in work.open_sessions().values():
                for _ in range(STEPS):
                    list(bench.training_step(work, session))
    except Unsupported:
        return "unsupported"
    except (RosettaError, Refused):
        return "refused"
    except Exception as error:
        error.add_note("\n".join(f"--- {part!r}" for part in case))
        raise
    return "trained"


if __name__ == "__main__":
    runner.main(trial, patience=PATIENCE)
