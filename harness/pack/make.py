"""`rosetta pack make`: the cases of a conformance pack, with what is right for each, as files.

A *case* is one pass of one layer of a network, alone: its operands are the reference's, rounded once. The networks are
``zoo``, which has every layer type, and ``edges.cfg``, whose sizes are no multiples of tiles.
"""

import io
import json
import os
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
from threadpoolctl import threadpool_limits

from .. import files
from ..checks.kit import bare_workload
from ..errors import BadInput, writing
from ..judging.places import axes, variant
from ..network.load import LayerSpec, parameter_shapes, plain
from ..network.solver import has_noise, is_constrained, normal, rate, solver_constants, super_eps, updated_here
from ..network.tensors import address, gradient, increment
from ..reference import Bounded, facts, solver
from ..reference.formulas import formula
from ..running.exact_workload import ExactWorkload
from ..running.steps import Backward, Collected, Forward, Sum, Update
from ..running.sweep import Sweep
from ..running.workload import Workload
from ..study.explain import evaluated
from ..values import exact
from ..values.noise import generator
from .judge import CONTENTS, FORMAT, MANIFEST, PARTS, PASSES

HERE = Path(__file__).parent
CASES = {("zoo", "exact"): 4, ("zoo", "real"): 6, ("edges", "exact"): 64, ("edges", "real"): 40}
"""By network and tier, how many images a batch has."""
LARGEST, STEPS = 2**17, 8
"""Elements of a matrix, layers with larger ones being left out; updates in a row."""
Arrays = dict[str, np.ndarray]
Case = dict[str, Any]


def make(out: str | Path, seed: int = 0) -> tuple[int, int]:
    """Write a pack, a folder or a zip file; the number of cases, and bytes of all files.

    Raises BadInput: the place is taken, or cannot be written; then nothing is left.
    """
    out = Path(out).absolute()
    if os.path.lexists(out):
        raise BadInput(f"{out} exists", hint="--out takes a new folder or zip file")
    held, packed = contents(seed), io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, data in held.items():
            archive.writestr(ZipInfo(name), data)
    with writing(out, "choose another --out"):
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".zip":
            files.write(out, packed.getvalue())
        else:
            with files.new_folder(out) as draft, ZipFile(packed) as archive:
                archive.extractall(draft)
    return len(json.loads(held[CONTENTS])["cases"]), sum(map(len, held.values()))


def contents(seed: int) -> dict[str, bytes]:
    """The files of a pack by name."""
    found = {name: (HERE / name).read_bytes() for name in ("README.md", "judge.py")}
    with threadpool_limits(1):
        made = [one for key, batch in CASES.items() for one in cases(workload(*key, batch, seed), *key)]
    for case, arrays, right in made:
        found[f"cases/{case['name']}.json"] = as_json(case)
        for name, held in ((f"cases/{case['name']}.npz", arrays), (f"expected/{case['name']}.npz", right)):
            packed = io.BytesIO()
            np.savez_compressed(packed, **held)  # type: ignore[arg-type]
            found[name] = packed.getvalue()
    modules = sorted({solver.__name__, *(facts(case["layer"]).__module__ for case, *_ in made)})
    found["formulas.txt"] = "\n\n".join(f"# {name}\n\n{sys.modules[name].__doc__}" for name in modules).encode()
    about = {"format": FORMAT, "version": version("alexnet-rosetta"), "seed": seed}
    found[CONTENTS] = as_json(about | {"cases": [case["name"] for case, *_ in made]})
    lines = [f"{sha256(data).hexdigest()}  {name}\n" for name, data in sorted(found.items())]
    return found | {MANIFEST: "".join(lines).encode()}


def workload(net: str, tier: str, batch: int = 1, seed: int = 0) -> Workload:
    """The values of a network of `CASES`, without engines."""
    files = {"net": net} if net == "zoo" else dict.fromkeys(("net", "params"), str(HERE / f"{net}.cfg"))
    return bare_workload(**files, input="exact" if tier == "exact" else "random", batch=batch, seed=seed)


