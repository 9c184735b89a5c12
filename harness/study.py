"""`rosetta study NET LAYER`: how the engine of 2012 runs one layer, and where to read it in both engines."""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from . import engines, labels, machine, networks, parameters
from .draws import Tape, generator
from .errors import BadInput
from .learning import learning
from .work_counts import count

# Where the port computes a layer type: file and functions, forward and backward.
PORT = {
    "conv": ("conv.py", ("conv_forward", "conv_backward_images", "conv_backward_filters", "conv_backward_biases")),
    "fc": ("linear.py", ("fc_forward", "fc_backward_inputs", "fc_backward_weights", "fc_backward_biases")),
    "local": ("local.py", ("local_forward", "local_backward_images", "local_backward_filters",
                           "local_backward_biases")),
    "treefc": ("tree.py", ("tree_weights", "tree_backward", "tree_update")),
    "pool": ("pool.py", ("max_pool_forward", "maxabs_pool_forward", "rand_pool_choose", "rand_pool_forward",
                         "max_pool_backward", "avg_pool_forward", "avg_pool_backward")),
    "rnorm": ("norm.py", ("rnorm_forward", "rnorm_backward")),
    "cnorm": ("norm.py", ("cnorm_forward", "cnorm_backward")),
    "cmrnorm": ("norm.py", ("cmrnorm_forward", "cmrnorm_backward")),
    "nailbed": ("image_ops.py", ("nailbed_forward", "nailbed_backward")),
    "blur": ("image_ops.py", ("blur_filter", "blur")),
    "href": ("image_ops.py", ("mirror",)),
    "resize": ("image_ops.py", ("resize",)),
    "rscale": ("image_ops.py", ("rscale_draw", "rscale", "crop")),
    "rgb2yuv": ("image_ops.py", ("rgb_to_yuv",)),
    "rgb2lab": ("image_ops.py", ("rgb_to_lab",)),
    "neuron": ("neurons.py", ("neuron_forward", "neuron_backward")),
    "hs": ("dropout.py", ("dropout_forward", "dropout_backward")),
    "softmax": ("costs.py", ("softmax_forward", "softmax_backward", "softmax_logreg_backward")),
    "cost.logreg": ("costs.py", ("logreg_cost", "logreg_backward")),
    "cost.msm": ("msm.py", ("msm_cost", "msm_backward", "msm_marginals")),
    "cost.crossent": ("costs.py", ("crossent_cost", "crossent_backward", "softmax_crossent_backward")),
    "cost.crossent2": ("costs.py", ("crossent2_cost", "crossent2_backward", "logistic_crossent2_backward")),
    "cost.rflickr": ("costs.py", ("rflickr_cost", "rflickr_backward")),
    "cost.sum2": ("costs.py", ("sum2_cost", "sum2_backward")),
    "cost.gsum2": ("costs.py", ("gsum2_cost", "gsum2_backward")),
    "cost.tica": ("costs.py", ("tica_forward", "tica_backward")),
    "concat": ("combine.py", ("concat_forward", "concat_backward")),
    "eltsum": ("combine.py", ("eltsum_forward", "eltsum_backward")),
    "eltmax": ("combine.py", ("eltmax_forward", "eltmax_backward")),
}  # fmt: skip

WORD = r"\b{}\b"


def lines(net, name, params=None, batch=128):
    """The text of the study, line by line.

    Parameters
    ----------
    net : str
        As for `networks.load`.
    name : str
        A layer of it.
    params : str, optional
    batch : int
    """
    network = networks.load(net, params)
    layers = network.graph.layers
    if name not in layers or layers[name].type == "data":
        known = ", ".join(other for other, spec in layers.items() if spec.type != "data")
        raise BadInput(f"{net} has no layer {name!r} to study", hint=f"layers: {known}")
    layer = layers[name]
    (engine,) = engines.available(["legacy-cpu"])
    launches = run_layer(engine, network, layer, batch)
    sizes = " + ".join(map(str, layer["numInputs"]))
    yield f"{name}: {layer.type}, {sizes} inputs, {layer.outputs} outputs, {batch} cases"
    for step in ("forward", "backward", "update"):
        own = [launch for launch in launches if launch["pass"] == step]
        if own:
            yield from _step_lines(step, own, count(network.graph, layer, step, batch))
    yield from _port_lines(layer)


