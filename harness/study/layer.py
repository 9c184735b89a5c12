"""`rosetta study NET [LAYER]`: how the engine of 2012 runs a layer, and where to read it in both engines."""

import re
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .. import concordance, engines, machine
from ..bench.measure import PASSES, training_step
from ..bench.work import Work, count
from ..concordance import Operation
from ..engines.protocol import Session
from ..errors import BadInput, meant
from ..network import cost_inputs
from ..network.load import LayerSpec, Network, load
from ..network.solver import trainable
from ..running.prepare import Options, prepare
from ..values import parameters
from ..values.noise import Tape, generator
from .source import files, folders, read

WORD = r"\b{}\b"


def table(net: str, params: str | None = None, batch: int = 32, passes: Sequence[str] = PASSES) -> Iterator[str]:
    """The kernels of every layer and pass of a training step, line by line, as the engine runs them.

    ``net``: as for `load.load`.
    ``passes``: those that are shown.
    """
    work = prepare(Options(net, params=params, engines=("legacy-cpu",), input="random", batch=batch))
    (session,) = work.open_sessions().values()
    session.record_launches()
    width = max(len(layer.name) for layer in work.network.layers)
    yield f"{net}: kernels of the engine of 2012, {batch} cases; seconds are of {_machine(work.threads)}"
    yield f"{'layer':{width}} {'pass':8} {'seconds':>9}  kernels (2 x: launched twice)"
    seen = 0
    with threadpool_limits(work.threads):
        for layer, step in training_step(work, session):
            launches = session.launches()
            counted = Counter(launch["kernel"] for launch in launches[seen:])  # in the order of the first launches
            kernels = [f"{times} x {kernel}" if times > 1 else kernel for kernel, times in counted.items()]
            seen = len(launches)
            if step not in passes:
                continue
            start = f"{layer:{width}} {step:8} {session.seconds(layer, step):9.4f}"
            for k, kernel in enumerate(kernels or ["none"]):
                yield f"{start if not k else '':{width + 19}}  {kernel}"
    yield f"rosetta study {net} LAYER shows one of them: grids, the rules that chose the kernels, and the source."


def lines(
    net: str, name: str, params: str | None = None, batch: int = 32, passes: Sequence[str] = PASSES
) -> Iterator[str]:
    """The text of the study of one layer, line by line.

    `net` is as for `load.load`; `passes` are those that are shown.
    """
    network = load(net, params)
    layer = known_layer(network, net, name)
    (engine,) = engines.available(["legacy-cpu"])
    session = engine.open(network, machine.processors())
    session.record_launches()
    run_layer(session, network, layer, batch)
    launches = [launch for launch in session.launches() if launch["layer"] == layer.name]
    sizes = " + ".join(map(str, layer["numInputs"]))
    yield f"{name}: {layer.type}, {sizes} inputs, {layer.outputs} outputs, {batch} cases"
    yield f"seconds are of {_machine(machine.processors())}, not of a GPU"
    functions = port_functions(network, layer)
    for step in passes:
        own = [launch for launch in launches if launch["pass"] == step]
        if own:
            yield from _step_lines(layer, step, own, count(network.graph, layer, step, batch), set(functions))
    if functions:
        yield from ("", "in the port")
        width = max(map(len, functions))
        yield from (f"  {function:{width}}  {place}" for function, place in functions.items())
        names = ", ".join(f"{old} is {new}" for old, new in concordance.renamed(layer.type).items())
        yield from (f"  {line}" for line in textwrap.wrap(f"where {names}", 110))


def known_layer(network: Network, net: str, name: str) -> LayerSpec:
    """The layer of that name; BadInput where there is none that computes."""
    layers = network.graph.layers
    if name not in layers or layers[name].type == "data":
        known = [other for other, spec in layers.items() if spec.type != "data"]
        raise BadInput(f"{net} has no layer {name!r} to study", hint=meant(name, known, f"layers: {', '.join(known)}"))
    return layers[name]


