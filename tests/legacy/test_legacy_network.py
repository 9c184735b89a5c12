"""Whole networks of the 2012 engine: propagation, isolated steps, reading, launch records, refusals."""

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from legacy_networks import (
    assert_within,
    backward,
    backward_order,
    conv,
    cost,
    data,
    fc,
    forward,
    initialise,
    network,
    normal,
    same_bits,
    shipped,
)

from alexnet_rosetta.legacy import Network, Refused

RNG = np.random.default_rng(3)
PARAMETERS = ("weights", "weights_inc", "biases", "biases_inc")


def trained(net, layers, values, masks, steps=1):
    """The parameters after some steps of training."""
    for _ in range(steps):
        forward(net, layers, values, masks)
        backward(net, layers)
        for layer in layers:
            net.update(layer["name"])
    return {(layer["name"], t): net.read(layer["name"], t) for layer in layers for t in parameter_names(layer)}


def parameter_names(layer):
    """Names of a layer's parameter tensors."""
    indices = range(len(layer.get("weightShapes", ())))
    found = [f"{kind}[{i}]" for kind in ("weights", "weights_inc") for i in indices]
    return found + (["biases", "biases_inc"] if indices else [])


def assert_same(a, b):
    """The same tensors with the same bits."""
    assert a.keys() == b.keys()
    assert not [name for name in a if not same_bits(a[name], b[name])]


def propagated():
    """The toy network after a forward and a backward pass, and its tensors."""
    net, layers, values, masks = shipped("tiny", 32)
    forward(net, layers, values, masks)
    acts = {layer["name"]: net.read(layer["name"], "acts") for layer in layers if layer["outputs"]}
    backward(net, layers)
    starts = {"probs", "logprob", "data", "labels"}
    grads = {layer["name"]: net.read(layer["name"], "acts_grad") for layer in layers if layer["name"] not in starts}
    return net, layers, masks, acts, grads


def consumers(layers):
    """For each layer (consumer, input index) in the order of the backward pass."""
    found = defaultdict(list)
    for layer in reversed(layers):
        for i, source in enumerate(layer.get("inputs", ())):
            found[source].append((layer["name"], i))
    return found


def test_isolated_equals_propagated():
    """Every layer, fed the propagated run's tensors, computes the same bits; sum_grad adds as the pass did."""
    net, layers, masks, acts, grads = propagated()
    alone, *_ = shipped("tiny", 32)
    for layer in layers:
        name = layer["name"]
        if layer["type"] != "data":
            alone.forward(name, [acts[source] for source in layer["inputs"]], masks.get(name))
    assert same_bits(alone.read("logprob", "cost"), net.read("logprob", "cost"))
    for name, array in acts.items():
        if name not in ("data", "labels"):
            assert same_bits(alone.read(name, "acts"), array), name
    for layer in reversed(layers):
        if layer["type"] not in ("data", "cost.logreg"):
            alone.backward(layer["name"], grads.get(layer["name"]))
            for tensor in [*parameter_names(layer), "biases_grad", "weights_grad[0]"]:
                if tensor in parameter_names(layer) or layer["type"] == "conv":
                    assert same_bits(alone.read(layer["name"], tensor), net.read(layer["name"], tensor)), tensor
    for name, grad in grads.items():
        parts = [(consumer, i, grads.get(consumer)) for consumer, i in consumers(layers)[name]]
        assert same_bits(alone.sum_grad(name, parts), grad), name
        if len(parts) == 1:
            assert same_bits(alone.read(parts[0][0], f"inputs_grad[{parts[0][1]}]"), grad), name


def test_several_consumers_add_up():
    """conv2b feeds max1 once and sum1 twice; fc1_neuron a dropout and a layer of two inputs."""
    net, layers, _, _, grads = propagated()
    del net
    fresh, _, values, masks = shipped("tiny", 32)
    forward(fresh, layers, values, masks)
    for name in ("conv2b", "fc1_neuron", "pool2"):
        shares = []
        for consumer, i in consumers(layers)[name]:
            fresh.backward(consumer, grads[consumer])
            shares.append(fresh.read(consumer, f"inputs_grad[{i}]").astype(np.float64))
        assert len(shares) >= 2
        total, size = sum(shares), sum(abs(share) for share in shares)
        assert_within(grads[name], total, len(shares), size)


