"""What the counted build finds wrong: a barrier that is missing, shared words that nobody wrote, accesses outside."""

import re
import shutil

import numpy as np
import pytest
from toy_calls import call, values

from alexnet_rosetta.legacy import _call, use_isa
from alexnet_rosetta.legacy.counted import CountingDevice, library
from alexnet_rosetta.legacy.gpu import cuda_source
from alexnet_rosetta.legacy.gpu.recording import DryDevice

BARRIERS = [
    f"{path.name}:{number}"
    for path in sorted(cuda_source.KERNELS.glob("*.cuh"))
    for number, line in enumerate(path.read_text().splitlines(), 1)
    if line.strip() == "SYNC"
]
# Barriers that no thread needs: after a table of channels, before a loop whose own first barrier comes before anybody
# reads the table (conv-kernels 3.8, 3.9); before a tree of sums in whose first step threads read their own words, and
# after one whose result the first thread alone reads (pool-norm 9.4).
SPARE = {
    f"{file}:{text.count(chr(10), 0, match.end())}"
    for file, code in (
        ("img_acts.cuh", r"shColors\[tid\] = [^}]*}\n    SYNC\n"),
        ("reductions.cuh", r"SYNC\n(?=    reduceHalves<Agg, blockSize, blockSize>)"),
        ("reductions.cuh", r"target\[row\] = [^}]*}\n        }\n        SYNC\n"),
    )
    for text in [(cuda_source.KERNELS / file).read_text()]
    for match in re.finditer(code, text)
}
GRID = 65535  # blocks along an axis: beyond these a block has a second round


def primitives(device):
    """Matrix primitives that turn tiles, spread vectors and add up rows."""

    def primitive(name, operands, target, **scalars):
        _call.call(f"NVMatrix::{name}", operands, [target], scalars, device=device)

    def filled(*shape, order="C"):
        return np.ones(shape, np.float32, order)

    primitive("scale", [_call.row("a", values(70, 33))], _call.col("target", filled(70, 33, order="F")), s=2)
    primitive(
        "scale",
        [_call.row("a", filled(32 * GRID + 33, 2))],
        _call.col("target", filled(32 * GRID + 33, 2, order="F")),
        s=2,
    )
    for vector, matrix in [
        ((1, 33), (70, 33)),
        ((4 * GRID + 1, 1), (4 * GRID + 1, 2)),
        ((1, 64 * GRID + 1), (2, 64 * GRID + 1)),
    ]:
        primitive(
            "addVector",
            [_call.row("a", filled(*matrix)), _call.row("b", filled(*vector))],
            _call.row("target", None),
            scaleVec=1,
        )
    for shape in [(7, 600), (5, 90), (16384, 8)]:
        primitive("sum", [_call.row("a", values(*shape))], _call.row("target", None), axis=1)
    primitive("sumAll", [_call.row("a", values(90, 90))], _call.row("target", None))


STEPS = {
    "elementwise": [primitives], "reductions": [primitives],
    "filter_acts": [("convFilterActs", "colour"), ("convFilterActs", "groups"), ("convFilterActsSparse", "table")],
    "image_ops": [("convGaussianBlur", "")],
    "img_acts": [("convImgActs", "colour"), ("convImgActs", "many"), ("convImgActsSparse", "table"),
                 ("convImgActsSparse", "many")],
    "maps": [("convLocalPool", "large")], "weight_acts": [("convWeightActs", "colour")],
}  # fmt: skip
"""Steps that come to the barriers of a file."""


def run(step, device):
    with use_isa("strict"):
        step(device) if callable(step) else call(step, 32, device)


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    dry = DryDevice()
    for step in {step for steps in STEPS.values() for step in steps}:
        run(step, dry)
    return library(dry.instances, tmp_path_factory.mktemp("counted"))


def faults_without(barrier, counted):
    """What is found in two blocks of each launch where threads pass a barrier by."""
    for step in STEPS[barrier.partition(".")[0]]:
        device = CountingDevice(counted, blocks=2, skipped=barrier)
        run(step, device)
        yield from (fault for launched in device.launches for fault in launched.faults)


@pytest.mark.parametrize("barrier", BARRIERS)
def test_a_removed_barrier_is_a_race(barrier, counted):
    faults = faults_without(barrier, counted)
    assert any(fault.kind == "races" for fault in faults) == (barrier not in SPARE)


def test_spare_barriers_are_found():
    assert len(SPARE) == 4
    assert set(BARRIERS) > SPARE


def test_a_word_that_nobody_wrote_is_found(tmp_path):
    """Filter pixels past the last one left as they are, as in 2012 (conv-kernels 7.1): here they are no numbers."""
    shutil.copytree(cuda_source.KERNELS, tmp_path / "kernels")
    file = tmp_path / "kernels" / "filter_acts.cuh"
    text = file.read_text()
    zeros = "UNROLL for (int i = 0; i < imgsPerThread; ++i) shImages[c * B_Y + ty][tx + i * B_X] = 0;"
    assert text.count(zeros) == 1
    file.write_text(text.replace(zeros, "UNROLL for (int i = 0; i < imgsPerThread; ++i) {}"))
    case, dry = ("convFilterActs", "colour"), DryDevice()
    run(case, dry)
    device = CountingDevice(library(dry.instances, tmp_path, tmp_path / "kernels"))
    run(case, device)
    (launched,) = device.launches
    assert launched.counts["unwritten"] > 0
    assert not launched.agrees  # 0 * NaN
    assert {(fault.kind, fault.area) for fault in launched.faults} == {("unwritten", "shImages")}


def test_accesses_outside_are_counted_and_not_made(counted):
    class WithoutImages(CountingDevice):
        def _count(self, launch, matrices):
            return super()._count(launch, {start: name for start, name in matrices.items() if name != "images"})

    device = WithoutImages(counted)
    run(("convFilterActs", "colour"), device)
    assert device.launches[0].counts["outside"] > 0
    assert not device.launches[0].agrees
