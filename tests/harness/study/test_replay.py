"""The replays against the bits that engines store, and the rounding of a fused multiply-add against exact fractions."""

from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from strict_engine import Strict

from alexnet_rosetta.harness.engines.legacy import LegacyCpu
from alexnet_rosetta.harness.engines.port import Port
from alexnet_rosetta.harness.network.tensors import address
from alexnet_rosetta.harness.running.explain import QuirkSearch
from alexnet_rosetta.harness.running.prepare import Options, prepare
from alexnet_rosetta.harness.running.sweep import Sweep
from alexnet_rosetta.harness.study.replay import element, running

FILTERS = {("backward", "inputs_grad"), ("backward", "biases_grad"), ("forward", "acts")}
UPDATED = {("update", name) for name in ("weights", "weights_inc", "biases", "biases_inc")}
BOTH = {("forward", "acts"), ("backward", "inputs_grad")}
ORDERED = {
    "conv": FILTERS | {("backward", "weights_grad")},
    "local": FILTERS | {("backward", "weights_inc")},
    "pool": BOTH,
    "cmrnorm": BOTH,
    "neuron": BOTH,
    "hs": BOTH,
}
"""By layer type, the passes and tensors of the engine of 2012 whose order is ours."""
PORT = {**dict.fromkeys(("pool", "cmrnorm", "neuron", "hs"), BOTH), "conv": BOTH | {("backward", "weights_grad")}}
"""The same of the port."""


def replayed(net, count, engines, batch=8, **options):
    """Counters of elements, and of those whose bits came out, by (engine, layer type, pass, tensor).

    Up to `count` random elements of every tensor that has a replay.
    """
    work, random = prepare(Options(net, input="random", batch=batch, threads=1, **options)), np.random.default_rng(0)
    elements, same = Counter(), Counter()

    def see(comparison):
        tensor = comparison.subject
        for engine in engines:
            found = None
            for _ in range(count):
                at = tuple(int(random.integers(n)) for n in comparison.shape)
                trace, _ = element(tensor, at).traced(engine.arithmetic())
                if trace is None:
                    break
                if found is None:
                    found = tensor.step.read(QuirkSearch(work).session(engine, tensor.step, {}), tensor.name)
                key = engine.name, comparison.layer.type, comparison.step, address(tensor.name)[0]
                elements[key] += 1
                same[key] += np.float32(found[at]) == trace.value

    for _ in Sweep(replace(work, engines=[], on_tensor=see)).rows():
        pass
    return elements, same


@pytest.mark.parametrize("net", ["tiny", "zoo"])
def test_a_replay_gives_the_bits_that_the_engine_stored(net):
    elements, same = replayed(net, 3, [LegacyCpu(), Strict(), Port()])
    assert same == elements
    kinds = defaultdict(set)
    for engine, kind, *rest in elements:
        kinds[engine, kind].add(tuple(rest))
    present = set(ORDERED) if net == "zoo" else set(ORDERED) - {"local"}
    for kind in present:
        assert kinds["legacy-cpu", kind] >= ORDERED[kind], kind
        assert kinds["strict", kind] >= ORDERED[kind], kind
        assert kinds["port", kind] >= PORT.get(kind, set()), kind
    assert kinds["port", "conv"] >= UPDATED
    assert kinds["legacy-cpu", "conv"] >= UPDATED


@pytest.mark.parametrize("algorithm", ["auto", "winograd"])
def test_a_replay_knows_the_algorithm_of_the_run(algorithm):
    elements, same = replayed("tiny", 3, [Port()], port_algorithm=algorithm)
    assert same == elements
    assert elements["port", "conv", "forward", "acts"]
    assert elements["port", "conv", "backward", "inputs_grad"]


@pytest.mark.slow
@pytest.mark.parametrize("net", ["tiny", "zoo"])
def test_so_it_is_for_200_elements_of_every_tensor(net):
    elements, same = replayed(net, 200, [LegacyCpu(), Strict(), Port()])
    for key, count in sorted(elements.items()):
        print(*key, f"{same[key]} of {count}")
    assert same == elements
    assert min(elements.values()) >= 200


def nearest(x):
    """The float32 next to a Fraction, ties to even."""
    near = np.float32(float(x))
    candidates = [near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))]
    return min(candidates, key=lambda one: (abs(Fraction(float(one)) - x), int(one.view(np.uint32)) & 1))


def test_a_fused_sum_rounds_the_exact_sum_once():
    random = np.random.default_rng(1)
    a, b = random.standard_normal((2, 2000)).astype(np.float32)
    b[1000:] = b[1000:] * np.float32(2) ** random.integers(-30, 0, 1000).astype(np.float32)
    found, total = running(a, b, True), np.float32(0)
    for k, value in enumerate(found):
        assert value == nearest(Fraction(float(total)) + Fraction(float(a[k])) * Fraction(float(b[k])))
        total = value


@pytest.mark.parametrize(
    ("first", "a", "b"),
    [(1, 1 + 2.0**-12, 1 - 2.0**-12 + 2.0**-24), (1 + 2.0**-23, 1 + 2.0**-15, 1 - 2.0**-15)],
)
def test_a_tie_of_float64_is_no_tie(first, a, b):
    """The sum with 2^-24 a b is rounded by float64 to the middle of two float32; the part that is lost decides."""
    a, b = np.array([first, a], np.float32), np.array([1, 2.0**-24 * b], np.float32)
    exact = Fraction(float(a[0])) + Fraction(float(a[1])) * Fraction(float(b[1]))
    assert float(exact) == first + 2.0**-24 != exact
    assert np.float32(float(exact)) != nearest(exact)
    assert running(a, b, True)[-1] == nearest(exact) == np.float32(1 + 2.0**-23)


def test_without_fusing_products_are_rounded_too():
    a = np.array([1 + 2.0**-12, -1], np.float32)
    b = np.array([1 + 2.0**-12, 1 + 2.0**-11], np.float32)
    assert running(a, b, False)[-1] == 0
    assert running(a[::-1], b[::-1], True)[-1] == np.float32(2.0**-24)