def test_threads_do_not_change_bits():
    assert_same(*(trained(*shipped("tiny", 32, threads=threads), steps=2) for threads in (1, 3)))


def test_batch_that_divides_nothing():
    net, layers, values, masks = shipped("tiny", 33)
    assert all(np.isfinite(array).all() for array in trained(net, layers, values, masks, steps=2).values())
    assert net.read("conv1", "acts").shape == (16 * 64, 33)


def test_reading_changes_nothing_and_what_was_read_stays():
    plain = trained(*shipped("tiny", 32), steps=2)
    net, layers, values, masks = shipped("tiny", 32)
    held = {}
    for step in range(2):
        forward(net, layers, values, masks)
        hold(net, layers, held, step, "forward")
        for name in backward_order(layers):
            net.backward(name)
            hold(net, layers, held, step, f"backward of {name}")
        for layer in layers:
            net.update(layer["name"])
        hold(net, layers, held, step, "update")
    assert_same(plain, {key: net.read(*key) for key in plain})
    assert not [key for key, (array, bits) in held.items() if array.tobytes() != bits]
    assert len(held) > 1000


def hold(net, layers, held, step, when):
    """Read all there is; keep the arrays and their present bits."""
    for layer in layers:
        name = layer["name"]
        for tensor in ("acts", "acts_grad", "cost", "weights_grad[0]", "biases_grad", *parameter_names(layer)):
            try:
                array = net.read(name, tensor)
            except KeyError:
                continue
            held[step, when, name, tensor] = array, array.tobytes()


def test_arrays_outlive_the_network():
    net, layers, values, masks = shipped("tiny", 32)
    forward(net, layers, values, masks)
    acts, given = net.read("conv3", "acts"), net.read("data", "acts")
    bits = acts.tobytes()
    del net
    assert acts.tobytes() == bits
    assert not acts.flags.writeable
    assert np.shares_memory(given, values["data"])


def test_a_network_in_a_reference_cycle_is_collected():
    """The collector may not take the device from under a network, nor from under arrays that were read from it."""
    source = """
import gc, sys
sys.path.insert(0, sys.argv[1])
from legacy_networks import forward, shipped
net, layers, values, masks = shipped("tiny", 32)
forward(net, layers, values, masks)
cycle = [net, net.read("conv3", "acts")]
cycle.append(cycle)
layers.append(cycle)
del net, cycle, layers
gc.collect()
print("collected")
"""
    result = subprocess.run([sys.executable, "-c", source, str(Path(__file__).parent)], capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "collected\n"), result.stderr


def smooth_layers():
    """A network without kinks, which finite differences need; one layer takes the same input twice."""
    return [
        data("data", 3 * 64),
        data("labels", 1),
        conv("conv", {"data": (3, 8, 3, 2, 0, 1)}, 16),
        {"name": "tanh", "type": "neuron", "inputs": ["conv"], "outputs": 256,
         "neuron": {"type": "tanh", "params": {"a": 1.0, "b": 1.0}}},
        {"name": "norm", "type": "cmrnorm", "inputs": ["tanh"], "outputs": 256, "channels": 16, "size": 5, "scale": 0.3,
         "pow": 0.75, "minDiv": 2.0, "blocked": False},
        {"name": "pool", "type": "pool", "inputs": ["norm"], "outputs": 64, "channels": 16, "imgSize": 4, "sizeX": 2,
         "stride": 2, "start": 0, "outputsX": 2, "pool": "avg"},
        fc("fc", ["pool", "pool"], [64, 64], 5),
        {"name": "probs", "type": "softmax", "inputs": ["fc"], "outputs": 5},
        cost("labels", "probs"),
    ]  # fmt: skip


