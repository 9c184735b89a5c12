"""Every layer without weights in the engine of 2012, against the float64 reference, one small network each."""

from contextlib import suppress

import layer_nets as nets
import numpy as np
import pytest
from legacy_networks import assert_within, data, network, same_bits
from small_nets import write_net

from alexnet_rosetta.harness import reference
from alexnet_rosetta.harness.errors import Unsupported
from alexnet_rosetta.harness.network.load import plain
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows
from alexnet_rosetta.legacy import Network, Refused, cudaconv, launch_log

ENGINE = "legacy-cpu"


def workload(net, folder, batch=33, **options):
    return prepare(Options(write_net(folder, *net.files()), engines=(ENGINE,), input="random", batch=batch, **options))


def differences(work):
    """(layer, pass, tensor) → status of the tensors that are neither identical nor equivalent; how many there are."""
    found = {(row.layer, row.step, row.tensor): row.findings[ENGINE].status for row in rows(work, "isolated")}
    return {key: status for key, status in found.items() if status not in ("identical", "equivalent")}, len(found)


def run(work):
    """A session after a forward and a backward pass in which the engine fed itself."""
    session, graph = work.open_sessions()[ENGINE], work.network.graph
    session.record_launches()
    for layer in work.network.layers:
        data = work.inputs.data.get(layer.name)
        session.forward(layer.name, None if data is None else [data], work.mask(layer))
    for layer in graph.backward_order():
        session.backward(layer.name)
    return session


def assert_accumulated(work, below="below"):
    """What a backward pass leaves as the gradient of a layer's output is the sum of what its readers contribute."""
    session, graph = run(work), work.network.graph
    starts = {name for name, layer in graph.layers.items() if name in graph.fused or layer.type.startswith("cost.")}
    parts = [
        (name, i, None if name in starts else session.read(name, "acts_grad")) for name, i in graph.contributions(below)
    ]
    assert len(parts) > 1
    assert same_bits(session.read(below, "acts_grad"), session.sum_grad(below, parts))


def of_quirks(case, *tensors):
    """The differences of a case in which 2012 computed something else than what was meant, which the reference is."""
    return dict.fromkeys(tensors, "different") if case in nets.NOT_AS_MEANT else {}


@pytest.mark.parametrize("case", nets.HIDDEN)
def test_hidden_layers(case, tmp_path):
    outside, count = differences(workload(nets.hidden(case), tmp_path))
    assert (outside, count) == (of_quirks(case, ("layer0", "backward", "inputs_grad[0]")), 11)


@pytest.mark.parametrize("case", nets.HIDDEN)
def test_gradients_of_several_readers_add_up(case, tmp_path):
    work = workload(nets.hidden(case, readers=3), tmp_path, batch=8, passes=("forward", "backward"))
    sent = [(f"layer{k}", "backward", "inputs_grad[0]") for k in range(3)]
    assert differences(work)[0] == of_quirks(case, ("below", "backward", "acts_grad"), *sent)
    assert_accumulated(work)


def test_launches_say_who_asked_and_why():
    """In the zoo every layer type runs; all they do, products of matrices apart, is launches."""
    work = prepare(Options("zoo", engines=(ENGINE,), input="random", batch=4))
    session, graph = run(work), work.network.graph
    records = session.launches()
    for record in records:
        assert record["rule"], record["kernel"]
        assert min(record["grid"]) > 0, record["kernel"]
        assert 0 < np.prod(record["block"]) <= 1024, record["kernel"]
    launched = {(record["layer"], record["pass"]) for record in records}
    forward = {(name, "forward") for name, layer in graph.layers.items() if layer.type != "data"}
    backward = {(layer.name, "backward") for layer in graph.backward_order() if graph.wanted_inputs(layer)}
    assert forward | backward <= launched


@pytest.mark.parametrize("case", nets.CONSTANT)
@pytest.mark.parametrize("batch", [8, 64])
def test_layers_without_a_gradient(case, batch, tmp_path):
    work = workload(nets.constant(case), tmp_path, batch)
    assert differences(work)[0] == of_quirks(case, ("layer", "forward", "acts"))


@pytest.mark.parametrize("case", nets.COSTS)
def test_costs(case, tmp_path):
    assert differences(workload(nets.cost(case), tmp_path))[0] == {}


# The gradient of crossent2 that takes two steps has a wrong sign, that of tica a root too many where it is added.
MEANT = [case for case in nets.COSTS if case not in ("crossent2", "tica")]


