"""Run one of this project's engines by the protocol of a conformance pack: adapter.py ENGINE CASES RESULTS.

    rosetta pack judge PACK --engine "python examples/pack/adapter.py port"

ENGINE is what ``--engines`` takes (legacy-cpu, port, torch, a file of your own); with ``+as-meant`` the historical
defects of an engine are off.
"""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np

from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.engines.wrapped import AsMeant
from alexnet_rosetta.harness.errors import Unsupported
from alexnet_rosetta.harness.network.load import parameter_shapes, plain
from alexnet_rosetta.harness.network.tensors import gradient, increment
from alexnet_rosetta.harness.pack.make import workload

network = cache(lambda net, tier: workload(net, tier).network)


def main(name: str, cases: str, results: str) -> None:
    """Run all cases."""
    (engine,) = engines.available([name.removesuffix("+as-meant")])
    engine = AsMeant(engine) if name.endswith("+as-meant") else engine
    for path in sorted(Path(cases).glob("*.json")):
        case, place = json.loads(path.read_bytes()), Path(results, path.stem)
        with np.load(path.with_suffix(".npz")) as held:
            arrays = dict(held)
        try:
            found = run(engine, case, arrays)
        except Unsupported as error:
            place.with_suffix(".unsupported").write_text(str(error))
            continue
        np.savez(place.with_suffix(".npz"), **{tensor: np.array(array) for tensor, array in found.items()})


def run(engine, case, arrays):
    """The results of a case, by name."""
    net, name = network(case["network"], case["tier"]), case["layer"]["name"]
    layer = net.graph.layers[name]
    here = json.loads(json.dumps(plain(layer) | {"filterConns": case["layer"].get("filterConns")}))
    if {key: here.get(key) for key in case["layer"]} != case["layer"]:
        sys.exit(f"{name} is another layer in this version: the pack was made by another one")
    session = engine.open(net, 1)
    own = {f"filterConns[{i}]": np.array(x) for i, x in enumerate(here["filterConns"] or []) if x is not None}
    own |= {increment(tensor): np.zeros(shape, "float32") for tensor, shape in parameter_shapes(layer).items()}
    grads = {tensor: arrays.pop(tensor) for tensor in map(gradient, case["rates"]) if "steps" in case}
    for tensor, array in (own | arrays).items():
        if tensor.startswith(("weights", "biases", "filterConns", "schedule_normals")):
            session.write(*(net.graph.owner(layer, tensor) if tensor.startswith("weights[") else (name, tensor)), array)
    if grads:
        for step in range(case["steps"]):
            for tensor, array in grads.items():
                session.write(name, tensor, array[step])
            session.update(name)
    elif case["pass"] == "update":
        session.update(name)
    else:
        session.forward(name, [arrays[f"inputs[{i}]"] for i in range(len(layer.inputs))], arrays.get("mask"))
    if case["pass"].endswith("gradient"):
        if "cost" in case:
            session.forward(case["cost"]["name"], [arrays[f"cost_inputs[{i}]"] for i in range(2)])
        session.backward(name, arrays.get("acts_grad"))
    return {tensor: session.read(name, tensor) for tensor in case["results"]}


if __name__ == "__main__":
    main(*sys.argv[1:])