def test_gradient_check():
    """The historical check (network-and-solver 10): forward differences in float32, relative error below 2 %."""
    layers = smooth_layers()
    net, n = Network(layers, threads=1), 8
    for layer in layers:
        initialise(net, layer, RNG)
    values = {"data": normal(RNG, 192, n), "labels": RNG.integers(0, 5, (1, n)).astype(np.float32)}

    def total():
        forward(net, layers, values, {}, "gc")
        return net.read("cost", "cost")[0]

    start = total()
    backward(net, layers)
    analytic = {
        ("conv", "weights[0]", 0.02): net.read("conv", "weights_grad[0]"),
        ("conv", "biases", 0.05): net.read("conv", "biases_grad"),
        ("fc", "weights[0]", 0.01): net.read("fc", "weights_inc[0]"),
        ("fc", "weights[1]", 0.01): net.read("fc", "weights_inc[1]"),
        ("fc", "biases", 0.01): net.read("fc", "biases_grad"),
    }
    for (layer, tensor, step), grad in analytic.items():
        numeric, before = np.zeros(grad.shape), net.read(layer, tensor)
        for at in np.ndindex(grad.shape):
            moved = before.copy()
            moved[at] += np.float32(step)
            net.write(layer, tensor, moved)
            numeric[at] = (total() - start) / step
        net.write(layer, tensor, before)
        assert np.linalg.norm(numeric + grad) < 0.02 * np.linalg.norm(grad), (layer, tensor)


def test_every_launch_says_for_whom():
    net, layers, values, masks = shipped("tiny", 32)
    trained(net, layers, values, masks)
    net.sum_grad("rnorm1", [("conv2a", 0, normal(RNG, 32 * 64, 32)), ("conv2b", 0, normal(RNG, 32 * 64, 32))])
    launched = defaultdict(list)
    for record in net.launches:
        launched[record["layer"], record["pass"]].append(record["kernel"])
        assert record["rule"]
    names = [layer["name"] for layer in layers if layer["type"] != "data"]
    assert {layer for layer, _ in launched} == set(names)
    assert {step for _, step in launched} == {"forward", "backward", "update", "sum_grad"}
    assert ("probs", "forward") in launched
    assert ("logprob", "backward") not in launched  # the softmax does it
    kernels = [kernel.split("<")[0] for kernel in launched["conv2a", "forward"]]
    assert kernels == ["filterActs_YxX_sparse", "kColVectorOp"]
    assert sum(kernel.startswith("sgemm") for kernel in launched["fc10", "backward"]) == 4
    seconds = sum(r["seconds"] for r in net.launches if (r["layer"], r["pass"]) == ("conv3", "forward"))
    assert 0 < seconds <= net.seconds("conv3", "forward")
    net.clear_launches()
    net.logging = False
    forward(net, layers, values, masks)
    assert net.launches == []


def test_release_keeps_the_parameters():
    net, layers, values, masks = shipped("tiny", 32)
    forward(net, layers, values, masks)
    net.release("conv3")
    assert net.read("conv3", "weights[0]").size
    with pytest.raises(KeyError, match="layer conv3 has no acts"):
        net.read("conv3", "acts")
    with pytest.raises(Refused, match=r"layer conv3_neuron: input 0 \(conv3\) has no acts"):
        net.forward("conv3_neuron")


def test_the_output_alone_goes_where_no_step_reads_it_again():
    net, layers, values, masks = shipped("tiny", 32)
    forward(net, layers, values, masks)
    acts = {layer["name"]: np.array(net.read(layer["name"], "acts")) for layer in layers if layer["outputs"]}
    source = next(layer["inputs"][0] for layer in layers if layer["name"] == "fc1")
    net.forward("fc1", [acts[source]])
    net.release("fc1", acts_alone=True)
    with pytest.raises(KeyError, match="layer fc1 has no acts"):
        net.read("fc1", "acts")
    gradient = normal(np.random.default_rng(2), *acts["fc1"].shape)
    net.backward("fc1", gradient)
    released = net.read("fc1", "inputs_grad[0]").tobytes()
    net.forward("fc1", [acts[source]])
    net.backward("fc1", gradient)
    assert net.read("fc1", "inputs_grad[0]").tobytes() == released
    for name in ("conv3_neuron", "conv2a"):  # the backward step reads the output; the next layer does
        net.release(name, acts_alone=True)
        assert same_bits(net.read(name, "acts"), acts[name])


RELEASE = """
import os
from pathlib import Path
import numpy as np
from alexnet_rosetta.legacy import Network

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

rows, cases = 2**14, 2**10
net = Network([{"name": "data", "type": "data", "inputs": [], "outputs": rows},
               {"name": "tanh", "type": "neuron", "inputs": ["data"], "outputs": rows,
                "neuron": {"type": "tanh", "params": {"a": 1, "b": 1}}}], threads=1)
net.forward("data", [np.ones((rows, cases), np.float32)])
net.forward("tanh")
held = resident()
net.release("tanh")
print((held - resident()) >> 20)
"""


