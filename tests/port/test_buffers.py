"""Memory that is used again is nobody's any more."""

import tracemalloc

import numpy as np
import pytest
from toy_networks import one_thread, shipped  # noqa: F401

from alexnet_rosetta.port import buffers, dropout


@pytest.fixture(autouse=True)
def no_idle_memory():
    buffers.clear()
    yield
    buffers.clear()


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_goes_to_the_next_array_of_that_size():
    first = buffers.empty((64, 1024), np.float32)
    place = address(first)
    assert place % buffers.LINE == 0
    del first
    other = buffers.empty((1024, 65), np.float32)
    assert address(other) != place
    again = buffers.zeros((1024, 32), np.float64)
    assert address(again) == place
    assert again.dtype == np.float64
    assert not again.any()


def test_an_array_lies_within_its_memory():
    for size in (buffers.SMALLEST, buffers.SMALLEST + 1, 3 * buffers.SMALLEST):
        array = buffers.empty((size,), np.uint8)
        owner = array.base
        while isinstance(owner, np.ndarray):
            owner = owner.base
        first, last = address(owner.memory), address(owner.memory) + owner.memory.nbytes
        assert first <= address(array) <= address(array) + size <= last


def test_a_view_keeps_the_memory():
    array = buffers.empty((64, 1024), np.float32)
    array[:] = 1
    view, place = array.reshape(-1)[5:9], address(array)
    del array
    other = buffers.empty((64, 1024), np.float32)
    assert address(other) != place
    other[:] = 2
    assert (view == 1).all()
    del view
    assert address(buffers.empty((64, 1024), np.float32)) == place


def test_cleared_memory_and_small_arrays_are_the_system_s():
    array = buffers.empty((64, 1024), np.float32)
    del array
    assert buffers._idle
    buffers.clear()
    assert not buffers._idle
    small = buffers.empty_like(np.zeros((3, 4)))
    assert small.shape == (3, 4)
    del small
    assert not buffers._idle


def test_the_smallest_array_whose_memory_is_kept():
    array = buffers.empty((buffers.SMALLEST,), np.uint8)
    place = address(array)
    assert place % buffers.LINE == 0
    del array
    assert address(buffers.empty((buffers.SMALLEST,), np.uint8)) == place
    buffers.clear()
    smaller = buffers.empty((buffers.SMALLEST - 1,), np.uint8)
    del smaller
    assert not buffers._idle


def test_a_step_takes_no_memory_that_the_step_before_did_not_leave():
    network, rng = shipped("cifar"), np.random.default_rng(0)
    data = rng.standard_normal((network.layers["data"].spec.outputs, 64), np.float32)
    labels = rng.integers(0, 10, (1, 64)).astype(np.float32)

    def step():
        network.forward({"data": data, "labels": labels})
        network.backward()
        network.update()

    step()
    step()
    tracemalloc.start()
    try:
        step()
        assert tracemalloc.get_traced_memory()[1] < data.nbytes / 4  # the smallest array of a convolution is larger
    finally:
        tracemalloc.stop()


def test_dropout_takes_memory_that_is_kept():
    x = np.ones((64, 1024), np.float32)
    assert (dropout.dropout_forward(x, 0.5) == 0.5).all()
    (kept,) = buffers._idle.values()
    assert (dropout.dropout_forward(x, 0.5, 2 * x) == 2).all()
    assert len(kept) == 1
