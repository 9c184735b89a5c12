"""Half precision between devices, in every engine and in the reference."""

import numpy as np
import pytest
from small_nets import write_net

from alexnet_rosetta.harness.errors import BadInput
from alexnet_rosetta.harness.network.net import Net, sections
from alexnet_rosetta.harness.reference import Bounded
from alexnet_rosetta.harness.reference.half_precision import collected, half, half_bounded
from alexnet_rosetta.harness.running.prepare import Options, prepare, rows

RATES = "epsW={0}\nepsB=.1\nmomW={0}\nmomB=.5\nwc={0}\n"
DEFINITION = sections(
    Net(12)
    .add("low", "fc", "data", outputs=16, initW=1, gpu=0)
    .add("a", "fc", "low,low", outputs=8, initW="1,1", gpu=1, neuron="relu")
    .add("b", "fc", "low", outputs=8, initW=1, gpu=1)
    .add("c", "fc", "low", outputs=8, initW=1, gpu=2)
    .add("d", "fc", "low", outputs=8, initW=1, gpu=0)
    .add("sum", "eltsum", "a,b,c,d", gpu=0)
    .add("cost", "cost.sum2", "sum", gpu=0)
    .layers
)
ENGINES = ["reference", "port", "legacy-cpu"]


def workload(folder, engine, quantise=True, quant="quantF=half\nquantB=half\n", **options):
    rates = {"low": ".1", "a": ".1,.1", "b": ".1", "c": ".1", "d": ".1"}
    sections = [f"[{name}]\n{RATES.format(rate)}{quant}" for name, rate in rates.items()]
    params = "".join([*sections, "[cost]\ncoeff=.01\n"])
    net = write_net(folder, DEFINITION, params, "towers")
    return prepare(Options(net, engines=(engine,), input="random", batch=6, quantise=quantise, **options))


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree(tmp_path, engine):
    found = {(row.layer, row.step, row.tensor): row for row in rows(workload(tmp_path, engine), "isolated")}
    assert {row.findings[engine].status for row in found.values()} <= {"identical", "equivalent"}
    # What crosses is a row even if it is all there is: only then is it compared.
    assert {(name, "backward", "acts_grad") in found for name in ("low", "a_neuron", "b", "c")} == {True}
    assert ("d", "backward", "acts_grad") not in found


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_that_feed_themselves_round_too(tmp_path, engine):
    values = {}
    for quantise in (True, False):
        work = workload(tmp_path, engine, quantise)
        session, graph = work.open_sessions()[engine], work.network.graph
        for layer in work.network.layers:
            data = work.inputs.data.get(layer.name)
            session.forward(layer.name, None if data is None else [data])
        for layer in graph.backward_order():
            session.backward(layer.name)
        values[quantise] = session, graph
    session, _ = values[True]
    low, a, sum_ = (np.array(session.read(name, "acts")) for name in ("low", "a_neuron", "sum"))
    others = [np.array(session.read(name, "acts")) for name in "bcd"]
    expected = half(a) + half(others[0]) + half(others[1]) + others[2]
    size = abs(half(a)) + sum(abs(half(other)) for other in others)
    assert (abs(sum_ - expected) <= 8 * 2 * 2.0**-24 * size).all()
    assert np.any(half(low) != low)
    # Every reader takes what it sends from one gradient, which is that of the sum, rounded only abroad.
    grad = np.array(session.read("sum", "acts_grad"))
    np.testing.assert_array_equal(session.read("d", "acts_grad"), grad)
    np.testing.assert_array_equal(session.read("c", "acts_grad"), half(grad))
    plain = np.array(values[False][0].read("c", "acts_grad"))
    np.testing.assert_array_equal(plain, values[False][0].read("sum", "acts_grad"))
    for flag, (session, graph) in values.items():
        parts = [(name, i, session.read(name, "acts_grad")) for name, i in graph.contributions("low")]
        together = session.sum_grad("low", parts)
        assert together.tobytes() == np.array(session.read("low", "acts_grad")).tobytes(), flag


@pytest.mark.parametrize("engine", ENGINES)
def test_differences_of_engines_that_feed_themselves_are_inherited(tmp_path, engine):
    found = [row for row in rows(workload(tmp_path, engine), "propagated") if row.mode == "propagated"]
    assert {row.findings[engine].status for row in found} <= {"identical", "equivalent", "different"}
    assert {origin for row in found for origin in row.origin.values()} <= {"inherited"}
    assert {"low", "a_neuron", "b", "c", "d"} <= {row.layer for row in found if row.tensor == "acts_grad"}


@pytest.mark.parametrize(("quantise", "quant"), [(False, "quantF=half\nquantB=half\n"), (True, "")])
@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_rounded_unless_asked_for(tmp_path, engine, quantise, quant):
    work = workload(tmp_path, engine, quantise, quant)
    assert not any(work.network.graph.crosses("low", name, way) for name in "abcd" for way in ("quantF", "quantB"))
    assert {row.findings[engine].status for row in rows(work, "isolated")} <= {"identical", "equivalent"}


def test_what_rounds_alike_from_inside_the_bound_is_exact():
    ulp, tie = np.float32(2**-10), np.float32(1 + 2**-11)
    found = half_bounded(Bounded(np.array([1 + ulp / 8, tie]), np.array([1.0, 1.0]), 1))
    np.testing.assert_array_equal(found.value, [1, 1])
    reach = 8 * np.sqrt(found.terms) * 2.0**-24 * found.magnitude
    assert reach[0] == 0
    assert ulp <= reach[1] <= 1.01 * ulp


def test_sums_of_a_device_cross_as_one(tmp_path):
    graph = workload(tmp_path, "reference").network.graph
    third = Bounded(np.array([[1 / 3]]))
    parts = {("a", 0): third, ("b", 0): third, ("c", 0): third, ("d", 0): third}
    exact = 1 / 3 + float(half(np.float32(2 / 3))) + float(half(np.float32(1 / 3)))
    assert abs(collected(graph.sends_from, "low", parts).value[0, 0] - exact) < 2.0**-24


def test_exact_inputs_are_refused():
    with pytest.raises(BadInput, match="nothing to round"):
        Options("zoo", input="exact", quantise=True)


CROSSING = """
[data]
type=data
dataIdx=0
dims=2
[low]
type=eltsum
inputs=data
gpu=0
[high]
type=eltsum
inputs=low
gpu=1
[cost]
type=cost.sum2
inputs=high
gpu=1
"""
EDGES = [0, 2**-25, 2**-24, 2**-14, 1 + 2**-11, 1 + 2**-10, 65503, 65504, 65519.99, 65520, 65536, 3e38, np.inf]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_edges_of_half_precision(tmp_path, engine):
    """Ties, denormals, the largest number and what rounds to infinity: every engine as the reference."""
    net = write_net(tmp_path, CROSSING, "[low]\nquantF=half\nquantB=half\n[cost]\ncoeff=1\n", "edges")
    work = prepare(Options(net, engines=(engine,), input="random", batch=len(EDGES), quantise=True))
    session = work.open_sessions()[engine]
    values = np.float32([EDGES, [-x for x in EDGES]])
    for name in ("data", "low", "high"):
        session.forward(name, [values] if name == "data" else None)
    np.testing.assert_array_equal(session.read("low", "acts"), values)
    np.testing.assert_array_equal(session.read("high", "acts"), half(values))