def test_release_gives_memory_back_to_the_system():
    """In a process of its own: the command tells the C library to keep what is freed."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("nothing says here how much memory is in use")
    found = subprocess.run([sys.executable, "-c", RELEASE], capture_output=True, text=True, check=True)
    assert int(found.stdout) > 60  # of 64 MiB


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((5, 4), np.float32), "wrong shape or type"),
        (np.zeros((4, 5)), "wrong shape or type"),
        (np.full((4, 5), np.inf, np.float32), "not finite"),
        (np.full((4, 5), np.nan, np.float32), "not finite"),
    ],
)
def test_refused_parameters(array, text):
    net = network(fc("fc", ["a"], [4], 5), a=4)
    with pytest.raises(Refused, match=r"layer fc: weights\[0\]") as refusal:
        net.write("fc", "weights[0]", array)
    assert text in refusal.value.what
    for tensor in ("weights[1]", "weights", "weights_grad[0]", "acts", "nonsense[x]"):
        with pytest.raises(Refused, match="cannot be written"):
            net.write("fc", tensor, array)
    with pytest.raises(Refused, match="there is no layer"):
        net.write("fx", "biases", array)


def test_refused_networks():
    with pytest.raises(Refused, match="layer x: unsupported layer type") as refusal:
        network({"name": "x", "type": "spline", "inputs": ["a"], "outputs": 4}, a=4)
    assert refusal.value.actual == "spline"
    assert refusal.value.expected.startswith("blur, cmrnorm, cnorm")
    broken = fc("fc", ["a"], [4], 5)
    del broken["biasShape"]
    with pytest.raises(Refused, match="layer fc: key biasShape is missing"):
        network(broken, a=4)
    with pytest.raises(Refused, match="layer fc: an input is no layer above"):
        network(fc("fc", ["b"], [4], 5), a=4)
    with pytest.raises(Refused, match="layer s: input a has another shape"):
        network({"name": "s", "type": "softmax", "inputs": ["a"], "outputs": 5}, a=4)
    with pytest.raises(Refused, match="layer c: its inputs do not add up"):
        network({"name": "c", "type": "concat", "inputs": ["a", "a"], "outputs": 5}, a=4)
    with pytest.raises(Refused, match="unknown device"):
        Network([data("x", 1)], device="fpga")
    with pytest.raises(Refused, match="number of threads"):
        Network([data("x", 1)], threads=0)


def test_refused_steps():
    net = network(fc("fc", ["a"], [4], 5), a=4)
    x, v = normal(RNG, 4, 3), normal(RNG, 5, 3)
    with pytest.raises(Refused, match="layer fc: no layer above has sent a gradient"):
        net.backward("fc")
    with pytest.raises(Refused, match="layer fc: input 0 has the wrong shape"):
        net.forward("fc", [normal(RNG, 5, 3)])
    with pytest.raises(Refused, match="layer fc: wrong number of inputs"):
        net.forward("fc", [x, x])
    with pytest.raises(Refused, match="layer fc: input 0 has the wrong type"):
        net.forward("fc", [x.astype(np.float64)])
    with pytest.raises(Refused, match="unknown pass type"):
        net.forward("fc", [x], pass_type="dream")
    with pytest.raises(Refused, match="takes no mask"):
        net.forward("fc", [x], np.ones((5, 3), bool))
    net.forward("fc", [x])
    with pytest.raises(Refused, match="layer fc: the gradient of its output is missing"):
        net.backward("fc")
    with pytest.raises(Refused, match="layer fc: acts_grad has the wrong shape"):
        net.backward("fc", v[:4])
    with pytest.raises(Refused, match="layer fc: input 0 is not fc"):
        net.sum_grad("fc", [("fc", 0, v)])
    with pytest.raises(KeyError):
        net.seconds("fc", "update")


def test_inputs_are_borrowed_and_columns_are_copied():
    net = network(fc("fc", ["a"], [4], 5), a=4)
    wide = normal(RNG, 4, 6)
    net.forward("fc", [wide[:, :3]])
    halves = net.read("fc", "acts")
    net.forward("fc", [wide[:, :3].copy()])
    assert same_bits(net.read("fc", "acts"), halves)