def cases(work: Workload, net: str, tier: str) -> Iterator[tuple[Case, Arrays, Arrays]]:
    """Yield (what an engine is told, what it is given, what is right) for each case of a network."""
    held: dict[tuple[str, str], tuple[LayerSpec, Case, Arrays, dict[str, Bounded]]] = {}
    for sweep, one in evaluated(work):
        layer, step = one.layer, one.subject.step
        large = any(prod(shape) > LARGEST for shape in parameter_shapes(layer).values())
        if large or isinstance(step, Sum) or (isinstance(step, Collected) and [x.layer for x in step.steps] != [layer]):
            continue
        of_pass = PASSES[(Forward, Backward, Collected, Update).index(type(step))]
        if (layer.name, of_pass) not in held:
            held[layer.name, of_pass] = (layer, *operands(sweep, step), {})
        ((held[layer.name, of_pass][-1][one.tensor], _),) = step.bounded(one.tensor)
    for layer, told, arrays, _ in [each for (_, of_pass), each in held.items() if of_pass == "update"]:
        held_to_size = any(is_constrained(layer, tensor) for tensor in told["rates"])
        if layer.type == "conv" and not (super_eps(layer) > 0 or has_noise(layer) or held_to_size):
            held[layer.name, "steps"] = (layer, told | {"steps": STEPS}, *several_steps(work, layer, told, arrays))
    for (name, of_pass), (layer, told, arrays, right) in held.items():
        same = {tensor for tensor in right if tier == "exact"
                and (of_pass == "steps" or exact.must_be_identical(layer.to_dict(), tensor))}  # fmt: skip
        if tier == "exact" and not same:
            continue  # it has a bound there too, which says what the other tier says
        number = PASSES.index(of_pass)
        case = {
            "name": f"{number + 1}-{of_pass.replace(' ', '-')}-{tier}-{net}-{name}", "pass": of_pass, "tier": tier,
            "kind": f"{layer.type} {variant(layer)}".strip(), "network": net, **told,
            "layer": plain(layer, work.values.get(name)),
            "formula": formula(plain(layer), ("forward", "backward", "update")[(number + 1) // 2]),
            "arrays": {key: described(work, layer, key, array) for key, array in arrays.items()},
            "results": {key: described(work, layer, key, x.value) | {"exact": key in same} for key, x in right.items()},
        }  # fmt: skip
        yield case, arrays, {f"{key}.{part}": stored(found, part) for key, found in right.items() for part in PARTS}


def operands(sweep: Sweep, step: Any) -> tuple[Case, Arrays]:
    """What an engine is told beside the layer, and what it is given, for a step."""
    layer, normals, told = step.layer, sweep.work.normals(step.layer), Case(rates={})
    for tensor in updated_here(sweep.graph, layer):
        eps, of_decay = (rate(layer, tensor, 0.0, normal(normals, layer, tensor, use)) for use in (0, 1))
        constants = solver_constants(layer, tensor)
        told["rates"][tensor] = {"eps": eps, "mom": constants["mom"], "decay": constants["wc"] * of_decay}
    arrays = {name: array for name, array in sweep.work.values.get(layer.name, {}).items()
              if array.dtype.kind == "f" and ("_inc" not in name or isinstance(step, Collected | Update))}  # fmt: skip
    arrays |= {} if normals is None or isinstance(step, Forward) else {"schedule_normals": normals}
    if isinstance(step, Update):
        return told, arrays | step.gradients
    step = step.steps[0] if isinstance(step, Collected) else step
    arrays |= {f"inputs[{i}]": array for i, array in enumerate(step.inputs)}
    given = {"mask": step.mask, "acts_grad": getattr(step, "grad", None)}
    for cost in step.layers[1:]:  # goes backward together with the layer
        told["cost"] = plain(cost)
        given |= {f"cost_inputs[{i}]": array for i, array in enumerate(Forward(sweep, cost).inputs)}
    return told, arrays | {name: array for name, array in given.items() if array is not None}


def several_steps(work: Workload, layer: LayerSpec, told: Case, arrays: Arrays) -> tuple[Arrays, dict[str, Bounded]]:
    """What is given and right of several updates, each with a gradient: M is the recursion over absolute values."""
    arrays, right, is_exact = dict(arrays), {}, isinstance(work, ExactWorkload)
    for tensor, rates in told["rates"].items():
        random, shape = generator(work.tape.seed, "steps", layer.name, tensor), (STEPS, *arrays[tensor].shape)
        grads = exact.draw(random, shape) if is_exact else random.standard_normal(shape, "float32")
        found = []
        for size, sign in ((np.positive, -1), (np.abs, 1)):
            w, delta, *each = map(size, np.array([arrays[tensor], arrays[increment(tensor)], *grads], np.float64))
            for grad in each:
                delta = rates["mom"] * delta + rates["eps"] * grad + sign * rates["decay"] * w
                w = w + delta
            found.append((w, delta))
        for name, value, magnitude in zip((tensor, increment(tensor)), *found, strict=True):
            right[name] = Bounded(value, magnitude, 4 * STEPS)
            if is_exact:
                exact.assert_exact(right[name], f"{layer.name} {name}", rates["eps"] / 8 / 2**STEPS)
        arrays[gradient(tensor)] = grads
    return arrays, right


def described(work: Workload, layer: LayerSpec, name: str, array: np.ndarray) -> Case:
    """Shape, type and axes of an array, the last axis running fastest."""
    (kind, i), shape = address(name), array.shape
    alike = {"inputs": "inputs_grad", "mask": "acts"}.get(kind, kind) + ("" if i is None else f"[{i}]")
    lie = axes(work.network.graph.layers, layer, alike, shape[-2:]) if len(shape) > 1 else {"value": shape[0]}
    lie = {"step": shape[0], **lie} if len(shape) > 2 else lie
    if kind == "cost_inputs":
        lie = dict(zip(("row", "image"), shape, strict=True))
    dtype = array.dtype.str if array.dtype.kind != "f" else "<f8" if name == "cost" else "<f4"
    return {"shape": list(shape), "dtype": dtype, "axes": lie}


def stored(right: Bounded, part: str) -> np.ndarray:
    """A part of a Bounded as a pack holds it: M, which says how large something is, rounded up to float32."""
    found = np.asarray(getattr(right, part))
    single = found.astype(np.float32 if part == "magnitude" else found.dtype)
    return np.nextafter(single, np.inf, where=single < found, out=single) if part == "magnitude" else found


def as_json(value: Any) -> bytes:
    """Plain values as JSON; arrays are lists."""
    return (json.dumps(value, indent=1, allow_nan=False, default=lambda array: array.tolist()) + "\n").encode()