def run_layer(
    session: Session,
    network: Network,
    layer: LayerSpec,
    batch: int,
    watch: Callable[[], AbstractContextManager[None]] = nullcontext,
    values: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> None:
    """Run one layer alone, forward, backward and update, on random numbers, each inside ``watch()``.

    ``values`` are the parameters of the network, as `parameters.make` draws them.
    """
    graph, random = network.graph, generator(0, "study", layer.name)
    for tensor, array in (parameters.make(network, 0) if values is None else values).get(layer.name, {}).items():
        session.write(layer.name, tensor, array)
    inputs = [_stand_in(network, layer, i, batch, random) for i in range(len(layer.inputs))]
    with watch():
        session.forward(layer.name, inputs, Tape(0).mask(layer, batch))
    if layer.name not in {other.name for other in graph.backward_order()}:
        return
    cost = graph.layers.get(graph.fused.get(layer.name, ""))
    grad = None if layer.type.startswith("cost.") else random.standard_normal((layer.outputs, batch), np.float32)
    if cost is not None:  # one step with this layer: it takes the cost's labels, and no gradient
        grad = None
        session.forward(cost.name, [_stand_in(network, cost, i, batch, random) for i in range(len(cost.inputs))])
    with watch():
        session.backward(layer.name, grad)
        if trainable(graph, layer):
            session.update(layer.name)


def port_functions(
    network: Network, layer: LayerSpec, values: Mapping[str, Mapping[str, np.ndarray]] | None = None
) -> dict[str, str]:
    """The functions of the port that a layer calls, as they are called: {name: ``port/file:line``}.

    The layer runs once, on 16 cases, under a tracer, which notes the functions that the concordance names.
    """
    engine = engines.find("port")
    if not engine.probe()[0]:
        return {}
    (folder,) = folders("port")
    found: dict[str, str] = {}

    def note(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(folder)) and code.co_qualname.isidentifier():
            file = Path(code.co_filename).relative_to(folder)
            if f"{file.stem}.{code.co_name}" in concordance.port_functions():
                found.setdefault(code.co_name, f"port/{file.as_posix()}:{code.co_firstlineno}")

    @contextmanager
    def watch() -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            yield
        finally:
            sys.setprofile(before)

    run_layer(engine.open(network, machine.processors()), network, layer, 16, watch, values)
    return found


def _machine(threads: int) -> str:
    facts = machine.environment(threads)
    return f"this machine's {facts['processor']}, {threads} thread{'s' if threads > 1 else ''}"


def _step_lines(
    layer: LayerSpec, step: str, launches: Sequence[Mapping[str, Any]], work: Work, called: set[str]
) -> Iterator[str]:
    seconds = sum(launch["seconds"] for launch in launches)
    rate = f", {work.operations / seconds / 1e9:.1f} GFLOP/s" if seconds else ""
    yield ""
    yield (f"{step}: {work.operations / 1e9:.2f} GFLOP, {work.bytes / 2**20:.1f} MiB to move at least, "
           f"{seconds:.4f} s in kernels here{rate}")  # fmt: skip
    for launch in launches:
        kernel, _, arguments = launch["kernel"].partition("<")
        yield f"  {kernel}"
        if arguments:
            yield f"    template  {arguments.removesuffix('>')}"
        library = kernel.startswith("sgemm(")  # a product of the machine's library: no grid and no source of ours
        if not library:
            shared = launch["shared_bytes"]
            yield f"    grid {dims(launch['grid'])}, block {dims(launch['block'])}, {shared} bytes shared"
        if launch.get("resources"):
            taken = (_resources(name, found) for name, found in launch["resources"].items())
            yield f"    on a GPU  {', '.join(taken)}"
        if launch["rule"]:
            yield f"    because   {launch['rule']}"
        if not library:
            yield f"    source    {kernel_place(kernel)}"
            yield f"    known     {known(kernel)}"
        yield from _counterparts(concordance.of_launch(layer.type, step, kernel.partition("(")[0]), called)


def _counterparts(operations: Sequence[Operation], called: set[str]) -> Iterator[str]:
    """The host functions that launch a kernel, and the functions of the port in its place, of those that it called."""
    shared = [row for row in operations if called.intersection(name.split(".")[1] for name in row.port)]
    host = dict.fromkeys(name for row in shared or operations for name in row.host)
    port = dict.fromkeys(name for row in shared or operations for name in row.port if name.split(".")[1] in called)
    if host:
        places = {name: host_place(name) for name in host}
        yield f"    host      {', '.join(f'{name} {place}' for name, place in places.items())}"
    if port:
        yield f"    port      {', '.join(port)}"


def host_place(name: str) -> str:
    """``legacy/host/file:line`` of the definition of a host function or class."""
    definition = rf"^(class|struct) {name}\b.*{{|^\w[^;]*\b{name}\("
    return _find("legacy", "*.cpp", definition) or _find("legacy", "*.h", definition)


def known(kernel: str) -> str:
    """How it is known what a kernel did: its label, explained."""
    label = concordance.provenance().get(kernel)
    return f"{label}: {concordance.KNOWN[label]}" if label else "a kernel that the concordance does not name"


def kernel_place(name: str) -> str:
    """``legacy/kernels/file:line`` of a kernel; of a product of the machine's library, ""."""
    return _find("legacy", "*.cuh", WORD.format(f"KERNEL {name}"))


def port_place(name: str) -> str:
    """``port/file:line`` of ``module.function``."""
    module, _, function = name.partition(".")
    return _find("port", f"{module}.py", rf"^def {function}\b")


def _resources(architecture: str, taken: Any) -> str:
    """Registers of a thread, and its local memory and spills where there are any."""
    local = f" + {taken.local} bytes local" if taken.local else ""
    spills = f" ({taken.spills} spilled)" if taken.spills else ""
    return f"{architecture} {taken.registers} registers{local}{spills}"


def _find(room: str, pattern: str, expression: str) -> str:
    """``room/file:line`` of the first line that matches, "" if there is none."""
    for file in files(room, f"**/{pattern}"):
        for number, line in enumerate(read(file), 1):
            if re.search(expression, line):
                return f"{file}:{number}"
    return ""


def _stand_in(network: Network, layer: LayerSpec, i: int, batch: int, random: np.random.Generator) -> np.ndarray:
    """Numbers in the place of an input: labels and probabilities where a cost wants them, else normals."""
    source = network.graph.layers[layer.inputs[i]]
    kind = cost_inputs.kinds(network.graph).get(source.name)
    if kind:
        return cost_inputs.draw(network.graph, source.name, kind, batch, random)
    values = random.standard_normal((source.outputs, batch), np.float32)
    if source.type == "softmax":
        values = np.exp(values) / np.exp(values).sum(0)
    return values


def dims(extents: Iterable[int]) -> str:
    """Sizes as text: 32x4x1."""
    return "x".join(str(extent) for extent in extents)
