"""The CUDA branch of the kernels, run: every thread of a block by itself, in two orders between barriers.

The results must be those of the CPU's loops, bit for bit, in both orders: then no kernel lacks a barrier that it needs,
no thread leaves before one, and the two branches of `kernels/block.cuh` mean the same.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from device_runs import Steps, outcome
from fake_gpu import FakeGpu
from kernel_launches import declared, kernel_name
from thread_gpu import ROUNDED, ThreadGpu, compile_threads

from alexnet_rosetta.harness.checks.golden import files
from alexnet_rosetta.legacy import _call, cudaconv, quirks, use_isa
from alexnet_rosetta.legacy._call import col, row

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++").split()[0]) is None, reason="no C++ compiler"),
]
GOLDEN = Path(__file__).parents[1] / "golden"
BOTH_WAYS = pytest.mark.parametrize("backwards", [False, True], ids=["ascending", "descending"])


def chosen_cases():
    """Recorded cases, the smaller first, until every kernel has one with and one without bounds checks."""
    cases = [case for path in files.paths(GOLDEN) for case in files.read(path) if not case.refused]
    cases.sort(key=lambda case: sum(array.size for array in case.arrays.values()))
    wanted, seen = [], set()
    for case in cases:
        marks = {(kernel_name(kernel), kernel.count("true")) for kernel, _, _ in case.launches()}
        if marks - seen:
            seen |= marks
            wanted.append(case)
    return wanted


def primitives(device):
    """Bits of matrix primitives, in sizes and storage orders that reach their kernels."""
    random, found = np.random.default_rng(3), []

    def run(name, operands, target, **scalars):
        found.append(_call.call(f"NVMatrix::{name}", operands, [target], scalars, device=device).tobytes())

    def values(*shape):
        return random.standard_normal(shape, np.float32)

    for shape in [(5, 7), (7, 100), (9, 200), (3, 300), (7, 600), (16384, 8), (16384, 40), (16384, 70)]:
        run("sum", [row("a", values(*shape))], row("target", None), axis=1)
        run("max", [row("a", values(*shape))], row("target", None), axis=0)
    for shape in [(5, 7), (64, 96), (70, 33)]:
        a, b, turned = values(*shape), values(*shape), np.asfortranarray(values(*shape))
        run("scale", [row("a", a)], col("target", turned), s=2)
        run("add", [row("a", a), col("b", turned)], row("target", b), scaleA=1, scaleB=2)
        run("add", [row("a", a), row("b", b)], col("target", turned), scaleA=1, scaleB=2)
        run("addVector", [row("a", a), row("b", values(1, shape[1]))], row("target", None), scaleVec=1)
        run("addVector", [row("a", a), row("b", values(shape[0], 1))], row("target", None), scaleVec=1)
    run("sumAll", [row("a", values(300, 300))], row("target", None))
    run("dotProduct", [row("a", values(90, 70)), row("b", values(90, 70))], row("target", None))
    pairs = cudaconv.convQuantizeHalf(values(1, 301), device=device)
    whole = cudaconv.convDequantizeHalf(pairs, numElements=301, device=device)
    images, acts = values(16 * 9, 5).round(), values(16, 5).round()
    with quirks(max_ties_full=False):
        window = {"subsX": 3, "startX": 0, "strideX": 1, "outputsX": 1}
        first = cudaconv.convLocalMaxUndo(images, values(16, 5), acts, **window, device=device)
    return [*found, pairs.tobytes(), whole.tobytes(), first.tobytes()]


@pytest.fixture(scope="module")
def cases():
    return chosen_cases()


@pytest.fixture(scope="module")
def instances(cases):
    """Kernel strings and argument kinds of everything that is run here."""
    device = FakeGpu()
    with use_isa("strict"):
        for case in cases:
            outcome(case, device)
        primitives(device)
        Steps("zoo", device).run()
    return sorted(device._functions)


@pytest.fixture(scope="module")
def library(instances, tmp_path_factory):
    return compile_threads(instances, tmp_path_factory.mktemp("threads"))


def test_every_kernel_is_run(instances):
    assert {kernel_name(kernel) for kernel, _ in instances} == set(declared())


@BOTH_WAYS
def test_recorded_cases(cases, library, backwards):
    device = ThreadGpu(library, backwards)
    with use_isa("strict"):
        for case in cases:
            assert outcome(case, device) == outcome(case, "cpu"), (case.about["entry"], case.number)


@BOTH_WAYS
def test_matrix_primitives(library, backwards):
    with use_isa("strict"):
        assert primitives(ThreadGpu(library, backwards)) == primitives("cpu")


@BOTH_WAYS
def test_a_network(library, backwards):
    with use_isa("strict"):
        assert Steps("zoo", ThreadGpu(library, backwards)).run() == Steps("zoo", "cpu").run()


def test_missing_barriers_show(cases, instances, tmp_path):
    """Without barriers convolutions of every direction give something else, as their threads share what they load."""
    own = [instance for instance in instances if "cts_" in instance[0]]
    library = compile_threads(own, tmp_path, [*ROUNDED, "-DNO_BARRIERS"])
    wanted, shown = {"Filter", "Img", "Weight"}, set()
    with use_isa("strict"):
        for case in cases:
            direction = {word for word in wanted - shown if f"{word}Acts" in case.entry}
            ways = (False, True) if direction else ()
            if any(outcome(case, ThreadGpu(library, backwards)) != outcome(case, "cpu") for backwards in ways):
                shown |= direction
    assert shown == wanted
