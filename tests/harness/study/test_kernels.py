"""What is read from the source of a kernel, held against what was launched and against what nvcc measured."""

from functools import cache
from math import prod

import pytest

from alexnet_rosetta.harness import engines
from alexnet_rosetta.harness.network import load as networks
from alexnet_rosetta.harness.study import kernels, knob, layer, page
from alexnet_rosetta.harness.study.occupancy import LIMITS, occupancy
from alexnet_rosetta.legacy.gpu import resources

TABLE = resources.read()[1]


@cache
def launches(net):
    network = networks.load(net)
    (engine,) = engines.available(["legacy-cpu"])
    session = engine.open(network, 1)
    session.record_launches()
    for spec in network.layers:
        if spec.type != "data":
            layer.run_layer(session, network, spec, 48)
    found = {launch["kernel"]: launch for launch in session.launches()}.values()
    return [launch for launch in found if not launch["kernel"].startswith("sgemm(")]


def test_the_tiles_of_every_instance_are_as_large_as_nvcc_says():
    found = {kernel: sum(size for *_, size in kernels.tiles(kernel)) for kernel in TABLE}
    assert found == {kernel: next(iter(row.values())).shared for kernel, row in TABLE.items()}
    assert len([size for size in found.values() if size]) > 300


@pytest.mark.parametrize("net", ["tiny", "zoo"])
def test_the_work_of_the_blocks_is_all_of_the_work(net):
    without = set()
    for launch in launches(net):
        axes = kernels.axes(launch)
        without |= set() if axes else {kernels.name_and_arguments(launch["kernel"])[0]}
        pieces, blocks = prod(axis.blocks for axis in axes), prod(launch["grid"])
        if axes and kernels.strides(launch["kernel"]):
            assert blocks <= pieces, launch["kernel"]
        elif axes:
            assert blocks == pieces, launch["kernel"]
    assert without <= {"kCrop", "kResizeBilinear"}  # whose grids hide the number of channels


def test_template_arguments_are_explained():
    for kernel in TABLE:
        assert all(why for _, _, why in kernels.template(kernel)), kernel
    assert ("imgsPerThread", "4") in [row[:2] for row in kernels.template("kFCNorm<4, 32, 4, false, true>")]


def test_the_course_of_a_kernel():
    steps = kernels.course("filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false>")
    assert [(step.kind, step.depth) for step in steps] == [
        ("loop", 0), ("loop", 1), ("phase", 2), ("barrier", 2), ("phase", 2), ("barrier", 2), ("phase", 0)
    ]  # fmt: skip
    assert [step.text for step in steps if step.kind == "phase"] == [
        "stageFilters, stageImages",
        "multiplyTile",
        "writeTile",
    ]


def test_every_kernel_with_shared_memory_that_threads_exchange_has_barriers():
    for kernel in {name.partition("<")[0]: name for name in TABLE}.values():
        steps = kernels.course(kernel)
        assert any(step.kind == "phase" for step in steps), kernel
        own_only = kernel.startswith("kLocalMaxUndo")  # its threads keep their own pixels there
        assert bool(kernels.tiles(kernel)) == any(step.kind == "barrier" for step in steps) or own_only, kernel


@pytest.mark.parametrize("net", ["tiny", "zoo"])
def test_the_rule_of_a_launch_has_a_place(net):
    for launch in launches(net):
        name, _ = kernels.name_and_arguments(launch["kernel"])
        places = page.rule_places(name, launch["rule"])
        assert any(name in line for _, line in places), name
        assert all(":" in place for place, _ in places)


def test_occupancy_of_a_published_example():
    """256 threads of 20 registers, no shared memory: all 48 warps of a Fermi; 63 registers: a third of them."""
    assert occupancy("sm_20", 256, 0, 20) == (6, 1.0, "warps")
    assert occupancy("sm_20", 256, 0, 63) == (2, 2 * 8 / 48, "registers")
    assert occupancy("sm_20", 128, 24 * 1024, 20) == (2, 8 / 48, "shared memory")
    assert occupancy("sm_20", 32, 0, 20) == (8, 8 / 48, "blocks")
    assert set(LIMITS) >= {"sm_20", *resources.ARCHITECTURES}


def cases(net, name, batch):
    network = networks.load(net)
    return knob.cases(network, network.graph.layers[name], batch)


def test_the_knob_shows_what_the_layer_launches_as_its_own():
    found = cases("alexnet", "conv2a", 128)
    assert {case.knob for case in found} == {"images", "filters", "channels"}
    own = [case for case in found if case.own]
    assert len(own) == 3
    assert {case.kernels["forward"] for case in own} == {("filterActs_YxX_sparse<4, 32, 4, 8, 2, false, false>",)}
    assert ("img_acts_color<8, 3, false, false, true>",) in [case.kernels["backward"][1:] for case in found]


def test_the_knob_runs_nothing_that_the_engine_refuses():
    found = cases("tiny", "pool1", 32)
    assert [case.settings for case in found if case.knob == "channels" and not case.kernels["backward"]] == [(4,), (8,)]


@pytest.mark.parametrize("name", [x.name for x in networks.load("zoo").layers if x.type != "data"])
def test_every_layer_has_a_knob_or_none(name):
    for case in cases("zoo", name, 16):
        assert case.settings