def run_layer(engine, network, layer, batch):
    """Run one layer alone, forward, backward and update, on random numbers; returns its launch records."""
    session = engine.open(network, machine.processors())
    values = parameters.make(network, 0).get(layer.name, {})
    for tensor, array in values.items():
        session.write(layer.name, tensor, array)
    random = generator(0, "study", layer.name)
    inputs = [_stand_in(network, layer, i, batch, random) for i in range(len(layer.inputs))]
    graph = network.graph
    session.forward(layer.name, inputs, Tape(0).mask(layer, batch))
    if layer.name in {other.name for other in graph.backward_order()} and layer.name not in graph.fused:
        is_cost = layer.type.startswith("cost.")
        grad = None if is_cost else random.standard_normal((layer.outputs, batch), np.float32)
        session.backward(layer.name, grad)
        if learning(graph, layer):
            session.update(layer.name)
    return [launch for launch in session.launches() if launch["layer"] == layer.name]


def _step_lines(step, launches, work):
    seconds = sum(launch["seconds"] for launch in launches)
    rate = f", {work.operations / seconds / 1e9:.1f} GFLOP/s" if seconds else ""
    yield (f"\n{step}: {work.operations / 1e9:.2f} GFLOP, {work.bytes / 2**20:.1f} MiB to move at least, "
           f"{seconds:.4f} s in kernels{rate}")  # fmt: skip
    for launch in launches:
        kernel, _, arguments = launch["kernel"].partition("<")
        yield f"  {kernel}"
        if arguments:
            yield f"    template  {arguments.removesuffix('>')}"
        yield f"    grid {_dims(launch['grid'])}, block {_dims(launch['block'])}, {launch['shared_bytes']} bytes shared"
        if launch.get("resources"):
            taken = (_resources(name, found) for name, found in launch["resources"].items())
            yield f"    on a GPU  {', '.join(taken)}"
        if launch["rule"]:
            yield f"    because   {launch['rule']}"
        yield f"    source    {_find('legacy', '*.cuh', WORD.format(f'KERNEL {kernel}'))}"


def _resources(architecture, taken):
    """Registers of a thread, and its local memory and spills where there are any."""
    local = f" + {taken.local} bytes local" if taken.local else ""
    spills = f" ({taken.spills} spilled)" if taken.spills else ""
    return f"{architecture} {taken.registers} registers{local}{spills}"


def _port_lines(layer):
    if layer.type not in PORT:
        return
    file, functions = PORT[layer.type]
    yield "\nin the port"
    for function in functions:
        place = _find("port", file, WORD.format(f"def {function}"))
        if place:
            yield f"  {function}  {place}"


def _find(room, pattern, expression):
    """``room/file:line`` of the first line that matches, "" if there is none."""
    spec = find_spec(f"alexnet_rosetta.{room}")
    for folder in spec.submodule_search_locations if spec else ():
        for path in sorted(Path(folder).rglob(pattern)):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if re.search(expression, line):
                    return f"{room}/{path.relative_to(folder).as_posix()}:{number}"
    return ""


def _stand_in(network, layer, i, batch, random):
    """Numbers in the place of an input: labels and probabilities where a cost wants them, else normals."""
    source = network.graph.layers[layer.inputs[i]]
    kind = labels.kinds(network.graph).get(source.name)
    if kind:
        return labels.draw(network.graph, source.name, kind, batch, random)
    values = random.standard_normal((source.outputs, batch), np.float32)
    if source.type == "softmax":
        values = np.exp(values) / np.exp(values).sum(0)
    return values


def _dims(dims):
    return "x".join(str(extent) for extent in dims)