@pytest.mark.parametrize("case", MEANT)
def test_costs_above_a_layer_with_another_reader(case, tmp_path):
    work = workload(nets.cost(case, also_read=True), tmp_path, passes=("forward", "backward"))
    assert differences(work)[0] == {}
    assert_accumulated(work, "between" if nets.COSTS[case][2] else "below")


# What 2012 computed, and not what was meant.


def forward(work, name):
    """The session of a run, the layer fed with its own inputs, the float32 inputs and the layer."""
    session, layer = run(work), work.network.graph.layers[name]
    inputs = [np.array(session.read(source, "acts")) for source in layer.inputs]
    session.forward(name, inputs, work.mask(layer))
    return session, inputs, layer


@pytest.mark.parametrize("center", [False, True])
def test_lab_is_that_of_the_entry_point(center, tmp_path):
    case = "rgb2lab centred" if center else "rgb2lab"
    session, (x,), _ = forward(workload(nets.constant(case), tmp_path), "layer")
    assert same_bits(session.read("layer", "acts"), cudaconv.convRGBToLAB(x, center=center))


@pytest.mark.parametrize("case", ["resize", "resize to a larger one"])
def test_resize_is_that_of_the_entry_point(case, tmp_path):
    session, (x,), layer = forward(workload(nets.constant(case), tmp_path), "layer")
    expected = cudaconv.convResizeBilinear(x, imgSize=8, tgtSize=layer["tgtSize"], scale=layer["scale"])
    assert same_bits(session.read("layer", "acts"), expected)


@pytest.mark.parametrize("uniforms", [[0, 0, 0, 0], [0.5, 0.25, 0.75, 0.5], [0.999, 0.5, 0.999, 0]])
def test_rscale_resizes_and_crops(uniforms, tmp_path):
    work = workload(nets.constant("rscale"), tmp_path, batch=4)
    session, (x,), layer = forward(work, "layer")
    mask = np.array(uniforms, np.float32)[:, None]
    session.forward("layer", [x], mask)
    size, factor, top, left = reference.op(layer.to_dict()).drawn(mask[:, 0])
    more = {"tgtSize": layer["tgtSize"], "startY": top, "startX": left}
    if size < 12:
        x = cudaconv.convResizeBilinear(x, imgSize=12, tgtSize=size, scale=factor)
    assert same_bits(session.read("layer", "acts"), cudaconv.convCrop(x, imgSize=size, **more))


