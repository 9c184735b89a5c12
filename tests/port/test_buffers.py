"""Memory that is used again is nobody's any more."""

import numpy as np
import pytest

from alexnet_rosetta.port import buffers


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