@pytest.mark.parametrize("size", [2, 3])
def test_the_gradient_of_cnorm_takes_the_means_for_constants(size, tmp_path):
    case = "cnorm" if size == 3 else "cnorm of even size"
    session, (x,), layer = forward(workload(nets.hidden(case), tmp_path), "layer0")
    v = np.random.default_rng(0).standard_normal(x.shape, np.float32)
    session.backward("layer0", v)
    windows = {"subsX": size, "startX": -(size // 2), "strideX": 1, "outputsX": 6}
    means = cudaconv.convLocalPool(x, numFilters=16, pooler="Avg", **windows)
    more = {"numFilters": 16, "sizeX": size, "addScale": layer["scale"], "powScale": 0.75}
    denoms, acts = cudaconv.convContrastNorm(x, x - means, **more)
    expected, _ = cudaconv.convContrastNormUndo(v, denoms, x - means, acts, **more)
    assert same_bits(session.read("layer0", "inputs_grad[0]"), expected)


def test_two_step_crossent2_adds_where_it_should_subtract(tmp_path):
    work = workload(nets.cost("crossent2", also_read=True), tmp_path, passes=("forward", "backward"))
    assert differences(work)[0] == {
        ("cost", "backward", "inputs_grad[1]"): "different",
        ("between", "backward", "acts_grad"): "different",
    }
    session, (t, y), _ = forward(work, "cost")
    session.backward("cost")
    t, y = t.astype(np.float64), y.astype(np.float64)
    expected = 0.5 * (t / y + (1 - t) / (1 - y))
    assert_within(session.read("cost", "inputs_grad[1]"), expected, 6, expected)


def test_tica_takes_a_root_too_many_where_it_is_added(tmp_path):
    net = nets.cost("tica").add("squares", "cost.sum2", "below", {"coeff": 0.25})
    outside, _ = differences(workload(net, tmp_path, passes=("forward", "backward")))
    assert outside == {("below", "backward", "acts_grad"): "different"}
    nets.reorder(net, "data", "below", "squares", "cost")  # the gradient of tica comes first
    assert differences(workload(net, tmp_path, passes=("forward", "backward")))[0] == {}


def test_href_overwrites_what_others_sent(tmp_path):
    net = nets.hidden("neuron ident").add("mirrored", "href", "below", channels=3)
    net.add("above", "cost.sum2", "mirrored", {"coeff": 0.5})
    assert differences(workload(net, tmp_path))[0] == {}
    nets.reorder(net, "data", "below", "mirrored", "above", "layer0", "squares0")
    work = workload(net, tmp_path, passes=("forward", "backward"))
    assert differences(work)[0] == {("below", "backward", "acts_grad"): "different"}
    session = run(work)
    total = np.array(session.read("below", "acts_grad"))
    mirrored = np.array(session.read("mirrored", "acts_grad")).reshape(3, 4, 4, -1)[:, :, ::-1]
    np.testing.assert_array_equal(total.reshape(mirrored.shape), mirrored)


def test_large_windows_of_rnorm_overwrite_what_others_sent(tmp_path, monkeypatch):
    monkeypatch.setitem(nets.HIDDEN, "large", (16 * 64, {"type": "rnorm", "channels": 16, "size": 6}, nets.NORM))
    assert differences(workload(nets.hidden("large"), tmp_path))[0] == {}
    work = workload(nets.hidden("large", readers=2), tmp_path, passes=("forward", "backward"))
    assert differences(work)[0] == {("below", "backward", "acts_grad"): "different"}


def test_msm_adds_logarithms_with_short_cuts():
    """Two classes 6 and 10 below the largest one: what is left out of log(1 + e^-d) is e^-2d / 2."""
    net = network(data("labels", 1), {"name": "cost", "type": "cost.msm", "inputs": ["labels", "a"], "outputs": 0,
                                      "coeff": 1.0, "setSize": 1, "threads": 1}, a=3)  # fmt: skip
    energies = np.array([[10], [4], [0]], np.float32)
    net.forward("cost", [np.zeros((1, 1), np.float32), energies])
    partition = 10 + np.exp(-(10 - (4 + np.log(1 + np.exp(-4.0)))))  # ladd(ladd(0, 4), 10)
    assert_within(net.read("cost", "cost")[:1], np.array([partition - 10]), 7, np.array([1.0]))
    assert partition - 10 > np.log(1 + np.exp(-6.0) + np.exp(-10.0)) + 2.0**-20


# Random pooling: the kernel of 2012 is lost, so there are no recorded outputs.


@pytest.mark.parametrize("maps", [3, 16])
@pytest.mark.parametrize("batch", [5, 32, 64, 128])
def test_random_pooling_takes_the_pixel_that_the_law_says(maps, batch):
    rng = np.random.default_rng(batch + maps)
    x = rng.integers(-2, 4, (maps, 5, 5, batch)).astype(np.float32)  # small integers: all sums are exact
    x[0] = -abs(x[0])  # no positive value: all pixels are alike
    u = rng.integers(0, 2**10, (maps, 2, 2, batch)).astype(np.float32) / 2**10
    windows = {"numFilters": maps, "subsX": 4, "startX": -1, "strideX": 3, "outputsX": 2}
    with launch_log() as log:
        found = cudaconv.convLocalRandomPool(x.reshape(-1, batch), u.reshape(-1, batch), **windows)
    expected = np.empty_like(u)
    for c, y, z, n in np.ndindex(u.shape):
        rows, columns = (slice(max(0, 3 * k - 1), 3 * k + 3) for k in (y, z))
        pixels = x[c, rows, columns, n].ravel()
        weights = np.maximum(pixels, 0) if (pixels > 0).any() else np.ones_like(pixels)
        expected[c, y, z, n] = pixels[np.searchsorted(np.cumsum(weights), u[c, y, z, n] * weights.sum(), side="right")]
    np.testing.assert_array_equal(found.reshape(u.shape), expected)
    per_thread, checked = {5: (1, "true"), 32: (1, "false"), 64: (2, "false"), 128: (4, "false")}[batch]
    (record,) = log
    assert record["kernel"] == f"kLocalRandomPool<4, 32, {per_thread}, {2 if maps == 16 else 1}, {checked}>"
    assert record["block"] == (32, 4, 1)
    assert record["rule"].startswith("maps mod 8: ")


# Other passes than training.


def test_views_are_averaged():
    net = network(data("labels", 1), {"name": "probs", "type": "softmax", "inputs": ["a"], "outputs": 4},
                  {"name": "cost", "type": "cost.logreg", "inputs": ["labels", "probs"], "outputs": 0, "coeff": 1.0,
                   "topk": 2}, a=4)  # fmt: skip
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, (1, 5)).astype(np.float32)
    views = [v / v.sum(0) for v in rng.random((3, 4, 5), np.float32)]
    with pytest.raises(Refused, match="layer cost: there is no first view"):
        net.forward("cost", [labels, views[0]], pass_type="last_view")
    net.forward("cost", [labels, views[1]], pass_type="test")
    before = net.read("cost", "cost").copy()
    for view, kind in zip(views, ("first_view", "middle_view", "last_view"), strict=True):
        np.testing.assert_array_equal(net.read("cost", "cost"), before)  # the numbers stay until the last view
        net.forward("cost", [labels, view], pass_type=kind)
    found = net.read("cost", "cost")
    net.forward("cost", [labels, (views[0] + views[1] + views[2]) * np.float32(1 / 3)], pass_type="test")
    np.testing.assert_array_equal(found, net.read("cost", "cost"))


def test_rscale_without_training(tmp_path):
    """2012 copied the image in tests, and the next layer failed; views come at their final size."""
    spec = {"name": "r", "type": "rscale", "inputs": ["pixels"], "outputs": 3 * 64, "channels": 3, "imgSize": 12,
            "tgtSize": 8, "maxScale": 1.5}  # fmt: skip
    net = Network([data("pixels", 3 * 144), spec])
    x = np.random.default_rng(2).random((3 * 144, 2), np.float32)
    middle = x.reshape(3, 12, 12, 2)[:, 2:10, 2:10].reshape(-1, 2)
    for kind in ("test", "gc", "features", "first_view"):
        net.forward("pixels", [x], pass_type=kind)
        net.forward("r", pass_type=kind)
        np.testing.assert_array_equal(net.read("r", "acts"), middle)
    net.forward("pixels", [middle], pass_type="first_view")
    net.forward("r", pass_type="first_view")
    np.testing.assert_array_equal(net.read("r", "acts"), middle)
    with pytest.raises(Refused, match="layer r: input 0 has the wrong shape"):
        net.forward("r", pass_type="test")


# Refused.

NEEDS_MASK = {
    "neuron nrelu": "the normals of nrelu: missing",
    "pool rand": "numbers in .0, 1. that choose pixels: missing",
    "hs": "the dropout mask, 0 and 1: missing",
}


@pytest.mark.parametrize("case", NEEDS_MASK)
def test_what_is_random_must_be_given(case, tmp_path):
    session, inputs, _ = forward(workload(nets.hidden(case), tmp_path, batch=4), "layer0")
    with pytest.raises(Unsupported, match=f"layer layer0: {NEEDS_MASK[case]}"):
        session.forward("layer0", inputs)
    with pytest.raises(Unsupported, match="layer squares0: takes no mask"):
        session.forward("squares0", [session.read("below", "acts")], inputs[0])


def test_refused_networks():
    with pytest.raises(Refused, match="layer n: neuron abstanh does not exist"):
        network({"name": "n", "type": "neuron", "inputs": ["a"], "outputs": 4, "neuron": {"type": "abstanh"}}, a=4)
    with pytest.raises(Refused, match="layer n: unknown neuron"):
        network({"name": "n", "type": "neuron", "inputs": ["a"], "outputs": 4, "neuron": {"type": "spike"}}, a=4)
    with pytest.raises(Refused, match="layer y: layers of type rgb2yuv pass no gradient on"):
        network({"name": "y", "type": "rgb2yuv", "inputs": ["a"], "outputs": 12}, a=12)


COSTS_OF_LABELS = {"cost.logreg", "cost.crossent", "cost.crossent2", "cost.rflickr", "cost.msm", "cost.gsum2"}
COSTS = COSTS_OF_LABELS | {"cost.sum2", "cost.tica"}


def accepted(change):
    """The types of those layers of `zoo` that take the keys which `change` gives for a layer, and then run forward."""
    work, found = prepare(Options("zoo", engines=("reference",), input="random", batch=6)), set()
    layers = [plain(layer) for layer in work.network.layers]
    outputs = {layer["name"]: layer["outputs"] for layer in layers}
    for i, layer in enumerate(layers):
        changed = layer | change(layer)
        with suppress(Refused):
            net = Network([*layers[:i], changed])
            if changed.get("inputs"):
                arrays = [np.ones((outputs[name], 6), np.float32) for name in changed["inputs"]]
                net.forward(layer["name"], arrays, pass_type="test")
            found.add(layer["type"])
    return found


def test_layers_refuse_inputs_and_outputs_that_do_not_fit():
    assert accepted(lambda layer: {"outputs": layer["outputs"] + 1}) == COSTS | {"data"}  # of which nobody asks
    assert accepted(lambda layer: {"inputs": layer.get("inputs", [])[:-1]}) == {"data", "eltsum"}
    assert not COSTS_OF_LABELS & accepted(lambda layer: {"inputs": [*layer.get("inputs", []), "data"]})
